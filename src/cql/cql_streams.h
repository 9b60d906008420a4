// The stream ids of one connection (native protocol v5, section 2.2: a signed short, so 32,768 of
// them) and who waits behind each. An id is given back only by its response, or it dies with its
// connection: an id that was reused after a timeout would hand one request's rows to another.
// Not thread-safe.
#ifndef TILL_CQL_STREAMS_H
#define TILL_CQL_STREAMS_H

#include "errors.h"

#include <stdint.h>

#define CQL_STREAM_COUNT 32768u

// Owners that are no slot.
#define CQL_OWNER_NONE   UINT16_MAX                    // the id is free
#define CQL_OWNER_ORPHAN ((uint16_t)(UINT16_MAX - 1u)) // nobody waits any more, the answer is due
#define CQL_OWNER_SELF   ((uint16_t)(UINT16_MAX - 2u)) // the connection's own: handshake, heartbeat
#define CQL_OWNER_MAX    ((uint16_t)(UINT16_MAX - 3u)) // the largest index of a slot

struct cql_streams {
    uint16_t *owners;   // by id
    uint16_t *released; // ids that were used and are free; the last one is given next
    uint32_t released_count;
    uint32_t fresh; // this id and those above it were never given
    uint32_t in_use;
    uint32_t orphans; // of those in use
};

// ERR_NO_MEMORY.
MUST_USE enum err cql_streams_init(struct cql_streams *streams);
void cql_streams_deinit(struct cql_streams *streams); // accepts a zeroed one

// An id for this owner; -1 when all are in use.
int32_t cql_streams_take(struct cql_streams *streams, uint16_t owner);
// Who waits behind the id; CQL_OWNER_NONE when it is free or no id at all.
uint16_t cql_streams_owner(const struct cql_streams *streams, int32_t id);
// The owner of an id in use gave up; its answer may still come.
void cql_streams_orphan(struct cql_streams *streams, int32_t id);
// The answer came. The id must be in use.
void cql_streams_release(struct cql_streams *streams, int32_t id);

#endif
