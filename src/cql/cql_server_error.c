// ERROR: a code, words for people, and what else its code has (section 9). An unknown code has no more than
// the two.
#include "cql_response_internal.h"

#define FAILURE_REASON_SIZE 2u

static enum cql_write_type read_write_type(struct cql_reader *reader)
{
    static const char *const names[] = {
        [CQL_WRITE_SIMPLE] = "SIMPLE",
        [CQL_WRITE_BATCH] = "BATCH",
        [CQL_WRITE_UNLOGGED_BATCH] = "UNLOGGED_BATCH",
        [CQL_WRITE_COUNTER] = "COUNTER",
        [CQL_WRITE_BATCH_LOG] = "BATCH_LOG",
        [CQL_WRITE_CAS] = "CAS",
        [CQL_WRITE_VIEW] = "VIEW",
        [CQL_WRITE_CDC] = "CDC",
    };
    const struct text name = cql_read_string(reader);
    for (size_t i = CQL_WRITE_SIMPLE; i < sizeof(names) / sizeof(names[0]); i++) {
        if (text_equal(name, text_of(names[i]))) {
            return (enum cql_write_type)i;
        }
    }
    return CQL_WRITE_OTHER;
}

static void read_counts(struct cql_reader *reader, struct cql_server_error *out)
{
    out->consistency = cql_read_consistency(reader);
    out->received = cql_read_int(reader);
    out->required = cql_read_int(reader);
}

// A number in v4, in v5 the replicas that failed with their reasons.
static void read_failures(struct cql_reader *reader, int version, struct cql_server_error *out)
{
    out->failure_count = cql_read_int(reader);
    if (version < 5) {
        return;
    }
    const unsigned char *start = reader->at;
    for (int32_t i = 0; i < out->failure_count && !reader->damaged; i++) {
        (void)cql_read_inetaddr(reader);
        (void)cql_read_short(reader);
    }
    if (out->failure_count < 0 || reader->damaged) {
        reader->damaged = true;
        return;
    }
    out->failures.items = (struct text){(const char *)start, (size_t)(reader->at - start)};
    out->failures.count = (uint32_t)out->failure_count;
}

static void read_write_timeout(struct cql_reader *reader, struct cql_server_error *out)
{
    read_counts(reader, out);
    out->write_type = read_write_type(reader);
    // Since v5, and not of every server that speaks it.
    if (out->write_type == CQL_WRITE_CAS && cql_reader_left(reader) >= sizeof(uint16_t)) {
        out->contentions = cql_read_short(reader);
    }
}

static void read_unavailable(struct cql_reader *reader, struct cql_server_error *out)
{
    out->consistency = cql_read_consistency(reader);
    out->required = cql_read_int(reader);
    out->received = cql_read_int(reader);
}

// What follows the message.
static void read_details(struct cql_reader *reader, int version, struct cql_server_error *out)
{
    switch (out->code) {
    case CQL_ERROR_UNAVAILABLE:
        read_unavailable(reader, out);
        break;
    case CQL_ERROR_WRITE_TIMEOUT:
        read_write_timeout(reader, out);
        break;
    case CQL_ERROR_READ_TIMEOUT:
        read_counts(reader, out);
        out->data_present = cql_read_byte(reader) != 0;
        break;
    case CQL_ERROR_READ_FAILURE:
        read_counts(reader, out);
        read_failures(reader, version, out);
        out->data_present = cql_read_byte(reader) != 0;
        break;
    case CQL_ERROR_FUNCTION_FAILURE:
        out->keyspace = cql_read_string(reader);
        out->name = cql_read_string(reader);
        out->arguments = cql_read_string_list(reader);
        break;
    case CQL_ERROR_WRITE_FAILURE:
        read_counts(reader, out);
        read_failures(reader, version, out);
        out->write_type = read_write_type(reader);
        break;
    case CQL_ERROR_CAS_WRITE_UNKNOWN:
        read_counts(reader, out);
        break;
    case CQL_ERROR_ALREADY_EXISTS:
        out->keyspace = cql_read_string(reader);
        out->name = cql_read_string(reader);
        break;
    case CQL_ERROR_UNPREPARED:
        out->unprepared_id = cql_read_short_bytes(reader);
        break;
    default:
        break;
    }
}

void cql_read_server_error(struct cql_reader *reader, int version, struct cql_server_error *out)
{
    out->code = cql_read_int(reader);
    out->message = cql_read_string(reader);
    read_details(reader, version, out);
}

bool cql_failure_next(struct cql_failure_map *map, struct cql_inet *out_address,
                      uint16_t *out_reason)
{
    if (map->count == 0) {
        return false;
    }
    struct cql_reader reader;
    cql_reader_init(&reader, map->items);
    *out_address = cql_read_inetaddr(&reader);
    *out_reason = cql_read_short(&reader);
    map->items = cql_read_raw(&reader, cql_reader_left(&reader));
    map->count--;
    return true;
}
