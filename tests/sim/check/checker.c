// Creating, telling, and what must hold at every change of a fact at a replica.
//
// In a cluster a projection may be that of a set which holds a row that is on its way and lacks one that
// another process has just stored; the larger set wins until the owner of the row on its way has read and
// projected all. So figures may fall while somebody is unfinished with the order, and at no other time.
// The order, payments once listed and the count of rows may never.
#include "checker_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FOLD_EPOCH_SHIFT   32 // of a projection's timestamp
#define WAITING_FEW        256u // entries, counted in each view, that are read whenever one is asked for
#define WAITING_A_QUESTION 16u // above that, so many may be read for one question

static const char *const check_names[] = {
#define X(name) #name,
    CHECK_TABLE(X)
#undef X
};

void checker_fail(struct checker *checker, enum check check, const char *format, ...)
{
    if (checker->check <= check && checker->check != CHECK_COUNT) {
        return;
    }
    checker->check = check;
    checker->steps_at_violation = sim_steps(checker->options.sim);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(checker->detail, sizeof(checker->detail), format, arguments);
    va_end(arguments);
}

bool checker_failed(const struct checker *checker)
{
    return checker->check != CHECK_COUNT && !checker->finishing;
}

const char *checker_replicas(unsigned mask)
{
    static const char *const names[] = {"none", "0",       "1",       "0 and 1",
                                        "2",    "0 and 2", "1 and 2", "all"};
    return names[mask & CLUSTER_ALL];
}

const char *checker_event_text(const struct event *event, char memory[160])
{
    if (event->kind == EVENT_ORDER) {
        (void)snprintf(memory, 160, "order %" PRId64 ", %s version %" PRId64, event->order_id,
                       order_version_rank_is_explicit(event->version_rank) ? "stated" : "implicit",
                       order_version_rank_value(event->version_rank));
    } else {
        (void)snprintf(memory, 160, "order %" PRId64 ", %s of payment %" PRId64 " \"%.*s\"",
                       event->order_id, event->kind == EVENT_NOTE ? "note" : "event",
                       event->entity_id, TEXT_PRINT(event->event_id));
    }
    return memory;
}

// --- who is unfinished --------------------------------------------------------------------------

struct waiting_visit {
    struct checker *checker;
    unsigned view;
};

static void note_waiting(const struct waiting_payment *entry, void *context)
{
    const struct waiting_visit *visit = context;
    struct index *index = &visit->checker->waiting;
    struct hash key = key_of_payment_event(entry->order_id, entry->payment_id, entry->event_id);
    uintptr_t views = (uintptr_t)index_find(index, &key) | (uintptr_t)1 << visit->view;
    index_put(index, &key, (void *)views); // a mask, not an address
    visit->checker->waiting_count++;
}

// Nothing changes within a step, in which the acks of a batch come.
static void read_waiting(struct checker *checker)
{
    uint64_t step = sim_steps(checker->options.sim);
    if (checker->waiting_read && checker->waiting_step == step) {
        return;
    }
    checker->waiting_read = true;
    checker->waiting_step = step;
    checker->waiting_count = checker->waiting_questions = 0;
    index_clear(&checker->waiting);
    for (unsigned view = 0; view < checker->view_count; view++) {
        struct waiting_visit visit = {checker, view};
        cluster_visit_waiting(checker->options.cluster, checker->views[view], note_waiting, &visit);
    }
}

bool checker_is_waiting(struct checker *checker, const struct event *event)
{
    checker->waiting_questions++;
    checker->waiting_asked++;
    size_t cost = checker->waiting_count + checker->waiting_asked;
    if (cost > WAITING_FEW && cost > checker->waiting_questions * WAITING_A_QUESTION) {
        return true;
    }
    read_waiting(checker);
    struct hash key = key_of_payment_event(event->order_id, event->entity_id, event->event_id);
    uintptr_t views = (uintptr_t)index_find(&checker->waiting, &key);
    return views == ((uintptr_t)1 << checker->view_count) - 1;
}

bool checker_is_unfinished(struct checker *checker, const struct expected_order *order)
{
    if (checker->options.shape == STORE_EMBEDDED || order == NULL) {
        return false; // transactions: all is done at once
    }
    return order->unacked > 0 || order->refused_count > 0;
}

// --- I7 -----------------------------------------------------------------------------------------

struct change {
    struct checker *checker;
    unsigned replica;
    int64_t order_id;
    const struct sim_fact *before;
    const struct sim_fact *after;
    const struct expected_order *order;
};

static bool is_rebuilt(const struct change *change)
{
    return change->checker->options.shape == STORE_CLUSTER &&
           change->before->timestamp >> FOLD_EPOCH_SHIFT !=
               change->after->timestamp >> FOLD_EPOCH_SHIFT;
}

static void check_row(const struct change *change)
{
    struct checker *checker = change->checker;
    const struct sim_fact *before = change->before;
    const struct sim_fact *after = change->after;
    if (!checker_ask(checker, !after->exists || after->has_order)) {
        checker_fail(checker, before->has_order ? CHECK_I7_order_stays : CHECK_I8_fact_has_order,
                     "order %" PRId64 ", replica %u: a facts row with %zu payments and no order",
                     change->order_id, change->replica, after->payment_count);
    }
    if (!checker_ask(checker, !before->has_order || after->has_order)) {
        checker_fail(checker, CHECK_I7_order_stays,
                     "order %" PRId64 ", replica %u: the fact lost its order", change->order_id,
                     change->replica);
    }
    if (!checker_ask(checker, after->n_rows >= before->n_rows || is_rebuilt(change))) {
        checker_fail(checker, CHECK_I7_rows_never_fall,
                     "order %" PRId64 ", replica %u: a projection of %" PRId64
                     " rows took the place of one of %" PRId64,
                     change->order_id, change->replica, after->n_rows, before->n_rows);
    }
}

static bool may_fall(const struct change *change)
{
    return is_rebuilt(change) || checker_is_unfinished(change->checker, change->order);
}

static void check_events(const struct change *change)
{
    bool fell = change->after->n_events < change->before->n_events;
    if (!checker_ask(change->checker, !fell || may_fall(change))) {
        checker_fail(change->checker, CHECK_I7_events_never_fall,
                     "order %" PRId64 ", replica %u: n_events fell from %" PRId64 " to %" PRId64
                     " and nobody is at work on the order",
                     change->order_id, change->replica, change->before->n_events,
                     change->after->n_events);
    }
}

// Two contents of one identity: then the figures may turn (and what is shown with them).
static bool has_conflict(const struct expected_order *order, int64_t payment_id)
{
    for (size_t i = 0; order != NULL && i < order->count; i++) {
        const struct event *event = &order->events[i]->event;
        for (size_t j = 0; event->entity_id == payment_id && j < i; j++) {
            if (event_conflicts(event, &order->events[j]->event)) {
                return true;
            }
        }
    }
    return false;
}

// What a payment without an amount captures is the total of the version that it was folded with. Where there
// are several, two sets of one size may stand side by side for a while: the order's columns of one, the
// payment's row of the other.
static bool has_one_version(const struct expected_order *order)
{
    size_t versions = 0;
    for (size_t i = 0; order != NULL && i < order->count; i++) {
        versions += order->events[i]->event.kind == EVENT_ORDER;
    }
    return versions == 1;
}

static void check_payment(const struct change *change, const struct sim_fact_payment *before,
                          const struct sim_fact_payment *after)
{
    bool captured_fell =
        after->captured_minor < before->captured_minor && has_one_version(change->order);
    bool shown_fell = after->shown_status < before->shown_status;
    bool explained = (!captured_fell && !shown_fell) ||
                     has_conflict(change->order, before->payment_id) || may_fall(change);
    if (!checker_ask(change->checker, explained)) {
        checker_fail(change->checker, CHECK_I7_figures_stay,
                     "order %" PRId64 ", payment %" PRId64 ", replica %u: captured %" PRId64
                     " and status %" PRId64 " became %" PRId64 " and %" PRId64 " (total %" PRId64
                     " of %" PRId64 " rows, then %" PRId64 " of %" PRId64 ")",
                     change->order_id, before->payment_id, change->replica, before->captured_minor,
                     before->shown_status, after->captured_minor, after->shown_status,
                     change->before->order_total_minor, change->before->n_rows,
                     change->after->order_total_minor, change->after->n_rows);
    }
}

// Both lists are by payment id.
static void check_payments(const struct change *change)
{
    const struct sim_fact *after = change->after;
    size_t at = 0;
    for (size_t i = 0; i < change->before->payment_count; i++) {
        const struct sim_fact_payment *before = &change->before->payments[i];
        while (at < after->payment_count && after->payments[at].payment_id < before->payment_id) {
            at++;
        }
        bool there =
            at < after->payment_count && after->payments[at].payment_id == before->payment_id;
        if (checker_ask(change->checker, there)) {
            check_payment(change, before, &after->payments[at]);
        } else {
            checker_fail(change->checker, CHECK_I7_payment_stays,
                         "order %" PRId64 ", payment %" PRId64
                         ", replica %u: the payment, with %" PRId64 " captured, left the fact",
                         change->order_id, before->payment_id, change->replica,
                         before->captured_minor);
        }
    }
}

static void on_fact_changed(void *context, unsigned replica, int64_t order_id,
                            const struct sim_fact *before, const struct sim_fact *after)
{
    struct checker *checker = context;
    if (checker_failed(checker)) {
        return;
    }
    expected_take_in(checker->expected);
    struct expected_order *order = expected_order(checker->expected, order_id);
    struct change change = {checker, replica, order_id, before, after, order};
    if (!checker_ask(checker, order != NULL)) {
        checker_fail(checker, CHECK_I8_fact_is_published,
                     "order %" PRId64 ", replica %u: a fact of an order that nobody published",
                     order_id, replica);
        return;
    }
    check_row(&change);
    check_events(&change);
    check_payments(&change);
}

// --- the checker --------------------------------------------------------------------------------

struct checker *checker_create(const struct checker_options *options)
{
    struct checker *checker = calloc(1, sizeof(*checker));
    if (checker == NULL) {
        abort();
    }
    checker->options = *options;
    checker->check = CHECK_COUNT;
    checker->expected = expected_create(options->broker, options->rules);
    if (options->shape == STORE_CLUSTER) {
        static const unsigned pairs[VIEWS_MAX] = {3u, 5u, 6u};
        checker->replica_count = CLUSTER_REPLICAS;
        checker->quorum = CLUSTER_REPLICAS / 2 + 1;
        checker->view_count = VIEWS_MAX;
        for (unsigned i = 0; i < VIEWS_MAX; i++) {
            checker->views[i] = pairs[i];
        }
    } else {
        checker->replica_count = checker->quorum = checker->view_count = 1;
        checker->views[0] = 1;
    }
    sim_broker_on_acked(options->broker, checker_on_acked, checker);
    cluster_on_fact_changed(options->cluster, on_fact_changed, checker);
    return checker;
}

void checker_destroy(struct checker **checker)
{
    struct checker *gone = *checker;
    *checker = NULL;
    if (gone == NULL) {
        return;
    }
    sim_broker_on_acked(gone->options.broker, NULL, NULL);
    cluster_on_fact_changed(gone->options.cluster, NULL, NULL);
    expected_destroy(&gone->expected);
    index_deinit(&gone->waiting);
    index_deinit(&gone->recorded);
    index_deinit(&gone->records);
    free(gone);
}

void checker_expect(struct checker *checker, enum bus_topic topic, uint64_t sequence,
                    enum generated_fate fate, enum reason reason)
{
    expected_take_in(checker->expected);
    struct expected_message *message = expected_message(checker->expected, topic, sequence);
    if (message != NULL) {
        message->has_fate = true;
        message->fate = fate;
        message->fate_reason = reason;
    }
}

const char *checker_violation(const struct checker *checker)
{
    return checker->check == CHECK_COUNT ? NULL : check_names[checker->check];
}

const char *checker_detail(const struct checker *checker)
{
    return checker->detail;
}

uint64_t checker_steps_at_violation(const struct checker *checker)
{
    return checker->steps_at_violation;
}

uint64_t checker_checks(const struct checker *checker)
{
    return checker->checks;
}
