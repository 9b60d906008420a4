// Any bytes as a settings file: every complaint is one printable line; a file without complaint,
// written out and read again, gives the same settings.
#include "config_internal.h"
#include "fuzz.h"

#include <string.h>

#define ARENA_SIZE ((size_t)1 << 20)

static void check_lines(const struct config_problems *problems)
{
    fuzz_expect(problems->kept <= problems->count ? NULL : "no more is kept than was found");
    for (size_t i = 0; i < problems->kept; i++) {
        struct text line = text_of(problems->lines[i]);
        fuzz_expect(text_starts_with(line, TEXT("fuzz.yaml:")) ? NULL
                                                               : "a complaint has its place");
        fuzz_expect(text_utf8_valid_prefix(line) == line.size ? NULL : "a complaint is UTF-8");
        for (size_t byte = 0; byte < line.size; byte++) {
            fuzz_expect((unsigned char)line.data[byte] >= 0x20 ? NULL : "a complaint is one line");
        }
    }
}

// The settings as YAML. Text goes between double quotes; what YAML would fold there is left out of
// the check by the caller.
static void write_settings(const struct config *config, struct buf *out)
{
    struct text section = {0};
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        struct text path = text_of(config_keys[key].path);
        const char *dot = memchr(path.data, '.', path.size);
        struct text here = {path.data, dot != NULL ? (size_t)(dot - path.data) : 0};
        if (!text_equal(here, section)) {
            buf_add_fmt(out, "%.*s:\n", TEXT_PRINT(here));
            section = here;
        }
        char memory[CONFIG_FILE_SIZE_MAX];
        struct buf value;
        buf_init_fixed(&value, memory, sizeof memory);
        config_add_value(config, (enum config_key)key, &value);
        buf_add_fmt(out, "%s%s: \"", dot != NULL ? "  " : "", dot != NULL ? dot + 1 : path.data);
        for (size_t i = 0; i < value.size; i++) {
            if (value.data[i] == '"' || value.data[i] == '\\') {
                buf_add_char(out, '\\');
            }
            buf_add_char(out, value.data[i]);
        }
        buf_add_str(out, "\"\n");
    }
}

static bool is_ascii(const char *text)
{
    while (*text != '\0' && (unsigned char)*text < 0x80) {
        text++;
    }
    return *text == '\0';
}

static void check_written_again(const struct config *config, struct arena *arena)
{
    struct buf written;
    struct buf again;
    struct config read;
    struct config_problems problems = {.arena = arena};
    buf_init_heap(&written, ARENA_SIZE);
    buf_init_heap(&again, ARENA_SIZE);
    write_settings(config, &written);
    config_set_defaults(&read);
    config_yaml_read("again.yaml", buf_view(&written), &read, &problems);
    fuzz_expect(problems.count == 0 ? NULL : "what was accepted is accepted again");
    write_settings(&read, &again);
    fuzz_expect(text_equal(buf_view(&written), buf_view(&again)) ? NULL
                                                                 : "it gives the same settings");
    buf_deinit(&written);
    buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct config config;
    if (size > CONFIG_FILE_SIZE_MAX || arena_init(&arena, ARENA_SIZE) != ERR_OK) {
        return 0;
    }
    struct config_problems problems = {.arena = &arena};
    config_set_defaults(&config);
    config_yaml_read("fuzz.yaml", (struct text){(const char *)data, size}, &config, &problems);
    check_lines(&problems);
    if (problems.count == 0 && !arena_overflowed(&arena) && is_ascii(config.data_dir)) {
        check_written_again(&config, &arena);
    }
    arena_deinit(&arena);
    return 0;
}
