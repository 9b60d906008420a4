// Two readings are kept, in the order of their keys: the one that counts and the one that is being made.
#include "facts_watcher.h"

#include "store_cassandra.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_US  (200 * 1000)
#define FACT_ROOM 4096

struct seen {
    int64_t order_id;
    int64_t payment_id; // 0: the order has none
    int64_t n_events;
};

struct reading {
    struct seen *rows;
    size_t count;
    size_t cap;
};

struct facts_watcher {
    pthread_t thread;
    char nodes[128];
    char keyspace[64];
    struct reading last;
    struct reading now;
    char complaint[FACTS_COMPLAINT_SIZE]; // by the thread, until it has ended
    atomic_size_t readings;
    atomic_size_t matched;
    atomic_bool stop;
};

static int64_t number_in(struct text text)
{
    uint64_t number = 0;
    return text_parse_u64(text, &number) ? (int64_t)number : 0;
}

static bool take_row(const struct text *columns, size_t column_count, void *context)
{
    struct reading *reading = context;
    assert(column_count == STORE_FACT_COLUMN_COUNT);
    if (reading->count == reading->cap) {
        reading->cap = reading->cap == 0 ? FACT_ROOM : reading->cap * 2;
        reading->rows = realloc(reading->rows, reading->cap * sizeof(reading->rows[0]));
        assert(reading->rows != NULL);
    }
    reading->rows[reading->count++] = (struct seen){number_in(columns[0]), number_in(columns[1]),
                                                    number_in(columns[column_count - 1])};
    return true;
}

static int compare(const void *a, const void *b)
{
    const struct seen *left = a;
    const struct seen *right = b;
    if (left->order_id != right->order_id) {
        return left->order_id < right->order_id ? -1 : 1;
    }
    return (left->payment_id > right->payment_id) - (left->payment_id < right->payment_id);
}

static void complain(struct facts_watcher *watcher, const struct seen *seen, const char *what)
{
    if (watcher->complaint[0] == '\0') {
        (void)snprintf(watcher->complaint, sizeof(watcher->complaint),
                       "reading %zu: order %lld, payment %lld, %lld events: %s",
                       atomic_load(&watcher->readings), (long long)seen->order_id,
                       (long long)seen->payment_id, (long long)seen->n_events, what);
    }
}

// An order that had no payment may have one now; then its row without one is gone.
static void compare_readings(struct facts_watcher *watcher)
{
    const struct reading *now = &watcher->now;
    size_t at = 0;
    for (size_t i = 0; i < watcher->last.count; i++) {
        const struct seen *old = &watcher->last.rows[i];
        while (at < now->count && compare(&now->rows[at], old) < 0) {
            at++;
        }
        const struct seen *next = at < now->count ? &now->rows[at] : NULL;
        bool same_order = next != NULL && next->order_id == old->order_id;
        if (!same_order || (old->payment_id != 0 && next->payment_id != old->payment_id)) {
            complain(watcher, old, "was shown and is not shown any more");
        } else if (next->n_events < old->n_events) {
            complain(watcher, old, "and then fewer");
        }
    }
}

static void end_reading(struct facts_watcher *watcher)
{
    struct reading *now = &watcher->now;
    size_t matched = 0;
    if (now->count > 0) {
        qsort(now->rows, now->count, sizeof(now->rows[0]), compare);
    }
    compare_readings(watcher);
    for (size_t i = 0; i < now->count; i++) {
        matched += now->rows[i].payment_id != 0;
    }
    atomic_store(&watcher->matched, matched);
    atomic_fetch_add(&watcher->readings, 1);
    struct reading old = watcher->last;
    watcher->last = watcher->now;
    watcher->now = old;
}

static struct store_reader *open_reader(const struct facts_watcher *watcher)
{
    const struct store_cassandra_options options = {
        .cluster = {.contact_points = watcher->nodes, .clock = clock_real()},
        .keyspace = watcher->keyspace,
        .clock = clock_real(),
    };
    struct store_reader *reader = NULL;
    struct why why = {0};
    return store_reader_open_cassandra(&options, &reader, &why) == ERR_OK ? reader : NULL;
}

static void *watcher_main(void *argument)
{
    struct facts_watcher *watcher = argument;
    const struct fact_filter all = {.settlement = -1, .match_issue = -1};
    struct clock clock = clock_real();
    struct store_reader *reader = NULL;
    while (!atomic_load(&watcher->stop)) {
        struct why why = {0};
        reader = reader != NULL ? reader : open_reader(watcher);
        watcher->now.count = 0;
        if (reader != NULL &&
            store_reader_facts(reader, &all, take_row, &watcher->now, &why) == ERR_OK) {
            end_reading(watcher);
        }
        clock_pause_us(&clock, PAUSE_US);
    }
    store_reader_close(&reader);
    return NULL;
}

struct facts_watcher *facts_watcher_start(const char *nodes, const char *keyspace)
{
    struct facts_watcher *watcher = calloc(1, sizeof(*watcher));
    assert(watcher != NULL);
    (void)snprintf(watcher->nodes, sizeof(watcher->nodes), "%s", nodes);
    (void)snprintf(watcher->keyspace, sizeof(watcher->keyspace), "%s", keyspace);
    int failed = pthread_create(&watcher->thread, NULL, watcher_main, watcher);
    assert(failed == 0);
    return watcher;
}

size_t facts_watcher_matched(struct facts_watcher *watcher)
{
    return atomic_load(&watcher->matched);
}

void facts_watcher_stop(struct facts_watcher **watcher_pointer,
                        char out_complaint[FACTS_COMPLAINT_SIZE], size_t *out_readings)
{
    struct facts_watcher *watcher = *watcher_pointer;
    *watcher_pointer = NULL;
    atomic_store(&watcher->stop, true);
    int failed = pthread_join(watcher->thread, NULL);
    assert(failed == 0);
    memcpy(out_complaint, watcher->complaint, FACTS_COMPLAINT_SIZE);
    *out_readings = atomic_load(&watcher->readings);
    free(watcher->last.rows);
    free(watcher->now.rows);
    free(watcher);
}
