// Bodies of requests. The parameters of QUERY, EXECUTE and BATCH are one layout of which each takes its part;
// their flags are one byte in v4 and four in v5.
#include "cql_request.h"

#include <assert.h>

enum {
    FLAG_VALUES = 0x01,
    FLAG_SKIP_METADATA = 0x02,
    FLAG_PAGE_SIZE = 0x04,
    FLAG_PAGING_STATE = 0x08,
    FLAG_SERIAL_CONSISTENCY = 0x10,
    FLAG_TIMESTAMP = 0x20,
    FLAG_KEYSPACE = 0x80,
    FLAG_NOW = 0x100,
};
#define PREPARE_FLAG_KEYSPACE 0x01
#define BATCH_KIND_QUERY      0
#define BATCH_KIND_PREPARED   1

static void write_entry(struct cql_writer *writer, struct text key, struct text value)
{
    if (value.size > 0) {
        cql_write_string(writer, key);
        cql_write_string(writer, value);
    }
}

void cql_write_startup(struct cql_writer *writer, const struct cql_startup *startup)
{
    const struct text lz4 = startup->lz4 ? TEXT("lz4") : TEXT("");
    const struct text overload = startup->throw_on_overload ? TEXT("1") : TEXT("");
    cql_write_short(
        writer,
        (uint16_t)(1 + startup->lz4 + startup->throw_on_overload + (startup->driver_name.size > 0) +
                   (startup->driver_version.size > 0) + (startup->application_name.size > 0)));
    write_entry(writer, TEXT("CQL_VERSION"), TEXT("3.0.0"));
    write_entry(writer, TEXT("COMPRESSION"), lz4);
    write_entry(writer, TEXT("THROW_ON_OVERLOAD"), overload);
    write_entry(writer, TEXT("DRIVER_NAME"), startup->driver_name);
    write_entry(writer, TEXT("DRIVER_VERSION"), startup->driver_version);
    write_entry(writer, TEXT("APPLICATION_NAME"), startup->application_name);
}

void cql_write_auth_plain(struct cql_writer *writer, struct text user, struct text password)
{
    unsigned char *at = cql_writer_claim(writer, 4);
    cql_write_byte(writer, 0);
    cql_write_raw(writer, user);
    cql_write_byte(writer, 0);
    cql_write_raw(writer, password);
    if (!writer->overflowed) {
        cql_store_int(at, (uint32_t)(writer->at - at) - 4);
    }
}

void cql_write_auth_response(struct cql_writer *writer, struct cql_cell token)
{
    cql_write_value(writer, token);
}

void cql_write_register(struct cql_writer *writer, unsigned events)
{
    static const struct text names[] = {
        {"TOPOLOGY_CHANGE", 15}, {"STATUS_CHANGE", 13}, {"SCHEMA_CHANGE", 13}};
    assert(events > 0 && events < 8);
    cql_write_short(writer, (uint16_t)__builtin_popcount(events));
    for (unsigned i = 0; i < 3; i++) {
        if ((events >> i & 1) != 0) {
            cql_write_string(writer, names[i]);
        }
    }
}

// --- parameters -----------------------------------------------------------------------------------

static uint32_t common_flags(const struct cql_parameters *parameters)
{
    return (parameters->serial_consistency != CQL_ANY ? FLAG_SERIAL_CONSISTENCY : 0u) |
           (parameters->timestamp_us != CQL_TIMESTAMP_SERVER ? FLAG_TIMESTAMP : 0u) |
           (parameters->keyspace.size > 0 ? FLAG_KEYSPACE : 0u) |
           (parameters->has_now ? FLAG_NOW : 0u);
}

static uint32_t query_flags(const struct cql_parameters *parameters)
{
    return common_flags(parameters) | (parameters->values.count > 0 ? FLAG_VALUES : 0u) |
           (parameters->skip_metadata ? FLAG_SKIP_METADATA : 0u) |
           (parameters->page_size > 0 ? FLAG_PAGE_SIZE : 0u) |
           (parameters->paging_state.size > 0 ? FLAG_PAGING_STATE : 0u);
}

static void write_head(struct cql_writer *writer, int version, uint32_t flags,
                       const struct cql_parameters *parameters)
{
    assert(version == 4 || version == 5);
    assert(version >= 5 || (flags & (FLAG_KEYSPACE | FLAG_NOW)) == 0);
    cql_write_consistency(writer, parameters->consistency);
    if (version >= 5) {
        cql_write_int(writer, (int32_t)flags);
    } else {
        cql_write_byte(writer, (uint8_t)flags);
    }
}

// What BATCH has too.
static void write_tail(struct cql_writer *writer, uint32_t flags,
                       const struct cql_parameters *parameters)
{
    if ((flags & FLAG_SERIAL_CONSISTENCY) != 0) {
        cql_write_consistency(writer, parameters->serial_consistency);
    }
    if ((flags & FLAG_TIMESTAMP) != 0) {
        assert(parameters->timestamp_us >= 0);
        cql_write_long(writer, parameters->timestamp_us);
    }
    if ((flags & FLAG_KEYSPACE) != 0) {
        cql_write_string(writer, parameters->keyspace);
    }
    if ((flags & FLAG_NOW) != 0) {
        cql_write_int(writer, parameters->now_in_seconds);
    }
}

static void write_values(struct cql_writer *writer, struct cql_values_view values)
{
    assert(!values.overflowed && values.count <= CQL_VALUES_MAX);
    cql_write_short(writer, (uint16_t)values.count);
    cql_write_raw(writer, values.bytes);
}

static void write_parameters(struct cql_writer *writer, int version,
                             const struct cql_parameters *parameters)
{
    const uint32_t flags = query_flags(parameters);
    write_head(writer, version, flags, parameters);
    if ((flags & FLAG_VALUES) != 0) {
        write_values(writer, parameters->values);
    }
    if ((flags & FLAG_PAGE_SIZE) != 0) {
        cql_write_int(writer, parameters->page_size);
    }
    if ((flags & FLAG_PAGING_STATE) != 0) {
        cql_write_long_string(writer, parameters->paging_state);
    }
    write_tail(writer, flags, parameters);
}

// --- statements -----------------------------------------------------------------------------------

void cql_write_query(struct cql_writer *writer, int version, struct text query,
                     const struct cql_parameters *parameters)
{
    cql_write_long_string(writer, query);
    write_parameters(writer, version, parameters);
}

void cql_write_prepare(struct cql_writer *writer, int version, struct text query,
                       struct text keyspace)
{
    assert(version >= 5 || keyspace.size == 0);
    cql_write_long_string(writer, query);
    if (version >= 5) {
        cql_write_int(writer, keyspace.size > 0 ? PREPARE_FLAG_KEYSPACE : 0);
    }
    if (keyspace.size > 0) {
        cql_write_string(writer, keyspace);
    }
}

void cql_write_execute(struct cql_writer *writer, int version, struct text id,
                       struct text result_metadata_id, const struct cql_parameters *parameters)
{
    cql_write_short_bytes(writer, id);
    if (version >= 5) {
        cql_write_short_bytes(writer, result_metadata_id);
    }
    write_parameters(writer, version, parameters);
}

void cql_write_batch_begin(struct cql_writer *writer, enum cql_batch_type type, uint16_t count)
{
    cql_write_byte(writer, (uint8_t)type);
    cql_write_short(writer, count);
}

void cql_write_batch_prepared(struct cql_writer *writer, struct text id,
                              struct cql_values_view values)
{
    cql_write_byte(writer, BATCH_KIND_PREPARED);
    cql_write_short_bytes(writer, id);
    write_values(writer, values);
}

void cql_write_batch_query(struct cql_writer *writer, struct text query,
                           struct cql_values_view values)
{
    cql_write_byte(writer, BATCH_KIND_QUERY);
    cql_write_long_string(writer, query);
    write_values(writer, values);
}

void cql_write_batch_end(struct cql_writer *writer, int version,
                         const struct cql_parameters *parameters)
{
    assert(parameters->values.count == 0 && parameters->page_size == 0 &&
           parameters->paging_state.size == 0 && !parameters->skip_metadata);
    const uint32_t flags = common_flags(parameters);
    write_head(writer, version, flags, parameters);
    write_tail(writer, flags, parameters);
}
