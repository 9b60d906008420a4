// Descriptions of types are read by walking them; how deep they may lie in each other is bounded, since the
// walk is recursive.
#include "cql_type.h"

#include <assert.h>

static void skip_type(struct cql_reader *reader, unsigned depth);

static void skip_udt(struct cql_reader *reader, unsigned depth)
{
    (void)cql_read_string(reader); // keyspace
    (void)cql_read_string(reader); // name
    const uint16_t count = cql_read_short(reader);
    for (uint32_t i = 0; i < count && !reader->damaged; i++) {
        (void)cql_read_string(reader);
        skip_type(reader, depth);
    }
}

static void skip_tuple(struct cql_reader *reader, unsigned depth)
{
    const uint16_t count = cql_read_short(reader);
    for (uint32_t i = 0; i < count && !reader->damaged; i++) {
        skip_type(reader, depth);
    }
}

// What follows the id of a type.
static void skip_parameters(struct cql_reader *reader, uint16_t id, unsigned depth)
{
    switch (id) {
    case CQL_TYPE_CUSTOM:
        (void)cql_read_string(reader);
        break;
    case CQL_TYPE_MAP:
        skip_type(reader, depth);
        skip_type(reader, depth);
        break;
    case CQL_TYPE_LIST:
    case CQL_TYPE_SET:
        skip_type(reader, depth);
        break;
    case CQL_TYPE_UDT:
        skip_udt(reader, depth);
        break;
    case CQL_TYPE_TUPLE:
        skip_tuple(reader, depth);
        break;
    default:
        break;
    }
}

static void skip_type(struct cql_reader *reader, unsigned depth)
{
    if (depth == 0) {
        reader->damaged = true;
    }
    const uint16_t id = cql_read_short(reader);
    if (!reader->damaged) {
        skip_parameters(reader, id, depth - 1);
    }
}

struct cql_type cql_read_type(struct cql_reader *reader)
{
    const uint16_t id = cql_read_short(reader);
    const unsigned char *start = reader->at;
    skip_parameters(reader, id, CQL_TYPE_DEPTH_MAX - 1);
    if (reader->damaged) {
        return (struct cql_type){.id = CQL_TYPE_CUSTOM};
    }
    const struct text parameters = {(const char *)start, (size_t)(reader->at - start)};
    return (struct cql_type){id, parameters};
}

const char *cql_type_name(uint16_t id)
{
    static const char *const names[] = {
        [CQL_TYPE_CUSTOM] = "custom",
        [CQL_TYPE_ASCII] = "ascii",
        [CQL_TYPE_BIGINT] = "bigint",
        [CQL_TYPE_BLOB] = "blob",
        [CQL_TYPE_BOOLEAN] = "boolean",
        [CQL_TYPE_COUNTER] = "counter",
        [CQL_TYPE_DECIMAL] = "decimal",
        [CQL_TYPE_DOUBLE] = "double",
        [CQL_TYPE_FLOAT] = "float",
        [CQL_TYPE_INT] = "int",
        [CQL_TYPE_TIMESTAMP] = "timestamp",
        [CQL_TYPE_UUID] = "uuid",
        [CQL_TYPE_VARCHAR] = "text",
        [CQL_TYPE_VARINT] = "varint",
        [CQL_TYPE_TIMEUUID] = "timeuuid",
        [CQL_TYPE_INET] = "inet",
        [CQL_TYPE_DATE] = "date",
        [CQL_TYPE_TIME] = "time",
        [CQL_TYPE_SMALLINT] = "smallint",
        [CQL_TYPE_TINYINT] = "tinyint",
        [CQL_TYPE_DURATION] = "duration",
        [CQL_TYPE_LIST] = "list",
        [CQL_TYPE_MAP] = "map",
        [CQL_TYPE_SET] = "set",
        [CQL_TYPE_UDT] = "udt",
        [CQL_TYPE_TUPLE] = "tuple",
    };
    const char *name = id < sizeof(names) / sizeof(names[0]) ? names[id] : NULL;
    return name ? name : "unknown";
}

struct text cql_type_class(struct cql_type type)
{
    assert(type.id == CQL_TYPE_CUSTOM);
    struct cql_reader reader;
    cql_reader_init(&reader, type.parameters);
    return cql_read_string(&reader);
}

struct cql_type cql_type_key(struct cql_type type)
{
    assert(type.id == CQL_TYPE_MAP);
    struct cql_reader reader;
    cql_reader_init(&reader, type.parameters);
    return cql_read_type(&reader);
}

struct cql_type cql_type_element(struct cql_type type)
{
    assert(type.id == CQL_TYPE_LIST || type.id == CQL_TYPE_SET || type.id == CQL_TYPE_MAP);
    struct cql_reader reader;
    cql_reader_init(&reader, type.parameters);
    if (type.id == CQL_TYPE_MAP) {
        (void)cql_read_type(&reader);
    }
    return cql_read_type(&reader);
}

struct cql_fields cql_type_fields(struct cql_type type)
{
    assert(type.id == CQL_TYPE_TUPLE || type.id == CQL_TYPE_UDT);
    struct cql_fields fields = {.named = type.id == CQL_TYPE_UDT};
    cql_reader_init(&fields.reader, type.parameters);
    if (fields.named) {
        fields.keyspace = cql_read_string(&fields.reader);
        fields.name = cql_read_string(&fields.reader);
    }
    fields.left = cql_read_short(&fields.reader);
    return fields;
}

bool cql_fields_next(struct cql_fields *fields, struct text *out_name, struct cql_type *out_type)
{
    if (fields->left == 0) {
        return false;
    }
    fields->left--;
    *out_name = fields->named ? cql_read_string(&fields->reader) : (struct text){NULL, 0};
    *out_type = cql_read_type(&fields->reader);
    return true;
}

// --- vectors --------------------------------------------------------------------------------------

// Cassandra's classes of simple types. Only those of a fixed size have one: a vector of others writes a
// size before each element, though such a value may well have one size only (tinyint, smallint, date, time).
static const struct {
    const char *class_name;
    uint16_t id;
    uint32_t size;
} classes[] = {
    {"AsciiType", CQL_TYPE_ASCII, 0},         {"LongType", CQL_TYPE_BIGINT, 8},
    {"BytesType", CQL_TYPE_BLOB, 0},          {"BooleanType", CQL_TYPE_BOOLEAN, 1},
    {"DecimalType", CQL_TYPE_DECIMAL, 0},     {"DoubleType", CQL_TYPE_DOUBLE, 8},
    {"FloatType", CQL_TYPE_FLOAT, 4},         {"Int32Type", CQL_TYPE_INT, 4},
    {"TimestampType", CQL_TYPE_TIMESTAMP, 8}, {"UUIDType", CQL_TYPE_UUID, 16},
    {"UTF8Type", CQL_TYPE_VARCHAR, 0},        {"IntegerType", CQL_TYPE_VARINT, 0},
    {"TimeUUIDType", CQL_TYPE_TIMEUUID, 16},  {"InetAddressType", CQL_TYPE_INET, 0},
    {"SimpleDateType", CQL_TYPE_DATE, 0},     {"TimeType", CQL_TYPE_TIME, 0},
    {"ShortType", CQL_TYPE_SMALLINT, 0},      {"ByteType", CQL_TYPE_TINYINT, 0},
    {"DurationType", CQL_TYPE_DURATION, 0},
};

static struct text without_prefix(struct text text, struct text prefix)
{
    return text_starts_with(text, prefix)
               ? (struct text){text.data + prefix.size, text.size - prefix.size}
               : text;
}

static struct text trimmed(struct text text)
{
    while (text.size > 0 && text.data[0] == ' ') {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && text.data[text.size - 1] == ' ') {
        text.size--;
    }
    return text;
}

static void find_class(struct text name, struct cql_vector_type *out)
{
    const struct text package = TEXT("org.apache.cassandra.db.marshal.");
    name = without_prefix(name, package);
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (text_equal(name, text_of(classes[i].class_name))) {
            out->element_id = classes[i].id;
            out->element_size = classes[i].size;
            return;
        }
    }
}

// "org.apache.cassandra.db.marshal.VectorType(ELEMENT, DIMENSION)"; the dimension comes after the last
// comma, whatever the element is.
bool cql_type_vector(struct cql_type type, struct cql_vector_type *out_vector)
{
    static const struct text vector = TEXT("org.apache.cassandra.db.marshal.VectorType(");
    if (type.id != CQL_TYPE_CUSTOM) {
        return false;
    }
    struct text name = cql_type_class(type);
    if (!text_starts_with(name, vector) || name.data[name.size - 1] != ')') {
        return false;
    }
    name = (struct text){name.data + vector.size, name.size - vector.size - 1};
    const char *comma = name.size > 0 ? memrchr(name.data, ',', name.size) : NULL;
    if (!comma) {
        return false;
    }
    const size_t element_size = (size_t)(comma - name.data);
    const struct text number = {comma + 1, name.size - element_size - 1};
    uint64_t dimension = 0;
    if (!text_parse_u64(trimmed(number), &dimension) || dimension == 0 || dimension > INT32_MAX) {
        return false;
    }
    *out_vector = (struct cql_vector_type){.dimension = (uint32_t)dimension};
    find_class(trimmed((struct text){name.data, element_size}), out_vector);
    return true;
}
