// Any bytes as an order. What is accepted must come back from its own encoding with the same
// content; what is refused must say why, without a card number in it.
#include "codec_check.h"
#include "order_json.h"

static struct decode_rules rules_of(bool lenient_price)
{
    return (struct decode_rules){.lenient_price = lenient_price,
                                 .default_currency = currency_usd()};
}

static void check_round_trip(const struct order *order, const struct decode_rules *rules,
                             struct arena *arena)
{
    struct buf body;
    buf_init_heap(&body, MESSAGE_SIZE_MAX);
    order_encode(order, &body);
    fuzz_expect(buf_overflowed(&body) ? "an accepted order fits a message" : NULL);
    struct order again;
    struct decode_remarks remarks;
    struct refusal refusal;
    fuzz_expect(order_decode(buf_view(&body), rules, arena, &again, &remarks, &refusal)
                    ? NULL
                    : "an encoded order is accepted");
    struct hash before;
    struct hash after;
    order_content_hash(order, &before);
    order_content_hash(&again, &after);
    fuzz_expect(hash_equal(&before, &after) && again.version == order->version
                    ? NULL
                    : "an encoded order is the same order");
    fuzz_expect(remarks.price_rounded || remarks.unknown_field_count > 0
                    ? "an encoded order gives no remarks"
                    : NULL);
    buf_deinit(&body);
}

static void check_order(struct text body, bool lenient_price)
{
    const struct decode_rules rules = rules_of(lenient_price);
    struct arena arena;
    if (arena_init(&arena, CODEC_CHECK_ARENA_CAP) != ERR_OK) {
        return;
    }
    struct order order;
    struct decode_remarks remarks;
    struct refusal refusal;
    if (order_decode(body, &rules, &arena, &order, &remarks, &refusal)) {
        check_round_trip(&order, &rules, &arena);
    } else {
        check_refusal(&refusal);
    }
    fuzz_expect(arena_overflowed(&arena) ? "texts take a few KB at most" : NULL);
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct text body = {(const char *)data, size};
    check_order(body, true);
    check_order(body, false);
    (void)message_kind_guess(body);
    check_redaction(body);
    return 0;
}
