// What is encoded is decoded to the same, for random messages and for random spellings of them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "codec_rig.h"
#include "random_messages.h"
#include "test_seed.h"

#include <string.h>

#define MESSAGE_COUNT 20000
#define SOURCE_CAP    (16u * 1024)

static void assert_orders_equal(const struct order *a, const struct order *b)
{
    assert_int_equal(a->order_id, b->order_id);
    assert_int_equal(a->customer_id, b->customer_id);
    assert_true(text_equal(a->item, b->item));
    assert_int_equal(a->quantity, b->quantity);
    assert_int_equal(a->price_minor, b->price_minor);
    assert_true(text_equal(a->shipping_address, b->shipping_address));
    assert_int_equal(a->status, b->status);
    assert_true(text_equal(a->creation_date, b->creation_date));
    assert_true(currency_equal(a->currency, b->currency));
    assert_int_equal(a->currency_given, b->currency_given);
    assert_int_equal(a->version_given, b->version_given);
    assert_int_equal(a->version, b->version);
    struct hash hash_a;
    struct hash hash_b;
    order_content_hash(a, &hash_a);
    order_content_hash(b, &hash_b);
    assert_true(hash_equal(&hash_a, &hash_b));
}

static void assert_payments_equal(const struct payment *a, const struct payment *b)
{
    assert_int_equal(a->payment_id, b->payment_id);
    assert_int_equal(a->order_id, b->order_id);
    assert_true(text_equal(a->method, b->method));
    assert_true(text_equal(a->card_last_four, b->card_last_four));
    assert_int_equal(a->status, b->status);
    assert_true(text_equal(a->datetime, b->datetime));
    assert_int_equal(a->amount_given, b->amount_given);
    assert_int_equal(a->amount_minor, b->amount_minor);
    assert_int_equal(a->currency_given, b->currency_given);
    assert_true(currency_equal(a->currency, b->currency));
    assert_true(text_equal(a->event_id, b->event_id));
    struct hash hash_a;
    struct hash hash_b;
    payment_content_hash(a, &hash_a);
    payment_content_hash(b, &hash_b);
    assert_true(hash_equal(&hash_a, &hash_b));
}

static void random_orders_come_back(void **state)
{
    struct codec_rig *rig = *state;
    struct rand rand;
    rand_seed(&rand, test_seed());
    struct arena source;
    assert_int_equal(arena_init(&source, SOURCE_CAP), ERR_OK);
    rig->rules.lenient_price = false;
    for (unsigned i = 0; i < MESSAGE_COUNT; i++) {
        arena_reset(&source);
        rig->rules.default_currency =
            (struct currency){(uint8_t)rand_between(&rand, 1, currency_count())};
        const struct order order = random_order(&rand, &source, rig->rules.default_currency);
        buf_reset(&rig->body);
        order_encode(&order, &rig->body);
        codec_rig_decode_order(rig, buf_view(&rig->body));
        assert_string_equal(rig->refusal.detail, "");
        assert_true(rig->accepted);
        assert_orders_equal(&rig->order, &order);
        assert_int_equal(rig->remarks.unknown_field_count, 0);
        assert_false(rig->remarks.price_rounded);
        assert_int_equal(message_kind_guess(buf_view(&rig->body)), MESSAGE_ORDER);
    }
    arena_deinit(&source);
}

static void random_payments_come_back(void **state)
{
    struct codec_rig *rig = *state;
    struct rand rand;
    rand_seed(&rand, test_seed());
    struct arena source;
    assert_int_equal(arena_init(&source, SOURCE_CAP), ERR_OK);
    for (unsigned i = 0; i < MESSAGE_COUNT; i++) {
        arena_reset(&source);
        rig->rules.default_currency =
            (struct currency){(uint8_t)rand_between(&rand, 1, currency_count())};
        const struct payment payment = random_payment(&rand, &source, rig->rules.default_currency);
        buf_reset(&rig->body);
        payment_encode(&payment, &rig->body);
        codec_rig_decode_payment(rig, buf_view(&rig->body));
        assert_string_equal(rig->refusal.detail, "");
        assert_true(rig->accepted);
        assert_payments_equal(&rig->payment, &payment);
        assert_int_equal(rig->remarks.unknown_field_count, 0);
        assert_int_equal(message_kind_guess(buf_view(&rig->body)), MESSAGE_PAYMENT);
    }
    arena_deinit(&source);
}

// Every shortening of a good message is refused and nothing else happens.
static void truncated_messages_are_refused(void **state)
{
    struct codec_rig *rig = *state;
    struct text body = codec_rig_order(rig, "version", "7");
    for (size_t size = body.size; size-- > 1;) {
        codec_rig_decode_order(rig, (struct text){body.data, size});
        assert_int_equal(rig->refusal.reason, REASON_E_JSON);
    }
    body = codec_rig_payment(rig, "amount", "12.50");
    for (size_t size = body.size; size-- > 1;) {
        codec_rig_decode_payment(rig, (struct text){body.data, size});
        assert_int_equal(rig->refusal.reason, REASON_E_JSON);
    }
}

// One byte changed anywhere: accepted or refused with a reason and a detail, and never a message
// that does not come back from its own encoding.
static void damaged_messages_are_accepted_whole_or_refused(void **state)
{
    struct codec_rig *rig = *state;
    struct rand rand;
    rand_seed(&rand, test_seed());
    unsigned accepted_count = 0;
    for (unsigned i = 0; i < MESSAGE_COUNT; i++) {
        const struct text body = codec_rig_order(rig, "currency", "\"EUR\"");
        rig->body.data[rand_below(&rand, body.size)] = (char)rand_below(&rand, 256);
        codec_rig_decode_order(rig, body);
        if (!rig->accepted) {
            assert_int_not_equal(rig->refusal.reason, REASON_NONE);
            assert_true(strlen(rig->refusal.detail) > 0);
            continue;
        }
        accepted_count++;
        struct hash before;
        struct hash after;
        order_content_hash(&rig->order, &before);
        buf_reset(&rig->body);
        order_encode(&rig->order, &rig->body);
        codec_rig_decode_order(rig, buf_view(&rig->body));
        assert_true(rig->accepted);
        order_content_hash(&rig->order, &after);
        assert_true(hash_equal(&before, &after));
    }
    assert_in_range(accepted_count, MESSAGE_COUNT / 20, MESSAGE_COUNT / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(random_orders_come_back),
        RIG_TEST(random_payments_come_back),
        RIG_TEST(truncated_messages_are_refused),
        RIG_TEST(damaged_messages_are_accepted_whole_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
