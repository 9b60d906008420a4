// Message attributes: short key-value pairs beside a message's body, in Pub/Sub's sense.
// Limits are Pub/Sub's own: 100 attributes, keys of 1-256 bytes, values of up to 1,024 bytes.
#ifndef TILL_ATTRIBUTES_H
#define TILL_ATTRIBUTES_H

#include "arena.h"
#include "buf.h"
#include "text.h"

#define ATTRIBUTE_COUNT_MAX      100
#define ATTRIBUTE_KEY_SIZE_MAX   256
#define ATTRIBUTE_VALUE_SIZE_MAX 1024

struct attribute {
    struct text key;
    struct text value;
};

struct attributes {
    const struct attribute *items;
    size_t count;
};

// The value of the first attribute of that key, or the empty text with data == NULL.
struct text attributes_get(struct attributes attributes, struct text key);

// Number of bytes that attributes_pack will add; 0 for none.
size_t attributes_packed_size(struct attributes attributes);
// Stored form: per pair u16 key size, u16 value size (little endian), key, value; no header, so no
// attributes are no bytes. ERR_TOO_LARGE when a limit above is broken (an empty key too; then
// nothing is written) or when `out` has overflowed.
MUST_USE enum err attributes_pack(struct attributes attributes, struct buf *out);
// Reads the stored form; keys and values point into `packed`. ERR_CORRUPT, ERR_NO_MEMORY.
MUST_USE enum err attributes_unpack(struct text packed, struct arena *arena,
                                    struct attributes *out_attributes);

#endif
