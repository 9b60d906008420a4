// Short plays in a world made by hand (checker_fake.h), shared by the tests of the checker: each is right
// and complete, and a test then breaks one thing.
#ifndef TILL_SIM_CHECKER_PLAYS_H
#define TILL_SIM_CHECKER_PLAYS_H

#include "checker_fake.h"

#define TWO 3u // replicas 0 and 1: what is written at a quorum

#define ORDER_1                                                                                    \
    "{\"order_id\":1,\"customer_id\":7,\"item\":\"Laptop\",\"quantity\":2,\"price\":50.00,"        \
    "\"shipping_address\":\"12 Elm Street, Town\",\"order_status\":\"Pending\","                   \
    "\"creation_date\":\"2024-01-21\",\"version\":1}"
#define ORDER_1_LATER                                                                              \
    "{\"order_id\":1,\"customer_id\":7,\"item\":\"Laptop\",\"quantity\":2,\"price\":50.00,"        \
    "\"shipping_address\":\"12 Elm Street, Town\",\"order_status\":\"Shipped\","                   \
    "\"creation_date\":\"2024-01-21\",\"version\":2}"
#define ORDER_2                                                                                    \
    "{\"order_id\":2,\"customer_id\":7,\"item\":\"Laptop\",\"quantity\":1,\"price\":9.99,"         \
    "\"shipping_address\":\"12 Elm Street, Town\",\"order_status\":\"Pending\","                   \
    "\"creation_date\":\"2024-01-21\",\"version\":1}"
#define ORDER_5_UNVERSIONED                                                                        \
    "{\"order_id\":5,\"customer_id\":7,\"item\":\"Laptop\",\"quantity\":1,\"price\":50.00,"        \
    "\"shipping_address\":\"12 Elm Street, Town\",\"order_status\":\"Pending\","                   \
    "\"creation_date\":\"2024-01-21\"}"
#define PAYMENT(id, order, status, amount)                                                         \
    "{\"payment_id\":" id ",\"order_id\":" order ",\"payment_method\":\"Google Pay\","             \
    "\"card_last_four\":\"0042\",\"payment_status\":\"" status "\","                               \
    "\"payment_datetime\":\"2024-01-21T10:01:30Z\",\"amount\":" amount "}"
#define NOT_JSON "{\"payment_id\":3,\"name\":\"Margarete Muster\""

extern struct fake fake;

#define CLUSTER_TEST(f)  cmocka_unit_test_setup_teardown(f, set_up_cluster, tear_down)
#define EMBEDDED_TEST(f) cmocka_unit_test_setup_teardown(f, set_up_embedded, tear_down)

int set_up_cluster(void **state);
int set_up_embedded(void **state);
int tear_down(void **state);

void assert_fine(void);
void assert_violates(const char *check);
void finish_and_assert_violates(const char *check);

// Order 1 with payments 11 and 12, all through.
void play_matched(void);
// Payment 21, whose order 2 never comes, up to its dead letter; `record` says how its record ends.
void play_unmatched(enum dead_letter_state record);
// A message that is no JSON, up to its record.
void play_refused(void);
// Two contents of payment 11's Completed event beside order 1; with or without the loser's record.
void play_conflict(bool record);

typedef void break_fn(struct sim_fact *fact);

#endif
