// Claims about waiting payments, order lanes, the ledger of messages and dead letters.
#include "money.h"
#include "rand.h"
#include "store_bench.h"
#include "store_suite_internal.h"
#include "test_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#include <stdlib.h>
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

static void begin(struct store_bench *bench)
{
    bench_check(bench, store_begin(bench->store, &bench->why));
}

static void commit(struct store_bench *bench)
{
    bench_check(bench, store_commit(bench->store, &bench->why));
}

static void insert_waiting(struct store_bench *bench, const struct waiting_payment *items,
                           size_t count)
{
    begin(bench);
    bench_check(bench, store_insert_waiting(bench->store, items, count, &bench->why));
    commit(bench);
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
    begin(bench);
    bench_check(bench,
                store_close_bucket(bench->store, (struct waiting_bucket){100, 0}, &bench->why));
    commit(bench);
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
    begin(bench);
    bench_check(bench, store_close_bucket(bench->store, first, &bench->why));
    bench_check(bench, store_finish_bucket(bench->store, first, &bench->why));
    commit(bench);
    bench_reopen(bench);
    struct waiting_bucket *buckets = NULL;
    struct waiting_payment *page = NULL;
    assert_int_equal(due(bench, INT64_MAX, 10, &buckets), 2);
    assert_int_equal(read_page(bench, first, NULL, 10, &page), 0);
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

// --- the ledger ------------------------------------------------------------------------------------

#define NUMBERS_MAX 400

static void assert_applied(struct store_bench *bench, const char *log_id, enum applied_topic topic,
                           const bool *expected)
{
    struct ranges ranges;
    ranges_init(&ranges, NUMBERS_MAX);
    bench_check(bench,
                store_load_applied(bench->store, text_of(log_id), topic, &ranges, &bench->why));
    for (uint64_t i = 0; i <= NUMBERS_MAX; i++) {
        assert_int_equal(ranges_contain(&ranges, i), expected != NULL && expected[i]);
    }
    ranges_deinit(&ranges);
}

static void add_applied(struct store_bench *bench, const char *log_id, enum applied_topic topic,
                        const struct range *ranges, size_t count)
{
    begin(bench);
    bench_check(
        bench, store_add_applied(bench->store, text_of(log_id), topic, ranges, count, &bench->why));
    commit(bench);
}

// Ranges are drawn short and long, overlapping, touching, contained, several a call.
static void applied_ranges_are_the_set_of_what_was_added(void **state)
{
    struct store_bench *bench = *state;
    static bool expected[NUMBERS_MAX + 1];
    struct rand rand;
    rand_seed(&rand, test_seed());
    memset(expected, 0, sizeof(expected));
    for (int round = 0; round < 150; round++) {
        struct range ranges[3];
        size_t count = 1 + rand_below(&rand, 3);
        for (size_t i = 0; i < count; i++) {
            uint64_t size =
                rand_below(&rand, 10) == 0 ? rand_below(&rand, 60) : rand_below(&rand, 4);
            uint64_t first = 1 + rand_below(&rand, NUMBERS_MAX - size - 1);
            ranges[i] = (struct range){first, first + size};
            for (uint64_t n = first; n <= first + size; n++) {
                expected[n] = true;
            }
        }
        add_applied(bench, "log", APPLIED_PAYMENTS, ranges, count);
        if (rand_below(&rand, 10) == 0) {
            bench_reopen(bench);
        }
        assert_applied(bench, "log", APPLIED_PAYMENTS, expected);
    }
    struct store_totals *totals = bench_totals(bench, TEXT("log"));
    uint64_t count = 0;
    for (size_t i = 0; i <= NUMBERS_MAX; i++) {
        count += expected[i];
    }
    assert_int_equal(totals->applied[APPLIED_PAYMENTS], count);
    free(totals);
}

static void logs_and_topics_are_applied_apart(void **state)
{
    struct store_bench *bench = *state;
    static bool low[NUMBERS_MAX + 1] = {[1] = true, [2] = true};
    static bool high[NUMBERS_MAX + 1] = {[2] = true, [3] = true};
    add_applied(bench, "log", APPLIED_ORDERS, &(struct range){1, 2}, 1);
    add_applied(bench, "log", APPLIED_PAYMENTS, &(struct range){2, 3}, 1);
    add_applied(bench, "older log", APPLIED_ORDERS, &(struct range){2, 3}, 1);
    bench_reopen(bench);
    assert_applied(bench, "log", APPLIED_ORDERS, low);
    assert_applied(bench, "log", APPLIED_PAYMENTS, high);
    assert_applied(bench, "older log", APPLIED_ORDERS, high);
    assert_applied(bench, "other log", APPLIED_ORDERS, NULL);
}

static void neighbouring_ranges_become_one(void **state)
{
    struct store_bench *bench = *state;
    add_applied(bench, "log", APPLIED_ORDERS, &(struct range){10, 20}, 1);
    add_applied(bench, "log", APPLIED_ORDERS, &(struct range){22, 30}, 1); // a gap of one
    struct ranges ranges;
    ranges_init(&ranges, NUMBERS_MAX);
    bench_check(
        bench, store_load_applied(bench->store, TEXT("log"), APPLIED_ORDERS, &ranges, &bench->why));
    assert_int_equal(ranges.count, 2);
    ranges_deinit(&ranges);
    add_applied(bench, "log", APPLIED_ORDERS, &(struct range){21, 21}, 1); // closed
    add_applied(bench, "log", APPLIED_ORDERS, &(struct range){31, INT64_MAX - 1}, 1);
    add_applied(bench, "log", APPLIED_ORDERS, &(struct range){1, 9}, 1);
    ranges_init(&ranges, 1);
    bench_check(
        bench, store_load_applied(bench->store, TEXT("log"), APPLIED_ORDERS, &ranges, &bench->why));
    assert_int_equal(ranges.count, 1);
    assert_int_equal(ranges.items[0].first, 1);
    assert_true(ranges.items[0].last == (uint64_t)INT64_MAX - 1);
    ranges_deinit(&ranges);
}

static void add_tally(struct store_bench *bench, const char *log_id, enum outcome outcome,
                      struct currency currency, __int128 amount_minor)
{
    struct tally tally = {APPLIED_PAYMENTS, outcome, currency, 2, amount_minor};
    begin(bench);
    bench_check(bench, store_add_tallies(bench->store, text_of(log_id), &tally, 1, &bench->why));
    commit(bench);
}

static void tallies_add_up_beyond_64_bits(void **state)
{
    struct store_bench *bench = *state;
    struct currency usd = currency_usd();
    const __int128 amount = (__int128)INT64_MAX - 7;
    for (int i = 0; i < 5; i++) {
        add_tally(bench, "log", OUTCOME_STORED, usd, amount);
        bench_reopen(bench);
    }
    add_tally(bench, "log", OUTCOME_STORED, CURRENCY_NONE, 0);
    add_tally(bench, "log", OUTCOME_CONFLICT, usd, 1);
    add_tally(bench, "older log", OUTCOME_STORED, usd, 100);
    struct store_totals *totals = bench_totals(bench, TEXT("log"));
    const struct store_count *stored = &totals->tally[APPLIED_PAYMENTS][OUTCOME_STORED];
    assert_int_equal(stored->rows, 12);
    assert_int_equal(stored->rows_without_money, 2);
    assert_int_equal(stored->money[usd.index].rows, 10);
    assert_true(stored->money[usd.index].minor == 5 * amount);
    const struct store_count *all = &totals->tally_all[APPLIED_PAYMENTS][OUTCOME_STORED];
    assert_int_equal(all->rows, 14);
    assert_true(all->money[usd.index].minor == 5 * amount + 100);
    const struct store_count *conflict = &totals->tally[APPLIED_PAYMENTS][OUTCOME_CONFLICT];
    assert_int_equal(conflict->rows, 2);
    assert_int_equal(totals->tally[APPLIED_ORDERS][OUTCOME_STORED].rows, 0);
    free(totals);
}

// Ten thousand orders of the largest total.
static void sums_of_rows_go_beyond_64_bits(void **state)
{
    struct store_bench *bench = *state;
    const int64_t count = 10000;
    for (int64_t i = 1; i <= count; i++) {
        struct order order = bench_order(i, 1);
        order.quantity = 1000;
        order.price_minor = MONEY_TOTAL_MINOR_MAX / order.quantity;
        bench_add_order(bench, &order);
        if (i % 1000 == 0) {
            bench_apply(bench);
        }
    }
    struct store_totals *totals = bench_totals(bench, TEXT(""));
    __int128 expected = (__int128)MONEY_TOTAL_MINOR_MAX * count;
    assert_true(expected > INT64_MAX);
    assert_true(totals->orders.money[currency_usd().index].minor == expected);
    assert_int_equal(totals->settled_count, 1);
    assert_true(totals->settled[0].total_minor == expected);
    free(totals);
}

// --- dead letters ----------------------------------------------------------------------------------

static struct dead_letter_record letter(unsigned char id, int64_t next_check_us)
{
    return (struct dead_letter_record){
        .id = {{id, 0, 0xff}},
        .reason = next_check_us > 0 ? REASON_E_UNMATCHED : REASON_E_JSON,
        .state = next_check_us > 0 ? DEAD_LETTER_WAITING : DEAD_LETTER_NEW,
        .detail = TEXT("why"),
        .body = TEXT("{\"a\": 1}"),
        .source_topic = TEXT("payments_data"),
        .source_message_id = TEXT("log-17"),
        .first_seen_us = 1000 + id,
        .recorded_us = 2000,
        .order_id = 9,
        .payment_id = 91,
        .event_id = TEXT("Completed"),
        .attempts = 2,
        .replay_count = 1,
        .next_check_us = next_check_us,
        .redacted = true,
        .rebuilt = true,
    };
}

static void record(struct store_bench *bench, const struct dead_letter_record *records,
                   size_t count)
{
    begin(bench);
    bench_check(bench, store_record_dead_letters(bench->store, records, count, &bench->why));
    commit(bench);
}

struct letters_seen {
    struct dead_letter_record expected;
    size_t count;
};

static bool compare_letter(const struct dead_letter_record *row, void *context)
{
    struct letters_seen *seen = context;
    const struct dead_letter_record *expected = &seen->expected;
    seen->count++;
    assert_true(hash_equal(&row->id, &expected->id));
    assert_int_equal(row->reason, expected->reason);
    assert_int_equal(row->state, expected->state);
    assert_true(text_equal(row->detail, expected->detail));
    assert_true(text_equal(row->body, expected->body));
    assert_true(text_equal(row->source_topic, expected->source_topic));
    assert_true(text_equal(row->source_message_id, expected->source_message_id));
    assert_int_equal(row->first_seen_us, expected->first_seen_us);
    assert_int_equal(row->recorded_us, expected->recorded_us);
    assert_int_equal(row->order_id, expected->order_id);
    assert_int_equal(row->payment_id, expected->payment_id);
    assert_true(text_equal(row->event_id, expected->event_id));
    assert_int_equal(row->attempts, expected->attempts);
    assert_int_equal(row->replay_count, expected->replay_count);
    assert_int_equal(row->checks, expected->checks);
    assert_int_equal(row->next_check_us, expected->next_check_us);
    assert_int_equal(row->redacted, expected->redacted);
    assert_int_equal(row->rebuilt, expected->rebuilt);
    return true;
}

static void assert_only_letter(struct store_bench *bench, const struct dead_letter_record *expected)
{
    struct letters_seen seen = {*expected, 0};
    struct dead_letter_filter filter = {0};
    struct store_reader *reader = bench->factory->reader(bench->world);
    bench_check(bench,
                store_reader_dead_letters(reader, &filter, compare_letter, &seen, &bench->why));
    store_reader_close(&reader);
    assert_int_equal(seen.count, 1);
}

static void dead_letter_is_recorded_once(void **state)
{
    struct store_bench *bench = *state;
    struct dead_letter_record records[] = {letter(1, 5000), letter(1, 5000)};
    records[1].body = TEXT("another body of the same letter");
    records[1].next_check_us = 9000;
    record(bench, records, 2);
    bench_reopen(bench);
    record(bench, &records[1], 1);
    assert_only_letter(bench, &records[0]);
}

static size_t due_letters(struct store_bench *bench, int64_t before_us, size_t count_max,
                          struct dead_letter_record **out_records)
{
    size_t count = 0;
    arena_reset(&bench->arena);
    bench_check(bench, store_due_dead_letters(bench->store, before_us, count_max, &bench->arena,
                                              out_records, &count, &bench->why));
    return count;
}

static void dead_letters_come_due_oldest_first(void **state)
{
    struct store_bench *bench = *state;
    const struct dead_letter_record records[] = {letter(1, 300), letter(2, 100), letter(3, 0),
                                                 letter(4, 200)};
    record(bench, records, 4);
    bench_reopen(bench);
    struct dead_letter_record *due = NULL;
    assert_int_equal(due_letters(bench, 100, 10, &due), 0);
    assert_int_equal(due_letters(bench, 101, 10, &due), 1);
    assert_int_equal(due_letters(bench, INT64_MAX, 2, &due), 2);
    assert_int_equal(due_letters(bench, INT64_MAX, 10, &due), 3);
    static const unsigned char order[] = {2, 4, 1};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(due[i].id.bytes[0], order[i]);
        assert_int_equal(due[i].order_id, 9);
        assert_int_equal(due[i].payment_id, 91);
        assert_true(text_equal(due[i].event_id, TEXT("Completed")));
        assert_int_equal(due[i].first_seen_us, 1000 + order[i]);
        assert_int_equal(due[i].checks, 0);
    }
}

static void changed_dead_letter_is_due_at_its_new_time_or_never(void **state)
{
    struct store_bench *bench = *state;
    struct dead_letter_record expected = letter(1, 100);
    struct dead_letter_record *due = NULL;
    record(bench, &expected, 1);
    begin(bench);
    bench_check(bench,
                store_change_dead_letter(bench->store, &expected.id, DEAD_LETTER_WAITING, 7, 400,
                                         150, TEXT("till"), TEXT("no order"), &bench->why));
    commit(bench);
    bench_reopen(bench);
    assert_int_equal(due_letters(bench, 400, 10, &due), 0);
    assert_int_equal(due_letters(bench, 401, 10, &due), 1);
    assert_int_equal(due[0].checks, 7);
    assert_int_equal(due[0].next_check_us, 400);
    begin(bench);
    bench_check(bench,
                store_change_dead_letter(bench->store, &expected.id, DEAD_LETTER_EXPIRED, 8, 0, 500,
                                         TEXT("till"), TEXT("too old"), &bench->why));
    commit(bench);
    assert_int_equal(due_letters(bench, INT64_MAX, 10, &due), 0);
    expected.state = DEAD_LETTER_EXPIRED;
    expected.checks = 8;
    expected.next_check_us = 0;
    assert_only_letter(bench, &expected);
}

static bool count_letter(const struct dead_letter_record *row, void *context)
{
    (void)row;
    ++*(size_t *)context;
    return true;
}

static bool count_one_letter(const struct dead_letter_record *row, void *context)
{
    (void)count_letter(row, context);
    return false;
}

static size_t count_letters(struct store_bench *bench, const struct dead_letter_filter *filter,
                            dead_letter_row_fn *each)
{
    size_t count = 0;
    struct store_reader *reader = bench->factory->reader(bench->world);
    bench_check(bench, store_reader_dead_letters(reader, filter, each, &count, &bench->why));
    store_reader_close(&reader);
    return count;
}

static void dead_letters_are_found_by_reason_and_id(void **state)
{
    struct store_bench *bench = *state;
    const struct dead_letter_record records[] = {letter(0x1a, 300), letter(0x1b, 0),
                                                 letter(0x2a, 0)};
    record(bench, records, 3);
    struct dead_letter_filter filter = {0};
    assert_int_equal(count_letters(bench, &filter, count_letter), 3);
    assert_int_equal(count_letters(bench, &filter, count_one_letter), 1);
    filter.row_max = 2;
    assert_int_equal(count_letters(bench, &filter, count_letter), 2);
    filter = (struct dead_letter_filter){.reason = REASON_E_JSON};
    assert_int_equal(count_letters(bench, &filter, count_letter), 2);
    filter = (struct dead_letter_filter){.id_prefix = TEXT("1")};
    assert_int_equal(count_letters(bench, &filter, count_letter), 2);
    filter.id_prefix = TEXT("1b00ff");
    assert_int_equal(count_letters(bench, &filter, count_letter), 1);
    filter.id_prefix = TEXT("1c");
    assert_int_equal(count_letters(bench, &filter, count_letter), 0);
    filter.id_prefix = TEXT("%");
    assert_int_equal(count_letters(bench, &filter, count_letter), 0);
}

static void unmatched_letter_reads_as_healed_once_its_order_is_there(void **state)
{
    struct store_bench *bench = *state;
    struct dead_letter_record expected = letter(1, 300);
    record(bench, &expected, 1);
    assert_only_letter(bench, &expected);
    struct order order = bench_order(expected.order_id, 1);
    bench_add_order(bench, &order);
    bench_apply(bench);
    expected.state = DEAD_LETTER_HEALED;
    assert_only_letter(bench, &expected);
}

// --- messages that stop the process ----------------------------------------------------------------

static uint32_t add_start(struct store_bench *bench, const char *lane)
{
    uint32_t starts = 0;
    bench_check(bench, store_add_start(bench->store, text_of(lane), &starts, &bench->why));
    return starts;
}

static void starts_are_counted_until_they_are_cleared(void **state)
{
    struct store_bench *bench = *state;
    assert_int_equal(add_start(bench, "a"), 1);
    bench_reopen(bench);
    assert_int_equal(add_start(bench, "a"), 2);
    assert_int_equal(add_start(bench, "b"), 1);
    bench_check(bench, store_clear_starts(bench->store, TEXT("a"), &bench->why));
    bench_reopen(bench);
    assert_int_equal(add_start(bench, "a"), 1);
    assert_int_equal(add_start(bench, "b"), 2);
}

static uint32_t add_suspect(struct store_bench *bench, const char *topic, const char *message_id)
{
    uint32_t starts = 0;
    bench_check(bench, store_add_suspect(bench->store, text_of(topic), text_of(message_id), &starts,
                                         &bench->why));
    return starts;
}

static void suspects_are_counted_by_topic_and_message(void **state)
{
    struct store_bench *bench = *state;
    assert_int_equal(add_suspect(bench, "orders_data", "1"), 1);
    bench_reopen(bench);
    assert_int_equal(add_suspect(bench, "orders_data", "1"), 2);
    assert_int_equal(add_suspect(bench, "orders_data", "2"), 1);
    assert_int_equal(add_suspect(bench, "payments_data", "1"), 1);
    bench_check(bench,
                store_remove_suspect(bench->store, TEXT("orders_data"), TEXT("1"), &bench->why));
    bench_reopen(bench);
    assert_int_equal(add_suspect(bench, "orders_data", "1"), 1);
    assert_int_equal(add_suspect(bench, "payments_data", "1"), 2);
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, store_suite_setup, store_suite_teardown)

int store_suite_run_rest(void)
{
    const struct CMUnitTest claims[] = {
        CLAIM(buckets_come_due_oldest_first),
        CLAIM(every_waiting_column_comes_back),
        CLAIM(bucket_is_read_in_pages),
        CLAIM(closing_a_bucket_is_seen_by_who_writes_into_it),
        CLAIM(finished_bucket_is_gone_and_its_neighbours_stay),
        CLAIM(slowest_fresh_lane_sets_the_watermark),
        CLAIM(applied_ranges_are_the_set_of_what_was_added),
        CLAIM(logs_and_topics_are_applied_apart),
        CLAIM(neighbouring_ranges_become_one),
        CLAIM(tallies_add_up_beyond_64_bits),
        CLAIM(sums_of_rows_go_beyond_64_bits),
        CLAIM(dead_letter_is_recorded_once),
        CLAIM(dead_letters_come_due_oldest_first),
        CLAIM(changed_dead_letter_is_due_at_its_new_time_or_never),
        CLAIM(dead_letters_are_found_by_reason_and_id),
        CLAIM(unmatched_letter_reads_as_healed_once_its_order_is_there),
        CLAIM(starts_are_counted_until_they_are_cleared),
        CLAIM(suspects_are_counted_by_topic_and_message),
    };
    return cmocka_run_group_tests_name("waiting, ledger and dead letters", claims, NULL, NULL);
}
