// Identity, order and conflict of rows; version ranks; the tables of names.
#include "event.h"

#include "aborts.h"
#include "event_sets.h"
#include "money.h"
#include "reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static struct event make(struct step step)
{
    // Tests hold a few notes at a time; their ids must outlive this call.
    static char note_ids[64][EVENT_NOTE_ID_SIZE];
    static size_t next;
    struct event event;
    event_of_step(&step, note_ids[next++ % 64], &event);
    return event;
}

#define ORDER(...) make((struct step){.kind = EVENT_ORDER, __VA_ARGS__})
#define PAYMENT(id, status, ...)                                                                   \
    make((struct step){.kind = EVENT_PAYMENT,                                                      \
                       .payment_id = (id),                                                         \
                       .payment_status = PAYMENT_STATUS_##status,                                  \
                       __VA_ARGS__})
#define NOTE(id, kind_name, ...)                                                                   \
    make((struct step){                                                                            \
        .kind = EVENT_NOTE, .payment_id = (id), .note_kind = NOTE_##kind_name, __VA_ARGS__})

static void event_takes_over_what_names_its_row(void **state)
{
    (void)state;
    struct event order = ORDER(.version = 7, .later_us = 5);
    assert_int_equal(order.order_id, SET_ORDER_ID);
    assert_int_equal(order.entity_id, SET_ORDER_ID);
    assert_int_equal(order.event_id.size, 0);
    assert_int_equal(order.published_us, SET_PUBLISHED_US + 5);
    assert_int_equal(order.place, 0);
    struct event payment = PAYMENT(9, REFUNDED);
    assert_int_equal(payment.order_id, SET_ORDER_ID);
    assert_int_equal(payment.entity_id, 9);
    assert_int_equal(payment.version_rank, 0);
    assert_true(text_equal(payment.event_id, TEXT("Refunded")));
    payment = PAYMENT(9, REFUNDED, .event_id = "r-1");
    assert_true(text_equal(payment.event_id, TEXT("r-1")));
}

static void note_is_named_by_its_kind_and_what_it_is_about(void **state)
{
    (void)state;
    struct event note = NOTE(9, DISCARDED, .event_id = "r-1", .content = "by hand");
    assert_int_equal(note.kind, EVENT_NOTE);
    assert_int_equal(note.entity_id, 9);
    assert_true(text_equal(note.event_id, TEXT("DISCARDED:r-1")));
    assert_true(text_equal(note.note.detail, TEXT("by hand")));
    assert_int_equal(note.published_us, 0);
}

struct note_sizes {
    size_t about_size;
    size_t detail_size;
};

static void make_note(void *context)
{
    static const char bytes[EVENT_NOTE_DETAIL_SIZE_MAX + 1];
    const struct note_sizes *sizes = context;
    char id[EVENT_NOTE_ID_SIZE];
    struct note note = {NOTE_DISCARDED, {bytes, sizes->about_size}, {bytes, sizes->detail_size}};
    struct event event;
    event_of_note(1, 2, &note, id, &event);
    assert_int_equal(event.event_id.size, strlen("DISCARDED:") + sizes->about_size);
}

static void greatest_note_fits_and_one_byte_more_is_refused(void **state)
{
    (void)state;
    struct note_sizes sizes = {EVENT_NOTE_ABOUT_SIZE_MAX, EVENT_NOTE_DETAIL_SIZE_MAX};
    make_note(&sizes);
    sizes.about_size++;
    assert_true(aborts(make_note, &sizes));
    sizes = (struct note_sizes){0, EVENT_NOTE_DETAIL_SIZE_MAX + 1};
    assert_true(aborts(make_note, &sizes));
}

static void rows_sort_by_kind_entity_identity_and_hash(void **state)
{
    (void)state;
    const struct event sorted[] = {
        ORDER(.later_us = 1, .order_status = ORDER_STATUS_CANCELLED),
        ORDER(.later_us = 2),
        ORDER(.later_us = 2, .order_status = ORDER_STATUS_SHIPPED),
        ORDER(.version = 1),
        ORDER(.version = 2),
        PAYMENT(1, REFUNDED, .event_id = "a"),
        PAYMENT(1, PENDING, .event_id = "ab"),
        PAYMENT(1, FAILED, .event_id = "b"),
        PAYMENT(2, FAILED, .event_id = "a"),
        NOTE(1, DEAD),
        NOTE(1, PARKED),
        NOTE(2, DEAD),
    };
    size_t count = sizeof(sorted) / sizeof(sorted[0]);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            int by = event_compare(&sorted[i], &sorted[j]);
            assert_int_equal((by > 0) - (by < 0), (i > j) - (i < j));
        }
    }
}

static void rows_of_one_identity_sort_by_hash(void **state)
{
    (void)state;
    const struct event twins[] = {
        PAYMENT(1, PENDING, .content = "A"),
        PAYMENT(1, PENDING, .content = "B"),
        ORDER(.version = 1),
        ORDER(.version = 1, .order_status = ORDER_STATUS_RETURNED),
        ORDER(),
        ORDER(.content = "Phone"),
    };
    for (size_t i = 0; i < sizeof(twins) / sizeof(twins[0]); i += 2) {
        int by_hash = hash_compare(&twins[i].hash, &twins[i + 1].hash);
        int by = event_compare(&twins[i], &twins[i + 1]);
        assert_true(by_hash != 0);
        assert_int_equal(by > 0, by_hash > 0);
        assert_true(event_same_identity(&twins[i], &twins[i + 1]));
    }
}

static void publish_time_is_no_part_of_a_payments_row(void **state)
{
    (void)state;
    struct event first = PAYMENT(1, COMPLETED);
    struct event again = PAYMENT(1, COMPLETED, .later_us = 1000);
    assert_int_equal(event_compare(&first, &again), 0);
    assert_true(event_same_identity(&first, &again));
    assert_false(event_conflicts(&first, &again));
}

static void each_part_of_the_identity_tells_rows_apart(void **state)
{
    (void)state;
    struct event row = PAYMENT(1, COMPLETED, .event_id = "a");
    struct event others[] = {
        PAYMENT(2, COMPLETED, .event_id = "a"),
        PAYMENT(1, COMPLETED, .event_id = "b"),
        PAYMENT(1, COMPLETED),
        PAYMENT(1, COMPLETED, .event_id = "a"),
    };
    others[3].order_id++;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_false(event_same_identity(&row, &others[i]));
        assert_false(event_conflicts(&row, &others[i]));
    }
    struct event version = ORDER(.version = 1);
    struct event other_version = ORDER(.version = 2);
    assert_false(event_same_identity(&version, &other_version));
    assert_false(event_same_identity(&version, &row));
}

static void payments_and_explicit_versions_conflict(void **state)
{
    (void)state;
    struct event a = PAYMENT(1, COMPLETED);
    struct event b = PAYMENT(1, COMPLETED, .amount_minor = 5);
    assert_true(event_conflicts(&a, &b) && event_conflicts(&b, &a));
    a = ORDER(.version = 4);
    b = ORDER(.version = 4, .content = "Phone");
    assert_true(event_conflicts(&a, &b) && event_conflicts(&b, &a));
}

static void implicit_versions_and_notes_never_conflict(void **state)
{
    (void)state;
    struct event a = ORDER();
    struct event b = ORDER(.content = "Phone");
    assert_true(event_same_identity(&a, &b));
    assert_false(event_conflicts(&a, &b));
    a = NOTE(1, DEAD, .content = "m-1");
    b = NOTE(1, DEAD, .content = "m-2");
    assert_true(event_same_identity(&a, &b));
    assert_int_not_equal(event_compare(&a, &b), 0);
    assert_false(event_conflicts(&a, &b));
}

static int64_t rank_of(int64_t version, int64_t published_us)
{
    struct order order = {.version_given = version != 0, .version = version};
    return order_version_rank(&order, published_us);
}

static void every_explicit_version_is_above_every_implicit_one(void **state)
{
    (void)state;
    assert_true(rank_of(1, 0) > rank_of(0, INT64_MAX));
    assert_true(rank_of(2, 0) > rank_of(1, INT64_MAX));
    assert_true(rank_of(0, 2) > rank_of(0, 1));
    assert_int_equal(rank_of(5, 1), rank_of(5, 2));
    assert_true(order_version_rank_is_explicit(rank_of(1, 0)));
    assert_false(order_version_rank_is_explicit(rank_of(0, INT64_MAX)));
}

static void ranks_give_back_what_they_were_made_of(void **state)
{
    (void)state;
    assert_int_equal(order_version_rank_value(rank_of(1, 77)), 1);
    assert_int_equal(order_version_rank_value(rank_of(ORDER_VERSION_MAX, 77)), ORDER_VERSION_MAX);
    assert_int_equal(order_version_rank_value(rank_of(0, SET_PUBLISHED_US)), SET_PUBLISHED_US);
}

static void ranks_are_above_zero_whatever_the_brokers_clock_says(void **state)
{
    (void)state;
    assert_int_equal(rank_of(0, INT64_MIN), 1);
    assert_int_equal(rank_of(0, 0), 1);
    assert_int_equal(rank_of(0, 1), 1);
    assert_int_equal(rank_of(0, 2), 2);
    // Stored for good: neither the bit nor its place may change.
    assert_int_equal(rank_of(1, 0), INT64_C(4611686018427387905));
    assert_int_equal(rank_of(0, INT64_MAX), INT64_C(4611686018427387903));
}

static void rank_a_version(void *context)
{
    const int64_t *version = context;
    struct order order = {.version_given = true, .version = *version};
    (void)order_version_rank(&order, 1);
}

static void versions_outside_their_limits_are_a_programmer_s_error(void **state)
{
    (void)state;
    int64_t bad[] = {0, -1, ORDER_VERSION_MAX + 1};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_true(aborts(rank_a_version, &bad[i]));
    }
    int64_t good = ORDER_VERSION_MAX;
    assert_false(aborts(rank_a_version, &good));
}

static void order_total(void *context)
{
    (void)order_total_minor(context);
}

static void total_of_the_greatest_order_fits(void **state)
{
    (void)state;
    struct order order = {.price_minor = MONEY_PRICE_MINOR_MAX, .quantity = ORDER_QUANTITY_MAX};
    assert_int_equal(order_total_minor(&order), INT64_C(1000000000000000000));
    order.price_minor = INT64_MAX / ORDER_QUANTITY_MAX + 1;
    assert_true(aborts(order_total, &order));
}

static void events_state_the_money_that_is_conserved(void **state)
{
    (void)state;
    struct currency currency = CURRENCY_NONE;
    int64_t minor = -77;
    struct event event = NOTE(1, DEAD);
    assert_false(event_stated_money(&event, &currency, &minor));
    event = PAYMENT(1, COMPLETED, .currency = "EUR");
    assert_false(event_stated_money(&event, &currency, &minor));
    assert_int_equal(minor, -77);
    event = PAYMENT(1, FAILED, .currency = "EUR", .amount_minor = 12);
    assert_true(event_stated_money(&event, &currency, &minor));
    assert_int_equal(minor, 12);
    assert_true(text_equal(currency_code(currency), TEXT("EUR")));
    event = ORDER(.price_minor = 5, .quantity = 3);
    assert_true(event_stated_money(&event, &currency, &minor));
    assert_int_equal(minor, 15);
    assert_true(currency_equal(currency, currency_usd()));
}

static void statuses_and_notes_are_found_by_their_exact_text(void **state)
{
    (void)state;
    for (int i = 0; i < ORDER_STATUS_COUNT; i++) {
        enum order_status found = ORDER_STATUS_COUNT;
        assert_true(order_status_find(order_status_text((enum order_status)i), &found));
        assert_int_equal(found, i);
    }
    for (int i = 0; i < PAYMENT_STATUS_COUNT; i++) {
        enum payment_status found = PAYMENT_STATUS_COUNT;
        assert_true(payment_status_find(payment_status_text((enum payment_status)i), &found));
        assert_int_equal(found, i);
    }
    for (int i = 0; i < NOTE_COUNT; i++) {
        enum note_kind found = NOTE_COUNT;
        assert_true(note_kind_find(note_kind_text((enum note_kind)i), &found));
        assert_int_equal(found, i);
    }
    enum order_status order_status;
    enum payment_status payment_status;
    enum note_kind note_kind;
    assert_false(order_status_find(TEXT("pending"), &order_status));
    assert_false(order_status_find(TEXT(""), &order_status));
    assert_false(payment_status_find(TEXT("Completed "), &payment_status));
    assert_false(payment_status_find(TEXT("Chargebac"), &payment_status));
    assert_false(note_kind_find(TEXT("Dead"), &note_kind));
}

static void reasons_are_found_by_name_and_told_in_words(void **state)
{
    (void)state;
    for (int i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        enum reason found = REASON_NONE;
        assert_true(reason_find(reason_name((enum reason)i), &found));
        assert_int_equal(found, i);
        assert_true(text_starts_with(reason_name((enum reason)i), TEXT("E_")));
        assert_true(strlen(reason_text((enum reason)i)) > 0);
    }
    enum reason reason = REASON_E_PAN;
    assert_false(reason_find(TEXT(""), &reason));
    assert_false(reason_find(TEXT("E_NONE"), &reason));
    assert_int_equal(reason, REASON_E_PAN);
    assert_int_equal(reason_name(REASON_NONE).size, 0);
}

static void only_the_missing_order_heals_by_itself(void **state)
{
    (void)state;
    for (int i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        enum reason reason = (enum reason)i;
        enum reason_class expected = reason == REASON_E_UNMATCHED ? REASON_CLASS_HEALS
                                     : reason == REASON_E_CONFLICT || reason == REASON_E_POISON
                                         ? REASON_CLASS_PERSON
                                         : REASON_CLASS_REFUSED;
        assert_int_equal(reason_class_of(reason), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_takes_over_what_names_its_row),
        cmocka_unit_test(note_is_named_by_its_kind_and_what_it_is_about),
        cmocka_unit_test(greatest_note_fits_and_one_byte_more_is_refused),
        cmocka_unit_test(rows_sort_by_kind_entity_identity_and_hash),
        cmocka_unit_test(rows_of_one_identity_sort_by_hash),
        cmocka_unit_test(publish_time_is_no_part_of_a_payments_row),
        cmocka_unit_test(each_part_of_the_identity_tells_rows_apart),
        cmocka_unit_test(payments_and_explicit_versions_conflict),
        cmocka_unit_test(implicit_versions_and_notes_never_conflict),
        cmocka_unit_test(every_explicit_version_is_above_every_implicit_one),
        cmocka_unit_test(ranks_give_back_what_they_were_made_of),
        cmocka_unit_test(ranks_are_above_zero_whatever_the_brokers_clock_says),
        cmocka_unit_test(versions_outside_their_limits_are_a_programmer_s_error),
        cmocka_unit_test(total_of_the_greatest_order_fits),
        cmocka_unit_test(events_state_the_money_that_is_conserved),
        cmocka_unit_test(statuses_and_notes_are_found_by_their_exact_text),
        cmocka_unit_test(reasons_are_found_by_name_and_told_in_words),
        cmocka_unit_test(only_the_missing_order_heals_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
