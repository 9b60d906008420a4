// EVENT, and the change of a schema, which a RESULT may tell too. An event of an unknown type, or of an unknown
// change, is CQL_EVENT_OTHER: it tells nothing, and breaks nothing.
#include "cql_response_internal.h"

static enum cql_change change_of(struct text text)
{
    if (text_equal(text, TEXT("CREATED"))) {
        return CQL_CHANGE_CREATED;
    }
    if (text_equal(text, TEXT("UPDATED"))) {
        return CQL_CHANGE_UPDATED;
    }
    return text_equal(text, TEXT("DROPPED")) ? CQL_CHANGE_DROPPED : CQL_CHANGE_OTHER;
}

void cql_read_schema_change(struct cql_reader *reader, struct cql_schema_change *out)
{
    out->change = change_of(cql_read_string(reader));
    out->target = cql_read_string(reader);
    out->keyspace = cql_read_string(reader);
    const bool callable =
        text_equal(out->target, TEXT("FUNCTION")) || text_equal(out->target, TEXT("AGGREGATE"));
    if (callable || text_equal(out->target, TEXT("TABLE")) ||
        text_equal(out->target, TEXT("TYPE"))) {
        out->name = cql_read_string(reader);
    }
    if (callable) {
        out->arguments = cql_read_string_list(reader);
    }
}

static enum cql_event_kind node_event_of(struct text change)
{
    static const struct {
        const char *name;
        enum cql_event_kind kind;
    } changes[] = {
        {"NEW_NODE", CQL_EVENT_NEW_NODE},
        {"REMOVED_NODE", CQL_EVENT_REMOVED_NODE},
        {"MOVED_NODE", CQL_EVENT_MOVED_NODE},
        {"UP", CQL_EVENT_UP},
        {"DOWN", CQL_EVENT_DOWN},
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        if (text_equal(change, text_of(changes[i].name))) {
            return changes[i].kind;
        }
    }
    return CQL_EVENT_OTHER;
}

void cql_read_event(struct cql_reader *reader, struct cql_event *out)
{
    out->type = cql_read_string(reader);
    if (text_equal(out->type, TEXT("SCHEMA_CHANGE"))) {
        out->kind = CQL_EVENT_SCHEMA;
        cql_read_schema_change(reader, &out->schema);
    } else if (text_equal(out->type, TEXT("TOPOLOGY_CHANGE")) ||
               text_equal(out->type, TEXT("STATUS_CHANGE"))) {
        out->kind = node_event_of(cql_read_string(reader));
        out->address = cql_read_inet(reader, &out->port);
    }
}
