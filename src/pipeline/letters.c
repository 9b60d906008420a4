// Building and publishing dead letters.
#include "letters.h"

#include "card_scan.h"
#include "order_json.h"
#include "payment_json.h"

#include <string.h>

// One publish call takes at most this many; the bus's own limit is far above.
#define LETTERS_PUBLISH_MAX 1000u

void letters_init(struct letters *letters, struct arena *arena)
{
    memset(letters, 0, sizeof(*letters));
    letters->arena = arena;
}

// A zeroed letter at the end of the list of a topic, or NULL once the arena overflowed.
static struct dead_letter *add(struct letters *letters, bool is_payment)
{
    size_t list = is_payment ? 1 : 0;
    if (letters->counts[list] == letters->caps[list]) {
        size_t cap = letters->caps[list] == 0 ? 16 : letters->caps[list] * 2;
        struct dead_letter **grown = ARENA_ARRAY(letters->arena, struct dead_letter *, cap);
        if (grown == NULL) {
            return NULL;
        }
        if (letters->counts[list] > 0) {
            memcpy(grown, letters->items[list], letters->counts[list] * sizeof(grown[0]));
        }
        letters->items[list] = grown;
        letters->caps[list] = cap;
    }
    struct dead_letter *letter = ARENA_NEW(letters->arena, struct dead_letter);
    if (letter != NULL) {
        letters->items[list][letters->counts[list]++] = letter;
    }
    return letter;
}

static struct text redacted_copy(struct letters *letters, struct text body)
{
    struct buf out = {0};
    buf_init_heap(&out, 4 * body.size + 64);
    card_redact(body, &out);
    struct text view = buf_view(&out);
    struct text copy = {arena_copy(letters->arena, view.data, view.size), view.size};
    if (buf_overflowed(&out) || copy.data == NULL) {
        (void)arena_alloc(letters->arena, SIZE_MAX); // makes the failure stick: it must not be sent
        copy.size = 0;
    }
    buf_deinit(&out);
    return copy;
}

// Whether the body was refused before its texts could be looked at.
static bool is_unread(enum reason reason)
{
    return reason == REASON_E_SIZE || reason == REASON_E_UTF8 || reason == REASON_E_JSON ||
           reason == REASON_E_DEPTH || reason == REASON_E_DUPKEY || reason == REASON_E_POISON;
}

// Card numbers never travel on, even in a body that was refused before they were looked for.
static void set_refused_body(struct letters *letters, struct dead_letter *letter, struct text body,
                             enum reason reason)
{
    letter->body = body;
    if (reason == REASON_E_PAN || is_unread(reason)) {
        struct text redacted = redacted_copy(letters, body);
        letter->redacted = !text_equal(redacted, body);
        letter->body = letter->redacted ? redacted : body;
    }
}

// A body over the limit is kept up to the limit: enough to recognize it, bounded in the store.
static struct text head_of(struct text body)
{
    return (struct text){body.data, body.size < MESSAGE_SIZE_MAX ? body.size : MESSAGE_SIZE_MAX};
}

void letters_add_refused(struct letters *letters, enum bus_topic source,
                         const struct bus_message *message, const struct refusal *refusal)
{
    struct dead_letter *letter = add(letters, source == BUS_PAYMENTS);
    if (letter == NULL) {
        return;
    }
    letter->reason = refusal->reason;
    letter->detail = text_of(refusal->detail);
    letter->source_topic = bus_topic_name(source);
    letter->source_message_id = message->message_id;
    letter->first_seen_us = message->published_us;
    letter->order_id = refusal->order_id;
    letter->payment_id = refusal->payment_id;
    letter->attempts = message->delivery_attempt;
    dead_letter_id_of_message(letter->source_topic, message->message_id, message->published_us,
                              &letter->id);
    set_refused_body(letters, letter, head_of(message->data), refusal->reason);
}

static struct text rebuilt_body(struct letters *letters, const struct event *event)
{
    char memory[8192]; // an order's texts are at most 1 KiB, each byte at most 6 as JSON
    struct buf out;
    buf_init_fixed(&out, memory, sizeof(memory));
    if (event->kind == EVENT_ORDER) {
        order_encode(&event->order, &out);
    } else {
        payment_encode(&event->payment, &out);
    }
    struct text view = buf_view(&out);
    return (struct text){arena_copy(letters->arena, view.data, view.size), view.size};
}

void letters_add_conflict(struct letters *letters, const struct event *event,
                          const struct bus_message *message)
{
    bool is_payment = event->kind == EVENT_PAYMENT;
    struct dead_letter *letter = add(letters, is_payment);
    if (letter == NULL) {
        return;
    }
    letter->reason = REASON_E_CONFLICT;
    letter->detail = TEXT("another message of the same identity and other content is counted");
    letter->source_topic = bus_topic_name(is_payment ? BUS_PAYMENTS : BUS_ORDERS);
    letter->first_seen_us = event->published_us;
    letter->order_id = event->order_id;
    letter->payment_id = is_payment ? event->entity_id : 0;
    letter->event_id = event->event_id;
    letter->attempts = 1;
    dead_letter_id_of_event(REASON_E_CONFLICT, event, &letter->id);
    if (message != NULL) {
        letter->source_message_id = message->message_id;
        letter->attempts = message->delivery_attempt;
        letter->body = message->data;
    } else {
        letter->body = rebuilt_body(letters, event);
        letter->rebuilt = true;
    }
}

void letters_add_unmatched(struct letters *letters, const struct waiting_payment *waiting,
                           const struct event *event)
{
    struct dead_letter *letter = add(letters, true);
    if (letter == NULL) {
        return;
    }
    letter->reason = REASON_E_UNMATCHED;
    letter->detail = TEXT("order_id: no such order within the grace time");
    letter->body = waiting->body;
    letter->source_topic = bus_topic_name(BUS_PAYMENTS);
    letter->source_message_id = waiting->message_id;
    letter->first_seen_us = waiting->published_us;
    letter->order_id = waiting->order_id;
    letter->payment_id = waiting->payment_id;
    letter->event_id = waiting->event_id;
    letter->attempts = waiting->attempts;
    dead_letter_id_of_event(REASON_E_UNMATCHED, event, &letter->id);
}

static enum err publish_some(struct letters *letters, struct bus *bus, size_t list, size_t first,
                             size_t count, struct why *why)
{
    struct bus_outgoing *outgoing = ARENA_ARRAY(letters->arena, struct bus_outgoing, count);
    for (size_t i = 0; outgoing != NULL && i < count; i++) {
        const struct dead_letter *letter = letters->items[list][first + i];
        outgoing[i].data = letter->body;
        if (dead_letter_attributes(letter, letters->arena, &outgoing[i].attributes) != ERR_OK) {
            break; // the arena overflowed, which sticks
        }
    }
    if (arena_overflowed(letters->arena)) {
        return why_set(why, ERR_NO_MEMORY, "dead letters need more memory than their arena has");
    }
    return bus_publish(bus, list == 0 ? BUS_ORDERS_DLQ : BUS_PAYMENTS_DLQ, outgoing, count, why);
}

enum err letters_publish(struct letters *letters, struct bus *bus, struct why *why)
{
    if (arena_overflowed(letters->arena)) {
        return why_set(why, ERR_NO_MEMORY, "dead letters need more memory than their arena has");
    }
    enum err err = ERR_OK;
    for (size_t list = 0; list < 2; list++) {
        for (size_t first = 0; err == ERR_OK && first < letters->counts[list];) {
            size_t left = letters->counts[list] - first;
            size_t count = left < LETTERS_PUBLISH_MAX ? left : LETTERS_PUBLISH_MAX;
            err = publish_some(letters, bus, list, first, count, why);
            first += count;
        }
    }
    return err;
}
