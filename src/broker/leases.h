// Who has what: the delivery state of one subscription. Pure memory: no I/O, no clock, no lock.
//
// Messages are numbered 1, 2, 3, ... From the subscription's view they lie in three parts:
//
//     1 ... floor        all acked; nothing is kept about them
//     floor+1 ... next-1 the window: 16 bytes each, leased, waiting for redelivery or acked
//     next ...           fresh: never handed out since the log was opened
//
// What must survive a restart is in `acked`: the range 0 ... floor, then the ranges acked above it.
// Acks above the floor that find `acked` full live in the window only; they are lost by a restart,
// which means redelivery.
#ifndef TILL_BROKER_LEASES_H
#define TILL_BROKER_LEASES_H

#include "errors.h"
#include "ranges.h"

#include <stddef.h>
#include <stdint.h>

#define LEASES_RANGE_COUNT_MAX 1024u // acked ranges that are kept on disk, the floor's included

enum lease_state { LEASE_OUT, LEASE_WAITING, LEASE_ACKED };

struct lease {
    int64_t deadline_ns;
    uint32_t attempt;
    uint32_t state; // enum lease_state
};

struct leases {
    struct lease *items; // ring; message number & (cap - 1) is its place
    size_t cap;          // power of two, or 0 before the first use
    uint64_t floor;
    uint64_t next;
    uint64_t
        delivered_before; // messages up to here may have been delivered before the log was opened
    struct ranges acked;
    uint64_t acked_above_count; // acked messages above the floor
    uint64_t out_count;
    uint64_t waiting_count;
    uint64_t waiting_from; // no message below is waiting
    int64_t expiry_ns;     // no lease ends before
    uint64_t ignored_count;
};

MUST_USE enum err leases_init(struct leases *leases, uint64_t floor, uint64_t delivered_before);
void leases_deinit(struct leases *leases); // accepts a zeroed one
// Declares first ... last acked; only before anything is handed out.
MUST_USE enum err leases_restore(struct leases *leases, uint64_t first, uint64_t last);

// Leases that end at or before now become waiting.
void leases_expire(struct leases *leases, int64_t now_ns);

// Finds the first messages to hand out again, at most count_max neighbours; the count of them.
size_t leases_waiting_run(struct leases *leases, size_t count_max, uint64_t *out_first);
// Finds the first fresh messages up to last_seq, at most count_max neighbours, and makes room for
// them; fewer or none at BROKER_OUTSTANDING_MAX. ERR_NO_MEMORY.
MUST_USE enum err leases_fresh_run(struct leases *leases, uint64_t last_seq, size_t count_max,
                                   uint64_t *out_first, size_t *out_count);
// The highest message that handing out `count` fresh ones may reach.
uint64_t leases_reach(const struct leases *leases, size_t count);
// Hands out one message of a run; those of a fresh run in order. Returns its delivery attempt.
uint32_t leases_grant(struct leases *leases, uint64_t seq, int64_t deadline_ns);

// A delivery's name: the message's number and the low bits of its attempt.
uint64_t leases_handle(uint64_t seq, uint32_t attempt);

// Handles that are not leased now, or not any more, are ignored and counted.
// leases_ack tells whether anything changed that should be on disk.
bool leases_ack(struct leases *leases, const uint64_t *handles, size_t count, int64_t now_ns);
void leases_nack(struct leases *leases, const uint64_t *handles, size_t count, int64_t now_ns);
void leases_extend(struct leases *leases, const uint64_t *handles, size_t count, int64_t now_ns,
                   int64_t deadline_ns);

#endif
