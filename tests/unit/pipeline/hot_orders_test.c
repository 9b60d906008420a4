// Full orders on a store that inserts without looking: which are remembered, and what is refused.
#include "hot_orders.h"

#include "fold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#include <string.h>

#define LIMIT FOLD_EVENTS_OF_KIND_MAX

static struct hot_orders hot;
static struct event events[2 * LIMIT + 2];
static const struct event *rows[2 * LIMIT + 2];
static struct arena arena;
static size_t reads;

static int set_up(void **state)
{
    (void)state;
    memset(&hot, 0, sizeof(hot));
    reads = 0;
    return arena_init(&arena, 1u << 20) == ERR_OK ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

// The partition as it was read: so many versions, so many payment events, numbered from 0.
static struct store_group partition(int64_t order_id, size_t versions, size_t payments)
{
    for (size_t i = 0; i < versions + payments; i++) {
        bool order = i < versions;
        events[i] = (struct event){.kind = order ? EVENT_ORDER : EVENT_PAYMENT,
                                   .order_id = order_id,
                                   .entity_id = order ? order_id : (int64_t)(i - versions),
                                   .version_rank = order ? (int64_t)i : 0};
        rows[i] = &events[i];
    }
    return (struct store_group){
        .order_id = order_id, .rows = rows, .row_count = versions + payments};
}

static enum err read_rows(struct store *store, struct store_group *groups, size_t count,
                          struct arena *memory, struct why *why)
{
    (void)store;
    (void)memory;
    (void)why;
    assert_int_equal(count, 1);
    reads++;
    groups[0].rows = rows;
    groups[0].row_count = LIMIT;
    return ERR_OK;
}

static const struct store_ops ops = {.read_partitions = read_rows};

static const struct refusal *refusal_of(enum event_kind kind, int64_t order_id, int64_t entity_id)
{
    struct store store = {.ops = &ops};
    struct batch_item item = {
        .incoming.event = {.kind = kind, .order_id = order_id, .entity_id = entity_id}};
    assert_int_equal(hot_orders_refuse(&hot, &store, &item, 1, &arena, NULL), ERR_OK);
    assert_true(item.refusal == NULL || item.outcome == OUTCOME_REFUSED);
    return item.refusal;
}

static void order_counts_as_full_from_the_limit_on(void **state)
{
    (void)state;
    for (size_t count = LIMIT - 1; count <= LIMIT + 1; count++) {
        memset(&hot, 0, sizeof(hot));
        struct store_group group = partition(7, 0, count);
        hot_orders_note(&hot, &group);
        assert_int_equal(hot.count, count >= LIMIT);
    }
}

static void payments_take_no_room_from_versions(void **state)
{
    (void)state;
    struct store_group group = partition(7, 0, LIMIT);
    hot_orders_note(&hot, &group);
    assert_null(refusal_of(EVENT_ORDER, 7, 7));
    assert_int_equal(reads, 0);
    group = partition(7, LIMIT, LIMIT);
    hot_orders_note(&hot, &group);
    assert_int_equal(hot.count, 1);
    (void)partition(7, 0, LIMIT);
    assert_non_null(refusal_of(EVENT_ORDER, 7, 7));
}

static void only_what_is_not_stored_is_refused(void **state)
{
    (void)state;
    struct store_group group = partition(7, 0, LIMIT);
    hot_orders_note(&hot, &group);
    assert_null(refusal_of(EVENT_PAYMENT, 7, 0));
    assert_null(refusal_of(EVENT_PAYMENT, 7, LIMIT - 1));
    const struct refusal *refusal = refusal_of(EVENT_PAYMENT, 7, LIMIT);
    assert_non_null(refusal);
    assert_int_equal(refusal->reason, REASON_E_HOT_ORDER);
    assert_int_equal(refusal->order_id, 7);
    assert_int_equal(refusal->payment_id, LIMIT);
    assert_int_equal(reads, 3);
}

static void other_orders_cost_no_read(void **state)
{
    (void)state;
    struct store_group group = partition(7, 0, LIMIT);
    hot_orders_note(&hot, &group);
    assert_null(refusal_of(EVENT_PAYMENT, 8, LIMIT));
    assert_int_equal(reads, 0);
}

static void oldest_order_is_forgotten_when_too_many_are_full(void **state)
{
    (void)state;
    for (int64_t order_id = 1; order_id <= (int64_t)HOT_ORDERS_MAX + 1; order_id++) {
        struct store_group group = partition(order_id, 0, LIMIT);
        hot_orders_note(&hot, &group);
    }
    assert_int_equal(hot.count, HOT_ORDERS_MAX);
    assert_null(refusal_of(EVENT_PAYMENT, 1, LIMIT));
    assert_non_null(refusal_of(EVENT_PAYMENT, 2, LIMIT));
    assert_non_null(refusal_of(EVENT_PAYMENT, HOT_ORDERS_MAX + 1, LIMIT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(order_counts_as_full_from_the_limit_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(payments_take_no_room_from_versions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_what_is_not_stored_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_orders_cost_no_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(oldest_order_is_forgotten_when_too_many_are_full, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests_name("hot_orders", tests, NULL, NULL);
}
