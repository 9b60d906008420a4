// The parts of a session that are pure: stream ids, windows, pauses, timers, addresses.
#include "cql_address.h"
#include "cql_backoff.h"
#include "cql_streams.h"
#include "cql_wheel.h"
#include "cql_window.h"
#include "test_seed.h"

#include <string.h>

// cmocka wants these above it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

// --- stream ids ---------------------------------------------------------------------------------

static void every_id_is_given_once_and_then_none(void **state)
{
    (void)state;
    struct cql_streams streams;
    static bool given[CQL_STREAM_COUNT];
    assert_int_equal(cql_streams_init(&streams), ERR_OK);
    for (uint32_t i = 0; i < CQL_STREAM_COUNT; i++) {
        int32_t id = cql_streams_take(&streams, (uint16_t)(i % 1000));
        assert_in_range(id, 0, CQL_STREAM_COUNT - 1);
        assert_false(given[id]);
        given[id] = true;
        assert_int_equal(cql_streams_owner(&streams, id), i % 1000);
    }
    assert_int_equal(cql_streams_take(&streams, 1), -1);
    cql_streams_release(&streams, 77);
    assert_int_equal(cql_streams_take(&streams, 5), 77);
    assert_int_equal(cql_streams_take(&streams, 1), -1);
    cql_streams_deinit(&streams);
}

static void an_orphan_keeps_its_id_until_its_answer(void **state)
{
    (void)state;
    struct cql_streams streams;
    assert_int_equal(cql_streams_init(&streams), ERR_OK);
    int32_t id = cql_streams_take(&streams, 3);
    cql_streams_orphan(&streams, id);
    assert_int_equal(streams.orphans, 1);
    assert_int_equal(cql_streams_owner(&streams, id), CQL_OWNER_ORPHAN);
    for (uint32_t i = 1; i < CQL_STREAM_COUNT; i++) {
        assert_int_not_equal(cql_streams_take(&streams, 1), id);
    }
    assert_int_equal(cql_streams_take(&streams, 1), -1);
    cql_streams_release(&streams, id);
    assert_int_equal(streams.orphans, 0);
    assert_int_equal(cql_streams_owner(&streams, id), CQL_OWNER_NONE);
    cql_streams_deinit(&streams);
}

static void numbers_that_are_no_ids_have_no_owner(void **state)
{
    (void)state;
    struct cql_streams streams;
    assert_int_equal(cql_streams_init(&streams), ERR_OK);
    (void)cql_streams_take(&streams, 1);
    assert_int_equal(cql_streams_owner(&streams, -1), CQL_OWNER_NONE);
    assert_int_equal(cql_streams_owner(&streams, 1), CQL_OWNER_NONE);
    assert_int_equal(cql_streams_owner(&streams, CQL_STREAM_COUNT), CQL_OWNER_NONE);
    assert_int_equal(cql_streams_owner(&streams, INT32_MAX), CQL_OWNER_NONE);
    cql_streams_deinit(&streams);
}

// --- windows ------------------------------------------------------------------------------------

static void fill(struct cql_window *window)
{
    while (cql_window_has_room(window)) {
        cql_window_sent(window);
    }
}

static void a_burst_of_refusals_halves_a_window_once(void **state)
{
    (void)state;
    struct cql_window window;
    cql_window_init(&window, 64);
    fill(&window);
    assert_int_equal(window.in_flight, 64);
    for (unsigned i = 0; i < 64; i++) {
        cql_window_answered(&window, true);
    }
    assert_int_equal(window.now, 32);
    fill(&window);
    cql_window_answered(&window, true); // the next burst
    assert_int_equal(window.now, 16);
}

static void a_window_grows_by_one_for_each_windowful_of_answers(void **state)
{
    (void)state;
    struct cql_window window;
    cql_window_init(&window, 4);
    cql_window_sent(&window);
    cql_window_answered(&window, true);
    assert_int_equal(window.now, 2);
    for (unsigned answers = 1; answers <= 10; answers++) {
        cql_window_sent(&window);
        cql_window_answered(&window, false);
        assert_int_equal(window.now, answers < 2 ? 2 : answers < 5 ? 3 : 4);
    }
}

static void a_window_has_always_room_for_one(void **state)
{
    (void)state;
    struct cql_window window;
    cql_window_init(&window, 1000);
    for (unsigned i = 0; i < 100; i++) {
        cql_window_sent(&window);
        cql_window_answered(&window, true);
    }
    assert_int_equal(window.now, 1);
    assert_true(cql_window_has_room(&window));
}

static void a_lost_connection_gives_its_room_back(void **state)
{
    (void)state;
    struct cql_window window;
    cql_window_init(&window, 8);
    fill(&window);
    cql_window_answered(&window, true);
    cql_window_forget(&window, 7);
    assert_int_equal(window.in_flight, 0);
    fill(&window);
    cql_window_answered(&window, true);
    assert_int_equal(window.now, 2);
}

// --- pauses -------------------------------------------------------------------------------------

static void pauses_double_up_to_a_limit_and_half_of_each_is_drawn(void **state)
{
    (void)state;
    struct rand rand;
    struct cql_backoff backoff = {.min_us = 100, .max_us = 1000};
    static const int64_t longest[] = {100, 200, 400, 800, 1000, 1000, 1000};
    rand_seed(&rand, test_seed());
    for (unsigned round = 0; round < 1000; round++) {
        for (size_t i = 0; i < sizeof(longest) / sizeof(longest[0]); i++) {
            assert_in_range(cql_backoff_next_us(&backoff, &rand), longest[i] / 2, longest[i]);
        }
        cql_backoff_reset(&backoff);
    }
}

static void pauses_never_overflow(void **state)
{
    (void)state;
    struct rand rand;
    struct cql_backoff backoff = {.min_us = 3, .max_us = INT64_MAX, .failures = UINT32_MAX / 2};
    rand_seed(&rand, 1);
    for (unsigned i = 0; i < 100; i++) {
        assert_true(cql_backoff_next_us(&backoff, &rand) >= INT64_MAX / 2);
    }
}

// --- timers -------------------------------------------------------------------------------------

struct alarm {
    struct cql_timer timer;
    int64_t due_ns;
    unsigned fired;
};

static struct cql_wheel wheel;
static int64_t now_ns;

static void ring(void *context)
{
    struct alarm *alarm = context;
    alarm->fired++;
    assert_true(now_ns >= alarm->due_ns);
}

static void set(struct alarm *alarm, int64_t due_ns)
{
    *alarm = (struct alarm){.timer = {.fire = ring, .context = alarm}, .due_ns = due_ns};
    cql_wheel_set(&wheel, &alarm->timer, due_ns);
}

static void timers_fire_once_at_their_time_or_a_tick_later(void **state)
{
    (void)state;
    static struct alarm alarms[2000];
    struct rand rand;
    rand_seed(&rand, test_seed());
    now_ns = 123456789;
    cql_wheel_init(&wheel, now_ns);
    int64_t turn_ns = CQL_WHEEL_BUCKETS * CQL_TICK_NS;
    for (size_t i = 0; i < 2000; i++) {
        set(&alarms[i], now_ns + rand_between(&rand, -5, 3 * turn_ns));
    }
    while (now_ns < 4 * turn_ns) {
        now_ns += rand_between(&rand, 1, 40 * CQL_TICK_NS);
        cql_wheel_run(&wheel, now_ns);
        for (size_t i = 0; i < 2000; i++) {
            bool must = now_ns >= alarms[i].due_ns + CQL_TICK_NS;
            assert_true(alarms[i].fired == 1 || !must);
            assert_true(alarms[i].fired <= 1);
        }
    }
    assert_int_equal(cql_wheel_next_ns(&wheel), CQL_TIMER_NEVER);
}

static void the_next_time_is_never_after_a_timer(void **state)
{
    (void)state;
    struct rand rand;
    struct alarm alarm;
    rand_seed(&rand, test_seed());
    for (unsigned i = 0; i < 2000; i++) {
        now_ns = rand_between(&rand, 0, INT64_C(1) << 50);
        cql_wheel_init(&wheel, now_ns);
        set(&alarm, now_ns + rand_between(&rand, 0, CQL_WHEEL_BUCKETS * CQL_TICK_NS * 3));
        int64_t next_ns = cql_wheel_next_ns(&wheel);
        assert_true(next_ns <= alarm.due_ns + CQL_TICK_NS);
        cql_wheel_clear(&alarm.timer);
        assert_int_equal(cql_wheel_next_ns(&wheel), CQL_TIMER_NEVER);
        cql_wheel_run(&wheel, alarm.due_ns + 10 * CQL_TICK_NS);
        assert_int_equal(alarm.fired, 0);
    }
}

static struct alarm pair[2];

static void clear_the_other(void *context)
{
    struct alarm *alarm = context;
    alarm->fired++;
    cql_wheel_clear(&pair[alarm == &pair[0] ? 1 : 0].timer);
}

static void a_timer_that_fires_may_clear_one_that_is_due(void **state)
{
    (void)state;
    now_ns = 0;
    cql_wheel_init(&wheel, now_ns);
    for (unsigned i = 0; i < 2; i++) {
        pair[i] = (struct alarm){.timer = {.fire = clear_the_other, .context = &pair[i]}};
        cql_wheel_set(&wheel, &pair[i].timer, 1);
    }
    cql_wheel_run(&wheel, 10 * CQL_TICK_NS);
    assert_int_equal(pair[0].fired + pair[1].fired, 1);
}

static void set_again(void *context)
{
    struct alarm *alarm = context;
    alarm->fired++;
    cql_wheel_set(&wheel, &alarm->timer, 0);
}

static void a_timer_set_again_by_itself_waits_for_the_next_run(void **state)
{
    (void)state;
    struct alarm alarm = {.timer = {.fire = set_again}};
    alarm.timer.context = &alarm;
    cql_wheel_init(&wheel, 0);
    cql_wheel_set(&wheel, &alarm.timer, 1);
    cql_wheel_run(&wheel, 10 * CQL_TICK_NS);
    unsigned once = alarm.fired;
    cql_wheel_run(&wheel, 12 * CQL_TICK_NS);
    assert_true(once >= 1 && once <= 10);
    assert_true(alarm.fired > once);
    cql_wheel_clear(&alarm.timer);
}

// --- addresses ----------------------------------------------------------------------------------

static void contact_points_are_read_as_people_write_them(void **state)
{
    (void)state;
    struct text list = TEXT(" a.example, b.example:9 ,127.0.0.1:65535,[::1]:1,[fe80::1], ::1");
    static const struct {
        const char *name;
        uint16_t port;
    } expected[] = {{"a.example", 9042}, {"b.example", 9},  {"127.0.0.1", 65535},
                    {"::1", 1},          {"fe80::1", 9042}, {"::1", 9042}};
    struct cql_host host;
    enum err err = ERR_OK;
    for (size_t i = 0; i < 6; i++) {
        assert_true(cql_host_next(&list, 9042, &host, &err, NULL));
        assert_int_equal(err, ERR_OK);
        assert_string_equal(host.name, expected[i].name);
        assert_int_equal(host.port, expected[i].port);
    }
    assert_false(cql_host_next(&list, 9042, &host, &err, NULL));
}

static void names_have_a_longest_one(void **state)
{
    (void)state;
    char name[CQL_HOST_SIZE_MAX + 2];
    struct cql_host host;
    enum err err = ERR_OK;
    memset(name, 'a', sizeof(name));
    for (size_t size = CQL_HOST_SIZE_MAX - 1; size <= CQL_HOST_SIZE_MAX + 1; size++) {
        struct text list = {name, size};
        assert_true(cql_host_next(&list, 1, &host, &err, NULL));
        assert_int_equal(err, size <= CQL_HOST_SIZE_MAX ? ERR_OK : ERR_CONFIG);
    }
}

static void addresses_are_written_and_compared(void **state)
{
    (void)state;
    struct cql_inet v4 = {.address = {127, 0, 0, 2}, .size = 4};
    struct cql_inet v6 = {.address = {[15] = 1}, .size = 16};
    struct cql_inet any = {.size = 16};
    struct cql_address a = cql_address_of(&v4, 9042);
    struct cql_address b = cql_address_of(&v6, 1);
    struct cql_address c = cql_address_of(&v4, 9043);
    char text[CQL_ADDRESS_TEXT_SIZE];
    cql_address_format(&a, text);
    assert_string_equal(text, "127.0.0.2:9042");
    cql_address_format(&b, text);
    assert_string_equal(text, "[::1]:1");
    cql_address_format_host(&b, text);
    assert_string_equal(text, "::1");
    assert_true(cql_address_equal(&a, &a));
    assert_false(cql_address_equal(&a, &b));
    assert_false(cql_address_equal(&a, &c));
    assert_true(cql_inet_is_any(&any));
    assert_false(cql_inet_is_any(&v6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_id_is_given_once_and_then_none),
        cmocka_unit_test(an_orphan_keeps_its_id_until_its_answer),
        cmocka_unit_test(numbers_that_are_no_ids_have_no_owner),
        cmocka_unit_test(a_burst_of_refusals_halves_a_window_once),
        cmocka_unit_test(a_window_grows_by_one_for_each_windowful_of_answers),
        cmocka_unit_test(a_window_has_always_room_for_one),
        cmocka_unit_test(a_lost_connection_gives_its_room_back),
        cmocka_unit_test(pauses_double_up_to_a_limit_and_half_of_each_is_drawn),
        cmocka_unit_test(pauses_never_overflow),
        cmocka_unit_test(timers_fire_once_at_their_time_or_a_tick_later),
        cmocka_unit_test(the_next_time_is_never_after_a_timer),
        cmocka_unit_test(a_timer_that_fires_may_clear_one_that_is_due),
        cmocka_unit_test(a_timer_set_again_by_itself_waits_for_the_next_run),
        cmocka_unit_test(contact_points_are_read_as_people_write_them),
        cmocka_unit_test(names_have_a_longest_one),
        cmocka_unit_test(addresses_are_written_and_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
