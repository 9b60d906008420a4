// Which nodes hold a token: the ring of all tokens, and for a keyspace the replicas of each range of it. The
// owner of a key is the node of the first token not below the key's, from the last on the first again. Pure; a
// ring and its maps do not change once built, so any thread may read them.
#ifndef TILL_CQL_RING_H
#define TILL_CQL_RING_H

#include "arena.h"
#include "cql_value.h"
#include "errors.h"
#include "text.h"

#include <stddef.h>
#include <stdint.h>

#define CQL_RING_NODES_MAX     1024u
#define CQL_RING_TOKENS_MAX    (256u * CQL_RING_NODES_MAX)
#define CQL_REPLICATION_DC_MAX 32u
#define CQL_REPLICAS_MAX       64u // of one range; more are left out

struct cql_ring_node {
    struct text dc;
    struct text rack;
    const int64_t *tokens;
    size_t token_count;
};

struct cql_ring_token {
    int64_t token;
    uint32_t node; // index into the nodes it was built of
};
struct cql_ring_place {
    uint16_t dc;   // nodes of one data centre have one number
    uint16_t rack; // of one rack within it
};
struct cql_ring {
    const struct cql_ring_token *tokens; // sorted, each token once
    size_t token_count;
    const struct cql_ring_place *places; // of each node
    size_t node_count;
    const struct text *dcs; // names
    size_t dc_count;
};

// All memory is the arena's, names included. Of a token that two nodes claim, the first node has it.
// ERR_TOO_LARGE above the limits, ERR_NO_MEMORY.
MUST_USE enum err cql_ring_build(struct cql_ring *ring, const struct cql_ring_node *nodes,
                                 size_t node_count, struct arena *arena);
// Index of the range that a token is in. The ring must have a token.
size_t cql_ring_find(const struct cql_ring *ring, int64_t token);

enum cql_strategy {
    CQL_STRATEGY_OTHER,  // unknown: a range's owner alone is told
    CQL_STRATEGY_SIMPLE, // the next `factor` nodes
    CQL_STRATEGY_NETWORK, // in each data centre `factor` nodes, of different racks if there are as many
    CQL_STRATEGY_ALL,     // every node has everything
};
struct cql_replication {
    enum cql_strategy strategy;
    uint32_t factor; // of CQL_STRATEGY_SIMPLE
    size_t dc_count;
    struct {
        struct text name;
        uint32_t factor;
    } dcs[CQL_REPLICATION_DC_MAX];
};
// From system_schema.keyspaces.replication, a map<text, text>; names are views into it. A factor of
// "3/1" (transient replicas) counts as 3. false when it makes no sense.
MUST_USE bool cql_replication_read(struct cql_cell map, struct cql_replication *out_replication);

struct cql_replica_map {
    uint32_t per_range;    // room
    const uint32_t *nodes; // per_range of each range, the nearest first
    const uint8_t *counts; // of each range
};
// In the arena. ERR_NO_MEMORY.
MUST_USE enum err cql_replica_map_build(struct cql_replica_map *map, const struct cql_ring *ring,
                                        const struct cql_replication *replication,
                                        struct arena *arena);
// The nodes of a range (cql_ring_find), in the ring's order.
const uint32_t *cql_replicas(const struct cql_replica_map *map, size_t range, size_t *out_count);

#endif
