// Bounded byte buffer. Invariant: size <= cap <= cap_max, and an add is written whole or not at
// all.
#include "buf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST_CAP 256u // bytes

void buf_init_fixed(struct buf *buf, void *memory, size_t cap)
{
    *buf = (struct buf){.data = memory, .cap = cap, .cap_max = cap};
}

void buf_init_heap(struct buf *buf, size_t cap_max)
{
    *buf = (struct buf){.cap_max = cap_max, .owned = true};
}

void buf_deinit(struct buf *buf)
{
    if (buf == NULL) {
        return;
    }
    if (buf->owned) {
        free(buf->data);
    }
    *buf = (struct buf){0};
}

// Grows the heap to at least `cap_needed`, which is at most cap_max.
static bool grow(struct buf *buf, size_t cap_needed)
{
    size_t cap = buf->cap < BUF_FIRST_CAP ? BUF_FIRST_CAP : buf->cap;
    while (cap < cap_needed && cap <= buf->cap_max / 2) {
        cap *= 2;
    }
    if (cap < cap_needed || cap > buf->cap_max) {
        cap = buf->cap_max;
    }
    char *data = realloc(buf->data, cap);
    if (data == NULL) {
        return false;
    }
    buf->data = data;
    buf->cap = cap;
    return true;
}

// Room for `size` more bytes, counted as written; NULL, and overflowed, when there is none.
static char *extend(struct buf *buf, size_t size)
{
    if (buf->overflowed) {
        return NULL;
    }
    if (size > buf->cap - buf->size &&
        (size > buf->cap_max - buf->size || !grow(buf, buf->size + size))) {
        buf->overflowed = true;
        return NULL;
    }
    char *room = buf->data + buf->size;
    buf->size += size;
    return room;
}

void buf_add(struct buf *buf, const void *bytes, size_t size)
{
    if (size == 0) {
        return;
    }
    char *room = extend(buf, size);
    if (room != NULL) {
        memcpy(room, bytes, size);
    }
}

void buf_add_text(struct buf *buf, struct text text)
{
    buf_add(buf, text.data, text.size);
}

void buf_add_str(struct buf *buf, const char *zero_terminated)
{
    buf_add(buf, zero_terminated, strlen(zero_terminated));
}

void buf_add_char(struct buf *buf, char c)
{
    char *room = extend(buf, 1);
    if (room != NULL) {
        *room = c;
    }
}

void buf_add_u64(struct buf *buf, uint64_t value)
{
    char digits[20]; // 2^64 - 1 has 20
    size_t start = sizeof(digits);
    do {
        digits[--start] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buf_add(buf, digits + start, sizeof(digits) - start);
}

void buf_add_i64(struct buf *buf, int64_t value)
{
    // Room for sign and digits is asked for at once, so that no lone '-' can be left behind.
    char text[20]; // as many as "-9223372036854775808" has
    struct buf number;
    buf_init_fixed(&number, text, sizeof(text));
    if (value < 0) {
        buf_add_char(&number, '-');
    }
    buf_add_u64(&number, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
    assert(!number.overflowed);
    buf_add(buf, number.data, number.size);
}

// printf wants a byte more than its text for the final zero, which a full buffer hasn't got, so
// the text is made aside: on the stack when it fits, else on the heap.
void buf_add_fmt(struct buf *buf, const char *format, ...)
{
    char short_text[512];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(short_text, sizeof(short_text), format, args);
    va_end(args);
    assert(size >= 0);
    if ((size_t)size < sizeof(short_text)) {
        buf_add(buf, short_text, (size_t)size);
        return;
    }
    char *long_text = buf->overflowed ? NULL : malloc((size_t)size + 1);
    if (long_text == NULL) {
        buf->overflowed = true;
        return;
    }
    va_start(args, format);
    (void)vsnprintf(long_text, (size_t)size + 1, format, args);
    va_end(args);
    buf_add(buf, long_text, (size_t)size);
    free(long_text);
}

// Size of the run at the start of `text` that may be shown as it is: 0 when its first byte must be
// escaped, else 1 byte or one whole character of several.
static size_t plain_size(struct text text)
{
    unsigned char first = (unsigned char)text.data[0];
    if (first < 0x80) {
        bool escapes = first < 0x20 || first == 0x7F || strchr("\"'\\", first) != NULL;
        return escapes ? 0 : 1;
    }
    for (size_t size = 2; size <= 4 && size <= text.size; size++) {
        if (text_utf8_valid_prefix((struct text){text.data, size}) == size) {
            bool is_c1_control = first == 0xC2 && (unsigned char)text.data[1] < 0xA0;
            return is_c1_control ? 0 : size;
        }
    }
    return 0;
}

void buf_add_escaped(struct buf *buf, struct text text, size_t size_max)
{
    static const char hex[] = "0123456789abcdef";
    size_t at = 0;
    while (at < text.size && at < size_max) {
        size_t plain = plain_size((struct text){text.data + at, text.size - at});
        if (plain > size_max - at) {
            break; // a cut falls between characters
        }
        if (plain > 0) {
            buf_add(buf, text.data + at, plain);
            at += plain;
        } else {
            unsigned char byte = (unsigned char)text.data[at];
            buf_add(buf, (char[]){'\\', 'x', hex[byte >> 4], hex[byte & 15]}, 4);
            at++;
        }
    }
    if (at < text.size) {
        buf_add_str(buf, "...");
    }
}

struct text buf_view(const struct buf *buf)
{
    return (struct text){buf->data, buf->size};
}

bool buf_overflowed(const struct buf *buf)
{
    return buf->overflowed;
}

void buf_reset(struct buf *buf)
{
    buf->size = 0;
    buf->overflowed = false;
}
