// Redaction: what is taken out, what stays, and that nothing is left.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "card_numbers.h"
#include "card_scan.h"
#include "codec_rig.h"
#include "json_read.h"
#include "test_seed.h"

#include <stdlib.h>
#include <string.h>

#define OUT_CAP (64u * 1024)

static char out_memory[OUT_CAP];

static struct text redact(struct text body)
{
    struct buf out;
    buf_init_fixed(&out, out_memory, sizeof(out_memory));
    char *copy = malloc(body.size > 0 ? body.size : 1); // of its exact size, for the sanitizer
    assert_non_null(copy);
    if (body.size > 0) {
        memcpy(copy, body.data, body.size);
    }
    card_redact((struct text){copy, body.size}, &out);
    free(copy);
    assert_false(buf_overflowed(&out));
    return buf_view(&out);
}

static void assert_redacted(const char *body, const char *expected)
{
    const struct text out = redact(text_of(body));
    if (!text_equal(out, text_of(expected))) {
        fail_msg("%s\nbecame   %.*s\nexpected %s", body, TEXT_PRINT(out), expected);
    }
}

static void numbers_in_texts_keep_their_last_four_digits(void **state)
{
    (void)state;
    assert_redacted("{\"note\": \"4111111111111111\"}", "{\"note\": \"************1111\"}");
    assert_redacted("{\"note\": \"call 4111-1111 1111 1111 now\", \"a\": 1}",
                    "{\"note\": \"call ****-**** **** 1111 now\", \"a\": 1}");
    assert_redacted("{\"a\": [\"378282246310005\", \"4222222222222\"]}",
                    "{\"a\": [\"***********0005\", \"*********2222\"]}");
    assert_redacted("{\"note\": \"4111\xC2\xA0"
                    "1111\xC2\xA0"
                    "1111\xC2\xA0"
                    "1111\"}",
                    "{\"note\": \"****\xC2\xA0****\xC2\xA0****\xC2\xA0"
                    "1111\"}");
}

static void escaped_digits_become_stars_too(void **state)
{
    (void)state;
    assert_redacted("{\"note\": \"\\u0034111\\u00201111\\n 4\\u0031\\u003111111111111\\u00311\"}",
                    "{\"note\": \"\\u0034111\\u00201111\\n ************11\\u00311\"}");
}

static void values_of_card_keys_are_taken_out_whole(void **state)
{
    (void)state;
    assert_redacted("{\"cvv\": \"123\", \"a\": 1}", "{\"cvv\": \"***\", \"a\": 1}");
    assert_redacted("{\"cvv\":123,\"a\":1}", "{\"cvv\":\"***\",\"a\":1}");
    assert_redacted("{\"cvv\" :\n 123}", "{\"cvv\" :\n \"***\"}");
    assert_redacted("{\"Pin\": null}", "{\"Pin\": \"***\"}");
    assert_redacted("{\"track2\": {\"a\": [1, \"}\"], \"b\": {}}, \"c\": 2}",
                    "{\"track2\": \"***\", \"c\": 2}");
    assert_redacted("{\"c\\u0076v\": \"a\\\"b\", \"c\": 2}", "{\"c\\u0076v\": \"***\", \"c\": 2}");
    assert_redacted("{\"deep\": [{\"pan\": []}]}", "{\"deep\": [{\"pan\": \"***\"}]}");
}

static void card_keys_as_values_are_only_words(void **state)
{
    (void)state;
    assert_redacted("{\"a\": [\"cvv\", 123], \"b\": \"pin\"}",
                    "{\"a\": [\"cvv\", 123], \"b\": \"pin\"}");
}

static void numbers_that_are_card_numbers_become_texts(void **state)
{
    (void)state;
    assert_redacted("{\"reference\": 4111111111111111, \"a\": 1}",
                    "{\"reference\": \"************1111\", \"a\": 1}");
    assert_redacted("{\"a\": {\"b\": 4111111111111111}}", "{\"a\": {\"b\": \"************1111\"}}");
    assert_redacted("[4111111111111111]", "[************1111]");
}

static void ids_that_are_numbers_stay(void **state)
{
    (void)state;
    assert_redacted("{\"payment_id\": 4111111111111111, \"order_id\":4111111111111111,"
                    "\"customer_id\": 4111111111111111 }",
                    "{\"payment_id\": 4111111111111111, \"order_id\":4111111111111111,"
                    "\"customer_id\": 4111111111111111 }");
    assert_redacted("{\"order_id\": \"4111111111111111\"}", "{\"order_id\": \"************1111\"}");
    assert_redacted("{\"order_id\": [4111111111111111]}", "{\"order_id\": [************1111]}");
    // Not the way a number ends in JSON, so it may be anything.
    assert_redacted("{\"order_id\": 4111111111111111", "{\"order_id\": ************1111");
    assert_redacted("{\"order_id\": 4111 1111 1111 1111}", "{\"order_id\": **** **** **** 1111}");
    assert_redacted("{\"order_id\": 4111-1111-1111-1111}", "{\"order_id\": ****-****-****-1111}");
}

static void keys_are_searched_too(void **state)
{
    (void)state;
    assert_redacted("{\"4111111111111111\": 1}", "{\"************1111\": 1}");
}

static void bodies_that_are_no_json_are_searched_raw(void **state)
{
    (void)state;
    assert_redacted("", "");
    assert_redacted("4111111111111111", "************1111");
    assert_redacted("id=7;pan=4111 1111 1111 1111\xFF;", "id=7;pan=**** **** **** 1111\xFF;");
    assert_redacted("{\"note\": \"4111111111111111", "{\"note\": \"************1111");
    assert_redacted("{\"a\": 1, \"cvv\": \"12", "{\"a\": 1, \"cvv\": \"***\"");
    assert_redacted("{\"cvv\":", "{\"cvv\":\"***\"");
    assert_redacted("{\"cvv\": [1, {2", "{\"cvv\": \"***\"");
    assert_redacted("it's \"x\" 4111111111111111 \"y", "it's \"x\" ************1111 \"y");
    assert_redacted("\\", "\\");
    assert_redacted("\"\\", "\"\\");
}

static void other_bodies_stay_as_they_are(void **state)
{
    struct codec_rig *rig = *state;
    const struct text order = codec_rig_order(rig, "note", "\"4111111111111112 {}[]\\u00e9\\\\\"");
    assert_true(text_equal(redact(order), order));
    const struct text payment = codec_rig_payment(rig, "amount", "12.50");
    assert_true(text_equal(redact(payment), payment));
}

// The four digits that stay may be the start of another number.
static void what_is_left_is_searched_again(void **state)
{
    (void)state;
    // One number ends in 4000, and with twelve digits more that is the start of a second one.
    char first[CARD_NUMBER_SIZE];
    memcpy(first, "4000000000004000", 17);
    for (char digit = '0'; digit <= '9'; digit++) {
        first[11] = digit; // makes the check digit right without touching the last four
        if (card_scan_text(text_of(first))) {
            break;
        }
    }
    assert_true(card_scan_text(text_of(first)));
    assert_true(card_scan_text(TEXT("4000 000000000002")));
    char body[64] = "";
    strncat(body, first, sizeof(body) - 1);
    strncat(body, " 000000000002", sizeof(body) - strlen(body) - 1);
    const struct text out = redact(text_of(body));
    assert_false(card_scan_text(out));
    assert_true(text_equal(out, TEXT("**************** ********0002")));
}

static bool is_json(struct text body)
{
    static struct json_reader reader;
    json_reader_init(&reader, body, (struct json_limits){JSON_DEPTH_CAP, JSON_KEYS_CAP});
    struct json_token token;
    enum json_event event;
    do {
        event = json_next(&reader, &token);
    } while (event != JSON_END && event != JSON_ERROR);
    return event == JSON_END;
}

static void add_random_value(struct rand *rand, struct buf *body)
{
    char number[CARD_NUMBER_SIZE];
    card_number_draw(rand, number);
    switch (rand_below(rand, 7)) {
    case 0:
        buf_add_str(body, number);
        break;
    case 1:
        buf_add_fmt(body, "\"%s\"", number);
        break;
    case 2:
        buf_add_fmt(body, "\"pay %.4s %.4s-%s soon\"", number, number + 4, number + 8);
        break;
    case 3:
        buf_add_fmt(body, "\"\\u003%c%s\\n\"", number[0], number + 1);
        break;
    case 4:
        buf_add_fmt(body, "{\"cvv\": [%s, \"%s\"]}", number, number);
        break;
    case 5:
        buf_add_fmt(body, "[true, {\"x\": \"%s %s\"}]", number, number);
        break;
    default:
        buf_add_fmt(body, "{\"%s\": null}", number);
        break;
    }
}

static void add_random_object(struct rand *rand, struct buf *body)
{
    static const char *const keys[] = {"note", "cvv", "item", "card_number", "reference", "a"};
    buf_add_str(body, "{");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        buf_add_fmt(body, "%s\"%s\":%s", i > 0 ? "," : "", keys[i],
                    rand_chance_ppm(rand, 500000) ? " " : "");
        add_random_value(rand, body);
    }
    buf_add_str(body, "}");
}

static void redacted_bodies_hold_no_number_and_stay_json(void **state)
{
    struct codec_rig *rig = *state;
    struct rand rand;
    rand_seed(&rand, test_seed());
    for (unsigned i = 0; i < 5000; i++) {
        buf_reset(&rig->body);
        add_random_object(&rand, &rig->body);
        const struct text out = redact(buf_view(&rig->body));
        assert_false(card_scan_raw_text(out, true));
        assert_true(is_json(out));
    }
}

// The same bodies with bytes lost, doubled and changed.
static void redacted_garbage_holds_no_number(void **state)
{
    struct codec_rig *rig = *state;
    struct rand rand;
    rand_seed(&rand, test_seed());
    for (unsigned i = 0; i < 20000; i++) {
        buf_reset(&rig->body);
        add_random_object(&rand, &rig->body);
        struct text body = buf_view(&rig->body);
        for (uint64_t changes = rand_below(&rand, 6); changes > 0; changes--) {
            static const char bytes[] = "\"\\:{}[], 4-\xC2\xA0";
            rig->body.data[rand_below(&rand, body.size)] =
                bytes[rand_below(&rand, sizeof(bytes) - 1)];
        }
        body.size -= (size_t)rand_below(&rand, body.size);
        const struct text out = redact(body);
        if (card_scan_raw_text(out, true)) {
            fail_msg("%.*s\nbecame %.*s", TEXT_PRINT(body), TEXT_PRINT(out));
        }
    }
}

static void a_message_refused_for_card_data_is_clean_after_redaction(void **state)
{
    struct codec_rig *rig = *state;
    codec_rig_decode_payment(
        rig, codec_rig_payment(rig, "payment_method", "\"Visa 4111 1111 1111 1111\""));
    assert_int_equal(rig->refusal.reason, REASON_E_PAN);
    char copy[512];
    const struct text out = redact(buf_view(&rig->body));
    assert_true(out.size <= sizeof(copy));
    memcpy(copy, out.data, out.size);
    codec_rig_decode_payment(rig, (struct text){copy, out.size});
    assert_true(rig->accepted);
}

static void small_buffer_overflows(void **state)
{
    (void)state;
    char memory[8];
    struct buf out;
    buf_init_fixed(&out, memory, sizeof(memory));
    card_redact(TEXT("{\"note\": \"4111111111111111\"}"), &out);
    assert_true(buf_overflowed(&out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_in_texts_keep_their_last_four_digits),
        cmocka_unit_test(escaped_digits_become_stars_too),
        cmocka_unit_test(values_of_card_keys_are_taken_out_whole),
        cmocka_unit_test(card_keys_as_values_are_only_words),
        cmocka_unit_test(numbers_that_are_card_numbers_become_texts),
        cmocka_unit_test(ids_that_are_numbers_stay),
        cmocka_unit_test(keys_are_searched_too),
        cmocka_unit_test(bodies_that_are_no_json_are_searched_raw),
        RIG_TEST(other_bodies_stay_as_they_are),
        cmocka_unit_test(what_is_left_is_searched_again),
        RIG_TEST(redacted_bodies_hold_no_number_and_stay_json),
        RIG_TEST(redacted_garbage_holds_no_number),
        RIG_TEST(a_message_refused_for_card_data_is_clean_after_redaction),
        cmocka_unit_test(small_buffer_overflows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
