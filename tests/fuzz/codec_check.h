// What the codec's fuzz targets expect of any bytes.
#ifndef TILL_CODEC_CHECK_H
#define TILL_CODEC_CHECK_H

#include "card_scan.h"
#include "decode.h"
#include "fuzz.h"

#include <string.h>

#define CODEC_CHECK_ARENA_CAP (64u * 1024)

static inline void check_refusal(const struct refusal *refusal)
{
    fuzz_expect(refusal->reason > REASON_NONE && refusal->reason < REASON_COUNT
                    ? NULL
                    : "a refusal has a reason");
    const size_t size = strnlen(refusal->detail, REFUSAL_DETAIL_SIZE);
    fuzz_expect(size > 0 && size < REFUSAL_DETAIL_SIZE ? NULL : "a refusal has a detail");
    fuzz_expect(card_scan_text((struct text){refusal->detail, size})
                    ? "a detail holds no card number"
                    : NULL);
    fuzz_expect(refusal->order_id >= 0 && refusal->payment_id >= 0 ? NULL : "ids are above zero");
}

// Redaction takes away only what it must: what is clean stays as it is. Numbers may become quoted
// texts, so the room is doubled.
static inline void check_redaction(struct text body)
{
    const size_t cap = 2 * body.size + 64;
    char *room = malloc(cap);
    if (!room) {
        return;
    }
    struct buf once;
    buf_init_fixed(&once, room, cap);
    card_redact(body, &once);
    fuzz_expect(buf_overflowed(&once) ? "redaction at most doubles a body" : NULL);
    struct buf twice;
    buf_init_heap(&twice, 2 * cap);
    card_redact(buf_view(&once), &twice);
    fuzz_expect(text_equal(buf_view(&once), buf_view(&twice))
                    ? NULL
                    : "a redacted body needs no redaction");
    buf_deinit(&twice);
    free(room);
}

#endif
