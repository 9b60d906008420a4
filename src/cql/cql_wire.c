// Reads and writes of the protocol's notations. Sizes come from outside, so each is compared with what
// is left before anything is touched.
#include "cql_wire.h"

#include <assert.h>

const char *cql_consistency_name(enum cql_consistency consistency)
{
    static const char *const names[] = {"ANY",    "ONE",          "TWO",          "THREE",
                                        "QUORUM", "ALL",          "LOCAL_QUORUM", "EACH_QUORUM",
                                        "SERIAL", "LOCAL_SERIAL", "LOCAL_ONE"};
    const size_t index = (size_t)consistency;
    return index < sizeof(names) / sizeof(names[0]) ? names[index] : "?";
}

void cql_uuid_format(const struct cql_uuid *uuid, char out[CQL_UUID_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t i = 0; i < sizeof(uuid->bytes); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            out[at++] = '-';
        }
        out[at++] = digits[uuid->bytes[i] >> 4];
        out[at++] = digits[uuid->bytes[i] & 0xF];
    }
    out[at] = '\0';
}

bool cql_uuid_equal(const struct cql_uuid *a, const struct cql_uuid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

// --- reading --------------------------------------------------------------------------------------

void cql_reader_init(struct cql_reader *reader, struct text bytes)
{
    static const unsigned char nothing[1];
    reader->at = bytes.data ? (const unsigned char *)bytes.data : nothing;
    reader->end = reader->at + bytes.size;
    reader->damaged = false;
}

size_t cql_reader_left(const struct cql_reader *reader)
{
    return reader->damaged ? 0 : (size_t)(reader->end - reader->at);
}

// The next `size` bytes, or NULL from then on.
static const unsigned char *take(struct cql_reader *reader, size_t size)
{
    if (reader->damaged || size > (size_t)(reader->end - reader->at)) {
        reader->damaged = true;
        return NULL;
    }
    const unsigned char *at = reader->at;
    reader->at += size;
    return at;
}

uint8_t cql_read_byte(struct cql_reader *reader)
{
    const unsigned char *at = take(reader, 1);
    return at ? *at : 0;
}

uint16_t cql_read_short(struct cql_reader *reader)
{
    uint16_t value = 0;
    const unsigned char *at = take(reader, sizeof(value));
    if (at) {
        memcpy(&value, at, sizeof(value));
    }
    return be16toh(value);
}

int32_t cql_read_int(struct cql_reader *reader)
{
    uint32_t value = 0;
    const unsigned char *at = take(reader, sizeof(value));
    if (at) {
        memcpy(&value, at, sizeof(value));
    }
    return (int32_t)be32toh(value);
}

int64_t cql_read_long(struct cql_reader *reader)
{
    uint64_t value = 0;
    const unsigned char *at = take(reader, sizeof(value));
    if (at) {
        memcpy(&value, at, sizeof(value));
    }
    return (int64_t)be64toh(value);
}

struct cql_uuid cql_read_uuid(struct cql_reader *reader)
{
    struct cql_uuid uuid = {{0}};
    const unsigned char *at = take(reader, sizeof(uuid.bytes));
    if (at) {
        memcpy(uuid.bytes, at, sizeof(uuid.bytes));
    }
    return uuid;
}

struct text cql_read_raw(struct cql_reader *reader, size_t size)
{
    const unsigned char *at = take(reader, size);
    return at ? (struct text){(const char *)at, size} : (struct text){NULL, 0};
}

struct text cql_read_string(struct cql_reader *reader)
{
    return cql_read_raw(reader, cql_read_short(reader));
}

struct text cql_read_short_bytes(struct cql_reader *reader)
{
    return cql_read_string(reader);
}

struct text cql_read_long_string(struct cql_reader *reader)
{
    const int32_t size = cql_read_int(reader);
    if (size < 0) {
        reader->damaged = true;
    }
    return cql_read_raw(reader, (size_t)(size < 0 ? 0 : size));
}

struct cql_cell cql_read_bytes(struct cql_reader *reader)
{
    const int32_t size = cql_read_int(reader);
    if (size < 0 || reader->damaged) {
        return (struct cql_cell){.presence = CQL_NULL};
    }
    const struct text bytes = cql_read_raw(reader, (size_t)size);
    return (struct cql_cell){bytes, reader->damaged ? CQL_NULL : CQL_PRESENT};
}

struct cql_cell cql_read_value(struct cql_reader *reader)
{
    struct cql_reader before = *reader;
    const int32_t size = cql_read_int(&before);
    if (size >= -1 || before.damaged) {
        return cql_read_bytes(reader);
    }
    *reader = before;
    reader->damaged = size < -2;
    return (struct cql_cell){.presence = reader->damaged ? CQL_NULL : CQL_UNSET};
}

enum cql_consistency cql_read_consistency(struct cql_reader *reader)
{
    return (enum cql_consistency)cql_read_short(reader);
}

struct cql_inet cql_read_inetaddr(struct cql_reader *reader)
{
    struct cql_inet inet = {.size = cql_read_byte(reader)};
    if (inet.size != 4 && inet.size != 16) {
        reader->damaged = true;
    }
    const unsigned char *at = take(reader, inet.size);
    if (!at) {
        return (struct cql_inet){.size = 0};
    }
    memcpy(inet.address, at, inet.size);
    return inet;
}

struct cql_inet cql_read_inet(struct cql_reader *reader, int32_t *out_port)
{
    const struct cql_inet inet = cql_read_inetaddr(reader);
    *out_port = cql_read_int(reader);
    return inet;
}

// The first byte has as many leading ones as bytes follow it.
uint64_t cql_read_unsigned_vint(struct cql_reader *reader)
{
    const uint8_t first = cql_read_byte(reader);
    const unsigned more = (unsigned)__builtin_clz(~((unsigned)first << 24) | 0x00800000u);
    const unsigned char *at = take(reader, more);
    if (!at) {
        return 0;
    }
    uint64_t value = first & (0xFFu >> (more + 1));
    for (unsigned i = 0; i < more; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

int64_t cql_read_vint(struct cql_reader *reader)
{
    const uint64_t value = cql_read_unsigned_vint(reader);
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

// What was read since `start`, as the items of a list or map.
static struct text items_since(const struct cql_reader *reader, const unsigned char *start)
{
    return reader->damaged ? (struct text){NULL, 0}
                           : (struct text){(const char *)start, (size_t)(reader->at - start)};
}

struct cql_string_list cql_read_string_list(struct cql_reader *reader)
{
    const uint16_t count = cql_read_short(reader);
    const unsigned char *start = reader->at;
    for (uint32_t i = 0; i < count && !reader->damaged; i++) {
        (void)cql_read_string(reader);
    }
    const struct text items = items_since(reader, start);
    return (struct cql_string_list){items, reader->damaged ? 0 : count};
}

bool cql_string_list_next(struct cql_string_list *list, struct text *out_string)
{
    if (list->count == 0) {
        return false;
    }
    struct cql_reader reader;
    cql_reader_init(&reader, list->items);
    *out_string = cql_read_string(&reader);
    list->items = cql_read_raw(&reader, cql_reader_left(&reader));
    list->count--;
    return true;
}

// A map whose values `skip_value` passes over.
static struct cql_map read_map(struct cql_reader *reader, void (*skip_value)(struct cql_reader *))
{
    const uint16_t count = cql_read_short(reader);
    const unsigned char *start = reader->at;
    for (uint32_t i = 0; i < count && !reader->damaged; i++) {
        (void)cql_read_string(reader);
        skip_value(reader);
    }
    const struct text items = items_since(reader, start);
    return (struct cql_map){items, reader->damaged ? 0 : count};
}

static void skip_string(struct cql_reader *reader)
{
    (void)cql_read_string(reader);
}

static void skip_string_list(struct cql_reader *reader)
{
    (void)cql_read_string_list(reader);
}

static void skip_bytes(struct cql_reader *reader)
{
    (void)cql_read_bytes(reader);
}

struct cql_map cql_read_string_map(struct cql_reader *reader)
{
    return read_map(reader, skip_string);
}

struct cql_map cql_read_string_multimap(struct cql_reader *reader)
{
    return read_map(reader, skip_string_list);
}

struct cql_map cql_read_bytes_map(struct cql_reader *reader)
{
    return read_map(reader, skip_bytes);
}

// Begins to take an entry off: the key. false when there is none.
static bool begin_entry(struct cql_map *map, struct cql_reader *reader, struct text *out_key)
{
    if (map->count == 0) {
        return false;
    }
    cql_reader_init(reader, map->items);
    *out_key = cql_read_string(reader);
    return true;
}

static void end_entry(struct cql_map *map, struct cql_reader *reader)
{
    map->items = cql_read_raw(reader, cql_reader_left(reader));
    map->count--;
}

bool cql_string_map_next(struct cql_map *map, struct text *out_key, struct text *out_value)
{
    struct cql_reader reader;
    if (!begin_entry(map, &reader, out_key)) {
        return false;
    }
    *out_value = cql_read_string(&reader);
    end_entry(map, &reader);
    return true;
}

bool cql_string_multimap_next(struct cql_map *map, struct text *out_key,
                              struct cql_string_list *out_values)
{
    struct cql_reader reader;
    if (!begin_entry(map, &reader, out_key)) {
        return false;
    }
    *out_values = cql_read_string_list(&reader);
    end_entry(map, &reader);
    return true;
}

bool cql_bytes_map_next(struct cql_map *map, struct text *out_key, struct cql_cell *out_value)
{
    struct cql_reader reader;
    if (!begin_entry(map, &reader, out_key)) {
        return false;
    }
    *out_value = cql_read_bytes(&reader);
    end_entry(map, &reader);
    return true;
}

// --- writing --------------------------------------------------------------------------------------

void cql_writer_init(struct cql_writer *writer, void *memory, size_t cap)
{
    static unsigned char nothing[1];
    unsigned char *begin = memory ? memory : nothing;
    *writer = (struct cql_writer){.begin = begin, .at = begin};
    writer->end = writer->begin + cap;
}

struct text cql_writer_view(const struct cql_writer *writer)
{
    return (struct text){(const char *)writer->begin, cql_writer_size(writer)};
}

void cql_write_byte(struct cql_writer *writer, uint8_t value)
{
    unsigned char *at = cql_writer_claim(writer, 1);
    if (at) {
        *at = value;
    }
}

void cql_write_short(struct cql_writer *writer, uint16_t value)
{
    unsigned char *at = cql_writer_claim(writer, sizeof(value));
    if (at) {
        cql_store_short(at, value);
    }
}

void cql_write_int(struct cql_writer *writer, int32_t value)
{
    unsigned char *at = cql_writer_claim(writer, sizeof(value));
    if (at) {
        cql_store_int(at, (uint32_t)value);
    }
}

void cql_write_long(struct cql_writer *writer, int64_t value)
{
    unsigned char *at = cql_writer_claim(writer, sizeof(value));
    if (at) {
        cql_store_long(at, (uint64_t)value);
    }
}

void cql_write_uuid(struct cql_writer *writer, const struct cql_uuid *value)
{
    cql_write_raw(writer, (struct text){(const char *)value->bytes, sizeof(value->bytes)});
}

void cql_write_raw(struct cql_writer *writer, struct text bytes)
{
    unsigned char *at = cql_writer_claim(writer, bytes.size);
    if (at && bytes.size > 0) {
        memcpy(at, bytes.data, bytes.size);
    }
}

// Size and bytes are written whole or not at all.
void cql_write_string(struct cql_writer *writer, struct text value)
{
    if (value.size > UINT16_MAX) {
        writer->overflowed = true;
    }
    unsigned char *at = cql_writer_claim(writer, 2 + value.size);
    if (at) {
        cql_store_short(at, (uint16_t)value.size);
        if (value.size > 0) {
            memcpy(at + 2, value.data, value.size);
        }
    }
}

void cql_write_short_bytes(struct cql_writer *writer, struct text value)
{
    cql_write_string(writer, value);
}

void cql_write_long_string(struct cql_writer *writer, struct text value)
{
    if (value.size > INT32_MAX) {
        writer->overflowed = true;
        return;
    }
    unsigned char *at = cql_writer_claim(writer, 4 + value.size);
    if (at) {
        cql_store_int(at, (uint32_t)value.size);
        if (value.size > 0) {
            memcpy(at + 4, value.data, value.size);
        }
    }
}

void cql_write_value(struct cql_writer *writer, struct cql_cell value)
{
    switch (value.presence) {
    case CQL_PRESENT:
        cql_write_long_string(writer, value.bytes);
        break;
    case CQL_NULL:
        cql_write_int(writer, -1);
        break;
    case CQL_UNSET:
        cql_write_int(writer, -2);
        break;
    }
}

void cql_write_consistency(struct cql_writer *writer, enum cql_consistency value)
{
    cql_write_short(writer, (uint16_t)value);
}

void cql_write_inetaddr(struct cql_writer *writer, const struct cql_inet *value)
{
    assert(value->size == 4 || value->size == 16);
    unsigned char *at = cql_writer_claim(writer, 1 + (size_t)value->size);
    if (at) {
        at[0] = value->size;
        memcpy(at + 1, value->address, value->size);
    }
}

void cql_write_inet(struct cql_writer *writer, const struct cql_inet *value, int32_t port)
{
    cql_write_inetaddr(writer, value);
    cql_write_int(writer, port);
}

// Seven bits a byte, up to eight bytes; the ninth has them all.
size_t cql_unsigned_vint_size(uint64_t value)
{
    const unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    return bits > 56 ? CQL_VINT_SIZE_MAX : (bits + 6) / 7;
}

void cql_write_unsigned_vint(struct cql_writer *writer, uint64_t value)
{
    const size_t size = cql_unsigned_vint_size(value);
    unsigned char *at = cql_writer_claim(writer, size);
    if (!at) {
        return;
    }
    for (size_t i = size; i-- > 0; value >>= 8) {
        at[i] = (unsigned char)value;
    }
    at[0] = (unsigned char)(at[0] | (0xFF00u >> (size - 1)));
}

void cql_write_vint(struct cql_writer *writer, int64_t value)
{
    cql_write_unsigned_vint(writer, (uint64_t)value << 1 ^ (0 - ((uint64_t)value >> 63)));
}
