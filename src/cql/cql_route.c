// The nodes of a request: replicas of its partition in the local data centre, the least busy first, then
// any other local node. Chance breaks ties, so that clients do not all choose the same one.
#include "cql_session.h"

#include "cql_token.h"

#define KEY_MEMORY_SIZE 1024u // keys of several parts that are longer go to any node

static bool is_usable(const struct cql_slot *slot, const struct cql_node *node)
{
    return node->ready_count > 0 && node->local && !cql_was_tried(slot, node);
}

static uint32_t load_of(const struct cql_node *node)
{
    return node->window.in_flight + (uint32_t)node->queue.count;
}

// Keeps the less busy of two, either may be NULL.
static struct cql_node *better(struct cql_node *best, struct cql_node *node)
{
    return best == NULL || load_of(node) < load_of(best) ? node : best;
}

static struct cql_node *choose_any(struct cql_slot *slot)
{
    struct cql *cql = slot->cql;
    struct cql_node *best = NULL;
    size_t start = cql->local_count > 1 ? rand_below(&cql->rand, cql->local_count) : 0;
    for (size_t i = 0; i < cql->local_count; i++) {
        struct cql_node *node = cql->local[(start + i) % cql->local_count];
        if (is_usable(slot, node)) {
            best = better(best, node);
        }
    }
    return best;
}

static struct cql_keyspace *home_of(struct cql *cql, struct cql_statement *statement)
{
    struct cql_topology *topology = cql->topology;
    if (topology == NULL || statement->key_count == 0) {
        return NULL;
    }
    if (statement->generation != topology->generation) {
        statement->generation = topology->generation;
        statement->home = NULL;
        for (size_t i = 0; i < topology->keyspace_count; i++) {
            if (text_equal(topology->keyspaces[i].name, text_of(statement->keyspace))) {
                statement->home = &topology->keyspaces[i];
            }
        }
    }
    return statement->home;
}

static bool is_mapped(struct cql *cql, struct cql_keyspace *home)
{
    struct cql_topology *topology = cql->topology;
    if (!home->mapped && topology->ring.token_count > 0) {
        home->mapped = cql_replica_map_build(&home->map, &topology->ring, &home->replication,
                                             &topology->arena) == ERR_OK;
    }
    return home->mapped;
}

static struct cql_node *choose_replica(struct cql_slot *slot, struct cql_statement *statement,
                                       struct cql_values_view values)
{
    struct cql *cql = slot->cql;
    struct cql_keyspace *home = home_of(cql, statement);
    char memory[KEY_MEMORY_SIZE];
    struct text key;
    if (home == NULL || !is_mapped(cql, home) ||
        !cql_routing_key(values, statement->key, statement->key_count, memory, sizeof(memory),
                         &key)) {
        return NULL;
    }
    size_t count = 0;
    size_t range = cql_ring_find(&cql->topology->ring, cql_token(key));
    const uint32_t *replicas = cql_replicas(&home->map, range, &count);
    size_t start = count > 1 ? rand_below(&cql->rand, count) : 0;
    struct cql_node *best = NULL;
    for (size_t i = 0; i < count; i++) {
        struct cql_node *node = cql->topology->nodes[replicas[(start + i) % count]];
        if (node != NULL && is_usable(slot, node)) {
            best = better(best, node);
        }
    }
    return best;
}

struct cql_node *cql_choose(struct cql_slot *slot)
{
    const struct cql_request *request = &slot->request;
    struct cql_node *node = NULL;
    if (slot->cql->local_count > 1 && request->statement != NULL) {
        node = choose_replica(slot, request->statement, request->values);
    } else if (slot->cql->local_count > 1 && request->batch != NULL) {
        node = choose_replica(slot, request->batch[0].statement, request->batch[0].values);
    }
    return node != NULL ? node : choose_any(slot);
}
