// Turns the generator's good JSON into other JSON of the same meaning, or into a message that must be
// refused. Works on the flat objects that generator_text.c writes: no escapes, no nesting.
// Internal to the generator.
#ifndef TILL_GENERATOR_SPOIL_H
#define TILL_GENERATOR_SPOIL_H

#include "buf.h"
#include "reason.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>

enum spoil_edit {
    SPOIL_SET,    // the member `key` becomes `value`, in its place or in front
    SPOIL_ADD,    // the member `value` comes in front of all others
    SPOIL_REMOVE, // without the member `key`
    SPOIL_CUT,    // ends after the last comma
    SPOIL_APPEND, // `value` after the end
    SPOIL_WHOLE,  // `value` instead of everything
    SPOIL_TOPIC,  // a good message on the other topic
};

struct spoil {
    bool of_order; // else of the payment
    enum spoil_edit edit;
    struct text key;
    struct text value;  // JSON, as it will stand there
    enum reason reason; // what the decoder must say
};

size_t spoil_count(void);
const struct spoil *spoil_at(size_t index);

// Appends the spoiled form of `body`.
void spoil_apply(const struct spoil *spoil, struct text body, struct buf *out);
// Appends another spelling: members in reverse, other white space, escapes in texts.
void spoil_respell(struct text body, struct buf *out);

#endif
