// Makes orders and payments up: seeded, streaming, in bounded memory. The same options give the same
// bytes on every machine. A pair is one order and its payment; a share of the pairs has an anomaly,
// and every message comes with what the pipeline should make of it.
// Nothing is allocated after generator_create. One thread at a time uses a generator.
#ifndef TILL_GENERATOR_H
#define TILL_GENERATOR_H

#include "bus.h"
#include "errors.h"
#include "reason.h"
#include "source.h"
#include "text.h"

#include <stdbool.h>
#include <stdint.h>

#define GENERATOR_PPM              1000000u // a share of 1
#define GENERATOR_PAIRS_MAX        (UINT64_C(1) << 40)
#define GENERATOR_ORDER_ID_MAX     (INT64_C(1) << 60) // of first_order_id
#define GENERATOR_LEAD_MAX         500u               // pairs that an early payment is ahead
#define GENERATOR_LATE_MIN         1000u              // pairs that a late payment is behind
#define GENERATOR_LATE_MAX         20000u
#define GENERATOR_DELAY_MAX        50u    // pairs that any other payment is behind
#define GENERATOR_FOLLOW_UP_MAX    5000u  // pairs from one event of a payment to the next
#define GENERATOR_COPY_DELAY_MAX   200u   // pairs from a message to its duplicate
#define GENERATOR_PENDING_MAX      131072 // messages that wait for their place; never reached
#define GENERATOR_MESSAGE_SIZE_MAX 2048u  // bytes of one body

// What a pair tells beside its timing and its duplicates. A pair has one story.
// X(name, share in struct generator_options that gives it)
#define GENERATOR_STORY_TABLE(X)                                                                   \
    X(ORPHAN, orphan_ppm)                                                                          \
    X(CONFLICT, conflict_ppm)                                                                      \
    X(CORRUPT, corrupt_ppm)                                                                        \
    X(PARTIAL, partial_ppm)                                                                        \
    X(OVERPAY, overpay_ppm)                                                                        \
    X(REFUND, refund_ppm)                                                                          \
    X(CHARGEBACK, chargeback_ppm)                                                                  \
    X(FAILED_RETRY, failed_retry_ppm)                                                              \
    X(WRONG_CURRENCY, wrong_currency_ppm)                                                          \
    X(UPDATE, update_ppm)

enum generator_story {
    GENERATOR_PLAIN, // one order, one payment in full
#define X(name, share) GENERATOR_##name,
    GENERATOR_STORY_TABLE(X)
#undef X
        GENERATOR_STORY_COUNT
};

// All shares are parts per million of the pairs. Timing, duplicates and the stories are drawn apart,
// so that a refund may also be late and come twice.
struct generator_options {
    uint64_t seed;
    uint64_t pairs;         // at most GENERATOR_PAIRS_MAX
    int64_t first_order_id; // 1 ... GENERATOR_ORDER_ID_MAX; 0 counts as 1
    bool random_order_ids;  // scattered over 63 bits, without repetition, instead of ascending
    // Timing. Their sum is at most GENERATOR_PPM.
    uint32_t late_ppm;  // the payment comes GENERATOR_LATE_MIN ... GENERATOR_LATE_MAX pairs later
    uint32_t early_ppm; // it comes before its order
    // Duplicates.
    uint32_t duplicate_ppm; // the order or the payment comes twice, maybe spelled otherwise
    // Stories. Their sum is at most GENERATOR_PPM.
    uint32_t orphan_ppm;         // the payment names an order that never comes
    uint32_t conflict_ppm;       // the same payment event or order version with other content
    uint32_t corrupt_ppm;        // the payment, or at times the order, will be refused
    uint32_t partial_ppm;        // two payments that sum up
    uint32_t overpay_ppm;        // more than the order's total
    uint32_t refund_ppm;         // whole or in parts, after the payment
    uint32_t chargeback_ppm;     // after the payment, at times reversed
    uint32_t failed_retry_ppm;   // Failed, then Completed
    uint32_t wrong_currency_ppm; // in another currency than the order's
    uint32_t update_ppm;         // a second version of the order
};

// What the pipeline should make of a message once everything is through.
enum generated_fate {
    GENERATED_STORED,    // an order version that is kept
    GENERATED_MATCHED,   // a payment event that is counted for its order
    GENERATED_UNMATCHED, // a payment without its order: E_UNMATCHED
    GENERATED_REFUSED,   // a dead letter for `reason`
    GENERATED_DUPLICATE, // no effect: the same event came before
    GENERATED_CONFLICT,  // the side of a conflict that is not counted: E_CONFLICT
};

struct generated {
    enum bus_topic topic;
    struct text body; // valid until the next call
    enum generated_fate fate;
    enum reason reason; // REASON_NONE unless the fate is a dead letter
    enum generator_story story;
    uint64_t pair; // 0 ... pairs - 1
};

struct generator;

// ERR_INVALID when options break the limits above, ERR_NO_MEMORY.
MUST_USE enum err generator_create(const struct generator_options *options,
                                   struct generator **out_generator, struct why *why);
// Exactly `pairs` orders of version 1 come, in the order of their pairs. false at the end.
MUST_USE bool generator_next(struct generator *generator, struct generated *out_generated);
void generator_destroy(struct generator **generator); // accepts NULL and *generator == NULL

// The generator as a source for the publisher; closing the source destroys the generator.
struct source *generator_source(struct generator *generator);

#endif
