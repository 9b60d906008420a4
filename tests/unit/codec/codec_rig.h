// What the codec's tests share: good messages with one member changed, and a place to decode them.
#ifndef TILL_CODEC_RIG_H
#define TILL_CODEC_RIG_H

#include "order_json.h"
#include "payment_json.h"

#include <stdbool.h>

#define RIG_BODY_CAP  (16u * 1024 * 1024)
#define RIG_ARENA_CAP MESSAGE_SIZE_MAX

// One for a test program; set up once a test.
struct codec_rig {
    struct arena arena;
    struct buf body;
    struct decode_rules rules; // lenient, USD
    // The outcome of the last decode:
    bool accepted;
    struct order order;
    struct payment payment;
    struct decode_remarks remarks;
    struct refusal refusal; // reason and detail are REASON_NONE and "" when accepted
};

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, codec_rig_set_up, codec_rig_tear_down)

// For cmocka: *state becomes the rig. Returns 0, or -1 when memory is refused.
int codec_rig_set_up(void **state);
int codec_rig_tear_down(void **state);

// A good order or payment as JSON, with the value of `key` replaced by the JSON in `value`, the
// member left out when value is NULL, or added at the end when there is none of that key. A NULL
// key changes nothing. Valid until the next one.
struct text codec_rig_order(struct codec_rig *rig, const char *key, const char *value);
struct text codec_rig_payment(struct codec_rig *rig, const char *key, const char *value);

// A JSON string of `size` letters; the memory is the caller's, of size + 3 bytes.
const char *codec_rig_letters(size_t size, char *memory);

// Decode into the rig. The body is copied to memory of exactly its size first, so that the address
// sanitizer sees a byte read too much; texts are valid until the next decode.
void codec_rig_decode_order(struct codec_rig *rig, struct text body);
void codec_rig_decode_payment(struct codec_rig *rig, struct text body);

#endif
