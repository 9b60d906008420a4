// How a keyspace is replicated, as system_schema.keyspaces tells it: {'class': '...NetworkTopologyStrategy',
// 'dc1': '3', 'dc2': '2'} or {'class': '...SimpleStrategy', 'replication_factor': '3'}.
#include "cql_ring.h"

#include <string.h>

static enum cql_strategy strategy_of(struct text class_name)
{
    static const struct {
        const char *name;
        enum cql_strategy strategy;
    } strategies[] = {
        {"SimpleStrategy", CQL_STRATEGY_SIMPLE},
        {"NetworkTopologyStrategy", CQL_STRATEGY_NETWORK},
        {"EverywhereStrategy", CQL_STRATEGY_ALL},
        {"LocalStrategy", CQL_STRATEGY_ALL},
    };
    const char *dot = class_name.size > 0 ? memrchr(class_name.data, '.', class_name.size) : NULL;
    const size_t package_size = dot ? (size_t)(dot + 1 - class_name.data) : 0;
    const struct text name = {class_name.data + package_size, class_name.size - package_size};
    for (size_t i = 0; i < sizeof(strategies) / sizeof(strategies[0]); i++) {
        if (text_equal(name, text_of(strategies[i].name))) {
            return strategies[i].strategy;
        }
    }
    return CQL_STRATEGY_OTHER;
}

// "3", or "3/1": three replicas, of which one is transient.
static bool parse_factor(struct text text, uint32_t *out_factor)
{
    const char *slash = text.size > 0 ? memchr(text.data, '/', text.size) : NULL;
    uint64_t factor = 0;
    if (slash) {
        text.size = (size_t)(slash - text.data);
    }
    if (!text_parse_u64(text, &factor) || factor > UINT32_MAX) {
        return false;
    }
    *out_factor = (uint32_t)factor;
    return true;
}

static bool add_dc(struct cql_replication *replication, struct text name, struct text value)
{
    if (replication->dc_count == CQL_REPLICATION_DC_MAX) {
        return false;
    }
    const size_t i = replication->dc_count++;
    replication->dcs[i].name = name;
    return parse_factor(value, &replication->dcs[i].factor);
}

// Options that belong to no strategy we know are left alone.
static bool add_option(struct cql_replication *replication, struct text key, struct text value)
{
    if (text_equal(key, TEXT("class"))) {
        return true;
    }
    if (replication->strategy == CQL_STRATEGY_SIMPLE &&
        text_equal(key, TEXT("replication_factor"))) {
        return parse_factor(value, &replication->factor);
    }
    return replication->strategy != CQL_STRATEGY_NETWORK || add_dc(replication, key, value);
}

// Takes an entry of a map<text, text>. false at the end, or when it is none.
static bool next_entry(struct cql_items *items, struct text *out_key, struct text *out_value)
{
    struct cql_cell key;
    struct cql_cell value;
    return cql_items_next(items, &key) && cql_items_next(items, &value) &&
           cql_get_text(key, out_key) == CQL_GOT_VALUE &&
           cql_get_text(value, out_value) == CQL_GOT_VALUE;
}

static bool find_class(struct cql_items items, struct text *out_class)
{
    struct text key;
    struct text value;
    while (next_entry(&items, &key, &value)) {
        if (text_equal(key, TEXT("class"))) {
            *out_class = value;
            return true;
        }
    }
    return false;
}

bool cql_replication_read(struct cql_cell map, struct cql_replication *out_replication)
{
    struct cql_items items;
    struct text class_name;
    struct text key;
    struct text value;
    if (cql_get_map(map, &items) != CQL_GOT_VALUE || !find_class(items, &class_name)) {
        return false;
    }
    struct cql_replication replication = {.strategy = strategy_of(class_name)};
    while (next_entry(&items, &key, &value)) {
        if (!add_option(&replication, key, value)) {
            return false;
        }
    }
    if (items.damaged || items.left > 0) {
        return false;
    }
    *out_replication = replication;
    return true;
}
