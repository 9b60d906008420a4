// The window is a ring that doubles when needed, up to BROKER_OUTSTANDING_MAX messages. Waiting and
// expired messages are found by scanning it; two bounds, waiting_from and expiry_ns, say when there is
// nothing to find, so that the usual pull scans nothing.
#include "leases.h"

#include "broker.h"

#include <assert.h>
#include <stdlib.h>

#define LEASES_CAP_FIRST    1024u
#define HANDLE_ATTEMPT_BITS 16u
#define HANDLE_ATTEMPT_MASK UINT64_C(0xffff)

static struct lease *at(const struct leases *leases, uint64_t seq)
{
    return &leases->items[seq & (leases->cap - 1)];
}

static uint64_t window_count(const struct leases *leases)
{
    return leases->next - leases->floor - 1;
}

// The one place where a message in the window changes state.
static void enter(struct leases *leases, struct lease *lease, enum lease_state state)
{
    assert(lease->state != LEASE_ACKED);
    assert(lease->state != state);
    if (lease->state == LEASE_OUT) {
        leases->out_count--;
    } else {
        leases->waiting_count--;
    }
    lease->state = state;
    leases->out_count += state == LEASE_OUT;
    leases->waiting_count += state == LEASE_WAITING;
    leases->acked_above_count += state == LEASE_ACKED;
}

enum err leases_init(struct leases *leases, uint64_t floor, uint64_t delivered_before)
{
    *leases = (struct leases){
        .floor = floor,
        .next = floor + 1,
        .delivered_before = delivered_before,
        .waiting_from = floor + 1,
        .expiry_ns = INT64_MAX,
    };
    ranges_init(&leases->acked, LEASES_RANGE_COUNT_MAX);
    return ranges_add(&leases->acked, 0, floor);
}

void leases_deinit(struct leases *leases)
{
    free(leases->items);
    ranges_deinit(&leases->acked);
    *leases = (struct leases){0};
}

enum err leases_restore(struct leases *leases, uint64_t first, uint64_t last)
{
    assert(window_count(leases) == 0);
    assert(first > leases->next && last >= first);
    enum err err = ranges_add(&leases->acked, first, last);
    if (err == ERR_OK) {
        leases->acked_above_count = ranges_total(&leases->acked) - (leases->floor + 1);
    }
    return err;
}

void leases_expire(struct leases *leases, int64_t now_ns)
{
    if (now_ns < leases->expiry_ns) {
        return;
    }
    leases->expiry_ns = INT64_MAX;
    for (uint64_t seq = leases->floor + 1; seq < leases->next; seq++) {
        struct lease *lease = at(leases, seq);
        if (lease->state != LEASE_OUT) {
            continue;
        }
        if (lease->deadline_ns <= now_ns) {
            enter(leases, lease, LEASE_WAITING);
            leases->waiting_from = seq < leases->waiting_from ? seq : leases->waiting_from;
        } else if (lease->deadline_ns < leases->expiry_ns) {
            leases->expiry_ns = lease->deadline_ns;
        }
    }
}

size_t leases_waiting_run(struct leases *leases, size_t count_max, uint64_t *out_first)
{
    if (leases->waiting_count == 0) {
        leases->waiting_from = leases->next;
        return 0;
    }
    uint64_t seq = leases->waiting_from > leases->floor ? leases->waiting_from : leases->floor + 1;
    while (at(leases, seq)->state != LEASE_WAITING) {
        seq++;
        assert(seq < leases->next);
    }
    leases->waiting_from = seq;
    *out_first = seq;
    size_t count = 0;
    while (count < count_max && seq + count < leases->next &&
           at(leases, seq + count)->state == LEASE_WAITING) {
        count++;
    }
    return count;
}

// Makes the ring large enough for `count` more messages.
static enum err reserve(struct leases *leases, uint64_t count)
{
    uint64_t needed = window_count(leases) + count;
    assert(needed <= BROKER_OUTSTANDING_MAX);
    if (needed <= leases->cap) {
        return ERR_OK;
    }
    size_t cap = leases->cap == 0 ? LEASES_CAP_FIRST : leases->cap;
    while (cap < needed) {
        cap *= 2;
    }
    struct lease *items = calloc(cap, sizeof(*items));
    if (items == NULL) {
        return ERR_NO_MEMORY;
    }
    for (uint64_t seq = leases->floor + 1; seq < leases->next; seq++) {
        items[seq & (cap - 1)] = *at(leases, seq);
    }
    free(leases->items);
    leases->items = items;
    leases->cap = cap;
    return ERR_OK;
}

static uint64_t room(const struct leases *leases)
{
    return BROKER_OUTSTANDING_MAX - window_count(leases);
}

// Takes messages into the window that were acked before the log was opened and come next.
static enum err skip_acked(struct leases *leases)
{
    uint64_t gap = ranges_next_gap(&leases->acked, leases->next);
    uint64_t count = gap - leases->next;
    if (count > room(leases)) {
        count = room(leases);
    }
    if (count == 0) {
        return ERR_OK;
    }
    enum err err = reserve(leases, count);
    if (err != ERR_OK) {
        return err;
    }
    for (; count > 0; count--) {
        *at(leases, leases->next) = (struct lease){.state = LEASE_ACKED};
        leases->next++;
    }
    return ERR_OK;
}

// The first acked message above seq, or UINT64_MAX.
static uint64_t next_acked(const struct ranges *acked, uint64_t seq)
{
    if (acked->items[acked->count - 1].first <= seq) {
        return UINT64_MAX;
    }
    size_t low = 0;
    size_t high = acked->count - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (acked->items[middle].first > seq) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return acked->items[low].first;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

enum err leases_fresh_run(struct leases *leases, uint64_t last_seq, size_t count_max,
                          uint64_t *out_first, size_t *out_count)
{
    enum err err = skip_acked(leases);
    if (err != ERR_OK) {
        return err;
    }
    uint64_t first = leases->next;
    uint64_t count = 0;
    if (first <= last_seq && !ranges_contain(&leases->acked, first)) {
        count = smaller(count_max, last_seq - first + 1);
        count = smaller(count, next_acked(&leases->acked, first) - first);
        count = smaller(count, room(leases));
    }
    err = reserve(leases, count);
    if (err == ERR_OK) {
        *out_first = first;
        *out_count = (size_t)count;
    }
    return err;
}

uint64_t leases_reach(const struct leases *leases, size_t count)
{
    const struct ranges *acked = &leases->acked;
    size_t above = acked->count; // the ranges above the window, acked before the log was opened
    while (above > 0 && acked->items[above - 1].last >= leases->next) {
        above--;
    }
    uint64_t reach = leases->next + count - 1;
    for (; above < acked->count && acked->items[above].first <= reach; above++) {
        const struct range *range = &acked->items[above];
        reach += range->last - (range->first > leases->next ? range->first : leases->next) + 1;
    }
    return reach;
}

uint32_t leases_grant(struct leases *leases, uint64_t seq, int64_t deadline_ns)
{
    assert(seq > leases->floor && seq <= leases->next);
    struct lease *lease = at(leases, seq);
    if (seq == leases->next) {
        assert(window_count(leases) < leases->cap);
        bool again = seq <= leases->delivered_before;
        *lease = (struct lease){.attempt = again ? 2 : 1, .state = LEASE_OUT};
        leases->out_count++;
        leases->next++;
    } else {
        enter(leases, lease, LEASE_OUT);
        lease->attempt++;
    }
    lease->deadline_ns = deadline_ns;
    leases->expiry_ns = deadline_ns < leases->expiry_ns ? deadline_ns : leases->expiry_ns;
    return lease->attempt;
}

uint64_t leases_handle(uint64_t seq, uint32_t attempt)
{
    return seq << HANDLE_ATTEMPT_BITS | (attempt & HANDLE_ATTEMPT_MASK);
}

// The lease that a handle names, if it is still in force; otherwise counts the handle as ignored.
static struct lease *find(struct leases *leases, uint64_t handle, int64_t now_ns)
{
    uint64_t seq = handle >> HANDLE_ATTEMPT_BITS;
    if (seq > leases->floor && seq < leases->next) {
        struct lease *lease = at(leases, seq);
        if (lease->state == LEASE_OUT && now_ns < lease->deadline_ns &&
            leases_handle(seq, lease->attempt) == handle) {
            return lease;
        }
    }
    leases->ignored_count++;
    return NULL;
}

// Notes an acked run for the disk. When there is no room for one more range the window alone knows
// it, which costs a redelivery after a restart and nothing else.
static void note_acked(struct leases *leases, uint64_t first, uint64_t last)
{
    if (first <= last) {
        enum err err = ranges_add(&leases->acked, first, last);
        assert(err == ERR_OK || err == ERR_FULL || err == ERR_NO_MEMORY);
    }
}

static void raise_floor(struct leases *leases)
{
    uint64_t floor = leases->floor;
    while (floor + 1 < leases->next && at(leases, floor + 1)->state == LEASE_ACKED) {
        floor++;
    }
    note_acked(leases, 0, floor);
    uint64_t restored_floor = leases->acked.items[0].last;
    if (floor + 1 == leases->next && restored_floor > floor) {
        floor = restored_floor; // the window ends where acks of before the opening begin
        leases->next = floor + 1;
    }
    leases->acked_above_count -= floor - leases->floor;
    leases->floor = floor;
}

bool leases_ack(struct leases *leases, const uint64_t *handles, size_t count, int64_t now_ns)
{
    uint64_t first = 1; // the run being gathered, empty at first
    uint64_t last = 0;
    bool changed = false;
    for (size_t i = 0; i < count; i++) {
        struct lease *lease = find(leases, handles[i], now_ns);
        if (lease == NULL) {
            continue;
        }
        enter(leases, lease, LEASE_ACKED);
        changed = true;
        uint64_t seq = handles[i] >> HANDLE_ATTEMPT_BITS;
        if (seq != last + 1) {
            note_acked(leases, first, last);
            first = seq;
        }
        last = seq;
    }
    note_acked(leases, first, last);
    if (changed) {
        raise_floor(leases);
    }
    return changed;
}

void leases_nack(struct leases *leases, const uint64_t *handles, size_t count, int64_t now_ns)
{
    for (size_t i = 0; i < count; i++) {
        struct lease *lease = find(leases, handles[i], now_ns);
        if (lease != NULL) {
            enter(leases, lease, LEASE_WAITING);
            leases->waiting_from = smaller(leases->waiting_from, handles[i] >> HANDLE_ATTEMPT_BITS);
        }
    }
}

void leases_extend(struct leases *leases, const uint64_t *handles, size_t count, int64_t now_ns,
                   int64_t deadline_ns)
{
    for (size_t i = 0; i < count; i++) {
        struct lease *lease = find(leases, handles[i], now_ns);
        if (lease != NULL) {
            lease->deadline_ns = deadline_ns;
            leases->expiry_ns = deadline_ns < leases->expiry_ns ? deadline_ns : leases->expiry_ns;
        }
    }
}
