// Progress lines under virtual time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "progress.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct scene {
    struct virtual_time time;
    struct output output;
    struct progress progress;
    char text[4096];
};

static void begin(struct scene *scene, enum progress_mode mode, unsigned width)
{
    *scene = (struct scene){0};
    output_init(&scene->output, -1);
    progress_init(&scene->progress, mode, "messages", &scene->output, clock_virtual(&scene->time),
                  width);
}

// All that was written since the last call.
static const char *written(struct scene *scene)
{
    struct text view = buf_view(&scene->output.buf);
    assert_in_range(view.size, 0, sizeof scene->text - 1);
    if (view.size > 0) {
        memcpy(scene->text, view.data, view.size);
    }
    scene->text[view.size] = '\0';
    buf_reset(&scene->output.buf);
    return scene->text;
}

static void show_after(struct scene *scene, int64_t us, uint64_t count)
{
    virtual_time_advance(&scene->time, us);
    progress_show(&scene->progress, &(struct progress_numbers){.count = count});
}

static void lines_say_what_is_known(void **state)
{
    (void)state;
    static const struct {
        struct progress_numbers numbers;
        const char *line;
    } cases[] = {
        {{0, 0, 0, {0}}, "0 messages\n"},
        {{999, 0, 0, {0}}, "999 messages\n"},
        {{1000, 0, 7, {0}}, "1,000 messages, 7/s\n"},
        {{250000, 1000000, 101332, TEXT("12 dead letters")},
         "250,000 of 1,000,000 messages (25%), 101,332/s, 12 dead letters\n"},
        {{999999, 1000000, 0, {0}}, "999,999 of 1,000,000 messages (99%)\n"},
        {{1000000, 1000000, 0, {0}}, "1,000,000 of 1,000,000 messages (100%)\n"},
        {{1000001, 1000000, 0, {0}}, "1,000,001 of 1,000,000 messages (100%)\n"},
        {{UINT64_MAX - 1, UINT64_MAX, 0, {0}},
         "18,446,744,073,709,551,614 of 18,446,744,073,709,551,615 messages (99%)\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct scene scene;
        begin(&scene, PROGRESS_PLAIN, 0);
        progress_end(&scene.progress, &cases[i].numbers);
        assert_string_equal(written(&scene), cases[i].line);
        output_deinit(&scene.output);
    }
}

static void plain_lines_come_every_five_seconds_and_at_the_end(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, PROGRESS_PLAIN, 0);
    show_after(&scene, 0, 1);
    show_after(&scene, 4999999, 2);
    assert_string_equal(written(&scene), "");
    show_after(&scene, 1, 3);
    assert_string_equal(written(&scene), "3 messages\n");
    show_after(&scene, 4999999, 4);
    assert_string_equal(written(&scene), "");
    show_after(&scene, 1, 5);
    assert_string_equal(written(&scene), "5 messages\n");
    progress_end(&scene.progress, &(struct progress_numbers){.count = 6});
    assert_string_equal(written(&scene), "6 messages\n");
    output_deinit(&scene.output);
}

static void a_live_line_is_written_over_at_most_ten_times_a_second(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, PROGRESS_LIVE, 80);
    show_after(&scene, 99999, 1);
    assert_string_equal(written(&scene), "");
    show_after(&scene, 1, 2);
    assert_string_equal(written(&scene), "\r\x1b[K2 messages");
    show_after(&scene, 100001, 3);
    assert_string_equal(written(&scene), "\r\x1b[K3 messages");
    progress_end(&scene.progress, &(struct progress_numbers){.count = 4});
    assert_string_equal(written(&scene), "\r\x1b[K4 messages\n");
    output_deinit(&scene.output);
}

static void a_live_line_never_reaches_the_last_column(void **state)
{
    (void)state;
    static const char full[] = "10 messages";
    for (unsigned width = sizeof full - 2; width <= sizeof full; width++) {
        struct scene scene;
        begin(&scene, PROGRESS_LIVE, width);
        show_after(&scene, 100000, 10);
        size_t shown = strlen(written(&scene)) - strlen("\r\x1b[K");
        assert_int_equal(shown, width > strlen(full) ? strlen(full) : width - 1);
        output_deinit(&scene.output);
    }
}

static void clearing_takes_away_an_open_line_only(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, PROGRESS_LIVE, 80);
    progress_clear(&scene.progress);
    assert_string_equal(written(&scene), "");
    show_after(&scene, 100000, 1);
    (void)written(&scene);
    progress_clear(&scene.progress);
    assert_string_equal(written(&scene), "\r\x1b[K");
    progress_clear(&scene.progress);
    assert_string_equal(written(&scene), "");
    output_deinit(&scene.output);
}

static void quiet_shows_nothing_at_all(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, PROGRESS_OFF, 80);
    show_after(&scene, 60 * US_PER_SECOND, 1);
    assert_false(progress_is_due(&scene.progress));
    progress_end(&scene.progress, &(struct progress_numbers){.count = 2});
    assert_string_equal(written(&scene), "");
    output_deinit(&scene.output);
}

static void only_a_capable_terminal_that_nobody_records_is_live(void **state)
{
    (void)state;
    assert_int_equal(progress_mode_choose(false, true, "xterm", NULL), PROGRESS_LIVE);
    assert_int_equal(progress_mode_choose(false, true, "xterm", ""), PROGRESS_LIVE);
    assert_int_equal(progress_mode_choose(false, true, "xterm", "true"), PROGRESS_PLAIN);
    assert_int_equal(progress_mode_choose(false, true, "dumb", NULL), PROGRESS_PLAIN);
    assert_int_equal(progress_mode_choose(false, true, "", NULL), PROGRESS_PLAIN);
    assert_int_equal(progress_mode_choose(false, true, NULL, NULL), PROGRESS_PLAIN);
    assert_int_equal(progress_mode_choose(false, false, "xterm", NULL), PROGRESS_PLAIN);
    assert_int_equal(progress_mode_choose(true, true, "xterm", NULL), PROGRESS_OFF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_say_what_is_known),
        cmocka_unit_test(plain_lines_come_every_five_seconds_and_at_the_end),
        cmocka_unit_test(a_live_line_is_written_over_at_most_ten_times_a_second),
        cmocka_unit_test(a_live_line_never_reaches_the_last_column),
        cmocka_unit_test(clearing_takes_away_an_open_line_only),
        cmocka_unit_test(quiet_shows_nothing_at_all),
        cmocka_unit_test(only_a_capable_terminal_that_nobody_records_is_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
