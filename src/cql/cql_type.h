// Types of columns as the server describes them: an [option] (spec section 4.2.5.2). A type is a view of its
// description, which stays in the answer it came with; nothing is built of it. What is unknown here is a type
// all the same: its values are opaque bytes.
#ifndef TILL_CQL_TYPE_H
#define TILL_CQL_TYPE_H

#include "cql_wire.h"

#include <stdbool.h>
#include <stdint.h>

enum cql_type_id {
    CQL_TYPE_CUSTOM = 0x0000,
    CQL_TYPE_ASCII = 0x0001,
    CQL_TYPE_BIGINT = 0x0002,
    CQL_TYPE_BLOB = 0x0003,
    CQL_TYPE_BOOLEAN = 0x0004,
    CQL_TYPE_COUNTER = 0x0005,
    CQL_TYPE_DECIMAL = 0x0006,
    CQL_TYPE_DOUBLE = 0x0007,
    CQL_TYPE_FLOAT = 0x0008,
    CQL_TYPE_INT = 0x0009,
    CQL_TYPE_TIMESTAMP = 0x000B,
    CQL_TYPE_UUID = 0x000C,
    CQL_TYPE_VARCHAR = 0x000D, // text
    CQL_TYPE_VARINT = 0x000E,
    CQL_TYPE_TIMEUUID = 0x000F,
    CQL_TYPE_INET = 0x0010,
    CQL_TYPE_DATE = 0x0011,
    CQL_TYPE_TIME = 0x0012,
    CQL_TYPE_SMALLINT = 0x0013,
    CQL_TYPE_TINYINT = 0x0014,
    CQL_TYPE_DURATION = 0x0015,
    CQL_TYPE_LIST = 0x0020,
    CQL_TYPE_MAP = 0x0021,
    CQL_TYPE_SET = 0x0022,
    CQL_TYPE_UDT = 0x0030,
    CQL_TYPE_TUPLE = 0x0031,
};

#define CQL_TYPE_DEPTH_MAX 16u // types within types; deeper ones are damage

struct cql_type {
    uint16_t id;            // enum cql_type_id, or an unknown one, which has no parameters
    struct text parameters; // what follows the id, checked
};

// Reads an [option] and checks all that is in it.
struct cql_type cql_read_type(struct cql_reader *reader);
const char *cql_type_name(uint16_t id); // "bigint"; "unknown"

// Class name of a custom type.
struct text cql_type_class(struct cql_type type);
// Of the elements of a list or set, the values of a map; the keys of a map. The type must be one.
struct cql_type cql_type_element(struct cql_type type);
struct cql_type cql_type_key(struct cql_type type);

// Fields of a tuple or a user-defined type, in order. The names of a tuple's are empty.
struct cql_fields {
    struct cql_reader reader;
    struct text keyspace; // of a user-defined type
    struct text name;
    uint16_t left; // fields not given yet
    bool named;
};
struct cql_fields cql_type_fields(struct cql_type type);
bool cql_fields_next(struct cql_fields *fields, struct text *out_name, struct cql_type *out_type);

// A vector comes as a custom type that names Cassandra's VectorType; false when it is none. An element
// type that is unknown, or itself has parameters, is CUSTOM and has the size 0, as those have whose
// values differ in size.
struct cql_vector_type {
    uint16_t element_id;
    uint32_t element_size; // bytes, 0: a size is written before each
    uint32_t dimension;    // elements
};
bool cql_type_vector(struct cql_type type, struct cql_vector_type *out_vector);

#endif
