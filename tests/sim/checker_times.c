// When payments are declared unmatched, in worlds in which nothing fails: not before their grace has passed,
// not while their order is there, and not much later than they must.
#include "checker_internal.h"

#include <inttypes.h>

#define AT_WORK_MAX_US (60 * US_PER_SECOND) // a sweeper with all that can be due at once
#define IN_HAND_MAX_US (10 * US_PER_SECOND) // from reading an order to publishing its dead letters

static void check_letter(struct checker *checker, const struct expected_letter *letter,
                         int64_t published_us)
{
    const struct pipeline_rules *rules = checker->options.rules;
    const struct expected_order *order = expected_order(checker->expected, letter->letter.order_id);
    int64_t age_us = published_us - letter->source->published_us;
    int64_t order_there_us = order == NULL ? 0 : order->order_acked_us;
    if (!checker_ask(checker, age_us >= rules->grace_us)) {
        checker_fail(checker, CHECK_I9_unmatched_after_grace,
                     "order %" PRId64 ", payment %" PRId64 ": declared unmatched after %" PRId64
                     " us",
                     letter->letter.order_id, letter->letter.payment_id, age_us);
    }
    if (!checker_ask(checker,
                     order_there_us == 0 || published_us < order_there_us + IN_HAND_MAX_US)) {
        checker_fail(checker, CHECK_I9_unmatched_had_no_order,
                     "order %" PRId64 ", payment %" PRId64 ": declared unmatched %" PRId64
                     " us after its order was acked",
                     letter->letter.order_id, letter->letter.payment_id,
                     published_us - order_there_us);
    }
    int64_t limit_us = rules->grace_us + rules->bucket_us + rules->max_hold_us + AT_WORK_MAX_US;
    if (!checker_ask(checker, age_us <= limit_us)) {
        checker_fail(checker, CHECK_I10_unmatched_in_time,
                     "order %" PRId64 ", payment %" PRId64 ": declared unmatched after %" PRId64
                     " us, more than %" PRId64,
                     letter->letter.order_id, letter->letter.payment_id, age_us, limit_us);
    }
}

void checker_finish_times(struct checker *checker)
{
    size_t count = expected_letter_count(checker->expected, BUS_PAYMENTS_DLQ);
    for (size_t i = 0; i < count; i++) {
        const struct expected_letter *letter =
            expected_letter(checker->expected, BUS_PAYMENTS_DLQ, i + 1);
        if (letter->letter.reason == REASON_E_UNMATCHED && letter->source != NULL) {
            check_letter(
                checker, letter,
                sim_broker_message(checker->options.broker, BUS_PAYMENTS_DLQ, i)->published_us);
        }
    }
}
