// One line an event, built on the stack and written by one call. Sizes are chosen so that time,
// level, component and message always fit, whatever escaping makes of them; then field after field
// is added while it fits whole, and a line that lost fields says so. A line of JSON is therefore
// valid even when cut.
#include "log.h"

#include "buf.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

#define LINE_SIZE_MAX      4096u // bytes, with the line end
#define LINE_END_SIZE      16u   // kept for the mark of a cut and the end of the line
#define COMPONENT_SIZE_MAX 48u   // bytes before escaping, which makes at most 6 of 1
#define MESSAGE_SIZE_MAX   480u
#define VALUE_SIZE_MAX     1024u

struct level_name {
    struct text lower;
    struct text padded;
};

static const struct level_name level_names[] = {
    [LOG_DEBUG] = {TEXT("debug"), TEXT("DEBUG")},
    [LOG_INFO] = {TEXT("info"), TEXT("INFO ")},
    [LOG_WARN] = {TEXT("warn"), TEXT("WARN ")},
    [LOG_ERROR] = {TEXT("error"), TEXT("ERROR")},
};
#define LEVEL_COUNT (sizeof(level_names) / sizeof(level_names[0]))

void log_init(struct log *log, int fd, enum log_level level_min, struct clock clock)
{
    *log = (struct log){.fd = fd, .json = !isatty(fd), .level_min = level_min, .clock = clock};
}

bool log_level_parse(struct text text, enum log_level *out_level)
{
    for (size_t i = 0; i < LEVEL_COUNT; i++) {
        if (text_equal_nocase_ascii(text, level_names[i].lower)) {
            *out_level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

// The start of `text` of at most size_max bytes, not ending inside a character.
static struct text cut_to(struct text text, size_t size_max)
{
    if (text.size <= size_max) {
        return text;
    }
    size_t size = size_max;
    while (size > 0 && size_max - size < 3 && ((unsigned char)text.data[size] & 0xC0) == 0x80) {
        size--;
    }
    return (struct text){text.data, size};
}

static void add_json_byte(struct buf *line, unsigned char byte)
{
    if (byte == '"' || byte == '\\') {
        buf_add(line, (char[]){'\\', (char)byte}, 2);
    } else if (byte == '\n') {
        buf_add_str(line, "\\n");
    } else if (byte < 0x20 || byte == 0x7F) {
        buf_add_fmt(line, "\\u%04x", byte);
    } else {
        buf_add_char(line, (char)byte);
    }
}

// A JSON string. A byte that is not UTF-8 becomes U+FFFD, since JSON has no way to hold it.
static void add_json_text(struct buf *line, struct text text, size_t size_max)
{
    struct text shown = cut_to(text, size_max);
    size_t valid_end = text_utf8_valid_prefix(shown);
    buf_add_char(line, '"');
    for (size_t i = 0; i < shown.size; i++) {
        if (i < valid_end) {
            add_json_byte(line, (unsigned char)shown.data[i]);
            continue;
        }
        buf_add_str(line, "\xEF\xBF\xBD");
        struct text rest = {shown.data + i + 1, shown.size - i - 1};
        valid_end = i + 1 + text_utf8_valid_prefix(rest);
    }
    buf_add_str(line, shown.size < text.size ? "...\"" : "\"");
}

static void add_json_head(struct buf *line, const char *time, enum log_level level,
                          const char *component, const char *message)
{
    buf_add_str(line, "{\"ts\":\"");
    buf_add_str(line, time);
    buf_add_str(line, "\",\"level\":\"");
    buf_add_text(line, level_names[level].lower);
    buf_add_str(line, "\",\"component\":");
    add_json_text(line, text_of(component), COMPONENT_SIZE_MAX);
    buf_add_str(line, ",\"msg\":");
    add_json_text(line, text_of(message), MESSAGE_SIZE_MAX);
}

static void add_json_field(struct buf *line, const struct log_field *field)
{
    buf_add_str(line, ",\"");
    buf_add_str(line, field->key);
    buf_add_str(line, "\":");
    if (field->kind == LOG_FIELD_INT) {
        buf_add_i64(line, field->number);
    } else {
        add_json_text(line, field->text, VALUE_SIZE_MAX);
    }
}

static void add_plain_head(struct buf *line, const char *time, enum log_level level,
                           const char *component, const char *message)
{
    // People read milliseconds: the last four characters are the rest and the 'Z'.
    struct text whole = text_of(time);
    buf_add(line, whole.data, whole.size - 4);
    buf_add_str(line, "Z ");
    buf_add_text(line, level_names[level].padded);
    buf_add_char(line, ' ');
    buf_add_escaped(line, text_of(component), COMPONENT_SIZE_MAX);
    buf_add_str(line, "  ");
    buf_add_escaped(line, text_of(message), MESSAGE_SIZE_MAX);
}

// Whether a value needs quotes for its end to be seen.
static bool needs_quotes(struct text text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == ' ' || c == '=' || c == '"') {
            return true;
        }
    }
    return text.size == 0;
}

static void add_plain_field(struct buf *line, const struct log_field *field)
{
    buf_add_char(line, ' ');
    buf_add_str(line, field->key);
    buf_add_char(line, '=');
    if (field->kind == LOG_FIELD_INT) {
        buf_add_i64(line, field->number);
        return;
    }
    const char *quote = needs_quotes(field->text) ? "\"" : "";
    buf_add_str(line, quote);
    buf_add_escaped(line, field->text, VALUE_SIZE_MAX);
    buf_add_str(line, quote);
}

// Adds fields while they fit whole. false when some did not.
static bool add_fields(struct buf *line, bool json, const struct log_field *fields, size_t count)
{
    for (size_t i = 0; i < count && fields[i].kind != LOG_FIELD_END; i++) {
        size_t size_before = line->size;
        if (json) {
            add_json_field(line, &fields[i]);
        } else {
            add_plain_field(line, &fields[i]);
        }
        if (buf_overflowed(line)) {
            line->size = size_before;
            line->overflowed = false;
            return false;
        }
    }
    return true;
}

static void write_line(int fd, struct text line)
{
    int errno_before = errno; // to log must not change what a caller is about to look at
    ssize_t written = 0;
    do {
        written = write(fd, line.data, line.size);
    } while (written < 0 && errno == EINTR);
    // There is nowhere to report a log that can't be written.
    errno = errno_before;
}

void log_write(struct log *log, enum log_level level, const char *component, const char *message,
               const struct log_field *fields, size_t field_count)
{
    if (log == NULL || level < log->level_min) {
        return;
    }
    char memory[LINE_SIZE_MAX];
    struct buf line;
    buf_init_fixed(&line, memory, sizeof(memory) - LINE_END_SIZE);
    char time[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(clock_wall_us(&log->clock), time);
    if (log->json) {
        add_json_head(&line, time, level, component, message);
    } else {
        add_plain_head(&line, time, level, component, message);
    }
    assert(!buf_overflowed(&line));

    bool whole = add_fields(&line, log->json, fields, field_count);
    line.cap = sizeof(memory);
    line.cap_max = sizeof(memory);
    if (log->json) {
        buf_add_str(&line, whole ? "}\n" : ",\"cut\":true}\n");
    } else {
        buf_add_str(&line, whole ? "\n" : " cut=true\n");
    }
    assert(!buf_overflowed(&line));
    write_line(log->fd, buf_view(&line));
}
