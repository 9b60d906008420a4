// Lists, sets, maps, tuples, user-defined types, vectors: nested, cut short, and described by types.
#include "cql_bytes.h"
#include "cql_value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

static char memory[2000000];
static struct cql_values values;

static int start(void **state)
{
    (void)state;
    cql_values_init(&values, memory, sizeof(memory));
    return 0;
}

static struct cql_cell bound(void)
{
    const struct cql_values_view view = cql_values_view(&values);
    assert_false(view.overflowed);
    assert_int_equal(view.count, 1);
    const struct cql_cell copy = {.bytes = bytes_copy(cql_values_at(view, 0).bytes)};
    cql_values_reset(&values);
    return copy;
}

static struct cql_type type_of(const char *hex)
{
    struct cql_reader reader;
    cql_reader_init(&reader, bytes_of(hex));
    const struct cql_type type = cql_read_type(&reader);
    assert_false(reader.damaged);
    assert_int_equal(cql_reader_left(&reader), 0);
    return type;
}

static struct cql_type custom_of(const char *class_name)
{
    struct cql_reader reader;
    struct cql_writer writer;
    char *bytes = (char *)(uintptr_t)bytes_repeated(strlen(class_name) + 4, 0).data;
    cql_writer_init(&writer, bytes, strlen(class_name) + 4);
    cql_write_short(&writer, CQL_TYPE_CUSTOM);
    cql_write_string(&writer, text_of(class_name));
    cql_reader_init(&reader, cql_writer_view(&writer));
    return cql_read_type(&reader);
}

static void bind_ints(int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        cql_bind_int(&values, i);
    }
}

static void list_is_its_number_and_its_elements(void **state)
{
    (void)state;
    cql_bind_list_begin(&values);
    bind_ints(2);
    cql_bind_end(&values);
    bytes_expect(cql_values_view(&values).bytes,
                 "00000014 00000002 00000004 00000000 00000004 00000001");
    const struct cql_cell cell = bound();
    struct cql_items items;
    struct cql_cell item;
    assert_int_equal(cql_get_list(cell, &items), CQL_GOT_VALUE);
    for (int32_t i = 0; i < 2; i++) {
        int32_t value = 42;
        assert_true(cql_items_next(&items, &item));
        assert_int_equal(cql_get_int(item, &value), CQL_GOT_VALUE);
        assert_int_equal(value, i);
    }
    assert_false(cql_items_next(&items, &item));
    assert_false(items.damaged);
}

static void map_counts_its_pairs(void **state)
{
    (void)state;
    cql_bind_map_begin(&values);
    cql_bind_text(&values, TEXT("k"));
    cql_bind_boolean(&values, true);
    cql_bind_end(&values);
    const struct cql_cell cell = bound();
    bytes_expect(cell.bytes, "00000001 00000001 6b 00000001 01");
    struct cql_items items;
    struct cql_cell item;
    assert_int_equal(cql_get_map(cell, &items), CQL_GOT_VALUE);
    assert_true(cql_items_next(&items, &item) && text_equal(item.bytes, TEXT("k")));
    assert_true(cql_items_next(&items, &item) && item.bytes.size == 1);
    assert_false(cql_items_next(&items, &item));
    assert_false(items.damaged);
}

static void empty_collection_is_not_null(void **state)
{
    (void)state;
    struct cql_items items;
    struct cql_cell item;
    cql_bind_list_begin(&values);
    cql_bind_end(&values);
    const struct cql_cell cell = bound();
    bytes_expect(cell.bytes, "00000000");
    assert_int_equal(cql_get_list(cell, &items), CQL_GOT_VALUE);
    assert_false(cql_items_next(&items, &item));
    assert_false(items.damaged);
    assert_int_equal(cql_get_list((struct cql_cell){.presence = CQL_NULL}, &items), CQL_GOT_NULL);
    assert_int_equal(cql_get_map((struct cql_cell){.bytes = {"", 0}}, &items), CQL_GOT_EMPTY);
}

static void collection_of_65536_elements_is_read_back(void **state)
{
    (void)state;
    cql_bind_list_begin(&values);
    bind_ints(65536);
    cql_bind_end(&values);
    struct cql_items items;
    struct cql_cell item;
    int32_t count = 0;
    assert_int_equal(cql_get_list(bound(), &items), CQL_GOT_VALUE);
    while (cql_items_next(&items, &item)) {
        int32_t value = -1;
        assert_int_equal(cql_get_int(item, &value), CQL_GOT_VALUE);
        assert_int_equal(value, count++);
    }
    assert_int_equal(count, 65536);
    assert_false(items.damaged);
}

// list<frozen<map<text, frozen<tuple<int, text>>>>>
static const char nested_type[] = "0020 0021 000d 0031 0002 0009 000d";

static struct cql_cell nested(void)
{
    cql_bind_list_begin(&values);
    for (unsigned i = 0; i < 3; i++) {
        cql_bind_map_begin(&values);
        cql_bind_text(&values, TEXT("key"));
        cql_bind_tuple_begin(&values);
        cql_bind_int(&values, 5);
        cql_bind_null(&values);
        cql_bind_end(&values);
        cql_bind_end(&values);
    }
    cql_bind_end(&values);
    return bound();
}

static void nested_containers_fit_their_type(void **state)
{
    (void)state;
    const struct cql_type type = type_of(nested_type);
    assert_true(cql_value_fits(nested(), type));
    assert_false(cql_value_fits(nested(), type_of("0020 0009"))); // list<int>
    assert_true(cql_value_fits((struct cql_cell){.presence = CQL_NULL}, type));
    assert_true(cql_value_fits((struct cql_cell){.bytes = {"", 0}}, type));
}

static void containers_cut_short_anywhere_do_not_fit(void **state)
{
    (void)state;
    const struct cql_type type = type_of(nested_type);
    const struct cql_cell cell = nested();
    for (size_t size = 1; size < cell.bytes.size; size++) {
        const struct cql_cell cut = {.bytes = bytes_copy((struct text){cell.bytes.data, size})};
        assert_false(cql_value_fits(cut, type));
    }
}

static void bytes_behind_the_last_element_are_damage(void **state)
{
    (void)state;
    struct cql_items items;
    struct cql_cell item;
    const struct cql_cell cell = {.bytes = bytes_of("00000001 00000001 61 00")};
    assert_int_equal(cql_get_list(cell, &items), CQL_GOT_VALUE);
    assert_true(cql_items_next(&items, &item));
    assert_false(cql_items_next(&items, &item));
    assert_true(items.damaged);
}

static void counts_that_cannot_be_are_damage(void **state)
{
    (void)state;
    static const char *const cells[] = {"ffffffff", "7fffffff",          "00000001",
                                        "000000",   "00000002 00000000", "80000000"};
    struct cql_items items;
    for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
        const struct cql_cell cell = {.bytes = bytes_of(cells[i])};
        assert_int_equal(cql_get_list(cell, &items), CQL_GOT_DAMAGED);
        assert_int_equal(cql_get_map(cell, &items), CQL_GOT_DAMAGED);
    }
    const struct cql_cell half = {.bytes = bytes_of("00000001 00000000")}; // a key alone
    assert_int_equal(cql_get_map(half, &items), CQL_GOT_DAMAGED);
    const struct cql_cell most = {.bytes = bytes_of("40000000 00000000")}; // 2^31 keys and values
    assert_int_equal(cql_get_map(most, &items), CQL_GOT_DAMAGED);
}

static void null_in_a_collection_is_refused_and_in_a_tuple_is_not(void **state)
{
    (void)state;
    cql_bind_list_begin(&values);
    cql_bind_null(&values);
    cql_bind_end(&values);
    assert_true(cql_values_view(&values).overflowed);
    cql_values_reset(&values);
    cql_bind_map_begin(&values);
    cql_bind_text(&values, TEXT("k"));
    cql_bind_null(&values);
    cql_bind_end(&values);
    assert_true(cql_values_view(&values).overflowed);
    cql_values_reset(&values);
    cql_bind_tuple_begin(&values);
    cql_bind_unset(&values);
    cql_bind_end(&values);
    assert_true(cql_values_view(&values).overflowed);
    cql_values_reset(&values);
    cql_bind_tuple_begin(&values);
    cql_bind_null(&values);
    cql_bind_end(&values);
    bytes_expect(bound().bytes, "ffffffff");
}

static void user_defined_value_may_have_fewer_fields_than_its_type(void **state)
{
    (void)state;
    // ks.u {a int, b text}
    const struct cql_type type = type_of("0030 0002 6b73 0001 75 0002 0001 61 0009 0001 62 000d");
    struct cql_fields fields = cql_type_fields(type);
    struct text name;
    struct cql_type field;
    assert_true(text_equal(fields.keyspace, TEXT("ks")) && text_equal(fields.name, TEXT("u")));
    assert_true(cql_fields_next(&fields, &name, &field));
    assert_true(text_equal(name, TEXT("a")) && field.id == CQL_TYPE_INT);
    assert_true(cql_fields_next(&fields, &name, &field));
    assert_true(text_equal(name, TEXT("b")) && field.id == CQL_TYPE_VARCHAR);
    assert_false(cql_fields_next(&fields, &name, &field));
    static const struct {
        const char *hex;
        bool fits;
    } cases[] = {
        {"", true},
        {"00000004 00000001", true},
        {"00000004 00000001 00000001 61", true},
        {"00000004 00000001 00000001 61 00000000", true}, // a field added since
        {"00000001 01", false},
        {"00000004 00000001 00000001 ff", false},
        {"00000004 00000001 00000001", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct cql_cell cell = {.bytes = bytes_of(cases[i].hex)};
        assert_int_equal(cql_value_fits(cell, type), cases[i].fits);
    }
}

static void vector_type_is_known_by_its_class(void **state)
{
    (void)state;
    struct cql_vector_type vector = {0};
#define MARSHAL "org.apache.cassandra.db.marshal."
    assert_true(
        cql_type_vector(custom_of(MARSHAL "VectorType(" MARSHAL "FloatType , 3)"), &vector));
    assert_int_equal(vector.element_id, CQL_TYPE_FLOAT);
    assert_int_equal(vector.element_size, 4);
    assert_int_equal(vector.dimension, 3);
    assert_true(cql_type_vector(custom_of(MARSHAL "VectorType(" MARSHAL "UTF8Type, 2)"), &vector));
    assert_int_equal(vector.element_id, CQL_TYPE_VARCHAR);
    assert_int_equal(vector.element_size, 0);
    assert_true(cql_type_vector(
        custom_of(MARSHAL "VectorType(" MARSHAL "ListType(" MARSHAL "Int32Type), 9)"), &vector));
    assert_int_equal(vector.element_id, CQL_TYPE_CUSTOM);
    static const char *const others[] = {"",
                                         "com.example.Money",
                                         MARSHAL "VectorType(",
                                         MARSHAL "VectorType()",
                                         MARSHAL "VectorType(" MARSHAL "FloatType)",
                                         MARSHAL "VectorType(" MARSHAL "FloatType, 0)",
                                         MARSHAL "VectorType(" MARSHAL "FloatType, -1)",
                                         MARSHAL "VectorType(" MARSHAL "FloatType, 2147483648)",
                                         MARSHAL "VectorType(" MARSHAL "FloatType, 3"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_false(cql_type_vector(custom_of(others[i]), &vector));
    }
    assert_false(cql_type_vector(type_of("0009"), &vector));
    assert_true(
        text_equal(cql_type_class(custom_of("com.example.Money")), TEXT("com.example.Money")));
}

static void vector_of_one_size_has_no_sizes(void **state)
{
    (void)state;
    const struct cql_vector_type floats = {CQL_TYPE_FLOAT, 4, 2};
    cql_bind_vector_begin(&values, 4);
    cql_bind_float(&values, 1.0F);
    cql_bind_float(&values, -2.0F);
    cql_bind_end(&values);
    const struct cql_cell cell = bound();
    bytes_expect(cell.bytes, "3f800000 c0000000");
    struct cql_items items;
    struct cql_cell item;
    assert_int_equal(cql_get_vector(cell, &floats, &items), CQL_GOT_VALUE);
    assert_true(cql_items_next(&items, &item) && item.bytes.size == 4);
    assert_true(cql_items_next(&items, &item) && item.bytes.size == 4);
    assert_false(cql_items_next(&items, &item));
    assert_false(items.damaged);
    for (size_t size = 1; size <= 9; size++) {
        const struct cql_cell other = {.bytes = bytes_repeated(size, 0)};
        assert_int_equal(cql_get_vector(other, &floats, &items),
                         size == 8 ? CQL_GOT_VALUE : CQL_GOT_DAMAGED);
    }
    cql_bind_vector_begin(&values, 4);
    cql_bind_bigint(&values, 1); // not of that size
    cql_bind_end(&values);
    assert_true(cql_values_view(&values).overflowed);
}

static void vector_of_texts_has_short_sizes(void **state)
{
    (void)state;
    const struct cql_type type = custom_of(MARSHAL "VectorType(" MARSHAL "UTF8Type, 2)");
    const struct text longer = bytes_repeated(200, 'x');
    cql_bind_vector_begin(&values, 0);
    cql_bind_text(&values, TEXT("ab"));
    cql_bind_text(&values, longer);
    cql_bind_end(&values);
    const struct cql_cell cell = bound();
    assert_int_equal(cell.bytes.size, 1 + 2 + 2 + 200);
    assert_true(cql_value_fits(cell, type));
    for (size_t size = 1; size < cell.bytes.size; size++) {
        const struct cql_cell cut = {.bytes = bytes_copy((struct text){cell.bytes.data, size})};
        assert_false(cql_value_fits(cut, type));
    }
}

static void types_within_types_are_bounded(void **state)
{
    (void)state;
    for (unsigned depth = CQL_TYPE_DEPTH_MAX - 1; depth <= CQL_TYPE_DEPTH_MAX + 1; depth++) {
        char bytes[2 * (CQL_TYPE_DEPTH_MAX + 1)];
        for (unsigned i = 0; i < depth; i++) {
            bytes[2 * i] = 0;
            bytes[2 * i + 1] = i + 1 < depth ? CQL_TYPE_LIST : CQL_TYPE_INT;
        }
        struct cql_reader reader;
        cql_reader_init(&reader, (struct text){bytes, 2 * depth});
        (void)cql_read_type(&reader);
        assert_int_equal(reader.damaged, depth > CQL_TYPE_DEPTH_MAX);
    }
}

static void type_cut_short_anywhere_is_damage(void **state)
{
    (void)state;
    static const char *const types[] = {
        nested_type, "0030 0002 6b73 0001 75 0002 0001 61 0009 0001 62 000d", "0000 0003 616263"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        const struct text whole = bytes_of(types[i]);
        for (size_t size = 0; size < whole.size; size++) {
            struct cql_reader reader;
            cql_reader_init(&reader, bytes_copy((struct text){whole.data, size}));
            (void)cql_read_type(&reader);
            assert_true(reader.damaged);
        }
    }
}

static void unknown_type_has_opaque_values(void **state)
{
    (void)state;
    const struct cql_type type = type_of("7abc");
    assert_int_equal(type.id, 0x7ABC);
    assert_string_equal(cql_type_name(type.id), "unknown");
    assert_true(cql_value_fits((struct cql_cell){.bytes = bytes_of("ff00ff")}, type));
    assert_string_equal(cql_type_name(CQL_TYPE_DECIMAL), "decimal");
    assert_string_equal(cql_type_name(0x000A), "unknown");
}

static void every_simple_type_has_a_size_that_does_not_fit(void **state)
{
    (void)state;
    static const struct {
        uint16_t id;
        size_t size; // fits
    } cases[] = {
        {CQL_TYPE_ASCII, 3},   {CQL_TYPE_BIGINT, 8},    {CQL_TYPE_BLOB, 3},
        {CQL_TYPE_BOOLEAN, 1}, {CQL_TYPE_COUNTER, 8},   {CQL_TYPE_DECIMAL, 5},
        {CQL_TYPE_DOUBLE, 8},  {CQL_TYPE_FLOAT, 4},     {CQL_TYPE_INT, 4},
        {CQL_TYPE_UUID, 16},   {CQL_TYPE_TIMESTAMP, 8}, {CQL_TYPE_VARCHAR, 3},
        {CQL_TYPE_VARINT, 1},  {CQL_TYPE_TIMEUUID, 16}, {CQL_TYPE_INET, 16},
        {CQL_TYPE_DATE, 4},    {CQL_TYPE_TIME, 8},      {CQL_TYPE_SMALLINT, 2},
        {CQL_TYPE_TINYINT, 1}, {CQL_TYPE_DURATION, 3},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct cql_type type = {.id = cases[i].id};
        struct cql_cell cell = {.bytes = bytes_repeated(cases[i].size, 0)};
        assert_true(cql_value_fits(cell, type));
        assert_string_not_equal(cql_type_name(type.id), "unknown");
        const bool any = type.id == CQL_TYPE_BLOB || type.id == CQL_TYPE_VARINT ||
                         type.id == CQL_TYPE_ASCII || type.id == CQL_TYPE_VARCHAR;
        cell.bytes = bytes_repeated(type.id == CQL_TYPE_DECIMAL ? 4 : cases[i].size + 1, 0);
        assert_int_equal(cql_value_fits(cell, type), any);
    }
}

#define CONTAINER_TEST(name) cmocka_unit_test_setup_teardown(name, start, bytes_release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTAINER_TEST(list_is_its_number_and_its_elements),
        CONTAINER_TEST(map_counts_its_pairs),
        CONTAINER_TEST(empty_collection_is_not_null),
        CONTAINER_TEST(collection_of_65536_elements_is_read_back),
        CONTAINER_TEST(nested_containers_fit_their_type),
        CONTAINER_TEST(containers_cut_short_anywhere_do_not_fit),
        CONTAINER_TEST(bytes_behind_the_last_element_are_damage),
        CONTAINER_TEST(counts_that_cannot_be_are_damage),
        CONTAINER_TEST(null_in_a_collection_is_refused_and_in_a_tuple_is_not),
        CONTAINER_TEST(user_defined_value_may_have_fewer_fields_than_its_type),
        CONTAINER_TEST(vector_type_is_known_by_its_class),
        CONTAINER_TEST(vector_of_one_size_has_no_sizes),
        CONTAINER_TEST(vector_of_texts_has_short_sizes),
        CONTAINER_TEST(types_within_types_are_bounded),
        CONTAINER_TEST(type_cut_short_anywhere_is_damage),
        CONTAINER_TEST(unknown_type_has_opaque_values),
        CONTAINER_TEST(every_simple_type_has_a_size_that_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
