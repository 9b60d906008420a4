// The table of worlds, the small ones first.
#include "world.h"

#include <string.h>

#define ORDER(version, price)                                                                      \
    "{\"order_id\": 42, \"customer_id\": 771, \"item\": \"Laptop\", \"quantity\": 1, "             \
    "\"price\": " price ", \"shipping_address\": \"City A\", \"order_status\": \"Pending\", "      \
    "\"creation_date\": \"2024-01-21\"" version "}"
#define PAYMENT(id, status, amount)                                                                \
    "{\"payment_id\": " id ", \"order_id\": 42, \"payment_method\": \"Card\", "                    \
    "\"card_last_four\": \"0042\", \"payment_status\": \"" status "\", "                           \
    "\"payment_datetime\": \"2024-01-21T10:01:30Z\", \"amount\": " amount "}"

#define O_PLAIN                                                                                    \
    {                                                                                              \
        BUS_ORDERS, "o", ORDER("", "100.00")                                                       \
    }
#define O_AGAIN                                                                                    \
    {                                                                                              \
        BUS_ORDERS, "o'", ORDER("", "100.00")                                                      \
    } // published again: a later publish time
#define O_1                                                                                        \
    {                                                                                              \
        BUS_ORDERS, "o1", ORDER(", \"version\": 1", "100.00")                                      \
    }
#define O_2                                                                                        \
    {                                                                                              \
        BUS_ORDERS, "o2", ORDER(", \"version\": 2", "150.00")                                      \
    }
#define P_1                                                                                        \
    {                                                                                              \
        BUS_PAYMENTS, "p1", PAYMENT("1", "Completed", "10.00")                                     \
    }
#define P_2                                                                                        \
    {                                                                                              \
        BUS_PAYMENTS, "p2", PAYMENT("2", "Completed", "20.00")                                     \
    }
#define P_3                                                                                        \
    {                                                                                              \
        BUS_PAYMENTS, "p3", PAYMENT("3", "Completed", "30.00")                                     \
    }
#define P_1_BACK                                                                                   \
    {                                                                                              \
        BUS_PAYMENTS, "r1", PAYMENT("1", "Refunded", "5.00")                                       \
    }
#define P_1_TWIN                                                                                   \
    {                                                                                              \
        BUS_PAYMENTS, "t1", PAYMENT("1", "Completed", "11.00")                                     \
    }

#define SMALL UINT64_C(4000000)
#define LARGE UINT64_C(300000)

static const struct world worlds[] = {
    {.name = "pair",
     .text = "an order and its payment",
     .messages = {O_PLAIN, P_1},
     .consumers = {1, 2},
     .crashes = 1,
     .timeouts = 1,
     .states_max = SMALL},
    {.name = "pair-twice",
     .text = "both delivered to two consumers each",
     .messages = {O_PLAIN, P_1},
     .consumers = {1, 1, 2, 2},
     .crashes = 1,
     .states_max = SMALL},
    {.name = "sweep",
     .text = "an order, its payment, a sweeper",
     .messages = {O_PLAIN, P_1},
     .consumers = {1, 2},
     .sweepers = 1,
     .due_buckets = 1,
     .crashes = 1,
     .states_max = SMALL},
    {.name = "sweep-timeouts",
     .text = "the same, and two calls with an unknown outcome",
     .messages = {O_PLAIN, P_1},
     .consumers = {1, 2},
     .sweepers = 1,
     .due_buckets = 1,
     .timeouts = 2,
     .states_max = SMALL},
    {.name = "orphan",
     .text = "a payment without an order, two sweepers, two crashes",
     .messages = {P_1},
     .consumers = {1},
     .sweepers = 2,
     .due_buckets = 1,
     .crashes = 2,
     .states_max = SMALL},
    {.name = "orphan-buckets",
     .text = "the same with two buckets that fall due, one sweeper",
     .messages = {P_1},
     .consumers = {1},
     .sweepers = 1,
     .due_buckets = 2,
     .crashes = 2,
     .states_max = SMALL},
    {.name = "two-orphans",
     .text = "two payments without an order, a sweeper",
     .messages = {P_1, P_2},
     .consumers = {1, 2},
     .sweepers = 1,
     .due_buckets = 1,
     .crashes = 1,
     .states_max = SMALL},
    {.name = "two-payments",
     .text = "an order and two payments",
     .messages = {O_PLAIN, P_1, P_2},
     .consumers = {1, 2, 4},
     .crashes = 2,
     .states_max = SMALL},
    {.name = "versions",
     .text = "two versions of an order and a payment",
     .messages = {O_1, O_2, P_1},
     .consumers = {1, 2, 4},
     .crashes = 1,
     .states_max = SMALL},
    {.name = "refund",
     .text = "two events of one payment",
     .messages = {O_PLAIN, P_1, P_1_BACK},
     .consumers = {1, 2, 4},
     .crashes = 1,
     .states_max = SMALL},
    {.name = "twins",
     .text = "two contents of one payment event",
     .messages = {O_PLAIN, P_1, P_1_TWIN},
     .consumers = {1, 2, 4},
     .crashes = 1,
     .states_max = SMALL},
    {.name = "repeated-order",
     .text = "an unversioned order published twice, once in a batch with a payment",
     .messages = {O_PLAIN, O_AGAIN, P_1, P_2},
     .consumers = {2, 4, 1 | 8},
     .crashes = 1,
     .states_max = SMALL},
    {.name = "batch",
     .text = "an order in a batch with one payment, another payment apart",
     .messages = {O_PLAIN, P_1, P_2},
     .consumers = {1 | 2, 4},
     .sweepers = 1,
     .due_buckets = 1,
     .crashes = 1,
     .states_max = LARGE},
    {.name = "letters",
     .text = "an order, its payment, a sweeper and a dead-letter consumer",
     .messages = {O_PLAIN, P_1},
     .consumers = {1, 2},
     .sweepers = 1,
     .dead_letter_consumers = 1,
     .due_buckets = 1,
     .crashes = 1,
     .states_max = LARGE},
    {.name = "two-payments-sweep",
     .text = "an order, two payments and a sweeper",
     .messages = {O_PLAIN, P_1, P_2},
     .consumers = {1, 2, 4},
     .sweepers = 1,
     .due_buckets = 1,
     .crashes = 1,
     .states_max = LARGE},
    {.name = "sweepers",
     .text = "an order, its payment, two sweepers",
     .messages = {O_PLAIN, P_1},
     .consumers = {1, 2},
     .sweepers = 2,
     .due_buckets = 1,
     .crashes = 1,
     .states_max = LARGE},
    {.name = "buckets",
     .text = "an order, its payment, a sweeper, two buckets that fall due",
     .messages = {O_PLAIN, P_1},
     .consumers = {1, 2},
     .sweepers = 1,
     .due_buckets = 2,
     .crashes = 1,
     .states_max = LARGE},
    {.name = "three-payments",
     .text = "an order and three payments",
     .messages = {O_PLAIN, P_1, P_2, P_3},
     .consumers = {1, 2, 4, 8},
     .crashes = 1,
     .states_max = LARGE},
    {.name = "twins-sweep",
     .text = "two contents of one payment event, a sweeper",
     .messages = {O_PLAIN, P_1, P_1_TWIN},
     .consumers = {1, 2, 4},
     .sweepers = 1,
     .due_buckets = 1,
     .crashes = 1,
     .states_max = LARGE},
};

#define WORLD_COUNT (sizeof(worlds) / sizeof(worlds[0]))

const struct world *world_at(size_t index)
{
    return index < WORLD_COUNT ? &worlds[index] : NULL;
}

const struct world *world_find(const char *name)
{
    for (size_t i = 0; i < WORLD_COUNT; i++) {
        if (strcmp(worlds[i].name, name) == 0) {
            return &worlds[i];
        }
    }
    return NULL;
}

size_t world_message_count(const struct world *world)
{
    size_t count = 0;
    while (count < WORLD_MESSAGES_MAX && world->messages[count].body != NULL) {
        count++;
    }
    return count;
}

size_t world_consumer_count(const struct world *world)
{
    size_t count = 0;
    while (count < WORLD_PROCESSES_MAX && world->consumers[count] != 0) {
        count++;
    }
    return count;
}
