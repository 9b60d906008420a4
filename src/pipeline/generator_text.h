// Writes the generator's orders and payments as JSON, several times quicker than a general writer:
// the texts are known to need no escapes. Internal to the generator.
#ifndef TILL_GENERATOR_TEXT_H
#define TILL_GENERATOR_TEXT_H

#include "order.h"
#include "payment.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

// Where the next byte goes. Too little room is an error of the program.
struct pen {
    char *start;
    char *next;
    char *end;
};

static inline void pen_init(struct pen *pen, char *memory, size_t cap)
{
    *pen = (struct pen){memory, memory, memory + cap};
}

static inline void pen_bytes(struct pen *pen, const char *bytes, size_t size)
{
    assert((size_t)(pen->end - pen->next) >= size);
    memcpy(pen->next, bytes, size);
    pen->next += size;
}

#define pen_literal(pen, literal) pen_bytes((pen), (literal), sizeof(literal) - 1)

static inline void pen_text(struct pen *pen, struct text text)
{
    pen_bytes(pen, text.data, text.size);
}

static inline struct text pen_view(const struct pen *pen)
{
    return (struct text){pen->start, (size_t)(pen->next - pen->start)};
}

void pen_u64(struct pen *pen, uint64_t value);
void pen_digits(struct pen *pen, uint64_t value, unsigned digits); // leading zeros, so many digits
// Days and seconds since the start of 2024, up to the end of 2099: "2024-01-21", and
// "2024-01-21T10:01:30Z".
void pen_date(struct pen *pen, uint64_t day);
void pen_datetime(struct pen *pen, uint64_t second);

// Texts must hold no quotes, backslashes or control characters.
void pen_order(struct pen *pen, const struct order *order);
void pen_payment(struct pen *pen, const struct payment *payment);

#endif
