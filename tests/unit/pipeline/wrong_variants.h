// Ways to match payments to orders that look right and lose money, and the right ones that differ
// from them in one decision each (docs/matching.md has the protocol in use).
#ifndef TILL_WRONG_VARIANTS_H
#define TILL_WRONG_VARIANTS_H

#include "mem_world.h"

// The protocol of the pipeline: insert, read, project by set; index what waits; sweep.
extern const struct variant variant_protocol;
// Right as long as an order has one payment with one event: one row an order, consumers write only
// their own columns.
extern const struct variant variant_own_columns;
// Right for the same: read the order, and go through the dead letters until it is there.
extern const struct variant variant_patient_dead_letters;

// Read the order; absent: dead letter; else update.
extern const struct variant variant_read_then_decide;
// The same, mended: whoever writes an order looks for its payments among the dead letters.
extern const struct variant variant_read_then_decide_mended;
// Write the order with all columns of its row, nulls included.
extern const struct variant variant_nulls_included;
// One payment a row, the last write wins. (variant_own_columns with payments of several events.)
extern const struct variant variant_last_write_wins;
// The dead letter is published but not awaited before the ack.
extern const struct variant variant_unawaited_dead_letter;
// The dead-letter consumer acks what still has no order.
extern const struct variant variant_forgetful_dead_letters;
// Projections carry the time of the writer's wall clock.
extern const struct variant variant_wall_clock;
// Projections carry the time of the event in hand.
extern const struct variant variant_event_time;

#endif
