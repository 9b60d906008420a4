// What the pipeline makes of orders and payments, one small history a test.
#include "bus_embedded.h"
#include "rig.h"
#include "seam_fault.h"
#include "store_sqlite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void assert_rows(struct rig *rig, const char *sql, const char *expected)
{
    char *rows = rig_query(rig, sql);
    assert_string_equal(rows, expected);
    free(rows);
}

#define FACTS                                                                                      \
    "SELECT order_id, payment_id, payment_status, price, amount, order_total, amount_paid,"        \
    " settlement, match_issue, n_events FROM orders_payments_facts ORDER BY 1, 2"

static void payment_after_its_order_is_matched(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_order(&rig, 42, 1, "1299.99", "Pending");
    rig_run(&rig);
    rig_payment(&rig, 42, 1042, "Completed", "1299.99");
    rig_run(&rig);
    assert_rows(&rig, FACTS, "42|1042|Completed|1299.99|1299.99|1299.99|1299.99|PAID|NONE|2\n");
    rig_sweep_final(&rig);
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

static void payment_before_its_order_waits_and_is_matched(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_payment(&rig, 42, 1042, "Completed", NULL);
    rig_run(&rig);
    assert_rows(&rig, FACTS, "");
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM waiting_payments"), 1);
    rig_order(&rig, 42, 1, "10", "Pending");
    rig_run(&rig);
    assert_rows(&rig, FACTS, "42|1042|Completed|10.00|10.00|10.00|10.00|PAID|NONE|2\n");
    rig_sweep_final(&rig);
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM dead_letters"), 0);
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM waiting_payments"), 0);
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

static void order_and_payment_of_one_batch_see_each_other(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_payment(&rig, 1, 11, "Completed", "3.00");
    rig_order(&rig, 1, 1, "5.00", "Pending");
    rig_run(&rig);
    assert_rows(&rig, FACTS, "1|11|Completed|5.00|3.00|5.00|3.00|PARTIAL|UNDERPAID|2\n");
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM waiting_payments"), 0);
    rig_deinit(&rig);
}

static void order_without_payment_is_one_row(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_order(&rig, 5, 1, "1.10", "Pending");
    rig_run(&rig);
    assert_rows(&rig, FACTS, "5|||1.10||1.10|0.00|UNPAID|NONE|1\n");
    rig_deinit(&rig);
}

static void payment_without_order_is_dead_after_its_grace_and_not_before(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_payment(&rig, 9, 91, "Completed", "2.00");
    rig_run(&rig);
    rig_advance_seconds(&rig, 119);
    rig_run(&rig);
    rig_sweep(&rig);
    rig_consume_dead_letters(&rig);
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM dead_letters"), 0);
    rig_advance_seconds(&rig, 12); // a bucket of 10 s may add to the grace
    rig_run(&rig);
    rig_sweep(&rig);
    rig_consume_dead_letters(&rig);
    assert_rows(&rig, "SELECT reason, state, order_id, payment_id FROM dead_letters",
                "E_UNMATCHED|WAITING|9|91\n");
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

static void dead_letter_keeps_the_original_bytes(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    const char *body = "{ \"payment_id\":91, \"order_id\" : 9,\"payment_method\":\"x\","
                       "\"payment_status\":\"Completed\",\"payment_datetime\":\"z\",\"more\":[1]}";
    rig_publish(&rig, BUS_PAYMENTS, body);
    rig_run(&rig);
    rig_sweep_final(&rig);
    char *kept = rig_query(&rig, "SELECT body FROM dead_letters");
    kept[strcspn(kept, "\n")] = '\0';
    assert_string_equal(kept, body);
    free(kept);
    rig_deinit(&rig);
}

static void sweeper_holds_while_the_orders_are_behind(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_payment(&rig, 9, 91, "Completed", "2.00");
    rig_run(&rig);
    rig_advance_seconds(&rig, 600); // no lane has written its status since
    rig_sweep(&rig);
    rig_consume_dead_letters(&rig);
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM dead_letters"), 0);
    rig_advance_seconds(&rig, 3600); // past max_hold
    rig_sweep(&rig);
    rig_consume_dead_letters(&rig);
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM dead_letters"), 1);
    rig_deinit(&rig);
}

static void order_after_the_dead_letter_heals_it(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_payment(&rig, 9, 91, "Completed", "2.00");
    rig_run(&rig);
    rig_sweep_final(&rig);
    rig_order(&rig, 9, 1, "2.00", "Pending");
    rig_run(&rig);
    assert_rows(&rig, FACTS, "9|91|Completed|2.00|2.00|2.00|2.00|PAID|NONE|2\n");
    assert_rows(&rig, "SELECT state FROM dead_letters", "HEALED\n");
    struct why why = {0};
    rig_advance_seconds(&rig, 61);
    assert_int_equal(dead_letter_recheck(&rig.dead_letters, rig.time.wall_us, &why), ERR_OK);
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM dead_letter_records WHERE state = 2"),
                     1);
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

static void dead_letter_is_looked_at_again_and_expires(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_payment(&rig, 9, 91, "Completed", "2.00");
    rig_run(&rig);
    rig_sweep_final(&rig);
    struct why why = {0};
    for (int days = 0; days < 32; days++) {
        rig_advance_seconds(&rig, 86400);
        assert_int_equal(dead_letter_recheck(&rig.dead_letters, rig.time.wall_us, &why), ERR_OK);
    }
    assert_rows(&rig, "SELECT state, next_check FROM dead_letters", "EXPIRED|\n");
    assert_true(rig_count(&rig, "SELECT count(*) FROM dead_letter_events") > 20);
    rig_deinit(&rig);
}

static void duplicates_are_counted_and_change_nothing(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    for (int i = 0; i < 3; i++) {
        rig_order(&rig, 1, 1, "5.00", "Pending");
        rig_payment(&rig, 1, 11, "Completed", "5.00");
        rig_run(&rig);
    }
    assert_rows(&rig, FACTS, "1|11|Completed|5.00|5.00|5.00|5.00|PAID|NONE|2\n");
    assert_rows(&rig, "SELECT topic, outcome, sum(messages) FROM tally GROUP BY 1, 2",
                "orders|duplicate|2\norders|stored|1\npayments|duplicate|2\npayments|stored|1\n");
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

static void unversioned_order_that_repeats_the_winner_is_a_duplicate(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_order(&rig, 1, 0, "5.00", "Pending");
    rig_order(&rig, 1, 0, "5.00", "Pending");
    rig_run(&rig);
    rig_order(&rig, 1, 0, "5.00", "Pending");
    rig_run(&rig);
    rig_order(&rig, 1, 0, "6.00", "Pending");
    rig_run(&rig);
    rig_order(&rig, 1, 0, "5.00", "Pending");
    rig_run(&rig);
    assert_rows(&rig, FACTS, "1|||5.00||5.00|0.00|UNPAID|NONE|2\n");
    assert_int_equal(rig_count(&rig, "SELECT messages FROM tally WHERE outcome = 'duplicate'"), 2);
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM order_events"), 3);
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

static void explicit_version_outranks_and_late_ones_change_nothing(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    static const int versions[] = {3, 1, 2};
    static const char *const prices[] = {"3.00", "1.00", "2.00"};
    for (size_t i = 0; i < 3; i++) {
        rig_order(&rig, 1, versions[i], prices[i], "Pending");
        rig_run(&rig);
    }
    rig_order(&rig, 1, 0, "9.00", "Pending");
    rig_run(&rig);
    assert_rows(&rig, FACTS, "1|||3.00||3.00|0.00|UNPAID|NONE|4\n");
    assert_rows(&rig,
                "SELECT event_id, price FROM order_events WHERE event_id LIKE 'v%'"
                " ORDER BY 1",
                "v1|1.00\nv2|2.00\nv3|3.00\n");
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

// Same payment event, other amount: whichever comes first, the same one counts, the other one is a
// dead letter.
static void conflicts_converge(void **state)
{
    (void)state;
    char *facts[2];
    for (int turn = 0; turn < 2; turn++) {
        struct rig rig;
        rig_init(&rig);
        rig_order(&rig, 1, 1, "5.00", "Pending");
        rig_payment(&rig, 1, 11, "Completed", turn == 0 ? "5.00" : "4.00");
        rig_run(&rig);
        rig_payment(&rig, 1, 11, "Completed", turn == 0 ? "4.00" : "5.00");
        rig_run(&rig);
        rig_sweep_final(&rig);
        facts[turn] = rig_dump_facts(&rig);
        assert_rows(&rig, "SELECT reason, state FROM dead_letters", "E_CONFLICT|NEW\n");
        assert_rows(&rig, "SELECT match_issue FROM orders_payments_facts", "CONFLICT\n");
        assert_int_equal(rig_count(&rig, "SELECT count(*) FROM order_events"), 3);
        rig_assert_balanced(&rig);
        rig_deinit(&rig);
    }
    assert_string_equal(facts[0], facts[1]);
    free(facts[0]);
    free(facts[1]);
}

static void late_failed_does_not_erase_completed(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_order(&rig, 1, 1, "5.00", "Pending");
    rig_payment(&rig, 1, 11, "Completed", "5.00");
    rig_run(&rig);
    rig_payment(&rig, 1, 11, "Failed", "5.00");
    rig_payment(&rig, 1, 11, "Refunded", "2.00");
    rig_run(&rig);
    assert_rows(&rig,
                "SELECT payment_status, amount_paid, amount_refunded, settlement, n_events"
                " FROM orders_payments_facts",
                "Refunded|5.00|2.00|PART_REFUNDED|4\n");
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM payments"), 1);
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM payment_events"), 2);
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

static void bad_message_is_a_dead_letter_and_its_batch_goes_on(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_order(&rig, 1, 1, "5.00", "Pending");
    rig_publish(&rig, BUS_ORDERS, "{\"order_id\": 1, }");
    rig_publish(&rig, BUS_PAYMENTS, "not json");
    rig_payment(&rig, 1, 11, "Completed", NULL);
    rig_run(&rig);
    rig_sweep_final(&rig);
    assert_rows(&rig, FACTS, "1|11|Completed|5.00|5.00|5.00|5.00|PAID|NONE|2\n");
    assert_rows(&rig, "SELECT reason, source_topic, body FROM dead_letters ORDER BY source_topic",
                "E_JSON|orders_data|{\"order_id\": 1, }\nE_JSON|payments_data|not json\n");
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

static void card_number_never_reaches_the_dead_letters(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_publish(&rig, BUS_PAYMENTS, "{\"payment_id\": 1, \"note\": \"4111 1111 1111 1111\"}");
    rig_publish(&rig, BUS_PAYMENTS, "broken 4111111111111111");
    rig_run(&rig);
    rig_sweep_final(&rig);
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM dead_letters WHERE redacted"), 2);
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM dead_letters WHERE body LIKE"
                                     " '%4111%1111%1111%1111%'"),
                     0);
    assert_rows(&rig, "SELECT reason FROM dead_letters ORDER BY 1", "E_JSON\nE_PAN\n");
    rig_deinit(&rig);
}

// 1,000 payment events fit, the next one is refused, a repetition of a stored one is not.
static void order_takes_a_thousand_payment_events_and_no_more(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_order(&rig, 1, 1, "5.00", "Pending");
    for (int i = 0; i < FOLD_EVENTS_OF_KIND_MAX - 1; i++) {
        rig_payment(&rig, 1, 100 + i, "Completed", "1.00");
    }
    rig_run(&rig);
    rig_payment(&rig, 1, 5000, "Completed", "1.00"); // the 1,000th
    rig_run(&rig);
    rig_payment(&rig, 1, 5001, "Completed", "1.00"); // one too many
    rig_payment(&rig, 1, 5000, "Completed", "1.00"); // known
    rig_order(&rig, 1, 2, "6.00", "Pending");        // orders have room of their own
    rig_run(&rig);
    rig_sweep_final(&rig);
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM payments"), 1000);
    assert_rows(&rig, "SELECT reason, payment_id FROM dead_letters", "E_HOT_ORDER|5001\n");
    assert_rows(&rig, "SELECT DISTINCT price, amount_paid FROM orders_payments_facts",
                "6.00|1000.00\n");
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

// Ten orders of 400 payments each, and one batch that touches them all.
static void apply_large_partitions(size_t arena_size, uint64_t *out_calls)
{
    struct rig rig;
    rig_init(&rig);
    for (int64_t order_id = 1; order_id <= 10; order_id++) {
        rig_order(&rig, order_id, 1, "5.00", "Pending");
        for (int64_t i = 0; i < 400; i++) {
            rig_payment(&rig, order_id, 1000 * order_id + i, "Completed", "1.00");
        }
    }
    rig_run(&rig);
    rig_close(&rig);
    rig.arena_size = arena_size;
    rig_open(&rig);
    for (int64_t order_id = 1; order_id <= 10; order_id++) {
        rig_payment(&rig, order_id, 1000 * order_id + 999, "Completed", "1.00");
        rig_publish(&rig, BUS_PAYMENTS, "refused");
    }
    seam_fault_arm(&rig, 0, SEAM_BEFORE);
    rig_run(&rig);
    *out_calls = seam_fault_count();
    rig_sweep_final(&rig);
    assert_rows(&rig, "SELECT DISTINCT amount_paid FROM orders_payments_facts", "401.00\n");
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM dead_letters"), 10);
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

static void batch_whose_partitions_do_not_fit_is_applied_in_pieces(void **state)
{
    (void)state;
    uint64_t calls_at_once = 0;
    uint64_t calls_in_pieces = 0;
    apply_large_partitions(RIG_ARENA_SIZE, &calls_at_once);
    apply_large_partitions(1u << 20, &calls_in_pieces);
    assert_true(calls_in_pieces > calls_at_once + 5);
}

static enum err lose_ack(struct bus *bus, enum bus_topic subscription,
                         const struct bus_handle *handles, size_t count, struct why *why)
{
    (void)bus;
    (void)subscription;
    (void)handles;
    (void)count;
    (void)why;
    return ERR_OK;
}

// As if the process had died between its commit and its ack.
static void redelivery_after_a_lost_ack_is_known_as_such(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_order(&rig, 1, 1, "5.00", "Pending");
    rig_payment(&rig, 1, 11, "Completed", "5.00");
    struct bus_ops losing = *rig.bus->ops;
    losing.ack = lose_ack;
    rig.bus->ops = &losing;
    rig_run(&rig);
    rig_crash(&rig);
    rig_open(&rig);
    rig_run(&rig);
    assert_int_equal(atomic_load(&rig.lane.counters.redelivered), 2);
    assert_int_equal(rig_count(&rig, "SELECT sum(messages) FROM tally"), 2);
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

// As if the ack had not reached the broker: the lease ends, and the process is still there.
static void redelivery_in_the_same_process_is_known_as_such(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_order(&rig, 1, 1, "5.00", "Pending");
    rig_payment(&rig, 1, 11, "Completed", "5.00");
    const struct bus_ops *real = rig.bus->ops;
    struct bus_ops losing = *real;
    losing.ack = lose_ack;
    rig.bus->ops = &losing;
    rig_run(&rig);
    rig.bus->ops = real;
    rig_advance_seconds(&rig, 61);
    rig_run(&rig);
    assert_int_equal(atomic_load(&rig.lane.counters.redelivered), 2);
    assert_int_equal(rig_count(&rig, "SELECT sum(messages) FROM tally"), 2);
    rig_advance_seconds(&rig, 61);
    rig_run(&rig);
    assert_int_equal(atomic_load(&rig.lane.counters.redelivered), 2); // acked by now
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

static void restart_continues_where_it_was(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_order(&rig, 1, 1, "5.00", "Pending");
    rig_run(&rig);
    rig_close(&rig);
    rig_open(&rig);
    rig_payment(&rig, 1, 11, "Completed", "5.00");
    rig_run(&rig);
    rig_close(&rig);
    rig_open(&rig);
    assert_rows(&rig, FACTS, "1|11|Completed|5.00|5.00|5.00|5.00|PAID|NONE|2\n");
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

static void copy_file(const char *from, const char *to)
{
    char command[256];
    (void)snprintf(command, sizeof(command), "cp %s %s", from, to);
    assert_int_equal(system(command), 0);
}

// Its next messages would bear numbers that count as applied, and be acked unseen.
static void older_topics_file_is_refused(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_order(&rig, 1, 1, "5.00", "Pending");
    rig_run(&rig);
    rig_close(&rig);
    char kept[128];
    (void)snprintf(kept, sizeof(kept), "%s.kept", rig.topics_path);
    copy_file(rig.topics_path, kept);
    rig_open(&rig);
    rig_order(&rig, 2, 1, "5.00", "Pending");
    rig_run(&rig);
    rig_close(&rig);
    copy_file(kept, rig.topics_path);
    assert_int_equal(unlink(kept), 0);
    struct why why = {0};
    struct clock clock = clock_virtual(&rig.time);
    struct bus_embedded_options bus_options = {.path = rig.topics_path, .clock = clock};
    struct store_sqlite_options store_options = {.path = rig.facts_path};
    assert_int_equal(bus_embedded_open(&bus_options, &rig.bus, &why), ERR_OK);
    assert_int_equal(store_sqlite_open(&store_options, &rig.store, &why), ERR_OK);
    assert_int_equal(lane_open(&rig.lane, &(struct matcher){rig.store, rig.bus, &rig.rules, clock},
                               TEXT("lane"), NULL, &why),
                     ERR_CORRUPT);
    assert_non_null(strstr(why.text, "topics.db is older than facts.db"));
    store_close(&rig.store);
    bus_close(&rig.bus);
    rig_deinit(&rig);
}

// What was acked is in the facts, or the facts are not those of this log.
static void lost_facts_file_is_refused(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_order(&rig, 1, 1, "5.00", "Pending");
    rig_run(&rig);
    rig_close(&rig);
    char kept[128];
    (void)snprintf(kept, sizeof(kept), "%s.kept", rig.facts_path);
    assert_int_equal(rename(rig.facts_path, kept), 0);
    struct why why = {0};
    struct clock clock = clock_virtual(&rig.time);
    struct bus_embedded_options bus_options = {.path = rig.topics_path, .clock = clock};
    struct store_sqlite_options store_options = {.path = rig.facts_path};
    assert_int_equal(bus_embedded_open(&bus_options, &rig.bus, &why), ERR_OK);
    assert_int_equal(store_sqlite_open(&store_options, &rig.store, &why), ERR_OK);
    assert_int_equal(lane_open(&rig.lane, &(struct matcher){rig.store, rig.bus, &rig.rules, clock},
                               TEXT("lane"), NULL, &why),
                     ERR_CORRUPT);
    assert_non_null(strstr(why.text, "1 messages are acked, but facts.db knows of 0"));
    store_close(&rig.store);
    bus_close(&rig.bus);
    assert_int_equal(unlink(kept), 0);
    rig_deinit(&rig);
}

static void message_in_hand_at_three_starts_that_died_is_poison(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_order(&rig, 1, 1, "5.00", "Pending");
    rig_order(&rig, 2, 1, "6.00", "Pending");
    struct why why = {0};
    uint32_t starts = 0;
    assert_int_equal(batch_pull(&rig.batch, rig.bus, &rig.limits, &why), ERR_OK);
    char first_id[64];
    struct text message_id = rig.batch.items[0].message->message_id;
    assert_in_range(message_id.size, 1, sizeof(first_id));
    memcpy(first_id, message_id.data, message_id.size);
    message_id.data = first_id;
    rig_crash(&rig); // the first start dies with everything in hand
    for (uint32_t deaths = 1; deaths < LANE_POISON_STARTS; deaths++) {
        rig_open(&rig);
        // The next ones take messages singly and die with the first of them.
        assert_int_equal(
            store_add_suspect(rig.store, TEXT("orders_data"), message_id, &starts, &why), ERR_OK);
        assert_int_equal(starts, deaths);
        rig_crash(&rig);
    }
    rig_open(&rig);
    rig_run(&rig);
    rig_sweep_final(&rig);
    assert_rows(&rig, "SELECT reason, body LIKE '%\"order_id\": 1,%' FROM dead_letters",
                "E_POISON|1\n");
    assert_rows(&rig, "SELECT order_id FROM orders_payments_facts", "2\n");
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM suspects"), 0);
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

static void message_in_hand_at_two_starts_that_died_is_applied(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_order(&rig, 1, 1, "5.00", "Pending");
    rig_crash(&rig);
    rig_open(&rig);
    struct why why = {0};
    seam_fault_arm(&rig, 1, SEAM_AFTER); // pulled
    assert_int_equal(rig_try_run(&rig, &why), ERR_IO);
    rig_crash(&rig);
    rig_open(&rig);
    seam_fault_arm(&rig, 3, SEAM_BEFORE); // pulled, noted as suspect, then dead
    assert_int_equal(rig_try_run(&rig, &why), ERR_IO);
    rig_crash(&rig);
    assert_int_equal(rig_count(&rig, "SELECT starts FROM suspects"), 1);
    rig_open(&rig);
    rig_run(&rig);
    assert_rows(&rig, "SELECT order_id FROM orders_payments_facts", "1\n");
    assert_int_equal(rig_count(&rig, "SELECT count(*) FROM suspects"), 0);
    rig_assert_balanced(&rig);
    rig_deinit(&rig);
}

static void facts_are_found_by_customer_and_day(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig_order(&rig, 1, 1, "5.00", "Pending");
    rig_order(&rig, 2, 1, "5.00", "Pending");
    rig_run(&rig);
    assert_rows(&rig, "SELECT order_id FROM facts_by_customer WHERE customer_id = 7 ORDER BY 1",
                "1\n2\n");
    assert_rows(&rig, "SELECT order_id FROM facts_by_day WHERE day = '2024-01-21' ORDER BY 1",
                "1\n2\n");
    assert_rows(&rig, "SELECT count(*) FROM facts_by_customer WHERE customer_id = 8", "0\n");
    rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(payment_after_its_order_is_matched),
        cmocka_unit_test(payment_before_its_order_waits_and_is_matched),
        cmocka_unit_test(order_and_payment_of_one_batch_see_each_other),
        cmocka_unit_test(order_without_payment_is_one_row),
        cmocka_unit_test(payment_without_order_is_dead_after_its_grace_and_not_before),
        cmocka_unit_test(dead_letter_keeps_the_original_bytes),
        cmocka_unit_test(sweeper_holds_while_the_orders_are_behind),
        cmocka_unit_test(order_after_the_dead_letter_heals_it),
        cmocka_unit_test(dead_letter_is_looked_at_again_and_expires),
        cmocka_unit_test(duplicates_are_counted_and_change_nothing),
        cmocka_unit_test(unversioned_order_that_repeats_the_winner_is_a_duplicate),
        cmocka_unit_test(explicit_version_outranks_and_late_ones_change_nothing),
        cmocka_unit_test(conflicts_converge),
        cmocka_unit_test(late_failed_does_not_erase_completed),
        cmocka_unit_test(bad_message_is_a_dead_letter_and_its_batch_goes_on),
        cmocka_unit_test(card_number_never_reaches_the_dead_letters),
        cmocka_unit_test(order_takes_a_thousand_payment_events_and_no_more),
        cmocka_unit_test(batch_whose_partitions_do_not_fit_is_applied_in_pieces),
        cmocka_unit_test(redelivery_after_a_lost_ack_is_known_as_such),
        cmocka_unit_test(redelivery_in_the_same_process_is_known_as_such),
        cmocka_unit_test(restart_continues_where_it_was),
        cmocka_unit_test(older_topics_file_is_refused),
        cmocka_unit_test(lost_facts_file_is_refused),
        cmocka_unit_test(message_in_hand_at_three_starts_that_died_is_poison),
        cmocka_unit_test(message_in_hand_at_two_starts_that_died_is_applied),
        cmocka_unit_test(facts_are_found_by_customer_and_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
