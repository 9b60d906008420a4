// The small parts: bytes on the wire, timers, back-off, ack latency, statuses, payloads.
#include "ack_latency.h"
#include "backoff.h"
#include "clock.h"
#include "message_wire.h"
#include "payload.h"
#include "rpc_status.h"
#include "timers.h"
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

// --- wire ---------------------------------------------------------------------------------------

static void number_takes_as_many_bytes_as_it_says(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits <= 64; bits++) {
        uint64_t edge = bits == 64 ? UINT64_MAX : UINT64_C(1) << bits;
        for (uint64_t value = edge - 1; value - (edge - 1) <= 1; value++) {
            char bytes[16];
            struct wire_reader reader;
            struct wire_field field;
            char *end = wire_put_number(bytes, 3, value);
            assert_int_equal(end - bytes, wire_number_size(value));
            wire_reader_init(&reader, (struct text){bytes, (size_t)(end - bytes)});
            assert_true(wire_next(&reader, &field));
            assert_true(wire_is_number(&field, 3));
            assert_true(field.value == value);
            assert_false(wire_next(&reader, &field));
            assert_false(reader.damaged);
        }
    }
    assert_int_equal(wire_varint_size(127), 1);
    assert_int_equal(wire_varint_size(128), 2);
    assert_int_equal(wire_varint_size(UINT64_MAX), 10);
}

static bool reads_whole(struct text bytes)
{
    struct wire_reader reader;
    struct wire_field field;
    wire_reader_init(&reader, bytes);
    while (wire_next(&reader, &field)) {
    }
    return !reader.damaged;
}

static void damaged_bytes_are_never_read_beyond(void **state)
{
    static const struct {
        struct text bytes;
        bool good;
    } cases[] = {
        {TEXT(""), true},
        {TEXT("\x0a\x00"), true},
        {TEXT("\x0a\x01x"), true},
        {TEXT("\x0a\x02x"), false},                                        // shorter than it says
        {TEXT("\x0a"), false},                                             // without its size
        {TEXT("\x08"), false},                                             // without its value
        {TEXT("\x08\x80"), false},                                         // a number that goes on
        {TEXT("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), false}, // longer than 64 bits
        {TEXT("\x00\x01"), false},                                         // field 0
        {TEXT("\x0d\x01\x02\x03\x04"), true},                              // 32 bits
        {TEXT("\x0d\x01\x02\x03"), false},
        {TEXT("\x09\x01\x02\x03\x04\x05\x06\x07\x08"), true}, // 64 bits
        {TEXT("\x09\x01\x02\x03\x04\x05\x06\x07"), false},
        {TEXT("\x0b"), false},                                     // a group
        {TEXT("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), false}, // a size beyond all memory
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        // On the heap, so that a byte too far is seen.
        char *copy = malloc(cases[i].bytes.size + 1);
        assert_non_null(copy);
        copy = realloc(copy, cases[i].bytes.size > 0 ? cases[i].bytes.size : 1);
        assert_non_null(copy);
        memcpy(copy, cases[i].bytes.data, cases[i].bytes.size);
        assert_int_equal(reads_whole((struct text){copy, cases[i].bytes.size}), cases[i].good);
        free(copy);
    }
}

static void written_message_is_read_back(void **state)
{
    static const struct attribute items[] = {{TEXT("k"), TEXT("v")}, {TEXT("empty"), TEXT("")}};
    const struct pubsub_outgoing message = {
        .data = TEXT("body\0with zero"), .attributes = {items, 2}, .ordering_key = TEXT("key")};
    char bytes[200];
    struct received_body body;
    struct attribute attributes[2];
    (void)state;
    char *end = message_write(bytes, &message);
    assert_int_equal(end - bytes, message_size(&message));
    const struct text encoded = {bytes, (size_t)(end - bytes)};
    assert_true(received_body_read(encoded, &body));
    assert_true(text_equal(body.data, message.data));
    assert_true(text_equal(body.ordering_key, message.ordering_key));
    assert_int_equal(body.attribute_count, 2);
    received_attributes_read(encoded, attributes);
    assert_true(text_equal(attributes[0].key, TEXT("k")));
    assert_true(text_equal(attributes[0].value, TEXT("v")));
    assert_true(text_equal(attributes[1].key, TEXT("empty")));
    assert_int_equal(attributes[1].value.size, 0);
    for (size_t size = 0; size < encoded.size; size++) { // cut anywhere: read or refused
        if (received_body_read((struct text){bytes, size}, &body)) {
            assert_true(body.attribute_count <= 2);
        }
    }
}

static void publish_time_out_of_range_is_refused(void **state)
{
    static const struct {
        struct text body;
        bool good;
    } cases[] = {
        {TEXT("\x22\x00"), true},                          // 1970
        {TEXT("\x22\x06\x10\xff\x93\xeb\xdc\x03"), true},  // 999,999,999 ns
        {TEXT("\x22\x06\x10\x80\x94\xeb\xdc\x03"), false}, // a whole second of them
        {TEXT("\x22\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), false}, // before 1970
        {TEXT("\x22\x02\x08"), false},
    };
    struct received_body body;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(received_body_read(cases[i].body, &body), cases[i].good);
    }
}

// --- timers -------------------------------------------------------------------------------------

struct fired {
    struct timers *timers;
    struct timer timer;
    char name;
    char *log;
    int64_t again_ns; // sets itself for then, once
};

static void fire(void *context)
{
    struct fired *fired = context;
    size_t used = strlen(fired->log);
    fired->log[used] = fired->name;
    if (fired->again_ns != 0) {
        timers_set(fired->timers, &fired->timer, fired->again_ns);
        fired->again_ns = 0;
    }
}

static void timers_fire_in_order_when_due(void **state)
{
    struct timers timers = {0};
    char log[32] = "";
    struct fired items[5];
    (void)state;
    for (int i = 0; i < 5; i++) {
        items[i] = (struct fired){.timers = &timers, .name = (char)('a' + i), .log = log};
        items[i].timer = (struct timer){.fire = fire, .context = &items[i]};
    }
    assert_true(timers_next_ns(&timers) == TIMER_NEVER);
    timers_set(&timers, &items[2].timer, 30);
    timers_set(&timers, &items[0].timer, 10);
    timers_set(&timers, &items[3].timer, 30); // the same moment: in the order of setting
    timers_set(&timers, &items[1].timer, 20);
    timers_set(&timers, &items[4].timer, 5);
    timers_set(&timers, &items[4].timer, 40); // set again: later now
    items[0].again_ns = 25;
    assert_int_equal(timers_next_ns(&timers), 10);
    timers_run(&timers, 9);
    assert_string_equal(log, "");
    timers_run(&timers, 10);
    assert_string_equal(log, "a");
    timers_clear(&timers, &items[1].timer);
    timers_clear(&timers, &items[1].timer);
    timers_run(&timers, 35);
    assert_string_equal(log, "aacd");
    timers_run(&timers, 1000);
    assert_string_equal(log, "aacde");
    assert_null(timers.first);
    assert_null(timers.last);
}

// --- back-off -----------------------------------------------------------------------------------

static void waits_double_with_jitter_up_to_the_last(void **state)
{
    const struct backoff_rules rules = {100, 1000, 1000000000};
    struct backoff backoff;
    struct rand rand;
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        static const int64_t longest[] = {100, 200, 400, 800, 1000, 1000, 1000};
        rand_seed(&rand, seed);
        backoff_start(&backoff, 0);
        for (size_t i = 0; i < sizeof(longest) / sizeof(longest[0]); i++) {
            int64_t wait_us = 0;
            assert_true(backoff_next(&backoff, &rules, 0, &rand, &wait_us));
            assert_in_range(wait_us, longest[i] / 2, longest[i]);
        }
    }
}

static void trying_ends_when_the_next_wait_would_be_too_long(void **state)
{
    const struct backoff_rules rules = {100, 100, 1000};
    struct backoff backoff;
    struct rand rand;
    int64_t wait_us = 0;
    (void)state;
    rand_seed(&rand, 1);
    backoff_start(&backoff, 5000000);
    assert_true(backoff_next(&backoff, &rules, 5000000 + 900 * 1000, &rand, &wait_us));
    assert_false(backoff_next(&backoff, &rules, 5000000 + 951 * 1000, &rand, &wait_us));
    const struct backoff_rules forever = {100, 100, INT64_MAX / 4};
    backoff.failures = UINT32_MAX - 1;
    assert_true(backoff_next(&backoff, &forever, INT64_MAX / 8, &rand, &wait_us));
}

// --- ack latency --------------------------------------------------------------------------------

static void lease_covers_99_of_100_acks(void **state)
{
    static struct ack_latency latency;
    (void)state;
    memset(&latency, 0, sizeof(latency));
    assert_int_equal(ack_latency_lease(&latency, 10, 600), 10);
    ack_latency_add(&latency, 100 * NS_PER_SECOND, 98);
    ack_latency_add(&latency, 300 * NS_PER_SECOND, 2);
    assert_int_equal(ack_latency_lease(&latency, 10, 600), 300); // 98 of 100 are not enough
    ack_latency_add(&latency, 99 * NS_PER_SECOND + 1, 100);      // rounded up to 100 s
    assert_int_equal(ack_latency_lease(&latency, 10, 600), 100);
    assert_int_equal(ack_latency_lease(&latency, 10, 60), 60);
    assert_int_equal(ack_latency_lease(&latency, 200, 600), 200);
    ack_latency_add(&latency, INT64_MAX / 2, 1000000);
    assert_int_equal(ack_latency_lease(&latency, 10, 600), 600);
}

static void old_latencies_are_forgotten(void **state)
{
    static struct ack_latency latency;
    (void)state;
    memset(&latency, 0, sizeof(latency));
    ack_latency_add(&latency, 500 * NS_PER_SECOND, 900000);
    for (int i = 0; i < 100; i++) {
        ack_latency_add(&latency, 1, 100000);
        assert_true(latency.total <= 1000000);
    }
    assert_int_equal(ack_latency_lease(&latency, 10, 600), 10);
}

static void extension_comes_with_time_in_reserve(void **state)
{
    (void)state;
    assert_int_equal(lease_extend_at_ns(0, 2 * US_PER_SECOND), 1 * NS_PER_SECOND);
    assert_int_equal(lease_extend_at_ns(0, 10 * US_PER_SECOND), 5 * NS_PER_SECOND);
    assert_int_equal(lease_extend_at_ns(7, 20 * US_PER_SECOND), 15 * NS_PER_SECOND + 7);
    assert_int_equal(lease_extend_at_ns(0, 60 * US_PER_SECOND), 48 * NS_PER_SECOND);
    assert_int_equal(lease_extend_at_ns(0, 600 * US_PER_SECOND), 480 * NS_PER_SECOND);
}

// --- statuses and payloads ----------------------------------------------------------------------

static void every_status_has_an_error_and_a_class(void **state)
{
    static const enum err_class classes[] = {
        ERR_CLASS_NONE,   ERR_CLASS_RETRY,  ERR_CLASS_RETRY, ERR_CLASS_REJECT, ERR_CLASS_RETRY,
        ERR_CLASS_REJECT, ERR_CLASS_REJECT, ERR_CLASS_STOP,  ERR_CLASS_RETRY,  ERR_CLASS_REJECT,
        ERR_CLASS_RETRY,  ERR_CLASS_REJECT, ERR_CLASS_STOP,  ERR_CLASS_RETRY,  ERR_CLASS_RETRY,
        ERR_CLASS_STOP,   ERR_CLASS_STOP};
    (void)state;
    for (int code = 0; code < 17; code++) {
        assert_int_equal(err_class_of(rpc_error(code)), classes[code]);
    }
    assert_string_equal(rpc_code_name(14), "UNAVAILABLE");
    assert_int_equal(rpc_error(-1), ERR_UNAVAILABLE);
    assert_int_equal(rpc_error(17), ERR_UNAVAILABLE);
    assert_non_null(rpc_code_name(17));
}

static void services_words_are_kept_and_made_safe(void **state)
{
    struct why why = {0};
    char long_text[2000];
    struct rpc_status status = {.code = RPC_NOT_FOUND, .message = TEXT("gone\x1b[2J")};
    (void)state;
    assert_int_equal(rpc_status_explain(&status, &why), ERR_NOT_FOUND);
    assert_string_equal(why.text, "NOT_FOUND: gone\\x1b[2J");
    memset(long_text, '\x01', sizeof(long_text));
    status.message = (struct text){long_text, sizeof(long_text)};
    assert_int_equal(rpc_status_explain(&status, &why), ERR_NOT_FOUND);
    assert_true(strlen(why.text) > 100);
    status.message = (struct text){0};
    assert_int_equal(rpc_status_explain(&status, &why), ERR_NOT_FOUND);
    assert_string_equal(why.text, "NOT_FOUND");
    assert_int_equal(rpc_status_explain(&status, NULL), ERR_NOT_FOUND);
}

static void payload_lives_as_long_as_somebody_holds_it(void **state)
{
    struct payload_writer writer = {0};
    (void)state;
    for (size_t i = 0; i < 1000; i++) {
        char *room = payload_reserve(&writer, 7);
        assert_non_null(room);
        memcpy(room, "1234567", 7);
    }
    struct payload *payload = payload_finish(&writer);
    assert_non_null(payload);
    assert_int_equal(payload->bytes.size, 7000);
    assert_memory_equal(payload->bytes.data + 6993, "1234567", 7);
    struct payload *other = payload_reference(payload);
    payload_release(&payload);
    assert_null(payload);
    assert_memory_equal(other->bytes.data, "1234567", 7);
    payload_release(&other);
    payload_release(&other);
    payload_release(NULL);
    struct payload *empty = payload_copy((struct text){0});
    assert_non_null(empty);
    assert_int_equal(empty->bytes.size, 0);
    payload_release(&empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(number_takes_as_many_bytes_as_it_says),
        cmocka_unit_test(damaged_bytes_are_never_read_beyond),
        cmocka_unit_test(written_message_is_read_back),
        cmocka_unit_test(publish_time_out_of_range_is_refused),
        cmocka_unit_test(timers_fire_in_order_when_due),
        cmocka_unit_test(waits_double_with_jitter_up_to_the_last),
        cmocka_unit_test(trying_ends_when_the_next_wait_would_be_too_long),
        cmocka_unit_test(lease_covers_99_of_100_acks),
        cmocka_unit_test(old_latencies_are_forgotten),
        cmocka_unit_test(extension_comes_with_time_in_reserve),
        cmocka_unit_test(every_status_has_an_error_and_a_class),
        cmocka_unit_test(services_words_are_kept_and_made_safe),
        cmocka_unit_test(payload_lives_as_long_as_somebody_holds_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
