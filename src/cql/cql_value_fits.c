// Whether bytes make sense for a type, through all levels: what a type's description and a cell say of each
// other. The depth of the recursion is that of the type, which was bounded when it was read.
#include "cql_value.h"

// Anything but damage is fine: null, and the empty values of old.
static bool fits_simple(struct cql_cell cell, uint16_t id)
{
    union {
        struct text text;
        bool boolean;
        int8_t tinyint;
        int16_t smallint;
        int32_t number;
        int64_t bigint;
        struct cql_uuid uuid;
        struct cql_inet inet;
        struct cql_duration duration;
        struct cql_decimal decimal;
    } out;
    switch (id) {
    case CQL_TYPE_ASCII:
        return cql_get_ascii(cell, &out.text) != CQL_GOT_DAMAGED;
    case CQL_TYPE_VARCHAR:
        return cql_get_text(cell, &out.text) != CQL_GOT_DAMAGED;
    case CQL_TYPE_BOOLEAN:
        return cql_get_boolean(cell, &out.boolean) != CQL_GOT_DAMAGED;
    case CQL_TYPE_TINYINT:
        return cql_get_tinyint(cell, &out.tinyint) != CQL_GOT_DAMAGED;
    case CQL_TYPE_SMALLINT:
        return cql_get_smallint(cell, &out.smallint) != CQL_GOT_DAMAGED;
    case CQL_TYPE_INT:
    case CQL_TYPE_FLOAT:
    case CQL_TYPE_DATE:
        return cql_get_int(cell, &out.number) != CQL_GOT_DAMAGED;
    case CQL_TYPE_BIGINT:
    case CQL_TYPE_COUNTER:
    case CQL_TYPE_DOUBLE:
    case CQL_TYPE_TIMESTAMP:
        return cql_get_bigint(cell, &out.bigint) != CQL_GOT_DAMAGED;
    case CQL_TYPE_TIME:
        return cql_get_time(cell, &out.bigint) != CQL_GOT_DAMAGED;
    case CQL_TYPE_UUID:
    case CQL_TYPE_TIMEUUID:
        return cql_get_uuid(cell, &out.uuid) != CQL_GOT_DAMAGED;
    case CQL_TYPE_INET:
        return cql_get_inet(cell, &out.inet) != CQL_GOT_DAMAGED;
    case CQL_TYPE_DURATION:
        return cql_get_duration(cell, &out.duration) != CQL_GOT_DAMAGED;
    case CQL_TYPE_DECIMAL:
        return cql_get_decimal(cell, &out.decimal) != CQL_GOT_DAMAGED;
    default:
        return true;
    }
}

static bool fits_collection(struct cql_cell cell, struct cql_type type)
{
    const bool is_map = type.id == CQL_TYPE_MAP;
    struct cql_items items = {.left = 0};
    const enum cql_got got = is_map ? cql_get_map(cell, &items) : cql_get_list(cell, &items);
    const struct cql_type value = cql_type_element(type);
    const struct cql_type key = is_map ? cql_type_key(type) : value;
    struct cql_cell item;
    for (size_t i = 0; got == CQL_GOT_VALUE && cql_items_next(&items, &item); i++) {
        if (!cql_value_fits(item, i % 2 == 0 ? key : value)) {
            return false;
        }
    }
    return got != CQL_GOT_DAMAGED && !items.damaged;
}

// A value may have fewer fields than the type, and after an ALTER TYPE more.
static bool fits_tuple(struct cql_cell cell, struct cql_type type)
{
    struct cql_items items = {.left = 0};
    const enum cql_got got = cql_get_tuple(cell, &items);
    struct cql_fields fields = cql_type_fields(type);
    struct text name;
    struct cql_type field;
    struct cql_cell item;
    while (got == CQL_GOT_VALUE && cql_items_next(&items, &item)) {
        if (cql_fields_next(&fields, &name, &field) && !cql_value_fits(item, field)) {
            return false;
        }
    }
    return got != CQL_GOT_DAMAGED && !items.damaged;
}

static bool fits_custom(struct cql_cell cell, struct cql_type type)
{
    struct cql_vector_type vector;
    if (!cql_type_vector(type, &vector)) {
        return true;
    }
    struct cql_items items = {.left = 0};
    const enum cql_got got = cql_get_vector(cell, &vector, &items);
    struct cql_cell item;
    while (got == CQL_GOT_VALUE && cql_items_next(&items, &item)) {
        if (!fits_simple(item, vector.element_id)) {
            return false;
        }
    }
    return got != CQL_GOT_DAMAGED && !items.damaged;
}

bool cql_value_fits(struct cql_cell cell, struct cql_type type)
{
    switch (type.id) {
    case CQL_TYPE_LIST:
    case CQL_TYPE_SET:
    case CQL_TYPE_MAP:
        return fits_collection(cell, type);
    case CQL_TYPE_TUPLE:
    case CQL_TYPE_UDT:
        return fits_tuple(cell, type);
    case CQL_TYPE_CUSTOM:
        return fits_custom(cell, type);
    default:
        return fits_simple(cell, type.id);
    }
}
