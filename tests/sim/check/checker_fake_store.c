// What the replicas of the world made by hand hold: the functions of store_sim.h that the checker looks
// through.
#include "checker_fake.h"

#include "dead_letter.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

// --- events -------------------------------------------------------------------------------------

static void insert(struct fake *fake, unsigned replicas, const struct event *event)
{
    for (unsigned i = 0; i < CLUSTER_REPLICAS; i++) {
        struct fake_replica *replica = &fake->cluster.replicas[i];
        if ((replicas & 1u << i) != 0 && !cluster_has_event(&fake->cluster, i, event)) {
            assert(replica->event_count < FAKE_ITEMS_MAX);
            replica->events[replica->event_count++] = *event;
        }
    }
}

void fake_store(struct fake *fake, unsigned replicas, enum bus_topic topic, uint64_t sequence)
{
    struct event event = fake_event(fake, topic, sequence);
    insert(fake, replicas, &event);
}

void fake_note(struct fake *fake, unsigned replicas, enum note_kind kind,
               const struct event *payment)
{
    struct note note = {kind, payment->event_id, TEXT("m1-1")};
    struct event event;
    char *id = arena_alloc(&fake->arena, EVENT_NOTE_ID_SIZE);
    event_of_note(payment->order_id, payment->entity_id, &note, id, &event);
    insert(fake, replicas, &event);
}

void fake_forget(struct fake *fake, unsigned replicas, const struct event *event)
{
    for (unsigned i = 0; i < CLUSTER_REPLICAS; i++) {
        struct fake_replica *replica = &fake->cluster.replicas[i];
        size_t kept = 0;
        for (size_t k = 0; k < replica->event_count; k++) {
            if ((replicas & 1u << i) == 0 || event_compare(&replica->events[k], event) != 0) {
                replica->events[kept++] = replica->events[k];
            }
        }
        replica->event_count = kept;
    }
}

size_t cluster_events(struct cluster *cluster, unsigned replicas, int64_t order_id,
                      const struct event ***out_rows)
{
    size_t count = 0;
    const struct event **rows = calloc(CLUSTER_REPLICAS * FAKE_ITEMS_MAX, sizeof(rows[0]));
    assert(rows != NULL);
    for (unsigned i = 0; i < CLUSTER_REPLICAS; i++) {
        const struct fake_replica *replica = &cluster->replicas[i];
        size_t others = count; // a replica's own rows are not compared: a test may store one twice
        for (size_t k = 0; (replicas & 1u << i) != 0 && k < replica->event_count; k++) {
            bool known = replica->events[k].order_id != order_id;
            for (size_t r = 0; r < others && !known; r++) {
                known = event_compare(rows[r], &replica->events[k]) == 0;
            }
            if (!known) {
                rows[count++] = &replica->events[k];
            }
        }
    }
    *out_rows = rows;
    return count;
}

bool cluster_has_event(struct cluster *cluster, unsigned replica, const struct event *event)
{
    const struct fake_replica *at = &cluster->replicas[replica];
    for (size_t i = 0; i < at->event_count; i++) {
        if (at->events[i].order_id == event->order_id &&
            event_compare(&at->events[i], event) == 0) {
            return true;
        }
    }
    return false;
}

size_t cluster_order_ids(struct cluster *cluster, int64_t **out_ids)
{
    size_t count = 0;
    int64_t *ids = calloc(CLUSTER_REPLICAS * FAKE_ITEMS_MAX, sizeof(ids[0]));
    assert(ids != NULL);
    for (unsigned i = 0; i < CLUSTER_REPLICAS; i++) {
        for (size_t k = 0; k < cluster->replicas[i].event_count; k++) {
            ids[count++] = cluster->replicas[i].events[k].order_id;
        }
    }
    *out_ids = ids;
    return count;
}

// --- facts --------------------------------------------------------------------------------------

struct sim_fact *fake_fact(struct fake *fake, unsigned replica, int64_t order_id)
{
    struct fake_replica *at = &fake->cluster.replicas[replica];
    for (size_t i = 0; i < at->fact_count; i++) {
        if (at->facts[i].order_id == order_id) {
            return &at->facts[i].fact;
        }
    }
    return NULL;
}

void fake_change(struct fake *fake, unsigned replica, int64_t order_id,
                 const struct sim_fact *before)
{
    static const struct sim_fact none;
    if (fake->cluster.changed != NULL) {
        fake->cluster.changed(fake->cluster.changed_context, replica, order_id,
                              before != NULL ? before : &none, fake_fact(fake, replica, order_id));
    }
}

static struct sim_fact sim_fact_of(struct fake *fake, const struct fact *fold)
{
    struct sim_fact fact = {
        .exists = true,
        .has_order = true,
        .order_hash = fold->order->hash,
        .version_rank = fold->order->version_rank,
        .currency_index = fold->currency.index,
        .order_total_minor = fold->order_total_minor,
        .amount_paid_minor = fold->amount_paid_minor,
        .amount_refunded_minor = fold->amount_refunded_minor,
        .amount_charged_back_minor = fold->amount_charged_back_minor,
        .settlement = (int64_t)fold->settlement,
        .match_issue = (int64_t)fold->match_issue,
        .n_events = fold->n_events,
        .n_rows = fold->n_rows,
        .timestamp = fold->n_rows,
        .payments = ARENA_ARRAY(&fake->arena, struct sim_fact_payment, fold->payment_count),
        .payment_count = fold->payment_count,
    };
    for (size_t i = 0; i < fold->payment_count; i++) {
        const struct fact_payment *payment = &fold->payments[i];
        fact.payments[i] = (struct sim_fact_payment){
            .payment_id = payment->payment_id,
            .captured_minor = payment->captured_minor,
            .refunded_minor = payment->refunded_minor,
            .charged_back_minor = payment->charged_back_minor,
            .shown_event_id = payment->shown->event_id,
            .shown_status = (int64_t)payment->shown->payment.status,
        };
    }
    return fact;
}

static void set_fact(struct fake *fake, unsigned replica, int64_t order_id,
                     const struct sim_fact *fact)
{
    struct fake_replica *at = &fake->cluster.replicas[replica];
    struct sim_fact *old = fake_fact(fake, replica, order_id);
    struct sim_fact before = old != NULL ? *old : (struct sim_fact){0};
    if (old != NULL) {
        *old = *fact;
    } else {
        assert(at->fact_count < FAKE_ITEMS_MAX);
        at->facts[at->fact_count++] = (struct fake_fact){order_id, *fact};
    }
    fake_change(fake, replica, order_id, &before);
}

void fake_project(struct fake *fake, unsigned replicas, int64_t order_id)
{
    const struct event *sorted[FAKE_ITEMS_MAX];
    const struct event *losers[FAKE_ITEMS_MAX];
    struct fact_payment payments[FAKE_ITEMS_MAX];
    struct fold_space space = {sorted, losers, payments};
    const struct event **rows = NULL;
    size_t count = cluster_events(&fake->cluster, replicas, order_id, &rows);
    struct fact fold_fact;
    enum err err = fold(rows, count, &fake->rules.fold, &space, &fold_fact);
    free(rows);
    assert(err == ERR_OK);
    for (unsigned i = 0; fold_fact.order != NULL && i < CLUSTER_REPLICAS; i++) {
        if ((replicas & 1u << i) != 0) {
            struct sim_fact fact = sim_fact_of(fake, &fold_fact); // each has payments of its own
            set_fact(fake, i, order_id, &fact);
        }
    }
}

void cluster_fact(struct cluster *cluster, unsigned replicas, int64_t order_id,
                  struct sim_fact *out_fact)
{
    *out_fact = (struct sim_fact){0};
    for (unsigned i = 0; i < CLUSTER_REPLICAS; i++) {
        const struct fake_replica *at = &cluster->replicas[i];
        for (size_t k = 0; (replicas & 1u << i) != 0 && k < at->fact_count; k++) {
            const struct sim_fact *fact = &at->facts[k].fact;
            if (at->facts[k].order_id == order_id && fact->exists &&
                (!out_fact->exists || fact->timestamp > out_fact->timestamp)) {
                *out_fact = *fact;
            }
        }
    }
    size_t size = out_fact->payment_count * sizeof(out_fact->payments[0]);
    struct sim_fact_payment *payments = malloc(size + 1);
    assert(payments != NULL);
    if (size > 0) {
        memcpy(payments, out_fact->payments, size);
    }
    out_fact->payments = payments;
}

void sim_fact_deinit(struct sim_fact *fact)
{
    free(fact->payments);
    fact->payments = NULL;
}

void cluster_visit_tallies(struct cluster *cluster, cluster_tally_fn *visit, void *context)
{
    for (size_t i = 0; i < cluster->tally_count; i++) {
        visit(&cluster->tallies[i], context);
    }
}

uint64_t cluster_applied(struct cluster *cluster, enum applied_topic topic)
{
    return cluster->applied[topic];
}

void cluster_on_fact_changed(struct cluster *cluster, cluster_fact_changed_fn *changed,
                             void *context)
{
    cluster->changed = changed;
    cluster->changed_context = context;
}

// --- waiting payments and dead letters ------------------------------------------------------------

void fake_wait(struct fake *fake, unsigned replicas, const struct event *payment)
{
    for (unsigned i = 0; i < CLUSTER_REPLICAS; i++) {
        struct fake_replica *replica = &fake->cluster.replicas[i];
        if ((replicas & 1u << i) != 0) {
            replica->waiting[replica->waiting_count++] = (struct waiting_payment){
                .order_id = payment->order_id,
                .payment_id = payment->entity_id,
                .event_id = payment->event_id,
            };
        }
    }
}

static bool same_entry(const struct waiting_payment *a, const struct waiting_payment *b)
{
    return a->order_id == b->order_id && a->payment_id == b->payment_id &&
           text_equal(a->event_id, b->event_id);
}

// Each entry once, as from a read that asked them all.
void cluster_visit_waiting(struct cluster *cluster, unsigned replicas, cluster_waiting_fn *visit,
                           void *context)
{
    const struct waiting_payment *seen[CLUSTER_REPLICAS * FAKE_ITEMS_MAX];
    size_t seen_count = 0;
    for (unsigned i = 0; i < CLUSTER_REPLICAS; i++) {
        const struct fake_replica *replica = &cluster->replicas[i];
        for (size_t k = 0; (replicas & 1u << i) != 0 && k < replica->waiting_count; k++) {
            bool known = false;
            for (size_t s = 0; s < seen_count; s++) {
                known |= same_entry(seen[s], &replica->waiting[k]);
            }
            if (!known) {
                seen[seen_count++] = &replica->waiting[k];
                visit(&replica->waiting[k], context);
            }
        }
    }
}

void fake_record(struct fake *fake, unsigned replicas, enum bus_topic topic, uint64_t sequence,
                 enum dead_letter_state state)
{
    const struct sim_message *message = &fake->broker.messages[topic][sequence - 1];
    struct dead_letter letter;
    if (dead_letter_read(message->data, message->attributes, message->message_id,
                         message->published_us, &fake->arena, &letter) != ERR_OK) {
        abort();
    }
    for (unsigned i = 0; i < CLUSTER_REPLICAS; i++) {
        struct fake_replica *replica = &fake->cluster.replicas[i];
        if ((replicas & 1u << i) != 0) {
            replica->records[replica->record_count++] = (struct dead_letter_record){
                .id = letter.id,
                .reason = letter.reason,
                .state = state,
                .source_topic = letter.source_topic,
                .source_message_id = letter.source_message_id,
                .first_seen_us = letter.first_seen_us,
                .order_id = letter.order_id,
                .payment_id = letter.payment_id,
                .event_id = letter.event_id,
                .attempts = letter.attempts,
            };
        }
    }
}

void cluster_visit_dead_letters(struct cluster *cluster, unsigned replicas,
                                cluster_dead_letter_fn *visit, void *context)
{
    const struct dead_letter_record *seen[CLUSTER_REPLICAS * FAKE_ITEMS_MAX];
    size_t seen_count = 0;
    for (unsigned i = 0; i < CLUSTER_REPLICAS; i++) {
        const struct fake_replica *replica = &cluster->replicas[i];
        for (size_t k = 0; (replicas & 1u << i) != 0 && k < replica->record_count; k++) {
            bool known = false;
            for (size_t s = 0; s < seen_count; s++) {
                known |= hash_equal(&seen[s]->id, &replica->records[k].id);
            }
            if (!known) {
                seen[seen_count++] = &replica->records[k];
                visit(&replica->records[k], context);
            }
        }
    }
}
