// Ids that were used lie on a stack, so a connection with 100 requests in flight touches the same
// few cache lines for ever.
#include "cql_streams.h"

#include <assert.h>
#include <stdlib.h>

enum err cql_streams_init(struct cql_streams *streams)
{
    uint16_t *memory = calloc(2 * CQL_STREAM_COUNT, sizeof(*memory));
    if (memory == NULL) {
        return ERR_NO_MEMORY;
    }
    *streams = (struct cql_streams){.owners = memory, .released = memory + CQL_STREAM_COUNT};
    return ERR_OK;
}

void cql_streams_deinit(struct cql_streams *streams)
{
    free(streams->owners);
    *streams = (struct cql_streams){0};
}

static uint16_t next_free(struct cql_streams *streams)
{
    return streams->released_count > 0 ? streams->released[--streams->released_count]
                                       : (uint16_t)streams->fresh++;
}

int32_t cql_streams_take(struct cql_streams *streams, uint16_t owner)
{
    assert(owner <= CQL_OWNER_MAX || owner == CQL_OWNER_SELF);
    if (streams->in_use == CQL_STREAM_COUNT) {
        return -1;
    }
    uint16_t id = next_free(streams);
    streams->owners[id] = owner;
    streams->in_use++;
    return id;
}

uint16_t cql_streams_owner(const struct cql_streams *streams, int32_t id)
{
    return id < 0 || (uint32_t)id >= streams->fresh ? CQL_OWNER_NONE : streams->owners[id];
}

void cql_streams_orphan(struct cql_streams *streams, int32_t id)
{
    assert(cql_streams_owner(streams, id) <= CQL_OWNER_MAX);
    streams->owners[id] = CQL_OWNER_ORPHAN;
    streams->orphans++;
}

void cql_streams_release(struct cql_streams *streams, int32_t id)
{
    uint16_t owner = cql_streams_owner(streams, id);
    assert(owner != CQL_OWNER_NONE && streams->in_use > 0);
    if (owner == CQL_OWNER_ORPHAN) {
        streams->orphans--;
    }
    streams->owners[id] = CQL_OWNER_NONE;
    streams->released[streams->released_count++] = (uint16_t)id;
    streams->in_use--;
}
