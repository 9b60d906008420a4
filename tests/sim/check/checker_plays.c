// What the tests of the checker share.
#include "checker_plays.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka's header needs those above.
#include <cmocka.h>

#include <string.h>

struct fake fake;

int set_up_cluster(void **state)
{
    (void)state;
    fake_init(&fake, STORE_CLUSTER);
    return 0;
}

int set_up_embedded(void **state)
{
    (void)state;
    fake_init(&fake, STORE_EMBEDDED);
    return 0;
}

int tear_down(void **state)
{
    (void)state;
    fake_deinit(&fake);
    return 0;
}

void assert_fine(void)
{
    if (checker_violation(fake.checker) != NULL) {
        fail_msg("%s: %s", checker_violation(fake.checker), checker_detail(fake.checker));
    }
}

void assert_violates(const char *check)
{
    assert_non_null(checker_violation(fake.checker));
    if (strcmp(checker_violation(fake.checker), check) != 0) {
        fail_msg("%s instead of %s: %s", checker_violation(fake.checker), check,
                 checker_detail(fake.checker));
    }
    assert_true(strlen(checker_detail(fake.checker)) > 0);
}

void finish_and_assert_violates(const char *check)
{
    assert_fine();
    checker_finish(fake.checker);
    assert_violates(check);
}

// --- worlds -------------------------------------------------------------------------------------

void play_matched(void)
{
    uint64_t order = fake_publish(&fake, BUS_ORDERS, ORDER_1);
    fake_store(&fake, TWO, BUS_ORDERS, order);
    fake_project(&fake, TWO, 1);
    fake_ack(&fake, BUS_ORDERS, order);
    static const char *const bodies[] = {PAYMENT("11", "1", "Completed", "60.00"),
                                         PAYMENT("12", "1", "Completed", "40.00")};
    for (size_t i = 0; i < 2; i++) {
        uint64_t payment = fake_publish(&fake, BUS_PAYMENTS, bodies[i]);
        fake_store(&fake, TWO, BUS_PAYMENTS, payment);
        fake_project(&fake, TWO, 1);
        fake_ack(&fake, BUS_PAYMENTS, payment);
    }
}

void play_unmatched(enum dead_letter_state record)
{
    uint64_t payment = fake_publish(&fake, BUS_PAYMENTS, PAYMENT("21", "2", "Completed", "9.99"));
    struct event event = fake_event(&fake, BUS_PAYMENTS, payment);
    fake_store(&fake, TWO, BUS_PAYMENTS, payment);
    fake_wait(&fake, TWO, &event);
    fake_ack(&fake, BUS_PAYMENTS, payment);
    fake_note(&fake, TWO, NOTE_PARKED, &event);
    uint64_t letter = fake_letter(&fake, BUS_PAYMENTS, payment, REASON_E_UNMATCHED, &event);
    fake_note(&fake, TWO, NOTE_DEAD, &event);
    for (unsigned i = 0; i < CLUSTER_REPLICAS; i++) {
        fake.cluster.replicas[i].waiting_count = 0;
    }
    fake_record(&fake, TWO, BUS_PAYMENTS_DLQ, letter, record);
    fake_ack(&fake, BUS_PAYMENTS_DLQ, letter);
}

void play_refused(void)
{
    uint64_t message = fake_publish(&fake, BUS_PAYMENTS, NOT_JSON);
    uint64_t letter = fake_letter(&fake, BUS_PAYMENTS, message, REASON_E_JSON, NULL);
    fake_ack(&fake, BUS_PAYMENTS, message);
    fake_record(&fake, TWO, BUS_PAYMENTS_DLQ, letter, DEAD_LETTER_NEW);
    fake_ack(&fake, BUS_PAYMENTS_DLQ, letter);
}

void play_conflict(bool record)
{
    fake_store(&fake, TWO, BUS_ORDERS, fake_publish(&fake, BUS_ORDERS, ORDER_1));
    uint64_t a = fake_publish(&fake, BUS_PAYMENTS, PAYMENT("11", "1", "Completed", "60.00"));
    uint64_t b = fake_publish(&fake, BUS_PAYMENTS, PAYMENT("11", "1", "Completed", "61.00"));
    fake_store(&fake, TWO, BUS_PAYMENTS, a);
    fake_store(&fake, TWO, BUS_PAYMENTS, b);
    fake_project(&fake, TWO, 1);
    struct event first = fake_event(&fake, BUS_PAYMENTS, a);
    struct event second = fake_event(&fake, BUS_PAYMENTS, b);
    bool first_loses = hash_compare(&first.hash, &second.hash) > 0;
    if (record) {
        uint64_t letter = fake_letter(&fake, BUS_PAYMENTS, first_loses ? a : b, REASON_E_CONFLICT,
                                      first_loses ? &first : &second);
        fake_record(&fake, TWO, BUS_PAYMENTS_DLQ, letter, DEAD_LETTER_NEW);
        fake_ack(&fake, BUS_PAYMENTS_DLQ, letter);
    }
    fake_ack(&fake, BUS_ORDERS, 1);
    fake_ack(&fake, BUS_PAYMENTS, a);
    fake_ack(&fake, BUS_PAYMENTS, b);
}
