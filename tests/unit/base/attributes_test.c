// Packing attributes and reading them back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "attributes.h"
#include "test_seed.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_CAP  (64u * 1024)
#define PACKED_MAX ((4u + ATTRIBUTE_KEY_SIZE_MAX + ATTRIBUTE_VALUE_SIZE_MAX) * ATTRIBUTE_COUNT_MAX)

struct fixture {
    struct arena arena;
    struct buf packed;
};

static int make_fixture(void **state)
{
    static struct fixture fixture;
    *state = &fixture;
    buf_init_heap(&fixture.packed, 2 * PACKED_MAX);
    return arena_init(&fixture.arena, ARENA_CAP) == ERR_OK ? 0 : -1;
}

static int drop_fixture(void **state)
{
    struct fixture *fixture = *state;
    arena_deinit(&fixture->arena);
    buf_deinit(&fixture->packed);
    return 0;
}

static char filler[ATTRIBUTE_VALUE_SIZE_MAX + 1];

// An attribute of given sizes, its bytes all alike.
static struct attribute attribute_of_sizes(size_t key_size, size_t value_size)
{
    memset(filler, 'f', sizeof(filler));
    return (struct attribute){{filler, key_size}, {filler, value_size}};
}

static void assert_round_trip(struct fixture *fixture, struct attributes attributes)
{
    buf_reset(&fixture->packed);
    arena_reset(&fixture->arena);
    assert_int_equal(attributes_pack(attributes, &fixture->packed), ERR_OK);
    assert_int_equal(buf_view(&fixture->packed).size, attributes_packed_size(attributes));

    struct attributes got = {0};
    struct text packed = buf_view(&fixture->packed);
    assert_int_equal(attributes_unpack(packed, &fixture->arena, &got), ERR_OK);
    assert_int_equal(got.count, attributes.count);
    for (size_t i = 0; i < got.count; i++) {
        assert_true(text_equal(got.items[i].key, attributes.items[i].key));
        assert_true(text_equal(got.items[i].value, attributes.items[i].value));
        assert_true(got.items[i].key.data >= packed.data);
        assert_true(got.items[i].value.data <= packed.data + packed.size);
    }
}

static void stored_form_is_as_documented(void **state)
{
    struct fixture *fixture = *state;
    struct attribute items[] = {{TEXT("k"), TEXT("v\0w")}, attribute_of_sizes(256, 0)};
    assert_int_equal(attributes_pack((struct attributes){items, 2}, &fixture->packed), ERR_OK);
    struct text packed = buf_view(&fixture->packed);
    assert_int_equal(packed.size, 8 + 260);
    assert_memory_equal(packed.data,
                        "\x01\x00\x03\x00kv\0w\x00\x01\x00\x00"
                        "fff",
                        15);
}

static void no_attributes_are_no_bytes(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(attributes_packed_size((struct attributes){0}), 0);
    assert_int_equal(attributes_pack((struct attributes){0}, &fixture->packed), ERR_OK);
    assert_int_equal(buf_view(&fixture->packed).size, 0);
    struct attributes got = {.count = 99};
    assert_int_equal(attributes_unpack((struct text){0}, &fixture->arena, &got), ERR_OK);
    assert_int_equal(got.count, 0);
}

static void random_attributes_survive_the_round_trip(void **state)
{
    struct rand rand;
    rand_seed(&rand, test_seed());
    for (int round = 0; round < 500; round++) {
        struct attribute items[ATTRIBUTE_COUNT_MAX];
        size_t count = rand_below(&rand, ATTRIBUTE_COUNT_MAX + 1);
        for (size_t i = 0; i < count; i++) {
            bool large = rand_chance_ppm(&rand, 100000);
            items[i] = attribute_of_sizes(1 + rand_below(&rand, large ? 256 : 12),
                                          rand_below(&rand, large ? 1025 : 20));
        }
        assert_round_trip(*state, (struct attributes){items, count});
    }
}

static void sizes_and_counts_are_limited(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        size_t key_size;
        size_t value_size;
        bool good;
    } cases[] = {
        {0, 1, false},   {1, 1, true}, {2, 1, true},    {255, 1, true},  {256, 1, true},
        {257, 1, false}, {1, 0, true}, {1, 1023, true}, {1, 1024, true}, {1, 1025, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct attribute item = attribute_of_sizes(cases[i].key_size, cases[i].value_size);
        struct attributes one = {&item, 1};
        if (cases[i].good) {
            assert_round_trip(fixture, one);
            continue;
        }
        buf_reset(&fixture->packed);
        assert_int_equal(attributes_pack(one, &fixture->packed), ERR_TOO_LARGE);
        assert_int_equal(buf_view(&fixture->packed).size, 0);
    }
    struct attribute items[ATTRIBUTE_COUNT_MAX + 1];
    for (size_t i = 0; i <= ATTRIBUTE_COUNT_MAX; i++) {
        items[i] = attribute_of_sizes(256, 1024);
    }
    assert_round_trip(fixture, (struct attributes){items, ATTRIBUTE_COUNT_MAX - 1});
    assert_round_trip(fixture, (struct attributes){items, ATTRIBUTE_COUNT_MAX});
    buf_reset(&fixture->packed);
    assert_int_equal(
        attributes_pack((struct attributes){items, ATTRIBUTE_COUNT_MAX + 1}, &fixture->packed),
        ERR_TOO_LARGE);
    assert_int_equal(buf_view(&fixture->packed).size, 0);
}

// A broken last pair must not leave the good ones before it in the buffer.
static void broken_limit_writes_nothing_at_all(void **state)
{
    struct fixture *fixture = *state;
    struct attribute items[] = {{TEXT("good"), TEXT("1")}, {TEXT(""), TEXT("no key")}};
    buf_add_str(&fixture->packed, "before");
    assert_int_equal(attributes_pack((struct attributes){items, 2}, &fixture->packed),
                     ERR_TOO_LARGE);
    assert_true(text_equal(buf_view(&fixture->packed), TEXT("before")));
}

static void packing_needs_exactly_the_room_it_says(void **state)
{
    (void)state;
    struct attribute items[] = {{TEXT("key"), TEXT("value")}, {TEXT("k"), TEXT("")}};
    struct attributes two = {items, 2};
    size_t size = attributes_packed_size(two);
    for (int excess = -1; excess <= 1; excess++) {
        char memory[64];
        struct buf buf;
        buf_init_fixed(&buf, memory, (size_t)((int)size + excess));
        assert_int_equal(attributes_pack(two, &buf), excess < 0 ? ERR_TOO_LARGE : ERR_OK);
        assert_true(buf_overflowed(&buf) == (excess < 0));
    }
}

static void first_of_equal_keys_is_found_and_a_missing_one_is_null(void **state)
{
    (void)state;
    static const struct attribute items[] = {
        {{"a", 1}, {"1", 1}}, {{"b", 1}, {"", 0}}, {{"a", 1}, {"2", 1}}};
    struct attributes attributes = {items, 3};
    assert_true(text_equal(attributes_get(attributes, TEXT("a")), TEXT("1")));
    assert_non_null(attributes_get(attributes, TEXT("b")).data);
    assert_int_equal(attributes_get(attributes, TEXT("b")).size, 0);
    assert_null(attributes_get(attributes, TEXT("ab")).data);
    assert_null(attributes_get((struct attributes){0}, TEXT("a")).data);
}

// Reads a copy that ends at the end of a heap block, so that reading past it is seen.
static enum err unpack_copy(struct fixture *fixture, const char *bytes, size_t size, size_t *count)
{
    char *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    arena_reset(&fixture->arena);
    struct attributes got = {.count = 99};
    enum err err = attributes_unpack((struct text){copy, size}, &fixture->arena, &got);
    *count = got.count;
    free(copy);
    return err;
}

static void input_cut_anywhere_but_between_pairs_is_corrupt(void **state)
{
    struct fixture *fixture = *state;
    struct attribute items[] = {
        {TEXT("first"), TEXT("value")}, {TEXT("k"), TEXT("")}, {TEXT("third"), TEXT("3")}};
    assert_int_equal(attributes_pack((struct attributes){items, 3}, &fixture->packed), ERR_OK);
    struct text packed = buf_view(&fixture->packed);
    for (size_t size = 0; size <= packed.size; size++) {
        size_t whole_pairs = 99;
        for (size_t pairs = 0; pairs <= 3; pairs++) {
            if (attributes_packed_size((struct attributes){items, pairs}) == size) {
                whole_pairs = pairs;
            }
        }
        size_t count = 0;
        enum err err = unpack_copy(fixture, packed.data, size, &count);
        assert_int_equal(err, whole_pairs == 99 ? ERR_CORRUPT : ERR_OK);
        assert_int_equal(count, whole_pairs); // 99, untouched, when it failed
    }
}

static void stored_sizes_beyond_the_limits_are_corrupt(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        size_t key_size;
        size_t value_size;
        enum err err;
    } cases[] = {
        {0, 1, ERR_CORRUPT},   {1, 1, ERR_OK},    {255, 1, ERR_OK},  {256, 1, ERR_OK},
        {257, 1, ERR_CORRUPT}, {1, 1023, ERR_OK}, {1, 1024, ERR_OK}, {1, 1025, ERR_CORRUPT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char bytes[4 + 2048] = {(char)(cases[i].key_size & 255), (char)(cases[i].key_size >> 8),
                                (char)(cases[i].value_size & 255),
                                (char)(cases[i].value_size >> 8)};
        size_t count = 0;
        assert_int_equal(
            unpack_copy(fixture, bytes, 4 + cases[i].key_size + cases[i].value_size, &count),
            cases[i].err);
    }
}

static void stored_count_beyond_the_limit_is_corrupt(void **state)
{
    struct fixture *fixture = *state;
    for (size_t pairs = 99; pairs <= 101; pairs++) {
        buf_reset(&fixture->packed);
        for (size_t i = 0; i < pairs; i++) {
            buf_add(&fixture->packed, "\x01\x00\x00\x00k", 5);
        }
        size_t count = 0;
        struct text packed = buf_view(&fixture->packed);
        assert_int_equal(unpack_copy(fixture, packed.data, packed.size, &count),
                         pairs <= 100 ? ERR_OK : ERR_CORRUPT);
        assert_int_equal(count, pairs <= 100 ? pairs : 99);
    }
}

static void arena_without_room_is_reported(void **state)
{
    (void)state;
    static const char packed[] = "\x01\x00\x00\x00k\x01\x00\x00\x00l";
    for (int excess = -1; excess <= 1; excess++) {
        struct arena arena;
        size_t cap = (size_t)((int)(2 * sizeof(struct attribute)) + excess);
        assert_int_equal(arena_init(&arena, cap), ERR_OK);
        struct attributes got = {.count = 99};
        enum err err = attributes_unpack((struct text){packed, 10}, &arena, &got);
        assert_int_equal(err, excess < 0 ? ERR_NO_MEMORY : ERR_OK);
        assert_int_equal(got.count, excess < 0 ? 99 : 2);
        arena_deinit(&arena);
    }
}

#define with_fixture(test) cmocka_unit_test_setup_teardown(test, make_fixture, drop_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_fixture(stored_form_is_as_documented),
        with_fixture(no_attributes_are_no_bytes),
        with_fixture(random_attributes_survive_the_round_trip),
        with_fixture(sizes_and_counts_are_limited),
        with_fixture(broken_limit_writes_nothing_at_all),
        cmocka_unit_test(packing_needs_exactly_the_room_it_says),
        cmocka_unit_test(first_of_equal_keys_is_found_and_a_missing_one_is_null),
        with_fixture(input_cut_anywhere_but_between_pairs_is_corrupt),
        with_fixture(stored_sizes_beyond_the_limits_are_corrupt),
        with_fixture(stored_count_beyond_the_limit_is_corrupt),
        cmocka_unit_test(arena_without_room_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
