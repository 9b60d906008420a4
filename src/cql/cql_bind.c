// Values put into the protocol's form, one behind the other. A value is its size and its bytes; a container
// is opened with room for its size (and its number of elements), and gets both when it is closed. In a
// vector of elements of one size these have none.
#include "cql_value.h"

#include <assert.h>

enum { KIND_LIST, KIND_MAP, KIND_TUPLE, KIND_VECTOR };

#define EPOCH_DAY         (INT64_C(1) << 31) // days are counted from 2^31 on
#define NULL_SIZE         UINT32_C(0xFFFFFFFF)
#define UNSET_SIZE        UINT32_C(0xFFFFFFFE)
#define SIZE_SIZE         4u // of a value
#define COUNT_SIZE        4u // of the elements of a collection
#define DAY_NS            INT64_C(86400000000000)
#define DURATION_SIZE_MAX (3 * CQL_VINT_SIZE_MAX)

void cql_values_init(struct cql_values *values, void *memory, size_t cap)
{
    cql_writer_init(&values->writer, memory, cap);
    values->count = 0;
    values->depth = 0;
}

void cql_values_reset(struct cql_values *values)
{
    cql_values_init(values, values->writer.begin,
                    (size_t)(values->writer.end - values->writer.begin));
}

struct cql_values_view cql_values_view(const struct cql_values *values)
{
    assert(values->depth == 0);
    return (struct cql_values_view){
        .bytes = cql_writer_view(&values->writer),
        .count = values->count,
        .overflowed = values->writer.overflowed || values->count > CQL_VALUES_MAX,
    };
}

struct cql_cell cql_values_at(struct cql_values_view values, uint32_t index)
{
    struct cql_reader reader;
    cql_reader_init(&reader, values.bytes);
    for (uint32_t i = 0; i < index && i < values.count; i++) {
        (void)cql_read_value(&reader);
    }
    return index < values.count ? cql_read_value(&reader) : (struct cql_cell){.presence = CQL_NULL};
}

// Counts a value or an element. Whether there is a size before it, which is written by claim_value.
static void count_one(struct cql_values *values)
{
    if (values->depth == 0) {
        values->count++;
    } else {
        values->open[values->depth - 1].count++;
    }
}

// Room for a value of `size` bytes in a vector: no size before it, or one as a vint.
static unsigned char *claim_in_vector(struct cql_values *values, uint32_t element_size, size_t size)
{
    if (element_size == 0) {
        cql_write_unsigned_vint(&values->writer, size);
    } else if (element_size != size) {
        values->writer.overflowed = true;
    }
    return cql_writer_claim(&values->writer, size);
}

// Room for a value of `size` bytes, behind its size. NULL: it does not fit.
static inline unsigned char *claim_value(struct cql_values *values, size_t size)
{
    count_one(values);
    if (values->depth > 0 && values->open[values->depth - 1].kind == KIND_VECTOR) {
        return claim_in_vector(values, values->open[values->depth - 1].element_size, size);
    }
    if (size > INT32_MAX) {
        values->writer.overflowed = true;
        return NULL;
    }
    unsigned char *at = cql_writer_claim(&values->writer, SIZE_SIZE + size);
    if (!at) {
        return NULL;
    }
    cql_store_int(at, (uint32_t)size);
    return at + SIZE_SIZE;
}

// --- simple values --------------------------------------------------------------------------------

// A size that says that there is no value.
static void bind_absent(struct cql_values *values, uint32_t size, bool allowed)
{
    count_one(values);
    if (!allowed) {
        values->writer.overflowed = true;
    }
    unsigned char *at = cql_writer_claim(&values->writer, SIZE_SIZE);
    if (at) {
        cql_store_int(at, size);
    }
}

void cql_bind_null(struct cql_values *values)
{
    const bool in_tuple = values->depth > 0 && values->open[values->depth - 1].kind == KIND_TUPLE;
    bind_absent(values, NULL_SIZE, values->depth == 0 || in_tuple);
}

void cql_bind_unset(struct cql_values *values)
{
    bind_absent(values, UNSET_SIZE, values->depth == 0);
}

void cql_bind_cell(struct cql_values *values, struct cql_cell cell)
{
    switch (cell.presence) {
    case CQL_PRESENT:
        cql_bind_blob(values, cell.bytes);
        break;
    case CQL_NULL:
        cql_bind_null(values);
        break;
    case CQL_UNSET:
        cql_bind_unset(values);
        break;
    }
}

void cql_bind_text(struct cql_values *values, struct text value)
{
    unsigned char *at = claim_value(values, value.size);
    if (at && value.size > 0) {
        memcpy(at, value.data, value.size);
    }
}

void cql_bind_blob(struct cql_values *values, struct text value)
{
    cql_bind_text(values, value);
}

void cql_bind_boolean(struct cql_values *values, bool value)
{
    unsigned char *at = claim_value(values, 1);
    if (at) {
        *at = value ? 1 : 0;
    }
}

void cql_bind_tinyint(struct cql_values *values, int8_t value)
{
    unsigned char *at = claim_value(values, 1);
    if (at) {
        *at = (unsigned char)value;
    }
}

void cql_bind_smallint(struct cql_values *values, int16_t value)
{
    unsigned char *at = claim_value(values, sizeof(value));
    if (at) {
        cql_store_short(at, (uint16_t)value);
    }
}

void cql_bind_int(struct cql_values *values, int32_t value)
{
    unsigned char *at = claim_value(values, sizeof(value));
    if (at) {
        cql_store_int(at, (uint32_t)value);
    }
}

void cql_bind_bigint(struct cql_values *values, int64_t value)
{
    unsigned char *at = claim_value(values, sizeof(value));
    if (at) {
        cql_store_long(at, (uint64_t)value);
    }
}

void cql_bind_float(struct cql_values *values, float value)
{
    int32_t bits = 0;
    memcpy(&bits, &value, sizeof(bits));
    cql_bind_int(values, bits);
}

void cql_bind_double(struct cql_values *values, double value)
{
    int64_t bits = 0;
    memcpy(&bits, &value, sizeof(bits));
    cql_bind_bigint(values, bits);
}

void cql_bind_timestamp(struct cql_values *values, int64_t since_epoch_ms)
{
    cql_bind_bigint(values, since_epoch_ms);
}

void cql_bind_date(struct cql_values *values, int32_t since_epoch_days)
{
    cql_bind_int(values, (int32_t)(uint32_t)(since_epoch_days + EPOCH_DAY));
}

void cql_bind_time(struct cql_values *values, int64_t since_midnight_ns)
{
    assert(since_midnight_ns >= 0 && since_midnight_ns < DAY_NS);
    cql_bind_bigint(values, since_midnight_ns);
}

void cql_bind_uuid(struct cql_values *values, const struct cql_uuid *value)
{
    cql_bind_blob(values, (struct text){(const char *)value->bytes, sizeof(value->bytes)});
}

void cql_bind_inet(struct cql_values *values, const struct cql_inet *value)
{
    assert(value->size == 4 || value->size == 16);
    cql_bind_blob(values, (struct text){(const char *)value->address, value->size});
}

void cql_bind_duration(struct cql_values *values, struct cql_duration value)
{
    const bool some_negative = value.months < 0 || value.days < 0 || value.nanoseconds < 0;
    const bool some_positive = value.months > 0 || value.days > 0 || value.nanoseconds > 0;
    assert(!(some_negative && some_positive));
    unsigned char bytes[DURATION_SIZE_MAX];
    struct cql_writer writer;
    cql_writer_init(&writer, bytes, sizeof(bytes));
    cql_write_vint(&writer, value.months);
    cql_write_vint(&writer, value.days);
    cql_write_vint(&writer, value.nanoseconds);
    cql_bind_blob(values, cql_writer_view(&writer));
}

// --- numbers of any length ------------------------------------------------------------------------

// As few bytes as keep the sign: 128 is 00 80, -128 is 80.
static size_t twos_complement_size(int64_t value)
{
    const uint64_t magnitude = (uint64_t)(value < 0 ? ~value : value);
    const unsigned bits = magnitude == 0 ? 0 : 64 - (unsigned)__builtin_clzll(magnitude);
    return bits / 8 + 1;
}

static void store_twos_complement(unsigned char *at, int64_t value, size_t size)
{
    unsigned char bytes[sizeof(value)];
    cql_store_long(bytes, (uint64_t)value);
    memcpy(at, bytes + sizeof(bytes) - size, size);
}

void cql_bind_varint(struct cql_values *values, int64_t value)
{
    const size_t size = twos_complement_size(value);
    unsigned char *at = claim_value(values, size);
    if (at) {
        store_twos_complement(at, value, size);
    }
}

void cql_bind_varint_bytes(struct cql_values *values, struct text twos_complement)
{
    assert(twos_complement.size > 0);
    cql_bind_blob(values, twos_complement);
}

void cql_bind_decimal(struct cql_values *values, int64_t unscaled, int32_t scale)
{
    const size_t size = twos_complement_size(unscaled);
    unsigned char *at = claim_value(values, sizeof(scale) + size);
    if (at) {
        cql_store_int(at, (uint32_t)scale);
        store_twos_complement(at + sizeof(scale), unscaled, size);
    }
}

void cql_bind_decimal_bytes(struct cql_values *values, struct cql_decimal value)
{
    assert(value.unscaled.size > 0);
    unsigned char *at = claim_value(values, sizeof(value.scale) + value.unscaled.size);
    if (at) {
        cql_store_int(at, (uint32_t)value.scale);
        memcpy(at + sizeof(value.scale), value.unscaled.data, value.unscaled.size);
    }
}

// --- containers -----------------------------------------------------------------------------------

// Opens one with room for its size and what else stands before the elements. Within a vector of sizes
// as vints a container cannot be, since its size is not known yet; nor within one of a fixed size.
static void begin_container(struct cql_values *values, uint8_t kind, size_t head_size,
                            uint32_t element_size)
{
    assert(values->depth < CQL_NESTING_MAX);
    count_one(values);
    if (values->depth > 0 && values->open[values->depth - 1].kind == KIND_VECTOR) {
        values->writer.overflowed = true;
    }
    values->open[values->depth].start = cql_writer_claim(&values->writer, SIZE_SIZE + head_size);
    values->open[values->depth].count = 0;
    values->open[values->depth].element_size = element_size;
    values->open[values->depth].kind = kind;
    values->depth++;
}

void cql_bind_list_begin(struct cql_values *values)
{
    begin_container(values, KIND_LIST, COUNT_SIZE, 0);
}

void cql_bind_map_begin(struct cql_values *values)
{
    begin_container(values, KIND_MAP, COUNT_SIZE, 0);
}

void cql_bind_tuple_begin(struct cql_values *values)
{
    begin_container(values, KIND_TUPLE, 0, 0);
}

void cql_bind_vector_begin(struct cql_values *values, uint32_t element_size)
{
    begin_container(values, KIND_VECTOR, 0, element_size);
}

void cql_bind_end(struct cql_values *values)
{
    assert(values->depth > 0);
    values->depth--;
    const uint8_t kind = values->open[values->depth].kind;
    const uint32_t count = values->open[values->depth].count;
    unsigned char *start = values->open[values->depth].start;
    assert(kind != KIND_MAP || count % 2 == 0);
    if (values->writer.overflowed) {
        return;
    }
    const size_t size = (size_t)(values->writer.at - start) - SIZE_SIZE;
    if (size > INT32_MAX) {
        values->writer.overflowed = true;
        return;
    }
    cql_store_int(start, (uint32_t)size);
    if (kind == KIND_LIST || kind == KIND_MAP) {
        cql_store_int(start + SIZE_SIZE, kind == KIND_MAP ? count / 2 : count);
    }
}
