// The words of a pair come from a generator seeded by the run's key plus the pair's number; then
// follow the choice of its story, its timetable, and what the pipeline should make of each message.
#include "generator_pair.h"

#include "generator_content.h"
#include "rand.h"

#include <assert.h>

#define PAYMENT_ID_BASE 1000
#define ID_MASK         ((UINT64_C(1) << 63) - 1)

static enum err check_options(const struct generator_options *options, uint64_t story_sum_ppm,
                              struct why *why)
{
    if (options->pairs > GENERATOR_PAIRS_MAX) {
        return why_set(why, ERR_INVALID, "more than 2^40 pairs");
    }
    if (options->first_order_id < 0 || options->first_order_id > GENERATOR_ORDER_ID_MAX) {
        return why_set(why, ERR_INVALID, "first order id outside 1 ... 2^60");
    }
    if ((uint64_t)options->early_ppm + options->late_ppm > GENERATOR_PPM) {
        return why_set(why, ERR_INVALID, "early and late payments are more than all payments");
    }
    if (options->duplicate_ppm > GENERATOR_PPM) {
        return why_set(why, ERR_INVALID, "more duplicates than pairs");
    }
    if (story_sum_ppm > GENERATOR_PPM) {
        return why_set(why, ERR_INVALID,
                       "orphans, conflicts, refunds and the like sum up to more than all pairs");
    }
    return ERR_OK;
}

// The running sums saturate, so that a sum past 32 bits is refused like any other.
static uint64_t sum_stories(struct pair_rules *rules)
{
    const struct generator_options *options = &rules->options;
    uint64_t sum_ppm = 0;
#define X(name, share)                                                                             \
    sum_ppm += options->share;                                                                     \
    rules->story_end_ppm[GENERATOR_##name] =                                                       \
        (uint32_t)(sum_ppm > UINT32_MAX ? UINT32_MAX : sum_ppm);
    GENERATOR_STORY_TABLE(X)
#undef X
    return sum_ppm;
}

enum err pair_rules_init(struct pair_rules *rules, const struct generator_options *options,
                         struct why *why)
{
    *rules = (struct pair_rules){.options = *options};
    uint64_t story_sum_ppm = sum_stories(rules);
    enum err err = check_options(options, story_sum_ppm, why);
    if (err != ERR_OK) {
        return err;
    }
    if (options->first_order_id == 0) {
        rules->options.first_order_id = 1;
    }
    content_find_currencies(rules->currencies);
    struct rand rand;
    rand_seed(&rand, options->seed);
    rules->pair_key = rand_u64(&rand);
    rules->order_key = rand_u64(&rand);
    rules->payment_key = rand_u64(&rand);
    return ERR_OK;
}

// A permutation of 0 ... 2^63 - 1: each step can be undone.
static uint64_t scatter(uint64_t key, uint64_t value)
{
    value = (value + key) & ID_MASK;
    for (int round = 0; round < 3; round++) {
        value ^= value >> 32;
        value = value * UINT64_C(0x9E3779B97F4A7C15) & ID_MASK;
    }
    return value ^ (value >> 32);
}

// 0 is no id; the one number that would give it takes the place of a number never asked for.
static int64_t scattered_id(uint64_t key, uint64_t number)
{
    assert(number < ID_MASK);
    uint64_t id = scatter(key, number);
    return (int64_t)(id != 0 ? id : scatter(key, ID_MASK));
}

int64_t pair_order_id(const struct pair_rules *rules, uint64_t index)
{
    uint64_t number = (uint64_t)rules->options.first_order_id + index;
    return rules->options.random_order_ids ? scattered_id(rules->order_key, number)
                                           : (int64_t)number;
}

int64_t pair_payment_id(const struct pair_rules *rules, uint64_t index, bool second)
{
    uint64_t number = ((uint64_t)rules->options.first_order_id + index) * 2 + second;
    return rules->options.random_order_ids ? scattered_id(rules->payment_key, number)
                                           : (int64_t)number + PAYMENT_ID_BASE;
}

static enum generator_story draw_story(const struct pair_rules *rules, uint64_t *word)
{
    uint32_t at_ppm = pair_draw(word, GENERATOR_PPM);
    if (at_ppm >= rules->story_end_ppm[GENERATOR_STORY_COUNT - 1]) {
        return GENERATOR_PLAIN;
    }
    unsigned story = GENERATOR_PLAIN + 1;
    while (at_ppm >= rules->story_end_ppm[story]) {
        story++;
    }
    return (enum generator_story)story;
}

void pair_init(const struct pair_rules *rules, uint64_t index, struct pair *out_pair)
{
    struct pair *pair = out_pair;
    pair->index = index;
    struct rand rand;
    rand_seed(&rand, rules->pair_key + index);
    for (size_t i = 0; i < WORD_COUNT; i++) {
        pair->words[i] = rand_u64(&rand);
    }
    uint64_t *story = &pair->words[WORD_STORY];
    pair->story = draw_story(rules, story);
    pair->variant = pair_draw(story, 8);
    pair->spoil = pair->story == GENERATOR_CORRUPT
                      ? spoil_at(pair_draw(story, (uint32_t)spoil_count()))
                      : NULL;
    content_draw_goods(pair);
}

static uint64_t first_payment_slot(const struct pair_rules *rules, const struct pair *pair)
{
    const struct generator_options *options = &rules->options;
    uint64_t word = pair->words[WORD_TIMING];
    uint32_t at_ppm = pair_draw(&word, GENERATOR_PPM);
    uint64_t after_order = pair->index + 1;
    if (at_ppm < options->early_ppm) {
        uint32_t lead = 1 + pair_draw(&word, GENERATOR_LEAD_MAX);
        return after_order > lead ? after_order - lead : 0;
    }
    if (at_ppm < options->early_ppm + options->late_ppm) {
        return after_order + GENERATOR_LATE_MIN +
               pair_draw(&word, GENERATOR_LATE_MAX - GENERATOR_LATE_MIN + 1);
    }
    return after_order + pair_draw(&word, GENERATOR_DELAY_MAX + 1);
}

static bool has_second_order(const struct pair *pair)
{
    return pair->story == GENERATOR_UPDATE ||
           (pair->story == GENERATOR_CONFLICT && pair->variant % 2 == 1);
}

static bool has_second_payment(const struct pair *pair)
{
    return pair->story == GENERATOR_PARTIAL || pair->story == GENERATOR_REFUND ||
           pair->story == GENERATOR_CHARGEBACK || pair->story == GENERATOR_FAILED_RETRY ||
           (pair->story == GENERATOR_CONFLICT && pair->variant % 2 == 0);
}

static bool has_third_payment(const struct pair *pair)
{
    return (pair->story == GENERATOR_REFUND || pair->story == GENERATOR_CHARGEBACK) &&
           pair->variant >= 6;
}

// How far apart the messages of a story are: people come back after a while, retries are quick.
static uint32_t gap_max(enum generator_story story)
{
    bool days_later =
        story == GENERATOR_REFUND || story == GENERATOR_CHARGEBACK || story == GENERATOR_UPDATE;
    return days_later ? GENERATOR_FOLLOW_UP_MAX : GENERATOR_DELAY_MAX;
}

static struct pair_item copy_of(const struct pair *pair, uint64_t payment_slot, uint64_t word)
{
    struct pair_item copy = {.slot = pair->index, .part = PART_ORDER, .is_copy = true};
    if (pair_draw(&word, 2) == 0) {
        copy.slot = payment_slot;
        copy.part = PART_PAYMENT;
    }
    copy.slot += 1 + pair_draw(&word, GENERATOR_COPY_DELAY_MAX);
    // A spoiled message has no other spelling.
    bool is_spoiled = pair->spoil != NULL && pair->spoil->of_order == (copy.part == PART_ORDER);
    copy.respelled = pair_draw(&word, 2) == 0 && !is_spoiled;
    return copy;
}

size_t pair_schedule(const struct pair_rules *rules, const struct pair *pair,
                     struct pair_item items[PAIR_ITEMS_MAX])
{
    size_t count = 0;
    uint64_t slot = first_payment_slot(rules, pair);
    items[count++] = (struct pair_item){.slot = slot, .part = PART_PAYMENT};
    uint64_t copy_word = pair->words[WORD_COPY];
    if (pair_draw(&copy_word, GENERATOR_PPM) < rules->options.duplicate_ppm) {
        items[count++] = copy_of(pair, slot, copy_word);
    }
    uint64_t gaps = pair->words[WORD_GAPS];
    uint64_t later = slot > pair->index ? slot : pair->index + 1;
    if (has_second_order(pair)) {
        later += 1 + pair_draw(&gaps, gap_max(pair->story));
        items[count++] = (struct pair_item){.slot = later, .part = PART_ORDER_SECOND};
    }
    if (has_second_payment(pair)) {
        later += 1 + pair_draw(&gaps, gap_max(pair->story));
        items[count++] = (struct pair_item){.slot = later, .part = PART_PAYMENT_SECOND};
    }
    if (has_third_payment(pair)) {
        later += 1 + pair_draw(&gaps, gap_max(pair->story));
        items[count++] = (struct pair_item){.slot = later, .part = PART_PAYMENT_THIRD};
    }
    assert(count <= PAIR_ITEMS_MAX);
    return count;
}

// Of two contents for one identity, the smaller hash is counted.
static bool second_is_counted(const struct pair_rules *rules, const struct pair *pair)
{
    struct content_space space;
    struct hash first;
    struct hash second;
    if (has_second_order(pair)) {
        struct order order;
        content_order(rules, pair, PART_ORDER, &space, &order);
        order_content_hash(&order, &first);
        content_order(rules, pair, PART_ORDER_SECOND, &space, &order);
        order_content_hash(&order, &second);
    } else {
        struct payment payment;
        content_payment(rules, pair, PART_PAYMENT, &space, &payment);
        payment_content_hash(&payment, &first);
        content_payment(rules, pair, PART_PAYMENT_SECOND, &space, &payment);
        payment_content_hash(&payment, &second);
    }
    return hash_compare(&second, &first) < 0;
}

static bool loses_conflict(const struct pair_rules *rules, const struct pair *pair,
                           enum pair_part part)
{
    bool order_side = has_second_order(pair);
    enum pair_part first = order_side ? PART_ORDER : PART_PAYMENT;
    enum pair_part second = order_side ? PART_ORDER_SECOND : PART_PAYMENT_SECOND;
    if (pair->story != GENERATOR_CONFLICT || (part != first && part != second)) {
        return false;
    }
    return (part == second) != second_is_counted(rules, pair);
}

void pair_judge(const struct pair_rules *rules, const struct pair *pair,
                const struct pair_item *item, struct generated *out_generated)
{
    bool is_order = item->part == PART_ORDER || item->part == PART_ORDER_SECOND;
    bool order_is_missing =
        pair->story == GENERATOR_ORPHAN || (pair->spoil != NULL && pair->spoil->of_order);
    out_generated->reason = REASON_NONE;
    if (pair->spoil != NULL && pair->spoil->of_order == is_order) {
        out_generated->fate = GENERATED_REFUSED;
        out_generated->reason = pair->spoil->reason;
    } else if (item->is_copy) {
        out_generated->fate = GENERATED_DUPLICATE;
    } else if (loses_conflict(rules, pair, item->part)) {
        out_generated->fate = GENERATED_CONFLICT;
        out_generated->reason = REASON_E_CONFLICT;
    } else if (is_order) {
        out_generated->fate = GENERATED_STORED;
    } else if (order_is_missing) {
        out_generated->fate = GENERATED_UNMATCHED;
        out_generated->reason = REASON_E_UNMATCHED;
    } else {
        out_generated->fate = GENERATED_MATCHED;
    }
}
