// What one pair of a generated run consists of: a pure function of the options and the pair's number,
// so that a message that waits for its place is kept as a few bytes and its content made anew when it
// comes. Internal to the generator.
#ifndef TILL_GENERATOR_PAIR_H
#define TILL_GENERATOR_PAIR_H

#include "currency.h"
#include "generator.h"
#include "generator_spoil.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAIR_CURRENCY_COUNT 6 // the first is the one that orders don't state
#define PAIR_ITEMS_MAX      4 // scheduled messages of one pair: all but its order

// Randomness comes in words, one a purpose, so that an option changes what it names and leaves the
// rest of the run alone.
enum pair_word {
    WORD_STORY,
    WORD_TIMING,
    WORD_COPY,
    WORD_GAPS,
    WORD_PRICE,
    WORD_BUYER,
    WORD_ADDRESS,
    WORD_PAYMENT,
    WORD_AMOUNT,
    WORD_COUNT,
};

// Takes a number below `bound` out of the word. What is left is as random as what was taken was
// narrow: the bounds asked of one word multiply to less than 2^48.
static inline uint32_t pair_draw(uint64_t *word, uint32_t bound)
{
    unsigned __int128 product = (unsigned __int128)*word * bound;
    *word = (uint64_t)product;
    return (uint32_t)(product >> 64);
}

// The messages that a pair can have. The first payment may be a Failed one.
enum pair_part {
    PART_ORDER,
    PART_ORDER_SECOND, // another version, or the other side of a conflict
    PART_PAYMENT,
    PART_PAYMENT_SECOND,
    PART_PAYMENT_THIRD,
};

// The options in the form that drawing needs; made once.
struct pair_rules {
    struct generator_options options;
    uint32_t story_end_ppm[GENERATOR_STORY_COUNT]; // running sums; PLAIN's is 0
    struct currency currencies[PAIR_CURRENCY_COUNT];
    uint64_t pair_key; // seeds of the pairs start here
    uint64_t order_key;
    uint64_t payment_key; // of the scattered ids
};

struct pair {
    uint64_t index;
    uint64_t words[WORD_COUNT];
    enum generator_story story;
    unsigned variant;          // 0 ... 7; what it means is the story's
    const struct spoil *spoil; // how a corrupt pair is broken; else NULL
    unsigned item;
    unsigned currency;
    int64_t quantity;
    int64_t price_minor;
    int64_t total_minor;
};

// When a message comes. Slot n is everything between order n - 1 and order n.
struct pair_item {
    uint64_t slot;
    enum pair_part part;
    bool is_copy;
    bool respelled; // a copy that looks different and means the same
};

// ERR_INVALID when the options break the limits of generator.h.
MUST_USE enum err pair_rules_init(struct pair_rules *rules, const struct generator_options *options,
                                  struct why *why);

void pair_init(const struct pair_rules *rules, uint64_t index, struct pair *out_pair);

// All messages of the pair but its order. Items of a slot up to the pair's own index are ahead of the
// order, by at most GENERATOR_LEAD_MAX - 1 slots.
size_t pair_schedule(const struct pair_rules *rules, const struct pair *pair,
                     struct pair_item items[PAIR_ITEMS_MAX]);

// Ids are above 0 and never come twice, orders' or payments' each. An index past the last pair gives
// the id of an order that is not in the run.
int64_t pair_order_id(const struct pair_rules *rules, uint64_t index);
int64_t pair_payment_id(const struct pair_rules *rules, uint64_t index, bool second);

// Sets fate and reason.
void pair_judge(const struct pair_rules *rules, const struct pair *pair,
                const struct pair_item *item, struct generated *out_generated);

#endif
