#include "random_sets.h"

#include <assert.h>

static size_t pick(struct rand *rand, size_t count)
{
    return (size_t)rand_below(rand, count);
}

static bool chance(struct rand *rand, unsigned percent)
{
    return rand_chance_ppm(rand, percent * 10000u);
}

static const char *pick_currency(struct rand *rand)
{
    static const char *const codes[] = {NULL, NULL, NULL, NULL, NULL, "USD", "USD", "EUR", "JPY"};
    return codes[pick(rand, sizeof(codes) / sizeof(codes[0]))];
}

static const char *pick_content(struct rand *rand)
{
    static const char *const contents[] = {NULL, NULL, NULL, "A", "B"};
    return contents[pick(rand, sizeof(contents) / sizeof(contents[0]))];
}

static const char *pick_event_id(struct rand *rand)
{
    static const char *const ids[] = {NULL, NULL, NULL, "a", "ab", "b", "Completed"};
    return ids[pick(rand, sizeof(ids) / sizeof(ids[0]))];
}

static int64_t pick_amount(struct rand *rand, bool huge)
{
    static const int64_t amounts[] = {0, 0, 0, 1, 300, 300, 600, 900, 901};
    if (huge && chance(rand, 30)) {
        return INT64_MAX - (int64_t)pick(rand, 1000);
    }
    return amounts[pick(rand, sizeof(amounts) / sizeof(amounts[0]))];
}

static struct step random_order(struct rand *rand, bool huge)
{
    static const int64_t prices[] = {FREE, 300, 300, 300, 450};
    return (struct step){
        .kind = EVENT_ORDER,
        .order_status = (enum order_status)pick(rand, ORDER_STATUS_COUNT),
        .price_minor = huge && chance(rand, 20) ? INT64_MAX / 2 - (int64_t)pick(rand, 4)
                                                : prices[pick(rand, 5)],
        .quantity = 1 + (int64_t)pick(rand, 3),
        .version = chance(rand, 50) ? 1 + (int64_t)pick(rand, 3) : 0,
        .later_us = (int64_t)pick(rand, 3),
        .currency = pick_currency(rand),
        .content = pick_content(rand),
    };
}

static struct step random_payment(struct rand *rand, bool huge)
{
    return (struct step){
        .kind = EVENT_PAYMENT,
        .payment_id = 1 + (int64_t)pick(rand, 3),
        .payment_status = chance(rand, 35) ? PAYMENT_STATUS_COMPLETED
                                           : (enum payment_status)pick(rand, PAYMENT_STATUS_COUNT),
        .amount_minor = pick_amount(rand, huge),
        .currency = pick_currency(rand),
        .event_id = pick_event_id(rand),
        .content = chance(rand, 80) ? NULL : pick_content(rand),
        .later_us = (int64_t)pick(rand, 3),
    };
}

static struct step random_note(struct rand *rand)
{
    return (struct step){
        .kind = EVENT_NOTE,
        .payment_id = 1 + (int64_t)pick(rand, 3),
        .note_kind = (enum note_kind)pick(rand, NOTE_COUNT),
        .event_id = pick_event_id(rand),
        .content = pick_content(rand),
    };
}

void random_set_fill(struct random_set *set, struct rand *rand, size_t count,
                     unsigned order_percent)
{
    assert(count <= SET_ROWS_MAX);
    bool huge = chance(rand, 10);
    set->count = count;
    for (size_t i = 0; i < count; i++) {
        struct step step = chance(rand, order_percent) ? random_order(rand, huge)
                           : chance(rand, 10)          ? random_note(rand)
                                                       : random_payment(rand, huge);
        event_of_step(&step, set->note_ids[i], &set->events[i]);
        set->rows[i] = &set->events[i];
    }
}

void random_set_shuffle(struct random_set *set, struct rand *rand)
{
    for (size_t i = set->count; i > 1; i--) {
        size_t j = pick(rand, i);
        const struct event *row = set->rows[i - 1];
        set->rows[i - 1] = set->rows[j];
        set->rows[j] = row;
    }
}

void random_set_repeat(struct random_set *set, struct rand *rand, unsigned percent)
{
    size_t count = set->count;
    for (size_t i = 0; i < count; i++) {
        if (chance(rand, percent)) {
            assert(set->count < 2 * SET_ROWS_MAX);
            set->rows[set->count++] = set->rows[i];
        }
    }
}
