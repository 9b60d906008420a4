// Identities of dead letters.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "dead_letter.h"

#define PUBLISHED_US INT64_C(1705831290123456)

static struct hash id_of_message(const char *topic, const char *message_id, int64_t published_us)
{
    struct hash id;
    dead_letter_id_of_message(text_of(topic), text_of(message_id), published_us, &id);
    return id;
}

static void messages_have_ids_of_their_own(void **state)
{
    (void)state;
    const struct hash ids[] = {
        id_of_message("orders", "12", 3), id_of_message("orders", "12", 4),
        id_of_message("orders", "1", 3),  id_of_message("orders1", "2", 3),
        id_of_message("", "orders12", 3), id_of_message("orders12", "", 3),
    };
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        for (size_t j = 0; j < i; j++) {
            assert_false(hash_equal(&ids[i], &ids[j]));
        }
    }
    const struct hash again = id_of_message("orders", "12", 3);
    assert_true(hash_equal(&ids[0], &again));
}

// Stored ids must mean the same for ever.
static void ids_are_the_same_in_every_version(void **state)
{
    (void)state;
    char hex[HASH_HEX_SIZE];
    const struct hash message = id_of_message("orders_data", "12", PUBLISHED_US);
    hash_format(&message, hex);
    assert_string_equal(hex, "c23842320906da905732115f78d41614");
    const struct event event = {
        .kind = EVENT_PAYMENT, .order_id = 42, .entity_id = 1042, .event_id = TEXT("Completed")};
    struct hash id;
    dead_letter_id_of_event(REASON_E_UNMATCHED, &event, &id);
    hash_format(&id, hex);
    assert_string_equal(hex, "2343ca7dd6f08479cf6bfa68e4b4dd2e");
}

static void every_part_of_an_events_identity_counts(void **state)
{
    (void)state;
    const struct event base = {.kind = EVENT_PAYMENT,
                               .order_id = 42,
                               .entity_id = 1042,
                               .version_rank = 7,
                               .event_id = TEXT("Completed")};
    struct event changed[6] = {base, base, base, base, base, base};
    changed[0].kind = EVENT_ORDER;
    changed[1].order_id = 43;
    changed[2].entity_id = 1043;
    changed[3].version_rank = 8;
    changed[4].event_id = TEXT("Complete");
    changed[5].hash.bytes[15] = 1;
    struct hash id;
    dead_letter_id_of_event(REASON_E_CONFLICT, &base, &id);
    struct hash other;
    for (size_t i = 0; i < 6; i++) {
        dead_letter_id_of_event(REASON_E_CONFLICT, &changed[i], &other);
        assert_false(hash_equal(&id, &other));
    }
    dead_letter_id_of_event(REASON_E_UNMATCHED, &base, &other);
    assert_false(hash_equal(&id, &other));
    // When it was published is no part of it.
    struct event later = base;
    later.published_us = 99;
    dead_letter_id_of_event(REASON_E_CONFLICT, &later, &other);
    assert_true(hash_equal(&id, &other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_have_ids_of_their_own),
        cmocka_unit_test(ids_are_the_same_in_every_version),
        cmocka_unit_test(every_part_of_an_events_identity_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
