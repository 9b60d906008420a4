// Payments: what is read, what is only remarked, what is written.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "codec_rig.h"

#include <stdio.h>
#include <string.h>

#define REFERENCE_PAYMENT                                                                          \
    "{\"payment_id\": 1042, \"order_id\": 42, \"payment_method\": \"Google Pay\", "                \
    "\"card_last_four\": \"0042\", \"payment_status\": \"Completed\", "                            \
    "\"payment_datetime\": \"2024-01-21T10:01:30Z\"}"

static void assert_text(struct text text, const char *expected)
{
    assert_int_equal(text.size, strlen(expected));
    assert_memory_equal(text.data, expected, text.size);
}

static struct hash hash_of(struct codec_rig *rig, struct text body)
{
    codec_rig_decode_payment(rig, body);
    assert_string_equal(rig->refusal.detail, "");
    assert_true(rig->accepted);
    struct hash hash;
    payment_content_hash(&rig->payment, &hash);
    return hash;
}

static void reference_producers_payment_is_read_field_by_field(void **state)
{
    struct codec_rig *rig = *state;
    codec_rig_decode_payment(rig, TEXT(REFERENCE_PAYMENT));
    assert_true(rig->accepted);
    const struct payment *payment = &rig->payment;
    assert_int_equal(payment->payment_id, 1042);
    assert_int_equal(payment->order_id, 42);
    assert_text(payment->method, "Google Pay");
    assert_text(payment->card_last_four, "0042");
    assert_int_equal(payment->status, PAYMENT_STATUS_COMPLETED);
    assert_text(payment->datetime, "2024-01-21T10:01:30Z");
    assert_false(payment->amount_given);
    assert_int_equal(payment->amount_minor, 0);
    assert_false(payment->currency_given);
    assert_true(currency_equal(payment->currency, CURRENCY_NONE));
    assert_int_equal(payment->event_id.size, 0);
    assert_int_equal(rig->remarks.unknown_field_count, 0);
    assert_false(rig->remarks.time_unparsed);
}

// The reference producer counts hours beyond 23.
static void hour_37_is_accepted_and_remarked(void **state)
{
    struct codec_rig *rig = *state;
    codec_rig_decode_payment(
        rig, codec_rig_payment(rig, "payment_datetime", "\"2024-01-21T37:01:30Z\""));
    assert_true(rig->accepted && rig->remarks.time_unparsed);
    assert_text(rig->payment.datetime, "2024-01-21T37:01:30Z");
}

static void date_alone_is_no_payment_time(void **state)
{
    struct codec_rig *rig = *state;
    codec_rig_decode_payment(rig, codec_rig_payment(rig, "payment_datetime", "\"2024-01-21\""));
    assert_true(rig->accepted && rig->remarks.time_unparsed);
}

static void amount_without_currency_is_in_the_default_one(void **state)
{
    struct codec_rig *rig = *state;
    assert_true(currency_find(TEXT("KWD"), &rig->rules.default_currency));
    codec_rig_decode_payment(rig, codec_rig_payment(rig, "amount", "1.234"));
    assert_true(rig->accepted && rig->payment.amount_given && !rig->payment.currency_given);
    assert_int_equal(rig->payment.amount_minor, 1234);
    assert_text(currency_code(rig->payment.currency), "KWD");
}

static void currency_without_amount_is_kept(void **state)
{
    struct codec_rig *rig = *state;
    codec_rig_decode_payment(rig, codec_rig_payment(rig, "currency", "\"EUR\""));
    assert_true(rig->accepted && !rig->payment.amount_given && rig->payment.currency_given);
    assert_text(currency_code(rig->payment.currency), "EUR");
}

static void amount_as_text_is_the_same_content(void **state)
{
    struct codec_rig *rig = *state;
    const struct hash number = hash_of(rig, codec_rig_payment(rig, "amount", "12.5"));
    const struct hash text = hash_of(rig, codec_rig_payment(rig, "amount", "\"12.50\""));
    assert_true(hash_equal(&number, &text));
}

static void null_for_an_optional_field_is_as_if_absent(void **state)
{
    struct codec_rig *rig = *state;
    const struct hash plain = hash_of(rig, codec_rig_payment(rig, NULL, NULL));
    static const char *const keys[] = {"amount", "currency", "event_id"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const struct hash other = hash_of(rig, codec_rig_payment(rig, keys[i], "null"));
        assert_true(hash_equal(&plain, &other));
        assert_int_equal(rig->remarks.unknown_field_count, 0);
    }
}

static void empty_null_and_absent_last_four_are_the_same_content(void **state)
{
    struct codec_rig *rig = *state;
    const struct hash empty = hash_of(rig, codec_rig_payment(rig, "card_last_four", "\"\""));
    const struct hash null = hash_of(rig, codec_rig_payment(rig, "card_last_four", "null"));
    const struct hash absent = hash_of(rig, codec_rig_payment(rig, "card_last_four", NULL));
    assert_true(hash_equal(&empty, &null) && hash_equal(&empty, &absent));
}

static void every_status_is_read(void **state)
{
    struct codec_rig *rig = *state;
    for (int status = 0; status < PAYMENT_STATUS_COUNT; status++) {
        char value[32];
        const struct text text = payment_status_text((enum payment_status)status);
        (void)snprintf(value, sizeof(value), "\"%.*s\"", TEXT_PRINT(text));
        codec_rig_decode_payment(rig, codec_rig_payment(rig, "payment_status", value));
        assert_true(rig->accepted);
        assert_int_equal(rig->payment.status, status);
    }
}

static void event_id_is_identity_not_content(void **state)
{
    struct codec_rig *rig = *state;
    const struct hash plain = hash_of(rig, codec_rig_payment(rig, NULL, NULL));
    assert_text(payment_event_identity(&rig->payment), "Completed");
    const struct hash named = hash_of(rig, codec_rig_payment(rig, "event_id", "\"refund-2\""));
    assert_text(payment_event_identity(&rig->payment), "refund-2");
    assert_true(hash_equal(&plain, &named));
}

static void spelling_does_not_change_the_content(void **state)
{
    struct codec_rig *rig = *state;
    const struct hash plain = hash_of(rig, TEXT(REFERENCE_PAYMENT));
    const struct hash other =
        hash_of(rig, TEXT("\n{\"payment_datetime\":\"2024-01-21T10:01:30\\u005a\", \"x\": [],"
                          "\"payment_status\":\"Completed\",\"card_last_four\":\"00\\u00342\","
                          "\"payment\\u005fmethod\":\"Google Pay\",\"order_id\":42,"
                          "\"payment_id\":1042}"));
    assert_true(hash_equal(&plain, &other));
    assert_int_equal(rig->remarks.unknown_field_count, 1);
}

static void assert_size_limit(struct codec_rig *rig, const char *key, size_t size_max)
{
    char memory[PAYMENT_METHOD_SIZE_MAX + 8];
    for (size_t size = size_max - 1; size <= size_max + 1; size++) {
        codec_rig_decode_payment(rig, codec_rig_payment(rig, key, codec_rig_letters(size, memory)));
        assert_int_equal(rig->accepted, size <= size_max);
        assert_int_equal(rig->refusal.reason, size <= size_max ? REASON_NONE : REASON_E_RANGE);
    }
}

static void texts_are_limited(void **state)
{
    struct codec_rig *rig = *state;
    assert_size_limit(rig, "payment_method", PAYMENT_METHOD_SIZE_MAX);
    assert_size_limit(rig, "payment_datetime", PAYMENT_DATETIME_SIZE_MAX);
    assert_size_limit(rig, "event_id", PAYMENT_EVENT_ID_SIZE_MAX);
}

static void refusal_tells_both_ids_where_they_could_be_read(void **state)
{
    struct codec_rig *rig = *state;
    codec_rig_decode_payment(rig, codec_rig_payment(rig, "payment_method", "7"));
    assert_int_equal(rig->refusal.order_id, 42);
    assert_int_equal(rig->refusal.payment_id, 1042);
    codec_rig_decode_payment(rig, codec_rig_payment(rig, "order_id", "9223372036854775808"));
    assert_int_equal(rig->refusal.order_id, 0);
    assert_int_equal(rig->refusal.payment_id, 1042);
    codec_rig_decode_payment(rig, codec_rig_payment(rig, "payment_id", "-1042"));
    assert_int_equal(rig->refusal.order_id, 42);
    assert_int_equal(rig->refusal.payment_id, 0);
    codec_rig_decode_payment(rig, codec_rig_payment(rig, "pin", "1"));
    assert_int_equal(rig->refusal.order_id, 42);
    assert_int_equal(rig->refusal.payment_id, 1042);
}

static void encoded_payment_has_the_contracts_form(void **state)
{
    struct codec_rig *rig = *state;
    codec_rig_decode_payment(rig, TEXT(REFERENCE_PAYMENT));
    buf_reset(&rig->body);
    payment_encode(&rig->payment, &rig->body);
    assert_text(buf_view(&rig->body),
                "{\"payment_id\":1042,\"order_id\":42,\"payment_method\":\"Google Pay\","
                "\"card_last_four\":\"0042\",\"payment_status\":\"Completed\","
                "\"payment_datetime\":\"2024-01-21T10:01:30Z\"}");
    rig->payment.amount_given = true;
    rig->payment.amount_minor = 1;
    rig->payment.currency_given = true;
    rig->payment.currency = currency_usd();
    rig->payment.event_id = TEXT("e-1");
    rig->payment.card_last_four = TEXT("");
    buf_reset(&rig->body);
    payment_encode(&rig->payment, &rig->body);
    assert_text(buf_view(&rig->body),
                "{\"payment_id\":1042,\"order_id\":42,\"payment_method\":\"Google Pay\","
                "\"card_last_four\":\"\",\"payment_status\":\"Completed\","
                "\"payment_datetime\":\"2024-01-21T10:01:30Z\",\"amount\":0.01,"
                "\"currency\":\"USD\",\"event_id\":\"e-1\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(reference_producers_payment_is_read_field_by_field),
        RIG_TEST(hour_37_is_accepted_and_remarked),
        RIG_TEST(date_alone_is_no_payment_time),
        RIG_TEST(amount_without_currency_is_in_the_default_one),
        RIG_TEST(currency_without_amount_is_kept),
        RIG_TEST(amount_as_text_is_the_same_content),
        RIG_TEST(null_for_an_optional_field_is_as_if_absent),
        RIG_TEST(empty_null_and_absent_last_four_are_the_same_content),
        RIG_TEST(every_status_is_read),
        RIG_TEST(event_id_is_identity_not_content),
        RIG_TEST(spelling_does_not_change_the_content),
        RIG_TEST(texts_are_limited),
        RIG_TEST(refusal_tells_both_ids_where_they_could_be_read),
        RIG_TEST(encoded_payment_has_the_contracts_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
