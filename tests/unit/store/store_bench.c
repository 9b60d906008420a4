// Applying works as the pipeline's match_groups does, so that a store is asked in the same way.
#include "store_bench.h"

#include "store_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define ARENA_SIZE (64u << 20)

void bench_open(struct store_bench *bench, const struct store_factory *factory)
{
    memset(bench, 0, sizeof(*bench));
    bench->factory = factory;
    bench->world = factory->create();
    bench->store = factory->store(bench->world);
    assert_int_equal(arena_init(&bench->arena, ARENA_SIZE), ERR_OK);
}

void bench_close(struct store_bench *bench)
{
    bench->factory->destroy(bench->world);
    arena_deinit(&bench->arena);
}

void bench_reopen(struct store_bench *bench)
{
    bench->store = bench->factory->reopen(bench->world);
}

void bench_check(struct store_bench *bench, enum err err)
{
    if (err != ERR_OK) {
        fail_msg("%s: %s", err_name(err), bench->why.text);
    }
}

void bench_begin(struct store_bench *bench)
{
    bench_check(bench, store_begin(bench->store, &bench->why));
}

void bench_commit(struct store_bench *bench)
{
    bench_check(bench, store_commit(bench->store, &bench->why));
}

struct order bench_order(int64_t order_id, int64_t version)
{
    return (struct order){
        .order_id = order_id,
        .customer_id = 7,
        .item = TEXT("Laptop"),
        .quantity = 1,
        .price_minor = 1000,
        .shipping_address = TEXT("123 Main St"),
        .status = ORDER_STATUS_PENDING,
        .creation_date = TEXT("2024-01-21"),
        .currency = currency_usd(),
        .version_given = version > 0,
        .version = version,
    };
}

struct payment bench_payment(int64_t order_id, int64_t payment_id)
{
    return (struct payment){
        .payment_id = payment_id,
        .order_id = order_id,
        .method = TEXT("Google Pay"),
        .card_last_four = TEXT("0042"),
        .status = PAYMENT_STATUS_COMPLETED,
        .datetime = TEXT("2024-01-21T10:01:30Z"),
        .amount_given = true,
        .amount_minor = 1000,
        .currency = currency_usd(),
    };
}

static struct incoming *next_incoming(struct store_bench *bench)
{
    assert_in_range(bench->incoming_count, 0, BENCH_EVENTS_MAX - 1);
    struct incoming *incoming = &bench->incoming[bench->incoming_count++];
    incoming->outcome = INSERT_UNKNOWN;
    return incoming;
}

static int64_t next_published_us(void)
{
    static int64_t published_us = BENCH_PUBLISHED_US;
    return published_us++;
}

void bench_add_order(struct store_bench *bench, const struct order *order)
{
    event_of_order(order, next_published_us(), &next_incoming(bench)->event);
}

void bench_add_payment(struct store_bench *bench, const struct payment *payment)
{
    event_of_payment(payment, next_published_us(), &next_incoming(bench)->event);
}

void bench_add_note(struct store_bench *bench, int64_t order_id, int64_t payment_id,
                    const struct note *note, char id_text[EVENT_NOTE_ID_SIZE])
{
    struct event *event = &next_incoming(bench)->event;
    event_of_note(order_id, payment_id, note, id_text, event);
    event->published_us = next_published_us();
}

static size_t find_group(const struct store_group *groups, size_t count, int64_t order_id)
{
    size_t at = count;
    while (at > 0 && groups[at - 1].order_id != order_id) { // mostly the last one
        at--;
    }
    return at > 0 ? at - 1 : count;
}

// Groups the collected events by order.
static struct store_group *build_groups(struct store_bench *bench, size_t *out_count)
{
    struct arena *arena = &bench->arena;
    size_t cap = bench->incoming_count;
    struct store_group *groups = ARENA_ARRAY(arena, struct store_group, cap);
    struct incoming **pointers = ARENA_ARRAY(arena, struct incoming *, cap);
    size_t *group_of = ARENA_ARRAY(arena, size_t, cap);
    assert_false(arena_overflowed(arena));
    size_t count = 0;
    int64_t greatest = 0;
    for (size_t i = 0; i < cap; i++) {
        int64_t order_id = bench->incoming[i].event.order_id;
        group_of[i] = order_id > greatest ? count : find_group(groups, count, order_id);
        greatest = order_id > greatest ? order_id : greatest;
        count += group_of[i] == count;
        groups[group_of[i]].order_id = order_id;
        groups[group_of[i]].incoming_count++;
    }
    for (size_t g = 0; g < count; g++) {
        groups[g].incoming = pointers;
        pointers += groups[g].incoming_count;
        groups[g].incoming_count = 0;
    }
    for (size_t i = 0; i < cap; i++) {
        struct store_group *group = &groups[group_of[i]];
        group->incoming[group->incoming_count++] = &bench->incoming[i];
    }
    *out_count = count;
    return groups;
}

static enum err fold_group(struct store_bench *bench, struct store_group *group)
{
    struct arena *arena = &bench->arena;
    struct fold_space space = {
        .sorted = ARENA_ARRAY(arena, const struct event *, group->row_count),
        .losers = ARENA_ARRAY(arena, const struct event *, group->row_count),
        .payments = ARENA_ARRAY(arena, struct fact_payment, group->row_count),
    };
    assert_false(arena_overflowed(arena));
    static const struct fold_rules rules = {0};
    enum err err = fold(group->rows, group->row_count, &rules, &space, &group->fact);
    group->fact.order_id = group->order_id;
    return err;
}

enum err bench_apply_uncommitted(struct store_bench *bench)
{
    arena_reset(&bench->arena);
    size_t count = 0;
    struct store_group *groups = build_groups(bench, &count);
    bench->incoming_count = 0;
    enum err err = store_begin(bench->store, &bench->why);
    if (err == ERR_OK) {
        err = store_insert_events(bench->store, groups, count, &bench->why);
    }
    if (err == ERR_OK) {
        err = store_read_partitions(bench->store, groups, count, &bench->arena, &bench->why);
    }
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        err = fold_group(bench, &groups[i]);
    }
    return err == ERR_OK ? store_write_facts(bench->store, groups, count, &bench->why) : err;
}

void bench_apply(struct store_bench *bench)
{
    bench_check(bench, bench_apply_uncommitted(bench));
    bench_check(bench, store_commit(bench->store, &bench->why));
}

struct store_group bench_read(struct store_bench *bench, int64_t order_id)
{
    struct store_group group = {.order_id = order_id};
    arena_reset(&bench->arena);
    bench_check(bench, store_begin(bench->store, &bench->why));
    bench_check(bench, store_read_partitions(bench->store, &group, 1, &bench->arena, &bench->why));
    store_rollback(bench->store);
    bench_check(bench, fold_group(bench, &group));
    return group;
}

const struct event *bench_find_payment(const struct store_group *group, int64_t payment_id,
                                       const char *event_id)
{
    for (size_t i = 0; i < group->row_count; i++) {
        const struct event *row = group->rows[i];
        if (row->kind == EVENT_PAYMENT && row->entity_id == payment_id &&
            text_equal(row->event_id, text_of(event_id))) {
            return row;
        }
    }
    return NULL;
}

const struct event *bench_find_version(const struct store_group *group, int64_t version)
{
    for (size_t i = 0; i < group->row_count; i++) {
        const struct event *row = group->rows[i];
        if (row->kind == EVENT_ORDER && row->order.version == version) {
            return row;
        }
    }
    return NULL;
}

size_t bench_count_kind(const struct store_group *group, enum event_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < group->row_count; i++) {
        count += group->rows[i]->kind == kind;
    }
    return count;
}

struct store_reader *bench_reader(struct store_bench *bench)
{
    if (bench->factory->reader == NULL) {
        skip();
    }
    return bench->factory->reader(bench->world);
}

struct store_totals *bench_totals(struct store_bench *bench, struct text log_id)
{
    struct store_reader *reader = bench_reader(bench);
    struct store_totals *totals = calloc(1, sizeof(*totals));
    assert_non_null(totals);
    arena_reset(&bench->arena);
    bench_check(bench, store_reader_totals(reader, log_id, &bench->arena, totals, &bench->why));
    store_reader_close(&reader);
    return totals;
}
