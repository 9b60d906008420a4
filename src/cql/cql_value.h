// Values in the protocol's form (spec v5 section 6): binding them to a statement, and reading the cells of a
// row. Pure, no allocation; money is never a binary fraction: a decimal is its digits and its scale.
#ifndef TILL_CQL_VALUE_H
#define TILL_CQL_VALUE_H

#include "cql_type.h"
#include "cql_wire.h"
#include "errors.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// --- binding --------------------------------------------------------------------------------------

#define CQL_VALUES_MAX  65535u // a [short] counts them
#define CQL_NESTING_MAX 8u     // containers open at once

// One after the other, in the order of the markers. Sticky: what does not fit, or makes no sense, leaves
// `overflowed` set in the view, and whoever sends it refuses it.
struct cql_values {
    struct cql_writer writer;
    uint32_t count;
    // private
    uint8_t depth;
    struct {
        unsigned char *start; // of its size
        uint32_t count;
        uint32_t element_size; // of a vector
        uint8_t kind;
    } open[CQL_NESTING_MAX];
};

// What was bound: `count` [value]s. Lives as long as the memory.
struct cql_values_view {
    struct text bytes;
    uint32_t count;
    bool overflowed;
};

void cql_values_init(struct cql_values *values, void *memory, size_t cap);
void cql_values_reset(struct cql_values *values); // empties it, keeps the memory
// No container may be open.
struct cql_values_view cql_values_view(const struct cql_values *values);
// The value at an index; null when there are fewer.
struct cql_cell cql_values_at(struct cql_values_view values, uint32_t index);

// Each binds one value, or adds one to the container opened last.
void cql_bind_null(struct cql_values *values);  // writes a tombstone; refused in a list, set or map
void cql_bind_unset(struct cql_values *values); // leaves the cell as it is; refused in a container
void cql_bind_cell(struct cql_values *values,
                   struct cql_cell cell);                         // any type, already in its form
void cql_bind_text(struct cql_values *values, struct text value); // varchar, ascii: not checked
void cql_bind_blob(struct cql_values *values, struct text value); // custom types too
void cql_bind_boolean(struct cql_values *values, bool value);
void cql_bind_tinyint(struct cql_values *values, int8_t value);
void cql_bind_smallint(struct cql_values *values, int16_t value);
void cql_bind_int(struct cql_values *values, int32_t value);
void cql_bind_bigint(struct cql_values *values, int64_t value); // counter
void cql_bind_float(struct cql_values *values, float value);
void cql_bind_double(struct cql_values *values, double value);
void cql_bind_timestamp(struct cql_values *values, int64_t since_epoch_ms);
void cql_bind_date(struct cql_values *values, int32_t since_epoch_days);
void cql_bind_time(struct cql_values *values, int64_t since_midnight_ns);    // 0 ... 86399999999999
void cql_bind_uuid(struct cql_values *values, const struct cql_uuid *value); // timeuuid
void cql_bind_inet(struct cql_values *values, const struct cql_inet *value);

// Months, days and nanoseconds have one sign, or are 0.
struct cql_duration {
    int32_t months;
    int32_t days;
    int64_t nanoseconds;
};
void cql_bind_duration(struct cql_values *values, struct cql_duration value);

// unscaled * 10^-scale. The digits are a two's complement number, big-endian, at least one byte.
struct cql_decimal {
    struct text unscaled;
    int32_t scale;
};
void cql_bind_varint(struct cql_values *values, int64_t value);
void cql_bind_varint_bytes(struct cql_values *values, struct text twos_complement); // as it is
void cql_bind_decimal(struct cql_values *values, int64_t unscaled, int32_t scale);
void cql_bind_decimal_bytes(struct cql_values *values, struct cql_decimal value); // as it is

// Containers: open, bind what is in it, close. A map has key, value, key, value. The fields of a tuple
// or a user-defined type may be null, and of the latter the last ones may be missing.
void cql_bind_list_begin(struct cql_values *values); // set too
void cql_bind_map_begin(struct cql_values *values);
void cql_bind_tuple_begin(struct cql_values *values); // user-defined type too
// Element size as in struct cql_vector_type; the caller sees to the number of elements.
void cql_bind_vector_begin(struct cql_values *values, uint32_t element_size);
void cql_bind_end(struct cql_values *values);

// --- reading --------------------------------------------------------------------------------------

enum cql_got {
    CQL_GOT_VALUE,
    CQL_GOT_NULL,
    CQL_GOT_EMPTY,   // no bytes at all where the type has some: what older servers let in
    CQL_GOT_DAMAGED, // the size does not fit the type, or what is in it does not
};

// Each writes *out only with CQL_GOT_VALUE. Views live as long as what the cell came from.
MUST_USE enum cql_got cql_get_text(struct cql_cell cell, struct text *out);  // must be UTF-8
MUST_USE enum cql_got cql_get_ascii(struct cql_cell cell, struct text *out); // each byte below 128
MUST_USE enum cql_got cql_get_blob(struct cql_cell cell, struct text *out);  // custom types too
MUST_USE enum cql_got cql_get_boolean(struct cql_cell cell, bool *out);
MUST_USE enum cql_got cql_get_tinyint(struct cql_cell cell, int8_t *out);
MUST_USE enum cql_got cql_get_smallint(struct cql_cell cell, int16_t *out);
MUST_USE enum cql_got cql_get_int(struct cql_cell cell, int32_t *out);
MUST_USE enum cql_got cql_get_bigint(struct cql_cell cell, int64_t *out); // counter
MUST_USE enum cql_got cql_get_float(struct cql_cell cell, float *out);
MUST_USE enum cql_got cql_get_double(struct cql_cell cell, double *out);
MUST_USE enum cql_got cql_get_timestamp(struct cql_cell cell, int64_t *out_ms);
MUST_USE enum cql_got cql_get_date(struct cql_cell cell, int32_t *out_days);
MUST_USE enum cql_got cql_get_time(struct cql_cell cell, int64_t *out_ns);
MUST_USE enum cql_got cql_get_uuid(struct cql_cell cell, struct cql_uuid *out); // timeuuid
MUST_USE enum cql_got cql_get_inet(struct cql_cell cell, struct cql_inet *out);
MUST_USE enum cql_got cql_get_duration(struct cql_cell cell, struct cql_duration *out);
MUST_USE enum cql_got cql_get_decimal(struct cql_cell cell, struct cql_decimal *out);

// Of a two's complement number: its value. false when it needs more than 64 bits (never rounded).
bool cql_varint_to_i64(struct text twos_complement, int64_t *out);
// The decimal as a whole number of 10^-scale: exact, or false (digits below that, or more than 64 bits).
// 12.50 (unscaled 1250, scale 2) at scale 2 is 1250, at scale 3 12500, at scale 1 125, at scale 0 nothing.
bool cql_decimal_to_minor(struct cql_decimal value, int32_t scale, int64_t *out_minor);
// CQL_GOT_DAMAGED also when it does not fit exactly.
MUST_USE enum cql_got cql_get_varint(struct cql_cell cell, int64_t *out);
MUST_USE enum cql_got cql_get_minor(struct cql_cell cell, int32_t scale, int64_t *out_minor);

// The elements of a collection, tuple, user-defined type or vector. An element lives as long as the
// cell's bytes; `damaged` is to be asked at the end.
struct cql_items {
    struct cql_reader reader;
    uint32_t left;         // elements not given yet; of a map: keys and values
    uint32_t element_size; // of a vector
    uint8_t kind;
    bool damaged;
};
MUST_USE enum cql_got cql_get_list(struct cql_cell cell, struct cql_items *out);  // set too
MUST_USE enum cql_got cql_get_map(struct cql_cell cell, struct cql_items *out);   // key, value, ...
MUST_USE enum cql_got cql_get_tuple(struct cql_cell cell, struct cql_items *out); // and UDT
MUST_USE enum cql_got cql_get_vector(struct cql_cell cell, const struct cql_vector_type *type,
                                     struct cql_items *out);
// false at the end, and when what follows is damaged.
bool cql_items_next(struct cql_items *items, struct cql_cell *out_item);

// Whether a cell's bytes make sense for a type, through all that is in it; unknown and custom types always
// do. For checks of what came from outside; readers of one column need it not.
bool cql_value_fits(struct cql_cell cell, struct cql_type type);

#endif
