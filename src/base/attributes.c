// Packing and unpacking of message attributes.
#include "attributes.h"

#define PAIR_HEADER_SIZE 4u // two u16

struct text attributes_get(struct attributes attributes, struct text key)
{
    for (size_t i = 0; i < attributes.count; i++) {
        if (text_equal(attributes.items[i].key, key)) {
            return attributes.items[i].value;
        }
    }
    return (struct text){0};
}

size_t attributes_packed_size(struct attributes attributes)
{
    size_t size = 0;
    for (size_t i = 0; i < attributes.count; i++) {
        const struct attribute *item = &attributes.items[i];
        size += PAIR_HEADER_SIZE + item->key.size + item->value.size;
    }
    return size;
}

static bool pair_within_limits(size_t key_size, size_t value_size)
{
    return key_size >= 1 && key_size <= ATTRIBUTE_KEY_SIZE_MAX &&
           value_size <= ATTRIBUTE_VALUE_SIZE_MAX;
}

static bool all_within_limits(struct attributes attributes)
{
    for (size_t i = 0; i < attributes.count; i++) {
        const struct attribute *item = &attributes.items[i];
        if (!pair_within_limits(item->key.size, item->value.size)) {
            return false;
        }
    }
    return attributes.count <= ATTRIBUTE_COUNT_MAX;
}

static void add_u16(struct buf *out, size_t value)
{
    buf_add(out, (unsigned char[]){(unsigned char)value, (unsigned char)(value >> 8)}, 2);
}

enum err attributes_pack(struct attributes attributes, struct buf *out)
{
    if (!all_within_limits(attributes)) {
        return ERR_TOO_LARGE;
    }
    for (size_t i = 0; i < attributes.count; i++) {
        const struct attribute *item = &attributes.items[i];
        add_u16(out, item->key.size);
        add_u16(out, item->value.size);
        buf_add_text(out, item->key);
        buf_add_text(out, item->value);
    }
    return buf_overflowed(out) ? ERR_TOO_LARGE : ERR_OK;
}

static size_t read_u16(const char *bytes)
{
    return (size_t)((unsigned char)bytes[0] | (unsigned char)bytes[1] << 8);
}

// Takes one pair off the front of `rest`. false when the bytes are none.
static bool take_pair(struct text *rest, struct attribute *out_pair)
{
    if (rest->size < PAIR_HEADER_SIZE) {
        return false;
    }
    size_t key_size = read_u16(rest->data);
    size_t value_size = read_u16(rest->data + 2);
    size_t pair_size = PAIR_HEADER_SIZE + key_size + value_size;
    if (!pair_within_limits(key_size, value_size) || pair_size > rest->size) {
        return false;
    }
    const char *key = rest->data + PAIR_HEADER_SIZE;
    *out_pair = (struct attribute){{key, key_size}, {key + key_size, value_size}};
    *rest = (struct text){rest->data + pair_size, rest->size - pair_size};
    return true;
}

enum err attributes_unpack(struct text packed, struct arena *arena,
                           struct attributes *out_attributes)
{
    struct attribute pair;
    size_t count = 0;
    for (struct text rest = packed; rest.size > 0; count++) {
        if (count == ATTRIBUTE_COUNT_MAX || !take_pair(&rest, &pair)) {
            return ERR_CORRUPT;
        }
    }
    if (count == 0) {
        *out_attributes = (struct attributes){0};
        return ERR_OK;
    }
    struct attribute *items = ARENA_ARRAY(arena, struct attribute, count);
    if (items == NULL) {
        return ERR_NO_MEMORY;
    }
    struct text rest = packed;
    for (size_t i = 0; i < count && take_pair(&rest, &items[i]); i++) {
    }
    *out_attributes = (struct attributes){items, count};
    return ERR_OK;
}
