#include "broker_twin.h"

#include "hash.h"
#include "leases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

void twin_init(struct twin *twin)
{
    memset(twin, 0, sizeof(*twin));
}

size_t twin_body_size(uint64_t seq)
{
    uint64_t random = hash_mix_u64(seq);
    return random % 64 == 0 ? random / 64 % 20000 + 20 : random / 64 % 300 + 20;
}

void twin_published(struct twin *twin, size_t count)
{
    twin->last_seq += count;
    assert_in_range(twin->last_seq, 0, TWIN_MESSAGE_COUNT_MAX);
}

static void expire(struct twin *twin, int64_t now_ns)
{
    for (uint64_t seq = 1; seq <= twin->last_seq; seq++) {
        struct twin_message *message = &twin->messages[seq];
        if (message->state == TWIN_OUT && message->deadline_ns <= now_ns) {
            message->state = TWIN_WAITING;
        }
    }
}

// The message that must come next, after `after`; 0 for none. `seen` is what the real one gave, which
// settles what became of acks that a crash may have undone.
static uint64_t next_of(struct twin *twin, enum twin_state state, uint64_t after, uint64_t seen)
{
    for (uint64_t seq = after + 1; seq <= twin->last_seq; seq++) {
        struct twin_message *message = &twin->messages[seq];
        if (state == TWIN_UNSEEN && message->state == TWIN_PERHAPS) {
            message->state = seq == seen ? TWIN_UNSEEN : TWIN_ACKED;
        }
        if (message->state == state) {
            return seq;
        }
    }
    return 0;
}

static void check_attempt(const struct twin *twin, uint64_t seq, uint32_t attempt)
{
    const struct twin_message *expected = &twin->messages[seq];
    if (expected->attempt > 0) {
        assert_int_equal(attempt, expected->attempt + 1);
    } else if (expected->delivered) {
        assert_int_equal(attempt, 2);
    } else {
        assert_in_range(attempt, 1, seq <= twin->crash_last_seq ? 2 : 1);
    }
}

// Whether it can't be told what the real one would give next, because a crash may have undone its ack.
static bool doubtful(const struct twin *twin, uint64_t after)
{
    uint64_t seq = after + 1;
    while (seq <= twin->last_seq && twin->messages[seq].state != TWIN_UNSEEN &&
           twin->messages[seq].state != TWIN_PERHAPS) {
        seq++;
    }
    return seq <= twin->last_seq && twin->messages[seq].state == TWIN_PERHAPS;
}

void twin_pulled(struct twin *twin, const struct broker_message *messages, size_t count,
                 const struct broker_pull_limits *limits, int64_t now_ns, int64_t lease_us)
{
    size_t size = 0;
    uint64_t last_waiting = 0;
    uint64_t last_unseen = 0;
    expire(twin, now_ns);
    for (size_t i = 0;; i++) {
        if (i == count && doubtful(twin, last_unseen)) {
            return;
        }
        uint64_t given = i < count ? messages[i].sequence : 0;
        uint64_t seq = next_of(twin, TWIN_WAITING, last_waiting, given);
        if (seq != 0) {
            last_waiting = seq;
        } else {
            seq = next_of(twin, TWIN_UNSEEN, last_unseen, given);
            last_unseen = seq;
        }
        bool room = i < limits->count_max && (i == 0 || size < limits->size_max) &&
                    (i == 0 || size + twin_body_size(seq) <= limits->size_max);
        if (seq == 0 || !room) {
            assert_int_equal(i, count);
            return;
        }
        assert_in_range(i, 0, count - 1);
        assert_int_equal(given, seq);
        struct twin_message *message = &twin->messages[seq];
        check_attempt(twin, seq, messages[i].delivery_attempt);
        message->attempt = messages[i].delivery_attempt;
        message->state = TWIN_OUT;
        message->delivered = true;
        message->deadline_ns = now_ns + lease_us * 1000;
        size += messages[i].data.size;
    }
}

static struct twin_message *leased(struct twin *twin, uint64_t seq, uint32_t attempt,
                                   int64_t now_ns)
{
    struct twin_message *message = &twin->messages[seq];
    bool valid =
        message->state == TWIN_OUT && message->attempt == attempt && now_ns < message->deadline_ns;
    return valid ? message : NULL;
}

static uint64_t floor_of(const struct twin *twin)
{
    uint64_t floor = 0;
    while (floor < twin->last_seq && twin->messages[floor + 1].state == TWIN_ACKED) {
        floor++;
    }
    return floor;
}

static bool acked(const struct twin *twin, uint64_t seq)
{
    return seq == 0 || (seq <= twin->last_seq && twin->messages[seq].state == TWIN_ACKED);
}

void twin_acks_begin(struct twin *twin)
{
    twin->range_count = 1; // that of the floor
    for (uint64_t seq = 1; seq <= twin->last_seq; seq++) {
        twin->range_count += acked(twin, seq) && !acked(twin, seq - 1);
        twin->range_count += twin->messages[seq].state == TWIN_PERHAPS;
    }
}

void twin_ack(struct twin *twin, uint64_t seq, uint32_t attempt, int64_t now_ns)
{
    struct twin_message *message = leased(twin, seq, attempt, now_ns);
    if (message == NULL) {
        return;
    }
    message->state = TWIN_ACKED;
    twin->range_count += 1u;
    twin->range_count -= (size_t)acked(twin, seq - 1) + (size_t)acked(twin, seq + 1);
    twin->ranges_full = twin->ranges_full || twin->range_count + 1 >= LEASES_RANGE_COUNT_MAX;
}

void twin_nack(struct twin *twin, uint64_t seq, uint32_t attempt, int64_t now_ns)
{
    struct twin_message *message = leased(twin, seq, attempt, now_ns);
    if (message != NULL) {
        message->state = TWIN_WAITING;
    }
}

void twin_extend(struct twin *twin, uint64_t seq, uint32_t attempt, int64_t now_ns,
                 int64_t lease_us)
{
    struct twin_message *message = leased(twin, seq, attempt, now_ns);
    if (message != NULL) {
        message->deadline_ns = now_ns + lease_us * 1000;
    }
}

void twin_flushed(struct twin *twin)
{
    for (uint64_t seq = 1; seq <= twin->last_seq; seq++) {
        struct twin_message *message = &twin->messages[seq];
        message->flushed = message->flushed || message->state == TWIN_ACKED;
    }
}

void twin_restarted(struct twin *twin, bool crash)
{
    uint64_t sure = twin->ranges_full ? floor_of(twin) : twin->last_seq;
    twin->ranges_full = false;
    twin->crash_last_seq = crash ? twin->last_seq : twin->crash_last_seq;
    for (uint64_t seq = 1; seq <= twin->last_seq; seq++) {
        struct twin_message *message = &twin->messages[seq];
        message->attempt = 0;
        if (message->state == TWIN_OUT || message->state == TWIN_WAITING) {
            message->state = TWIN_UNSEEN;
        } else if (message->state == TWIN_ACKED && (seq > sure || (crash && !message->flushed))) {
            message->state = TWIN_PERHAPS;
        }
        message->flushed = message->state == TWIN_ACKED;
    }
}

void twin_check_backlog(struct twin *twin, const struct broker_backlog *backlog, int64_t now_ns)
{
    uint64_t unacked = 0;
    uint64_t perhaps = 0;
    uint64_t out = 0;
    expire(twin, now_ns);
    for (uint64_t seq = 1; seq <= twin->last_seq; seq++) {
        const struct twin_message *message = &twin->messages[seq];
        unacked += message->state != TWIN_ACKED && message->state != TWIN_PERHAPS;
        perhaps += message->state == TWIN_PERHAPS;
        out += message->state == TWIN_OUT;
    }
    assert_int_equal(backlog->published, twin->last_seq);
    assert_int_equal(backlog->leased, out);
    assert_in_range(backlog->unacked, unacked, unacked + perhaps);
    assert_int_equal(backlog->oldest_unacked_us == 0, backlog->unacked == 0);
}
