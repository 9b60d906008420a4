#include "event_sets.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct currency currency_of(const char *code)
{
    struct currency currency = CURRENCY_NONE;
    assert_true(currency_find(text_of(code), &currency));
    return currency;
}

static struct text text_or(const char *given, const char *usual)
{
    return text_of(given != NULL ? given : usual);
}

static void event_of_order_step(const struct step *step, struct event *out_event)
{
    struct order order = {
        .order_id = SET_ORDER_ID,
        .customer_id = 771,
        .item = text_or(step->content, "Laptop"),
        .quantity = step->quantity == 0 ? 1 : step->quantity,
        .price_minor = step->price_minor == 0 ? 10000 : step->price_minor,
        .shipping_address = TEXT("123 Main St, City A"),
        .status = step->order_status,
        .creation_date = TEXT("2024-01-21"),
        .currency = currency_of(step->currency != NULL ? step->currency : "USD"),
        .currency_given = step->currency != NULL,
        .version_given = step->version != 0,
        .version = step->version,
    };
    if (step->price_minor == FREE) {
        order.price_minor = 0;
    }
    event_of_order(&order, SET_PUBLISHED_US + step->later_us, out_event);
}

static void event_of_payment_step(const struct step *step, struct event *out_event)
{
    struct payment payment = {
        .payment_id = step->payment_id,
        .order_id = SET_ORDER_ID,
        .method = text_or(step->content, "Google Pay"),
        .card_last_four = TEXT("0042"),
        .status = step->payment_status,
        .datetime = TEXT("2024-01-21T10:01:30Z"),
        .amount_given = step->amount_minor != 0,
        .amount_minor = step->amount_minor,
        .currency_given = step->currency != NULL,
        .event_id = text_or(step->event_id, ""),
    };
    if (step->currency != NULL) {
        payment.currency = currency_of(step->currency);
    } else if (payment.amount_given) {
        payment.currency = currency_usd();
    }
    event_of_payment(&payment, SET_PUBLISHED_US + step->later_us, out_event);
}

void event_of_step(const struct step *step, char note_id[EVENT_NOTE_ID_SIZE],
                   struct event *out_event)
{
    switch (step->kind) {
    case EVENT_ORDER:
        event_of_order_step(step, out_event);
        return;
    case EVENT_PAYMENT:
        event_of_payment_step(step, out_event);
        return;
    case EVENT_NOTE: {
        struct note note = {step->note_kind, text_or(step->event_id, "Completed"),
                            text_or(step->content, "")};
        event_of_note(SET_ORDER_ID, step->payment_id, &note, note_id, out_event);
        return;
    }
    }
}

enum err fold_set(const struct event *const *rows, size_t count, const struct fold_rules *rules,
                  struct set_space *space, struct fact *out_fact)
{
    assert_true(count <= SET_ROWS_MAX);
    struct fold_space pointers = {space->sorted, space->losers, space->payments};
    return fold(rows, count, rules, &pointers, out_fact);
}

static void check_same_row(const struct event *row, const struct event *expected)
{
    assert_int_equal(row == NULL, expected == NULL);
    if (row != NULL) {
        assert_true(event_same_identity(row, expected));
        assert_true(hash_equal(&row->hash, &expected->hash));
    }
}

static void check_same_payments(const struct fact *fact, const struct fact *expected)
{
    assert_int_equal(fact->payment_count, expected->payment_count);
    for (size_t i = 0; i < fact->payment_count; i++) {
        const struct fact_payment *a = &fact->payments[i];
        const struct fact_payment *b = &expected->payments[i];
        assert_int_equal(a->payment_id, b->payment_id);
        check_same_row(a->shown, b->shown);
        assert_int_equal(a->captured_minor, b->captured_minor);
        assert_int_equal(a->refunded_minor, b->refunded_minor);
        assert_int_equal(a->charged_back_minor, b->charged_back_minor);
        assert_int_equal(a->event_count, b->event_count);
    }
}

void check_same_fact(const struct fact *fact, const struct fact *expected)
{
    assert_int_equal(fact->order_id, expected->order_id);
    check_same_row(fact->order, expected->order);
    assert_int_equal(fact->currency.index, expected->currency.index);
    assert_int_equal(fact->order_total_minor, expected->order_total_minor);
    assert_int_equal(fact->amount_paid_minor, expected->amount_paid_minor);
    assert_int_equal(fact->amount_refunded_minor, expected->amount_refunded_minor);
    assert_int_equal(fact->amount_charged_back_minor, expected->amount_charged_back_minor);
    assert_int_equal(fact->settlement, expected->settlement);
    assert_int_equal(fact->match_issue, expected->match_issue);
    assert_int_equal(fact->n_events, expected->n_events);
    assert_int_equal(fact->n_rows, expected->n_rows);
    assert_memory_equal(&fact->set_hash, &expected->set_hash, sizeof(fact->set_hash));
    check_same_payments(fact, expected);
    assert_int_equal(fact->loser_count, expected->loser_count);
    for (size_t i = 0; i < fact->loser_count; i++) {
        check_same_row(fact->losers[i], expected->losers[i]);
    }
}
