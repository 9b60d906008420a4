// Dead letters in the end: everything that must be recorded is, under its identity and with its exact
// reason and state; nothing else is; and no letter tells what it must not. Then the answer key.
#include "checker_internal.h"

#include "card_scan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOKS_APART_MAX_US (13 * 3600 * US_PER_SECOND) // 12 hours, and the hour before them

// Why a record may exist.
struct cause {
    struct cause *next;
    struct cause *group; // one of several that do: twins of one identity; else itself
    struct hash id;
    enum reason reason;
    const struct expected_message *message; // E_UNMATCHED, E_CONFLICT: NULL
    const struct expected_event *event;     // NULL for what the rules refuse
    bool required;                          // (of the group's first)
    bool order_there;
    unsigned seen; // mask of views that have a record of the group
};

struct letters {
    struct checker *checker;
    struct index index; // id: cause
    struct cause *causes;
    unsigned view;
};

static struct cause *add_cause(struct letters *letters, const struct hash *id, enum reason reason)
{
    struct cause *cause = calloc(1, sizeof(*cause));
    if (cause == NULL) {
        abort();
    }
    cause->next = letters->causes;
    cause->group = cause;
    cause->id = *id;
    cause->reason = reason;
    letters->causes = cause;
    index_put(&letters->index, id, cause);
    return cause;
}

// --- causes -------------------------------------------------------------------------------------

static void add_refused(struct letters *letters, const struct expected_message *message)
{
    bool late = expected_refused_late(message);
    if (message->event != NULL && !late) {
        return;
    }
    struct hash id;
    dead_letter_id_of_message(bus_topic_name(message->topic), message->message_id,
                              message->published_us, &id);
    struct cause *cause = add_cause(letters, &id, late ? REASON_NONE : message->reason);
    cause->message = message;
    cause->event = message->event;
    cause->required = true;
}

static bool is_twin(const struct event *a, const struct event *b)
{
    return a->kind == EVENT_PAYMENT && event_conflicts(a, b);
}

static struct cause *cause_of_twin(struct letters *letters, const struct expected_order *order,
                                   size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (is_twin(&order->events[i]->event, &order->events[at]->event)) {
            struct hash id;
            dead_letter_id_of_event(REASON_E_UNMATCHED, &order->events[i]->event, &id);
            struct cause *twin = index_find(&letters->index, &id);
            return twin == NULL ? NULL : twin->group;
        }
    }
    return NULL;
}

// Any payment event may have been declared unmatched for a while; without its order it must be.
static void add_unmatched(struct letters *letters, const struct expected_order *order, size_t at,
                          bool order_there)
{
    const struct expected_event *event = order->events[at];
    struct hash id;
    dead_letter_id_of_event(REASON_E_UNMATCHED, &event->event, &id);
    struct cause *twin = cause_of_twin(letters, order, at);
    struct cause *cause = add_cause(letters, &id, REASON_E_UNMATCHED);
    cause->event = event;
    cause->order_there = order_there;
    cause->required = !order_there && expected_is_sure(event);
    if (twin != NULL) {
        twin->required = twin->required || cause->required;
        cause->group = twin;
    }
}

static void add_conflicts(struct letters *letters, const struct expected_order *order,
                          const struct fact *fold)
{
    for (size_t i = 0; i < fold->loser_count; i++) {
        struct hash id;
        dead_letter_id_of_event(REASON_E_CONFLICT, fold->losers[i], &id);
        struct cause *cause = add_cause(letters, &id, REASON_E_CONFLICT);
        cause->event = expected_event(letters->checker->expected, fold->losers[i]);
        cause->required = order->refused_count == 0;
    }
}

static void add_causes(struct letters *letters)
{
    static const enum bus_topic topics[] = {BUS_ORDERS, BUS_PAYMENTS};
    struct expected *expected = letters->checker->expected;
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 1; i <= expected_message_count(expected, topics[t]); i++) {
            add_refused(letters, expected_message(expected, topics[t], i));
        }
    }
    for (size_t i = 0; i < expected_order_count(expected); i++) {
        const struct expected_order *order = expected_order_at(expected, i);
        const struct naive_fact *naive = expected_fold(expected, order, UINT32_MAX);
        if (naive == NULL) {
            continue;
        }
        bool order_there = naive->fact.order != NULL;
        add_conflicts(letters, order, &naive->fact);
        for (size_t k = 0; k < order->count; k++) {
            if (order->events[k]->event.kind == EVENT_PAYMENT) {
                add_unmatched(letters, order, k, order_there);
            }
        }
    }
}

// --- records ------------------------------------------------------------------------------------

static const char *replicas_of(const struct letters *letters)
{
    return checker_replicas(letters->checker->views[letters->view]);
}

static size_t events_of_kind(const struct expected_order *order, enum event_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < order->count; i++) {
        count += order->events[i]->event.kind == kind;
    }
    return count;
}

// Reasons that lie outside of the message: a hot order, or one that was in hand at three deaths.
static bool is_reason_right(const struct cause *cause, const struct dead_letter_record *record)
{
    if (record->reason == REASON_E_POISON && cause->message != NULL) {
        return record->attempts >= 3;
    }
    if (record->reason == REASON_E_HOT_ORDER && cause->event != NULL) {
        return events_of_kind(cause->event->order, cause->event->event.kind) >
               FOLD_EVENTS_OF_KIND_MAX;
    }
    return record->reason == cause->reason;
}

static bool is_source_right(const struct cause *cause, const struct dead_letter_record *record)
{
    if (cause->message != NULL) {
        return text_equal(record->source_message_id, cause->message->message_id) &&
               text_equal(record->source_topic, bus_topic_name(cause->message->topic));
    }
    const struct event *event = &cause->event->event;
    bool is_payment = event->kind == EVENT_PAYMENT;
    return record->order_id == event->order_id &&
           record->payment_id == (is_payment ? event->entity_id : 0) &&
           text_equal(record->event_id, event->event_id) &&
           (record->rebuilt || record->source_message_id.size > 0);
}

static void check_exact(struct letters *letters, const struct cause *cause,
                        const struct dead_letter_record *record)
{
    struct checker *checker = letters->checker;
    char id[HASH_HEX_SIZE];
    hash_format(&record->id, id);
    bool right =
        is_reason_right(cause, record) && is_source_right(cause, record) && record->attempts >= 1;
    if (!checker_ask(checker, right)) {
        checker_fail(checker, CHECK_I9_record_is_exact,
                     "record %s: %.*s of order %" PRId64 ", payment %" PRId64
                     ", message %.*s, attempts %u; must be %.*s of message %.*s (replicas %s)",
                     id, TEXT_PRINT(reason_name(record->reason)), record->order_id,
                     record->payment_id, TEXT_PRINT(record->source_message_id), record->attempts,
                     TEXT_PRINT(reason_name(cause->reason)),
                     TEXT_PRINT(cause->message == NULL ? TEXT("?") : cause->message->message_id),
                     replicas_of(letters));
    }
}

// Nobody looks again after the maximum age, so an order that came later finds the record EXPIRED.
static bool may_be_expired(const struct letters *letters, const struct cause *cause,
                           const struct dead_letter_record *record)
{
    int64_t age_max_us = letters->checker->options.rules->dead_letter_age_max_us;
    return record->state == DEAD_LETTER_EXPIRED &&
           sim_now_us(letters->checker->options.sim) - record->first_seen_us > age_max_us &&
           (!cause->order_there ||
            cause->event->order->first_order_us - record->first_seen_us > age_max_us);
}

// The longest time between two looks has passed since.
static bool must_be_expired(const struct letters *letters, const struct dead_letter_record *record)
{
    int64_t age_us = sim_now_us(letters->checker->options.sim) - record->first_seen_us;
    return age_us > letters->checker->options.rules->dead_letter_age_max_us + LOOKS_APART_MAX_US;
}

static void check_state(struct letters *letters, const struct cause *cause,
                        const struct dead_letter_record *record)
{
    struct checker *checker = letters->checker;
    enum dead_letter_state wanted = DEAD_LETTER_NEW;
    if (record->reason == REASON_E_UNMATCHED) {
        wanted = cause->order_there ? DEAD_LETTER_HEALED : DEAD_LETTER_WAITING;
    }
    bool expires = wanted == DEAD_LETTER_WAITING && must_be_expired(letters, record);
    wanted = expires ? DEAD_LETTER_EXPIRED : wanted;
    bool right = record->state == wanted ||
                 (record->reason == REASON_E_UNMATCHED && may_be_expired(letters, cause, record));
    if (!checker_ask(checker, right)) {
        checker_fail(checker,
                     wanted == DEAD_LETTER_HEALED ? CHECK_I5_dead_is_healed
                                                  : CHECK_I9_record_is_exact,
                     "order %" PRId64 ", payment %" PRId64 " \"%.*s\": the record (%.*s) is %.*s, "
                     "must be %.*s (replicas %s)",
                     record->order_id, record->payment_id, TEXT_PRINT(record->event_id),
                     TEXT_PRINT(reason_name(record->reason)),
                     TEXT_PRINT(dead_letter_state_text(record->state)),
                     TEXT_PRINT(dead_letter_state_text(wanted)), replicas_of(letters));
    }
}

static void check_record(const struct dead_letter_record *record, void *context)
{
    struct letters *letters = context;
    struct checker *checker = letters->checker;
    struct cause *cause = index_find(&letters->index, &record->id);
    if (!checker_ask(checker, cause != NULL)) {
        checker_fail(checker, CHECK_I9_record_has_cause,
                     "a record of %.*s, order %" PRId64 ", payment %" PRId64
                     ", message %.*s, and nothing that was published is its cause (replicas %s)",
                     TEXT_PRINT(reason_name(record->reason)), record->order_id, record->payment_id,
                     TEXT_PRINT(record->source_message_id), replicas_of(letters));
        return;
    }
    cause->group->seen |= 1u << letters->view;
    check_exact(letters, cause, record);
    check_state(letters, cause, record);
}

static void check_required(struct letters *letters, const struct cause *cause)
{
    struct checker *checker = letters->checker;
    unsigned all = (1u << checker->view_count) - 1;
    if (checker_ask(checker, cause->seen == all || !cause->required || cause->group != cause)) {
        return;
    }
    char text[160];
    if (cause->message != NULL) {
        checker_fail(checker, CHECK_I9_refused_is_recorded,
                     "%.*s, message %.*s (%.*s): %s of the %u majorities have its record",
                     TEXT_PRINT(bus_topic_name(cause->message->topic)),
                     TEXT_PRINT(cause->message->message_id), TEXT_PRINT(reason_name(cause->reason)),
                     cause->seen == 0 ? "none" : "not all", checker->view_count);
        return;
    }
    checker_fail(checker,
                 cause->reason == REASON_E_CONFLICT ? CHECK_I9_conflict_is_recorded
                                                    : CHECK_I5_unmatched_is_dead,
                 "%s: %s of the %u majorities have its record (%.*s)",
                 checker_event_text(&cause->event->event, text),
                 cause->seen == 0 ? "none" : "not all", checker->view_count,
                 TEXT_PRINT(reason_name(cause->reason)));
}

// --- nothing personal ---------------------------------------------------------------------------

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// The text after `key` in a body, as it stands there; empty when there is none.
static struct text raw_value(struct text body, struct text key)
{
    const char *end = body.data + body.size;
    const char *at = body.size == 0 ? NULL : memmem(body.data, body.size, key.data, key.size);
    if (at == NULL) {
        return TEXT("");
    }
    at += key.size;
    while (at < end && (is_space(*at) || *at == ':')) {
        at++;
    }
    if (at == end || *at != '"') {
        return TEXT("");
    }
    const char *start = ++at;
    while (at < end && *at != '"') {
        at += *at == '\\' && at + 1 < end ? 2 : 1;
    }
    return (struct text){start, (size_t)((at < end ? at : end) - start)};
}

#define PERSONAL_SIZE_MIN 5u // shorter ones turn up anywhere

static bool tells(struct attributes attributes, struct text secret)
{
    for (size_t i = 0; i < attributes.count; i++) {
        struct text value = attributes.items[i].value;
        if (secret.size >= PERSONAL_SIZE_MIN && value.size >= secret.size &&
            memmem(value.data, value.size, secret.data, secret.size) != NULL) {
            return true;
        }
    }
    return false;
}

static bool tells_personal(const struct expected_letter *letter)
{
    static const struct text keys[] = {TEXT("\"shipping_address\""), TEXT("\"customer_name\""),
                                       TEXT("\"name\""), TEXT("\"email\""), TEXT("\"phone\"")};
    for (size_t i = 0; letter->source != NULL && i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (tells(letter->attributes, raw_value(letter->source->body, keys[i]))) {
            return true;
        }
    }
    return false;
}

// A body that was redacted before is refused again and has nothing left to hide.
static bool hides_something(struct text body)
{
    struct buf redacted = {0};
    buf_init_heap(&redacted, 4 * body.size + 64);
    card_redact(body, &redacted);
    bool hides = !text_equal(buf_view(&redacted), body);
    buf_deinit(&redacted);
    return hides;
}

// Numeric ids are never taken for card numbers; texts are looked into.
static bool tells_card(const struct expected_letter *letter)
{
    bool kept = letter->letter.reason == REASON_E_PAN && hides_something(letter->letter.body);
    return kept || card_scan_text(letter->letter.detail) || card_scan_text(letter->letter.event_id);
}

static void check_personal(struct checker *checker)
{
    static const enum bus_topic topics[] = {BUS_ORDERS_DLQ, BUS_PAYMENTS_DLQ};
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 1; i <= expected_letter_count(checker->expected, topics[t]); i++) {
            const struct expected_letter *letter = expected_letter(checker->expected, topics[t], i);
            if (!checker_ask(checker, !tells_personal(letter) && !tells_card(letter))) {
                checker_fail(checker, CHECK_I11_nothing_personal,
                             "%.*s, letter %zu (%.*s): tells card data or a personal field",
                             TEXT_PRINT(bus_topic_name(topics[t])), i,
                             TEXT_PRINT(reason_name(letter->letter.reason)));
            }
        }
    }
}

// --- the answer key -----------------------------------------------------------------------------

static enum generated_fate fate_of(struct letters *letters, const struct expected_message *message)
{
    const struct expected_event *event = message->event;
    if (event == NULL) {
        return GENERATED_REFUSED;
    }
    struct hash id;
    dead_letter_id_of_event(REASON_E_CONFLICT, &event->event, &id);
    if (index_find(&letters->index, &id) != NULL) {
        return GENERATED_CONFLICT;
    }
    if (event->event.kind == EVENT_ORDER) {
        return GENERATED_STORED;
    }
    dead_letter_id_of_event(REASON_E_UNMATCHED, &event->event, &id);
    const struct cause *cause = index_find(&letters->index, &id);
    return cause != NULL && !cause->order_there ? GENERATED_UNMATCHED : GENERATED_MATCHED;
}

static void check_fate(struct letters *letters, const struct expected_message *message)
{
    static const char *const names[] = {"stored",  "matched",   "unmatched",
                                        "refused", "duplicate", "conflict"};
    struct checker *checker = letters->checker;
    // A message refused for what lies outside of it changes what becomes of the others of its order.
    bool disturbed = message->event != NULL && message->event->order->refused_count > 0;
    if (!message->has_fate || disturbed) {
        return;
    }
    enum generated_fate fate = fate_of(letters, message);
    bool agrees = fate == message->fate &&
                  (fate != GENERATED_REFUSED || message->reason == message->fate_reason);
    if (message->fate == GENERATED_DUPLICATE) {
        agrees = message->event != NULL && message->event->message_count > 1;
    }
    if (!checker_ask(checker, agrees)) {
        checker_fail(checker, CHECK_answer_key_agrees,
                     "%.*s, message %.*s: is %s (%.*s), the generator says %s (%.*s)",
                     TEXT_PRINT(bus_topic_name(message->topic)), TEXT_PRINT(message->message_id),
                     names[fate], TEXT_PRINT(reason_name(message->reason)), names[message->fate],
                     TEXT_PRINT(reason_name(message->fate_reason)));
    }
}

static void check_fates(struct letters *letters)
{
    static const enum bus_topic topics[] = {BUS_ORDERS, BUS_PAYMENTS};
    struct expected *expected = letters->checker->expected;
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 1; i <= expected_message_count(expected, topics[t]); i++) {
            check_fate(letters, expected_message(expected, topics[t], i));
        }
    }
}

void checker_finish_letters(struct checker *checker)
{
    struct letters letters = {.checker = checker};
    add_causes(&letters);
    for (letters.view = 0; letters.view < checker->view_count; letters.view++) {
        cluster_visit_dead_letters(checker->options.cluster, checker->views[letters.view],
                                   check_record, &letters);
    }
    for (const struct cause *cause = letters.causes; cause != NULL; cause = cause->next) {
        check_required(&letters, cause);
    }
    check_personal(checker);
    check_fates(&letters);
    while (letters.causes != NULL) {
        struct cause *cause = letters.causes;
        letters.causes = cause->next;
        free(cause);
    }
    index_deinit(&letters.index);
}
