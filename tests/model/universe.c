// Interning. What was met once keeps its number for as long as the world is explored.
#include "universe.h"

#include "event.h"
#include "hash.h"
#include "match_step.h"
#include "order_json.h"
#include "payment_json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_SIZE          (1u << 20)
#define NOW_US             INT64_C(1700000000000001)
#define FIRST_DUE_S        INT64_C(10)
#define FIRST_PUBLISHED_US (NOW_US - 1000)

static struct text keep_text(struct universe *universe, struct text text)
{
    char *copy = arena_copy(&universe->keep, text.data, text.size);
    assert(copy != NULL || text.size == 0);
    return (struct text){copy, text.size};
}

static void keep_event_texts(struct universe *universe, struct event *event)
{
    event->event_id = keep_text(universe, event->event_id);
    switch (event->kind) {
    case EVENT_ORDER:
        event->order.item = keep_text(universe, event->order.item);
        event->order.shipping_address = keep_text(universe, event->order.shipping_address);
        event->order.creation_date = keep_text(universe, event->order.creation_date);
        break;
    case EVENT_PAYMENT:
        event->payment.method = keep_text(universe, event->payment.method);
        event->payment.card_last_four = keep_text(universe, event->payment.card_last_four);
        event->payment.datetime = keep_text(universe, event->payment.datetime);
        event->payment.event_id = keep_text(universe, event->payment.event_id);
        break;
    case EVENT_NOTE:
        event->note.about = keep_text(universe, event->note.about);
        event->note.detail = keep_text(universe, event->note.detail);
        break;
    }
}

static uint8_t identity_of(const struct universe *universe, const struct event *event)
{
    switch (event->kind) {
    case EVENT_ORDER:
        return IDENTITY_NONE;
    case EVENT_PAYMENT:
        return universe_identity(universe, event->entity_id, event->event_id);
    case EVENT_NOTE:
        return universe_identity(universe, event->entity_id, event->note.about);
    }
    return IDENTITY_NONE;
}

uint8_t universe_identity(const struct universe *universe, int64_t payment_id, struct text event_id)
{
    for (uint8_t i = 0; i < universe->message_count; i++) {
        const struct event *event = &universe->rows[universe->message_row[i]].event;
        if (event->kind == EVENT_PAYMENT && event->entity_id == payment_id &&
            text_equal(event->event_id, event_id)) {
            return i;
        }
    }
    return IDENTITY_NONE;
}

unsigned universe_row(struct universe *universe, const struct event *event)
{
    for (unsigned i = 0; i < universe->row_count; i++) {
        if (event_compare(&universe->rows[i].event, event) == 0) {
            return i;
        }
    }
    assert(universe->row_count < ROWS_MAX);
    struct row *row = &universe->rows[universe->row_count];
    row->event = *event;
    keep_event_texts(universe, &row->event);
    row->identity = identity_of(universe, event);
    return (unsigned)universe->row_count++;
}

uint16_t universe_rows_of(const struct universe *universe, enum event_kind kind)
{
    unsigned rows = 0;
    for (unsigned i = 0; i < universe->row_count; i++) {
        rows |= universe->rows[i].event.kind == kind ? 1u << i : 0;
    }
    return (uint16_t)rows;
}

uint16_t universe_notes_of(const struct universe *universe, enum note_kind kind, uint8_t identity)
{
    unsigned rows = 0;
    for (unsigned i = 0; i < universe->row_count; i++) {
        const struct row *row = &universe->rows[i];
        bool same = row->event.kind == EVENT_NOTE && row->event.note.kind == kind &&
                    row->identity == identity;
        rows |= same ? 1u << i : 0;
    }
    return (uint16_t)rows;
}

static struct attributes keep_attributes(struct universe *universe, struct attributes attributes)
{
    struct attribute *items = ARENA_ARRAY(&universe->keep, struct attribute, attributes.count);
    assert(items != NULL || attributes.count == 0);
    for (size_t i = 0; i < attributes.count; i++) {
        items[i].key = keep_text(universe, attributes.items[i].key);
        items[i].value = keep_text(universe, attributes.items[i].value);
    }
    return (struct attributes){items, attributes.count};
}

unsigned universe_letter(struct universe *universe, const struct dead_letter *letter,
                         struct attributes attributes)
{
    for (unsigned i = 0; i < universe->letter_count; i++) {
        if (hash_equal(&universe->letters[i].id, &letter->id)) {
            return i;
        }
    }
    assert(universe->letter_count < LETTERS_MAX);
    universe->letters[universe->letter_count] = (struct letter){
        .id = letter->id,
        .reason = letter->reason,
        .payment_id = letter->payment_id,
        .identity = universe_identity(universe, letter->payment_id, letter->event_id),
        .body = keep_text(universe, letter->body),
        .attributes = keep_attributes(universe, attributes),
    };
    return (unsigned)universe->letter_count++;
}

unsigned universe_write(struct universe *universe, uint64_t mask)
{
    assert(mask != 0);
    for (unsigned i = 0; i < universe->write_count; i++) {
        if (universe->writes[i] == mask) {
            return i;
        }
    }
    assert(universe->write_count < WRITES_MAX);
    universe->writes[universe->write_count] = mask;
    return (unsigned)universe->write_count++;
}

// --- projections ---------------------------------------------------------------------------------

static void add_event_name(struct hasher *hasher, const struct event *event)
{
    hasher_add_u64(hasher, (uint64_t)event->version_rank);
    hasher_add_u64(hasher, event->event_id.size);
    hasher_add(hasher, event->event_id.data, event->event_id.size);
    hasher_add(hasher, event->hash.bytes, HASH_SIZE);
}

// Everything that the rows of the facts show.
static void content_of(const struct fact *fact, struct hash *out_content)
{
    struct hasher hasher;
    hasher_init(&hasher);
    if (fact->order != NULL) {
        add_event_name(&hasher, fact->order);
    }
    const int64_t figures[] = {fact->order_total_minor,     fact->amount_paid_minor,
                               fact->amount_refunded_minor, fact->amount_charged_back_minor,
                               (int64_t)fact->settlement,   (int64_t)fact->match_issue,
                               (int64_t)fact->n_events,     (int64_t)fact->payment_count};
    hasher_add(&hasher, figures, sizeof(figures));
    for (size_t i = 0; i < fact->payment_count; i++) {
        const struct fact_payment *payment = &fact->payments[i];
        const int64_t sums[] = {payment->payment_id, payment->captured_minor,
                                payment->refunded_minor, payment->charged_back_minor};
        hasher_add(&hasher, sums, sizeof(sums));
        add_event_name(&hasher, payment->shown);
    }
    hasher_final(&hasher, out_content);
}

static int64_t newest_publish_us(const struct universe *universe, uint16_t rows)
{
    int64_t newest_us = 0;
    for (unsigned i = 0; i < universe->row_count; i++) {
        int64_t published_us = universe->rows[i].event.published_us;
        bool newer = has_bit(rows, i) && published_us > newest_us;
        newest_us = newer ? published_us : newest_us;
    }
    return newest_us;
}

// n_rows as the fold gives it, then the hash of the set: that may favour any set of two, so both orders
// are explored. Publish times are taken from the first message's on, so that all of it fits.
static int64_t timestamp_of(const struct universe *universe, uint16_t rows, uint32_t n_rows)
{
    const struct way *way = &universe->way;
    int64_t count = n_rows;
    if (way->variant == VARIANT_TIMESTAMP_WITH_NOTES) {
        count = __builtin_popcount(rows);
    } else if (way->variant == VARIANT_EVENT_TIME) {
        count = newest_publish_us(universe, rows) - FIRST_PUBLISHED_US;
    }
    assert(count >= 0 && count <= UINT16_MAX);
    return count * 65536 + (way->ties_reversed ? 65535 - rows : rows);
}

static uint8_t matched_of(const struct universe *universe, const struct fact *fact)
{
    unsigned matched = 0;
    for (size_t i = 0; fact->order != NULL && i < fact->payment_count; i++) {
        for (unsigned k = 0; k < universe->message_count; k++) {
            const struct row *row = &universe->rows[universe->message_row[k]];
            bool counted = row->event.kind == EVENT_PAYMENT &&
                           row->event.entity_id == fact->payments[i].payment_id;
            matched |= counted ? 1u << row->identity : 0;
        }
    }
    return (uint8_t)matched;
}

// Identities of the payment events among the rows; those of one payment have one row in the facts.
static uint8_t identities_in(const struct universe *universe, uint16_t rows)
{
    unsigned identities = 0;
    for (unsigned i = 0; i < universe->row_count; i++) {
        const struct row *row = &universe->rows[i];
        bool is_payment = has_bit(rows, i) && row->event.kind == EVENT_PAYMENT;
        identities |= is_payment ? 1u << row->identity : 0;
    }
    return (uint8_t)identities;
}

unsigned universe_projection(struct universe *universe, uint16_t rows_read, const struct fact *fact)
{
    if (universe->way.variant != VARIANT_TIMESTAMP_WITH_NOTES) { // else they make no difference
        rows_read &= (uint16_t)~universe_rows_of(universe, EVENT_NOTE);
    }
    struct projection made = {
        .rows = rows_read,
        .timestamp = timestamp_of(universe, rows_read, fact->n_rows),
        .has_order = fact->order != NULL,
    };
    made.matched = matched_of(universe, fact) & identities_in(universe, rows_read);
    content_of(fact, &made.content);
    for (unsigned i = 1; i <= universe->projection_count; i++) {
        const struct projection *known = &universe->projections[i];
        if (known->rows == made.rows && known->timestamp == made.timestamp &&
            hash_equal(&known->content, &made.content)) {
            return i;
        }
    }
    assert(universe->projection_count + 1 < PROJECTIONS_MAX);
    universe->projections[++universe->projection_count] = made;
    return (unsigned)universe->projection_count;
}

// --- buckets --------------------------------------------------------------------------------------

int64_t universe_due_us(const struct universe *universe, unsigned bucket)
{
    int64_t first_us = match_due_us(&universe->rules, NOW_US, NOW_US);
    return first_us + (int64_t)bucket * universe->rules.bucket_us;
}

unsigned universe_bucket(const struct universe *universe, int64_t due_us)
{
    int64_t number = (due_us - universe_due_us(universe, 0)) / universe->rules.bucket_us;
    assert(number >= 0 && number < WORLD_BUCKETS_MAX);
    return (unsigned)number;
}

struct waiting_payment universe_entry(const struct universe *universe, unsigned message,
                                      unsigned bucket)
{
    const struct event *event = &universe->rows[universe->message_row[message]].event;
    return (struct waiting_payment){
        .due_us = universe_due_us(universe, bucket),
        .order_id = event->order_id,
        .payment_id = event->entity_id,
        .event_id = event->event_id,
        .published_us = event->published_us,
        .message_id = universe->messages[message].message_id,
        .attempts = 1,
        .body = universe->messages[message].data,
    };
}

// --- setting up -----------------------------------------------------------------------------------

static void decode_message(struct universe *universe, unsigned i, struct event *out_event)
{
    const struct bus_message *message = &universe->messages[i];
    struct decode_remarks remarks = {0};
    struct refusal refusal;
    struct order order;
    struct payment payment;
    if (universe->world->messages[i].topic == BUS_ORDERS) {
        bool good = order_decode(message->data, &universe->rules.decode, &universe->keep, &order,
                                 &remarks, &refusal);
        assert(good);
        event_of_order(&order, message->published_us, out_event);
    } else {
        bool good = payment_decode(message->data, &universe->rules.decode, &universe->keep,
                                   &payment, &remarks, &refusal);
        assert(good);
        event_of_payment(&payment, message->published_us, out_event);
    }
}

static void add_message(struct universe *universe, unsigned i)
{
    const struct world_message *given = &universe->world->messages[i];
    universe->messages[i] = (struct bus_message){
        .message_id = text_of(given->name),
        .published_us = FIRST_PUBLISHED_US + i,
        .delivery_attempt = 1,
        .data = text_of(given->body),
        .handle = {.number = i},
    };
    struct event event;
    decode_message(universe, i, &event);
    assert(event.order_id == MODEL_ORDER_ID);
    uint8_t first = identity_of(universe, &event); // among the messages before it
    unsigned row = universe_row(universe, &event);
    bool is_payment = event.kind == EVENT_PAYMENT;
    universe->message_row[i] = (uint8_t)row;
    universe->message_identity[i] = first == IDENTITY_NONE ? (uint8_t)i : first;
    universe->rows[row].identity = is_payment ? universe->message_identity[i] : IDENTITY_NONE;
    universe->message_rows |= (uint16_t)(1u << row);
    universe->order_messages |= (uint8_t)(is_payment ? 0 : 1u << i);
    universe->payment_messages |= (uint8_t)(is_payment ? 1u << i : 0);
    universe->message_count = i + 1;
}

// What all messages together must come to.
static void fold_all(struct universe *universe)
{
    const struct event *events[ROWS_MAX];
    const struct event *sorted[ROWS_MAX];
    const struct event *losers[ROWS_MAX];
    struct fact_payment payments[ROWS_MAX];
    struct fold_space space = {sorted, losers, payments};
    struct fact fact;
    for (size_t i = 0; i < universe->row_count; i++) {
        events[i] = &universe->rows[i].event;
    }
    enum err err = fold(events, universe->row_count, &universe->rules.fold, &space, &fact);
    assert(err == ERR_OK);
    content_of(&fact, &universe->content);
    for (size_t i = 0; i < fact.loser_count; i++) {
        universe->loser_rows |= (uint16_t)(1u << universe_row(universe, fact.losers[i]));
    }
}

struct universe *universe_create(const struct world *world, const struct way *way)
{
    struct universe *universe = calloc(1, sizeof(*universe));
    assert(universe != NULL);
    enum err err = arena_init(&universe->keep, KEEP_SIZE);
    assert(err == ERR_OK);
    universe->world = world;
    universe->way = *way;
    universe->time.wall_us = NOW_US;
    universe->rules = pipeline_rules_default();
    universe->rules.grace_us = 0;
    universe->rules.bucket_us = FIRST_DUE_S * US_PER_SECOND;
    universe->rules.max_hold_us = 0;
    universe->rules.shards = 1;
    for (unsigned i = 0; i < world_message_count(world); i++) {
        add_message(universe, i);
    }
    fold_all(universe);
    return universe;
}

void universe_destroy(struct universe **universe)
{
    if (*universe != NULL) {
        arena_deinit(&(*universe)->keep);
        free(*universe);
        *universe = NULL;
    }
}

// --- for people -----------------------------------------------------------------------------------

static void print_row(const struct universe *universe, unsigned row, struct buf *out)
{
    const struct event *event = &universe->rows[row].event;
    if (event->kind == EVENT_NOTE) {
        buf_add_text(out, note_kind_text(event->note.kind));
        buf_add_fmt(out, "(%.*s)", TEXT_PRINT(event->note.detail));
        return;
    }
    for (unsigned i = 0; i < universe->message_count; i++) {
        if (universe->message_row[i] == row) {
            buf_add_str(out, universe->world->messages[i].name);
            return;
        }
    }
}

static void print_bucket(const struct universe *universe, unsigned bucket, unsigned bits,
                         struct buf *out)
{
    for (unsigned i = 0; i < universe->message_count; i++) {
        if (has_bit(bits, i)) {
            buf_add_fmt(out, " b%u:%s", bucket, universe->world->messages[i].name);
        }
    }
    if ((bits & BUCKET_CLOSED) != 0) {
        buf_add_fmt(out, " b%u:CLOSED", bucket);
    }
    if ((bits & BUCKET_DONE) != 0) {
        buf_add_fmt(out, " b%u:DONE", bucket);
    }
}

void universe_print_word(const struct universe *universe, uint64_t word, struct buf *out)
{
    for (unsigned i = 0; i < universe->row_count; i++) {
        if (has_bit(word, i)) {
            buf_add_char(out, ' ');
            print_row(universe, i, out);
        }
    }
    for (unsigned k = 0; k < WORLD_BUCKETS_MAX; k++) {
        print_bucket(universe, k, (unsigned)(word >> BUCKET_SHIFT(k)) & 0xffu, out);
    }
    for (unsigned i = 0; i < LETTERS_MAX; i++) {
        if (has_bit(word, RECORD_SHIFT + i)) {
            buf_add_fmt(out, " record %u", i);
        }
    }
    if (word == 0) {
        buf_add_str(out, " nothing");
    }
}
