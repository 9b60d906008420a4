// A bus that does not number its messages and delivers them in the background, as Pub/Sub does, in front of
// the store that has transactions: nothing is skipped, lost or stored twice when messages come again, an
// empty pull is not taken for an empty subscription, and the report says what can be known.
#include "rig.h"
#include "worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUIET_S 5

// The embedded bus with what it knows more than Pub/Sub taken away.
static struct {
    struct bus bus;
    struct bus *inner;
    struct virtual_time *time;
    int64_t blind_until_us; // pulls before that find nothing
    bool acks_are_lost;
} plain;

static enum err publish(struct bus *bus, enum bus_topic topic, const struct bus_outgoing *messages,
                        size_t count, struct why *why)
{
    (void)bus;
    return bus_publish(plain.inner, topic, messages, count, why);
}

static enum err pull(struct bus *bus, enum bus_topic subscription, size_t count_max,
                     size_t size_max, struct arena *arena, struct bus_message **out_messages,
                     size_t *out_count, struct why *why)
{
    (void)bus;
    *out_count = 0;
    if (plain.time->wall_us < plain.blind_until_us) {
        return ERR_OK;
    }
    enum err err = bus_pull(plain.inner, subscription, count_max, size_max, arena, out_messages,
                            out_count, why);
    for (size_t i = 0; err == ERR_OK && i < *out_count; i++) {
        (*out_messages)[i].sequence = 0;
        (*out_messages)[i].delivery_attempt = 1;
    }
    return err;
}

static enum err ack(struct bus *bus, enum bus_topic subscription, const struct bus_handle *handles,
                    size_t count, struct why *why)
{
    (void)bus;
    return plain.acks_are_lost ? ERR_OK : bus_ack(plain.inner, subscription, handles, count, why);
}

static enum err nack(struct bus *bus, enum bus_topic subscription, const struct bus_handle *handles,
                     size_t count, struct why *why)
{
    (void)bus;
    return bus_nack(plain.inner, subscription, handles, count, why);
}

static enum err backlog(struct bus *bus, enum bus_topic subscription,
                        struct bus_backlog *out_backlog, struct why *why)
{
    (void)bus;
    (void)subscription;
    (void)why;
    *out_backlog = (struct bus_backlog){0};
    return ERR_OK;
}

static enum err wait_in_virtual_time(struct bus *bus, int64_t timeout_us, struct why *why)
{
    (void)bus;
    (void)why;
    virtual_time_advance(plain.time, timeout_us);
    return ERR_OK;
}

static const struct bus_ops plain_ops = {
    .publish = publish,
    .pull = pull,
    .ack = ack,
    .nack = nack,
    .wait = wait_in_virtual_time,
    .backlog = backlog,
};

static void make_plain(struct rig *rig)
{
    plain.bus.ops = &plain_ops;
    plain.inner = rig->bus;
    plain.time = &rig->time;
    rig->bus = &plain.bus;
    rig->lane.matcher.bus = &plain.bus;
    rig->sweeper.matcher.bus = &plain.bus;
    rig->dead_letters.matcher.bus = &plain.bus;
}

static void open_plain(struct rig *rig)
{
    memset(&plain, 0, sizeof(plain));
    rig_init_closed(rig);
    rig->rules.quiet_us = QUIET_S * US_PER_SECOND;
    rig_open(rig);
    make_plain(rig);
}

static void close_plain(struct rig *rig)
{
    rig->bus = plain.inner;
    rig_deinit(rig);
}

static int64_t tally(struct rig *rig, const char *topic, const char *outcome)
{
    char sql[200];
    (void)snprintf(sql, sizeof(sql),
                   "SELECT coalesce(sum(messages), 0) FROM tally WHERE topic = '%s'"
                   " AND outcome = '%s'",
                   topic, outcome);
    return rig_count(rig, sql);
}

static void what_comes_again_is_stored_once(void **state)
{
    struct rig rig;
    (void)state;
    open_plain(&rig);
    rig_order(&rig, 1, 1, "5.00", "Pending");
    rig_payment(&rig, 1, 11, "Completed", "5.00");
    rig_payment(&rig, 2, 12, "Completed", "3.00"); // its order comes later
    plain.acks_are_lost = true;
    rig_run(&rig);
    char *facts = rig_dump_facts(&rig);
    for (int again = 1; again <= 3; again++) {
        rig_advance_seconds(&rig, 61); // the leases end
        rig_run(&rig);
        char *facts_again = rig_dump_facts(&rig);
        assert_string_equal(facts_again, facts);
        free(facts_again);
        assert_int_equal(tally(&rig, "orders", "stored"), 1);
        assert_int_equal(tally(&rig, "payments", "stored"), 2);
        assert_int_equal(tally(&rig, "orders", "duplicate"), again);
        assert_int_equal(tally(&rig, "payments", "duplicate"), 2 * again);
        rig_assert_balanced(&rig);
    }
    free(facts);
    plain.acks_are_lost = false;
    rig_order(&rig, 2, 1, "3.00", "Pending");
    rig_advance_seconds(&rig, 61);
    rig_run(&rig);
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM orders_payments_facts"
                                     " WHERE settlement = 'PAID'"),
                     2);
    rig_assert_balanced(&rig);
    close_plain(&rig);
}

static void refusal_that_comes_again_is_one_dead_letter_and_still_balances(void **state)
{
    struct rig rig;
    (void)state;
    open_plain(&rig);
    rig_publish(&rig, BUS_PAYMENTS, "no JSON");
    plain.acks_are_lost = true;
    rig_run(&rig);
    rig_advance_seconds(&rig, 61);
    plain.acks_are_lost = false;
    rig_run(&rig);
    assert_int_equal(tally(&rig, "payments", "refused"), 2);
    rig_assert_balanced(&rig); // nothing is recorded yet, which cannot be held against it
    rig_consume_dead_letters(&rig);
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM dead_letters"), 1);
    rig_assert_balanced(&rig);
    close_plain(&rig);
}

static void report_still_finds_what_is_lost(void **state)
{
    struct rig rig;
    struct report *report = NULL;
    (void)state;
    open_plain(&rig);
    rig_order(&rig, 1, 1, "5.00", "Pending");
    rig_run(&rig);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(rig.facts_path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "DELETE FROM orders", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    rig_report(&rig, &report);
    assert_false(report->has_bus);
    assert_int_equal(report->failed_count, 2); // the row, and its money
    free(report);
    close_plain(&rig);
}

// --- how far the orders are ---------------------------------------------------------------------

static void apply_once(struct rig *rig)
{
    rig->batch.pulled_us = rig->time.wall_us;
    assert_int_equal(batch_fetch(&rig->batch, rig->bus, &rig->limits, &rig->rules, NULL), ERR_OK);
    assert_int_equal(lane_apply(&rig->lane, &rig->batch, NULL), ERR_OK);
}

static void empty_pull_says_nothing_until_it_was_quiet_for_a_while(void **state)
{
    struct rig rig;
    (void)state;
    open_plain(&rig);
    int64_t start_us = rig.time.wall_us;
    apply_once(&rig);
    assert_int_equal(rig.lane.orders.reached_us, 0);
    virtual_time_advance(&rig.time, QUIET_S * US_PER_SECOND - 1);
    apply_once(&rig);
    assert_int_equal(rig.lane.orders.reached_us, 0);
    virtual_time_advance(&rig.time, 1);
    apply_once(&rig);
    assert_int_equal(rig.lane.orders.reached_us, start_us);
    close_plain(&rig);
}

static void old_orders_that_still_come_hold_the_watermark(void **state)
{
    struct rig rig;
    (void)state;
    open_plain(&rig);
    int64_t published_us = rig.time.wall_us;
    rig_order(&rig, 1, 1, "5.00", "Pending");
    rig_advance_seconds(&rig, 3600);
    apply_once(&rig);
    rig_advance_seconds(&rig, QUIET_S);
    apply_once(&rig);
    assert_in_range(rig.lane.orders.reached_us, published_us, published_us + US_PER_SECOND);
    rig_advance_seconds(&rig, QUIET_S); // and a while without old ones
    apply_once(&rig);
    assert_in_range(rig.lane.orders.reached_us, published_us + 3600 * US_PER_SECOND, INT64_MAX);
    close_plain(&rig);
}

static enum err busy(struct store *store, struct why *why)
{
    (void)store;
    return why_set(why, ERR_BUSY, "the store is busy");
}

// One that is handed back may come again later than the ones behind it.
static void orders_that_were_handed_back_hold_the_watermark(void **state)
{
    struct rig rig;
    (void)state;
    open_plain(&rig);
    int64_t published_us = rig.time.wall_us;
    rig_order(&rig, 1, 1, "5.00", "Pending");
    rig_advance_seconds(&rig, 3600);
    const struct store_ops *ops = rig.store->ops;
    struct store_ops busy_ops = *ops;
    busy_ops.begin = busy;
    rig.store->ops = &busy_ops;
    rig.batch.pulled_us = rig.time.wall_us;
    assert_int_equal(batch_fetch(&rig.batch, rig.bus, &rig.limits, &rig.rules, NULL), ERR_OK);
    assert_int_equal(lane_apply(&rig.lane, &rig.batch, NULL), ERR_BUSY);
    assert_int_equal(batch_nack(&rig.batch, rig.bus, NULL), ERR_OK);
    rig.store->ops = ops;
    plain.blind_until_us = rig.time.wall_us + 3600 * US_PER_SECOND;
    rig_advance_seconds(&rig, QUIET_S);
    apply_once(&rig);
    assert_in_range(rig.lane.orders.reached_us, published_us, published_us + US_PER_SECOND);
    close_plain(&rig);
}

// The sweeper must not wait for a subscription to become empty that never does.
static void orders_without_a_pause_let_the_watermark_rise(void **state)
{
    struct rig rig;
    (void)state;
    open_plain(&rig);
    for (int64_t order = 1; order <= 10 * QUIET_S; order++) {
        rig_order(&rig, order, 1, "5.00", "Pending");
        int64_t published_us = rig.time.wall_us;
        rig_advance_seconds(&rig, 1);
        apply_once(&rig);
        int64_t behind_us = published_us - rig.lane.orders.reached_us;
        assert_true(order <= QUIET_S || behind_us <= (QUIET_S + 1) * 2 * US_PER_SECOND);
    }
    close_plain(&rig);
}

// --- ends and starts ----------------------------------------------------------------------------

static void end_is_found_only_after_the_idle_time(void **state)
{
    struct rig rig;
    struct worker worker;
    bool finished = true;
    (void)state;
    open_plain(&rig);
    rig_payment(&rig, 1, 11, "Completed", "5.00");
    const struct worker_options options = {
        .bus = rig.bus,
        .store = rig.store,
        .rules = &rig.rules,
        .clock = clock_virtual(&rig.time),
        .limits = rig.limits,
        .sweep = true,
        .dead_letters = true,
        .name = TEXT("worker"),
        .idle_us = 2 * US_PER_SECOND,
    };
    assert_int_equal(worker_open(&worker, &options, NULL), ERR_OK);
    rig_advance_seconds(&rig, 60); // its own start is long ago
    rig.batch.pulled_us = rig.time.wall_us;
    bool retry = false;
    assert_int_equal(batch_fetch(&rig.batch, rig.bus, &rig.limits, &rig.rules, NULL), ERR_OK);
    assert_int_equal(worker_apply(&worker, &rig.batch, &retry, NULL), ERR_OK);
    virtual_time_advance(&rig.time, 2 * US_PER_SECOND - 1);
    assert_int_equal(worker_finish(&worker, &finished, NULL), ERR_OK);
    assert_false(finished);
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM waiting_payments"), 1); // may be matched
    virtual_time_advance(&rig.time, 1);
    plain.blind_until_us = rig.time.wall_us + 1; // the dead letter is on its way
    assert_int_equal(worker_finish(&worker, &finished, NULL), ERR_OK);
    assert_false(finished);
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM waiting_payments"), 0);
    virtual_time_advance(&rig.time, 2 * US_PER_SECOND);
    assert_int_equal(worker_finish(&worker, &finished, NULL), ERR_OK);
    assert_false(finished); // it has come just now
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM dead_letters"), 1);
    virtual_time_advance(&rig.time, 2 * US_PER_SECOND);
    assert_int_equal(worker_finish(&worker, &finished, NULL), ERR_OK);
    assert_true(finished);
    assert_int_equal(worker_close(&worker, false, NULL), ERR_OK);
    close_plain(&rig);
}

// What was in hand at a death comes a while after the next start; until then it is waited for.
static void careful_start_waits_for_what_comes_late(void **state)
{
    struct rig rig;
    (void)state;
    open_plain(&rig);
    rig_order(&rig, 1, 1, "5.00", "Pending");
    rig.bus = plain.inner;
    rig_crash(&rig); // before its first commit
    rig_open(&rig);
    make_plain(&rig);
    plain.blind_until_us = rig.time.wall_us + (QUIET_S - 1) * US_PER_SECOND;
    assert_int_not_equal(rig.lane.careful_left, 0);
    assert_int_equal(lane_recover(&rig.lane, &rig.batch, &rig.limits, NULL), ERR_OK);
    assert_int_equal(tally(&rig, "orders", "stored"), 1);
    close_plain(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_again_is_stored_once),
        cmocka_unit_test(refusal_that_comes_again_is_one_dead_letter_and_still_balances),
        cmocka_unit_test(report_still_finds_what_is_lost),
        cmocka_unit_test(empty_pull_says_nothing_until_it_was_quiet_for_a_while),
        cmocka_unit_test(old_orders_that_still_come_hold_the_watermark),
        cmocka_unit_test(orders_that_were_handed_back_hold_the_watermark),
        cmocka_unit_test(orders_without_a_pause_let_the_watermark_rise),
        cmocka_unit_test(end_is_found_only_after_the_idle_time),
        cmocka_unit_test(careful_start_waits_for_what_comes_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
