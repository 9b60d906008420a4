// Bounded byte buffer with sticky overflow: append freely, ask buf_overflowed() once at the end.
// After an overflow nothing more is written, so a cut result can't be taken for a whole one.
// Not thread-safe.
#ifndef TILL_BUF_H
#define TILL_BUF_H

#include "errors.h"
#include "text.h"

#include <stdint.h>

struct buf {
    char *data;
    size_t size;     // bytes written
    size_t cap;      // bytes of room now
    size_t cap_max;  // bytes it may grow to; equals cap for memory of the caller's
    bool owned;      // data is ours (heap)
    bool overflowed; // also set when the heap refuses
};

// A buffer over the caller's memory; never grows.
void buf_init_fixed(struct buf *buf, void *memory, size_t cap);
// A buffer on the heap that grows up to cap_max bytes. Allocates on first use.
void buf_init_heap(struct buf *buf, size_t cap_max);
void buf_deinit(struct buf *buf); // accepts a zeroed one

// What is added may not lie in the buffer itself. An add is written whole or not at all.
void buf_add(struct buf *buf, const void *bytes, size_t size);
void buf_add_text(struct buf *buf, struct text text);
void buf_add_str(struct buf *buf, const char *zero_terminated);
void buf_add_char(struct buf *buf, char c);
void buf_add_u64(struct buf *buf, uint64_t value);
void buf_add_i64(struct buf *buf, int64_t value);
void buf_add_fmt(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
// Bytes as text that is safe on a terminal and in a log: control characters, quotes, backslashes
// and bytes that are not UTF-8 become \xNN; cut with "..." after size_max bytes of input.
void buf_add_escaped(struct buf *buf, struct text text, size_t size_max);

struct text buf_view(const struct buf *buf); // valid until the next add or reset
bool buf_overflowed(const struct buf *buf);
void buf_reset(struct buf *buf); // empties it, clears the overflow, keeps the memory

#endif
