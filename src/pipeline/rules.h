// What the pipeline is told once, at its start.
#ifndef TILL_RULES_H
#define TILL_RULES_H

#include "clock.h"
#include "decode.h"
#include "fold.h"

#include <stdint.h>

struct pipeline_rules {
    struct decode_rules decode;
    struct fold_rules fold;
    int64_t grace_us;    // a payment may wait this long for its order; 0: not at all
    int64_t bucket_us;   // waiting payments are indexed by due time in steps of this; above 0
    int64_t max_hold_us; // how long the sweeper waits for order lanes that are behind
    int32_t shards;      // of the index of waiting payments
    int64_t dead_letter_age_max_us;
    // Where messages arrive in the background and in no order: how long to look before a subscription
    // that gives nothing counts as empty, and orders published before as applied. 0: a pull tells.
    int64_t quiet_us;
    // No lane has to report now for payments to be declared unmatched, since none can be at work.
    bool lanes_rest;
};

struct pipeline_rules pipeline_rules_default(void);

#endif
