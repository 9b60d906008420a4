// Claims about events: every column comes back, and what a partition is a set of.
#include "money.h"
#include "store_bench.h"
#include "store_suite_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- columns ---------------------------------------------------------------------------------------

static void assert_text(struct text text, struct text expected)
{
    assert_true(text_equal(text, expected));
}

static void assert_same_order(const struct event *row, const struct event *expected)
{
    assert_non_null(row);
    assert_int_equal(row->kind, EVENT_ORDER);
    assert_int_equal(row->order_id, expected->order_id);
    assert_int_equal(row->entity_id, expected->entity_id);
    assert_int_equal(row->version_rank, expected->version_rank);
    assert_true(hash_equal(&row->hash, &expected->hash));
    assert_int_equal(row->published_us, expected->published_us);
    assert_int_equal(row->order.order_id, expected->order.order_id);
    assert_int_equal(row->order.customer_id, expected->order.customer_id);
    assert_text(row->order.item, expected->order.item);
    assert_int_equal(row->order.quantity, expected->order.quantity);
    assert_int_equal(row->order.price_minor, expected->order.price_minor);
    assert_text(row->order.shipping_address, expected->order.shipping_address);
    assert_int_equal(row->order.status, expected->order.status);
    assert_text(row->order.creation_date, expected->order.creation_date);
    assert_true(currency_equal(row->order.currency, expected->order.currency));
    assert_int_equal(row->order.currency_given, expected->order.currency_given);
    assert_int_equal(row->order.version_given, expected->order.version_given);
    assert_int_equal(row->order.version, expected->order.version);
}

static void assert_same_payment(const struct event *row, const struct event *expected)
{
    assert_non_null(row);
    assert_int_equal(row->kind, EVENT_PAYMENT);
    assert_int_equal(row->order_id, expected->order_id);
    assert_int_equal(row->entity_id, expected->entity_id);
    assert_text(row->event_id, expected->event_id);
    assert_true(hash_equal(&row->hash, &expected->hash));
    assert_int_equal(row->published_us, expected->published_us);
    assert_int_equal(row->payment.payment_id, expected->payment.payment_id);
    assert_int_equal(row->payment.order_id, expected->payment.order_id);
    assert_text(row->payment.method, expected->payment.method);
    assert_text(row->payment.card_last_four, expected->payment.card_last_four);
    assert_int_equal(row->payment.status, expected->payment.status);
    assert_text(row->payment.datetime, expected->payment.datetime);
    assert_int_equal(row->payment.amount_given, expected->payment.amount_given);
    assert_int_equal(row->payment.amount_minor, expected->payment.amount_minor);
    assert_int_equal(row->payment.currency_given, expected->payment.currency_given);
    assert_true(currency_equal(row->payment.currency, expected->payment.currency));
    assert_text(row->payment.event_id, expected->payment.event_id);
}

static struct currency currency_of(const char *code)
{
    struct currency currency = CURRENCY_NONE;
    assert_true(currency_find(text_of(code), &currency));
    return currency;
}

// A text of `size` bytes that holds what a store might stumble over.
static struct text long_text(char *memory, size_t size)
{
    static const char start[] = "'; DROP \"x\" \\ %s \xc3\xa4\xe2\x82\xac ";
    memset(memory, 'z', size);
    memcpy(memory, start, size < sizeof(start) - 1 ? size : sizeof(start) - 1);
    return (struct text){memory, size};
}

static size_t fill_order_cases(struct order cases[8])
{
    static char item[ORDER_ITEM_SIZE_MAX];
    static char address[ORDER_SHIPPING_ADDRESS_SIZE_MAX];
    static char date[ORDER_CREATION_DATE_SIZE_MAX];
    size_t count = 0;
    cases[count++] = bench_order(1, 1);
    cases[count++] = (struct order){.order_id = INT64_MAX,
                                    .customer_id = INT64_MAX,
                                    .item = long_text(item, sizeof(item)),
                                    .quantity = ORDER_QUANTITY_MAX,
                                    .price_minor = MONEY_TOTAL_MINOR_MAX / ORDER_QUANTITY_MAX,
                                    .shipping_address = long_text(address, sizeof(address)),
                                    .status = ORDER_STATUS_RETURNED,
                                    .creation_date = long_text(date, sizeof(date)),
                                    .currency = currency_of("KWD"),
                                    .currency_given = true,
                                    .version_given = true,
                                    .version = ORDER_VERSION_MAX};
    cases[count] = bench_order(3, 0); // no version, no address, free, another currency
    cases[count].shipping_address = TEXT("");
    cases[count].price_minor = 0;
    cases[count].status = ORDER_STATUS_CANCELLED;
    cases[count++].currency = currency_of("JPY");
    return count;
}

static void every_order_column_comes_back(void **state)
{
    struct store_bench *bench = *state;
    struct order cases[8];
    size_t count = fill_order_cases(cases);
    struct event expected[8];
    for (size_t i = 0; i < count; i++) {
        bench_add_order(bench, &cases[i]);
        expected[i] = bench->incoming[i].event;
    }
    bench_apply(bench);
    bench_reopen(bench);
    for (size_t i = 0; i < count; i++) {
        struct store_group group = bench_read(bench, cases[i].order_id);
        assert_int_equal(group.row_count, 1);
        assert_same_order(group.rows[0], &expected[i]);
    }
}

static size_t fill_payment_cases(struct payment cases[PAYMENT_STATUS_COUNT + 4])
{
    static char method[PAYMENT_METHOD_SIZE_MAX];
    static char datetime[PAYMENT_DATETIME_SIZE_MAX];
    static char event_id[PAYMENT_EVENT_ID_SIZE_MAX];
    size_t count = 0;
    for (; count < PAYMENT_STATUS_COUNT; count++) {
        cases[count] = bench_payment(1, 10);
        cases[count].status = (enum payment_status)count;
    }
    cases[count++] = (struct payment){.payment_id = INT64_MAX,
                                      .order_id = 1,
                                      .method = long_text(method, sizeof(method)),
                                      .card_last_four = TEXT(""),
                                      .status = PAYMENT_STATUS_REFUNDED,
                                      .datetime = long_text(datetime, sizeof(datetime)),
                                      .amount_given = true,
                                      .amount_minor = MONEY_PRICE_MINOR_MAX,
                                      .currency_given = true,
                                      .currency = currency_of("BHD"),
                                      .event_id = long_text(event_id, sizeof(event_id))};
    cases[count] = bench_payment(1, 11); // neither amount nor currency
    cases[count].amount_given = false;
    cases[count].amount_minor = 0;
    cases[count++].currency = CURRENCY_NONE;
    cases[count] = bench_payment(1, 12); // a currency, but no amount
    cases[count].amount_given = false;
    cases[count].amount_minor = 0;
    cases[count].currency_given = true;
    cases[count++].currency = currency_of("EUR");
    return count;
}

static const struct event *find_same(const struct store_group *group, const struct event *event)
{
    for (size_t i = 0; i < group->row_count; i++) {
        if (event_compare(group->rows[i], event) == 0) {
            return group->rows[i];
        }
    }
    return NULL;
}

static void every_payment_column_comes_back(void **state)
{
    struct store_bench *bench = *state;
    struct payment cases[PAYMENT_STATUS_COUNT + 4];
    struct event expected[PAYMENT_STATUS_COUNT + 4];
    size_t count = fill_payment_cases(cases);
    for (int with_order = 0; with_order < 2; with_order++) {
        for (size_t i = 0; i < count; i++) {
            cases[i].order_id = 1 + with_order;
            bench_add_payment(bench, &cases[i]);
            expected[i] = bench->incoming[i].event;
        }
        if (with_order) {
            struct order order = bench_order(2, 1);
            bench_add_order(bench, &order);
        }
        bench_apply(bench);
        bench_reopen(bench);
        struct store_group group = bench_read(bench, 1 + with_order);
        assert_int_equal(group.row_count, count + (size_t)with_order);
        for (size_t i = 0; i < count; i++) {
            assert_same_payment(find_same(&group, &expected[i]), &expected[i]);
        }
    }
}

static void notes_come_back(void **state)
{
    struct store_bench *bench = *state;
    char about[EVENT_NOTE_ABOUT_SIZE_MAX];
    char detail[EVENT_NOTE_DETAIL_SIZE_MAX];
    const struct note notes[] = {
        {NOTE_PARKED, TEXT("Completed"), TEXT("")},
        {NOTE_DEAD, long_text(about, sizeof(about)), long_text(detail, sizeof(detail))},
        {NOTE_DISCARDED, TEXT("Completed"), TEXT("somebody")},
    };
    char ids[3][EVENT_NOTE_ID_SIZE];
    struct payment payment = bench_payment(1, 11);
    bench_add_payment(bench, &payment);
    struct event expected[3];
    for (size_t i = 0; i < 3; i++) {
        bench_add_note(bench, 1, 11, &notes[i], ids[i]);
        expected[i] = bench->incoming[i + 1].event;
    }
    bench_apply(bench);
    bench_reopen(bench);
    struct store_group group = bench_read(bench, 1);
    assert_int_equal(bench_count_kind(&group, EVENT_NOTE), 3);
    for (size_t i = 0; i < 3; i++) {
        const struct event *row = find_same(&group, &expected[i]);
        assert_non_null(row);
        assert_int_equal(row->note.kind, notes[i].kind);
        assert_text(row->note.about, notes[i].about);
        assert_text(row->note.detail, notes[i].detail);
        assert_int_equal(row->published_us, expected[i].published_us);
    }
}

// --- sets of events --------------------------------------------------------------------------------

static void repetition_is_known_and_news_are_new(void **state)
{
    struct store_bench *bench = *state;
    if (!bench->factory->traits.looks) {
        skip();
    }
    struct order order = bench_order(1, 1);
    struct payment payment = bench_payment(1, 11);
    bench_add_order(bench, &order);
    bench_add_order(bench, &order);
    bench_add_payment(bench, &payment);
    bench_apply(bench);
    assert_int_equal(bench->incoming[0].outcome, INSERT_NEW);
    assert_int_equal(bench->incoming[1].outcome, INSERT_KNOWN); // in the same batch
    assert_int_equal(bench->incoming[2].outcome, INSERT_NEW);
    int64_t first_us = bench->incoming[0].event.published_us;
    bench_reopen(bench);
    bench_add_order(bench, &order);
    bench_add_payment(bench, &payment);
    payment.payment_id = 12;
    bench_add_payment(bench, &payment);
    bench_apply(bench);
    assert_int_equal(bench->incoming[0].outcome, INSERT_KNOWN);
    assert_int_equal(bench->incoming[1].outcome, INSERT_KNOWN);
    assert_int_equal(bench->incoming[2].outcome, INSERT_NEW);
    struct store_group group = bench_read(bench, 1);
    assert_int_equal(group.row_count, 3);
    assert_int_equal(bench_find_version(&group, 1)->published_us, first_us);
}

static void every_version_stays_and_the_highest_wins(void **state)
{
    struct store_bench *bench = *state;
    static const int64_t versions[] = {2, 5, 1, 5, 3, 9, 9};
    static const int64_t winners[] = {2, 5, 5, 5, 5, 9, 9};
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        struct order order = bench_order(1, versions[i]);
        order.price_minor = 100 * versions[i];
        bench_add_order(bench, &order);
        bench_apply(bench);
        struct store_group group = bench_read(bench, 1);
        assert_int_equal(group.fact.order->order.version, winners[i]);
    }
    bench_reopen(bench);
    struct store_group group = bench_read(bench, 1);
    assert_int_equal(group.row_count, 5);
    assert_int_equal(bench_find_version(&group, 3)->order.price_minor, 300);
}

// Two contents of one identity are two rows, whichever comes first.
static void both_sides_of_a_conflict_stay(void **state)
{
    struct store_bench *bench = *state;
    for (int64_t order_id = 1; order_id <= 2; order_id++) {
        for (int64_t turn = 0; turn < 2; turn++) {
            int64_t content = order_id == 1 ? turn : 1 - turn;
            struct order order = bench_order(order_id, 1);
            struct payment payment = bench_payment(order_id, 11);
            order.price_minor += content;
            payment.amount_minor += content;
            bench_add_order(bench, &order);
            bench_add_payment(bench, &payment);
            bench_apply(bench);
        }
    }
    bench_reopen(bench);
    for (int64_t order_id = 1; order_id <= 2; order_id++) {
        struct store_group group = bench_read(bench, order_id);
        assert_int_equal(group.row_count, 4);
        assert_int_equal(group.fact.loser_count, 2);
    }
    struct store_totals *totals = bench_totals(bench, TEXT(""));
    assert_int_equal(totals->orders.rows, 4);
    assert_int_equal(totals->orders_conflict.rows, 2);
    assert_int_equal(totals->matched.rows, 2);
    assert_int_equal(totals->payments_conflict.rows, 2);
    free(totals);
}

static void later_events_of_a_payment_stand_beside_the_first(void **state)
{
    struct store_bench *bench = *state;
    static const enum payment_status statuses[] = {PAYMENT_STATUS_COMPLETED, PAYMENT_STATUS_FAILED,
                                                   PAYMENT_STATUS_REFUNDED, PAYMENT_STATUS_PENDING};
    struct order order = bench_order(1, 1);
    bench_add_order(bench, &order);
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        struct payment payment = bench_payment(1, 11);
        payment.status = statuses[i];
        payment.amount_minor = 400;
        bench_add_payment(bench, &payment);
        bench_apply(bench);
    }
    bench_reopen(bench);
    struct store_group group = bench_read(bench, 1);
    assert_int_equal(group.row_count, 5);
    assert_int_equal(group.fact.payments[0].shown->payment.status, PAYMENT_STATUS_REFUNDED);
    assert_int_equal(group.fact.amount_paid_minor, 400);
    assert_int_equal(group.fact.amount_refunded_minor, 400);
}

static void partitions_of_many_orders_do_not_mix(void **state)
{
    struct store_bench *bench = *state;
    for (int64_t order_id = 1; order_id <= 300; order_id++) {
        struct order order = bench_order(order_id, 1);
        order.customer_id = 1000 + order_id;
        bench_add_order(bench, &order);
        for (int64_t i = 0; i < order_id % 4; i++) {
            struct payment payment = bench_payment(order_id, 11 + i); // the ids repeat
            bench_add_payment(bench, &payment);
        }
    }
    bench_apply(bench);
    bench_reopen(bench);
    for (int64_t order_id = 1; order_id <= 300; order_id++) {
        struct store_group group = bench_read(bench, order_id);
        assert_int_equal(group.row_count, 1 + order_id % 4);
        assert_int_equal(group.fact.order->order.customer_id, 1000 + order_id);
    }
    assert_int_equal(bench_read(bench, 301).row_count, 0);
}

static void full_partition_comes_back_whole(void **state)
{
    struct store_bench *bench = *state;
    static char event_ids[FOLD_EVENTS_OF_KIND_MAX][8];
    for (int64_t i = 0; i < FOLD_EVENTS_OF_KIND_MAX; i++) {
        struct order order = bench_order(1, i + 1);
        struct payment payment = bench_payment(1, i % 10 + 1);
        (void)snprintf(event_ids[i], sizeof(event_ids[i]), "e%lld", (long long)i);
        payment.event_id = text_of(event_ids[i]);
        bench_add_order(bench, &order);
        bench_add_payment(bench, &payment);
    }
    bench_apply(bench);
    bench_reopen(bench);
    struct store_group group = bench_read(bench, 1);
    assert_int_equal(bench_count_kind(&group, EVENT_ORDER), FOLD_EVENTS_OF_KIND_MAX);
    assert_int_equal(bench_count_kind(&group, EVENT_PAYMENT), FOLD_EVENTS_OF_KIND_MAX);
    assert_int_equal(group.fact.amount_paid_minor, 1000 * FOLD_EVENTS_OF_KIND_MAX);
}

int store_suite_run_events(void)
{
    const struct CMUnitTest claims[] = {
        CLAIM(every_order_column_comes_back),
        CLAIM(every_payment_column_comes_back),
        CLAIM(notes_come_back),
        CLAIM(repetition_is_known_and_news_are_new),
        CLAIM(every_version_stays_and_the_highest_wins),
        CLAIM(both_sides_of_a_conflict_stay),
        CLAIM(later_events_of_a_payment_stand_beside_the_first),
        CLAIM(partitions_of_many_orders_do_not_mix),
        CLAIM(full_partition_comes_back_whole),
    };
    return cmocka_run_group_tests_name("events", claims, NULL, NULL);
}
