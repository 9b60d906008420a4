// docs/configuration.md says what the table of keys says: one row a key, word for word. The file is
// the first argument.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "config.h"

#include <stdio.h>
#include <string.h>

#define MANUAL_SIZE_MAX 65536u

static const char *manual_path;

static const char *read_manual(void)
{
    static char text[MANUAL_SIZE_MAX];
    FILE *file = fopen(manual_path, "r");
    assert_non_null(file);
    size_t size = fread(text, 1, sizeof text - 1, file);
    assert_in_range(size, 1, sizeof text - 2);
    text[size] = '\0';
    assert_int_equal(fclose(file), 0);
    return text;
}

// "| `match.grace` | duration | `2m` | how long ... |"; an empty default is "none".
static void add_row(const struct config_key_info *key, struct buf *out)
{
    buf_add_fmt(out, "| `%s` | ", key->path);
    value_add_kind(&key->rule, out);
    if (key->default_text[0] == '\0') {
        buf_add_fmt(out, " | none | %s |\n", key->help);
    } else {
        buf_add_fmt(out, " | `%s` | %s |\n", key->default_text, key->help);
    }
}

static void every_key_has_its_row(void **state)
{
    (void)state;
    const char *manual = read_manual();
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        char row[512];
        struct buf out;
        buf_init_fixed(&out, row, sizeof row - 1);
        add_row(&config_keys[key], &out);
        assert_false(buf_overflowed(&out));
        row[buf_view(&out).size] = '\0';
        if (strstr(manual, row) == NULL) {
            fail_msg("%s lacks this row:\n%s", manual_path, row);
        }
    }
}

static void every_row_has_its_key(void **state)
{
    (void)state;
    size_t rows = 0;
    for (const char *at = strstr(read_manual(), "\n| `"); at != NULL;
         at = strstr(at + 1, "\n| `")) {
        rows++;
    }
    assert_int_equal(rows, CONFIG_KEY_COUNT);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_has_its_row),
        cmocka_unit_test(every_row_has_its_key),
    };
    if (argc != 2) {
        (void)fprintf(stderr, "usage: config_manual_test docs/configuration.md\n");
        return 2;
    }
    manual_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
