// The store on Cassandra: opening, what has no transaction, and the table of operations.
#include "store_cassandra.h"

#include "cassandra_check.h"
#include "cassandra_store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_SIZE        (256u << 20) // of address space; pages that no call touches cost nothing
#define LISTS_SIZE         (64u << 20)
#define EPOCH_BELIEVED_NS  (10 * NS_PER_SECOND)
#define STATEMENT_SIZE_MAX 2048u

static const char *const statement_cql[] = {
#define X(name, cql) [CASSANDRA_##name] = cql,
    CASSANDRA_STATEMENT_TABLE(X)
#undef X
};

// --- without transactions -----------------------------------------------------------------------

static enum err begin(struct store *store, struct why *why)
{
    (void)store;
    (void)why;
    return ERR_OK;
}

static enum err commit(struct store *store, struct why *why)
{
    (void)store;
    (void)why;
    return ERR_OK;
}

static void rollback(struct store *store)
{
    (void)store;
}

static enum err load_applied(struct store *store, struct text log_id, enum applied_topic topic,
                             struct ranges *out_ranges, struct why *why)
{
    (void)store;
    (void)log_id;
    (void)topic;
    (void)out_ranges;
    (void)why;
    return ERR_OK;
}

static enum err add_applied(struct store *store, struct text log_id, enum applied_topic topic,
                            const struct range *ranges, size_t count, struct why *why)
{
    (void)store;
    (void)log_id;
    (void)topic;
    (void)ranges;
    (void)count;
    (void)why;
    return ERR_OK;
}

static enum err add_tallies(struct store *store, struct text log_id, const struct tally *tallies,
                            size_t count, struct why *why)
{
    (void)store;
    (void)log_id;
    (void)tallies;
    (void)count;
    (void)why;
    return ERR_OK;
}

// --- settings of the keyspace -------------------------------------------------------------------

static enum err take_value(void *context, size_t request, const struct cql_cell *cells,
                           struct why *why)
{
    (void)request;
    (void)why;
    *(int64_t *)context = cell_bigint(cells[0]);
    return ERR_OK;
}

static enum err read_setting(struct cassandra_store *store, struct text name, int64_t *out_value,
                             struct why *why)
{
    struct call call;
    call_init(&call, store, 1, 0);
    cql_bind_text(call_add(&call, CASSANDRA_READ_SETTING, name.size), name);
    *out_value = 0;
    return call_run(&call, take_value, out_value, why);
}

// A process of an older fold would write what a newer one has corrected; it would lose by its timestamps, but
// it is to be told.
enum err cassandra_check_epoch(struct cassandra_store *store, struct why *why)
{
    int64_t now_ns = clock_mono_ns(&store->clock);
    if (store->epoch_read_ns != 0 && now_ns - store->epoch_read_ns < EPOCH_BELIEVED_NS) {
        return ERR_OK;
    }
    int64_t epoch = 0;
    enum err err = read_setting(store, TEXT(CASSANDRA_SETTING_FOLD_EPOCH), &epoch, why);
    if (err == ERR_OK && epoch > store->fold_epoch) {
        return why_set(why, ERR_SCHEMA,
                       "keyspace %s was written by a later version of till (fold epoch %lld, this"
                       " one %u): install that version here too",
                       store->keyspace, (long long)epoch, store->fold_epoch);
    }
    store->epoch_read_ns = err == ERR_OK ? now_ns : 0;
    return err;
}

static enum err check_version(struct cassandra_store *store, struct why *why)
{
    int64_t version = 0;
    enum err err = read_setting(store, TEXT(CASSANDRA_SETTING_VERSION), &version, why);
    if (err == ERR_OK && version != CASSANDRA_SCHEMA_VERSION) {
        return why_set(why, ERR_SCHEMA,
                       "keyspace %s has version %lld of the tables, this program needs %d: %s",
                       store->keyspace, (long long)version, CASSANDRA_SCHEMA_VERSION,
                       version < CASSANDRA_SCHEMA_VERSION ? "run till setup"
                                                          : "install the later version of till");
    }
    return err;
}

// --- opening and closing ------------------------------------------------------------------------

static void close_store(struct store *base)
{
    struct cassandra_store *store = cassandra_store_of(base);
    cql_close(&store->cql);
    arena_deinit(&store->memory);
    arena_deinit(&store->lists);
    free(store);
}

static const struct store_ops cassandra_ops = {
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .insert_events = cassandra_insert_events,
    .read_partitions = cassandra_read_partitions,
    .write_facts = cassandra_write_facts,
    .insert_waiting = cassandra_insert_waiting,
    .due_buckets = cassandra_due_buckets,
    .close_bucket = cassandra_close_bucket,
    .bucket_is_closed = cassandra_bucket_is_closed,
    .read_bucket = cassandra_read_bucket,
    .finish_bucket = cassandra_finish_bucket,
    .write_lane_status = cassandra_write_lane_status,
    .read_lane_status = cassandra_read_lane_status,
    .load_applied = load_applied,
    .add_applied = add_applied,
    .add_tallies = add_tallies,
    .record_dead_letters = cassandra_record_dead_letters,
    .due_dead_letters = cassandra_due_dead_letters,
    .change_dead_letter = cassandra_change_dead_letter,
    .add_start = cassandra_add_start,
    .clear_starts = cassandra_clear_starts,
    .add_suspect = cassandra_add_suspect,
    .remove_suspect = cassandra_remove_suspect,
    .close = close_store,
};

static enum err prepare_all(struct cassandra_store *store, struct why *why)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < CASSANDRA_STATEMENT_COUNT; i++) {
        char text[STATEMENT_SIZE_MAX];
        struct buf cql;
        buf_init_fixed(&cql, text, sizeof(text));
        cassandra_schema_add_statement(&cql, statement_cql[i], store->keyspace);
        assert(!buf_overflowed(&cql));
        err = cql_prepare(store->cql, buf_view(&cql), &store->statements[i], why);
    }
    if (err == ERR_INVALID) {
        why_prefix(why, "keyspace %s lacks what this program needs, run till setup",
                   store->keyspace);
        return ERR_NOT_FOUND;
    }
    return err;
}

// A keyspace on which the argument of docs/matching.md does not hold is refused before it is read; what is
// only worth a warning is said when nothing else is wrong.
static enum err check_all(struct cassandra_store *store,
                          const struct store_cassandra_options *options, struct why *why)
{
    struct cassandra_nodes_look nodes;
    struct cassandra_keyspace_look keyspace;
    enum err err = cassandra_look_nodes(store->cql, options->cluster.local_dc, 0, &store->clock,
                                        &store->lists, &nodes, why);
    err = err == ERR_OK
              ? cassandra_look_keyspace(store->cql, store->keyspace, &store->lists, &keyspace, why)
              : err;
    err = err == ERR_OK ? cassandra_check_refused(&keyspace, &nodes, why) : err;
    err = err == ERR_OK ? check_version(store, why) : err;
    err = err == ERR_OK ? cassandra_check_epoch(store, why) : err;
    if (err == ERR_OK && options->notice != NULL) {
        cassandra_check_tell(&keyspace, &nodes, options->notice, options->notice_context);
        cql_set_notice(store->cql, options->notice, options->notice_context);
    }
    arena_reset(&store->lists);
    return err;
}

static enum err open_parts(struct cassandra_store *store,
                           const struct store_cassandra_options *options, struct why *why)
{
    enum err err = arena_init(&store->memory, MEMORY_SIZE);
    err = err == ERR_OK ? arena_init(&store->lists, LISTS_SIZE) : err;
    if (err != ERR_OK) {
        return why_set(why, err, "cannot open the store: out of memory");
    }
    err = cql_open(&options->cluster, &store->cql, why);
    err = err == ERR_OK ? prepare_all(store, why) : err;
    return err == ERR_OK ? check_all(store, options, why) : err;
}

enum err store_cassandra_open(const struct store_cassandra_options *options,
                              struct store **out_store, struct why *why)
{
    const char *keyspace = options->keyspace != NULL ? options->keyspace : STORE_CASSANDRA_KEYSPACE;
    if (!cassandra_keyspace_name_is_valid(keyspace)) {
        return why_set(why, ERR_CONFIG,
                       "\"%s\" is no keyspace: small letters, digits and underscores, a letter"
                       " first, 48 at most",
                       keyspace);
    }
    struct cassandra_store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        return why_set(why, ERR_NO_MEMORY, "cannot open the store: out of memory");
    }
    store->base.ops = &cassandra_ops;
    store->clock = options->clock;
    store->without_by_customer = options->without_by_customer;
    store->fold_epoch = FOLD_EPOCH;
    memcpy(store->keyspace, keyspace, strlen(keyspace) + 1);
    enum err err = open_parts(store, options, why);
    if (err != ERR_OK) {
        close_store(&store->base);
        return err;
    }
    *out_store = &store->base;
    return ERR_OK;
}
