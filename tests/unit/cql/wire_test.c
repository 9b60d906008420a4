// The notations: what is written is read back, and nothing is read or written beyond the end.
#include "cql_bytes.h"
#include "cql_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

static struct cql_reader reader_of(const char *hex)
{
    struct cql_reader reader;
    cql_reader_init(&reader, bytes_of(hex));
    return reader;
}

static void write_everything(struct cql_writer *writer)
{
    const struct cql_uuid uuid = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
    const struct cql_inet inet = {.address = {127, 0, 0, 1}, .size = 4};
    cql_write_byte(writer, 0xAB);
    cql_write_short(writer, 0x1234);
    cql_write_int(writer, -2);
    cql_write_long(writer, INT64_MIN + 1);
    cql_write_uuid(writer, &uuid);
    cql_write_string(writer, TEXT("key"));
    cql_write_long_string(writer, TEXT("query"));
    cql_write_short_bytes(writer, TEXT(""));
    cql_write_value(writer, (struct cql_cell){TEXT("value"), CQL_PRESENT});
    cql_write_value(writer, (struct cql_cell){.presence = CQL_NULL});
    cql_write_value(writer, (struct cql_cell){.presence = CQL_UNSET});
    cql_write_consistency(writer, CQL_LOCAL_QUORUM);
    cql_write_inet(writer, &inet, 9042);
    cql_write_vint(writer, -300);
}

// Only for whole bytes: what is read is what was written.
static bool read_everything(struct text bytes)
{
    struct cql_reader reader;
    int32_t port = 0;
    cql_reader_init(&reader, bytes);
    const bool numbers = cql_read_byte(&reader) == 0xAB && cql_read_short(&reader) == 0x1234 &&
                         cql_read_int(&reader) == -2 && cql_read_long(&reader) == INT64_MIN + 1 &&
                         cql_read_uuid(&reader).bytes[15] == 16;
    const bool strings = text_equal(cql_read_string(&reader), TEXT("key")) &&
                         text_equal(cql_read_long_string(&reader), TEXT("query")) &&
                         cql_read_short_bytes(&reader).size == 0;
    const struct cql_cell cells[] = {cql_read_value(&reader), cql_read_value(&reader),
                                     cql_read_value(&reader)};
    const bool values = cells[0].presence == CQL_PRESENT &&
                        text_equal(cells[0].bytes, TEXT("value")) &&
                        cells[1].presence == CQL_NULL && cells[2].presence == CQL_UNSET;
    const bool others = cql_read_consistency(&reader) == CQL_LOCAL_QUORUM &&
                        cql_read_inet(&reader, &port).address[0] == 127 && port == 9042 &&
                        cql_read_vint(&reader) == -300;
    return numbers && strings && values && others && !reader.damaged &&
           cql_reader_left(&reader) == 0;
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    unsigned char memory[256];
    struct cql_writer writer;
    cql_writer_init(&writer, memory, sizeof(memory));
    write_everything(&writer);
    assert_false(writer.overflowed);
    assert_true(read_everything(bytes_copy(cql_writer_view(&writer))));
}

static void reader_is_damaged_when_cut_short_anywhere(void **state)
{
    (void)state;
    unsigned char memory[256];
    struct cql_writer writer;
    cql_writer_init(&writer, memory, sizeof(memory));
    write_everything(&writer);
    for (size_t size = 0; size < cql_writer_size(&writer); size++) {
        assert_false(read_everything(bytes_copy((struct text){(char *)memory, size})));
    }
}

static void writer_overflows_at_every_size_that_is_too_small(void **state)
{
    (void)state;
    unsigned char memory[256];
    struct cql_writer writer;
    cql_writer_init(&writer, memory, sizeof(memory));
    write_everything(&writer);
    const size_t whole = cql_writer_size(&writer);
    for (size_t cap = 0; cap <= whole; cap++) {
        void *exact = (void *)(uintptr_t)bytes_repeated(cap, 0).data;
        cql_writer_init(&writer, exact, cap);
        write_everything(&writer);
        assert_int_equal(writer.overflowed, cap < whole);
        assert_true(cql_writer_size(&writer) <= cap);
    }
}

static void nothing_is_written_after_an_overflow(void **state)
{
    (void)state;
    unsigned char memory[4];
    struct cql_writer writer;
    cql_writer_init(&writer, memory, sizeof(memory));
    cql_write_long(&writer, 1);
    cql_write_byte(&writer, 1);
    assert_true(writer.overflowed);
    assert_int_equal(cql_writer_size(&writer), 0);
}

static void string_of_65535_bytes_fits_and_of_65536_does_not(void **state)
{
    (void)state;
    unsigned char *memory = malloc(70000);
    assert_non_null(memory);
    for (size_t size = 65534; size <= 65536; size++) {
        struct cql_writer writer;
        cql_writer_init(&writer, memory, 70000);
        cql_write_string(&writer, bytes_repeated(size, 'x'));
        assert_int_equal(writer.overflowed, size > 65535);
    }
    free(memory);
}

static void negative_sizes_are_null_unset_or_damage(void **state)
{
    (void)state;
    struct cql_reader reader = reader_of("ffffffff");
    assert_int_equal(cql_read_value(&reader).presence, CQL_NULL);
    assert_false(reader.damaged);
    reader = reader_of("fffffffe");
    assert_int_equal(cql_read_value(&reader).presence, CQL_UNSET);
    assert_false(reader.damaged);
    reader = reader_of("fffffffd");
    (void)cql_read_value(&reader);
    assert_true(reader.damaged);
    reader = reader_of("fffffffd"); // as [bytes] any negative size is null
    assert_int_equal(cql_read_bytes(&reader).presence, CQL_NULL);
    assert_false(reader.damaged);
    reader = reader_of("ffffffff");
    (void)cql_read_long_string(&reader);
    assert_true(reader.damaged);
}

static void empty_is_not_null(void **state)
{
    (void)state;
    struct cql_reader reader = reader_of("00000000");
    const struct cql_cell cell = cql_read_bytes(&reader);
    assert_int_equal(cell.presence, CQL_PRESENT);
    assert_int_equal(cell.bytes.size, 0);
}

static void size_beyond_the_end_is_damage_and_gives_nothing(void **state)
{
    (void)state;
    struct cql_reader reader = reader_of("7fffffff 01");
    assert_int_equal(cql_read_bytes(&reader).presence, CQL_NULL);
    assert_true(reader.damaged);
    assert_int_equal(cql_reader_left(&reader), 0);
    assert_int_equal(cql_read_byte(&reader), 0); // sticky, though a byte is left
}

static void inet_has_4_or_16_bytes(void **state)
{
    (void)state;
    for (unsigned size = 0; size <= 17; size++) {
        unsigned char bytes[18] = {(unsigned char)size};
        struct cql_reader reader;
        cql_reader_init(&reader, (struct text){(const char *)bytes, sizeof(bytes)});
        assert_int_equal(cql_read_inetaddr(&reader).size, size == 4 || size == 16 ? size : 0);
        assert_int_equal(reader.damaged, size != 4 && size != 16);
    }
}

static void vint_takes_as_many_bytes_as_the_specification_says(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        const char *hex;
    } cases[] = {
        {0, "00"},
        {127, "7f"},
        {128, "8080"},
        {256000, "c3e800"}, // the example of the specification
        {(UINT64_C(1) << 56) - 1, "feffffffffffffff"},
        {UINT64_C(1) << 56, "ff0100000000000000"},
        {UINT64_MAX, "ffffffffffffffffff"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned char memory[CQL_VINT_SIZE_MAX];
        struct cql_writer writer;
        cql_writer_init(&writer, memory, sizeof(memory));
        cql_write_unsigned_vint(&writer, cases[i].value);
        bytes_expect(cql_writer_view(&writer), cases[i].hex);
        assert_int_equal(cql_unsigned_vint_size(cases[i].value), cql_writer_size(&writer));
        struct cql_reader reader = reader_of(cases[i].hex);
        assert_true(cql_read_unsigned_vint(&reader) == cases[i].value);
        assert_false(reader.damaged);
    }
}

static void vint_of_every_length_is_read_back_and_cut_ones_are_damage(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 64; bits++) {
        const int64_t edge = (int64_t)(UINT64_C(1) << bits);
        const int64_t values[] = {edge, (int64_t)((uint64_t)edge - 1),
                                  (int64_t)(0 - (uint64_t)edge)};
        for (size_t i = 0; i < 3; i++) {
            unsigned char memory[CQL_VINT_SIZE_MAX];
            struct cql_writer writer;
            struct cql_reader reader;
            cql_writer_init(&writer, memory, sizeof(memory));
            cql_write_vint(&writer, values[i]);
            cql_reader_init(&reader, cql_writer_view(&writer));
            assert_true(cql_read_vint(&reader) == values[i]);
            assert_false(reader.damaged);
            assert_int_equal(cql_reader_left(&reader), 0);
            cql_reader_init(&reader, (struct text){(char *)memory, cql_writer_size(&writer) - 1});
            (void)cql_read_vint(&reader);
            assert_true(reader.damaged);
        }
    }
}

static void lists_and_maps_are_walked_in_order(void **state)
{
    (void)state;
    struct text key;
    struct text value;
    struct cql_reader reader = reader_of("0002 0001 61 0002 6262 ff");
    struct cql_string_list list = cql_read_string_list(&reader);
    assert_int_equal(cql_reader_left(&reader), 1);
    assert_true(cql_string_list_next(&list, &value) && text_equal(value, TEXT("a")));
    assert_true(cql_string_list_next(&list, &value) && text_equal(value, TEXT("bb")));
    assert_false(cql_string_list_next(&list, &value));

    reader = reader_of("0001 0001 6b 0001 76");
    struct cql_map map = cql_read_string_map(&reader);
    assert_true(cql_string_map_next(&map, &key, &value));
    assert_true(text_equal(key, TEXT("k")) && text_equal(value, TEXT("v")));
    assert_false(cql_string_map_next(&map, &key, &value));

    reader = reader_of("0001 0001 6b 0002 0001 78 0001 79");
    map = cql_read_string_multimap(&reader);
    assert_true(cql_string_multimap_next(&map, &key, &list));
    assert_int_equal(list.count, 2);
    assert_true(cql_string_list_next(&list, &value) && text_equal(value, TEXT("x")));
    assert_false(cql_string_multimap_next(&map, &key, &list));

    struct cql_cell cell;
    reader = reader_of("0002 0001 6b ffffffff 0001 6c 00000001 00");
    map = cql_read_bytes_map(&reader);
    assert_true(cql_bytes_map_next(&map, &key, &cell) && cell.presence == CQL_NULL);
    assert_true(cql_bytes_map_next(&map, &key, &cell) && cell.bytes.size == 1);
    assert_false(cql_bytes_map_next(&map, &key, &cell));
}

static void list_cut_short_is_empty_and_damage(void **state)
{
    (void)state;
    const struct text whole = bytes_of("0002 0001 61 0002 6262");
    for (size_t size = 0; size < whole.size; size++) {
        struct cql_reader reader;
        cql_reader_init(&reader, bytes_copy((struct text){whole.data, size}));
        assert_int_equal(cql_read_string_list(&reader).count, 0);
        assert_true(reader.damaged);
        cql_reader_init(&reader, bytes_copy((struct text){whole.data, size}));
        assert_int_equal(cql_read_string_map(&reader).count, 0);
        assert_true(reader.damaged);
    }
}

static void uuid_is_formatted_in_groups(void **state)
{
    (void)state;
    char text[CQL_UUID_TEXT_SIZE];
    struct cql_uuid uuid;
    memcpy(uuid.bytes, bytes_of("00112233 4455 6677 8899 aabbccddeeff").data, 16);
    cql_uuid_format(&uuid, text);
    assert_string_equal(text, "00112233-4455-6677-8899-aabbccddeeff");
    struct cql_uuid other = uuid;
    assert_true(cql_uuid_equal(&uuid, &other));
    other.bytes[15] ^= 1;
    assert_false(cql_uuid_equal(&uuid, &other));
}

static void consistencies_have_names(void **state)
{
    (void)state;
    assert_string_equal(cql_consistency_name(CQL_ANY), "ANY");
    assert_string_equal(cql_consistency_name(CQL_LOCAL_ONE), "LOCAL_ONE");
    assert_string_equal(cql_consistency_name(CQL_LOCAL_SERIAL), "LOCAL_SERIAL");
    assert_string_equal(cql_consistency_name((enum cql_consistency)11), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_is_written_is_read_back, bytes_release),
        cmocka_unit_test_teardown(reader_is_damaged_when_cut_short_anywhere, bytes_release),
        cmocka_unit_test_teardown(writer_overflows_at_every_size_that_is_too_small, bytes_release),
        cmocka_unit_test_teardown(nothing_is_written_after_an_overflow, bytes_release),
        cmocka_unit_test_teardown(string_of_65535_bytes_fits_and_of_65536_does_not, bytes_release),
        cmocka_unit_test_teardown(negative_sizes_are_null_unset_or_damage, bytes_release),
        cmocka_unit_test_teardown(empty_is_not_null, bytes_release),
        cmocka_unit_test_teardown(size_beyond_the_end_is_damage_and_gives_nothing, bytes_release),
        cmocka_unit_test_teardown(inet_has_4_or_16_bytes, bytes_release),
        cmocka_unit_test_teardown(vint_takes_as_many_bytes_as_the_specification_says,
                                  bytes_release),
        cmocka_unit_test_teardown(vint_of_every_length_is_read_back_and_cut_ones_are_damage,
                                  bytes_release),
        cmocka_unit_test_teardown(lists_and_maps_are_walked_in_order, bytes_release),
        cmocka_unit_test_teardown(list_cut_short_is_empty_and_damage, bytes_release),
        cmocka_unit_test_teardown(uuid_is_formatted_in_groups, bytes_release),
        cmocka_unit_test(consistencies_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
