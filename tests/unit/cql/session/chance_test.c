// Many reads whose answers come late, in any order or after their patience: each gets its own answer or none.
#include "session_rig.h"

#include "rand.h"
#include "test_seed.h"

#include <stdlib.h>
#include <string.h>

#define READS      20000u
#define READS_FULL 1000000u
#define PLACES     200u

static struct rig rig;

static int stop(void **state)
{
    (void)state;
    rig_stop(&rig);
    return 0;
}

// Answers with the id that was asked for; in the mock's thread.
static void answer_own_id(struct cql_mock_call *call, void *context)
{
    (void)context;
    const struct cql_mock_request *request = cql_mock_call_request(call);
    struct cql_mock_reader reader = {.at = request->body, .left = request->header.length};
    (void)cql_mock_take_string(&reader); // id of the statement, of its columns (v5)
    (void)cql_mock_take_string(&reader);
    (void)cql_mock_take_short(&reader); // consistency
    (void)cql_mock_take_int(&reader);   // flags
    (void)cql_mock_take_short(&reader); // number of values
    struct cql_mock_reader id = cql_mock_take_value(&reader);
    struct cql_mock_bytes body = {0};
    cql_mock_put_int(&body, 2);
    cql_mock_put_int(&body, 1);
    cql_mock_put_int(&body, 1);
    cql_mock_put_string(&body, "shop");
    cql_mock_put_string(&body, "orders");
    cql_mock_put_string(&body, "id");
    cql_mock_put_short(&body, CQL_MOCK_BIGINT);
    cql_mock_put_int(&body, 1);
    cql_mock_put_bytes(&body, id.at, id.left);
    cql_mock_reply(call, CQL_MOCK_RESULT, body.data, body.size);
    cql_mock_bytes_free(&body);
}

struct place {
    unsigned char memory[32];
    int64_t id;
    bool busy;
};

struct reads {
    struct place places[PLACES];
    struct rand rand;
    int64_t next;
    uint32_t open;
    uint32_t answered;
    uint32_t late;
};
static struct reads reads;

static void read_one(struct place *place)
{
    struct cql_values values;
    cql_values_init(&values, place->memory, sizeof(place->memory));
    place->id = ++reads.next;
    place->busy = true;
    cql_bind_bigint(&values, place->id);
    struct cql_request request = {.statement = rig.select,
                                  .values = cql_values_view(&values),
                                  .consistency = CQL_LOCAL_ONE,
                                  .idempotent = true,
                                  .timeout_us = rand_between(&reads.rand, 1000, 60000),
                                  .context = place};
    rig_submit(&rig, &request);
    reads.open++;
}

static void take(const struct cql_completion *completion)
{
    struct place *place = completion->context;
    struct cql_row_reader rows = cql_rows_read(&completion->result.rows);
    struct cql_cell cell;
    int64_t id = 0;
    assert_true(place->busy); // once
    place->busy = false;
    reads.open--;
    if (completion->err != ERR_OK) {
        assert_int_equal(completion->err, ERR_TIMEOUT);
        reads.late++;
        return;
    }
    assert_true(cql_row_next(&rows, &cell, 1));
    assert_int_equal(cql_get_bigint(cell, &id), CQL_GOT_VALUE);
    assert_int_equal(id, place->id);
    reads.answered++;
}

static void poll_some(void)
{
    struct cql_completion completions[64];
    size_t count = 0;
    size_t cap = rand_below(&reads.rand, 64) + 1;
    int64_t timeout_us = rand_between(&reads.rand, 0, 3000);
    assert_int_equal(cql_poll(rig.cql, timeout_us, completions, cap, &count, NULL), ERR_OK);
    for (size_t i = 0; i < count; i++) {
        take(&completions[i]);
    }
}

static void no_read_is_given_the_answer_of_another(void **state)
{
    (void)state;
    bool full = getenv("TILL_TEST_FULL") != NULL;
    uint32_t total = full ? READS_FULL : READS;
    rand_seed(&reads.rand, test_seed());
    rig_start(&rig, 1, NULL);
    struct cql_options options = rig_options(&rig);
    options.orphans_max = 150; // connections are replaced now and then
    rig_open(&rig, &options);
    rig_add_rule(&rig, &(struct cql_mock_rule){.opcode = CQL_MOCK_EXECUTE,
                                               .action = CQL_MOCK_HANDLE,
                                               .handle = answer_own_id,
                                               .is_held = true});
    while (reads.next < total || reads.open > 0) {
        for (size_t i = 0; i < PLACES && reads.next < total; i++) {
            if (!reads.places[i].busy && rand_chance_ppm(&reads.rand, 700000)) {
                read_one(&reads.places[i]);
            }
        }
        poll_some();
        if (rand_chance_ppm(&reads.rand, 60000)) {
            (void)cql_mock_release(rig.mocks[0], rand_chance_ppm(&reads.rand, 500000));
        }
    }
    printf("answered %u, late %u, connections %u\n", reads.answered, reads.late,
           cql_mock_accepted_count(rig.mocks[0]));
    assert_int_equal(reads.answered + reads.late, total);
    assert_true(reads.answered > total / 10 && reads.late > total / 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(no_read_is_given_the_answer_of_another, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
