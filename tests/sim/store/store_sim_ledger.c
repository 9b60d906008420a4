// The ledger of messages, and the starts that did not end well. The ledger is no matter of replicas: only a
// bus whose messages have numbers needs it, and that is the embedded one. In a transaction its changes wait
// for the commit with all the rest.
#include "store_sim_internal.h"

#include <assert.h>
#include <string.h>

static const struct partition_key starts = {0, 0};

// --- applied numbers ------------------------------------------------------------------------------

static struct ledger_set *set_of(struct cluster *cluster, struct text log_id,
                                 enum applied_topic topic)
{
    for (struct ledger_set *set = cluster->ledger.sets; set != NULL; set = set->next) {
        if (set->topic == topic && text_equal(set->log_id, log_id)) {
            return set;
        }
    }
    struct ledger_set *set = pool_take(&cluster->pool, sizeof(*set));
    set->log_id = intern_text(cluster, log_id);
    set->topic = topic;
    set->next = cluster->ledger.sets;
    cluster->ledger.sets = set;
    return set;
}

// Puts the range in its place and swallows those that it touches.
static void add_range(struct pool *pool, struct ledger_set *set, struct range range)
{
    size_t at = 0;
    while (at < set->count && set->items[at].last + 1 < range.first) {
        at++;
    }
    size_t end = at;
    while (end < set->count && set->items[end].first <= range.last + 1) {
        range.first = set->items[end].first < range.first ? set->items[end].first : range.first;
        range.last = set->items[end].last > range.last ? set->items[end].last : range.last;
        end++;
    }
    if (set->count == set->cap) {
        set->items = pool_grow(pool, set->items, &set->cap, sizeof(set->items[0]));
    }
    memmove(&set->items[at + 1], &set->items[end], (set->count - end) * sizeof(set->items[0]));
    set->items[at] = range;
    set->count = set->count + 1 - (end - at);
}

static void add_line(struct cluster *cluster, struct text log_id, const struct tally *tally)
{
    struct ledger_line *line = cluster->ledger.lines;
    while (line != NULL &&
           (line->tally.topic != tally->topic || line->tally.outcome != tally->outcome ||
            !currency_equal(line->tally.currency, tally->currency) ||
            !text_equal(line->log_id, log_id))) {
        line = line->next;
    }
    if (line == NULL) {
        line = pool_take(&cluster->pool, sizeof(*line));
        *line = (struct ledger_line){cluster->ledger.lines,
                                     intern_text(cluster, log_id),
                                     {tally->topic, tally->outcome, tally->currency, 0, 0}};
        cluster->ledger.lines = line;
    }
    line->tally.messages += tally->messages;
    line->tally.amount_minor += tally->amount_minor;
}

void ledger_apply(struct cluster *cluster, const struct ledger_change *changes)
{
    for (const struct ledger_change *change = changes; change != NULL; change = change->next) {
        if (change->is_tally) {
            add_line(cluster, change->log_id, &change->tally);
        } else {
            add_range(&cluster->pool, set_of(cluster, change->log_id, change->topic),
                      change->range);
        }
    }
}

// Sums and unions: in what order they are applied makes no difference.
static void change_ledger(struct session *session, const struct ledger_change *change)
{
    struct cluster *cluster = session->cluster;
    if (!session->in_transaction) {
        ledger_apply(cluster, change);
        return;
    }
    struct ledger_change *copy = pool_take(&cluster->pool, sizeof(*copy));
    *copy = *change;
    copy->log_id = intern_text(cluster, change->log_id);
    copy->next = session->changes;
    session->changes = copy;
}

enum err sim_load_applied(struct store *store, struct text log_id, enum applied_topic topic,
                          struct ranges *out_ranges, struct why *why)
{
    struct session *session = session_of(store);
    enum err err = session_alive(session);
    const struct ledger_set *set = set_of(session->cluster, log_id, topic);
    for (size_t i = 0; err == ERR_OK && i < set->count; i++) {
        err = ranges_add(out_ranges, set->items[i].first, set->items[i].last);
    }
    return err == ERR_OK ? ERR_OK : why_set(why, err, "cannot load what was applied");
}

enum err sim_add_applied(struct store *store, struct text log_id, enum applied_topic topic,
                         const struct range *ranges, size_t count, struct why *why)
{
    struct session *session = session_of(store);
    (void)why;
    enum err err = session_alive(session);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        change_ledger(
            session, &(struct ledger_change){.log_id = log_id, .topic = topic, .range = ranges[i]});
    }
    return err;
}

enum err sim_add_tallies(struct store *store, struct text log_id, const struct tally *tallies,
                         size_t count, struct why *why)
{
    struct session *session = session_of(store);
    (void)why;
    enum err err = session_alive(session);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        change_ledger(session, &(struct ledger_change){
                                   .log_id = log_id, .is_tally = true, .tally = tallies[i]});
    }
    return err;
}

void cluster_visit_tallies(struct cluster *cluster, cluster_tally_fn *visit, void *context)
{
    for (const struct ledger_line *line = cluster->ledger.lines; line != NULL; line = line->next) {
        visit(&line->tally, context);
    }
}

uint64_t cluster_applied(struct cluster *cluster, enum applied_topic topic)
{
    uint64_t count = 0;
    for (const struct ledger_set *set = cluster->ledger.sets; set != NULL; set = set->next) {
        for (size_t i = 0; set->topic == topic && i < set->count; i++) {
            count += set->items[i].last - set->items[i].first + 1;
        }
    }
    return count;
}

// --- starts ---------------------------------------------------------------------------------------

#define START_KEY_SIZE_MAX 512

// first '/' second.
static const struct text *start_key(struct cluster *cluster, struct text first, struct text second)
{
    char key[START_KEY_SIZE_MAX];
    assert(first.size + 1 + second.size <= sizeof(key));
    memcpy(key, first.data, first.size);
    key[first.size] = '/';
    memcpy(key + first.size + 1, second.data, second.size);
    return intern_text_object(cluster, (struct text){key, first.size + 1 + second.size});
}

// No two processes write the same counter at once, so true time will do as timestamp.
static enum err write_start(struct session *session, const struct text *key, int64_t count,
                            struct why *why)
{
    struct op *op = op_begin_write(session);
    op_mutation(op, starts);
    int64_t timestamp =
        is_embedded(session) ? session_stamp(session) : sim_now_us(session->cluster->sim);
    op_put(op, TABLE_STARTS, (struct row_key){0, 0, key}, 0, cell_number(timestamp, count));
    return op_run_write(op, why);
}

static enum err count_start(struct session *session, const struct text *key, uint32_t *out_starts,
                            struct why *why)
{
    struct op *op = op_begin_read(session);
    op_ask_row(op, TABLE_STARTS, starts, (struct row_key){0, 0, key});
    enum err err = op_run_read(op, why);
    if (err != ERR_OK) {
        return err;
    }
    const struct partition *result = op->parts[0].result;
    int64_t count = result->count > 0 ? result->rows[0]->cells[0].number + 1 : 1;
    op_release(op);
    err = write_start(session, key, count, why);
    if (err == ERR_OK) {
        *out_starts = (uint32_t)count;
    }
    return err;
}

enum err sim_add_start(struct store *store, struct text lane, uint32_t *out_starts, struct why *why)
{
    struct session *session = session_of(store);
    return count_start(session, start_key(session->cluster, session->name, lane), out_starts, why);
}

enum err sim_clear_starts(struct store *store, struct text lane, struct why *why)
{
    struct session *session = session_of(store);
    return write_start(session, start_key(session->cluster, session->name, lane), 0, why);
}

enum err sim_add_suspect(struct store *store, struct text topic, struct text message_id,
                         uint32_t *out_starts, struct why *why)
{
    struct session *session = session_of(store);
    return count_start(session, start_key(session->cluster, topic, message_id), out_starts, why);
}

enum err sim_remove_suspect(struct store *store, struct text topic, struct text message_id,
                            struct why *why)
{
    struct session *session = session_of(store);
    return write_start(session, start_key(session->cluster, topic, message_id), 0, why);
}
