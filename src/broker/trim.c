// Where a topic's messages lie, and how they go away.
//
// Every topic has two tables. New messages go to one, the current half, until it is large enough and all
// of the other is acked and deleted; then the two change places. Emptying a whole table costs 0.05 us a
// message, because SQLite then gives back pages unread by us and unwritten. Deleting row by row costs
// 0.4 us, since every page that loses a row is written twice more, to the log and to the file. That is
// done only for a half that grew large while a subscription lagged, so that no commit takes long.
//
// A message never moves. So a reader that knows a message is not acked may look up its half at any time
// after it has seen that the message is there.
#include "broker_internal.h"

#include <assert.h>

#define TURN_COUNT_MIN  32768u                       // messages of a half before the other's turn,
#define TURN_SIZE_MIN   (UINT64_C(8) * 1024 * 1024)  // or bytes
#define CLEAR_SIZE_MAX  (UINT64_C(32) * 1024 * 1024) // bytes of a half emptied in one go: 10 ms
#define CLEAR_COUNT_MIN 1024u                        // messages of the current half to empty it
#define CUT_COUNT_MIN   1024u                        // fewer are not worth the pages they lie on
#define CUT_COUNT_MAX   16384u                       // deleted row by row in one transaction
#define CUT_STEP_COUNT  512u                         // in one statement
#define CUT_NS_MAX      (4 * NS_PER_SECOND / 1000)   // large messages take long to delete

uint64_t topic_smallest_floor(const struct topic *topic)
{
    uint64_t floor = UINT64_MAX;
    for (size_t i = 0; i < topic->subscription_count; i++) {
        uint64_t other = atomic_load(&topic->subscriptions[i]->floor);
        floor = other < floor ? other : floor;
    }
    return floor;
}

static uint64_t count_of(const struct extent *extent)
{
    return extent->end - extent->first;
}

// Messages of the extent that are not above `floor`.
static uint64_t acked_count(const struct extent *extent, uint64_t floor)
{
    if (floor < extent->first) {
        return 0;
    }
    return floor >= extent->end ? count_of(extent) : floor - extent->first + 1;
}

static void publish_split(struct topic *topic)
{
    unsigned current = topic->pending_current;
    atomic_store(&topic->split, topic->halves[current].extent.first * 2 + current);
}

void halves_open(struct topic *topic)
{
    struct extent *a = &topic->halves[0].extent;
    struct extent *b = &topic->halves[1].extent;
    topic->pending_current = count_of(b) > 0 && (count_of(a) == 0 || b->first > a->first);
    struct extent *current = &topic->halves[topic->pending_current].extent;
    if (count_of(current) == 0) {
        *current = (struct extent){.first = topic->pending_seq + 1, .end = topic->pending_seq + 1};
    }
    publish_split(topic);
    halves_forget_pending(topic);
}

void halves_forget_pending(struct topic *topic)
{
    topic->pending_current = atomic_load(&topic->split) & 1;
    topic->pending_trimmed_count = 0;
    topic->halves[0].pending = topic->halves[0].extent;
    topic->halves[1].pending = topic->halves[1].extent;
}

void halves_adopt_pending(struct topic *topic)
{
    topic->halves[0].extent = topic->halves[0].pending;
    topic->halves[1].extent = topic->halves[1].pending;
    topic->pending_trimmed_count = 0;
    publish_split(topic);
}

struct half *halves_append(struct topic *topic, uint64_t first_seq, size_t count, size_t size)
{
    const struct extent *full = &topic->halves[topic->pending_current].pending;
    struct extent *other = &topic->halves[1 - topic->pending_current].pending;
    if ((count_of(full) >= TURN_COUNT_MIN || full->size >= TURN_SIZE_MIN) && count_of(other) == 0) {
        topic->pending_current = 1 - topic->pending_current;
        *other = (struct extent){.first = first_seq, .end = first_seq};
    }
    struct half *half = &topic->halves[topic->pending_current];
    assert(half->pending.end == first_seq);
    half->pending.end += count;
    if (half->pending.size != EXTENT_SIZE_UNKNOWN) {
        half->pending.size += size;
    }
    return half;
}

unsigned halves_find(const struct topic *topic, uint64_t seq, uint64_t *out_end_seq)
{
    uint64_t split = atomic_load(&topic->split);
    unsigned current = split & 1;
    if (seq >= split / 2) {
        *out_end_seq = UINT64_MAX;
        return current;
    }
    *out_end_seq = split / 2;
    return 1 - current;
}

static int clear(struct half *half)
{
    half->pending.first = half->pending.end;
    half->pending.size = 0;
    return statement_run(half->clear);
}

// Deletes messages up to `floor` row by row, as many as one transaction may.
static int cut(struct broker *broker, struct half *half, uint64_t floor)
{
    struct extent *extent = &half->pending;
    uint64_t count = count_of(extent);
    uint64_t start = extent->first;
    uint64_t goal = acked_count(extent, floor);
    goal = start + (goal < CUT_COUNT_MAX ? goal : CUT_COUNT_MAX);
    int64_t end_ns = clock_mono_ns(&broker->clock) + CUT_NS_MAX;
    int result = SQLITE_OK;
    do {
        uint64_t step = extent->first + CUT_STEP_COUNT;
        extent->first = step < goal ? step : goal;
        sqlite3_bind_int64(half->cut, 1, (int64_t)extent->first - 1);
        result = statement_run(half->cut);
    } while (result == SQLITE_OK && extent->first < goal && clock_mono_ns(&broker->clock) < end_ns);
    if (extent->first == extent->end) {
        extent->size = 0;
    } else if (extent->size != EXTENT_SIZE_UNKNOWN) {
        extent->size -= extent->size / count * (extent->first - start);
    }
    return result;
}

static int trim_half(struct broker *broker, struct half *half, uint64_t floor, uint64_t count_min)
{
    const struct extent *extent = &half->pending;
    uint64_t acked = acked_count(extent, floor);
    bool all = acked == count_of(extent) && acked >= count_min;
    bool large = extent->size > CLEAR_SIZE_MAX;
    bool worth_cutting = all || acked >= CUT_COUNT_MIN || broker->out_of_space;
    if (acked == 0) {
        return SQLITE_OK;
    }
    if (all && !large) {
        return clear(half);
    }
    if ((large || broker->out_of_space) && worth_cutting) {
        return cut(broker, half, floor);
    }
    return SQLITE_OK;
}

// What all subscriptions have acked, on disk once the running transaction commits.
static uint64_t durable_floor(const struct topic *topic)
{
    uint64_t acked = topic->subscription_count == 0 ? 0 : UINT64_MAX;
    for (size_t i = 0; i < topic->subscription_count; i++) {
        const struct subscription *subscription = topic->subscriptions[i];
        uint64_t floor =
            subscription->pending ? subscription->pending_floor : subscription->durable_floor;
        acked = floor < acked ? floor : acked;
    }
    return acked;
}

// The older half goes first, so that the messages on disk are always an unbroken row.
static int trim_topic(struct broker *broker, struct topic *topic)
{
    uint64_t floor = durable_floor(topic);
    struct half *current = &topic->halves[topic->pending_current];
    struct half *older = &topic->halves[1 - topic->pending_current];
    uint64_t before = count_of(&current->pending) + count_of(&older->pending);
    int result = trim_half(broker, older, floor, 1);
    if (result == SQLITE_OK && count_of(&older->pending) == 0) {
        result = trim_half(broker, current, floor, broker->out_of_space ? 1 : CLEAR_COUNT_MIN);
    }
    uint64_t after = count_of(&current->pending) + count_of(&older->pending);
    topic->pending_trimmed_count = before - after;
    return result;
}

int trim_topics(struct broker *broker)
{
    int result = SQLITE_OK;
    for (size_t i = 0; i < broker->topic_count && result == SQLITE_OK; i++) {
        result = trim_topic(broker, broker->topics[i]);
    }
    return result;
}

bool trim_due(const struct topic *topic)
{
    uint64_t floor = topic->subscription_count == 0 ? 0 : topic_smallest_floor(topic);
    for (size_t i = 0; i < 2; i++) {
        const struct extent *extent = &topic->halves[i].extent;
        uint64_t acked = acked_count(extent, floor);
        bool large = extent->size > CLEAR_SIZE_MAX;
        if ((acked >= TURN_COUNT_MIN && acked == count_of(extent)) ||
            (large && acked >= CUT_COUNT_MAX)) {
            return true;
        }
    }
    return false;
}
