// One batch after another, each in transactions of at most slice_max messages.
#include "lane.h"

#include "failpoint.h"

#include <assert.h>
#include <string.h>

#define SLICE_MAX       BATCH_COUNT_MAX
#define RECOVER_WAIT_US 100000

static enum applied_topic applied_topic_of(enum bus_topic source)
{
    return source == BUS_ORDERS ? APPLIED_ORDERS : APPLIED_PAYMENTS;
}

// The two files must speak of the same history. An older topics.db would give out numbers again that
// count as applied: its messages would be acked unseen. An older facts.db has lost what was acked.
static enum err check_history(const struct ranges *applied, struct text topic,
                              const struct bus_backlog *backlog, struct why *why)
{
    uint64_t last = applied->count > 0 ? applied->items[applied->count - 1].last : 0;
    uint64_t acked = backlog->published - backlog->unacked;
    if (last > backlog->published) {
        return why_set(
            why, ERR_CORRUPT,
            "%.*s: message %llu is applied, but the log ends at %llu: topics.db is older "
            "than facts.db; put the newer one back, or move this one aside and start on a "
            "new one",
            TEXT_PRINT(topic), (unsigned long long)last, (unsigned long long)backlog->published);
    }
    if (acked > ranges_total(applied)) {
        return why_set(
            why, ERR_CORRUPT,
            "%.*s: %llu messages are acked, but facts.db knows of %llu: facts.db is older "
            "than topics.db or new; put the right one back, or move both aside",
            TEXT_PRINT(topic), (unsigned long long)acked,
            (unsigned long long)ranges_total(applied));
    }
    return ERR_OK;
}

static enum err load_applied(struct lane *lane, enum applied_topic topic, struct why *why)
{
    struct ranges *applied = &lane->applied[topic];
    struct bus *bus = lane->matcher.bus;
    enum bus_topic source = topic == APPLIED_ORDERS ? BUS_ORDERS : BUS_PAYMENTS;
    struct bus_backlog backlog = {0};
    enum err err = store_load_applied(lane->matcher.store, bus->log_id, topic, applied, why);
    if (err == ERR_OK) {
        err = bus_backlog(bus, source, &backlog, why);
    }
    return err == ERR_OK ? check_history(applied, bus_topic_name(source), &backlog, why) : err;
}

// Whether messages are told apart by their numbers, in the transaction of their effect.
static bool is_numbered(const struct matcher *matcher)
{
    return matcher->bus->log_id.size > 0 && matcher->store->transactional;
}

enum err lane_open(struct lane *lane, const struct matcher *matcher, struct text name,
                   struct log *log, struct why *why)
{
    memset(lane, 0, sizeof(*lane));
    lane->matcher = *matcher;
    lane->matcher.hot = &lane->hot;
    lane->log = log;
    lane->name = name;
    lane->slice_max = SLICE_MAX;
    enum err err = ERR_OK;
    for (size_t topic = 0; topic < APPLIED_TOPIC_COUNT; topic++) {
        ranges_init(&lane->applied[topic], LANE_RANGES_MAX);
        if (err == ERR_OK && is_numbered(matcher)) {
            err = load_applied(lane, (enum applied_topic)topic, why);
        }
    }
    uint32_t starts = 0;
    if (err == ERR_OK) {
        err = store_add_start(matcher->store, lane->name, &starts, why);
    }
    lane->starts_pending = true;
    lane->careful_left = starts > 1 ? BATCH_COUNT_MAX : 0;
    if (err != ERR_OK) {
        for (size_t topic = 0; topic < APPLIED_TOPIC_COUNT; topic++) {
            ranges_deinit(&lane->applied[topic]);
        }
    }
    return err;
}

static enum err clear_starts(struct lane *lane, struct why *why)
{
    if (!lane->starts_pending || lane->careful_left > 0) {
        return ERR_OK;
    }
    enum err err = store_clear_starts(lane->matcher.store, lane->name, why);
    lane->starts_pending = err != ERR_OK;
    return err;
}

void lane_abandon(struct lane *lane)
{
    for (size_t topic = 0; topic < APPLIED_TOPIC_COUNT; topic++) {
        ranges_deinit(&lane->applied[topic]);
    }
}

enum err lane_close(struct lane *lane, struct why *why)
{
    enum err err = clear_starts(lane, why); // not while messages are still taken one by one
    lane_abandon(lane);
    return err;
}

// --- the ledger --------------------------------------------------------------------------------

// Tallies of a slice, by topic, outcome and currency; kept small because few combinations occur.
struct tallies {
    struct tally *items;
    size_t count;
    size_t cap;
};

static void tally_item(struct tallies *tallies, const struct batch_item *item)
{
    struct tally tally = {applied_topic_of(item->source), item->outcome, CURRENCY_NONE, 1, 0};
    int64_t minor = 0;
    if (item->refusal == NULL &&
        event_stated_money(&item->incoming.event, &tally.currency, &minor)) {
        tally.amount_minor = minor;
    }
    for (size_t i = 0; i < tallies->count; i++) {
        struct tally *known = &tallies->items[i];
        if (known->topic == tally.topic && known->outcome == tally.outcome &&
            currency_equal(known->currency, tally.currency)) {
            known->messages++;
            known->amount_minor += tally.amount_minor;
            return;
        }
    }
    assert(tallies->count < tallies->cap);
    tallies->items[tallies->count++] = tally;
}

// Where messages have no numbers a redelivery counts as one more duplicate, or refusal. What was stored
// is counted once all the same, since the count is in the transaction of its effect.
static struct text tally_log(const struct lane *lane)
{
    struct text log_id = lane->matcher.bus->log_id;
    return log_id.size > 0 ? log_id : TEXT("unnumbered");
}

static enum err write_tallies(struct lane *lane, const struct batch_item *items, size_t count,
                              struct arena *arena, struct why *why)
{
    struct tallies tallies = {.cap = (size_t)APPLIED_TOPIC_COUNT * OUTCOME_COUNT *
                                     (currency_count() + 1)};
    tallies.items = ARENA_ARRAY(arena, struct tally, tallies.cap);
    if (tallies.items == NULL) {
        return why_set(why, ERR_NO_MEMORY, "a batch needs more memory than its arena has");
    }
    for (size_t i = 0; i < count; i++) {
        tally_item(&tallies, &items[i]);
    }
    return store_add_tallies(lane->matcher.store, tally_log(lane), tallies.items, tallies.count,
                             why);
}

// Adds the slice's message numbers of one topic as ranges, neighbours joined.
static enum err write_applied(struct lane *lane, enum applied_topic topic,
                              const struct batch_item *items, size_t count, struct arena *arena,
                              struct why *why)
{
    struct range *ranges = ARENA_ARRAY(arena, struct range, count);
    size_t range_count = 0;
    if (ranges == NULL) {
        return why_set(why, ERR_NO_MEMORY, "a batch needs more memory than its arena has");
    }
    for (size_t i = 0; i < count; i++) {
        if (applied_topic_of(items[i].source) != topic) {
            continue;
        }
        uint64_t sequence = items[i].message->sequence;
        if (range_count > 0 && ranges[range_count - 1].last + 1 == sequence) {
            ranges[range_count - 1].last = sequence;
        } else {
            ranges[range_count++] = (struct range){sequence, sequence};
        }
    }
    return store_add_applied(lane->matcher.store, lane->matcher.bus->log_id, topic, ranges,
                             range_count, why);
}

static enum err write_ledger(struct lane *lane, const struct batch_item *items, size_t count,
                             struct arena *arena, struct why *why)
{
    bool numbered = is_numbered(&lane->matcher);
    enum err err = write_tallies(lane, items, count, arena, why);
    for (size_t topic = 0; numbered && err == ERR_OK && topic < APPLIED_TOPIC_COUNT; topic++) {
        err = write_applied(lane, (enum applied_topic)topic, items, count, arena, why);
    }
    return err;
}

// After the commit: the same in memory. Failing to remember would count a redelivery twice.
static enum err remember(struct lane *lane, const struct batch_item *items, size_t count,
                         struct why *why)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < count; i++) {
        enum applied_topic topic = applied_topic_of(items[i].source);
        uint64_t sequence = items[i].message->sequence;
        atomic_fetch_add(&lane->counters.messages[topic][items[i].outcome], 1);
        if (err == ERR_OK && is_numbered(&lane->matcher)) {
            err = ranges_add(&lane->applied[topic], sequence, sequence);
        }
    }
    return err == ERR_OK ? ERR_OK
                         : why_set(why, ERR_NO_MEMORY,
                                   "the set of applied messages does not fit into memory");
}

// --- slices ------------------------------------------------------------------------------------

static enum err apply_in_transaction(struct lane *lane, struct batch_item *items, size_t count,
                                     struct arena *arena, struct why *why)
{
    struct store *store = lane->matcher.store;
    enum err err = store_begin(store, why);
    if (err != ERR_OK) {
        return err;
    }
    err = match_step(&lane->matcher, items, count, arena, why);
    if (err == ERR_OK) {
        err = write_ledger(lane, items, count, arena, why);
    }
    if (err == ERR_OK) {
        err = clear_starts(lane, why);
    }
    FAILPOINT("before_commit");
    if (err != ERR_OK) {
        store_rollback(store);
        return err;
    }
    err = store_commit(store, why);
    FAILPOINT("after_commit");
    if (err == ERR_OK && lane->committed != NULL) {
        lane->committed(items, count, lane->committed_context);
    }
    return err == ERR_OK ? remember(lane, items, count, why) : err;
}

// Takes back refusals that a rolled-back step had put into the arena.
static void forget_refusals_above(struct arena *arena, size_t mark, struct batch_item *items,
                                  size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if ((const unsigned char *)items[i].refusal >= arena->base + mark) {
            items[i].refusal = NULL;
        }
    }
}

// Applies in transactions of slice_max items; halves them when the partitions don't fit.
static enum err apply_slices(struct lane *lane, struct batch *batch, struct batch_item *items,
                             size_t count, struct why *why)
{
    size_t mark = arena_mark(&batch->arena);
    for (size_t first = 0; first < count;) {
        size_t left = count - first;
        size_t slice = left < lane->slice_max ? left : lane->slice_max;
        bool was_pending = lane->starts_pending;
        enum err err = apply_in_transaction(lane, items + first, slice, &batch->arena, why);
        if (err == ERR_OK) {
            first += slice;
            lane->slice_max = lane->slice_max < SLICE_MAX ? lane->slice_max * 2 : SLICE_MAX;
        } else {
            lane->starts_pending = was_pending;
            bool may_fit = err == ERR_NO_MEMORY && arena_overflowed(&batch->arena) && slice > 1;
            if (!may_fit) { // the memory is still needed to hand the batch back
                batch->arena.overflowed = false;
                arena_rewind(&batch->arena, mark);
                return err;
            }
            forget_refusals_above(&batch->arena, mark, items + first, slice);
            lane->slice_max = slice / 2;
        }
        batch->arena.overflowed = false;
        arena_rewind(&batch->arena, mark);
    }
    return ERR_OK;
}

// Moves what was not applied before to the front, in order; returns how many.
static size_t drop_applied(struct lane *lane, struct batch *batch, struct batch_item *out_items)
{
    size_t kept = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct batch_item *item = &batch->items[i];
        bool applied =
            is_numbered(&lane->matcher) &&
            ranges_contain(&lane->applied[applied_topic_of(item->source)], item->message->sequence);
        if (applied) {
            atomic_fetch_add(&lane->counters.redelivered, 1);
        } else {
            out_items[kept++] = *item;
        }
    }
    return kept;
}

static void count_batch(struct lane *lane, const struct batch *batch)
{
    atomic_fetch_add(&lane->counters.batches, 1);
    atomic_fetch_add(&lane->counters.unknown_fields, batch->remarks.unknown_fields);
    atomic_fetch_add(&lane->counters.prices_rounded, batch->remarks.prices_rounded);
    atomic_fetch_add(&lane->counters.times_unparsed, batch->remarks.times_unparsed);
}

enum err lane_apply(struct lane *lane, struct batch *batch, struct why *why)
{
    watermark_watch(&lane->orders, batch);
    if (batch->count == 0) {
        watermark_raise(&lane->orders, batch, lane->matcher.rules->quiet_us);
        return ERR_OK;
    }
    struct batch_item *items = ARENA_ARRAY(&batch->arena, struct batch_item, batch->count);
    if (items == NULL) {
        return why_set(why, ERR_NO_MEMORY, "a batch needs more memory than its arena has");
    }
    size_t count = drop_applied(lane, batch, items);
    enum err err = apply_slices(lane, batch, items, count, why);
    if (err != ERR_OK) {
        return err;
    }
    count_batch(lane, batch);
    watermark_raise(&lane->orders, batch, lane->matcher.rules->quiet_us);
    FAILPOINT("before_ack");
    return batch_ack(batch, lane->matcher.bus, why);
}

enum err lane_write_status(struct lane *lane, struct why *why)
{
    return store_write_lane_status(lane->matcher.store, lane->name, lane->orders.reached_us,
                                   clock_wall_us(&lane->matcher.clock), why);
}

// --- after a start that died -------------------------------------------------------------------

static struct refusal *poison_refusal(struct arena *arena)
{
    struct refusal *refusal = ARENA_NEW(arena, struct refusal);
    if (refusal != NULL) {
        refusal->reason = REASON_E_POISON;
        static const char detail[] = "the process ended three times with this message in hand";
        memcpy(refusal->detail, detail, sizeof(detail));
    }
    return refusal;
}

// A message that could not be applied for now has stopped nothing: it is no suspect, and goes back.
// Returns `first`, the error to tell. Where this fails too, the note stays, as after a death.
static enum err release_suspect(struct lane *lane, struct batch *batch, enum err first)
{
    const struct batch_item *item = &batch->items[0];
    struct why why = {0};
    enum err err = store_remove_suspect(lane->matcher.store, bus_topic_name(item->source),
                                        item->message->message_id, &why);
    if (err == ERR_OK) {
        err = batch_nack(batch, lane->matcher.bus, &why);
    }
    (void)err;
    return first;
}

// The message is noted durably before anything looks into it.
static enum err apply_suspect(struct lane *lane, struct batch *batch, struct why *why)
{
    struct batch_item *item = &batch->items[0];
    struct text topic = bus_topic_name(item->source);
    uint32_t starts = 0;
    enum err err =
        store_add_suspect(lane->matcher.store, topic, item->message->message_id, &starts, why);
    if (err != ERR_OK) {
        return err;
    }
    if (starts >= LANE_POISON_STARTS) { // two died with it alone, one more with it in a whole batch
        item->refusal = poison_refusal(&batch->arena);
    }
    err = batch_decode(batch, lane->matcher.rules, why);
    if (err == ERR_OK) {
        err = lane_apply(lane, batch, why);
    }
    if (err_class_of(err) == ERR_CLASS_RETRY) {
        return release_suspect(lane, batch, err);
    }
    return err == ERR_OK
               ? store_remove_suspect(lane->matcher.store, topic, item->message->message_id, why)
               : err;
}

// Whether both were empty for long enough to count as such. Waits a little if not.
static enum err found_empty(struct lane *lane, const bool empty[2], int64_t *in_out_since_ns,
                            bool *out_empty, struct why *why)
{
    int64_t now_ns = clock_mono_ns(&lane->matcher.clock);
    bool both = empty[0] && empty[1];
    if (!both) {
        *in_out_since_ns = now_ns;
    }
    *out_empty = both && now_ns - *in_out_since_ns >= lane->matcher.rules->quiet_us * 1000;
    return both && !*out_empty ? bus_wait(lane->matcher.bus, RECOVER_WAIT_US, why) : ERR_OK;
}

static enum err recover_one(struct lane *lane, struct batch *batch,
                            const struct batch_limits *limits, bool *out_empty, struct why *why)
{
    *out_empty = !limits->orders && !limits->payments;
    if (*out_empty) {
        return ERR_OK;
    }
    enum err err = batch_pull(batch, lane->matcher.bus, limits, why);
    *out_empty = err == ERR_OK && batch->count == 0;
    return err == ERR_OK && batch->count > 0 ? apply_suspect(lane, batch, why) : err;
}

enum err lane_recover(struct lane *lane, struct batch *batch, const struct batch_limits *limits,
                      struct why *why)
{
    size_t left = lane->careful_left > 0 ? limits->count_max : 0;
    int64_t since_ns = clock_mono_ns(&lane->matcher.clock);
    bool all_empty = false;
    enum err err = ERR_OK;
    while (err == ERR_OK && left > 0 && !all_empty) {
        bool empty[2] = {true, true};
        for (size_t which = 0; err == ERR_OK && which < 2; which++) {
            struct batch_limits one = {1, limits->size_max, which == 0 && limits->orders,
                                       which == 1 && limits->payments};
            err = recover_one(lane, batch, &one, &empty[which], why);
            left -= left > 0 && !empty[which];
        }
        if (err == ERR_OK) {
            err = found_empty(lane, empty, &since_ns, &all_empty, why);
        }
    }
    if (err == ERR_OK && lane->careful_left > 0) {
        lane->careful_left = 0;
        err = clear_starts(lane, why);
    }
    return err;
}
