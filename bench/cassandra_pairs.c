// What a Cassandra node gives for the operations of a pair, an order and its payment, when nothing is in their
// way: statements bound beforehand, everything sent at once with the client's window, answers only counted.
//
//     cassandra_pairs HOST:PORT KEYSPACE [PAIRS [FIRST_ORDER_ID]]
//
// The keyspace is one that till setup made; rows are written into it. Operations: the order's event with its
// projection, a read; the payment's event, a read, the projection of both; with the order's row by customer.
// bench/cassandra takes turns between this and the pipeline.
#include "cassandra_store.h"
#include "store_cassandra.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define PAIRS_AT_ONCE  1000
#define OPERATIONS_MAX 6

static const struct text item = {"Coffee Maker", 12};
static const struct text address = {"696 Harbour Way, Lakeside 66275", 31};
static const struct text day = {"2024-01-21", 10};

static void fill_order(int64_t order_id, struct event *out_event)
{
    const struct order order = {.order_id = order_id,
                                .customer_id = 1 + order_id % 99991,
                                .item = item,
                                .quantity = 2,
                                .price_minor = 12999,
                                .shipping_address = address,
                                .creation_date = day,
                                .currency = currency_usd(),
                                .version_given = true,
                                .version = 1};
    event_of_order(&order, INT64_C(1700000000000000) + order_id, out_event);
}

static void fill_payment(int64_t order_id, struct event *out_event)
{
    const struct payment payment = {.payment_id = 1000 + order_id,
                                    .order_id = order_id,
                                    .method = {"Google Pay", 10},
                                    .card_last_four = {"0042", 4},
                                    .status = PAYMENT_STATUS_COMPLETED,
                                    .datetime = {"2024-01-21T10:01:30Z", 20},
                                    .amount_given = true,
                                    .amount_minor = 25998,
                                    .currency = currency_usd()};
    event_of_payment(&payment, INT64_C(1700000000000000) + order_id, out_event);
}

// The operations of a pair are those of the store itself, put together by its own functions.
struct pair {
    struct incoming incoming[2];
    struct incoming *one[2];
    const struct event *rows[2];
    struct fact_payment payments[1];
    struct cassandra_rows counts;
    struct store_group order;   // as it comes in first
    struct store_group payment; // as it comes in later
};

static void fill_pair(struct pair *pair, int64_t order_id)
{
    static const struct fold_rules rules = {.want_set_hash = true};
    const struct event *space[4];
    fill_order(order_id, &pair->incoming[0].event);
    fill_payment(order_id, &pair->incoming[1].event);
    for (int i = 0; i < 2; i++) {
        pair->one[i] = &pair->incoming[i];
        pair->rows[i] = &pair->incoming[i].event;
    }
    struct fold_space fold_space = {space, space + 2, pair->payments};
    struct fact fact = {0};
    if (fold(pair->rows, 2, &rules, &fold_space, &fact) != ERR_OK) {
        abort();
    }
    pair->counts = (struct cassandra_rows){.n_rows = 2};
    pair->order =
        (struct store_group){.order_id = order_id, .incoming = &pair->one[0], .incoming_count = 1};
    pair->payment = (struct store_group){.order_id = order_id,
                                         .incoming = &pair->one[1],
                                         .incoming_count = 1,
                                         .fact = fact,
                                         .private_rows = &pair->counts};
}

static void must(enum err err, const struct why *why)
{
    if (err != ERR_OK) {
        (void)fprintf(stderr, "cassandra_pairs: %s\n", why->text);
        exit(1);
    }
}

// Inserts and reads of many orders, then of their payments, then the projections: as a lane does it that finds
// the payments a batch later.
static void blast(struct store *store, struct pair *pairs, int64_t first, struct arena *arena)
{
    struct why why = {0};
    static struct store_group orders[PAIRS_AT_ONCE];
    static struct store_group payments[PAIRS_AT_ONCE];
    for (int i = 0; i < PAIRS_AT_ONCE; i++) {
        fill_pair(&pairs[i], first + i);
        orders[i] = pairs[i].order;
        payments[i] = pairs[i].payment;
    }
    arena_reset(arena);
    must(cassandra_insert_events(store, orders, PAIRS_AT_ONCE, &why), &why);
    must(cassandra_read_partitions(store, orders, PAIRS_AT_ONCE, arena, &why), &why);
    must(cassandra_insert_events(store, payments, PAIRS_AT_ONCE, &why), &why);
    struct store_group read[PAIRS_AT_ONCE];
    for (int i = 0; i < PAIRS_AT_ONCE; i++) {
        read[i] = payments[i];
    }
    must(cassandra_read_partitions(store, read, PAIRS_AT_ONCE, arena, &why), &why);
    must(cassandra_write_facts(store, payments, PAIRS_AT_ONCE, &why), &why);
}

int main(int argc, char **argv)
{
    struct why why = {0};
    struct store *store = NULL;
    struct arena arena;
    struct clock clock = clock_real();
    if (argc < 3) {
        (void)fprintf(stderr,
                      "usage: cassandra_pairs HOST:PORT KEYSPACE [PAIRS [FIRST_ORDER_ID]]\n");
        return 2;
    }
    int64_t pairs_wanted = argc > 3 ? strtoll(argv[3], NULL, 10) : 20000;
    int64_t first = argc > 4 ? strtoll(argv[4], NULL, 10) : INT64_C(1) << 40;
    const struct store_cassandra_options options = {
        .cluster = {.contact_points = argv[1], .clock = clock},
        .keyspace = argv[2],
        .clock = clock};
    must(store_cassandra_open(&options, &store, &why), &why);
    must(arena_init(&arena, 256u << 20), &why);
    struct pair *pairs = calloc(PAIRS_AT_ONCE, sizeof(*pairs));
    if (pairs == NULL) {
        abort();
    }
    int64_t start_ns = clock_mono_ns(&clock);
    int64_t done = 0;
    for (; done < pairs_wanted; done += PAIRS_AT_ONCE) {
        blast(store, pairs, first + done, &arena);
    }
    struct cql_figures figures = cql_figures(cassandra_store_of(store)->cql);
    int64_t wall_ns = clock_mono_ns(&clock) - start_ns;
    struct rusage usage = {0};
    (void)getrusage(RUSAGE_SELF, &usage);
    int64_t cpu_us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * US_PER_SECOND +
                     usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    printf("%" PRId64 " pairs/s, %" PRIu64 " operations, %" PRId64 " ns CPU a pair\n",
           done * NS_PER_SECOND / wall_ns, figures.requests, cpu_us * 1000 / done);
    free(pairs);
    arena_deinit(&arena);
    store_close(&store);
    return 0;
}
