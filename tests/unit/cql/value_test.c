// Values of every simple type: the specification's examples, the ends of their ranges, what is null, empty,
// or does not fit.
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

static char memory[300000];
static struct cql_values values;

static int start(void **state)
{
    (void)state;
    cql_values_init(&values, memory, sizeof(memory));
    return 0;
}

// The value bound last, and nothing else before it: its bytes without the size.
static struct cql_cell bound(void)
{
    const struct cql_values_view view = cql_values_view(&values);
    assert_false(view.overflowed);
    assert_int_equal(view.count, 1);
    const struct cql_cell cell = cql_values_at(view, 0);
    assert_int_equal(view.bytes.size, 4 + (cell.presence == CQL_PRESENT ? cell.bytes.size : 0));
    const struct cql_cell copy = {bytes_copy(cell.bytes), cell.presence};
    cql_values_reset(&values);
    return copy;
}

static struct cql_cell cell_of(const char *hex)
{
    return (struct cql_cell){.bytes = bytes_of(hex)};
}

static void integers_are_big_endian_and_read_back(void **state)
{
    (void)state;
    static const int64_t edges[] = {INT64_MIN, INT32_MIN, INT16_MIN, INT8_MIN,  -1,       0,
                                    1,         INT8_MAX,  INT16_MAX, INT32_MAX, INT64_MAX};
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        int8_t tiny = 0;
        int16_t small = 0;
        int32_t number = 0;
        int64_t big = 0;
        cql_bind_tinyint(&values, (int8_t)edges[i]);
        assert_int_equal(cql_get_tinyint(bound(), &tiny), CQL_GOT_VALUE);
        assert_int_equal(tiny, (int8_t)edges[i]);
        cql_bind_smallint(&values, (int16_t)edges[i]);
        assert_int_equal(cql_get_smallint(bound(), &small), CQL_GOT_VALUE);
        assert_int_equal(small, (int16_t)edges[i]);
        cql_bind_int(&values, (int32_t)edges[i]);
        assert_int_equal(cql_get_int(bound(), &number), CQL_GOT_VALUE);
        assert_int_equal(number, (int32_t)edges[i]);
        cql_bind_bigint(&values, edges[i]);
        assert_int_equal(cql_get_bigint(bound(), &big), CQL_GOT_VALUE);
        assert_true(big == edges[i]);
        cql_bind_timestamp(&values, edges[i]); // before 1970, and far away
        assert_int_equal(cql_get_timestamp(bound(), &big), CQL_GOT_VALUE);
        assert_true(big == edges[i]);
    }
    cql_bind_int(&values, 1);
    bytes_expect(bound().bytes, "00000001");
    cql_bind_bigint(&values, -2);
    bytes_expect(bound().bytes, "fffffffffffffffe");
    cql_bind_smallint(&values, 0x1234);
    bytes_expect(bound().bytes, "1234");
}

static void binary_fractions_keep_every_bit(void **state)
{
    (void)state;
    float number = 0;
    double large = 0;
    cql_bind_float(&values, 1.5F);
    struct cql_cell cell = bound();
    bytes_expect(cell.bytes, "3fc00000");
    assert_int_equal(cql_get_float(cell, &number), CQL_GOT_VALUE);
    assert_true(number > 1.4F && number < 1.6F);
    cql_bind_double(&values, -2.0);
    cell = bound();
    bytes_expect(cell.bytes, "c000000000000000");
    assert_int_equal(cql_get_double(cell, &large), CQL_GOT_VALUE);
    assert_true(large < -1.9 && large > -2.1);
    cell = cell_of("7ff8000000000001"); // not a number, of a certain kind
    assert_int_equal(cql_get_double(cell, &large), CQL_GOT_VALUE);
    cql_bind_double(&values, large);
    bytes_expect(bound().bytes, "7ff8000000000001");
}

static void any_byte_but_zero_is_true(void **state)
{
    (void)state;
    bool value = false;
    assert_int_equal(cql_get_boolean(cell_of("00"), &value), CQL_GOT_VALUE);
    assert_false(value);
    assert_int_equal(cql_get_boolean(cell_of("01"), &value), CQL_GOT_VALUE);
    assert_true(value);
    assert_int_equal(cql_get_boolean(cell_of("80"), &value), CQL_GOT_VALUE);
    assert_true(value);
    cql_bind_boolean(&values, true);
    bytes_expect(bound().bytes, "01");
}

static void text_may_have_zeroes_but_must_be_utf8(void **state)
{
    (void)state;
    struct text text;
    cql_bind_text(&values, (struct text){"a\0\xC3\xA9", 4});
    struct cql_cell cell = bound();
    assert_int_equal(cql_get_text(cell, &text), CQL_GOT_VALUE);
    bytes_expect(text, "6100c3a9");
    assert_int_equal(cql_get_ascii(cell, &text), CQL_GOT_DAMAGED);
    assert_int_equal(cql_get_text(cell_of("ff"), &text), CQL_GOT_DAMAGED);
    assert_int_equal(cql_get_text(cell_of("c3"), &text), CQL_GOT_DAMAGED);
    assert_int_equal(cql_get_blob(cell_of("ff"), &text), CQL_GOT_VALUE);
    assert_int_equal(cql_get_ascii(cell_of("7f"), &text), CQL_GOT_VALUE);
    assert_int_equal(cql_get_ascii(cell_of("80"), &text), CQL_GOT_DAMAGED);
}

static void blobs_of_any_size_are_kept(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 131071, 200000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const struct text blob = bytes_random(sizes[i], i);
        struct text text;
        cql_bind_blob(&values, blob);
        assert_int_equal(cql_get_blob(bound(), &text), CQL_GOT_VALUE);
        assert_true(text_equal(text, blob));
    }
}

static void null_empty_and_wrong_sizes_are_told_apart(void **state)
{
    (void)state;
    const struct cql_cell null = {.presence = CQL_NULL};
    const struct cql_cell unset = {.presence = CQL_UNSET};
    for (size_t size = 0; size <= 17; size++) {
        const struct cql_cell cell = {.bytes = bytes_repeated(size, 0)};
        int64_t big = 42;
        int32_t number = 42;
        struct cql_uuid uuid = {{42}};
        struct cql_inet inet = {.size = 42};
        const enum cql_got wrong = size == 0 ? CQL_GOT_EMPTY : CQL_GOT_DAMAGED;
        assert_int_equal(cql_get_bigint(cell, &big), size == 8 ? CQL_GOT_VALUE : wrong);
        assert_int_equal(big, size == 8 ? 0 : 42);
        assert_int_equal(cql_get_int(cell, &number), size == 4 ? CQL_GOT_VALUE : wrong);
        assert_int_equal(number, size == 4 ? 0 : 42);
        assert_int_equal(cql_get_uuid(cell, &uuid), size == 16 ? CQL_GOT_VALUE : wrong);
        assert_int_equal(uuid.bytes[0], size == 16 ? 0 : 42);
        const bool address = size == 4 || size == 16;
        assert_int_equal(cql_get_inet(cell, &inet), address ? CQL_GOT_VALUE : wrong);
        assert_int_equal(inet.size, address ? size : 42);
    }
    int64_t big = 42;
    struct text text = TEXT("kept");
    struct cql_decimal decimal;
    assert_int_equal(cql_get_bigint(null, &big), CQL_GOT_NULL);
    assert_int_equal(cql_get_bigint(unset, &big), CQL_GOT_NULL);
    assert_int_equal(big, 42);
    assert_int_equal(cql_get_text(null, &text), CQL_GOT_NULL);
    assert_true(text_equal(text, TEXT("kept")));
    assert_int_equal(cql_get_text(cell_of(""), &text), CQL_GOT_VALUE); // empty text is a text
    assert_int_equal(text.size, 0);
    assert_int_equal(cql_get_decimal(null, &decimal), CQL_GOT_NULL);
    assert_int_equal(cql_get_decimal(cell_of(""), &decimal), CQL_GOT_EMPTY);
}

static void dates_are_counted_from_the_middle(void **state)
{
    (void)state;
    static const struct {
        int32_t days;
        const char *hex;
    } cases[] = {
        {INT32_MIN, "00000000"}, {0, "80000000"}, {-1, "7fffffff"}, {INT32_MAX, "ffffffff"}};
    for (size_t i = 0; i < 4; i++) {
        int32_t days = 42;
        cql_bind_date(&values, cases[i].days);
        const struct cql_cell cell = bound();
        bytes_expect(cell.bytes, cases[i].hex);
        assert_int_equal(cql_get_date(cell, &days), CQL_GOT_VALUE);
        assert_int_equal(days, cases[i].days);
    }
}

static void time_of_day_ends_before_midnight(void **state)
{
    (void)state;
    int64_t ns = 0;
    cql_bind_time(&values, INT64_C(86399999999999));
    assert_int_equal(cql_get_time(bound(), &ns), CQL_GOT_VALUE);
    assert_true(ns == INT64_C(86399999999999));
    assert_int_equal(cql_get_time(cell_of("00004e94914f0000"), &ns), CQL_GOT_DAMAGED); // 24:00
    assert_int_equal(cql_get_time(cell_of("00004e94914effff"), &ns), CQL_GOT_VALUE);
    assert_int_equal(cql_get_time(cell_of("ffffffffffffffff"), &ns), CQL_GOT_DAMAGED);
}

static void uuids_and_addresses_are_their_bytes(void **state)
{
    (void)state;
    struct cql_uuid uuid;
    struct cql_inet inet;
    memcpy(uuid.bytes, bytes_of("00112233445566778899aabbccddeeff").data, 16);
    cql_bind_uuid(&values, &uuid);
    bytes_expect(bound().bytes, "00112233445566778899aabbccddeeff");
    cql_bind_inet(&values, &(struct cql_inet){{192, 168, 0, 1}, 4});
    assert_int_equal(cql_get_inet(bound(), &inet), CQL_GOT_VALUE);
    assert_int_equal(inet.size, 4);
    assert_int_equal(inet.address[0], 192);
}

static void durations_have_one_sign(void **state)
{
    (void)state;
    static const struct cql_duration durations[] = {{0, 0, 0},
                                                    {1, 2, 3},
                                                    {-1, -2, -3},
                                                    {INT32_MAX, INT32_MAX, INT64_MAX},
                                                    {INT32_MIN, INT32_MIN, INT64_MIN}};
    struct cql_duration out;
    for (size_t i = 0; i < 5; i++) {
        cql_bind_duration(&values, durations[i]);
        assert_int_equal(cql_get_duration(bound(), &out), CQL_GOT_VALUE);
        assert_int_equal(out.months, durations[i].months);
        assert_int_equal(out.days, durations[i].days);
        assert_true(out.nanoseconds == durations[i].nanoseconds);
    }
    cql_bind_duration(&values, (struct cql_duration){1, 2, 3});
    bytes_expect(bound().bytes, "020406");
    assert_int_equal(cql_get_duration(cell_of("020306"), &out), CQL_GOT_DAMAGED); // 1, -2, 3
    assert_int_equal(cql_get_duration(cell_of("0204"), &out), CQL_GOT_DAMAGED);
    assert_int_equal(cql_get_duration(cell_of("02040600"), &out), CQL_GOT_DAMAGED);
    assert_int_equal(cql_get_duration(cell_of("f100000000 04 06"), &out), CQL_GOT_DAMAGED); // 2^31
    assert_int_equal(cql_get_duration(cell_of(""), &out), CQL_GOT_EMPTY);
}

static void varints_are_as_short_as_the_specification_says(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        const char *hex;
    } cases[] = {
        {0, "00"},
        {1, "01"},
        {127, "7f"},
        {128, "0080"},
        {129, "0081"},
        {-1, "ff"},
        {-128, "80"},
        {-129, "ff7f"},
        {255, "00ff"},
        {256, "0100"},
        {32767, "7fff"},
        {32768, "008000"},
        {-32768, "8000"},
        {-32769, "ff7fff"},
        {INT64_MAX, "7fffffffffffffff"},
        {INT64_MIN, "8000000000000000"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t value = 42;
        cql_bind_varint(&values, cases[i].value);
        const struct cql_cell cell = bound();
        bytes_expect(cell.bytes, cases[i].hex);
        assert_int_equal(cql_get_varint(cell, &value), CQL_GOT_VALUE);
        assert_true(value == cases[i].value);
    }
}

static void varint_of_more_than_64_bits_is_refused_not_cut(void **state)
{
    (void)state;
    int64_t value = 42;
    assert_false(cql_varint_to_i64(bytes_of("008000000000000000"), &value)); // 2^63
    assert_false(cql_varint_to_i64(bytes_of("ff7fffffffffffffff"), &value)); // -2^63 - 1
    assert_false(cql_varint_to_i64(bytes_of("01000000000000000000"), &value));
    assert_false(cql_varint_to_i64(bytes_of(""), &value));
    assert_int_equal(value, 42);
    assert_true(cql_varint_to_i64(bytes_of("00007fffffffffffffff"), &value));
    assert_true(value == INT64_MAX);
    assert_true(cql_varint_to_i64(bytes_of("ffff8000000000000000"), &value));
    assert_true(value == INT64_MIN);
}

static void decimals_are_scale_and_digits(void **state)
{
    (void)state;
    static const struct {
        int64_t unscaled;
        int32_t scale;
        const char *hex;
    } cases[] = {
        {0, 0, "00000000 00"},      {0, 2, "00000002 00"},
        {1250, 2, "00000002 04e2"}, {-1, 2, "00000002 ff"},
        {128, 0, "00000000 0080"},  {-129, 1, "00000001 ff7f"},
        {5, -3, "fffffffd 05"},     {INT64_MIN, INT32_MAX, "7fffffff 8000000000000000"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cql_decimal decimal;
        int64_t unscaled = 42;
        cql_bind_decimal(&values, cases[i].unscaled, cases[i].scale);
        const struct cql_cell cell = bound();
        bytes_expect(cell.bytes, cases[i].hex);
        assert_int_equal(cql_get_decimal(cell, &decimal), CQL_GOT_VALUE);
        assert_int_equal(decimal.scale, cases[i].scale);
        assert_true(cql_varint_to_i64(decimal.unscaled, &unscaled));
        assert_true(unscaled == cases[i].unscaled);
        cql_bind_decimal_bytes(&values, decimal);
        bytes_expect(bound().bytes, cases[i].hex);
    }
    struct cql_decimal decimal;
    for (size_t size = 1; size <= 4; size++) { // no digits
        const struct cql_cell cell = {.bytes = bytes_repeated(size, 0)};
        assert_int_equal(cql_get_decimal(cell, &decimal), CQL_GOT_DAMAGED);
    }
}

static void forty_digits_are_kept_though_no_number_holds_them(void **state)
{
    (void)state;
    int64_t minor = 42;
    struct cql_decimal decimal;
    // 10^40 - 1
    const struct cql_cell cell = cell_of("00000002 1d6329f1c35ca4bfabb9f560ffffffffff");
    assert_int_equal(cql_get_decimal(cell, &decimal), CQL_GOT_VALUE);
    assert_int_equal(decimal.unscaled.size, 17);
    assert_int_equal(cql_get_minor(cell, 2, &minor), CQL_GOT_DAMAGED);
    assert_int_equal(minor, 42);
    cql_bind_decimal_bytes(&values, decimal);
    assert_true(text_equal(bound().bytes, cell.bytes));
}

static void money_is_exact_or_refused(void **state)
{
    (void)state;
    static const struct {
        int64_t unscaled;
        int32_t scale;
        int32_t wanted;
        bool exact;
        int64_t minor;
    } cases[] = {
        {1250, 2, 2, true, 1250},
        {1250, 2, 3, true, 12500},
        {1250, 2, 1, true, 125},
        {1250, 2, 0, false, 0},
        {-1250, 2, 1, true, -125},
        {-1251, 2, 1, false, 0},
        {0, 5, 2, true, 0},
        {0, INT32_MAX, INT32_MIN, true, 0},
        {0, INT32_MIN, INT32_MAX, true, 0},
        {1, INT32_MIN, INT32_MAX, false, 0}, // at once, not after 2^32 steps
        {1, INT32_MAX, INT32_MIN, false, 0},
        {5, -3, 2, true, 500000},
        {1, 0, 18, true, INT64_C(1000000000000000000)},
        {1, 0, 19, false, 0},
        {INT64_C(922337203685477580), 1, 2, true, INT64_C(9223372036854775800)},
        {INT64_C(922337203685477581), 1, 2, false, 0},
        {INT64_C(-922337203685477581), 1, 2, false, 0},
        {INT64_MAX, 2, 2, true, INT64_MAX},
        {INT64_MIN, 2, 2, true, INT64_MIN},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t minor = 42;
        cql_bind_decimal(&values, cases[i].unscaled, cases[i].scale);
        assert_int_equal(cql_get_minor(bound(), cases[i].wanted, &minor),
                         cases[i].exact ? CQL_GOT_VALUE : CQL_GOT_DAMAGED);
        assert_true(minor == (cases[i].exact ? cases[i].minor : 42));
    }
}

static void values_are_found_by_their_index(void **state)
{
    (void)state;
    cql_bind_int(&values, 1);
    cql_bind_null(&values);
    cql_bind_unset(&values);
    cql_bind_text(&values, TEXT(""));
    cql_bind_cell(&values, (struct cql_cell){.bytes = TEXT("raw")});
    const struct cql_values_view view = cql_values_view(&values);
    assert_int_equal(view.count, 5);
    bytes_expect(view.bytes, "00000004 00000001 ffffffff fffffffe 00000000 00000003 726177");
    static const enum cql_presence presences[] = {CQL_PRESENT, CQL_NULL,    CQL_UNSET,
                                                  CQL_PRESENT, CQL_PRESENT, CQL_NULL};
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(cql_values_at(view, i).presence, presences[i]);
    }
    assert_true(text_equal(cql_values_at(view, 4).bytes, TEXT("raw")));
}

static void values_without_room_are_marked(void **state)
{
    (void)state;
    for (size_t cap = 0; cap <= 12; cap++) {
        cql_values_init(&values, memory, cap);
        cql_bind_bigint(&values, 1);
        assert_int_equal(cql_values_view(&values).overflowed, cap < 12);
        cql_values_reset(&values);
        assert_false(cql_values_view(&values).overflowed);
        assert_int_equal(cql_values_view(&values).count, 0);
    }
}

static void more_than_65535_values_are_marked(void **state)
{
    (void)state;
    for (uint32_t count = CQL_VALUES_MAX - 1; count <= CQL_VALUES_MAX + 1; count++) {
        cql_values_reset(&values);
        for (uint32_t i = 0; i < count; i++) {
            cql_bind_null(&values);
        }
        assert_int_equal(cql_values_view(&values).overflowed, count > CQL_VALUES_MAX);
    }
}

#define VALUE_TEST(name) cmocka_unit_test_setup_teardown(name, start, bytes_release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        VALUE_TEST(integers_are_big_endian_and_read_back),
        VALUE_TEST(binary_fractions_keep_every_bit),
        VALUE_TEST(any_byte_but_zero_is_true),
        VALUE_TEST(text_may_have_zeroes_but_must_be_utf8),
        VALUE_TEST(blobs_of_any_size_are_kept),
        VALUE_TEST(null_empty_and_wrong_sizes_are_told_apart),
        VALUE_TEST(dates_are_counted_from_the_middle),
        VALUE_TEST(time_of_day_ends_before_midnight),
        VALUE_TEST(uuids_and_addresses_are_their_bytes),
        VALUE_TEST(durations_have_one_sign),
        VALUE_TEST(varints_are_as_short_as_the_specification_says),
        VALUE_TEST(varint_of_more_than_64_bits_is_refused_not_cut),
        VALUE_TEST(decimals_are_scale_and_digits),
        VALUE_TEST(forty_digits_are_kept_though_no_number_holds_them),
        VALUE_TEST(money_is_exact_or_refused),
        VALUE_TEST(values_are_found_by_their_index),
        VALUE_TEST(values_without_room_are_marked),
        VALUE_TEST(more_than_65535_values_are_marked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
