// The log's lines, read back from a pipe that keeps one packet a write.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_SIZE_MAX 4096

struct fixture {
    int read_fd;
    int write_fd;
    struct virtual_time time;
    struct log log;
    char line[LINE_SIZE_MAX + 1]; // the last one read, zero-terminated
};

static int make_fixture(void **state)
{
    static struct fixture fixture;
    int ends[2];
    // O_DIRECT: what one write wrote, one read returns.
    if (pipe2(ends, O_DIRECT | O_NONBLOCK | O_CLOEXEC) != 0) {
        return -1;
    }
    fixture.read_fd = ends[0];
    fixture.write_fd = ends[1];
    fixture.time.wall_us = INT64_C(1767323045678901); // 2026-01-02T03:04:05.678901Z
    log_init(&fixture.log, fixture.write_fd, LOG_DEBUG, clock_virtual(&fixture.time));
    *state = &fixture;
    return 0;
}

static int drop_fixture(void **state)
{
    struct fixture *fixture = *state;
    (void)close(fixture->read_fd);
    (void)close(fixture->write_fd);
    return 0;
}

static bool read_line(struct fixture *fixture)
{
    ssize_t size = read(fixture->read_fd, fixture->line, LINE_SIZE_MAX);
    fixture->line[size > 0 ? size : 0] = '\0';
    return size > 0;
}

// The one line written since, which must have come by one write.
static const char *only_line(struct fixture *fixture)
{
    char next;
    assert_true(read_line(fixture));
    assert_int_equal(read(fixture->read_fd, &next, 1), -1);
    assert_int_equal(errno, EAGAIN);
    size_t size = strlen(fixture->line);
    assert_ptr_equal(strchr(fixture->line, '\n'), fixture->line + size - 1);
    return fixture->line;
}

static json_t *only_line_as_json(struct fixture *fixture)
{
    json_error_t error;
    json_t *json = json_loads(only_line(fixture), JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (json == NULL) {
        print_error("%s in %s\n", error.text, fixture->line);
    }
    assert_non_null(json);
    return json;
}

static void json_line_has_time_level_component_message_and_fields(void **state)
{
    struct fixture *fixture = *state;
    log_info(&fixture->log, "lane", "batch done", LOG_INT("count", 12), LOG_STR("topic", "orders"),
             LOG_INT("smallest", INT64_MIN), LOG_TEXT("code", TEXT("E_PAN")));
    assert_string_equal(only_line(fixture),
                        "{\"ts\":\"2026-01-02T03:04:05.678901Z\",\"level\":\"info\","
                        "\"component\":\"lane\",\"msg\":\"batch done\",\"count\":12,"
                        "\"topic\":\"orders\",\"smallest\":-9223372036854775808,"
                        "\"code\":\"E_PAN\"}\n");
}

static void text_line_has_time_level_component_message_and_fields(void **state)
{
    struct fixture *fixture = *state;
    fixture->log.json = false;
    log_info(&fixture->log, "lane", "batch done", LOG_INT("count", -12),
             LOG_STR("topic", "orders"));
    assert_string_equal(only_line(fixture),
                        "2026-01-02T03:04:05.678Z INFO  lane  batch done count=-12 topic=orders\n");
    log_error(&fixture->log, "store", "lost");
    assert_string_equal(only_line(fixture), "2026-01-02T03:04:05.678Z ERROR store  lost\n");
}

static void text_value_is_quoted_when_its_end_would_not_be_seen(void **state)
{
    struct fixture *fixture = *state;
    fixture->log.json = false;
    log_warn(&fixture->log, "a", "b", LOG_STR("plain", "x-1"), LOG_STR("empty", ""),
             LOG_STR("space", "x y"), LOG_STR("equals", "x=y"), LOG_STR("quote", "x\"y"),
             LOG_STR("line", "x\ny"), LOG_STR("null", NULL));
    assert_string_equal(only_line(fixture),
                        "2026-01-02T03:04:05.678Z WARN  a  b plain=x-1 empty=\"\" space=\"x y\" "
                        "equals=\"x=y\" quote=\"x\\x22y\" line=x\\x0ay null=\"\"\n");
}

static void every_control_character_is_escaped_in_json(void **state)
{
    struct fixture *fixture = *state;
    char all[128];
    for (int i = 0; i < 128; i++) {
        all[i] = (char)i;
    }
    log_info(&fixture->log, "lane", "all of ASCII", LOG_TEXT("all", ((struct text){all, 128})));
    json_t *json = only_line_as_json(fixture);
    for (const char *at = fixture->line; *at != '\n'; at++) {
        assert_true((unsigned char)*at >= 0x20 && *at != 0x7F);
    }
    json_t *value = json_object_get(json, "all");
    assert_int_equal(json_string_length(value), 128);
    assert_memory_equal(json_string_value(value), all, 128);
    json_decref(json);
}

static void every_control_character_is_escaped_in_text(void **state)
{
    struct fixture *fixture = *state;
    fixture->log.json = false;
    char all[128];
    for (int i = 0; i < 128; i++) {
        all[i] = (char)i;
    }
    log_info(&fixture->log, "c\n", "m\x1B[2J", LOG_TEXT("all", ((struct text){all, 128})));
    for (const char *at = only_line(fixture); *at != '\n'; at++) {
        assert_true((unsigned char)*at >= 0x20 && *at != 0x7F);
    }
    assert_non_null(strstr(fixture->line, "c\\x0a  m\\x1b[2J "));
}

static void component_and_message_are_escaped_in_json(void **state)
{
    struct fixture *fixture = *state;
    log_info(&fixture->log, "c\"\n", "m\\\x01\",\"level\":\"x");
    json_t *json = only_line_as_json(fixture);
    assert_string_equal(json_string_value(json_object_get(json, "component")), "c\"\n");
    assert_string_equal(json_string_value(json_object_get(json, "msg")), "m\\\x01\",\"level\":\"x");
    json_decref(json);
}

static void bytes_that_are_not_utf8_are_replaced_in_json(void **state)
{
    struct fixture *fixture = *state;
    log_info(&fixture->log, "lane", "m",
             LOG_STR("v", "\xFF"
                          "a\xC3\xA9\xE2\x82"
                          "b\xED\xA0\x80"));
    json_t *json = only_line_as_json(fixture);
    assert_string_equal(json_string_value(json_object_get(json, "v")),
                        "\xEF\xBF\xBD"
                        "a\xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBD"
                        "b"
                        "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    json_decref(json);
}

// Text of 'x' that escaping leaves as it is, or of bytes that it makes six times as long.
static struct text long_text(char c, size_t size)
{
    static char memory[8192];
    memset(memory, c, sizeof(memory));
    return (struct text){memory, size};
}

static void long_value_is_cut_with_dots_only_beyond_its_limit(void **state)
{
    struct fixture *fixture = *state;
    for (size_t size = 1023; size <= 1025; size++) {
        log_info(&fixture->log, "lane", "m", LOG_TEXT("v", long_text('x', size)));
        json_t *json = only_line_as_json(fixture);
        const char *value = json_string_value(json_object_get(json, "v"));
        assert_int_equal(strlen(value), size <= 1024 ? size : 1024 + 3);
        assert_true((strstr(value, "...") != NULL) == (size > 1024));
        json_decref(json);
    }
}

static void value_is_cut_between_characters(void **state)
{
    struct fixture *fixture = *state;
    char value[1100];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(value, 'x', shift);
        for (size_t at = shift; at + 4 <= sizeof(value); at += 4) {
            memcpy(value + at, "\xF0\x9F\x98\x80", 4);
        }
        log_info(&fixture->log, "lane", "m", LOG_TEXT("v", ((struct text){value, 1096 + shift})));
        json_t *json = only_line_as_json(fixture);
        const char *got = json_string_value(json_object_get(json, "v"));
        assert_null(strstr(got, "\xEF\xBF\xBD"));
        assert_int_equal(strlen(got), (shift == 0 ? 1024 : 1020 + shift) + 3);
        json_decref(json);
    }
}

// Fields of every size, so that the end of the line falls everywhere in the last two.
static struct text write_growing_line(struct fixture *fixture, size_t size)
{
    struct log_field fields[] = {
        LOG_TEXT("a", long_text('x', 1024)), LOG_TEXT("b", long_text('x', 1024)),
        LOG_TEXT("c", long_text('x', 1024)), LOG_TEXT("d", long_text('x', size)), LOG_INT("e", 5)};
    log_write(&fixture->log, LOG_INFO, "lane", "m", fields, 5);
    struct text line = text_of(only_line(fixture));
    assert_true(line.size <= LINE_SIZE_MAX);
    return line;
}

static bool ends_with(struct text line, struct text end)
{
    return line.size >= end.size &&
           text_equal((struct text){line.data + line.size - end.size, end.size}, end);
}

static void json_line_is_valid_wherever_it_is_cut(void **state)
{
    struct fixture *fixture = *state;
    int whole_count = 0;
    int cut_count = 0;
    for (size_t size = 0; size <= 1024; size++) {
        struct text line = write_growing_line(fixture, size);
        json_error_t error;
        json_t *json = json_loadb(line.data, line.size, JSON_REJECT_DUPLICATES, &error);
        assert_non_null(json);
        bool cut = json_object_get(json, "cut") != NULL;
        assert_true(cut == (json_object_get(json, "e") == NULL));
        json_t *d = json_object_get(json, "d");
        assert_true(d == NULL || json_string_length(d) == size);
        assert_true(d != NULL || cut);
        json_decref(json);
        whole_count += !cut;
        cut_count += cut;
    }
    assert_true(whole_count > 100 && cut_count > 100);
}

static void text_line_holds_whole_fields_wherever_it_is_cut(void **state)
{
    struct fixture *fixture = *state;
    fixture->log.json = false;
    int endings[3] = {0};
    for (size_t size = 1; size <= 1024; size++) {
        struct text line = write_growing_line(fixture, size);
        bool whole = ends_with(line, TEXT("x e=5\n"));
        bool without_e = ends_with(line, TEXT("x cut=true\n")) && strstr(line.data, " d=") != NULL;
        bool without_d = ends_with(line, TEXT("x cut=true\n")) && strstr(line.data, " d=") == NULL;
        assert_int_equal(whole + without_e + without_d, 1);
        endings[whole ? 0 : without_e ? 1 : 2]++;
    }
    assert_true(endings[0] > 100 && endings[1] >= 1 && endings[2] > 10);
}

static void worst_component_and_message_still_fit(void **state)
{
    struct fixture *fixture = *state;
    static char worst[8192];
    for (int is_json = 0; is_json < 2; is_json++) {
        fixture->log.json = is_json;
        memset(worst, 1, sizeof(worst) - 1); // each becomes six bytes in JSON
        log_info(&fixture->log, worst, worst, LOG_TEXT("v", text_of(worst)), LOG_INT("n", 1));
        assert_non_null(strstr(only_line(fixture), is_json ? ",\"cut\":true}\n" : " cut=true\n"));
        memset(worst, 0xFF, sizeof(worst) - 1);
        log_info(&fixture->log, worst, worst);
        assert_true(strlen(only_line(fixture)) <= LINE_SIZE_MAX);
    }
}

static void lines_below_the_level_are_not_written(void **state)
{
    struct fixture *fixture = *state;
    for (int level_min = LOG_DEBUG; level_min <= LOG_ERROR; level_min++) {
        fixture->log.level_min = (enum log_level)level_min;
        for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
            log_write(&fixture->log, (enum log_level)level, "a", "b", NULL, 0);
            assert_true(read_line(fixture) == (level >= level_min));
        }
    }
}

static void no_log_is_accepted_and_an_end_field_ends(void **state)
{
    struct fixture *fixture = *state;
    log_info((struct log *)NULL, "a", "b", LOG_INT("n", 1));
    struct log_field end = {0};
    log_debug(&fixture->log, "a", "b", LOG_INT("n", 1), end, LOG_INT("o", 2));
    assert_non_null(strstr(only_line(fixture), "\"n\":1}\n"));
}

static void failed_write_is_ignored_and_errno_kept(void **state)
{
    struct fixture *fixture = *state;
    fixture->log.fd = -1;
    errno = ERANGE;
    log_info(&fixture->log, "a", "b");
    assert_int_equal(errno, ERANGE);
}

static void form_is_text_on_a_terminal_and_json_elsewhere(void **state)
{
    struct fixture *fixture = *state;
    assert_true(fixture->log.json);
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0);
    struct log log;
    log_init(&log, terminal, LOG_WARN, clock_real());
    assert_false(log.json);
    assert_int_equal(log.level_min, LOG_WARN);
    assert_int_equal(log.fd, terminal);
    (void)close(terminal);
}

static void level_names_are_read_in_any_case_and_others_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"debug", "INFO", "Warn", "error"};
    for (int i = 0; i < 4; i++) {
        enum log_level level = LOG_DEBUG;
        assert_true(log_level_parse(text_of(names[i]), &level));
        assert_int_equal(level, i);
    }
    static const char *const strangers[] = {"", "inf", "info ", "infos", "warning", "INFO  "};
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        enum log_level level = LOG_ERROR;
        assert_false(log_level_parse(text_of(strangers[i]), &level));
        assert_int_equal(level, LOG_ERROR);
    }
}

#define with_log(test) cmocka_unit_test_setup_teardown(test, make_fixture, drop_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_log(json_line_has_time_level_component_message_and_fields),
        with_log(text_line_has_time_level_component_message_and_fields),
        with_log(text_value_is_quoted_when_its_end_would_not_be_seen),
        with_log(every_control_character_is_escaped_in_json),
        with_log(every_control_character_is_escaped_in_text),
        with_log(component_and_message_are_escaped_in_json),
        with_log(bytes_that_are_not_utf8_are_replaced_in_json),
        with_log(long_value_is_cut_with_dots_only_beyond_its_limit),
        with_log(value_is_cut_between_characters),
        with_log(json_line_is_valid_wherever_it_is_cut),
        with_log(text_line_holds_whole_fields_wherever_it_is_cut),
        with_log(worst_component_and_message_still_fit),
        with_log(lines_below_the_level_are_not_written),
        with_log(no_log_is_accepted_and_an_end_field_ends),
        with_log(failed_write_is_ignored_and_errno_kept),
        with_log(form_is_text_on_a_terminal_and_json_elsewhere),
        cmocka_unit_test(level_names_are_read_in_any_case_and_others_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
