// When payments are declared unmatched, in worlds in which nothing fails: not before their grace has passed,
// not while their order is there or no order lane runs, and not much later than they must. And which dead
// letters carry another body than their message's.
#include "checker_internal.h"

#include <inttypes.h>

#define AT_WORK_MAX_US (60 * US_PER_SECOND) // a sweeper with all that can be due at once
#define IN_HAND_MAX_US US_PER_SECOND        // from reading an order to publishing its dead letters

// When the first order of all was acked; INT64_MAX: none was. From then on there are order lanes.
static int64_t first_order_acked_us(const struct checker *checker)
{
    int64_t first_us = INT64_MAX;
    for (size_t i = 0; i < expected_order_count(checker->expected); i++) {
        int64_t acked_us = expected_order_at(checker->expected, i)->order_acked_us;
        first_us = acked_us != 0 && acked_us < first_us ? acked_us : first_us;
    }
    return first_us;
}

// How old a payment may be when it is declared unmatched: nobody waits longer than he may, nor for order
// lanes that are there and have said how far they are.
static int64_t age_max_us(const struct pipeline_rules *rules, int64_t payment_us, int64_t lanes_us)
{
    int64_t there_us = lanes_us > payment_us ? lanes_us - payment_us : 0;
    int64_t hold_us = there_us < rules->max_hold_us ? there_us + 3 * rules->quiet_us : INT64_MAX;
    hold_us = hold_us < rules->max_hold_us ? hold_us : rules->max_hold_us;
    return rules->grace_us + rules->bucket_us + hold_us + AT_WORK_MAX_US;
}

// While the order lanes are behind, that an order is not stored says nothing.
static void check_hold(struct checker *checker, const struct expected_letter *letter,
                       const struct expected_order *order, int64_t published_us)
{
    const struct pipeline_rules *rules = checker->options.rules;
    int64_t payment_us = letter->source->published_us;
    bool order_on_its_way = order != NULL && order->first_order_us != 0 &&
                            order->first_order_us <= payment_us &&
                            (order->order_acked_us == 0 || published_us < order->order_acked_us);
    bool held = published_us - payment_us >= rules->grace_us + rules->max_hold_us;
    if (!checker_ask(checker, !order_on_its_way || held)) {
        checker_fail(checker, CHECK_I9_unmatched_after_hold,
                     "order %" PRId64 ", payment %" PRId64 ": declared unmatched after %" PRId64
                     " us, while its order waited for an order lane",
                     letter->letter.order_id, letter->letter.payment_id, published_us - payment_us);
    }
}

static void check_letter(struct checker *checker, const struct expected_letter *letter,
                         int64_t published_us, int64_t lanes_us)
{
    const struct pipeline_rules *rules = checker->options.rules;
    const struct expected_order *order = expected_order(checker->expected, letter->letter.order_id);
    int64_t age_us = published_us - letter->source->published_us;
    check_hold(checker, letter, order, published_us);
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
    int64_t limit_us = age_max_us(rules, letter->source->published_us, lanes_us);
    if (!checker_ask(checker, age_us <= limit_us)) {
        checker_fail(checker, CHECK_I10_unmatched_in_time,
                     "order %" PRId64 ", payment %" PRId64 ": declared unmatched after %" PRId64
                     " us, more than %" PRId64,
                     letter->letter.order_id, letter->letter.payment_id, age_us, limit_us);
    }
}

// Embedded, one process: a body is built anew only for a message that is no longer in hand.
static void check_rebuilt(struct checker *checker, const struct expected_letter *letter,
                          int64_t published_us)
{
    const struct expected_order *order = expected_order(checker->expected, letter->letter.order_id);
    for (size_t i = 0; order != NULL && i < order->count; i++) {
        const struct expected_event *event = order->events[i];
        struct hash id;
        dead_letter_id_of_event(REASON_E_CONFLICT, &event->event, &id);
        bool gone = event->first_acked_us != 0 && event->first_acked_us <= published_us;
        char text[160];
        if (hash_equal(&id, &letter->letter.id) && !checker_ask(checker, gone)) {
            checker_fail(checker, CHECK_I9_body_is_the_message,
                         "%s: the body of its dead letter was built anew, while it was in hand",
                         checker_event_text(&event->event, text));
        }
    }
}

static void check_bodies(struct checker *checker, enum bus_topic topic)
{
    for (size_t i = 0; i < expected_letter_count(checker->expected, topic); i++) {
        const struct expected_letter *letter = expected_letter(checker->expected, topic, i + 1);
        if (letter->letter.reason == REASON_E_CONFLICT && letter->letter.rebuilt) {
            check_rebuilt(checker, letter,
                          sim_broker_message(checker->options.broker, topic, i)->published_us);
        }
    }
}

void checker_finish_times(struct checker *checker)
{
    if (checker->options.shape == STORE_EMBEDDED) {
        check_bodies(checker, BUS_ORDERS_DLQ);
        check_bodies(checker, BUS_PAYMENTS_DLQ);
    }
    size_t count = expected_letter_count(checker->expected, BUS_PAYMENTS_DLQ);
    int64_t lanes_us = first_order_acked_us(checker);
    for (size_t i = 0; i < count; i++) {
        const struct expected_letter *letter =
            expected_letter(checker->expected, BUS_PAYMENTS_DLQ, i + 1);
        if (letter->letter.reason == REASON_E_UNMATCHED && letter->source != NULL) {
            const struct sim_message *message =
                sim_broker_message(checker->options.broker, BUS_PAYMENTS_DLQ, i);
            check_letter(checker, letter, message->published_us, lanes_us);
        }
    }
}
