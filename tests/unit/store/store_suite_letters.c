// Claims about the records of dead letters.
#include "store_bench.h"
#include "store_suite_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

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
    bench_begin(bench);
    bench_check(bench, store_record_dead_letters(bench->store, records, count, &bench->why));
    bench_commit(bench);
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
    struct store_reader *reader = bench_reader(bench);
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
    bench_begin(bench);
    bench_check(bench,
                store_change_dead_letter(bench->store, &expected.id, DEAD_LETTER_WAITING, 7, 400,
                                         150, TEXT("till"), TEXT("no order"), &bench->why));
    bench_commit(bench);
    bench_reopen(bench);
    assert_int_equal(due_letters(bench, 400, 10, &due), 0);
    assert_int_equal(due_letters(bench, 401, 10, &due), 1);
    assert_int_equal(due[0].checks, 7);
    assert_int_equal(due[0].next_check_us, 400);
    bench_begin(bench);
    bench_check(bench,
                store_change_dead_letter(bench->store, &expected.id, DEAD_LETTER_EXPIRED, 8, 0, 500,
                                         TEXT("till"), TEXT("too old"), &bench->why));
    bench_commit(bench);
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
    struct store_reader *reader = bench_reader(bench);
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

int store_suite_run_letters(void)
{
    const struct CMUnitTest claims[] = {
        CLAIM(dead_letter_is_recorded_once),
        CLAIM(dead_letters_come_due_oldest_first),
        CLAIM(changed_dead_letter_is_due_at_its_new_time_or_never),
        CLAIM(dead_letters_are_found_by_reason_and_id),
        CLAIM(unmatched_letter_reads_as_healed_once_its_order_is_there),
    };
    return cmocka_run_group_tests_name("dead letters", claims, NULL, NULL);
}
