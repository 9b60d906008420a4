#include "json_random.h"

#include "json_escape.h"

#include <assert.h>
#include <string.h>

#define DEPTH_MAX  8u
#define ITEMS_MAX  12u
#define DAMAGE_MAX 3u

static bool one_in(struct rand *rand, uint64_t count)
{
    return rand_below(rand, count) == 0;
}

static void add_space(struct rand *rand, struct buf *out)
{
    while (one_in(rand, 4)) {
        buf_add_char(out, " \t\r\n"[rand_below(rand, 4)]);
    }
}

static void add_digits(struct rand *rand, struct buf *out, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        buf_add_char(out, (char)('0' + rand_below(rand, 10)));
    }
}

// At most 18 digits and an exponent below 300: jansson must be able to hold it.
static void add_number(struct rand *rand, struct buf *out)
{
    if (one_in(rand, 3)) {
        buf_add_char(out, '-');
    }
    if (one_in(rand, 4)) {
        buf_add_char(out, '0');
    } else {
        buf_add_char(out, (char)('1' + rand_below(rand, 9)));
        add_digits(rand, out, rand_below(rand, 18));
    }
    if (one_in(rand, 3)) {
        buf_add_char(out, '.');
        add_digits(rand, out, 1 + rand_below(rand, 20));
    }
    if (one_in(rand, 5)) {
        static const char *const exponents[] = {"e", "E", "e+", "E+", "e-", "E-"};
        buf_add_str(out, exponents[rand_below(rand, 6)]);
        add_digits(rand, out, 1 + rand_below(rand, 2));
    }
}

static uint32_t random_code_point(struct rand *rand)
{
    static const uint32_t ends[] = {0x80, 0x800, 0xD800, 0x110000};
    const uint32_t end = ends[rand_below(rand, 4)];
    const uint32_t code_point = 1 + (uint32_t)rand_below(rand, end - 1);
    return code_point >= 0xD800 && code_point <= 0xDFFF ? 0xFFFD : code_point;
}

static void add_unit(struct rand *rand, struct buf *out, uint32_t unit)
{
    if (one_in(rand, 2)) {
        buf_add_fmt(out, "\\u%04x", unit);
    } else {
        buf_add_fmt(out, "\\u%04X", unit);
    }
}

static void add_unicode_escape(struct rand *rand, struct buf *out, uint32_t code_point)
{
    if (code_point < 0x10000) {
        add_unit(rand, out, code_point);
    } else {
        add_unit(rand, out, 0xD800 + ((code_point - 0x10000) >> 10));
        add_unit(rand, out, 0xDC00 + (code_point & 0x3FF));
    }
}

static void add_character(struct rand *rand, struct buf *out)
{
    const uint64_t kind = rand_below(rand, 20);
    if (kind == 0) {
        add_unicode_escape(rand, out, random_code_point(rand));
    } else if (kind == 1) {
        buf_add_char(out, '\\');
        buf_add_char(out, "\"\\/bfnrt"[rand_below(rand, 8)]);
    } else if (kind == 2) {
        const uint32_t code_point = random_code_point(rand);
        char bytes[4];
        buf_add(out, bytes, json_utf8_write(code_point < 0x80 ? 0xE9 : code_point, bytes));
    } else {
        buf_add_char(out, (char)('a' + rand_below(rand, 26)));
    }
}

static void add_characters(struct rand *rand, struct buf *out)
{
    const uint64_t count = one_in(rand, 10) ? rand_below(rand, 100) : rand_below(rand, 20);
    for (uint64_t i = 0; i < count; i++) {
        add_character(rand, out);
    }
}

static void add_value(struct rand *rand, struct buf *out, unsigned depth);

static void add_items(struct rand *rand, struct buf *out, unsigned depth, bool with_keys)
{
    const uint64_t count = rand_below(rand, ITEMS_MAX + 1);
    for (uint64_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_add_char(out, ',');
        }
        add_space(rand, out);
        if (with_keys) {
            // The number makes the key one of its kind, whatever follows.
            buf_add_fmt(out, "\"%02u", (unsigned)i);
            add_characters(rand, out);
            buf_add_char(out, '"');
            add_space(rand, out);
            buf_add_char(out, ':');
            add_space(rand, out);
        }
        add_value(rand, out, depth);
        add_space(rand, out);
    }
}

static void add_container(struct rand *rand, struct buf *out, unsigned depth)
{
    const bool is_object = one_in(rand, 2);
    buf_add_char(out, is_object ? '{' : '[');
    add_space(rand, out);
    add_items(rand, out, depth + 1, is_object);
    buf_add_char(out, is_object ? '}' : ']');
}

static void add_scalar(struct rand *rand, struct buf *out)
{
    static const char *const literals[] = {"true", "false", "null"};
    const uint64_t kind = rand_below(rand, 6);
    if (kind < 3) {
        buf_add_str(out, literals[kind]);
    } else if (kind == 3) {
        add_number(rand, out);
    } else {
        buf_add_char(out, '"');
        add_characters(rand, out);
        buf_add_char(out, '"');
    }
}

// Deeper levels hold fewer containers, so that documents stay small.
static void add_value(struct rand *rand, struct buf *out, unsigned depth)
{
    if (depth < DEPTH_MAX && one_in(rand, depth == 0 ? 1 : 4 + depth)) {
        add_container(rand, out, depth);
    } else {
        add_scalar(rand, out);
    }
}

void json_random_document(struct rand *rand, struct buf *out)
{
    add_space(rand, out);
    add_value(rand, out, one_in(rand, 10) ? 1 : 0);
    add_space(rand, out);
}

static void splice(struct buf *buf, size_t offset, size_t removed, struct text added)
{
    assert(offset + removed <= buf->size && added.size <= 64);
    if (buf->size - removed + added.size > buf->cap) {
        return;
    }
    char *at = buf->data + offset;
    memmove(at + added.size, at + removed, buf->size - offset - removed);
    memcpy(at, added.data, added.size);
    buf->size += added.size - removed;
}

static struct text random_fragment(struct rand *rand)
{
    static const struct text fragments[] = {
        TEXT("\""),
        TEXT("\\"),
        TEXT("{"),
        TEXT("}"),
        TEXT("["),
        TEXT("]"),
        TEXT(","),
        TEXT(":"),
        TEXT("0"),
        TEXT("-"),
        TEXT("."),
        TEXT("e"),
        TEXT("E+"),
        TEXT(" "),
        TEXT("\n"),
        TEXT("\0"),
        TEXT("\x1F"),
        TEXT("\x7F"),
        TEXT("\x80"),
        TEXT("\xFF"),
        TEXT("\xC3"),
        TEXT("\xED\xA0\x80"),
        TEXT("\xEF\xBB\xBF"),
        TEXT("\\u"),
        TEXT("\\u0000"),
        TEXT("\\ud83d"),
        TEXT("\\ude00"),
        TEXT("\\u0041"),
        TEXT("null"),
        TEXT("true"),
        TEXT("1e999"),
        TEXT("99999999999999999999"),
        TEXT("\"00\":1,"),
        TEXT(",\"\\u0030\\u0030\":1"),
        TEXT("[[[[[[[[[[[[[[[["),
        TEXT("{}"),
    };
    return fragments[rand_below(rand, sizeof(fragments) / sizeof(fragments[0]))];
}

static void damage_once(struct rand *rand, struct buf *buf)
{
    const size_t offset = (size_t)rand_below(rand, buf->size);
    const size_t left = buf->size - offset;
    const size_t some = 1 + (size_t)rand_below(rand, left < 8 ? left : 8);
    char repeated[8];
    switch (rand_below(rand, 6)) {
    case 0:
        buf->data[offset] = (char)(buf->data[offset] ^ 1 << rand_below(rand, 8));
        break;
    case 1:
        buf->data[offset] = (char)rand_below(rand, 256);
        break;
    case 2:
        splice(buf, offset, some, TEXT(""));
        break;
    case 3:
        memcpy(repeated, buf->data + offset, some);
        splice(buf, offset, 0, (struct text){repeated, some});
        break;
    case 4:
        buf->size = one_in(rand, 4) ? offset : buf->size;
        break;
    default:
        splice(buf, offset, one_in(rand, 2) ? some : 0, random_fragment(rand));
        break;
    }
}

void json_random_damage(struct rand *rand, struct buf *buf)
{
    const uint64_t count = 1 + rand_below(rand, DAMAGE_MAX);
    for (uint64_t i = 0; i < count && buf->size > 0; i++) {
        damage_once(rand, buf);
    }
}
