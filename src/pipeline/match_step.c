// The matching protocol, in the order in which it happens: group by order, insert, read, fold, judge
// each message, publish dead letters, project, index what waits.
#include "match_step.h"

#include "group.h"

#include <assert.h>
#include <string.h>

struct step {
    struct matcher *matcher;
    struct batch_item *items;
    size_t count;
    struct arena *arena;
    struct grouping grouping;
    struct letters letters;
    struct waiting_payment *waiting;
    size_t waiting_count;
    struct why *why;
};

static enum err no_memory(struct why *why)
{
    return why_set(why, ERR_NO_MEMORY, "a batch needs more memory than its arena has");
}

int64_t match_due_us(const struct pipeline_rules *rules, int64_t published_us, int64_t now_us)
{
    int64_t due_us = published_us + rules->grace_us;
    due_us = due_us > now_us ? due_us : now_us;
    int64_t rest_us = due_us % rules->bucket_us;
    return rest_us == 0 ? due_us : due_us - rest_us + rules->bucket_us;
}

int32_t match_shard(const struct pipeline_rules *rules, int64_t order_id)
{
    return (int32_t)(hash_mix_u64((uint64_t)order_id) % (uint64_t)rules->shards);
}

// --- fold --------------------------------------------------------------------------------------

// A store that several processes write tells projections apart by their set's hash.
static enum err fold_group(const struct matcher *matcher, struct store_group *group,
                           struct arena *arena, struct why *why)
{
    struct fold_rules rules = matcher->rules->fold;
    rules.want_set_hash = rules.want_set_hash || !matcher->store->transactional;
    struct fold_space space = {
        .sorted = ARENA_ARRAY(arena, const struct event *, group->row_count),
        .losers = ARENA_ARRAY(arena, const struct event *, group->row_count),
        .payments = ARENA_ARRAY(arena, struct fact_payment, group->row_count),
    };
    if (arena_overflowed(arena)) {
        return no_memory(why);
    }
    enum err err = fold(group->rows, group->row_count, &rules, &space, &group->fact);
    group->fact.order_id = group->order_id;
    return err == ERR_OK
               ? ERR_OK
               : why_set(why, err, "the sums of order %lld do not fit", (long long)group->order_id);
}

enum err match_groups(struct matcher *matcher, struct store_group *groups, size_t count,
                      struct arena *arena, struct why *why)
{
    enum err err = store_insert_events(matcher->store, groups, count, why);
    if (err == ERR_OK) {
        err = store_read_partitions(matcher->store, groups, count, arena, why);
    }
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        err = fold_group(matcher, &groups[i], arena, why);
    }
    return err == ERR_OK ? store_write_facts(matcher->store, groups, count, why) : err;
}

// --- what each message turned out to be -----------------------------------------------------------

static struct batch_item *item_of(struct incoming *incoming)
{
    return (struct batch_item *)((char *)incoming - offsetof(struct batch_item, incoming));
}

static void take_row_out(struct store_group *group, const struct event *row)
{
    size_t kept = 0;
    for (size_t i = 0; i < group->row_count; i++) {
        if (group->rows[i] != row) {
            group->rows[kept++] = group->rows[i];
        }
    }
    group->row_count = kept;
}

// The greatest order version among the rows, without `except`; NULL when there is none.
static const struct event *greatest_version(const struct store_group *group,
                                            const struct event *except)
{
    const struct event *greatest = NULL;
    for (size_t i = 0; i < group->row_count; i++) {
        const struct event *row = group->rows[i];
        bool greater = row->kind == EVENT_ORDER && row != except &&
                       (greatest == NULL || row->version_rank > greatest->version_rank);
        greatest = greater ? row : greatest;
    }
    return greatest;
}

// The winner, when `event` is an unversioned order that says the same; else NULL. Content that names no
// currency is the same under any default one, but its money is not.
static const struct event *repeated_winner(const struct store_group *group,
                                           const struct event *event)
{
    if (event->kind != EVENT_ORDER || order_version_rank_is_explicit(event->version_rank)) {
        return NULL;
    }
    const struct event *winner = greatest_version(group, event);
    bool same = winner != NULL && hash_equal(&winner->hash, &event->hash) &&
                currency_equal(winner->order.currency, event->order.currency);
    return same ? winner : NULL;
}

static struct incoming *incoming_of(const struct store_group *group, const struct event *row)
{
    for (size_t i = 0; i < group->incoming_count; i++) {
        if (&group->incoming[i]->event == row) {
            return group->incoming[i];
        }
    }
    return NULL;
}

// An unversioned order that says what the winner says is a repetition. Only the later one of the two
// is kept: it outranks whatever came in between, so the fold is the same as with both. One that takes
// the place of a stored row is known as well, since that row was counted; of two that came in only
// one is, in whatever order they came.
static void drop_repetitions(struct store_group *group)
{
    for (size_t i = 0; i < group->incoming_count; i++) {
        struct incoming *incoming = group->incoming[i];
        const struct event *winner = NULL;
        while (incoming->outcome != INSERT_KNOWN &&
               (winner = repeated_winner(group, &incoming->event)) != NULL) {
            struct incoming *other = incoming_of(group, winner);
            bool is_earlier = winner->version_rank > incoming->event.version_rank;
            bool other_is_known = other == NULL || other->outcome == INSERT_KNOWN;
            if (is_earlier || other_is_known) {
                incoming->outcome = INSERT_KNOWN;
            } else {
                other->outcome = INSERT_KNOWN;
            }
            take_row_out(group, is_earlier ? &incoming->event : winner);
        }
    }
}

static bool conflicts_with_any(const struct store_group *group, const struct event *event)
{
    for (size_t i = 0; i < group->row_count; i++) {
        if (group->rows[i] != event && event_conflicts(group->rows[i], event)) {
            return true;
        }
    }
    return false;
}

static size_t rows_of_kind(const struct store_group *group, enum event_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < group->row_count; i++) {
        count += group->rows[i]->kind == kind;
    }
    return count;
}

// A partition that is full takes no further event of that kind, so that no order can grow until it
// no longer fits into memory; what it has stays.
static void refuse_above_cap(struct step *step, struct store_group *group, enum event_kind kind)
{
    size_t count = rows_of_kind(group, kind);
    for (size_t i = group->incoming_count; count > FOLD_EVENTS_OF_KIND_MAX && i > 0; i--) {
        struct incoming *incoming = group->incoming[i - 1];
        if (incoming->event.kind == kind && incoming->outcome == INSERT_NEW) {
            take_row_out(group, &incoming->event);
            hot_order_refuse(item_of(incoming), step->arena);
            count--;
        }
    }
}

static void judge_group(struct step *step, struct store_group *group)
{
    if (step->matcher->store->transactional) { // else the row is stored by now, and others read it
        drop_repetitions(group);
    }
    if (step->matcher->hot != NULL && !step->matcher->store->transactional) {
        hot_orders_note(step->matcher->hot, group);
    }
    if (group->row_count > FOLD_EVENTS_OF_KIND_MAX) {
        refuse_above_cap(step, group, EVENT_ORDER);
        refuse_above_cap(step, group, EVENT_PAYMENT);
    }
    for (size_t i = 0; i < group->incoming_count; i++) {
        struct incoming *incoming = group->incoming[i];
        struct batch_item *item = item_of(incoming);
        if (item->refusal != NULL) {
            continue;
        }
        bool known = incoming->outcome == INSERT_KNOWN;
        item->outcome = known ? OUTCOME_DUPLICATE : OUTCOME_STORED;
        if (!known && group->row_count > 1 && conflicts_with_any(group, &incoming->event)) {
            item->outcome = OUTCOME_CONFLICT;
        }
    }
}

// --- dead letters ------------------------------------------------------------------------------

static const struct bus_message *message_that_brought(const struct store_group *group,
                                                      const struct event *event)
{
    for (size_t i = 0; i < group->incoming_count; i++) {
        if (&group->incoming[i]->event == event) {
            return item_of(group->incoming[i])->message;
        }
    }
    return NULL;
}

// Whoever brings one side of a conflict sends the losers of it to the dead letters. Where the store
// can't say what was new, a repetition sends them again, under the same id.
static bool brought_by_batch(const struct store_group *group, const struct event *loser)
{
    for (size_t i = 0; i < group->incoming_count; i++) {
        const struct incoming *incoming = group->incoming[i];
        if (incoming->outcome != INSERT_KNOWN && event_same_identity(&incoming->event, loser)) {
            return true;
        }
    }
    return false;
}

static void collect_conflicts(struct step *step, const struct store_group *group)
{
    for (size_t i = 0; i < group->fact.loser_count; i++) {
        const struct event *loser = group->fact.losers[i];
        if (brought_by_batch(group, loser)) {
            letters_add_conflict(&step->letters, loser, message_that_brought(group, loser));
        }
    }
}

static void collect_refused(struct step *step)
{
    for (size_t i = 0; i < step->count; i++) {
        const struct batch_item *item = &step->items[i];
        if (item->refusal != NULL) {
            step->items[i].outcome = OUTCOME_REFUSED;
            letters_add_refused(&step->letters, item->source, item->message, item->refusal);
        }
    }
}

// --- waiting payments --------------------------------------------------------------------------

static void collect_waiting(struct step *step, const struct store_group *group)
{
    bool transactional = step->matcher->store->transactional;
    int64_t now_us = clock_wall_us(&step->matcher->clock);
    for (size_t i = 0; i < group->incoming_count; i++) {
        const struct batch_item *item = item_of(group->incoming[i]);
        const struct event *event = &item->incoming.event;
        // In a transaction, what is known was indexed together with its event.
        bool indexed = transactional && item->outcome == OUTCOME_DUPLICATE;
        if (event->kind != EVENT_PAYMENT || item->refusal != NULL || indexed) {
            continue;
        }
        step->waiting[step->waiting_count++] = (struct waiting_payment){
            .due_us = match_due_us(step->matcher->rules, event->published_us, now_us),
            .shard = match_shard(step->matcher->rules, event->order_id),
            .order_id = event->order_id,
            .payment_id = event->entity_id,
            .event_id = event->event_id,
            .published_us = event->published_us,
            .message_id = item->message->message_id,
            .attempts = item->message->delivery_attempt,
            .body = item->message->data,
        };
    }
}

// Writes the entries, then reads whether a bucket was closed meanwhile: then its sweeper may have read
// it before the entry was there, and the entry is written again into a bucket that is still open.
// One of the two sees the other.
static enum err insert_waiting(struct step *step)
{
    struct matcher *matcher = step->matcher;
    enum err err =
        store_insert_waiting(matcher->store, step->waiting, step->waiting_count, step->why);
    for (size_t i = 0; err == ERR_OK && i < step->waiting_count; i++) {
        struct waiting_payment *item = &step->waiting[i];
        struct waiting_bucket bucket = {item->due_us, item->shard};
        bool same_as_before = i > 0 && step->waiting[i - 1].due_us == bucket.due_us &&
                              step->waiting[i - 1].shard == bucket.shard;
        bool closed = false;
        if (!same_as_before) {
            err = store_bucket_is_closed(matcher->store, bucket, &closed, step->why);
        }
        while (err == ERR_OK && closed) {
            item->due_us += matcher->rules->bucket_us;
            err = store_insert_waiting(matcher->store, item, 1, step->why);
            bucket.due_us = item->due_us;
            if (err == ERR_OK) {
                err = store_bucket_is_closed(matcher->store, bucket, &closed, step->why);
            }
        }
    }
    return err;
}

// --- the step ----------------------------------------------------------------------------------

// Where the store says what is new, refuse_above_cap does it.
static enum err refuse_hot(struct step *step)
{
    const struct matcher *matcher = step->matcher;
    return matcher->hot == NULL || matcher->store->transactional
               ? ERR_OK
               : hot_orders_refuse(matcher->hot, matcher->store, step->items, step->count,
                                   step->arena, step->why);
}

static enum err insert_and_read(struct step *step)
{
    struct grouping *grouping = &step->grouping;
    struct store *store = step->matcher->store;
    enum err err = store_insert_events(store, grouping->groups, grouping->count, step->why);
    if (err != ERR_OK) {
        return err;
    }
    return store_read_partitions(store, grouping->groups, grouping->count, step->arena, step->why);
}

static enum err judge_and_fold(struct step *step)
{
    enum err err = ERR_OK;
    collect_refused(step);
    for (size_t i = 0; err == ERR_OK && i < step->grouping.count; i++) {
        struct store_group *group = &step->grouping.groups[i];
        judge_group(step, group);
        for (size_t k = 0; k < group->incoming_count; k++) {
            struct batch_item *item = item_of(group->incoming[k]);
            if (item->refusal != NULL) { // above the cap: found just now
                letters_add_refused(&step->letters, item->source, item->message, item->refusal);
            }
        }
        err = fold_group(step->matcher, group, step->arena, step->why);
        if (err == ERR_OK && group->fact.loser_count > 0) {
            collect_conflicts(step, group);
        }
        if (err == ERR_OK && group->fact.order == NULL) {
            collect_waiting(step, group);
        }
    }
    return err;
}

enum err match_step(struct matcher *matcher, struct batch_item *items, size_t count,
                    struct arena *arena, struct why *why)
{
    struct step step = {
        .matcher = matcher, .items = items, .count = count, .arena = arena, .why = why};
    step.waiting = ARENA_ARRAY(arena, struct waiting_payment, count);
    letters_init(&step.letters, arena);
    enum err err = refuse_hot(&step);
    if (err != ERR_OK) {
        return err;
    }
    grouping_build(&step.grouping, items, count, arena);
    if (arena_overflowed(arena)) {
        return no_memory(why);
    }
    err = insert_and_read(&step);
    if (err == ERR_OK) {
        err = judge_and_fold(&step);
    }
    if (err == ERR_OK) {
        err = letters_publish(&step.letters, matcher->bus, why);
    }
    if (err == ERR_OK) {
        err = store_write_facts(matcher->store, step.grouping.groups, step.grouping.count, why);
    }
    return err == ERR_OK ? insert_waiting(&step) : err;
}
