// Waiting payments by bucket, the hours and buckets that are in use, and how far the order lanes are.
//
// A bucket is closed before it is read, and who files a payment asks afterwards whether it was closed
// (docs/matching.md): one of the two sees the other. Hours are the same thing once more, so that buckets that
// were done long ago need not be read again: an hour is closed some time after its end, and when all of its
// buckets are done it is done. A payment whose hour is closed is filed in a later one.
#include "cassandra_store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_US (3600 * US_PER_SECOND)
// A clock that is behind by less than this files in an hour that is open.
#define HOUR_CLOSES_AFTER_US (2 * HOUR_US)
#define FULL_READ_NS         (60 * NS_PER_SECOND)
#define BATCH_SIZE_MAX       (512u * 1024u) // bytes of waiting payments written as one

static int64_t hour_of(int64_t us)
{
    return us - us % HOUR_US;
}

static void bind_mark_timestamp(struct cql_values *values)
{
    cql_bind_bigint(values, PROJECTION_TIMESTAMP_BASE);
}

// --- in -----------------------------------------------------------------------------------------

static bool is_listed(const struct cassandra_store *store, int64_t hour_us)
{
    for (size_t i = 0; i < store->hour_count; i++) {
        if (store->hours[i] == hour_us) {
            return true;
        }
    }
    return false;
}

static void remember_hour(struct cassandra_store *store, int64_t hour_us)
{
    if (is_listed(store, hour_us)) {
        return;
    }
    if (store->hour_count == CASSANDRA_HOURS_KEPT) {
        store->hour_count--;
        memmove(store->hours, store->hours + 1, store->hour_count * sizeof(store->hours[0]));
    }
    store->hours[store->hour_count++] = hour_us;
}

static bool same_bucket(const struct waiting_payment *a, const struct waiting_payment *b)
{
    return a->due_us == b->due_us && a->shard == b->shard;
}

static void add_bucket(struct call *call, enum cassandra_statement statement,
                       struct waiting_bucket bucket)
{
    struct cql_values *values = call_add(call, statement, 0);
    cql_bind_bigint(values, hour_of(bucket.due_us));
    cql_bind_bigint(values, bucket.due_us);
    cql_bind_int(values, bucket.shard);
    bind_mark_timestamp(values);
}

static void add_hour(struct call *call, enum cassandra_statement statement, int64_t hour_us)
{
    struct cql_values *values = call_add(call, statement, 0);
    cql_bind_bigint(values, hour_us);
    bind_mark_timestamp(values);
}

// Of two messages with the same event, the cells of the one published first stand, all of them.
static void add_entry(struct call *call, const struct waiting_payment *item)
{
    size_t size = item->event_id.size + item->message_id.size + item->body.size;
    struct cql_values *values = call_add(call, CASSANDRA_PUT_WAITING, size);
    cql_bind_int(values, item->shard);
    cql_bind_bigint(values, item->due_us);
    cql_bind_bigint(values, item->order_id);
    cql_bind_bigint(values, item->payment_id);
    cql_bind_text(values, item->event_id);
    cql_bind_bigint(values, item->published_us);
    cql_bind_text(values, item->message_id);
    cql_bind_int(values, (int32_t)item->attempts);
    cql_bind_blob(values, item->body);
    cql_bind_bigint(values, PROJECTION_TIMESTAMP_BASE - item->published_us);
}

// The list may be written together with the entries: nobody acks before all of it is durable.
static void add_lists(struct call *call, const struct waiting_payment *items, size_t count)
{
    int64_t hour_us = -1;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && same_bucket(&items[i - 1], &items[i])) {
            continue;
        }
        if (hour_of(items[i].due_us) != hour_us) {
            hour_us = hour_of(items[i].due_us);
            if (!is_listed(call->store, hour_us)) {
                add_hour(call, CASSANDRA_PUT_HOUR, hour_us);
            }
        }
        add_bucket(call, CASSANDRA_PUT_BUCKET,
                   (struct waiting_bucket){items[i].due_us, items[i].shard});
    }
}

static void add_entries(struct call *call, const struct waiting_payment *items, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !same_bucket(&items[i - 1], &items[i]) || size > BATCH_SIZE_MAX) {
            call_begin_batch(call);
            size = 0;
        }
        add_entry(call, &items[i]);
        size += items[i].body.size;
        if (i + 1 == count || !same_bucket(&items[i], &items[i + 1]) || size > BATCH_SIZE_MAX) {
            call_end_batch(call);
        }
    }
}

enum err cassandra_insert_waiting(struct store *base, const struct waiting_payment *items,
                                  size_t count, struct why *why)
{
    struct cassandra_store *store = cassandra_store_of(base);
    struct call call;
    call_init(&call, store, 3 * count, count);
    add_lists(&call, items, count);
    add_entries(&call, items, count);
    enum err err = call_run(&call, NULL, NULL, why);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        remember_hour(store, hour_of(items[i].due_us));
        if (items[i].due_us < store->open_bucket_us) {
            store->open_bucket_us = items[i].due_us;
        }
    }
    return err;
}

// --- due ----------------------------------------------------------------------------------------

struct hour {
    int64_t hour_us;
    bool closed; // before its buckets were read
    size_t open; // buckets not done
};

struct listing {
    struct arena *memory;
    struct hour *hours;
    size_t hour_count;
    size_t hour_cap;
    int64_t before_us;
    struct waiting_bucket *due;
    size_t due_count;
    size_t due_cap;
    int64_t open_us;             // the earliest bucket that is not done
    struct waiting_bucket *done; // those of hours that may be done
    size_t done_count;
    size_t done_cap;
};

// Room for one more; the old array stays where it is in the arena.
static void *grow(struct arena *memory, void *items, size_t count, size_t *cap, size_t size)
{
    if (count < *cap) {
        return items;
    }
    *cap = *cap == 0 ? 64 : *cap * 2;
    void *larger = arena_alloc_array(memory, *cap, size);
    if (larger != NULL && count > 0) {
        memcpy(larger, items, count * size);
    }
    return larger;
}

static enum err no_memory(struct why *why)
{
    return why_set(why, ERR_NO_MEMORY, "too many waiting buckets at once");
}

static enum err take_hour(void *context, size_t request, const struct cql_cell *cells,
                          struct why *why)
{
    struct listing *listing = context;
    (void)request;
    if (cell_boolean(cells[2])) { // done
        return ERR_OK;
    }
    listing->hours = grow(listing->memory, listing->hours, listing->hour_count, &listing->hour_cap,
                          sizeof(listing->hours[0]));
    if (listing->hours == NULL) {
        return no_memory(why);
    }
    listing->hours[listing->hour_count++] =
        (struct hour){.hour_us = cell_bigint(cells[0]), .closed = cell_boolean(cells[1])};
    return ERR_OK;
}

static enum err list_bucket(struct waiting_bucket **list, size_t *count, size_t *cap,
                            struct arena *memory, struct waiting_bucket bucket, struct why *why)
{
    *list = grow(memory, *list, *count, cap, sizeof(bucket));
    if (*list == NULL) {
        return no_memory(why);
    }
    (*list)[(*count)++] = bucket;
    return ERR_OK;
}

static enum err take_bucket(void *context, size_t request, const struct cql_cell *cells,
                            struct why *why)
{
    struct listing *listing = context;
    struct waiting_bucket bucket = {cell_bigint(cells[0]), cell_int(cells[1])};
    if (!cell_boolean(cells[2])) {
        return ERR_OK; // a mark alone
    }
    if (cell_boolean(cells[3])) {
        return !listing->hours[request].closed
                   ? ERR_OK
                   : list_bucket(&listing->done, &listing->done_count, &listing->done_cap,
                                 listing->memory, bucket, why);
    }
    listing->hours[request].open++;
    listing->open_us = bucket.due_us < listing->open_us ? bucket.due_us : listing->open_us;
    return bucket.due_us >= listing->before_us
               ? ERR_OK
               : list_bucket(&listing->due, &listing->due_count, &listing->due_cap, listing->memory,
                             bucket, why);
}

static int compare_buckets(const void *a, const void *b)
{
    const struct waiting_bucket *left = a;
    const struct waiting_bucket *right = b;
    if (left->due_us != right->due_us) {
        return left->due_us < right->due_us ? -1 : 1;
    }
    return (left->shard > right->shard) - (left->shard < right->shard);
}

static enum err read_hours(struct cassandra_store *store, int64_t from_us, struct listing *listing,
                           struct why *why)
{
    struct call call;
    call_init(&call, store, 1, 0);
    struct cql_values *values = call_add(&call, CASSANDRA_READ_HOURS, 0);
    cql_bind_bigint(values, hour_of(from_us));
    cql_bind_bigint(values, listing->before_us);
    return call_run(&call, take_hour, listing, why);
}

static bool is_over(const struct cassandra_store *store, const struct hour *hour)
{
    int64_t closes_us = hour->hour_us + HOUR_US + HOUR_CLOSES_AFTER_US;
    return clock_wall_us(&store->clock) >= closes_us;
}

// Before the buckets are read, so that whoever files in one of them afterwards sees it.
static enum err close_hours(struct cassandra_store *store, struct listing *listing, struct why *why)
{
    struct call call;
    call_init(&call, store, listing->hour_count, 0);
    for (size_t i = 0; i < listing->hour_count; i++) {
        if (!listing->hours[i].closed && is_over(store, &listing->hours[i])) {
            add_hour(&call, CASSANDRA_CLOSE_HOUR, listing->hours[i].hour_us);
        }
    }
    enum err err = call_run(&call, NULL, NULL, why);
    for (size_t i = 0; err == ERR_OK && i < listing->hour_count; i++) {
        listing->hours[i].closed |= is_over(store, &listing->hours[i]);
    }
    return err;
}

static enum err read_buckets(struct cassandra_store *store, int64_t from_us,
                             struct listing *listing, struct why *why)
{
    struct call call;
    call_init(&call, store, listing->hour_count, 0);
    for (size_t i = 0; i < listing->hour_count; i++) {
        struct cql_values *values = call_add(&call, CASSANDRA_READ_BUCKETS, 0);
        cql_bind_bigint(values, listing->hours[i].hour_us);
        // Of an hour that may be done all buckets are wanted.
        cql_bind_bigint(values, listing->hours[i].closed ? 0 : from_us);
    }
    return call_run(&call, take_bucket, listing, why);
}

static const struct hour *find_hour(const struct listing *listing, int64_t hour_us)
{
    size_t at = 0;
    while (listing->hours[at].hour_us != hour_us) {
        at++;
    }
    return &listing->hours[at];
}

// What waited in the buckets of an hour that is done is dropped with it.
static enum err finish_hours(struct cassandra_store *store, const struct listing *listing,
                             struct why *why)
{
    struct call call;
    call_init(&call, store, listing->done_count, 0);
    for (size_t i = 0; i < listing->done_count; i++) {
        struct waiting_bucket bucket = listing->done[i];
        if (find_hour(listing, hour_of(bucket.due_us))->open == 0) {
            struct cql_values *values = call_add(&call, CASSANDRA_DROP_WAITING, 0);
            bind_mark_timestamp(values);
            cql_bind_int(values, bucket.shard);
            cql_bind_bigint(values, bucket.due_us);
        }
    }
    enum err err = call_run(&call, NULL, NULL, why);
    if (err != ERR_OK) {
        return err;
    }
    call_init(&call, store, listing->hour_count, 0);
    for (size_t i = 0; i < listing->hour_count; i++) {
        if (listing->hours[i].closed && listing->hours[i].open == 0) {
            add_hour(&call, CASSANDRA_FINISH_HOUR, listing->hours[i].hour_us);
        }
    }
    return call_run(&call, NULL, NULL, why);
}

// From where to read: what was not done the last time, and now and then everything, because somebody whose
// clock is behind may have filed a payment before that.
static int64_t read_from(struct cassandra_store *store)
{
    int64_t now_ns = clock_mono_ns(&store->clock);
    if (store->buckets_read_ns != 0 && now_ns - store->buckets_read_ns < FULL_READ_NS) {
        return store->open_bucket_us;
    }
    store->buckets_read_ns = now_ns;
    return 0;
}

enum err cassandra_due_buckets(struct store *base, int64_t before_us, size_t count_max,
                               struct arena *arena, struct waiting_bucket **out_buckets,
                               size_t *out_count, struct why *why)
{
    struct cassandra_store *store = cassandra_store_of(base);
    int64_t now_us = clock_wall_us(&store->clock);
    struct listing listing = {.memory = &store->lists,
                              .before_us = before_us,
                              .open_us = before_us < now_us ? before_us : now_us};
    int64_t from_us = read_from(store);
    arena_reset(&store->lists);
    enum err err = read_hours(store, from_us, &listing, why);
    err = err == ERR_OK ? close_hours(store, &listing, why) : err;
    err = err == ERR_OK ? read_buckets(store, from_us, &listing, why) : err;
    err = err == ERR_OK ? finish_hours(store, &listing, why) : err;
    if (err != ERR_OK) {
        return err;
    }
    if (listing.due_count > 0) {
        qsort(listing.due, listing.due_count, sizeof(listing.due[0]), compare_buckets);
    }
    store->open_bucket_us = listing.open_us;
    *out_count = listing.due_count < count_max ? listing.due_count : count_max;
    *out_buckets = ARENA_ARRAY(arena, struct waiting_bucket, *out_count);
    if (arena_overflowed(arena)) {
        return no_memory(why);
    }
    if (*out_count > 0) {
        memcpy(*out_buckets, listing.due, *out_count * sizeof(listing.due[0]));
    }
    return ERR_OK;
}

// --- one bucket ---------------------------------------------------------------------------------

static enum err mark_bucket(struct store *base, enum cassandra_statement statement,
                            struct waiting_bucket bucket, struct why *why)
{
    struct call call;
    call_init(&call, cassandra_store_of(base), 1, 0);
    add_bucket(&call, statement, bucket);
    return call_run(&call, NULL, NULL, why);
}

enum err cassandra_close_bucket(struct store *base, struct waiting_bucket bucket, struct why *why)
{
    return mark_bucket(base, CASSANDRA_CLOSE_BUCKET, bucket, why);
}

enum err cassandra_finish_bucket(struct store *base, struct waiting_bucket bucket, struct why *why)
{
    return mark_bucket(base, CASSANDRA_FINISH_BUCKET, bucket, why);
}

static enum err take_closed(void *context, size_t request, const struct cql_cell *cells,
                            struct why *why)
{
    (void)request;
    (void)why;
    *(bool *)context |= cell_boolean(cells[0]);
    return ERR_OK;
}

enum err cassandra_bucket_is_closed(struct store *base, struct waiting_bucket bucket,
                                    bool *out_closed, struct why *why)
{
    struct call call;
    call_init(&call, cassandra_store_of(base), 2, 0);
    struct cql_values *values = call_add(&call, CASSANDRA_READ_BUCKET_CLOSED, 0);
    cql_bind_bigint(values, hour_of(bucket.due_us));
    cql_bind_bigint(values, bucket.due_us);
    cql_bind_int(values, bucket.shard);
    cql_bind_bigint(call_add(&call, CASSANDRA_READ_HOUR, 0), hour_of(bucket.due_us));
    *out_closed = false;
    return call_run(&call, take_closed, out_closed, why);
}

// --- entries ------------------------------------------------------------------------------------

struct entries {
    struct waiting_bucket bucket;
    struct arena *arena;
    struct waiting_payment *items;
    size_t count;
    size_t cap;
};

static enum err take_entry(void *context, size_t request, const struct cql_cell *cells,
                           struct why *why)
{
    struct entries *entries = context;
    (void)request;
    assert(entries->count < entries->cap);
    entries->items[entries->count++] = (struct waiting_payment){
        .due_us = entries->bucket.due_us,
        .shard = entries->bucket.shard,
        .order_id = cell_bigint(cells[0]),
        .payment_id = cell_bigint(cells[1]),
        .event_id = cell_copy(cells[2], entries->arena),
        .published_us = cell_bigint(cells[3]),
        .message_id = cell_copy(cells[4], entries->arena),
        .attempts = (uint32_t)cell_int(cells[5]),
        .body = cell_copy(cells[6], entries->arena),
    };
    return arena_overflowed(entries->arena)
               ? why_set(why, ERR_NO_MEMORY,
                         "waiting payments need more memory than their arena has")
               : ERR_OK;
}

enum err cassandra_read_bucket(struct store *base, struct waiting_bucket bucket,
                               const struct waiting_payment *after, size_t count_max,
                               struct arena *arena, struct waiting_payment **out_items,
                               size_t *out_count, struct why *why)
{
    struct call call;
    struct entries entries = {.bucket = bucket, .arena = arena, .cap = count_max};
    entries.items = ARENA_ARRAY(arena, struct waiting_payment, count_max);
    if (entries.items == NULL) {
        return why_set(why, ERR_NO_MEMORY, "too many waiting payments at once");
    }
    assert(count_max <= INT32_MAX);
    call_init(&call, cassandra_store_of(base), 1, 0);
    size_t size = after != NULL ? after->event_id.size : 0;
    struct cql_values *values = call_add(&call, CASSANDRA_READ_WAITING, size);
    cql_bind_int(values, bucket.shard);
    cql_bind_bigint(values, bucket.due_us);
    cql_bind_bigint(values, after != NULL ? after->order_id : 0); // ids are above 0
    cql_bind_bigint(values, after != NULL ? after->payment_id : 0);
    cql_bind_text(values, after != NULL ? after->event_id : (struct text){"", 0});
    cql_bind_int(values, (int32_t)count_max);
    enum err err = call_run(&call, take_entry, &entries, why);
    *out_items = entries.items;
    *out_count = entries.count;
    return err;
}

// --- order lanes --------------------------------------------------------------------------------

// A lane's own clock orders what it writes; a wrong one keeps no row but its own from moving.
enum err cassandra_write_lane_status(struct store *base, struct text lane, int64_t watermark_us,
                                     int64_t now_us, struct why *why)
{
    struct call call;
    call_init(&call, cassandra_store_of(base), 1, 0);
    struct cql_values *values = call_add(&call, CASSANDRA_PUT_LANE, lane.size);
    cql_bind_text(values, lane);
    cql_bind_bigint(values, watermark_us);
    cql_bind_bigint(values, now_us);
    cql_bind_bigint(values, now_us);
    return call_run(&call, NULL, NULL, why);
}

struct lanes {
    int64_t fresh_after_us;
    int64_t watermark_us;
    size_t count;
};

static enum err take_lane(void *context, size_t request, const struct cql_cell *cells,
                          struct why *why)
{
    struct lanes *lanes = context;
    int64_t watermark_us = cell_bigint(cells[0]);
    (void)request;
    (void)why;
    if (cell_bigint(cells[1]) > lanes->fresh_after_us) {
        bool lowest = lanes->count == 0 || watermark_us < lanes->watermark_us;
        lanes->watermark_us = lowest ? watermark_us : lanes->watermark_us;
        lanes->count++;
    }
    return ERR_OK;
}

enum err cassandra_read_lane_status(struct store *base, int64_t fresh_after_us, size_t *out_lanes,
                                    int64_t *out_watermark_us, struct why *why)
{
    struct call call;
    struct lanes lanes = {.fresh_after_us = fresh_after_us};
    call_init(&call, cassandra_store_of(base), 1, 0);
    (void)call_add(&call, CASSANDRA_READ_LANES, 0);
    enum err err = call_run(&call, take_lane, &lanes, why);
    *out_lanes = lanes.count;
    *out_watermark_us = lanes.watermark_us;
    return err;
}
