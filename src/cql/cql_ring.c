// The ring of tokens, sorted once, and for each of its ranges the replicas of a keyspace.
//
// NetworkTopologyStrategy walks the ring from the range on and takes, in each data centre, the first node of
// each rack; a second node of a rack only as far as there are fewer racks than replicas. The walk of a range
// ends when every data centre has its replicas (as many as it has nodes at most), at the latest after one
// turn.
#include "cql_ring.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

// --- the ring -------------------------------------------------------------------------------------

static int compare_tokens(const void *a, const void *b)
{
    const struct cql_ring_token *left = a;
    const struct cql_ring_token *right = b;
    if (left->token != right->token) {
        return left->token < right->token ? -1 : 1;
    }
    return left->node < right->node ? -1 : left->node > right->node;
}

// The number of a name among those seen so far, to which it is added when it is new.
static uint16_t intern(struct text *names, size_t *count, struct text name)
{
    size_t i = 0;
    while (i < *count && !text_equal(names[i], name)) {
        i++;
    }
    if (i == *count) {
        names[(*count)++] = name;
    }
    return (uint16_t)i;
}

// Racks of one name in two data centres are two racks; since they are only compared within one data
// centre, one number for both will do.
static void place_nodes(struct cql_ring *ring, const struct cql_ring_node *nodes,
                        struct text *racks, struct text *dcs, struct cql_ring_place *places)
{
    size_t rack_count = 0;
    for (size_t i = 0; i < ring->node_count; i++) {
        places[i].dc = intern(dcs, &ring->dc_count, nodes[i].dc);
        places[i].rack = intern(racks, &rack_count, nodes[i].rack);
    }
}

static void collect_tokens(struct cql_ring *ring, const struct cql_ring_node *nodes,
                           struct cql_ring_token *tokens, size_t count)
{
    size_t at = 0;
    for (size_t i = 0; i < ring->node_count; i++) {
        for (size_t k = 0; k < nodes[i].token_count; k++) {
            tokens[at++] = (struct cql_ring_token){nodes[i].tokens[k], (uint32_t)i};
        }
    }
    assert(at == count);
    qsort(tokens, count, sizeof(*tokens), compare_tokens);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || tokens[i].token != tokens[i - 1].token) {
            tokens[ring->token_count++] = tokens[i];
        }
    }
}

static bool copy_names(struct text *names, size_t count, struct arena *arena)
{
    for (size_t i = 0; i < count; i++) {
        names[i].data = arena_copy(arena, names[i].data, names[i].size);
    }
    return !arena_overflowed(arena);
}

enum err cql_ring_build(struct cql_ring *ring, const struct cql_ring_node *nodes, size_t node_count,
                        struct arena *arena)
{
    size_t token_count = 0;
    for (size_t i = 0; i < node_count; i++) {
        token_count += nodes[i].token_count;
        if (i >= CQL_RING_NODES_MAX || token_count > CQL_RING_TOKENS_MAX) {
            return ERR_TOO_LARGE;
        }
    }
    struct cql_ring_token *tokens = ARENA_ARRAY(arena, struct cql_ring_token, token_count + 1);
    struct cql_ring_place *places = ARENA_ARRAY(arena, struct cql_ring_place, node_count + 1);
    struct text *dcs = ARENA_ARRAY(arena, struct text, node_count + 1);
    const size_t mark = arena_mark(arena);
    struct text *racks = ARENA_ARRAY(arena, struct text, node_count + 1);
    if (arena_overflowed(arena)) {
        return ERR_NO_MEMORY;
    }
    *ring =
        (struct cql_ring){.tokens = tokens, .places = places, .node_count = node_count, .dcs = dcs};
    place_nodes(ring, nodes, racks, dcs, places);
    collect_tokens(ring, nodes, tokens, token_count);
    arena_rewind(arena, mark);
    return copy_names(dcs, ring->dc_count, arena) ? ERR_OK : ERR_NO_MEMORY;
}

size_t cql_ring_find(const struct cql_ring *ring, int64_t token)
{
    assert(ring->token_count > 0);
    size_t low = 0;
    size_t high = ring->token_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (ring->tokens[middle].token < token) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == ring->token_count ? 0 : low;
}

// --- replicas of a range --------------------------------------------------------------------------

// How far the walk is in one data centre.
struct dc_state {
    uint32_t wanted;       // replicas to have
    uint32_t node_count;   // that own a token
    uint32_t rack_count;   // of these
    uint32_t left;         // replicas still to be found in this walk
    uint32_t repeats_left; // nodes that may be of a rack that has one already
};

struct walk {
    const struct cql_ring *ring;
    struct dc_state *dcs;
    uint32_t *rack_seen; // by data centre and rack: the number of the walk that saw it last
    uint32_t *node_seen; // by node, the same
    size_t rack_count;
    uint32_t number; // of the walk, from 1 on
    uint32_t *nodes; // found
    uint32_t count;
    uint32_t cap;
};

static uint32_t *rack_seen(const struct walk *walk, const struct cql_ring_place *place)
{
    return &walk->rack_seen[place->dc * walk->rack_count + place->rack];
}

// Each node once, each rack of a data centre once.
static void count_nodes(struct walk *walk)
{
    walk->number++;
    for (size_t i = 0; i < walk->ring->token_count; i++) {
        const uint32_t node = walk->ring->tokens[i].node;
        const struct cql_ring_place *place = &walk->ring->places[node];
        if (walk->node_seen[node] != walk->number) {
            walk->node_seen[node] = walk->number;
            walk->dcs[place->dc].node_count++;
        }
        if (*rack_seen(walk, place) != walk->number) {
            *rack_seen(walk, place) = walk->number;
            walk->dcs[place->dc].rack_count++;
        }
    }
}

static void set_wanted(struct walk *walk, const struct cql_replication *replication)
{
    for (size_t i = 0; i < replication->dc_count; i++) {
        for (size_t k = 0; k < walk->ring->dc_count; k++) {
            if (text_equal(walk->ring->dcs[k], replication->dcs[i].name)) {
                walk->dcs[k].wanted = replication->dcs[i].factor;
            }
        }
    }
}

// Whether the node is a replica of its data centre.
static bool takes(struct walk *walk, uint32_t node)
{
    const struct cql_ring_place *place = &walk->ring->places[node];
    struct dc_state *dc = &walk->dcs[place->dc];
    if (dc->left == 0) {
        return false;
    }
    if (*rack_seen(walk, place) != walk->number) {
        *rack_seen(walk, place) = walk->number;
    } else if (dc->repeats_left > 0) {
        dc->repeats_left--;
    } else {
        return false;
    }
    dc->left--;
    return true;
}

// Sets out for a walk; gives how many replicas there will be.
static uint32_t begin_walk(struct walk *walk)
{
    uint32_t total = 0;
    walk->number++;
    walk->count = 0;
    for (size_t i = 0; i < walk->ring->dc_count; i++) {
        struct dc_state *dc = &walk->dcs[i];
        dc->left = dc->wanted < dc->node_count ? dc->wanted : dc->node_count;
        dc->repeats_left = dc->wanted > dc->rack_count ? dc->wanted - dc->rack_count : 0;
        total += dc->left;
    }
    return total < walk->cap ? total : walk->cap;
}

static void walk_network(struct walk *walk, size_t range)
{
    const uint32_t total = begin_walk(walk);
    const size_t count = walk->ring->token_count;
    for (size_t step = 0; step < count && walk->count < total; step++) {
        const uint32_t node = walk->ring->tokens[(range + step) % count].node;
        if (walk->node_seen[node] == walk->number) {
            continue;
        }
        // A node whose rack was full stays so for the whole walk: repeats only become fewer.
        walk->node_seen[node] = walk->number;
        if (takes(walk, node)) {
            walk->nodes[walk->count++] = node;
        }
    }
}

static void walk_simple(struct walk *walk, size_t range, uint32_t factor)
{
    walk->number++;
    walk->count = 0;
    const size_t count = walk->ring->token_count;
    const uint32_t total = factor < walk->cap ? factor : walk->cap;
    for (size_t step = 0; step < count && walk->count < total; step++) {
        const uint32_t node = walk->ring->tokens[(range + step) % count].node;
        if (walk->node_seen[node] != walk->number) {
            walk->node_seen[node] = walk->number;
            walk->nodes[walk->count++] = node;
        }
    }
}

// Replicas that a range has at most.
static uint32_t replicas_max(struct walk *walk, const struct cql_replication *replication)
{
    uint64_t total = 1;
    if (replication->strategy == CQL_STRATEGY_SIMPLE) {
        total = replication->factor;
    } else if (replication->strategy == CQL_STRATEGY_ALL) {
        total = walk->ring->node_count;
    } else if (replication->strategy == CQL_STRATEGY_NETWORK) {
        walk->cap = UINT32_MAX;
        total = begin_walk(walk);
    }
    total = total < walk->ring->node_count ? total : walk->ring->node_count;
    return total < CQL_REPLICAS_MAX ? (uint32_t)total : CQL_REPLICAS_MAX;
}

static void find_replicas(struct walk *walk, const struct cql_replication *replication,
                          size_t range)
{
    switch (replication->strategy) {
    case CQL_STRATEGY_NETWORK:
        walk_network(walk, range);
        break;
    case CQL_STRATEGY_SIMPLE:
        walk_simple(walk, range, replication->factor);
        break;
    case CQL_STRATEGY_ALL:
        walk_simple(walk, range, CQL_REPLICAS_MAX);
        break;
    case CQL_STRATEGY_OTHER:
        walk_simple(walk, range, 1);
        break;
    }
}

enum err cql_replica_map_build(struct cql_replica_map *map, const struct cql_ring *ring,
                               const struct cql_replication *replication, struct arena *arena)
{
    struct walk walk = {.ring = ring};
    for (size_t i = 0; i < ring->node_count; i++) {
        const size_t racks = (size_t)ring->places[i].rack + 1;
        walk.rack_count = racks > walk.rack_count ? racks : walk.rack_count;
    }
    walk.dcs = ARENA_ARRAY(arena, struct dc_state, ring->dc_count + 1);
    walk.rack_seen = ARENA_ARRAY(arena, uint32_t, ring->dc_count * walk.rack_count + 1);
    walk.node_seen = ARENA_ARRAY(arena, uint32_t, ring->node_count + 1);
    if (arena_overflowed(arena)) {
        return ERR_NO_MEMORY;
    }
    count_nodes(&walk);
    set_wanted(&walk, replication);
    walk.cap = replicas_max(&walk, replication);
    uint8_t *counts = ARENA_ARRAY(arena, uint8_t, ring->token_count + 1);
    uint32_t *nodes = ARENA_ARRAY(arena, uint32_t, ring->token_count * walk.cap + 1);
    if (arena_overflowed(arena)) {
        return ERR_NO_MEMORY;
    }
    for (size_t range = 0; range < ring->token_count; range++) {
        walk.nodes = nodes + range * walk.cap;
        find_replicas(&walk, replication, range);
        counts[range] = (uint8_t)walk.count;
    }
    *map = (struct cql_replica_map){.per_range = walk.cap, .nodes = nodes, .counts = counts};
    return ERR_OK;
}

const uint32_t *cql_replicas(const struct cql_replica_map *map, size_t range, size_t *out_count)
{
    *out_count = map->counts[range];
    return map->nodes + range * map->per_range;
}
