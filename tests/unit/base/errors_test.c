// The error table, and the text that travels beside a code.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "aborts.h"
#include "errors.h"

#include <stdio.h>
#include <string.h>

#define WHY_SIZE sizeof(((struct why *)NULL)->text)

static void every_code_has_its_name_class_text_and_exit_code(void **state)
{
    (void)state;
#define X(name, class, text, exit_code)                                                            \
    assert_string_equal(err_name(name), #name);                                                    \
    assert_int_equal(err_class_of(name), ERR_CLASS_##class);                                       \
    assert_string_equal(err_text(name), text);                                                     \
    assert_int_equal(err_exit_code(name), exit_code);
    ERR_TABLE(X)
#undef X
}

static void only_ok_has_no_class_and_exits_with_zero(void **state)
{
    (void)state;
    for (int code = ERR_OK; code <= ERR_INTERNAL; code++) {
        bool ok = code == ERR_OK;
        assert_true((err_class_of((enum err)code) == ERR_CLASS_NONE) == ok);
        assert_true((err_exit_code((enum err)code) == 0) == ok);
    }
}

static void ask_for_unknown_code(void *context)
{
    (void)context;
    (void)err_name((enum err)(ERR_INTERNAL + 1));
}

static void code_outside_the_table_aborts(void **state)
{
    (void)state;
    assert_true(aborts(ask_for_unknown_code, NULL));
}

static void set_keeps_code_and_text_and_returns_the_code(void **state)
{
    (void)state;
    struct why why = {0};
    assert_int_equal(why_set(&why, ERR_FULL, "%s has %d left", "disk", 3), ERR_FULL);
    assert_int_equal(why.code, ERR_FULL);
    assert_string_equal(why.text, "disk has 3 left");
}

static void nowhere_to_write_is_accepted(void **state)
{
    (void)state;
    assert_int_equal(why_set(NULL, ERR_IO, "%d", 1), ERR_IO);
    why_prefix(NULL, "%d", 1);
}

static void text_is_cut_only_beyond_the_limit(void **state)
{
    (void)state;
    for (int excess = -1; excess <= 1; excess++) {
        size_t length = (size_t)((int)WHY_SIZE - 1 + excess);
        char text[WHY_SIZE + 8] = {0};
        memset(text, 'x', length);
        struct why why = {0};
        (void)why_set(&why, ERR_IO, "%s", text);
        assert_int_equal(strlen(why.text), excess > 0 ? WHY_SIZE - 1 : length);
    }
}

static void text_may_be_its_own_argument(void **state)
{
    (void)state;
    struct why why = {0};
    (void)why_set(&why, ERR_IO, "inner");
    (void)why_set(&why, ERR_CORRUPT, "outer (%s)", why.text);
    assert_int_equal(why.code, ERR_CORRUPT);
    assert_string_equal(why.text, "outer (inner)");
}

static void prefix_goes_before_and_keeps_the_code(void **state)
{
    (void)state;
    struct why why = {0};
    (void)why_set(&why, ERR_CONFIG, "no such key");
    why_prefix(&why, "line %d", 7);
    why_prefix(&why, "till.yaml");
    assert_int_equal(why.code, ERR_CONFIG);
    assert_string_equal(why.text, "till.yaml: line 7: no such key");
}

static void prefix_that_leaves_no_room_cuts_at_the_limit(void **state)
{
    (void)state;
    for (int excess = -1; excess <= 1; excess++) {
        char old[WHY_SIZE] = {0};
        memset(old, 'o', (size_t)((int)WHY_SIZE - 1 - 6 + excess)); // "outer" and ": " less one
        struct why why = {0};
        (void)why_set(&why, ERR_IO, "%s", old);
        why_prefix(&why, "outer");
        size_t whole = strlen("outer: ") + strlen(old);
        assert_int_equal(strlen(why.text), whole < WHY_SIZE ? whole : WHY_SIZE - 1);
        assert_memory_equal(why.text, "outer: oooo", 11);
    }
    struct why why = {0};
    char prefix[WHY_SIZE + 8] = {0};
    memset(prefix, 'p', sizeof(prefix) - 1);
    (void)why_set(&why, ERR_IO, "lost");
    why_prefix(&why, "%s", prefix);
    assert_int_equal(strlen(why.text), WHY_SIZE - 1);
    assert_null(strstr(why.text, "lost"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_name_class_text_and_exit_code),
        cmocka_unit_test(only_ok_has_no_class_and_exits_with_zero),
        cmocka_unit_test(code_outside_the_table_aborts),
        cmocka_unit_test(set_keeps_code_and_text_and_returns_the_code),
        cmocka_unit_test(nowhere_to_write_is_accepted),
        cmocka_unit_test(text_is_cut_only_beyond_the_limit),
        cmocka_unit_test(text_may_be_its_own_argument),
        cmocka_unit_test(prefix_goes_before_and_keeps_the_code),
        cmocka_unit_test(prefix_that_leaves_no_room_cuts_at_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
