// The notations of the native protocol's messages (spec v5 and v4, section 3), read and written over the
// caller's memory. Both sides are sticky: after the first failure nothing more is read or written, reads
// give zero, and the caller asks once at the end. Nothing is allocated, nothing is copied by a read: what
// it gives are views into the bytes read. Pure; a reader or writer belongs to one thread at a time.
#ifndef TILL_CQL_WIRE_H
#define TILL_CQL_WIRE_H

#include "text.h"

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// [consistency]
enum cql_consistency {
    CQL_ANY = 0x0000,
    CQL_ONE = 0x0001,
    CQL_TWO = 0x0002,
    CQL_THREE = 0x0003,
    CQL_QUORUM = 0x0004,
    CQL_ALL = 0x0005,
    CQL_LOCAL_QUORUM = 0x0006,
    CQL_EACH_QUORUM = 0x0007,
    CQL_SERIAL = 0x0008,
    CQL_LOCAL_SERIAL = 0x0009,
    CQL_LOCAL_ONE = 0x000A,
};
const char *
cql_consistency_name(enum cql_consistency consistency); // "LOCAL_QUORUM"; "?" if unknown

struct cql_uuid {
    unsigned char bytes[16];
};
#define CQL_UUID_TEXT_SIZE 37 // with the zero at the end
void cql_uuid_format(const struct cql_uuid *uuid, char out[CQL_UUID_TEXT_SIZE]);
bool cql_uuid_equal(const struct cql_uuid *a, const struct cql_uuid *b);

struct cql_inet {
    unsigned char address[16]; // network order; the first `size` bytes count
    uint8_t size;              // 4 or 16
};

// [bytes], [value], or a cell of a row. Empty is not null: a text of no letters is present with size 0.
enum cql_presence { CQL_PRESENT, CQL_NULL, CQL_UNSET };
struct cql_cell {
    struct text bytes; // of a present one
    enum cql_presence presence;
};

// --- reading --------------------------------------------------------------------------------------

struct cql_reader {
    const unsigned char *at;
    const unsigned char *end;
    bool damaged; // more was asked for than there is, or a size makes no sense
};

void cql_reader_init(struct cql_reader *reader, struct text bytes);
size_t cql_reader_left(const struct cql_reader *reader); // bytes; 0 when damaged

uint8_t cql_read_byte(struct cql_reader *reader);
uint16_t cql_read_short(struct cql_reader *reader);
int32_t cql_read_int(struct cql_reader *reader);
int64_t cql_read_long(struct cql_reader *reader);
struct cql_uuid cql_read_uuid(struct cql_reader *reader);
struct text cql_read_raw(struct cql_reader *reader, size_t size);
struct text cql_read_string(struct cql_reader *reader);      // its UTF-8 is not checked
struct text cql_read_long_string(struct cql_reader *reader); // the same
struct text cql_read_short_bytes(struct cql_reader *reader);
struct cql_cell cql_read_bytes(struct cql_reader *reader); // any negative size is null
struct cql_cell cql_read_value(struct cql_reader *reader); // -1 null, -2 unset, less is damage
enum cql_consistency cql_read_consistency(struct cql_reader *reader); // unknown ones are kept
struct cql_inet cql_read_inetaddr(struct cql_reader *reader); // a size but 4 and 16 is damage
struct cql_inet cql_read_inet(struct cql_reader *reader, int32_t *out_port);
uint64_t cql_read_unsigned_vint(struct cql_reader *reader);
int64_t cql_read_vint(struct cql_reader *reader); // zig-zag

// A [string list] that was checked when it was read.
struct cql_string_list {
    struct text items; // what follows the count
    uint16_t count;
};
struct cql_string_list cql_read_string_list(struct cql_reader *reader);
// Takes the first string off the list; false when there is none.
bool cql_string_list_next(struct cql_string_list *list, struct text *out_string);

// [string map], [string multimap] and [bytes map] in the same manner.
struct cql_map {
    struct text items;
    uint16_t count;
};
struct cql_map cql_read_string_map(struct cql_reader *reader);
bool cql_string_map_next(struct cql_map *map, struct text *out_key, struct text *out_value);
struct cql_map cql_read_string_multimap(struct cql_reader *reader);
bool cql_string_multimap_next(struct cql_map *map, struct text *out_key,
                              struct cql_string_list *out_values);
struct cql_map cql_read_bytes_map(struct cql_reader *reader);
bool cql_bytes_map_next(struct cql_map *map, struct text *out_key, struct cql_cell *out_value);

// --- writing --------------------------------------------------------------------------------------

struct cql_writer {
    unsigned char *begin;
    unsigned char *at;
    unsigned char *end;
    bool overflowed; // something did not fit, or was too long for its notation
};

void cql_writer_init(struct cql_writer *writer, void *memory, size_t cap);
struct text cql_writer_view(const struct cql_writer *writer); // what was written so far
static inline size_t cql_writer_size(const struct cql_writer *writer)
{
    return (size_t)(writer->at - writer->begin);
}

// Room for `size` bytes, which the caller fills; NULL and overflowed when there is less.
static inline unsigned char *cql_writer_claim(struct cql_writer *writer, size_t size)
{
    if (__builtin_expect(writer->overflowed || size > (size_t)(writer->end - writer->at), 0)) {
        writer->overflowed = true;
        return NULL;
    }
    unsigned char *at = writer->at;
    writer->at += size;
    return at;
}

static inline void cql_store_short(unsigned char *at, uint16_t value)
{
    value = htobe16(value);
    memcpy(at, &value, sizeof(value));
}

static inline void cql_store_int(unsigned char *at, uint32_t value)
{
    value = htobe32(value);
    memcpy(at, &value, sizeof(value));
}

static inline void cql_store_long(unsigned char *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, sizeof(value));
}

void cql_write_byte(struct cql_writer *writer, uint8_t value);
void cql_write_short(struct cql_writer *writer, uint16_t value);
void cql_write_int(struct cql_writer *writer, int32_t value);
void cql_write_long(struct cql_writer *writer, int64_t value);
void cql_write_uuid(struct cql_writer *writer, const struct cql_uuid *value);
void cql_write_raw(struct cql_writer *writer, struct text bytes);
// Longer than the notation can say (65,535 or 2^31-1 bytes) counts as an overflow.
void cql_write_string(struct cql_writer *writer, struct text value);
void cql_write_long_string(struct cql_writer *writer, struct text value);
void cql_write_short_bytes(struct cql_writer *writer, struct text value);
void cql_write_value(struct cql_writer *writer, struct cql_cell value); // [bytes] too
void cql_write_consistency(struct cql_writer *writer, enum cql_consistency value);
void cql_write_inetaddr(struct cql_writer *writer, const struct cql_inet *value);
void cql_write_inet(struct cql_writer *writer, const struct cql_inet *value, int32_t port);
#define CQL_VINT_SIZE_MAX 9u
size_t cql_unsigned_vint_size(uint64_t value);
void cql_write_unsigned_vint(struct cql_writer *writer, uint64_t value);
void cql_write_vint(struct cql_writer *writer, int64_t value);

#endif
