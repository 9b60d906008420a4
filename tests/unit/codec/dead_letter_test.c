// Dead letters: attributes there and back, letters of strangers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "clock.h"
#include "dead_letter.h"
#include "test_seed.h"

#include <string.h>

#define ARENA_CAP    (256u * 1024)
#define PUBLISHED_US INT64_C(1705831290123456)

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    return arena_init(&arena, ARENA_CAP) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static void assert_text(struct text text, const char *expected)
{
    assert_int_equal(text.size, strlen(expected));
    assert_memory_equal(text.data, expected, text.size);
}

static struct dead_letter full_letter(void)
{
    struct dead_letter letter = {
        .reason = REASON_E_RANGE,
        .detail = TEXT("price: expected a decimal of at most 2 digits after the point"),
        .body = TEXT("{\"order_id\": 42}"),
        .source_topic = TEXT("payments_data"),
        .source_message_id = TEXT("9876543210"),
        .first_seen_us = PUBLISHED_US,
        .order_id = 42,
        .payment_id = INT64_MAX,
        .event_id = TEXT("refund-2"),
        .attempts = UINT32_MAX,
        .replay_count = 3,
        .redacted = true,
        .rebuilt = true,
    };
    dead_letter_id_of_message(letter.source_topic, letter.source_message_id, PUBLISHED_US,
                              &letter.id);
    return letter;
}

static struct attributes attributes_of(const struct dead_letter *letter)
{
    struct attributes attributes = {0};
    assert_int_equal(dead_letter_attributes(letter, &arena, &attributes), ERR_OK);
    return attributes;
}

static struct dead_letter read_letter(struct attributes attributes)
{
    struct dead_letter letter;
    assert_int_equal(
        dead_letter_read(TEXT("body"), attributes, TEXT("77"), 1234567, &arena, &letter), ERR_OK);
    return letter;
}

static void assert_letters_equal(const struct dead_letter *a, const struct dead_letter *b)
{
    assert_true(hash_equal(&a->id, &b->id));
    assert_int_equal(a->reason, b->reason);
    assert_true(text_equal(a->detail, b->detail));
    assert_true(text_equal(a->body, b->body));
    assert_true(text_equal(a->source_topic, b->source_topic));
    assert_true(text_equal(a->source_message_id, b->source_message_id));
    assert_int_equal(a->first_seen_us, b->first_seen_us);
    assert_int_equal(a->order_id, b->order_id);
    assert_int_equal(a->payment_id, b->payment_id);
    assert_true(text_equal(a->event_id, b->event_id));
    assert_int_equal(a->attempts, b->attempts);
    assert_int_equal(a->replay_count, b->replay_count);
    assert_int_equal(a->redacted, b->redacted);
    assert_int_equal(a->rebuilt, b->rebuilt);
}

static void assert_attribute(struct attributes attributes, const char *key, const char *expected)
{
    const struct text value = attributes_get(attributes, text_of(key));
    assert_non_null(value.data);
    assert_text(value, expected);
}

static void attributes_have_the_contracts_names_and_forms(void **state)
{
    (void)state;
    const struct dead_letter letter = full_letter();
    const struct attributes attributes = attributes_of(&letter);
    char hex[HASH_HEX_SIZE];
    hash_format(&letter.id, hex);
    assert_attribute(attributes, "till_id", hex);
    assert_attribute(attributes, "till_reason", "E_RANGE");
    assert_attribute(attributes, "till_detail",
                     "price: expected a decimal of at most 2 digits after the point");
    assert_attribute(attributes, "till_source_topic", "payments_data");
    assert_attribute(attributes, "till_source_message_id", "9876543210");
    assert_attribute(attributes, "till_first_seen", "2024-01-21T10:01:30.123456Z");
    assert_attribute(attributes, "till_attempts", "4294967295");
    assert_attribute(attributes, "till_replay_count", "3");
    assert_attribute(attributes, "till_order_id", "42");
    assert_attribute(attributes, "till_payment_id", "9223372036854775807");
    assert_attribute(attributes, "till_event_id", "refund-2");
    assert_attribute(attributes, "till_redacted", "true");
    assert_attribute(attributes, "till_rebuilt", "true");
    assert_attribute(attributes, "CloudPubSubDeadLetterSourceTopicPublishTime",
                     "2024-01-21T10:01:30.123456Z");
    assert_attribute(attributes, "CloudPubSubDeadLetterSourceDeliveryCount", "4294967295");
    assert_int_equal(attributes.count, 15);
}

static void what_does_not_apply_is_left_out(void **state)
{
    (void)state;
    struct dead_letter letter = {.reason = REASON_E_EMPTY};
    const struct attributes attributes = attributes_of(&letter);
    static const char *const keys[] = {"till_order_id", "till_payment_id", "till_event_id",
                                       "till_redacted", "till_rebuilt"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        assert_null(attributes_get(attributes, text_of(keys[i])).data);
    }
    assert_int_equal(attributes.count, 10);
    const struct dead_letter got = read_letter(attributes);
    letter.body = TEXT("body");
    assert_letters_equal(&got, &letter);
}

static void attributes_can_be_published(void **state)
{
    (void)state;
    const struct dead_letter letter = full_letter();
    struct buf packed;
    buf_init_heap(&packed, ARENA_CAP);
    assert_int_equal(attributes_pack(attributes_of(&letter), &packed), ERR_OK);
    buf_deinit(&packed);
}

static void letter_survives_the_way_there_and_back(void **state)
{
    (void)state;
    struct dead_letter letter = full_letter();
    letter.body = TEXT("body");
    const struct dead_letter got = read_letter(attributes_of(&letter));
    assert_letters_equal(&got, &letter);
}

static void every_reason_survives(void **state)
{
    (void)state;
    struct dead_letter letter = full_letter();
    for (int reason = REASON_NONE + 1; reason < REASON_COUNT; reason++) {
        arena_reset(&arena);
        letter.reason = (enum reason)reason;
        const struct dead_letter got = read_letter(attributes_of(&letter));
        assert_int_equal(got.reason, reason);
        assert_true(text_equal(got.detail, letter.detail));
    }
}

static struct text draw_text(struct rand *rand, size_t size_max)
{
    const size_t size = (size_t)rand_below(rand, size_max + 1);
    char *text = arena_alloc(&arena, size_max + 1);
    assert_non_null(text);
    for (size_t i = 0; i < size; i++) {
        text[i] = (char)rand_between(rand, ' ', '~');
    }
    return (struct text){text, size};
}

static void random_letters_survive(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, test_seed());
    for (unsigned i = 0; i < 5000; i++) {
        arena_reset(&arena);
        struct dead_letter letter = {
            .reason = (enum reason)rand_between(&rand, 1, REASON_COUNT - 1),
            .detail = draw_text(&rand, REFUSAL_DETAIL_SIZE - 1),
            .body = TEXT("body"),
            .source_topic = draw_text(&rand, 255),
            .source_message_id = draw_text(&rand, 64),
            .first_seen_us = rand_between(&rand, 0, INT64_C(1) << 52),
            .order_id = rand_between(&rand, 0, INT64_MAX),
            .payment_id = rand_between(&rand, 0, 3),
            .event_id = draw_text(&rand, PAYMENT_EVENT_ID_SIZE_MAX),
            .attempts = (uint32_t)rand_u64(&rand),
            .replay_count = (uint32_t)rand_below(&rand, UINT64_C(1) << 31),
            .redacted = rand_chance_ppm(&rand, 500000),
            .rebuilt = rand_chance_ppm(&rand, 500000),
        };
        hash_bytes(&i, sizeof(i), &letter.id);
        const struct dead_letter got = read_letter(attributes_of(&letter));
        assert_letters_equal(&got, &letter);
    }
}

// Reads a full letter in which one attribute is changed, or left out for NULL.
static struct dead_letter read_changed(const char *key, const char *value)
{
    const struct dead_letter letter = full_letter();
    const struct attributes attributes = attributes_of(&letter);
    struct attribute *items = ARENA_ARRAY(&arena, struct attribute, attributes.count + 1);
    assert_non_null(items);
    size_t count = 0;
    for (size_t i = 0; i < attributes.count; i++) {
        // Pub/Sub's own names say the same, so they go along with ours.
        const bool is_pubsubs = text_starts_with(attributes.items[i].key, TEXT("CloudPubSub"));
        if (!is_pubsubs && !text_equal(attributes.items[i].key, text_of(key))) {
            items[count++] = attributes.items[i];
        }
    }
    if (value != NULL) {
        items[count++] = (struct attribute){text_of(key), text_of(value)};
    }
    return read_letter((struct attributes){items, count});
}

static void letter_without_any_attribute_is_a_record(void **state)
{
    (void)state;
    const struct dead_letter got = read_letter((struct attributes){0});
    struct dead_letter expected = {
        .reason = REASON_E_POISON,
        .detail = TEXT("no reason"),
        .body = TEXT("body"),
    };
    dead_letter_id_of_message(TEXT(""), TEXT("77"), 1234567, &expected.id);
    assert_letters_equal(&got, &expected);
}

static void missing_or_garbled_id_is_made_from_the_letter_itself(void **state)
{
    (void)state;
    struct hash expected;
    dead_letter_id_of_message(TEXT("payments_data"), TEXT("77"), 1234567, &expected);
    static const char *const values[] = {
        NULL,
        "",
        "0123456789abcdef0123456789abcde",
        "0123456789abcdef0123456789abcdef0",
        "0123456789abcdef0123456789abcdeg",
        "0123456789ABCDEF0123456789ABCDEF",
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        const struct dead_letter got = read_changed("till_id", values[i]);
        assert_true(hash_equal(&got.id, &expected));
    }
    const struct dead_letter got = read_changed("till_id", "0123456789abcdef0123456789abcdef");
    assert_false(hash_equal(&got.id, &expected));
}

static void unknown_reason_is_poison_and_its_name_is_kept(void **state)
{
    (void)state;
    struct dead_letter got = read_changed("till_reason", "E_FUTURE");
    assert_int_equal(got.reason, REASON_E_POISON);
    assert_text(got.detail, "unknown reason E_FUTURE: price: expected a decimal of at most 2 "
                            "digits after the point");
    got = read_changed("till_reason", NULL);
    assert_int_equal(got.reason, REASON_E_POISON);
    assert_text(got.detail,
                "no reason: price: expected a decimal of at most 2 digits after the point");
    got = read_changed("till_reason", "E\x1b[2J\n");
    assert_int_equal(got.reason, REASON_E_POISON);
    assert_text(got.detail, "unknown reason E\\x1b[2J\\x0a: price: expected a decimal of at most 2 "
                            "digits after the point");
}

static void details_of_strangers_are_escaped_and_cut(void **state)
{
    (void)state;
    assert_text(read_changed("till_detail", "a\nb\\c").detail, "a\\x0ab\\x5cc");
    assert_text(read_changed("till_detail", "\xFF").detail, "\\xff");
    assert_text(read_changed("till_detail", "plain \\ stays").detail, "plain \\ stays");
    assert_text(read_changed("till_detail", NULL).detail, "");
    for (size_t size = REFUSAL_DETAIL_SIZE - 2; size <= REFUSAL_DETAIL_SIZE; size++) {
        char detail[REFUSAL_DETAIL_SIZE + 1];
        memset(detail, 'd', size);
        detail[size] = '\0';
        const struct dead_letter got = read_changed("till_detail", detail);
        const size_t size_max = REFUSAL_DETAIL_SIZE - 1;
        assert_int_equal(got.detail.size, size < size_max ? size : size_max);
    }
    // A cut falls between characters.
    char accents[2 * REFUSAL_DETAIL_SIZE + 1] = "";
    for (size_t i = 0; i < REFUSAL_DETAIL_SIZE; i++) {
        memcpy(accents + 2 * i, "\xC3\xA9", 3);
    }
    const struct dead_letter got = read_changed("till_detail", accents);
    assert_int_equal(got.detail.size, REFUSAL_DETAIL_SIZE - 2);
    assert_int_equal(text_utf8_valid_prefix(got.detail), got.detail.size);
}

// Row 66 of the table of bad input: what can't be counted must not be replayed again.
static void replay_count_that_is_no_number_counts_as_the_highest(void **state)
{
    (void)state;
    assert_int_equal(read_changed("till_replay_count", NULL).replay_count, 0);
    assert_int_equal(read_changed("till_replay_count", "0").replay_count, 0);
    assert_int_equal(read_changed("till_replay_count", "2147483646").replay_count, 2147483646);
    assert_int_equal(read_changed("till_replay_count", "2147483647").replay_count, 2147483647);
    static const char *const values[] = {
        "2147483648", "abc", "-1", "", "1.0", " 1", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_int_equal(read_changed("till_replay_count", values[i]).replay_count, UINT32_MAX);
    }
}

static void other_numbers_that_cannot_be_read_are_zero(void **state)
{
    (void)state;
    static const char *const values[] = {
        NULL, "", "abc", "-1", "1.0", "9223372036854775808", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_int_equal(read_changed("till_order_id", values[i]).order_id, 0);
        assert_int_equal(read_changed("till_payment_id", values[i]).payment_id, 0);
        assert_int_equal(read_changed("till_attempts", values[i]).attempts, 0);
        assert_int_equal(read_changed("till_first_seen", values[i]).first_seen_us, 0);
    }
    assert_int_equal(read_changed("till_order_id", "9223372036854775807").order_id, INT64_MAX);
    assert_int_equal(read_changed("till_attempts", "4294967294").attempts, UINT32_MAX - 1);
    assert_int_equal(read_changed("till_attempts", "4294967295").attempts, UINT32_MAX);
    assert_int_equal(read_changed("till_attempts", "4294967296").attempts, 0);
    assert_int_equal(read_changed("till_first_seen", "2024-01-21T37:01:30Z").first_seen_us, 0);
}

static void other_texts_may_be_missing(void **state)
{
    (void)state;
    assert_text(read_changed("till_source_topic", NULL).source_topic, "");
    assert_text(read_changed("till_source_message_id", NULL).source_message_id, "");
    assert_text(read_changed("till_event_id", NULL).event_id, "");
    assert_false(read_changed("till_redacted", NULL).redacted);
    assert_false(read_changed("till_redacted", "yes").redacted);
    assert_false(read_changed("till_rebuilt", "TRUE").rebuilt);
}

static void event_id_beyond_its_limit_is_dropped(void **state)
{
    (void)state;
    for (size_t size = PAYMENT_EVENT_ID_SIZE_MAX - 1; size <= PAYMENT_EVENT_ID_SIZE_MAX + 1;
         size++) {
        char id[PAYMENT_EVENT_ID_SIZE_MAX + 2];
        memset(id, 'e', size);
        id[size] = '\0';
        assert_int_equal(read_changed("till_event_id", id).event_id.size,
                         size <= PAYMENT_EVENT_ID_SIZE_MAX ? size : 0);
    }
    const struct attribute zero_byte = {TEXT("till_event_id"), TEXT("a\0b")};
    assert_text(read_letter((struct attributes){&zero_byte, 1}).event_id, "");
}

static void pubsubs_own_names_are_understood(void **state)
{
    (void)state;
    const struct attribute items[] = {
        {TEXT("CloudPubSubDeadLetterSourceDeliveryCount"), TEXT("5")},
        {TEXT("CloudPubSubDeadLetterSourceTopicPublishTime"),
         TEXT("2024-01-21T10:01:30.123+00:00")},
    };
    const struct dead_letter got = read_letter((struct attributes){items, 2});
    assert_int_equal(got.attempts, 5);
    assert_int_equal(got.first_seen_us, INT64_C(1705831290123000));
}

static void texts_point_into_the_attributes(void **state)
{
    (void)state;
    const struct dead_letter letter = full_letter();
    const struct attributes attributes = attributes_of(&letter);
    const size_t mark = arena_mark(&arena);
    const struct dead_letter got = read_letter(attributes);
    assert_int_equal(arena_mark(&arena), mark);
    assert_ptr_equal(got.detail.data, attributes_get(attributes, TEXT("till_detail")).data);
}

// Every size of arena up to enough.
static void arena_that_is_too_small_is_told(void **state)
{
    (void)state;
    const struct dead_letter letter = full_letter();
    unsigned refused_count = 0;
    for (size_t cap = 1;; cap += 7) {
        assert_true(cap < 4096);
        struct arena small;
        assert_int_equal(arena_init(&small, cap), ERR_OK);
        struct attributes attributes = {0};
        const enum err err = dead_letter_attributes(&letter, &small, &attributes);
        if (err == ERR_OK) {
            assert_int_equal(attributes.count, 15);
            arena_deinit(&small);
            break;
        }
        assert_int_equal(err, ERR_NO_MEMORY);
        assert_int_equal(attributes.count, 0);
        refused_count++;
        arena_deinit(&small);
    }
    assert_true(refused_count > 10);
    struct arena small;
    assert_int_equal(arena_init(&small, 16), ERR_OK);
    struct dead_letter got;
    const struct attribute reason = {TEXT("till_reason"), TEXT("E_FUTURE")};
    assert_int_equal(
        dead_letter_read(TEXT(""), (struct attributes){&reason, 1}, TEXT("77"), 0, &small, &got),
        ERR_NO_MEMORY);
    arena_deinit(&small);
}

#define LETTER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LETTER_TEST(attributes_have_the_contracts_names_and_forms),
        LETTER_TEST(what_does_not_apply_is_left_out),
        LETTER_TEST(attributes_can_be_published),
        LETTER_TEST(letter_survives_the_way_there_and_back),
        LETTER_TEST(every_reason_survives),
        LETTER_TEST(random_letters_survive),
        LETTER_TEST(letter_without_any_attribute_is_a_record),
        LETTER_TEST(missing_or_garbled_id_is_made_from_the_letter_itself),
        LETTER_TEST(unknown_reason_is_poison_and_its_name_is_kept),
        LETTER_TEST(details_of_strangers_are_escaped_and_cut),
        LETTER_TEST(replay_count_that_is_no_number_counts_as_the_highest),
        LETTER_TEST(other_numbers_that_cannot_be_read_are_zero),
        LETTER_TEST(other_texts_may_be_missing),
        LETTER_TEST(event_id_beyond_its_limit_is_dropped),
        LETTER_TEST(pubsubs_own_names_are_understood),
        LETTER_TEST(texts_point_into_the_attributes),
        LETTER_TEST(arena_that_is_too_small_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
