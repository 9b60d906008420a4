// Orders: what is read, what is only remarked, what is written.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "codec_rig.h"

#include <stdio.h>
#include <string.h>

#define REFERENCE_ORDER                                                                            \
    "{\"order_id\": 42, \"customer_id\": 771, \"item\": \"Laptop\", \"quantity\": 3, "             \
    "\"price\": 1299.99, \"shipping_address\": \"123 Main St, City A\", "                          \
    "\"order_status\": \"Pending\", \"creation_date\": \"2024-01-21\"}"

static void assert_text(struct text text, const char *expected)
{
    assert_int_equal(text.size, strlen(expected));
    assert_memory_equal(text.data, expected, text.size);
}

static struct hash hash_of(struct codec_rig *rig, struct text body)
{
    codec_rig_decode_order(rig, body);
    assert_string_equal(rig->refusal.detail, "");
    assert_true(rig->accepted);
    struct hash hash;
    order_content_hash(&rig->order, &hash);
    return hash;
}

static void reference_producers_order_is_read_field_by_field(void **state)
{
    struct codec_rig *rig = *state;
    codec_rig_decode_order(rig, TEXT(REFERENCE_ORDER));
    assert_true(rig->accepted);
    const struct order *order = &rig->order;
    assert_int_equal(order->order_id, 42);
    assert_int_equal(order->customer_id, 771);
    assert_text(order->item, "Laptop");
    assert_int_equal(order->quantity, 3);
    assert_int_equal(order->price_minor, 129999);
    assert_text(order->shipping_address, "123 Main St, City A");
    assert_int_equal(order->status, ORDER_STATUS_PENDING);
    assert_text(order->creation_date, "2024-01-21");
    assert_true(currency_equal(order->currency, currency_usd()));
    assert_false(order->currency_given);
    assert_false(order->version_given);
    assert_int_equal(order->version, 0);
    assert_int_equal(rig->remarks.unknown_field_count, 0);
    assert_false(rig->remarks.price_rounded);
    assert_false(rig->remarks.time_unparsed);
}

static void optional_fields_are_read_when_given(void **state)
{
    struct codec_rig *rig = *state;
    codec_rig_decode_order(rig, codec_rig_order(rig, "version", "7"));
    assert_true(rig->accepted && rig->order.version_given);
    assert_int_equal(rig->order.version, 7);
    codec_rig_decode_order(rig, codec_rig_order(rig, "currency", "\"EUR\""));
    assert_true(rig->accepted && rig->order.currency_given);
    assert_text(currency_code(rig->order.currency), "EUR");
}

static void null_for_an_optional_field_is_as_if_absent(void **state)
{
    struct codec_rig *rig = *state;
    const struct hash absent = hash_of(rig, codec_rig_order(rig, NULL, NULL));
    const struct hash null_currency = hash_of(rig, codec_rig_order(rig, "currency", "null"));
    assert_false(rig->order.currency_given);
    assert_true(currency_equal(rig->order.currency, currency_usd()));
    assert_true(hash_equal(&absent, &null_currency));
    hash_of(rig, codec_rig_order(rig, "version", "null"));
    assert_false(rig->order.version_given);
}

static void every_status_is_read(void **state)
{
    struct codec_rig *rig = *state;
    for (int status = 0; status < ORDER_STATUS_COUNT; status++) {
        char value[32];
        const struct text text = order_status_text((enum order_status)status);
        (void)snprintf(value, sizeof(value), "\"%.*s\"", TEXT_PRINT(text));
        codec_rig_decode_order(rig, codec_rig_order(rig, "order_status", value));
        assert_true(rig->accepted);
        assert_int_equal(rig->order.status, status);
    }
}

static void price_that_a_double_printed_is_rounded_and_remarked(void **state)
{
    struct codec_rig *rig = *state;
    codec_rig_decode_order(rig, codec_rig_order(rig, "price", "512.3400000000001"));
    assert_true(rig->accepted && rig->remarks.price_rounded);
    assert_int_equal(rig->order.price_minor, 51234);
    codec_rig_decode_order(rig, codec_rig_order(rig, "price", "0.125"));
    assert_true(rig->accepted && rig->remarks.price_rounded);
    assert_int_equal(rig->order.price_minor, 12);
    codec_rig_decode_order(rig, codec_rig_order(rig, "price", "\"512.34\""));
    assert_true(rig->accepted && !rig->remarks.price_rounded);
    assert_int_equal(rig->order.price_minor, 51234);
}

static void price_has_the_digits_of_its_currency(void **state)
{
    struct codec_rig *rig = *state;
    rig->rules.lenient_price = false;
    const struct {
        const char *currency;
        const char *good;
        int64_t minor;
    } cases[] = {{"JPY", "1299", 1299}, {"EUR", "1299.9", 129990}, {"KWD", "12.999", 12999}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(currency_find(text_of(cases[i].currency), &rig->rules.default_currency));
        codec_rig_decode_order(rig, codec_rig_order(rig, "price", cases[i].good));
        assert_true(rig->accepted);
        assert_int_equal(rig->order.price_minor, cases[i].minor);
        codec_rig_decode_order(rig, codec_rig_order(rig, "price", "12.9999"));
        assert_int_equal(rig->refusal.reason, REASON_E_RANGE);
    }
}

static void creation_date_is_kept_and_remarked_when_it_is_no_time(void **state)
{
    struct codec_rig *rig = *state;
    const struct {
        const char *date;
        bool unparsed;
    } cases[] = {
        {"2024-02-29", false},
        {"2024-01-21T10:01:30Z", false},
        {"2016-12-31T23:59:60Z", false},
        {"2024-01-21T10:01:30.5+02:00", false},
        {"2023-02-29", true},
        {"21.01.2024", true},
        {"2024-01-21 ", true},
        {"yesterday", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char value[64];
        (void)snprintf(value, sizeof(value), "\"%s\"", cases[i].date);
        codec_rig_decode_order(rig, codec_rig_order(rig, "creation_date", value));
        assert_true(rig->accepted);
        assert_text(rig->order.creation_date, cases[i].date);
        assert_int_equal(rig->remarks.time_unparsed, cases[i].unparsed);
    }
}

static void unknown_fields_are_counted_but_do_not_change_the_content(void **state)
{
    struct codec_rig *rig = *state;
    const struct hash plain = hash_of(rig, codec_rig_order(rig, NULL, NULL));
    const struct hash extended =
        hash_of(rig, TEXT("{\"a\": {\"price\": 5, \"order_id\": 7}, " // nested ones are no fields
                          "\"order_id\": 42, \"customer_id\": 771, \"item\": \"Laptop\", "
                          "\"b\": [\"item\"], \"quantity\": 3, \"price\": 1299.99, "
                          "\"shipping_address\": \"123 Main St, City A\", \"payment_id\": 9, "
                          "\"order_status\": \"Pending\", \"creation_date\": \"2024-01-21\"}"));
    assert_int_equal(rig->remarks.unknown_field_count, 3);
    assert_true(hash_equal(&plain, &extended));
}

static void spelling_does_not_change_the_content(void **state)
{
    struct codec_rig *rig = *state;
    const struct hash plain = hash_of(rig, TEXT(REFERENCE_ORDER));
    static const char *const spellings[] = {
        // other order of keys, no white space
        "{\"creation_date\":\"2024-01-21\",\"order_status\":\"Pending\","
        "\"shipping_address\":\"123 Main St, City A\",\"price\":1299.99,\"quantity\":3,"
        "\"item\":\"Laptop\",\"customer_id\":771,\"order_id\":42}",
        // white space, escapes in keys and values, other forms of the price
        "\r\n\t {\"order\\u005fid\" : 42 ,\n\"customer_id\":771,\"item\":\"L\\u0061ptop\","
        "\"quantity\":3,\"price\":1.29999e3,\"shipping_address\":\"123 Main St, City\\u0020A\","
        "\"order_status\":\"\\u0050ending\",\"creation_date\":\"2024\\u002d01-21\"} ",
        "{\"order_id\":42,\"customer_id\":771,\"item\":\"Laptop\",\"quantity\":3,"
        "\"price\":\"1299.9900\",\"shipping_address\":\"123 Main St, City A\","
        "\"order_status\":\"Pending\",\"creation_date\":\"2024-01-21\"}",
    };
    for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
        const struct hash other = hash_of(rig, text_of(spellings[i]));
        assert_true(hash_equal(&plain, &other));
    }
}

static void every_content_field_changes_the_content(void **state)
{
    struct codec_rig *rig = *state;
    const struct hash plain = hash_of(rig, codec_rig_order(rig, NULL, NULL));
    const struct {
        const char *key;
        const char *value;
    } changes[] = {
        {"order_id", "43"},
        {"customer_id", "772"},
        {"item", "\"laptop\""},
        {"quantity", "4"},
        {"price", "1299.98"},
        {"shipping_address", "\"\""},
        {"order_status", "\"Shipped\""},
        {"creation_date", "\"2024-01-22\""},
        {"currency", "\"USD\""},
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        const struct hash other =
            hash_of(rig, codec_rig_order(rig, changes[i].key, changes[i].value));
        assert_false(hash_equal(&plain, &other));
    }
}

// Row 23 of the table of bad input: bytes decide, not what Unicode calls equal.
static void texts_that_only_look_alike_differ(void **state)
{
    struct codec_rig *rig = *state;
    const struct hash composed = hash_of(rig, codec_rig_order(rig, "item", "\"caf\\u00e9\""));
    const struct hash decomposed = hash_of(rig, codec_rig_order(rig, "item", "\"cafe\\u0301\""));
    assert_false(hash_equal(&composed, &decomposed));
}

static void texts_without_escapes_point_into_the_body(void **state)
{
    struct codec_rig *rig = *state;
    static const char body[] = REFERENCE_ORDER;
    const struct text plain = {body, sizeof(body) - 1};
    rig->accepted =
        order_decode(plain, &rig->rules, &rig->arena, &rig->order, &rig->remarks, &rig->refusal);
    assert_true(rig->accepted);
    assert_ptr_equal(rig->order.item.data, strstr(body, "Laptop"));
    assert_ptr_equal(rig->order.shipping_address.data, strstr(body, "123 Main"));
    assert_ptr_equal(rig->order.creation_date.data, strstr(body, "2024"));
    assert_int_equal(arena_mark(&rig->arena), 0);
}

static void escapes_are_read(void **state)
{
    struct codec_rig *rig = *state;
    codec_rig_decode_order(
        rig, codec_rig_order(rig, "item", "\"a\\n\\t\\\"\\\\\\/\\u00e9\\ud83d\\ude00z\""));
    assert_true(rig->accepted);
    assert_text(rig->order.item, "a\n\t\"\\/\xC3\xA9\xF0\x9F\x98\x80z");
    assert_true(arena_mark(&rig->arena) > 0);
}

static void assert_size_limit(struct codec_rig *rig, const char *key, size_t size_max)
{
    static char memory[2048];
    for (size_t size = size_max - 1; size <= size_max + 1; size++) {
        codec_rig_decode_order(rig, codec_rig_order(rig, key, codec_rig_letters(size, memory)));
        assert_int_equal(rig->accepted, size <= size_max);
        assert_int_equal(rig->refusal.reason, size <= size_max ? REASON_NONE : REASON_E_RANGE);
    }
}

static void texts_are_limited(void **state)
{
    struct codec_rig *rig = *state;
    assert_size_limit(rig, "item", ORDER_ITEM_SIZE_MAX);
    assert_size_limit(rig, "shipping_address", ORDER_SHIPPING_ADDRESS_SIZE_MAX);
    assert_size_limit(rig, "creation_date", ORDER_CREATION_DATE_SIZE_MAX);
}

// A text's size is that of its meaning: \u0041 is one byte, not six.
static void limits_count_bytes_after_unescaping(void **state)
{
    struct codec_rig *rig = *state;
    for (size_t letters = ORDER_ITEM_SIZE_MAX - 1; letters <= ORDER_ITEM_SIZE_MAX + 1; letters++) {
        char value[6 * (ORDER_ITEM_SIZE_MAX + 1) + 3];
        struct buf out;
        buf_init_fixed(&out, value, sizeof(value));
        buf_add_char(&out, '"');
        for (size_t i = 0; i < letters; i++) {
            buf_add_str(&out, "\\u0041");
        }
        buf_add(&out, "\"", 2);
        assert_false(buf_overflowed(&out));
        codec_rig_decode_order(rig, codec_rig_order(rig, "item", value));
        assert_int_equal(rig->accepted, letters <= ORDER_ITEM_SIZE_MAX);
        assert_string_equal(rig->refusal.detail, letters <= ORDER_ITEM_SIZE_MAX
                                                     ? ""
                                                     : "item: expected text of 1 to 256 bytes");
    }
}

static void refusal_tells_the_order_id_where_it_could_be_read(void **state)
{
    struct codec_rig *rig = *state;
    codec_rig_decode_order(rig, codec_rig_order(rig, "price", "-1"));
    assert_int_equal(rig->refusal.order_id, 42);
    assert_int_equal(rig->refusal.payment_id, 0);
    codec_rig_decode_order(rig, codec_rig_order(rig, "cvv", "1"));
    assert_int_equal(rig->refusal.reason, REASON_E_PAN);
    assert_int_equal(rig->refusal.order_id, 42);
    codec_rig_decode_order(rig, codec_rig_order(rig, "order_id", "\"42\""));
    assert_int_equal(rig->refusal.order_id, 0);
    codec_rig_decode_order(rig, TEXT("{\"order_id\": 42, \"payment_id\": 7}"));
    assert_int_equal(rig->refusal.reason, REASON_E_WRONG_TOPIC);
    assert_int_equal(rig->refusal.order_id, 42);
    assert_int_equal(rig->refusal.payment_id, 7);
    codec_rig_decode_order(rig, TEXT("{\"order_id\": 42, oops}"));
    assert_int_equal(rig->refusal.reason, REASON_E_JSON);
    assert_int_equal(rig->refusal.order_id, 0);
}

static void refusal_leaves_order_and_remarks_alone(void **state)
{
    struct codec_rig *rig = *state;
    memset(&rig->order, 0x5A, sizeof(rig->order));
    const struct order before = rig->order;
    codec_rig_decode_order(rig, codec_rig_order(rig, "creation_date", NULL));
    assert_false(rig->accepted);
    assert_memory_equal(&rig->order, &before, sizeof(before));
    assert_int_equal(rig->remarks.unknown_field_count, 0);
}

// Every size of arena up to enough: either the order is right or it is refused and the arena says
// so.
static void arena_that_is_too_small_refuses_the_order(void **state)
{
    struct codec_rig *rig = *state;
    static const char body[] =
        "{\"order_id\": 42, \"customer_id\": 771, \"item\": \"La\\u0070top\", \"quantity\": 3, "
        "\"price\": \"1\\u0032.5\", \"shipping_address\": \"123\\nMain St\", "
        "\"order_status\": \"Pend\\u0069ng\", \"creation_date\": \"2024\\u002d01-21\"}";
    size_t cap = 1;
    bool accepted = false;
    for (; !accepted; cap++) {
        assert_true(cap < 1024);
        struct arena arena;
        assert_int_equal(arena_init(&arena, cap), ERR_OK);
        rig->refusal = (struct refusal){0};
        accepted = order_decode(TEXT(body), &rig->rules, &arena, &rig->order, &rig->remarks,
                                &rig->refusal);
        assert_int_equal(arena_overflowed(&arena), !accepted);
        if (accepted) {
            assert_text(rig->order.item, "Laptop");
            assert_text(rig->order.creation_date, "2024-01-21");
        } else {
            assert_int_equal(rig->refusal.reason, REASON_E_SIZE);
        }
        arena_deinit(&arena);
    }
    assert_true(cap > 50); // so the loop met refusals
}

static void encoded_order_has_the_contracts_form(void **state)
{
    struct codec_rig *rig = *state;
    codec_rig_decode_order(rig, TEXT(REFERENCE_ORDER));
    buf_reset(&rig->body);
    order_encode(&rig->order, &rig->body);
    assert_text(buf_view(&rig->body),
                "{\"order_id\":42,\"customer_id\":771,\"item\":\"Laptop\",\"quantity\":3,"
                "\"price\":1299.99,\"shipping_address\":\"123 Main St, City A\","
                "\"order_status\":\"Pending\",\"creation_date\":\"2024-01-21\"}");
    rig->order.version_given = true;
    rig->order.version = 2;
    rig->order.currency_given = true;
    assert_true(currency_find(TEXT("JPY"), &rig->order.currency));
    rig->order.item = TEXT("\"a\nb\"");
    buf_reset(&rig->body);
    order_encode(&rig->order, &rig->body);
    assert_text(buf_view(&rig->body),
                "{\"order_id\":42,\"customer_id\":771,\"item\":\"\\\"a\\nb\\\"\",\"quantity\":3,"
                "\"price\":129999,\"shipping_address\":\"123 Main St, City A\","
                "\"order_status\":\"Pending\",\"creation_date\":\"2024-01-21\","
                "\"currency\":\"JPY\",\"version\":2}");
}

static void buffer_that_is_too_small_overflows(void **state)
{
    struct codec_rig *rig = *state;
    codec_rig_decode_order(rig, TEXT(REFERENCE_ORDER));
    char memory[64];
    struct buf out;
    buf_init_fixed(&out, memory, sizeof(memory));
    order_encode(&rig->order, &out);
    assert_true(buf_overflowed(&out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(reference_producers_order_is_read_field_by_field),
        RIG_TEST(optional_fields_are_read_when_given),
        RIG_TEST(null_for_an_optional_field_is_as_if_absent),
        RIG_TEST(every_status_is_read),
        RIG_TEST(price_that_a_double_printed_is_rounded_and_remarked),
        RIG_TEST(price_has_the_digits_of_its_currency),
        RIG_TEST(creation_date_is_kept_and_remarked_when_it_is_no_time),
        RIG_TEST(unknown_fields_are_counted_but_do_not_change_the_content),
        RIG_TEST(spelling_does_not_change_the_content),
        RIG_TEST(every_content_field_changes_the_content),
        RIG_TEST(texts_that_only_look_alike_differ),
        RIG_TEST(texts_without_escapes_point_into_the_body),
        RIG_TEST(escapes_are_read),
        RIG_TEST(texts_are_limited),
        RIG_TEST(limits_count_bytes_after_unescaping),
        RIG_TEST(refusal_tells_the_order_id_where_it_could_be_read),
        RIG_TEST(refusal_leaves_order_and_remarks_alone),
        RIG_TEST(arena_that_is_too_small_refuses_the_order),
        RIG_TEST(encoded_order_has_the_contracts_form),
        RIG_TEST(buffer_that_is_too_small_overflows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
