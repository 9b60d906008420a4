// Every limit one below, at, and one above.
#include "broker_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the four before it
#include <cmocka.h>

static enum err publish_sized(struct rig *rig, size_t count, size_t size,
                              struct attributes attributes)
{
    char *body = malloc(size + 1);
    struct broker_outgoing *messages = calloc(count, sizeof(*messages));
    assert_non_null(body);
    assert_non_null(messages);
    memset(body, 'x', size);
    for (size_t i = 0; i < count; i++) {
        messages[i] = (struct broker_outgoing){{body, size}, attributes};
    }
    enum err err = broker_publish(rig->broker, rig->topic, messages, count, &rig->why);
    free(messages);
    free(body);
    return err;
}

static const struct attributes none = {0};

static void message_size_is_limited(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(publish_sized(rig, 1, BROKER_MESSAGE_SIZE_MAX - 1, none), ERR_OK);
    assert_int_equal(publish_sized(rig, 1, BROKER_MESSAGE_SIZE_MAX, none), ERR_OK);
    assert_int_equal(publish_sized(rig, 1, BROKER_MESSAGE_SIZE_MAX + 1, none), ERR_TOO_LARGE);
    assert_int_equal(rig_pull(rig, 5), 2);
    assert_int_equal(rig->pulled[0].data.size, BROKER_MESSAGE_SIZE_MAX - 1);
    assert_int_equal(rig->pulled[1].data.size, BROKER_MESSAGE_SIZE_MAX);
}

static void attributes_count_towards_the_message_size(void **state)
{
    struct rig *rig = *state;
    const struct attribute item = {TEXT("k"), TEXT("v")}; // 6 bytes packed
    const struct attributes one = {&item, 1};
    assert_int_equal(publish_sized(rig, 1, BROKER_MESSAGE_SIZE_MAX - 6, one), ERR_OK);
    assert_int_equal(publish_sized(rig, 1, BROKER_MESSAGE_SIZE_MAX - 5, one), ERR_TOO_LARGE);
}

static void attributes_are_limited(void **state)
{
    struct rig *rig = *state;
    static char long_text[ATTRIBUTE_VALUE_SIZE_MAX + 1];
    memset(long_text, 'x', sizeof(long_text));
    struct attribute items[ATTRIBUTE_COUNT_MAX + 1];
    for (size_t i = 0; i <= ATTRIBUTE_COUNT_MAX; i++) {
        items[i] = (struct attribute){TEXT("k"), TEXT("v")};
    }
    const struct {
        size_t count;
        size_t key_size;
        size_t value_size;
        enum err err;
    } cases[] = {
        {ATTRIBUTE_COUNT_MAX - 1, 1, 1, ERR_OK},
        {ATTRIBUTE_COUNT_MAX, 1, 1, ERR_OK},
        {ATTRIBUTE_COUNT_MAX + 1, 1, 1, ERR_TOO_LARGE},
        {1, 0, 1, ERR_TOO_LARGE},
        {1, ATTRIBUTE_KEY_SIZE_MAX, 0, ERR_OK},
        {1, ATTRIBUTE_KEY_SIZE_MAX + 1, 0, ERR_TOO_LARGE},
        {1, 1, ATTRIBUTE_VALUE_SIZE_MAX, ERR_OK},
        {1, 1, ATTRIBUTE_VALUE_SIZE_MAX + 1, ERR_TOO_LARGE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        items[0] =
            (struct attribute){{long_text, cases[i].key_size}, {long_text, cases[i].value_size}};
        const struct attributes attributes = {items, cases[i].count};
        assert_int_equal(publish_sized(rig, 1, 1, attributes), cases[i].err);
    }
}

static void messages_of_a_call_are_limited(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(rig_try_publish_many(rig, "a", 0), ERR_OK);
    assert_int_equal(rig_try_publish_many(rig, "a", BROKER_PUBLISH_COUNT_MAX - 1), ERR_OK);
    assert_int_equal(rig_try_publish_many(rig, "a", BROKER_PUBLISH_COUNT_MAX), ERR_OK);
    assert_int_equal(rig_try_publish_many(rig, "a", BROKER_PUBLISH_COUNT_MAX + 1), ERR_TOO_LARGE);
    assert_int_equal(rig_backlog(rig).published, 2 * BROKER_PUBLISH_COUNT_MAX - 1);
}

static void bytes_of_a_call_are_limited(void **state)
{
    struct rig *rig = *state;
    const size_t part = BROKER_PUBLISH_SIZE_MAX / 8; // a power of two: 8 calls' messages fill it
    assert_int_equal(publish_sized(rig, 8, part - 1, none), ERR_OK);
    assert_int_equal(publish_sized(rig, 8, part, none), ERR_OK);
    assert_int_equal(publish_sized(rig, 9, part, none), ERR_TOO_LARGE);
    assert_int_equal(rig_backlog(rig).published, 16);
}

static void call_with_one_message_too_large_publishes_none(void **state)
{
    struct rig *rig = *state;
    char *body = calloc(1, BROKER_MESSAGE_SIZE_MAX + 1);
    assert_non_null(body);
    const struct broker_outgoing messages[] = {
        {.data = TEXT("small")},
        {.data = {body, BROKER_MESSAGE_SIZE_MAX + 1}},
    };
    assert_int_equal(broker_publish(rig->broker, rig->topic, messages, 2, &rig->why),
                     ERR_TOO_LARGE);
    free(body);
    assert_int_equal(rig_backlog(rig).published, 0);
}

static void backlog_of_a_topic_is_limited(void **state)
{
    struct rig *rig = *state;
    rig_close(rig);
    rig->options.backlog_max = 10;
    rig_open(rig);
    rig_publish_many(rig, "a", 8);
    assert_int_equal(rig_try_publish_many(rig, "b", 3), ERR_FULL);
    rig_publish(rig, "c"); // 9
    rig_publish(rig, "d"); // 10
    assert_int_equal(rig_try_publish_many(rig, "e", 1), ERR_FULL);
    assert_int_equal(rig_backlog(rig).published, 10);
    assert_int_equal(rig_pull(rig, 1), 1);
    rig_ack(rig);
    rig_publish(rig, "f");
    assert_int_equal(rig_try_publish_many(rig, "g", 1), ERR_FULL);
}

static void backlog_counts_from_the_slowest_subscription(void **state)
{
    struct rig *rig = *state;
    rig_close(rig);
    rig->options.backlog_max = 10;
    rig_open(rig);
    uint32_t slow = 0;
    assert_int_equal(broker_subscription_create(rig->broker, rig->topic, TEXT("slow"), &slow, NULL),
                     ERR_OK);
    rig_publish_many(rig, "a", 10);
    assert_int_equal(rig_pull(rig, 10), 10);
    rig_ack(rig);
    assert_int_equal(rig_try_publish_many(rig, "b", 1), ERR_FULL);
}

static void publish_without_a_subscription_is_refused(void **state)
{
    struct rig *rig = *state;
    uint32_t lonely = 0;
    assert_int_equal(broker_topic_create(rig->broker, TEXT("lonely"), &lonely, NULL), ERR_OK);
    struct broker_outgoing message = {.data = TEXT("x")};
    assert_int_equal(broker_publish(rig->broker, lonely, &message, 1, &rig->why), ERR_NOT_FOUND);
    assert_non_null(strstr(rig->why.text, "lonely"));
    assert_int_equal(rig->why.code, ERR_NOT_FOUND);
}

static void file_size_is_limited_and_acks_make_room_again(void **state)
{
    struct rig *rig = *state;
    rig_close(rig);
    rig->options.size_max = 4 * 1024 * 1024;
    rig_open(rig);
    for (int round = 0; round < 3; round++) {
        size_t published = 0;
        while (rig_try_publish_many(rig, "some bytes of a message body ", 1000) == ERR_OK) {
            published += 1000;
            assert_in_range(published, 1, 200000);
        }
        assert_int_equal(rig->why.code, ERR_FULL);
        assert_in_range(published, 10000, 200000);
        while (rig_pull(rig, 5000) > 0) {
            rig_ack(rig);
        }
    }
    assert_int_equal(rig_backlog(rig).unacked, 0);
    rig_close(rig);
    assert_in_range(rig_sql_number(rig, "SELECT page_count*page_size FROM pragma_page_count,"
                                        " pragma_page_size"),
                    1, 4 * 1024 * 1024);
}

static void acked_part_of_a_full_file_makes_room(void **state)
{
    struct rig *rig = *state;
    rig_close(rig);
    rig->options.size_max = 4 * 1024 * 1024;
    rig_open(rig);
    while (rig_try_publish_many(rig, "some bytes of a message body ", 1000) == ERR_OK) {
    }
    assert_int_equal(rig_pull(rig, 5000), 5000); // the rest stays unacked
    rig_ack(rig);
    rig_publish_many(rig, "again ", 1000);
}

static void reserve_of_the_disk_stops_publishing_and_not_consuming(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "a", 3);
    rig_close(rig);
    rig->options.disk_reserve_size = UINT64_MAX;
    rig_open(rig);
    assert_int_equal(rig_try_publish_many(rig, "b", 1), ERR_FULL);
    assert_non_null(strstr(rig->why.text, "reserve"));
    assert_int_equal(rig_pull(rig, 10), 3);
    rig_ack(rig);
    assert_int_equal(broker_flush(rig->broker, NULL), ERR_OK);
    assert_int_equal(rig_try_publish_many(rig, "b", 1), ERR_FULL);
    rig_close(rig);
    rig->options.disk_reserve_size = 1;
    rig_open(rig);
    rig_publish(rig, "c");
}

static void names_are_checked(void **state)
{
    struct rig *rig = *state;
    char longest[BROKER_NAME_SIZE_MAX + 1];
    memset(longest, 'n', sizeof(longest));
    const struct {
        struct text name;
        enum err err;
    } cases[] = {
        {TEXT(""), ERR_INVALID},
        {TEXT("a"), ERR_OK},
        {TEXT("1a"), ERR_INVALID},
        {TEXT("a'; DROP TABLE topics; --"), ERR_INVALID},
        {TEXT("a\0b"), ERR_INVALID},
        {TEXT("aZ09-_.~+%"), ERR_OK},
        {{longest, BROKER_NAME_SIZE_MAX - 1}, ERR_OK},
        {{longest, BROKER_NAME_SIZE_MAX}, ERR_OK},
        {{longest, BROKER_NAME_SIZE_MAX + 1}, ERR_INVALID},
    };
    uint32_t number = 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(broker_topic_create(rig->broker, cases[i].name, &number, NULL),
                         cases[i].err);
        assert_int_equal(
            broker_subscription_create(rig->broker, rig->topic, cases[i].name, &number, NULL),
            cases[i].err);
    }
}

static void topics_and_subscriptions_are_limited(void **state)
{
    struct rig *rig = *state;
    uint32_t number = 0;
    char name[3] = "aa";
    for (unsigned i = 1; i <= BROKER_TOPIC_COUNT_MAX; i++) { // one of each is there already
        name[0] = (char)('a' + i / 26);
        name[1] = (char)('a' + i % 26);
        enum err expected = i < BROKER_TOPIC_COUNT_MAX ? ERR_OK : ERR_FULL;
        assert_int_equal(broker_topic_create(rig->broker, text_of(name), &number, NULL), expected);
        assert_int_equal(
            broker_subscription_create(rig->broker, rig->topic, text_of(name), &number, NULL),
            i < BROKER_SUBSCRIPTION_COUNT_MAX ? ERR_OK : ERR_FULL);
    }
    rig_reopen(rig);
    rig_publish(rig, "x");
    assert_int_equal(rig_pull_from(rig, BROKER_SUBSCRIPTION_COUNT_MAX - 1, 1), 1);
    rig_close(rig);
    assert_int_equal(rig_sql_number(rig, "SELECT count(*) FROM messages"), 1);
}

static void pull_gives_at_most_its_limit(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "a", BROKER_PULL_COUNT_MAX + 2);
    assert_int_equal(rig_pull(rig, BROKER_PULL_COUNT_MAX + 1), BROKER_PULL_COUNT_MAX);
    assert_int_equal(rig_pull(rig, 1), 1);
    assert_int_equal(rig_pull(rig, SIZE_MAX), 1);
}

static void outstanding_limit_leaves_redeliveries_only(void **state)
{
    struct rig *rig = *state;
    rig_publish_many(rig, "a", BROKER_OUTSTANDING_MAX + 10);
    uint64_t first = 0;
    size_t total = 0;
    for (size_t count = 0; (count = rig_pull(rig, BROKER_PULL_COUNT_MAX)) > 0; total += count) {
        if (total == 0) {
            first = rig->handles[0];
        }
    }
    assert_int_equal(total, BROKER_OUTSTANDING_MAX);
    rig_nack_one(rig, first);
    assert_int_equal(rig_pull(rig, 10), 1);
    rig_expect(rig, 0, 1, "a1", 2);
    rig_ack(rig);
    assert_int_equal(rig_pull(rig, 10), 1);
    assert_int_equal(rig->pulled[0].sequence, BROKER_OUTSTANDING_MAX + 1);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        CLAIM(message_size_is_limited),
        CLAIM(attributes_count_towards_the_message_size),
        CLAIM(attributes_are_limited),
        CLAIM(messages_of_a_call_are_limited),
        CLAIM(bytes_of_a_call_are_limited),
        CLAIM(call_with_one_message_too_large_publishes_none),
        CLAIM(backlog_of_a_topic_is_limited),
        CLAIM(backlog_counts_from_the_slowest_subscription),
        CLAIM(publish_without_a_subscription_is_refused),
        CLAIM(file_size_is_limited_and_acks_make_room_again),
        CLAIM(acked_part_of_a_full_file_makes_room),
        CLAIM(reserve_of_the_disk_stops_publishing_and_not_consuming),
        CLAIM(names_are_checked),
        CLAIM(topics_and_subscriptions_are_limited),
        CLAIM(pull_gives_at_most_its_limit),
        CLAIM(outstanding_limit_leaves_redeliveries_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
