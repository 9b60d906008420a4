// Pulling: which messages to hand out, and reading them into the caller's arena.
//
// The select statement is reset before pull returns: one that is not pins the write-ahead log, which
// then grows without end.
#include "broker_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

// A pull at work. Sticky: after `err` or `full` nothing more is taken.
struct pull {
    struct broker *broker;
    struct subscription *subscription;
    const struct broker_pull_limits *limits;
    struct arena *arena;
    struct why *why;
    int64_t deadline_ns;
    struct broker_message *messages;
    size_t cap;
    size_t count;
    size_t size;
    bool full;
    enum err err;
};

static size_t arena_room(const struct arena *arena)
{
    return arena->cap - arena->used;
}

// Whether one more message may be given. The first one may have more data than size_max.
static bool fits(const struct pull *pull, size_t data_size, size_t attributes_size)
{
    if (pull->count > 0 && data_size > pull->limits->size_max - pull->size) {
        return false;
    }
    // Unpacked, a pair of 5 bytes or more becomes a struct attribute and the bytes themselves.
    size_t unpacked_size = attributes_size / 5 * sizeof(struct attribute) + attributes_size;
    size_t needed = data_size + unpacked_size + 3 * ARENA_ALIGNMENT +
                    (pull->count + 1) * pull->limits->overhead_size;
    return needed <= arena_room(pull->arena);
}

static struct text column_bytes(sqlite3_stmt *select, int column)
{
    const void *bytes = sqlite3_column_blob(select, column);
    int size = sqlite3_column_bytes(select, column);
    return (struct text){bytes, bytes != NULL ? (size_t)size : 0};
}

static enum err take_attributes(struct pull *pull, struct text packed,
                                struct attributes *out_attributes)
{
    if (packed.size == 0) {
        return ERR_OK;
    }
    packed.data = arena_copy(pull->arena, packed.data, packed.size);
    assert(packed.data != NULL);
    enum err err = attributes_unpack(packed, pull->arena, out_attributes);
    if (err != ERR_CORRUPT) {
        assert(err == ERR_OK);
        return ERR_OK;
    }
    struct why reason = {0};
    why_set(&reason, ERR_CORRUPT, "%s: attributes of a message of topic %s are damaged",
            pull->broker->path, pull->subscription->topic->name);
    broker_poison(pull->broker, &reason);
    return why_set(pull->why, ERR_CORRUPT, "%s", reason.text);
}

// Takes the row under the statement, which must be message `seq`.
static void take_row(struct pull *pull, sqlite3_stmt *select, uint64_t seq)
{
    struct text data = column_bytes(select, 2);
    struct text packed = column_bytes(select, 3);
    if (!fits(pull, data.size, packed.size)) {
        pull->full = true;
        if (pull->count == 0) {
            pull->err = why_set(pull->why, ERR_FULL,
                                "a message of %zu bytes does not fit into the memory given for it",
                                data.size);
        }
        return;
    }
    struct broker_message *message = &pull->messages[pull->count];
    pull->err = take_attributes(pull, packed, &message->attributes);
    if (pull->err != ERR_OK) {
        return;
    }
    message->sequence = seq;
    message->published_us = sqlite3_column_int64(select, 1);
    message->data = (struct text){arena_copy(pull->arena, data.data, data.size), data.size};
    struct leases *leases = &pull->subscription->leases;
    message->delivery_attempt = leases_grant(leases, seq, pull->deadline_ns);
    message->handle = leases_handle(seq, message->delivery_attempt);
    pull->size += data.size;
    pull->count++;
    pull->full = pull->count == pull->cap || pull->size >= pull->limits->size_max;
}

static enum err missing(struct pull *pull, uint64_t seq)
{
    struct why reason = {0};
    why_set(&reason, ERR_CORRUPT,
            "%s: message %" PRIu64 " of topic %s is missing; nothing was changed: restore a copy, "
            "or find out who deleted it",
            pull->broker->path, seq, pull->subscription->topic->name);
    broker_poison(pull->broker, &reason);
    return why_set(pull->why, ERR_CORRUPT, "%s", reason.text);
}

// Takes count messages from first on, or as many of them as lie in the same half.
static void take_run(struct pull *pull, uint64_t first, size_t count)
{
    uint64_t end = UINT64_MAX;
    unsigned half = halves_find(pull->subscription->topic, first, &end);
    end = end - first < count ? end : first + count;
    sqlite3_stmt *select = pull->subscription->select[half];
    sqlite3_bind_int64(select, 1, (int64_t)first);
    sqlite3_bind_int64(select, 2, (int64_t)end - 1);
    for (uint64_t seq = first; seq < end && !pull->full && pull->err == ERR_OK; seq++) {
        int result = sqlite3_step(select);
        if (result == SQLITE_ROW && (uint64_t)sqlite3_column_int64(select, 0) == seq) {
            take_row(pull, select, seq);
        } else if (result == SQLITE_ROW || result == SQLITE_DONE) {
            pull->err = missing(pull, seq);
        } else {
            pull->err = broker_fail(pull->broker, pull->subscription->reader, result,
                                    "reading from it", pull->why);
        }
    }
    sqlite3_reset(select);
}

static void take_waiting(struct pull *pull)
{
    uint64_t first = 0;
    size_t count = 0;
    while (!pull->full && pull->err == ERR_OK &&
           (count = leases_waiting_run(&pull->subscription->leases, pull->cap - pull->count,
                                       &first)) > 0) {
        take_run(pull, first, count);
    }
}

static void take_fresh(struct pull *pull, uint64_t last_seq)
{
    while (!pull->full && pull->err == ERR_OK) {
        uint64_t first = 0;
        size_t count = 0;
        enum err err = leases_fresh_run(&pull->subscription->leases, last_seq,
                                        pull->cap - pull->count, &first, &count);
        if (err != ERR_OK) {
            pull->err = why_set(pull->why, err, "no memory to lease more messages");
        }
        if (count == 0) {
            return;
        }
        take_run(pull, first, count);
    }
}

// Room for as many messages as may come, without running the arena over.
static void make_room(struct pull *pull, uint64_t last_seq)
{
    const struct leases *leases = &pull->subscription->leases;
    uint64_t available = leases->waiting_count + (last_seq + 1 - leases->next);
    size_t affordable =
        arena_room(pull->arena) / (sizeof(struct broker_message) + pull->limits->overhead_size);
    size_t cap = pull->limits->count_max < BROKER_PULL_COUNT_MAX ? pull->limits->count_max
                                                                 : BROKER_PULL_COUNT_MAX;
    cap = available < cap ? (size_t)available : cap;
    pull->cap = affordable < cap ? affordable : cap;
    if (pull->cap == 0) {
        pull->full = true;
        if (available > 0 && pull->limits->count_max > 0) {
            pull->err = why_set(pull->why, ERR_FULL, "no memory was given for a single message");
        }
        return;
    }
    pull->messages = arena_alloc_array(pull->arena, pull->cap, sizeof(struct broker_message));
    if (pull->messages == NULL) {
        pull->err = why_set(pull->why, ERR_FULL, "no memory was given for a single message");
    }
}

static void give_back(struct pull *pull, int64_t now_ns)
{
    for (size_t i = 0; i < pull->count; i++) {
        leases_nack(&pull->subscription->leases, &pull->messages[i].handle, 1, now_ns);
    }
}

// Puts on disk how far deliveries will go, so that after a crash every message that may have been
// delivered says so. A full disk doesn't stop deliveries: they are what makes room again.
static enum err note_deliveries(struct broker *broker, struct subscription *subscription,
                                size_t count_max, struct why *why)
{
    count_max = count_max < BROKER_PULL_COUNT_MAX ? count_max : BROKER_PULL_COUNT_MAX;
    lock(&subscription->lock);
    uint64_t last = atomic_load(&subscription->topic->last_seq);
    uint64_t next = subscription->leases.next;
    uint64_t wanted = leases_reach(&subscription->leases, count_max);
    unlock(&subscription->lock);
    wanted = wanted < last ? wanted : last;
    if (next > last || wanted <= atomic_load(&subscription->delivered_seq)) {
        return ERR_OK;
    }
    atomic_store(&subscription->wanted_seq, wanted);
    enum err err = broker_flush(broker, why);
    return err_class_of(err) == ERR_CLASS_RETRY ? ERR_OK : err;
}

static void run(struct pull *pull)
{
    struct subscription *subscription = pull->subscription;
    struct broker *broker = pull->broker;
    lock(&subscription->lock);
    int64_t now_ns = clock_mono_ns(&broker->clock);
    uint64_t last_seq = atomic_load(&subscription->topic->last_seq);
    leases_expire(&subscription->leases, now_ns);
    pull->deadline_ns = now_ns + broker->lease_us * 1000;
    make_room(pull, last_seq);
    take_waiting(pull);
    take_fresh(pull, last_seq);
    if (pull->err != ERR_OK) {
        give_back(pull, now_ns);
    }
    unlock(&subscription->lock);
}

enum err broker_pull(struct broker *broker, uint32_t number,
                     const struct broker_pull_limits *limits, struct arena *arena,
                     struct broker_message **out_messages, size_t *out_count, struct why *why)
{
    struct subscription *subscription = broker_subscription(broker, number);
    enum err err = broker_check(broker, why);
    if (err == ERR_OK) {
        err = note_deliveries(broker, subscription, limits->count_max, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    struct pull pull = {.broker = broker,
                        .subscription = subscription,
                        .limits = limits,
                        .arena = arena,
                        .why = why};
    size_t mark = arena_mark(arena);
    run(&pull);
    if (pull.err != ERR_OK) {
        arena_rewind(arena, mark);
        return pull.err;
    }
    if (pull.count == 0) {
        err = broker_flush_when_due(broker, subscription, why); // nothing else to do just now
    }
    if (err == ERR_OK) {
        *out_messages = pull.messages;
        *out_count = pull.count;
    }
    return err;
}
