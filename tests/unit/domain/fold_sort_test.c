// Sorting rows: any number of them, in order but for some behind, which is where the way to sort changes.
#include "fold_sort.h"

#include "rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ROWS_MAX 2000u

static struct event events[ROWS_MAX];

static int by_entity(const struct event *a, const struct event *b)
{
    return (a->entity_id > b->entity_id) - (a->entity_id < b->entity_id);
}

// `tail` rows behind `count - tail` sorted ones.
static void sorts(struct rand *rand, size_t count, size_t tail)
{
    const struct event *rows[ROWS_MAX];
    for (size_t i = 0; i < count; i++) {
        events[i].entity_id =
            i < count - tail ? 2 * (int64_t)i : (int64_t)rand_below(rand, 2 * (uint64_t)count);
        events[i].place = 0;
        rows[i] = &events[i];
    }
    fold_sort(rows, count, by_entity);
    for (size_t i = 0; i < count; i++) {
        assert_true(i == 0 || rows[i - 1]->entity_id <= rows[i]->entity_id);
        struct event *event = &events[rows[i] - events];
        assert_int_equal(event->place, 0); // each once
        event->place = 1;
    }
}

static void rows_with_any_tail_are_sorted(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, 1);
    for (size_t count = 0; count <= 200; count++) {
        for (size_t tail = 0; tail <= count; tail++) {
            sorts(&rand, count, tail);
        }
    }
}

static void long_rows_around_the_limit_are_sorted(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, 2);
    for (size_t tail = ROWS_MAX / 16 - 1; tail <= ROWS_MAX / 16 + 1; tail++) {
        sorts(&rand, ROWS_MAX, tail);
    }
    sorts(&rand, ROWS_MAX, ROWS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_with_any_tail_are_sorted),
        cmocka_unit_test(long_rows_around_the_limit_are_sorted),
    };
    return cmocka_run_group_tests_name("fold_sort", tests, NULL, NULL);
}
