// Tokens: known vectors, the quirk of signed bytes, routing keys.
#include "cql_bytes.h"
#include "cql_token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

static void known_keys_have_known_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        int64_t token;
    } cases[] = {
        {"313233", INT64_C(-7468325962851647638)}, // "123"
        {"fefefefefefefefe", INT64_C(-8927430733708461935)},
        {"00ff10fa99 00ff10fa99 00ff10fa99 00ff10fa99 00ff10fa99"
         "00ff10fa99 00ff10fa99 00ff10fa99 00ff10fa99 00ff10fa99",
         INT64_C(5837342703291459765)},
        {"ffffffff", INT64_C(7297452126230313552)},         // int -1: bytes are signed
        {"0000000000000001", INT64_C(6292367497774912474)}, // bigint 1
        {"0002657500 0008000000000000002a00", INT64_C(-7055841045730513604)}, // ('eu', 42)
        {"", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(cql_token(bytes_of(cases[i].hex)) == cases[i].token);
    }
}

static void unsigned_bytes_would_give_another_token(void **state)
{
    (void)state;
    assert_true(cql_token(bytes_of("ffffffff")) != INT64_C(4889297221962843713));
}

// A key made by going through the hash backwards, so that it gives -2^63.
static void smallest_hash_becomes_the_largest_token(void **state)
{
    (void)state;
    assert_true(cql_token(bytes_of("653cbefb85ec3111b4e38fa9bc7cbcae")) == INT64_MAX);
}

// Every tail length takes another way through the hash: no two prefixes of a key may agree.
static void every_prefix_of_a_key_has_its_own_token(void **state)
{
    (void)state;
    const struct text key = bytes_random(40, 11);
    int64_t tokens[41];
    for (size_t size = 0; size <= key.size; size++) {
        tokens[size] = cql_token(bytes_copy((struct text){key.data, size}));
        for (size_t i = 0; i < size; i++) {
            assert_true(tokens[i] != tokens[size]);
        }
    }
}

static struct cql_values_view bind_key(struct cql_values *values, void *memory, size_t cap)
{
    cql_values_init(values, memory, cap);
    cql_bind_null(values);
    cql_bind_bigint(values, 42);
    cql_bind_text(values, TEXT("eu"));
    cql_bind_unset(values);
    return cql_values_view(values);
}

static void key_of_one_part_is_its_bytes(void **state)
{
    (void)state;
    char memory[100];
    struct cql_values values;
    struct text key;
    const struct cql_values_view view = bind_key(&values, memory, sizeof(memory));
    assert_true(cql_routing_key(view, (const uint16_t[]){1}, 1, NULL, 0, &key));
    bytes_expect(key, "000000000000002a");
}

static void key_of_parts_has_sizes_and_zeroes(void **state)
{
    (void)state;
    char memory[100];
    char room[16];
    struct cql_values values;
    struct text key;
    const uint16_t indexes[] = {2, 1};
    const struct cql_values_view view = bind_key(&values, memory, sizeof(memory));
    assert_true(cql_routing_key(view, indexes, 2, room, sizeof(room), &key));
    bytes_expect(key, "0002657500 0008000000000000002a00");
    assert_true(cql_token(key) == INT64_C(-7055841045730513604));
    for (size_t cap = 0; cap < sizeof(room); cap++) {
        assert_false(cql_routing_key(view, indexes, 2, room, cap, &key));
    }
}

static void key_without_a_value_has_no_home(void **state)
{
    (void)state;
    char memory[100];
    char room[100];
    struct cql_values values;
    struct text key;
    const struct cql_values_view view = bind_key(&values, memory, sizeof(memory));
    assert_false(cql_routing_key(view, NULL, 0, room, sizeof(room), &key));
    for (uint16_t absent = 0; absent <= 4; absent++) {
        if (absent == 1 || absent == 2) {
            continue;
        }
        assert_false(cql_routing_key(view, &absent, 1, room, sizeof(room), &key));
        assert_false(
            cql_routing_key(view, (const uint16_t[]){1, absent}, 2, room, sizeof(room), &key));
    }
}

static void key_part_of_65535_bytes_is_the_longest(void **state)
{
    (void)state;
    static char memory[70000];
    for (size_t size = 65534; size <= 65536; size++) {
        struct cql_values values;
        struct text key;
        cql_values_init(&values, memory, sizeof(memory));
        cql_bind_text(&values, bytes_repeated(size, 'k'));
        assert_int_equal(
            cql_routing_key(cql_values_view(&values), (const uint16_t[]){0}, 1, NULL, 0, &key),
            size <= CQL_KEY_PART_SIZE_MAX);
    }
}

static void tokens_are_parsed_to_the_last_digit(void **state)
{
    (void)state;
    int64_t token = 0;
    assert_true(cql_token_parse(TEXT("-9223372036854775808"), &token) && token == INT64_MIN);
    assert_true(cql_token_parse(TEXT("9223372036854775807"), &token) && token == INT64_MAX);
    assert_false(cql_token_parse(TEXT("9223372036854775808"), &token));
    assert_false(cql_token_parse(TEXT(""), &token));
    assert_false(cql_token_parse(TEXT("00ff"), &token));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(known_keys_have_known_tokens, bytes_release),
        cmocka_unit_test_teardown(unsigned_bytes_would_give_another_token, bytes_release),
        cmocka_unit_test_teardown(smallest_hash_becomes_the_largest_token, bytes_release),
        cmocka_unit_test_teardown(every_prefix_of_a_key_has_its_own_token, bytes_release),
        cmocka_unit_test_teardown(key_of_one_part_is_its_bytes, bytes_release),
        cmocka_unit_test_teardown(key_of_parts_has_sizes_and_zeroes, bytes_release),
        cmocka_unit_test_teardown(key_without_a_value_has_no_home, bytes_release),
        cmocka_unit_test_teardown(key_part_of_65535_bytes_is_the_longest, bytes_release),
        cmocka_unit_test(tokens_are_parsed_to_the_last_digit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
