// Events: how content becomes a row, and how rows compare.
#include "event.h"

#include "buf.h"

#include <assert.h>
#include <stddef.h>

#define NOTE_HASH_TAG UINT64_C(0x31302d65746f6e74) // "tnote-01"

static const struct text note_texts[NOTE_COUNT] = {
#define X(name, text) [NOTE_##name] = {text, sizeof(text) - 1},
    NOTE_TABLE(X)
#undef X
};

void event_of_order(const struct order *order, int64_t published_us, struct event *out_event)
{
    *out_event = (struct event){
        .kind = EVENT_ORDER,
        .order_id = order->order_id,
        .entity_id = order->order_id,
        .version_rank = order_version_rank(order, published_us),
        .published_us = published_us,
        .order = *order,
    };
    order_content_hash(order, &out_event->hash);
}

void event_of_payment(const struct payment *payment, int64_t published_us, struct event *out_event)
{
    *out_event = (struct event){
        .kind = EVENT_PAYMENT,
        .order_id = payment->order_id,
        .entity_id = payment->payment_id,
        .event_id = payment_event_identity(payment),
        .published_us = published_us,
        .payment = *payment,
    };
    payment_content_hash(payment, &out_event->hash);
}

static void note_hash(const struct note *note, struct hash *out_hash)
{
    struct text kind = note_kind_text(note->kind);
    struct hasher hasher;
    hasher_init(&hasher);
    hasher_add_u64(&hasher, NOTE_HASH_TAG);
    hasher_add_u64(&hasher, kind.size | note->about.size << 16 | note->detail.size << 32);
    hasher_add(&hasher, kind.data, kind.size);
    hasher_add(&hasher, note->about.data, note->about.size);
    hasher_add(&hasher, note->detail.data, note->detail.size);
    hasher_final(&hasher, out_hash);
}

void event_of_note(int64_t order_id, int64_t payment_id, const struct note *note,
                   char id_text[EVENT_NOTE_ID_SIZE], struct event *out_event)
{
    assert(note->about.size <= EVENT_NOTE_ABOUT_SIZE_MAX);
    assert(note->detail.size <= EVENT_NOTE_DETAIL_SIZE_MAX);
    struct buf id;
    buf_init_fixed(&id, id_text, EVENT_NOTE_ID_SIZE);
    buf_add_text(&id, note_kind_text(note->kind));
    buf_add_char(&id, ':');
    buf_add_text(&id, note->about);
    assert(!buf_overflowed(&id));
    *out_event = (struct event){
        .kind = EVENT_NOTE,
        .order_id = order_id,
        .entity_id = payment_id,
        .event_id = buf_view(&id),
        .note = *note,
    };
    note_hash(note, &out_event->hash);
}

struct text note_kind_text(enum note_kind kind)
{
    assert((unsigned)kind < NOTE_COUNT);
    return note_texts[kind];
}

bool note_kind_find(struct text text, enum note_kind *out_kind)
{
    for (size_t i = 0; i < NOTE_COUNT; i++) {
        if (text_equal(text, note_texts[i])) {
            *out_kind = (enum note_kind)i;
            return true;
        }
    }
    return false;
}

static int compare_i64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_versions(const struct event *a, const struct event *b)
{
    int by_rank = compare_i64(a->version_rank, b->version_rank);
    if (by_rank != 0 || order_version_rank_is_explicit(a->version_rank)) {
        return by_rank;
    }
    return compare_i64((int64_t)a->order.status, (int64_t)b->order.status);
}

int event_compare(const struct event *a, const struct event *b)
{
    int by = compare_i64((int64_t)a->kind, (int64_t)b->kind);
    if (by == 0) {
        by = compare_i64(a->entity_id, b->entity_id);
    }
    if (by == 0) {
        by = a->kind == EVENT_ORDER ? compare_versions(a, b)
                                    : text_compare(a->event_id, b->event_id);
    }
    return by != 0 ? by : hash_compare(&a->hash, &b->hash);
}

bool event_same_identity(const struct event *a, const struct event *b)
{
    return a->kind == b->kind && a->entity_id == b->entity_id && a->order_id == b->order_id &&
           a->version_rank == b->version_rank && text_equal(a->event_id, b->event_id);
}

static bool can_conflict(const struct event *event)
{
    return event->kind == EVENT_PAYMENT ||
           (event->kind == EVENT_ORDER && order_version_rank_is_explicit(event->version_rank));
}

bool event_conflicts(const struct event *a, const struct event *b)
{
    return can_conflict(a) && event_same_identity(a, b) && !hash_equal(&a->hash, &b->hash);
}

bool event_stated_money(const struct event *event, struct currency *out_currency,
                        int64_t *out_minor)
{
    switch (event->kind) {
    case EVENT_ORDER:
        *out_currency = event->order.currency;
        *out_minor = order_total_minor(&event->order);
        return true;
    case EVENT_PAYMENT:
        if (!event->payment.amount_given) {
            return false;
        }
        *out_currency = event->payment.currency;
        *out_minor = event->payment.amount_minor;
        return true;
    case EVENT_NOTE:
        return false;
    }
    assert(false);
    return false;
}
