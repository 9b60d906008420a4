// Any bytes as a payment. What is accepted must come back from its own encoding with the same
// content; what is refused must say why, without a card number in it.
#include "codec_check.h"
#include "payment_json.h"

static void check_round_trip(const struct payment *payment, const struct decode_rules *rules,
                             struct arena *arena)
{
    struct buf body;
    buf_init_heap(&body, MESSAGE_SIZE_MAX);
    payment_encode(payment, &body);
    fuzz_expect(buf_overflowed(&body) ? "an accepted payment fits a message" : NULL);
    fuzz_expect(message_kind_guess(buf_view(&body)) == MESSAGE_PAYMENT
                    ? NULL
                    : "an encoded payment looks like one");
    struct payment again;
    struct decode_remarks remarks;
    struct refusal refusal;
    fuzz_expect(payment_decode(buf_view(&body), rules, arena, &again, &remarks, &refusal)
                    ? NULL
                    : "an encoded payment is accepted");
    struct hash before;
    struct hash after;
    payment_content_hash(payment, &before);
    payment_content_hash(&again, &after);
    fuzz_expect(hash_equal(&before, &after) && text_equal(again.event_id, payment->event_id)
                    ? NULL
                    : "an encoded payment is the same payment");
    buf_deinit(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct text body = {(const char *)data, size};
    const struct decode_rules rules = {.default_currency = currency_usd()};
    struct arena arena;
    if (arena_init(&arena, CODEC_CHECK_ARENA_CAP) != ERR_OK) {
        return 0;
    }
    struct payment payment;
    struct decode_remarks remarks;
    struct refusal refusal;
    if (payment_decode(body, &rules, &arena, &payment, &remarks, &refusal)) {
        check_round_trip(&payment, &rules, &arena);
    } else {
        check_refusal(&refusal);
    }
    fuzz_expect(arena_overflowed(&arena) ? "texts take a few KB at most" : NULL);
    arena_deinit(&arena);
    check_redaction(body);
    return 0;
}
