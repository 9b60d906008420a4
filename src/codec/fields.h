// The fields of one message: a single walk over the JSON keeps the token of every known key, then
// sticky readers check one field after the other. After the first refusal nothing more is checked,
// so a decoder reads like a list of its fields. Private to this folder.
#ifndef TILL_FIELDS_H
#define TILL_FIELDS_H

#include "arena.h"
#include "currency.h"
#include "decode.h"
#include "json_read.h"
#include "json_write.h"
#include "text.h"

#include <stdbool.h>
#include <stdint.h>

#define FIELDS_CAP             16u // keys of one shape
#define FIELDS_STATUS_SIZE_MAX 64u // bytes of a status text; every known one is shorter

// Leaves a large local as it is on the stack. For what is written before it is read anyway.
#define TILL_UNINITIALIZED __attribute__((uninitialized))

struct field_spec {
    struct text key;
    const char *expected; // for the refusal's detail: "text of 1 to 256 bytes"
};

// Keys in the order producers write them, which is the one they are found fastest in. Those from
// known_count on belong to the other kind of message: they only tell a message on the wrong topic.
struct fields_shape {
    const struct field_spec *specs;
    unsigned known_count;
    unsigned count;
    unsigned order_id; // indexes, for the refusal
    unsigned payment_id;
};

struct fields {
    const struct fields_shape *shape;
    struct text body;
    struct arena *arena;
    struct refusal *refusal;
    bool refused;
    bool is_object;
    uint32_t unknown_count;
    unsigned expected_index;    // of the key that probably comes next
    uint8_t events[FIELDS_CAP]; // enum json_event of each value; JSON_ERROR: the key isn't there
    struct json_token tokens[FIELDS_CAP];
};

// Reads `body` and checks it as far as that goes without knowing the fields' types: size, encoding,
// syntax, card data, and that it is an object. A refusal goes to *out_refusal, which is written
// only then. All three pointers must live as long as the fields are read.
void fields_read(struct fields *fields, const struct fields_shape *shape, struct text body,
                 struct arena *arena, struct refusal *out_refusal);

// Refuses the message, unless it is refused already; the first one names `index` in the detail.
void fields_refuse(struct fields *fields, unsigned index, enum reason reason, const char *expected);
void fields_refuse_message(struct fields *fields, enum reason reason, const char *detail);

bool fields_has_key(const struct fields *fields, unsigned index);
// Whether an optional field is given: its key is there and its value isn't null.
bool fields_given(const struct fields *fields, unsigned index);

// Readers of a field that must be there. After a refusal they give 0 or the empty text.
int64_t fields_integer(struct fields *fields, unsigned index, int64_t min, int64_t max);
// `size_reason` is what a text of fewer or more bytes is refused with.
struct text fields_text(struct fields *fields, unsigned index, size_t size_min, size_t size_max,
                        enum reason size_reason);
struct currency fields_currency(struct fields *fields, unsigned index);
// A number, or a text that holds one; the text is never rounded.
int64_t fields_money(struct fields *fields, unsigned index, struct currency currency,
                     int64_t minor_min, bool lenient, bool *out_rounded);

// Writers of one member of the open object.
void fields_write_integer(struct json_writer *writer, const struct field_spec *spec, int64_t value);
void fields_write_text(struct json_writer *writer, const struct field_spec *spec, struct text text);
void fields_write_money(struct json_writer *writer, const struct field_spec *spec, int64_t minor,
                        struct currency currency);

#endif
