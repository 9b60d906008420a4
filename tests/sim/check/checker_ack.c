// What must hold at the instant of an ack.
//
// An event is at a majority of the replicas, whatever happened. Beyond that, an order's fact holds it, or
// a larger projection of somebody who is not finished does not yet. A payment is in the fact of its order,
// or indexed in a bucket that no sweeper has finished, or noted as dead. And once all that was published
// for an order is acked and nobody is unfinished with it, the fact is exactly the fold.
#include "checker_internal.h"

#include <inttypes.h>
#include <stdlib.h>

#define EXACT_EVENTS_MAX 64u // the naive fold is cubic; hot orders are compared in the end

struct ack {
    struct checker *checker;
    const struct expected_message *message;
    struct expected_order *order;
    const struct event *event;
    struct sim_fact facts[CLUSTER_REPLICAS];
    char text[160];
};

typedef bool holds_fn(const struct ack *ack, const struct sim_fact *fact);

static unsigned count_facts(const struct ack *ack, holds_fn *holds)
{
    unsigned count = 0;
    for (unsigned i = 0; i < ack->checker->replica_count; i++) {
        count += ack->facts[i].exists && holds(ack, &ack->facts[i]);
    }
    return count;
}

static bool is_unfinished(const struct ack *ack)
{
    return checker_is_unfinished(ack->checker, ack->order);
}

// --- the event ----------------------------------------------------------------------------------

// Embedded, of two unversioned orders that say the same only the later one is kept.
static bool is_repeated(const struct ack *ack)
{
    const struct event **rows = NULL;
    bool repeated = false;
    size_t count = cluster_events(ack->checker->options.cluster, 1u, ack->event->order_id, &rows);
    for (size_t i = 0; i < count; i++) {
        repeated |= expected_repeats(ack->event, rows[i]);
    }
    free(rows);
    return repeated;
}

static void check_durable(struct ack *ack)
{
    struct checker *checker = ack->checker;
    unsigned count = 0;
    unsigned mask = 0;
    for (unsigned i = 0; i < checker->replica_count; i++) {
        bool there = cluster_has_event(checker->options.cluster, i, ack->event);
        count += there;
        mask |= (unsigned)there << i;
    }
    bool durable =
        count >= checker->quorum || (checker->options.shape == STORE_EMBEDDED && is_repeated(ack));
    if (!checker_ask(checker, durable)) {
        checker_fail(checker, CHECK_I4_durable_before_ack,
                     "%s: message %.*s was acked; the event is stored at replicas: %s",
                     checker_event_text(ack->event, ack->text),
                     TEXT_PRINT(ack->message->message_id), checker_replicas(mask));
    }
}

// --- the fact -----------------------------------------------------------------------------------

static bool has_order(const struct ack *ack, const struct sim_fact *fact)
{
    (void)ack;
    return fact->has_order;
}

static bool has_version(const struct ack *ack, const struct sim_fact *fact)
{
    return fact->has_order && fact->version_rank >= ack->event->version_rank;
}

static void check_order(struct ack *ack)
{
    struct checker *checker = ack->checker;
    unsigned versions = count_facts(ack, has_version);
    bool excused = versions < checker->quorum && count_facts(ack, has_order) >= checker->quorum &&
                   is_unfinished(ack);
    if (!checker_ask(checker, versions >= checker->quorum || excused)) {
        checker_fail(checker, CHECK_I4_projected_before_ack,
                     "%s: acked, and %u replicas have a fact with this version or a later one",
                     checker_event_text(ack->event, ack->text), versions);
    }
}

static const struct sim_fact_payment *find_payment(const struct sim_fact *fact, int64_t payment_id)
{
    for (size_t i = 0; i < fact->payment_count; i++) {
        if (fact->payments[i].payment_id == payment_id) {
            return &fact->payments[i];
        }
    }
    return NULL;
}

static bool has_twin(const struct ack *ack)
{
    for (size_t i = 0; i < ack->order->count; i++) {
        if (event_conflicts(&ack->order->events[i]->event, ack->event)) {
            return true;
        }
    }
    return false;
}

// The payment is listed and shows this event or one of a higher rank. The loser of a conflict may be shown
// by nothing.
static bool shows_payment(const struct ack *ack, const struct sim_fact *fact)
{
    const struct sim_fact_payment *payment = find_payment(fact, ack->event->entity_id);
    if (payment == NULL || !fact->has_order) {
        return false;
    }
    int64_t status = (int64_t)ack->event->payment.status;
    return payment->shown_status > status ||
           (payment->shown_status == status &&
            text_compare(payment->shown_event_id, ack->event->event_id) >= 0) ||
           has_twin(ack);
}

static bool is_dead(const struct ack *ack)
{
    unsigned views = 0;
    for (unsigned view = 0; view < ack->checker->view_count; view++) {
        const struct event **rows = NULL;
        size_t count = cluster_events(ack->checker->options.cluster, ack->checker->views[view],
                                      ack->event->order_id, &rows);
        bool dead = false;
        for (size_t i = 0; i < count; i++) {
            const struct event *row = rows[i];
            dead |= row->kind == EVENT_NOTE && row->entity_id == ack->event->entity_id &&
                    (row->note.kind == NOTE_DEAD || row->note.kind == NOTE_DISCARDED) &&
                    text_equal(row->note.about, ack->event->event_id);
        }
        views += dead;
        free(rows);
    }
    return views == ack->checker->view_count;
}

static void check_payment(struct ack *ack)
{
    struct checker *checker = ack->checker;
    unsigned shown = count_facts(ack, shows_payment);
    if (checker_ask(checker, shown >= checker->quorum)) {
        return;
    }
    bool has_place = checker_is_waiting(checker, ack->event) || is_dead(ack) ||
                     (count_facts(ack, has_order) >= checker->quorum && is_unfinished(ack));
    if (!checker_ask(checker, has_place)) {
        checker_fail(checker,
                     count_facts(ack, has_order) > 0 ? CHECK_I4_projected_before_ack
                                                     : CHECK_I4_indexed_before_ack,
                     "%s: acked; facts of %u replicas show it, it waits in no open bucket and is "
                     "not noted as dead",
                     checker_event_text(ack->event, ack->text), shown);
    }
}

// Everything that was published for the order is acked.
static void check_exact(struct ack *ack)
{
    struct checker *checker = ack->checker;
    const struct expected_order *order = ack->order;
    if (order->unacked > 0 || order->refused_count > 0 || order->count > EXACT_EVENTS_MAX) {
        return;
    }
    const struct fact *fold = &expected_fold(checker->expected, order, 0)->fact;
    if (fold->order == NULL) {
        return;
    }
    char memory[160];
    const char *differs = "there is no fact";
    unsigned same = 0;
    for (unsigned i = 0; i < checker->replica_count; i++) {
        const char *here = checker_compare_fact(&ack->facts[i], fold, false, memory);
        same += here == NULL;
        differs = here != NULL ? here : differs;
    }
    if (!checker_ask(checker, same >= checker->quorum || is_unfinished(ack))) {
        checker_fail(checker, CHECK_I4_projected_before_ack,
                     "order %" PRId64 ": all %zu events are acked, and the fact is right at %u "
                     "replicas only: %s",
                     order->order_id, order->count, same, differs);
    }
}

// --- messages -----------------------------------------------------------------------------------

static void check_refused(struct checker *checker, const struct expected_message *message)
{
    uint32_t wanted = 1u << message->reason | 1u << REASON_E_POISON;
    if (!checker_ask(checker, (message->letter_reasons & wanted) != 0)) {
        checker_fail(checker, CHECK_I4_refused_before_ack,
                     "%.*s, message %.*s was refused (%.*s) and acked, and no dead letter of it is "
                     "published",
                     TEXT_PRINT(bus_topic_name(message->topic)), TEXT_PRINT(message->message_id),
                     TEXT_PRINT(reason_name(message->reason)));
    }
}

static void check_applied(struct checker *checker, const struct expected_message *message)
{
    struct ack ack = {.checker = checker,
                      .message = message,
                      .order = message->event->order,
                      .event = &message->event->event};
    for (unsigned i = 0; i < checker->replica_count; i++) {
        cluster_fact(checker->options.cluster, 1u << i, ack.event->order_id, &ack.facts[i]);
    }
    check_durable(&ack);
    if (ack.event->kind == EVENT_ORDER) {
        check_order(&ack);
    } else {
        check_payment(&ack);
    }
    check_exact(&ack);
    for (unsigned i = 0; i < checker->replica_count; i++) {
        sim_fact_deinit(&ack.facts[i]);
    }
}

static void check_source(struct checker *checker, enum bus_topic topic, uint64_t sequence)
{
    struct expected_message *message = expected_message(checker->expected, topic, sequence);
    if (message == NULL) {
        return;
    }
    if (message->event != NULL && !message->acked) {
        if (message->event->acked_count++ == 0) {
            message->event->first_acked_us = sim_now_us(checker->options.sim);
        }
        message->event->order->unacked--;
    }
    if (topic == BUS_ORDERS && message->event != NULL &&
        message->event->order->order_acked_us == 0) {
        message->event->order->order_acked_us = sim_now_us(checker->options.sim);
    }
    message->acked = true;
    if (message->event == NULL) {
        check_refused(checker, message);
    } else if (!expected_refused_late(message)) {
        check_applied(checker, message);
    }
}

// --- dead letters -------------------------------------------------------------------------------

struct record_visit {
    struct checker *checker;
    unsigned view;
};

static void note_record(const struct dead_letter_record *record, void *context)
{
    const struct record_visit *visit = context;
    struct checker *checker = visit->checker;
    uintptr_t views = (uintptr_t)index_find(&checker->records, &record->id) | (uintptr_t)1
                                                                                  << visit->view;
    index_put(&checker->records, &record->id, (void *)views); // a mask, not an address
    if (views == ((uintptr_t)1 << checker->view_count) - 1) {
        index_put(&checker->recorded, &record->id, checker);
    }
}

// Records never go away, so those that were seen once are not looked for again.
static bool is_recorded(struct checker *checker, const struct hash *id)
{
    if (index_find(&checker->recorded, id) != NULL) {
        return true;
    }
    index_clear(&checker->records);
    for (unsigned view = 0; view < checker->view_count; view++) {
        struct record_visit visit = {checker, view};
        cluster_visit_dead_letters(checker->options.cluster, checker->views[view], note_record,
                                   &visit);
    }
    return index_find(&checker->recorded, id) != NULL;
}

static void check_letter(struct checker *checker, enum bus_topic topic, uint64_t sequence)
{
    const struct expected_letter *letter = expected_letter(checker->expected, topic, sequence);
    if (letter != NULL && !checker_ask(checker, is_recorded(checker, &letter->letter.id))) {
        checker_fail(checker, CHECK_I4_recorded_before_ack,
                     "%.*s, letter %" PRIu64 " (%.*s, order %" PRId64 ", payment %" PRId64
                     ") was acked and is not recorded at a majority",
                     TEXT_PRINT(bus_topic_name(topic)), sequence,
                     TEXT_PRINT(reason_name(letter->letter.reason)), letter->letter.order_id,
                     letter->letter.payment_id);
    }
}

void checker_on_acked(void *context, enum bus_topic topic, const struct sim_message *message)
{
    struct checker *checker = context;
    if (checker_failed(checker)) {
        return;
    }
    expected_take_in(checker->expected);
    if (topic == BUS_ORDERS || topic == BUS_PAYMENTS) {
        check_source(checker, topic, message->sequence);
    } else {
        check_letter(checker, topic, message->sequence);
    }
}
