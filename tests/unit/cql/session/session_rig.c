#include "session_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cql_mock_column insert_markers[] = {{"id", {CQL_MOCK_BIGINT}},
                                                        {"item", {CQL_MOCK_VARCHAR}}};
static const struct cql_mock_column select_columns[] = {{"id", {CQL_MOCK_BIGINT}},
                                                        {"item", {CQL_MOCK_VARCHAR}}};
static const unsigned char seven[8] = {0, 0, 0, 0, 0, 0, 0, 7};
static const struct cql_mock_cell select_cells[] = {{seven, 8}, {"Laptop", 6}};

static void teach(struct cql_mock *mock)
{
    cql_mock_teach(mock, &(struct cql_mock_statement){
                             .part = "INSERT INTO shop.orders",
                             .markers = insert_markers,
                             .marker_count = 2,
                             .partition_key_count = 1,
                         });
    cql_mock_teach(mock, &(struct cql_mock_statement){
                             .part = "FROM shop.orders",
                             .markers = insert_markers,
                             .marker_count = 1,
                             .partition_key_count = 1,
                             .columns = select_columns,
                             .column_count = 2,
                             .cells = select_cells,
                             .row_count = 1,
                         });
}

static const char *const ring[RIG_MOCKS_MAX] = {"-6000000000000000000", "0", "6000000000000000000",
                                                "8000000000000000000"};

void rig_start(struct rig *rig, unsigned mock_count, const struct cql_mock_options *options)
{
    *rig = (struct rig){.mock_count = mock_count};
    rig->ends = calloc(RIG_REQUESTS_MAX, sizeof(*rig->ends));
    rig->memory = calloc(RIG_REQUESTS_MAX, sizeof(*rig->memory));
    assert_non_null(rig->ends);
    assert_non_null(rig->memory);
    for (unsigned i = 0; i < mock_count; i++) {
        struct cql_mock_options own = options != NULL ? *options : (struct cql_mock_options){0};
        own.host = own.host == 0 && mock_count > 1 ? i + 1 : own.host;
        own.tokens = own.tokens == NULL ? ring[i] : own.tokens;
        rig->mocks[i] = cql_mock_start(&own);
        teach(rig->mocks[i]);
    }
    rig_introduce(rig);
}

void rig_introduce(struct rig *rig)
{
    if (rig->mock_count > 1) {
        cql_mock_introduce(rig->mocks, rig->mock_count);
    }
}

struct cql_options rig_options(struct rig *rig)
{
    (void)snprintf(rig->contact_points, sizeof(rig->contact_points), "%s",
                   cql_mock_address(rig->mocks[0]));
    return (struct cql_options){
        .contact_points = rig->contact_points,
        .connect_timeout_us = 2 * US_PER_SECOND,
        .request_timeout_us = 10 * US_PER_SECOND,
        .reconnect_min_us = 10000,
        .reconnect_max_us = 100000,
        .seed = 1,
    };
}

static void note(void *context, struct text notice)
{
    struct rig *rig = context;
    size_t used = strlen(rig->notices);
    rig->notice_count++;
    (void)snprintf(rig->notices + used, sizeof(rig->notices) - used, "%.*s\n", TEXT_PRINT(notice));
}

static void expect_ok(enum err err, const struct why *why)
{
    if (err != ERR_OK) {
        fail_msg("%s: %s", err_name(err), why->text);
    }
}

void rig_open(struct rig *rig, const struct cql_options *options)
{
    struct cql_options own = rig_options(rig);
    struct why why = {0};
    expect_ok(cql_open(options != NULL ? options : &own, &rig->cql, &why), &why);
    cql_set_notice(rig->cql, note, rig);
    expect_ok(cql_prepare(rig->cql, TEXT(RIG_INSERT), &rig->insert, &why), &why);
    expect_ok(cql_prepare(rig->cql, TEXT(RIG_SELECT), &rig->select, &why), &why);
}

enum err rig_open_fails(struct rig *rig, const struct cql_options *options, struct why *why)
{
    enum err err = cql_open(options, &rig->cql, why);
    assert_int_not_equal(err, ERR_OK);
    assert_null(rig->cql);
    assert_true(strlen(why->text) > 0);
    return err;
}

void rig_add_rule(struct rig *rig, const struct cql_mock_rule *rule)
{
    for (unsigned i = 0; i < rig->mock_count; i++) {
        cql_mock_add_rule(rig->mocks[i], rule);
    }
}

struct cql_request rig_request(struct rig *rig, unsigned number, bool idempotent)
{
    struct cql_values values;
    assert_true(number < RIG_REQUESTS_MAX);
    cql_values_init(&values, rig->memory[number], sizeof(rig->memory[number]));
    cql_bind_bigint(&values, number);
    cql_bind_text(&values, TEXT("Laptop"));
    return (struct cql_request){
        .statement = rig->insert,
        .values = cql_values_view(&values),
        .consistency = CQL_LOCAL_QUORUM,
        .timestamp_us = 1700000000000000,
        .idempotent = idempotent,
        .context = &rig->ends[number],
    };
}

void rig_submit(struct rig *rig, const struct cql_request *request)
{
    struct why why = {0};
    size_t accepted = 0;
    expect_ok(cql_submit(rig->cql, request, 1, &accepted, &why), &why);
    assert_int_equal(accepted, 1);
}

void rig_write(struct rig *rig, unsigned first, unsigned count, bool idempotent)
{
    for (unsigned i = first; i < first + count; i++) {
        struct cql_request request = rig_request(rig, i, idempotent);
        rig_submit(rig, &request);
    }
}

void rig_poll(struct rig *rig, int64_t timeout_us)
{
    struct cql_completion completions[64];
    size_t count = 0;
    struct why why = {0};
    expect_ok(cql_poll(rig->cql, timeout_us, completions, 64, &count, &why), &why);
    for (size_t i = 0; i < count; i++) {
        struct rig_end *end = completions[i].context;
        end->times++;
        end->err = completions[i].err;
        end->outcome = completions[i].outcome;
        end->error_code = completions[i].error_code;
        assert_true((completions[i].err != ERR_OK) == (completions[i].why != NULL));
        rig->done++;
    }
}

static int64_t now_ns(void)
{
    struct clock clock = clock_real();
    return clock_mono_ns(&clock);
}

void rig_pass(struct rig *rig, int64_t us)
{
    int64_t until_ns = now_ns() + us * 1000;
    while (now_ns() < until_ns) {
        rig_poll(rig, (until_ns - now_ns()) / 1000 + 1);
    }
}

void rig_until(struct rig *rig, rig_condition *condition, unsigned argument)
{
    int64_t until_ns = now_ns() + RIG_WAIT_MS * INT64_C(1000000);
    while (!condition(rig, argument)) {
        assert_true(now_ns() < until_ns);
        rig_poll(rig, 2000);
    }
}

static bool are_done(struct rig *rig, unsigned count)
{
    return rig->done >= count;
}

void rig_await(struct rig *rig, size_t done)
{
    rig_until(rig, are_done, (unsigned)done);
    assert_int_equal(rig->done, done);
}

void rig_expect(const struct rig *rig, unsigned first, unsigned count, enum err err,
                enum cql_outcome outcome)
{
    for (unsigned i = first; i < first + count; i++) {
        const struct rig_end *end = &rig->ends[i];
        if (end->times != 1 || end->err != err || end->outcome != outcome) {
            fail_msg("request %u ended %u times, %s, outcome %d, error 0x%04X", i, end->times,
                     err_name(end->err), end->outcome, (unsigned)end->error_code);
        }
    }
}

static struct cql_cluster_info info_of(struct rig *rig, struct arena *arena)
{
    struct cql_cluster_info info = {0};
    struct why why = {0};
    assert_int_equal(arena_init(arena, 1 << 20), ERR_OK);
    expect_ok(cql_cluster_info(rig->cql, arena, &info, &why), &why);
    return info;
}

struct cql_node_info rig_node(struct rig *rig, unsigned index)
{
    struct arena arena;
    struct cql_cluster_info info = info_of(rig, &arena);
    assert_true(index < info.node_count);
    struct cql_node_info node = info.nodes[index];
    node.address = node.dc = node.rack = node.release_version = (struct text){0};
    arena_deinit(&arena);
    return node;
}

size_t rig_node_count(struct rig *rig)
{
    struct arena arena;
    size_t count = info_of(rig, &arena).node_count;
    arena_deinit(&arena);
    return count;
}

bool rig_node_is_connected(struct rig *rig, unsigned mock)
{
    struct arena arena;
    struct cql_cluster_info info = info_of(rig, &arena);
    bool connected = false;
    for (size_t i = 0; i < info.node_count; i++) {
        connected |=
            text_equal(info.nodes[i].address, text_of(cql_mock_address(rig->mocks[mock]))) &&
            info.nodes[i].connections > 0;
    }
    arena_deinit(&arena);
    return connected;
}

unsigned rig_executes(struct rig *rig)
{
    unsigned count = 0;
    for (unsigned i = 0; i < rig->mock_count; i++) {
        count += cql_mock_count(rig->mocks[i], CQL_MOCK_EXECUTE);
    }
    return count;
}

void rig_close(struct rig *rig)
{
    cql_close(&rig->cql);
}

void rig_stop_without_complaints(struct rig *rig)
{
    rig_close(rig);
    for (unsigned i = 0; i < rig->mock_count; i++) {
        cql_mock_stop(&rig->mocks[i]);
    }
    free(rig->ends);
    free(rig->memory);
}

void rig_stop(struct rig *rig)
{
    rig_close(rig);
    for (unsigned i = 0; i < rig->mock_count; i++) {
        const char *complaint = cql_mock_complaint(rig->mocks[i]);
        if (complaint != NULL) {
            fail_msg("the mock complains: %s", complaint);
        }
    }
    rig_stop_without_complaints(rig);
}
