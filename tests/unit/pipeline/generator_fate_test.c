// What the generator says a message should become, checked against the decoder and the fold that
// decide it in earnest. One run with every story is read, all events are kept by pair, and each claim
// is then looked up in what the domain makes of the pair's events.
#include "fold.h"
#include "generator.h"
#include "generator_spoil.h"
#include "order_json.h"
#include "payment_json.h"
#include "test_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#define PAIRS          12000
#define PAIR_EVENT_MAX 8
#define ARENA_CAP      (256u * 1024 * 1024)

// Everything but the byte-level checks works on these.
struct witness {
    struct event event;
    enum generated_fate fate;
    bool own_order; // belongs to the pair's order; an orphan doesn't
    struct text body;
};

struct pair_witness {
    enum generator_story story;
    size_t count;
    struct witness *witnesses[PAIR_EVENT_MAX];
};

struct run {
    struct arena arena;
    struct pair_witness pairs[PAIRS];
    bool reason_seen[REASON_COUNT];
    uint64_t refused_count;
};

static struct run run;

static bool decode(struct text body, enum bus_topic topic, struct event *out_event,
                   struct refusal *out_refusal)
{
    struct decode_rules rules = {.default_currency = currency_usd()};
    struct decode_remarks remarks = {0};
    struct order order;
    struct payment payment;
    bool accepted;
    if (topic == BUS_ORDERS) {
        accepted = order_decode(body, &rules, &run.arena, &order, &remarks, out_refusal);
        if (accepted) {
            event_of_order(&order, 1, out_event);
        }
    } else {
        accepted = payment_decode(body, &rules, &run.arena, &payment, &remarks, out_refusal);
        if (accepted) {
            event_of_payment(&payment, 1, out_event);
        }
    }
    if (accepted) {
        assert_int_equal(remarks.unknown_field_count, 0);
        assert_false(remarks.price_rounded);
        assert_false(remarks.time_unparsed);
    }
    return accepted;
}

static void keep(const struct generated *generated)
{
    struct refusal refusal = {0};
    struct text body = {arena_copy(&run.arena, generated->body.data, generated->body.size),
                        generated->body.size};
    struct event event;
    bool accepted = decode(body, generated->topic, &event, &refusal);
    assert_int_equal(accepted, generated->fate != GENERATED_REFUSED);
    if (!accepted) {
        assert_string_equal(reason_name(refusal.reason).data, reason_name(generated->reason).data);
        run.reason_seen[refusal.reason] = true;
        run.refused_count++;
        return;
    }
    struct pair_witness *pair = &run.pairs[generated->pair];
    assert_true(pair->count < PAIR_EVENT_MAX);
    struct witness *witness = ARENA_NEW(&run.arena, struct witness);
    assert_non_null(witness);
    *witness = (struct witness){.event = event, .fate = generated->fate, .body = body};
    witness->own_order = event.order_id == (int64_t)generated->pair + 1;
    pair->witnesses[pair->count++] = witness;
}

static int read_run(void **state)
{
    (void)state;
    enum { SHARE = 90000 };
    struct generator_options options = {
        .seed = test_seed(),
        .pairs = PAIRS,
        .late_ppm = 200000,
        .early_ppm = 200000,
        .duplicate_ppm = 300000,
        .orphan_ppm = SHARE,
        .conflict_ppm = SHARE,
        .corrupt_ppm = SHARE,
        .partial_ppm = SHARE,
        .overpay_ppm = SHARE,
        .refund_ppm = SHARE,
        .chargeback_ppm = SHARE,
        .failed_retry_ppm = SHARE,
        .wrong_currency_ppm = SHARE,
        .update_ppm = SHARE,
    };
    struct generator *generator = NULL;
    if (generator_create(&options, &generator, NULL) != ERR_OK ||
        arena_init(&run.arena, ARENA_CAP) != ERR_OK) {
        return -1;
    }
    struct generated generated;
    while (generator_next(generator, &generated)) {
        run.pairs[generated.pair].story = generated.story;
        keep(&generated);
    }
    generator_destroy(&generator);
    return 0;
}

static int forget_run(void **state)
{
    (void)state;
    arena_deinit(&run.arena);
    return 0;
}

static bool same_event(const struct witness *a, const struct witness *b)
{
    return event_same_identity(&a->event, &b->event) && hash_equal(&a->event.hash, &b->event.hash);
}

static bool came_before(const struct pair_witness *pair, size_t i)
{
    for (size_t earlier = 0; earlier < i; earlier++) {
        if (same_event(pair->witnesses[earlier], pair->witnesses[i])) {
            return true;
        }
    }
    return false;
}

static void corrupt_messages_were_refused_for_every_reason_in_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < spoil_count(); i++) {
        assert_true(run.reason_seen[spoil_at(i)->reason]);
    }
    assert_in_range(run.refused_count, PAIRS / 20, PAIRS / 5);
}

static void duplicates_are_exactly_the_events_that_came_before(void **state)
{
    (void)state;
    uint64_t same_bytes = 0;
    uint64_t other_bytes = 0;
    for (size_t p = 0; p < PAIRS; p++) {
        const struct pair_witness *pair = &run.pairs[p];
        for (size_t i = 0; i < pair->count; i++) {
            bool is_duplicate = pair->witnesses[i]->fate == GENERATED_DUPLICATE;
            assert_int_equal(is_duplicate, came_before(pair, i));
            for (size_t j = 0; is_duplicate && j < i; j++) {
                if (same_event(pair->witnesses[j], pair->witnesses[i])) {
                    bool same = text_equal(pair->witnesses[j]->body, pair->witnesses[i]->body);
                    same_bytes += same;
                    other_bytes += !same;
                }
            }
        }
    }
    assert_in_range(same_bytes, PAIRS / 20, PAIRS);
    assert_in_range(other_bytes, PAIRS / 20, PAIRS);
}

struct folded {
    const struct event *rows[PAIR_EVENT_MAX];
    const struct event *sorted[PAIR_EVENT_MAX];
    const struct event *losers[PAIR_EVENT_MAX];
    struct fact_payment payments[PAIR_EVENT_MAX];
    struct fact fact;
};

static void fold_pair(const struct pair_witness *pair, struct folded *out_folded)
{
    size_t count = 0;
    for (size_t i = 0; i < pair->count; i++) {
        if (pair->witnesses[i]->own_order) {
            out_folded->rows[count++] = &pair->witnesses[i]->event;
        }
    }
    struct fold_space space = {out_folded->sorted, out_folded->losers, out_folded->payments};
    struct fold_rules rules = {0};
    assert_int_equal(fold(out_folded->rows, count, &rules, &space, &out_folded->fact), ERR_OK);
}

static bool is_loser(const struct fact *fact, const struct witness *witness)
{
    for (size_t i = 0; i < fact->loser_count; i++) {
        if (event_compare(fact->losers[i], &witness->event) == 0) {
            return true;
        }
    }
    return false;
}

static enum generated_fate fate_by_fold(const struct fact *fact, const struct witness *witness)
{
    if (is_loser(fact, witness)) {
        return GENERATED_CONFLICT;
    }
    if (witness->event.kind == EVENT_ORDER) {
        return GENERATED_STORED;
    }
    return witness->own_order && fact->order != NULL ? GENERATED_MATCHED : GENERATED_UNMATCHED;
}

static void fates_are_what_the_fold_makes_of_the_events(void **state)
{
    (void)state;
    uint64_t counts[GENERATED_CONFLICT + 1] = {0};
    for (size_t p = 0; p < PAIRS; p++) {
        struct folded folded;
        fold_pair(&run.pairs[p], &folded);
        for (size_t i = 0; i < run.pairs[p].count; i++) {
            const struct witness *witness = run.pairs[p].witnesses[i];
            counts[witness->fate]++;
            if (witness->fate != GENERATED_DUPLICATE) {
                assert_int_equal(witness->fate, fate_by_fold(&folded.fact, witness));
            }
        }
    }
    assert_true(counts[GENERATED_STORED] > 0 && counts[GENERATED_MATCHED] > 0);
    assert_true(counts[GENERATED_UNMATCHED] > 0 && counts[GENERATED_CONFLICT] > 0);
}

// How often each pair of settlement and issue came out of a story.
struct outcomes {
    uint64_t counts[SETTLEMENT_COUNT][MATCH_ISSUE_COUNT];
    uint64_t without_order;
    uint64_t total;
};

static struct outcomes outcomes_of(enum generator_story story)
{
    struct outcomes outcomes = {0};
    for (size_t p = 0; p < PAIRS; p++) {
        struct folded folded;
        if (run.pairs[p].story != story) {
            continue;
        }
        fold_pair(&run.pairs[p], &folded);
        outcomes.counts[folded.fact.settlement][folded.fact.match_issue]++;
        outcomes.without_order += folded.fact.order == NULL;
        outcomes.total++;
    }
    assert_in_range(outcomes.total, PAIRS / 20, PAIRS / 5);
    return outcomes;
}

static uint64_t count_of(const struct outcomes *outcomes, enum settlement settlement,
                         enum match_issue issue)
{
    return outcomes->counts[settlement][issue];
}

static void assert_always(enum generator_story story, enum settlement settlement,
                          enum match_issue issue)
{
    struct outcomes outcomes = outcomes_of(story);
    assert_int_equal(count_of(&outcomes, settlement, issue), outcomes.total);
}

// Both come, and nothing else does.
static void assert_either(enum generator_story story, enum settlement one, enum match_issue issue,
                          enum settlement other, enum match_issue other_issue)
{
    struct outcomes outcomes = outcomes_of(story);
    uint64_t ones = count_of(&outcomes, one, issue);
    uint64_t others = count_of(&outcomes, other, other_issue);
    assert_true(ones > 0 && others > 0);
    assert_int_equal(ones + others, outcomes.total);
}

static void plain_pairs_are_paid(void **state)
{
    (void)state;
    assert_always(GENERATOR_PLAIN, SETTLEMENT_PAID, MATCH_ISSUE_NONE);
}

static void orders_of_orphans_stay_unpaid(void **state)
{
    (void)state;
    assert_always(GENERATOR_ORPHAN, SETTLEMENT_UNPAID, MATCH_ISSUE_NONE);
}

static void partial_payments_sum_up(void **state)
{
    (void)state;
    assert_always(GENERATOR_PARTIAL, SETTLEMENT_PAID, MATCH_ISSUE_NONE);
}

static void overpaid_orders_are_flagged(void **state)
{
    (void)state;
    assert_always(GENERATOR_OVERPAY, SETTLEMENT_OVERPAID, MATCH_ISSUE_OVERPAID);
}

static void retries_pay_in_the_end(void **state)
{
    (void)state;
    assert_always(GENERATOR_FAILED_RETRY, SETTLEMENT_PAID, MATCH_ISSUE_NONE);
}

static void other_currencies_are_not_counted(void **state)
{
    (void)state;
    assert_always(GENERATOR_WRONG_CURRENCY, SETTLEMENT_UNPAID, MATCH_ISSUE_CURRENCY);
}

static void refunds_are_whole_or_in_parts(void **state)
{
    (void)state;
    assert_either(GENERATOR_REFUND, SETTLEMENT_REFUNDED, MATCH_ISSUE_NONE, SETTLEMENT_PART_REFUNDED,
                  MATCH_ISSUE_NONE);
}

static void chargebacks_stand_or_are_reversed(void **state)
{
    (void)state;
    assert_either(GENERATOR_CHARGEBACK, SETTLEMENT_CHARGED_BACK, MATCH_ISSUE_NONE, SETTLEMENT_PAID,
                  MATCH_ISSUE_NONE);
}

static void updates_may_cancel(void **state)
{
    (void)state;
    assert_either(GENERATOR_UPDATE, SETTLEMENT_PAID, MATCH_ISSUE_NONE, SETTLEMENT_CANCELLED_PAID,
                  MATCH_ISSUE_CANCELLED_ORDER);
}

static void corrupt_pairs_lose_their_payment_or_their_order(void **state)
{
    (void)state;
    struct outcomes outcomes = outcomes_of(GENERATOR_CORRUPT);
    assert_int_equal(count_of(&outcomes, SETTLEMENT_UNPAID, MATCH_ISSUE_NONE), outcomes.total);
    assert_in_range(outcomes.without_order, 1, outcomes.total - 1);
}

static void conflicts_are_of_orders_and_of_payments(void **state)
{
    (void)state;
    uint64_t losers[EVENT_NOTE + 1] = {0};
    for (size_t p = 0; p < PAIRS; p++) {
        struct folded folded;
        if (run.pairs[p].story == GENERATOR_CONFLICT) {
            fold_pair(&run.pairs[p], &folded);
            assert_int_equal(folded.fact.match_issue, MATCH_ISSUE_CONFLICT);
            assert_int_equal(folded.fact.loser_count, 1);
            losers[folded.fact.losers[0]->kind]++;
        }
    }
    assert_true(losers[EVENT_ORDER] > 0);
    assert_true(losers[EVENT_PAYMENT] > 0);
}

static void contents_are_as_varied_as_promised(void **state)
{
    (void)state;
    uint64_t payments = 0;
    uint64_t amounts = 0;
    uint64_t foreign = 0;
    uint64_t event_ids = 0;
    uint64_t without_card = 0;
    for (size_t p = 0; p < PAIRS; p++) {
        const struct pair_witness *pair = &run.pairs[p];
        for (size_t i = 0; i < pair->count; i++) {
            const struct event *event = &pair->witnesses[i]->event;
            if (event->kind == EVENT_ORDER) {
                assert_true(event->order.version_given);
                foreign += event->order.currency_given;
            } else if (pair->story == GENERATOR_PLAIN) {
                payments++;
                amounts += event->payment.amount_given;
                without_card += event->payment.card_last_four.size == 0;
            }
            event_ids += event->kind == EVENT_PAYMENT && event->payment.event_id.size > 0;
        }
    }
    assert_in_range(payments, PAIRS / 20, PAIRS);
    assert_in_range(amounts * 100 / payments, 58, 82);
    assert_in_range(without_card * 100 / payments, 18, 38);
    assert_in_range(foreign, PAIRS / 100, PAIRS / 12);
    assert_true(event_ids > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(corrupt_messages_were_refused_for_every_reason_in_the_table),
        cmocka_unit_test(duplicates_are_exactly_the_events_that_came_before),
        cmocka_unit_test(fates_are_what_the_fold_makes_of_the_events),
        cmocka_unit_test(plain_pairs_are_paid),
        cmocka_unit_test(orders_of_orphans_stay_unpaid),
        cmocka_unit_test(partial_payments_sum_up),
        cmocka_unit_test(overpaid_orders_are_flagged),
        cmocka_unit_test(retries_pay_in_the_end),
        cmocka_unit_test(other_currencies_are_not_counted),
        cmocka_unit_test(refunds_are_whole_or_in_parts),
        cmocka_unit_test(chargebacks_stand_or_are_reversed),
        cmocka_unit_test(updates_may_cancel),
        cmocka_unit_test(corrupt_pairs_lose_their_payment_or_their_order),
        cmocka_unit_test(conflicts_are_of_orders_and_of_payments),
        cmocka_unit_test(contents_are_as_varied_as_promised),
    };
    return cmocka_run_group_tests(tests, read_run, forget_run);
}
