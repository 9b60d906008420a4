// Claims about waiting payments, and how far the order lanes are.
#include "store_bench.h"
#include "store_suite_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#include <string.h>

// --- waiting payments ------------------------------------------------------------------------------

static struct waiting_payment waiting(int64_t due_us, int32_t shard, int64_t order_id,
                                      int64_t payment_id, const char *event_id)
{
    return (struct waiting_payment){
        .due_us = due_us,
        .shard = shard,
        .order_id = order_id,
        .payment_id = payment_id,
        .event_id = text_of(event_id),
        .published_us = due_us - 5,
        .message_id = TEXT("log-1"),
        .attempts = 3,
        .body = TEXT("{\"as\": \"it\\u0000came\"}"),
    };
}

static void insert_waiting(struct store_bench *bench, const struct waiting_payment *items,
                           size_t count)
{
    bench_begin(bench);
    bench_check(bench, store_insert_waiting(bench->store, items, count, &bench->why));
    bench_commit(bench);
}

static size_t due(struct store_bench *bench, int64_t before_us, size_t count_max,
                  struct waiting_bucket **out_buckets)
{
    size_t count = 0;
    arena_reset(&bench->arena);
    bench_check(bench, store_due_buckets(bench->store, before_us, count_max, &bench->arena,
                                         out_buckets, &count, &bench->why));
    return count;
}

static void buckets_come_due_oldest_first(void **state)
{
    struct store_bench *bench = *state;
    const struct waiting_payment items[] = {
        waiting(300, 0, 1, 11, "Completed"), waiting(100, 5, 2, 21, "Completed"),
        waiting(100, 2, 3, 31, "Completed"), waiting(200, 0, 4, 41, "Completed"),
        waiting(100, 2, 5, 51, "Completed"),
    };
    insert_waiting(bench, items, 5);
    bench_reopen(bench);
    struct waiting_bucket *buckets = NULL;
    assert_int_equal(due(bench, 100, 10, &buckets), 0);
    assert_int_equal(due(bench, 101, 10, &buckets), 2);
    assert_int_equal(due(bench, 300, 10, &buckets), 3);
    assert_int_equal(due(bench, INT64_MAX, 10, &buckets), 4);
    static const int64_t due_times[] = {100, 100, 200, 300};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(buckets[i].due_us, due_times[i]);
    }
    assert_int_equal(buckets[0].shard, 2);
    assert_int_equal(buckets[1].shard, 5);
    assert_int_equal(due(bench, INT64_MAX, 3, &buckets), 3); // the limit, -1
    assert_int_equal(due(bench, INT64_MAX, 4, &buckets), 4);
}

static size_t read_page(struct store_bench *bench, struct waiting_bucket bucket,
                        const struct waiting_payment *after, size_t count_max,
                        struct waiting_payment **out_items)
{
    size_t count = 0;
    bench_check(bench, store_read_bucket(bench->store, bucket, after, count_max, &bench->arena,
                                         out_items, &count, &bench->why));
    return count;
}

static void every_waiting_column_comes_back(void **state)
{
    struct store_bench *bench = *state;
    static char body[256 * 1024];
    memset(body, 'b', sizeof(body));
    struct waiting_payment item = waiting(100, 3, INT64_MAX, INT64_MAX, "an event id");
    item.body = (struct text){body, sizeof(body)};
    item.attempts = UINT32_MAX;
    insert_waiting(bench, &item, 1);
    insert_waiting(bench, &item, 1); // a repetition is the same entry
    bench_reopen(bench);
    struct waiting_payment *items = NULL;
    arena_reset(&bench->arena);
    assert_int_equal(read_page(bench, (struct waiting_bucket){100, 3}, NULL, 10, &items), 1);
    assert_int_equal(items[0].due_us, item.due_us);
    assert_int_equal(items[0].shard, item.shard);
    assert_int_equal(items[0].order_id, item.order_id);
    assert_int_equal(items[0].payment_id, item.payment_id);
    assert_true(text_equal(items[0].event_id, item.event_id));
    assert_int_equal(items[0].published_us, item.published_us);
    assert_true(text_equal(items[0].message_id, item.message_id));
    assert_int_equal(items[0].attempts, item.attempts);
    assert_true(text_equal(items[0].body, item.body));
    assert_int_equal(read_page(bench, (struct waiting_bucket){100, 4}, NULL, 10, &items), 0);
    assert_int_equal(read_page(bench, (struct waiting_bucket){101, 3}, NULL, 10, &items), 0);
}

// Entries differ in one part of their key at a time; pages of every size give each of them once.
static void bucket_is_read_in_pages(void **state)
{
    struct store_bench *bench = *state;
    struct waiting_payment items[27];
    static const char *const event_ids[] = {"Completed", "a", "b"};
    size_t count = 0;
    for (int64_t order_id = 1; order_id <= 3; order_id++) {
        for (int64_t payment_id = 1; payment_id <= 3; payment_id++) {
            for (size_t e = 0; e < 3; e++) {
                items[count++] = waiting(100, 0, order_id, payment_id, event_ids[e]);
            }
        }
    }
    insert_waiting(bench, items, count);
    for (size_t page_max = 1; page_max <= count + 1; page_max++) {
        arena_reset(&bench->arena);
        struct waiting_payment *page = NULL;
        const struct waiting_payment *after = NULL;
        size_t seen = 0;
        size_t got = 0;
        while ((got = read_page(bench, (struct waiting_bucket){100, 0}, after, page_max, &page)) >
               0) {
            for (size_t i = 0; i < got; i++, seen++) {
                assert_int_equal(page[i].order_id, items[seen].order_id);
                assert_int_equal(page[i].payment_id, items[seen].payment_id);
                assert_true(text_equal(page[i].event_id, items[seen].event_id));
            }
            after = &page[got - 1];
        }
        assert_int_equal(seen, count);
    }
}

static bool is_closed(struct store_bench *bench, int64_t due_us, int32_t shard)
{
    bool closed = false;
    bench_check(bench, store_bucket_is_closed(bench->store, (struct waiting_bucket){due_us, shard},
                                              &closed, &bench->why));
    return closed;
}

static void closing_a_bucket_is_seen_by_who_writes_into_it(void **state)
{
    struct store_bench *bench = *state;
    const struct waiting_payment items[] = {waiting(100, 0, 1, 11, "Completed"),
                                            waiting(100, 1, 2, 21, "Completed")};
    insert_waiting(bench, items, 2);
    assert_false(is_closed(bench, 100, 0));
    assert_false(is_closed(bench, 999, 0)); // never heard of
    bench_begin(bench);
    bench_check(bench,
                store_close_bucket(bench->store, (struct waiting_bucket){100, 0}, &bench->why));
    bench_commit(bench);
    bench_reopen(bench);
    assert_true(is_closed(bench, 100, 0));
    assert_false(is_closed(bench, 100, 1));
    insert_waiting(bench, items, 1); // does not open it again
    assert_true(is_closed(bench, 100, 0));
    struct waiting_bucket *buckets = NULL;
    assert_int_equal(due(bench, INT64_MAX, 10, &buckets), 2); // closed is not finished
}

static void finished_bucket_is_gone_and_its_neighbours_stay(void **state)
{
    struct store_bench *bench = *state;
    const struct waiting_payment items[] = {waiting(100, 0, 1, 11, "Completed"),
                                            waiting(100, 1, 2, 21, "Completed"),
                                            waiting(200, 0, 3, 31, "Completed")};
    insert_waiting(bench, items, 3);
    struct waiting_bucket first = {100, 0};
    bench_begin(bench);
    bench_check(bench, store_close_bucket(bench->store, first, &bench->why));
    bench_check(bench, store_finish_bucket(bench->store, first, &bench->why));
    bench_commit(bench);
    bench_reopen(bench);
    struct waiting_bucket *buckets = NULL;
    struct waiting_payment *page = NULL;
    assert_int_equal(due(bench, INT64_MAX, 10, &buckets), 2);
    size_t left = bench->factory->traits.drops_finished ? 0 : 1;
    assert_int_equal(read_page(bench, first, NULL, 10, &page), left);
    assert_int_equal(read_page(bench, (struct waiting_bucket){100, 1}, NULL, 10, &page), 1);
    assert_int_equal(read_page(bench, (struct waiting_bucket){200, 0}, NULL, 10, &page), 1);
}

// --- order lanes -----------------------------------------------------------------------------------

static void assert_lanes(struct store_bench *bench, int64_t fresh_after_us, size_t lanes,
                         int64_t watermark_us)
{
    size_t found = 99;
    int64_t found_us = -1;
    bench_check(bench, store_read_lane_status(bench->store, fresh_after_us, &found, &found_us,
                                              &bench->why));
    assert_int_equal(found, lanes);
    assert_int_equal(found_us, watermark_us);
}

static void write_lane(struct store_bench *bench, const char *lane, int64_t watermark_us,
                       int64_t now_us)
{
    bench_check(bench, store_write_lane_status(bench->store, text_of(lane), watermark_us, now_us,
                                               &bench->why));
}

static void slowest_fresh_lane_sets_the_watermark(void **state)
{
    struct store_bench *bench = *state;
    assert_lanes(bench, 0, 0, 0);
    write_lane(bench, "a", 50, 1000);
    write_lane(bench, "b", 40, 1010);
    write_lane(bench, "c", 10, 900);
    bench_reopen(bench);
    assert_lanes(bench, 899, 3, 10);
    assert_lanes(bench, 900, 2, 40); // written after, not at
    assert_lanes(bench, 1000, 1, 40);
    assert_lanes(bench, 1010, 0, 0);
    write_lane(bench, "b", 60, 1020);
    assert_lanes(bench, 950, 2, 50);
}

int store_suite_run_waiting(void)
{
    const struct CMUnitTest claims[] = {
        CLAIM(buckets_come_due_oldest_first),
        CLAIM(every_waiting_column_comes_back),
        CLAIM(bucket_is_read_in_pages),
        CLAIM(closing_a_bucket_is_seen_by_who_writes_into_it),
        CLAIM(finished_bucket_is_gone_and_its_neighbours_stay),
        CLAIM(slowest_fresh_lane_sets_the_watermark),
    };
    return cmocka_run_group_tests_name("waiting payments", claims, NULL, NULL);
}
