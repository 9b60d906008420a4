// Cells of rows read as values. A size that does not fit is never taken for something else.
#include "cql_value.h"

#include <endian.h>

enum { KIND_LIST, KIND_MAP, KIND_TUPLE, KIND_VECTOR };

#define EPOCH_DAY (INT64_C(1) << 31)
#define DAY_NS    INT64_C(86400000000000)

// --- values of a fixed size -----------------------------------------------------------------------

// What can be said of a cell without looking into it, when only `size` bytes make a value.
static enum cql_got look(struct cql_cell cell, size_t size)
{
    if (cell.presence != CQL_PRESENT) {
        return CQL_GOT_NULL;
    }
    if (cell.bytes.size == 0) {
        return CQL_GOT_EMPTY;
    }
    return cell.bytes.size == size ? CQL_GOT_VALUE : CQL_GOT_DAMAGED;
}

// Of types for which no bytes are a value as any other.
static enum cql_got look_any(struct cql_cell cell)
{
    return cell.presence == CQL_PRESENT ? CQL_GOT_VALUE : CQL_GOT_NULL;
}

// Of types of more than one size.
static enum cql_got look_some(struct cql_cell cell)
{
    return cell.presence == CQL_PRESENT ? look(cell, cell.bytes.size) : CQL_GOT_NULL;
}

// A big-endian number of that many bytes.
static uint64_t load(struct text bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        value = value << 8 | (unsigned char)bytes.data[i];
    }
    return value;
}

enum cql_got cql_get_blob(struct cql_cell cell, struct text *out)
{
    const enum cql_got got = look_any(cell);
    if (got == CQL_GOT_VALUE) {
        *out = cell.bytes;
    }
    return got;
}

enum cql_got cql_get_text(struct cql_cell cell, struct text *out)
{
    if (look_any(cell) == CQL_GOT_VALUE && text_utf8_valid_prefix(cell.bytes) != cell.bytes.size) {
        return CQL_GOT_DAMAGED;
    }
    return cql_get_blob(cell, out);
}

enum cql_got cql_get_ascii(struct cql_cell cell, struct text *out)
{
    if (look_any(cell) == CQL_GOT_VALUE) {
        for (size_t i = 0; i < cell.bytes.size; i++) {
            if ((unsigned char)cell.bytes.data[i] >= 0x80) {
                return CQL_GOT_DAMAGED;
            }
        }
    }
    return cql_get_blob(cell, out);
}

enum cql_got cql_get_boolean(struct cql_cell cell, bool *out)
{
    const enum cql_got got = look(cell, 1);
    if (got == CQL_GOT_VALUE) {
        *out = cell.bytes.data[0] != 0;
    }
    return got;
}

enum cql_got cql_get_tinyint(struct cql_cell cell, int8_t *out)
{
    const enum cql_got got = look(cell, sizeof(*out));
    if (got == CQL_GOT_VALUE) {
        *out = (int8_t)load(cell.bytes);
    }
    return got;
}

enum cql_got cql_get_smallint(struct cql_cell cell, int16_t *out)
{
    const enum cql_got got = look(cell, sizeof(*out));
    if (got == CQL_GOT_VALUE) {
        *out = (int16_t)load(cell.bytes);
    }
    return got;
}

enum cql_got cql_get_int(struct cql_cell cell, int32_t *out)
{
    const enum cql_got got = look(cell, sizeof(*out));
    if (got == CQL_GOT_VALUE) {
        *out = (int32_t)load(cell.bytes);
    }
    return got;
}

enum cql_got cql_get_bigint(struct cql_cell cell, int64_t *out)
{
    const enum cql_got got = look(cell, sizeof(*out));
    if (got == CQL_GOT_VALUE) {
        *out = (int64_t)load(cell.bytes);
    }
    return got;
}

enum cql_got cql_get_float(struct cql_cell cell, float *out)
{
    int32_t bits = 0;
    const enum cql_got got = cql_get_int(cell, &bits);
    if (got == CQL_GOT_VALUE) {
        memcpy(out, &bits, sizeof(*out));
    }
    return got;
}

enum cql_got cql_get_double(struct cql_cell cell, double *out)
{
    int64_t bits = 0;
    const enum cql_got got = cql_get_bigint(cell, &bits);
    if (got == CQL_GOT_VALUE) {
        memcpy(out, &bits, sizeof(*out));
    }
    return got;
}

enum cql_got cql_get_timestamp(struct cql_cell cell, int64_t *out_ms)
{
    return cql_get_bigint(cell, out_ms);
}

enum cql_got cql_get_date(struct cql_cell cell, int32_t *out_days)
{
    int32_t days = 0;
    const enum cql_got got = cql_get_int(cell, &days);
    if (got == CQL_GOT_VALUE) {
        *out_days = (int32_t)((int64_t)(uint32_t)days - EPOCH_DAY);
    }
    return got;
}

enum cql_got cql_get_time(struct cql_cell cell, int64_t *out_ns)
{
    int64_t ns = 0;
    const enum cql_got got = cql_get_bigint(cell, &ns);
    if (got != CQL_GOT_VALUE) {
        return got;
    }
    if (ns < 0 || ns >= DAY_NS) {
        return CQL_GOT_DAMAGED;
    }
    *out_ns = ns;
    return CQL_GOT_VALUE;
}

enum cql_got cql_get_uuid(struct cql_cell cell, struct cql_uuid *out)
{
    const enum cql_got got = look(cell, sizeof(out->bytes));
    if (got == CQL_GOT_VALUE) {
        memcpy(out->bytes, cell.bytes.data, sizeof(out->bytes));
    }
    return got;
}

enum cql_got cql_get_inet(struct cql_cell cell, struct cql_inet *out)
{
    const enum cql_got got = look(cell, cell.bytes.size == 4 ? 4 : 16);
    if (got == CQL_GOT_VALUE) {
        *out = (struct cql_inet){.size = (uint8_t)cell.bytes.size};
        memcpy(out->address, cell.bytes.data, cell.bytes.size);
    }
    return got;
}

enum cql_got cql_get_duration(struct cql_cell cell, struct cql_duration *out)
{
    const enum cql_got got = look_some(cell);
    if (got != CQL_GOT_VALUE) {
        return got;
    }
    struct cql_reader reader;
    cql_reader_init(&reader, cell.bytes);
    const int64_t months = cql_read_vint(&reader);
    const int64_t days = cql_read_vint(&reader);
    const int64_t nanoseconds = cql_read_vint(&reader);
    const bool some_negative = months < 0 || days < 0 || nanoseconds < 0;
    const bool some_positive = months > 0 || days > 0 || nanoseconds > 0;
    if (reader.damaged || cql_reader_left(&reader) > 0 || months != (int32_t)months ||
        days != (int32_t)days || (some_negative && some_positive)) {
        return CQL_GOT_DAMAGED;
    }
    *out = (struct cql_duration){(int32_t)months, (int32_t)days, nanoseconds};
    return CQL_GOT_VALUE;
}

// --- numbers of any length ------------------------------------------------------------------------

// Bytes in front that only repeat the sign are allowed, and do not count.
bool cql_varint_to_i64(struct text twos_complement, int64_t *out)
{
    if (twos_complement.size == 0) {
        return false;
    }
    const unsigned char sign = (unsigned char)twos_complement.data[0] >= 0x80 ? 0xFF : 0;
    while (twos_complement.size > sizeof(*out)) {
        if ((unsigned char)twos_complement.data[0] != sign) {
            return false;
        }
        twos_complement.data++;
        twos_complement.size--;
    }
    const bool negative = (unsigned char)twos_complement.data[0] >= 0x80;
    if (negative != (sign != 0)) {
        return false;
    }
    const unsigned unused_bits = 64 - 8 * (unsigned)twos_complement.size;
    *out = (int64_t)(load(twos_complement) << unused_bits) >> unused_bits;
    return true;
}

enum cql_got cql_get_varint(struct cql_cell cell, int64_t *out)
{
    const enum cql_got got = look_some(cell);
    if (got == CQL_GOT_VALUE && !cql_varint_to_i64(cell.bytes, out)) {
        return CQL_GOT_DAMAGED;
    }
    return got;
}

enum cql_got cql_get_decimal(struct cql_cell cell, struct cql_decimal *out)
{
    const enum cql_got got = look_some(cell);
    if (got != CQL_GOT_VALUE) {
        return got;
    }
    struct cql_reader reader;
    cql_reader_init(&reader, cell.bytes);
    const int32_t scale = cql_read_int(&reader);
    const struct text unscaled = cql_read_raw(&reader, cql_reader_left(&reader));
    if (reader.damaged || unscaled.size == 0) {
        return CQL_GOT_DAMAGED;
    }
    *out = (struct cql_decimal){unscaled, scale};
    return CQL_GOT_VALUE;
}

bool cql_decimal_to_minor(struct cql_decimal value, int32_t scale, int64_t *out_minor)
{
    int64_t minor = 0;
    if (!cql_varint_to_i64(value.unscaled, &minor)) {
        return false;
    }
    // A number of 64 bits but 0 has no room for more than 18 steps either way.
    int64_t steps = (int64_t)scale - value.scale;
    for (; steps > 0 && minor != 0; steps--) {
        if (__builtin_mul_overflow(minor, 10, &minor)) {
            return false;
        }
    }
    for (; steps < 0 && minor != 0; steps++) {
        if (minor % 10 != 0) {
            return false;
        }
        minor /= 10;
    }
    *out_minor = minor;
    return true;
}

enum cql_got cql_get_minor(struct cql_cell cell, int32_t scale, int64_t *out_minor)
{
    struct cql_decimal decimal;
    const enum cql_got got = cql_get_decimal(cell, &decimal);
    if (got == CQL_GOT_VALUE && !cql_decimal_to_minor(decimal, scale, out_minor)) {
        return CQL_GOT_DAMAGED;
    }
    return got;
}

// --- containers -----------------------------------------------------------------------------------

static enum cql_got get_collection(struct cql_cell cell, uint8_t kind, struct cql_items *out)
{
    const enum cql_got got = look_some(cell);
    if (got != CQL_GOT_VALUE) {
        return got;
    }
    struct cql_items items = {.kind = kind};
    cql_reader_init(&items.reader, cell.bytes);
    const int64_t count = cql_read_int(&items.reader);
    const int64_t left = kind == KIND_MAP ? 2 * count : count;
    // Each element has four bytes at least.
    if (items.reader.damaged || left < 0 || left > (int64_t)cql_reader_left(&items.reader) / 4) {
        return CQL_GOT_DAMAGED;
    }
    items.left = (uint32_t)left;
    *out = items;
    return CQL_GOT_VALUE;
}

enum cql_got cql_get_list(struct cql_cell cell, struct cql_items *out)
{
    return get_collection(cell, KIND_LIST, out);
}

enum cql_got cql_get_map(struct cql_cell cell, struct cql_items *out)
{
    return get_collection(cell, KIND_MAP, out);
}

enum cql_got cql_get_tuple(struct cql_cell cell, struct cql_items *out)
{
    const enum cql_got got = look_any(cell);
    if (got == CQL_GOT_VALUE) {
        *out = (struct cql_items){.kind = KIND_TUPLE, .left = UINT32_MAX};
        cql_reader_init(&out->reader, cell.bytes);
    }
    return got;
}

enum cql_got cql_get_vector(struct cql_cell cell, const struct cql_vector_type *type,
                            struct cql_items *out)
{
    const enum cql_got got = look_some(cell);
    if (got != CQL_GOT_VALUE) {
        return got;
    }
    // An element has as many bytes as all have, or its size, which is one byte at least.
    const uint64_t size = (uint64_t)type->element_size * type->dimension;
    const bool fits =
        type->element_size > 0 ? size == cell.bytes.size : type->dimension <= cell.bytes.size;
    if (!fits) {
        return CQL_GOT_DAMAGED;
    }
    *out = (struct cql_items){
        .kind = KIND_VECTOR,
        .left = type->dimension,
        .element_size = type->element_size,
    };
    cql_reader_init(&out->reader, cell.bytes);
    return CQL_GOT_VALUE;
}

static struct cql_cell read_vector_element(struct cql_items *items)
{
    const uint64_t size =
        items->element_size > 0 ? items->element_size : cql_read_unsigned_vint(&items->reader);
    return (struct cql_cell){.bytes = cql_read_raw(&items->reader, size)};
}

bool cql_items_next(struct cql_items *items, struct cql_cell *out_item)
{
    const bool at_end = cql_reader_left(&items->reader) == 0;
    if (items->left == 0 || items->damaged || (items->kind == KIND_TUPLE && at_end)) {
        // Nothing may follow the last element.
        items->damaged = items->damaged || !at_end;
        return false;
    }
    items->left--;
    const struct cql_cell item =
        items->kind == KIND_VECTOR ? read_vector_element(items) : cql_read_bytes(&items->reader);
    items->damaged = items->reader.damaged;
    if (items->damaged) {
        return false;
    }
    *out_item = item;
    return true;
}
