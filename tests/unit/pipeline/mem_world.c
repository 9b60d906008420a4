// The world: queues, the store's tables, who goes on next, and the two checks.
#include "mem_world.h"

#include "order_json.h"
#include "payment_json.h"
#include "rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 1000000 // a world that goes on for longer never ends

// --- lists -----------------------------------------------------------------------------------------

static void list_push(struct event_list *list, const struct event *event)
{
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 16 : list->cap * 2;
        const struct event **grown = realloc(list->items, list->cap * sizeof(grown[0]));
        assert_non_null(grown);
        list->items = grown;
    }
    list->items[list->count++] = event;
}

static size_t list_find(const struct event_list *list, const struct event *event)
{
    size_t at = 0;
    while (at < list->count && (list->items[at]->order_id != event->order_id ||
                                event_compare(list->items[at], event) != 0)) {
        at++;
    }
    return at;
}

bool list_has(const struct event_list *list, const struct event *event)
{
    return list_find(list, event) < list->count;
}

bool list_add(struct event_list *list, const struct event *event)
{
    bool is_new = !list_has(list, event);
    if (is_new) {
        list_push(list, event);
    }
    return is_new;
}

static const struct event *list_take(struct event_list *list, size_t at)
{
    const struct event *event = list->items[at];
    list->count--;
    memmove(&list->items[at], &list->items[at + 1], (list->count - at) * sizeof(list->items[0]));
    return event;
}

void list_remove(struct event_list *list, const struct event *event)
{
    size_t at = list_find(list, event);
    if (at < list->count) {
        (void)list_take(list, at);
    }
}

static void list_deinit(struct event_list *list)
{
    free(list->items);
}

// --- facts as text ---------------------------------------------------------------------------------

static void render_order(struct buf *out, const struct event *order)
{
    buf_add_fmt(out, "%lld|%.*s|%lld|%d|", (long long)order->order_id,
                TEXT_PRINT(order->order.item), (long long)order->order.price_minor,
                (int)order->order.status);
}

static void render_payment(struct buf *out, const struct event *shown, int64_t captured_minor)
{
    buf_add_fmt(out, "%lld|%d|%lld\n", (long long)shown->entity_id, (int)shown->payment.status,
                (long long)captured_minor);
}

// One line a payment, or one for an order without; nothing without the order.
static void render_fact(struct buf *out, const struct fact *fact)
{
    for (size_t i = 0; fact->order != NULL && i < fact->payment_count; i++) {
        render_order(out, fact->order);
        render_payment(out, fact->payments[i].shown, fact->payments[i].captured_minor);
    }
    if (fact->order != NULL && fact->payment_count == 0) {
        render_order(out, fact->order);
        buf_add_str(out, "||\n");
    }
}

static void render_columns(struct buf *out, const struct mem_row *row)
{
    if (row->order == NULL) {
        return;
    }
    render_order(out, row->order);
    if (row->payment == NULL) {
        buf_add_str(out, "||\n");
        return;
    }
    bool captured = row->payment->payment.status == PAYMENT_STATUS_COMPLETED;
    render_payment(out, row->payment, captured ? row->payment->payment.amount_minor : 0);
}

#define FOLD_MAX 2048

static void fold_list(const struct event_list *list, struct fact *out_fact)
{
    static const struct event *sorted[FOLD_MAX];
    static const struct event *losers[FOLD_MAX];
    static struct fact_payment payments[FOLD_MAX];
    assert_in_range(list->count, 0, FOLD_MAX);
    struct fold_space space = {sorted, losers, payments};
    struct fold_rules rules = {.want_set_hash = true};
    assert_int_equal(fold(list->items, list->count, &rules, &space, out_fact), ERR_OK);
}

static char *finish_text(struct buf *out)
{
    buf_add_char(out, '\0');
    assert_false(buf_overflowed(out));
    char *text = strdup(out->data);
    assert_non_null(text);
    buf_deinit(out);
    return text;
}

// --- the store -------------------------------------------------------------------------------------

struct mem_row *world_row(struct world *world, int64_t order_id)
{
    for (size_t i = 0; i < world->row_count; i++) {
        if (world->rows[i].order_id == order_id) {
            return &world->rows[i];
        }
    }
    fail_msg("every order of the bag has its row");
    return NULL;
}

void world_publish_dead_letter(struct world *world, const struct event *event)
{
    list_push(&world->queues[WORKER_DEAD_LETTERS], event);
}

static void read_partition(const struct event_list *stored, int64_t order_id,
                           struct event_list *out_list)
{
    out_list->count = 0;
    for (size_t i = 0; i < stored->count; i++) {
        if (stored->items[i]->order_id == order_id) {
            list_push(out_list, stored->items[i]);
        }
    }
}

void world_read(struct world *world, struct worker *worker)
{
    read_partition(&world->stored, worker->hand->order_id, &worker->seen);
    worker->saw_order = world_row(world, worker->hand->order_id)->order != NULL;
    for (size_t i = 0; i < worker->seen.count; i++) {
        worker->saw_order = worker->saw_order || worker->seen.items[i]->kind == EVENT_ORDER;
    }
}

uint64_t world_set_stamp(const struct world *world, const struct worker *worker)
{
    (void)world;
    struct fact fact;
    fold_list(&worker->seen, &fact);
    return (uint64_t)fact.n_rows << 16 | (uint64_t)fact.set_hash.bytes[0] << 8 |
           fact.set_hash.bytes[1];
}

uint64_t world_event_time(const struct event *event)
{
    return (uint64_t)event->published_us;
}

// As a database does it: the greater time stamp wins, whoever writes later.
void world_project(struct world *world, struct worker *worker, uint64_t written_at)
{
    struct mem_row *row = world_row(world, worker->hand->order_id);
    struct fact fact;
    fold_list(&worker->seen, &fact);
    if (fact.order == NULL || (row->projection != NULL && written_at < row->written_at)) {
        return;
    }
    struct buf out;
    buf_init_heap(&out, 1u << 20);
    render_fact(&out, &fact);
    free(row->projection);
    row->projection = finish_text(&out);
    row->written_at = written_at;
}

// --- who goes on -----------------------------------------------------------------------------------

bool world_input_ended(const struct world *world)
{
    bool ended =
        world->queues[WORKER_ORDERS].count == 0 && world->queues[WORKER_PAYMENTS].count == 0;
    for (size_t i = 0; i < world->worker_count; i++) {
        const struct worker *worker = &world->workers[i];
        bool source = worker->kind == WORKER_ORDERS || worker->kind == WORKER_PAYMENTS;
        ended = ended && (!source || (worker->hand == NULL && worker->unsent.count == 0));
    }
    return ended;
}

// false when there is nothing for it to do.
static bool take_work(struct world *world, struct worker *worker)
{
    worker->step = 0;
    if (world->variant->steps[worker->kind] == NULL) {
        return false;
    }
    if (worker->kind == WORKER_SWEEPER) {
        size_t count = world->waiting.count;
        worker->hand = count > 0 ? world->waiting.items[rand_below(&world->rand, count)] : NULL;
    } else {
        struct event_list *queue = &world->queues[worker->kind];
        worker->hand = queue->count > 0 ? list_take(queue, 0) : NULL;
    }
    return worker->hand != NULL;
}

static void put_back(struct world *world, struct worker *worker)
{
    if (worker->hand != NULL && worker->kind != WORKER_SWEEPER) {
        list_push(&world->queues[worker->kind], worker->hand);
    }
    worker->hand = NULL;
}

static void die(struct world *world, struct worker *worker)
{
    put_back(world, worker);
    worker->unsent.count = 0;
}

static void send_unsent(struct world *world, struct worker *worker)
{
    for (size_t i = 0; i < worker->unsent.count; i++) {
        world_publish_dead_letter(world, worker->unsent.items[i]);
    }
    worker->unsent.count = 0;
}

// One step of one worker. false when it has nothing to do.
static bool go_on(struct world *world, struct worker *worker)
{
    if (worker->hand == NULL && !take_work(world, worker)) {
        bool sends = worker->unsent.count > 0;
        send_unsent(world, worker);
        return sends;
    }
    world->steps++;
    switch (world->variant->steps[worker->kind](world, worker)) {
    case GOES_ON:
        worker->step++;
        break;
    case DONE:
        worker->hand = NULL;
        break;
    case GIVE_BACK:
        put_back(world, worker);
        break;
    }
    return true;
}

static void run_calmly(struct world *world)
{
    for (size_t i = 0; i < world->worker_count && world->steps < STEPS_MAX;) {
        bool worked = go_on(world, &world->workers[i]);
        bool finished = world->workers[i].hand == NULL;
        i = !worked ? i + 1 : finished ? 0 : i;
    }
}

static bool anything_left(const struct world *world)
{
    size_t left = world->waiting.count;
    for (size_t i = 0; i < sizeof(world->queues) / sizeof(world->queues[0]); i++) {
        left += world->variant->steps[i] != NULL ? world->queues[i].count : 0;
    }
    for (size_t i = 0; i < world->worker_count; i++) {
        left += world->workers[i].hand != NULL ? 1 : world->workers[i].unsent.count;
    }
    return left > 0;
}

static void run_roughly(struct world *world)
{
    while (anything_left(world) && world->steps < STEPS_MAX) {
        struct worker *worker = &world->workers[rand_below(&world->rand, world->worker_count)];
        if (rand_below(&world->rand, 50) == 0) {
            die(world, worker);
        } else {
            (void)go_on(world, worker);
        }
        if (rand_below(&world->rand, 8) == 0) {
            send_unsent(world, worker);
        }
    }
}

// --- a run -----------------------------------------------------------------------------------------

// The events of the bag's messages; NULL for those that are refused.
static const struct event **decode_bag(const struct bag *bag, struct arena *arena)
{
    struct pipeline_rules rules = pipeline_rules_default();
    const struct event **events = ARENA_ARRAY(arena, const struct event *, bag->count);
    for (size_t i = 0; i < bag->count; i++) {
        struct event *event = ARENA_NEW(arena, struct event);
        assert_non_null(event);
        struct decode_remarks remarks = {0};
        struct refusal refusal;
        struct order order;
        struct payment payment;
        int64_t happened = (int64_t)i + 1;
        if (bag->items[i].topic == BUS_ORDERS &&
            order_decode(bag->items[i].body, &rules.decode, arena, &order, &remarks, &refusal)) {
            event_of_order(&order, happened, event);
            events[i] = event;
        }
        if (bag->items[i].topic == BUS_PAYMENTS &&
            payment_decode(bag->items[i].body, &rules.decode, arena, &payment, &remarks,
                           &refusal)) {
            event_of_payment(&payment, happened, event);
            events[i] = event;
        }
    }
    return events;
}

static void add_rows(struct world *world, const struct event *const *events, size_t count)
{
    world->rows = calloc(count + 1, sizeof(world->rows[0]));
    assert_non_null(world->rows);
    for (size_t i = 0; i < count; i++) {
        bool known = events[i] == NULL;
        for (size_t r = 0; r < world->row_count && !known; r++) {
            known = world->rows[r].order_id == events[i]->order_id;
        }
        if (!known) {
            world->rows[world->row_count++].order_id = events[i]->order_id;
        }
    }
}

static void queue_event(struct world *world, const struct event *event)
{
    if (event != NULL) {
        list_push(&world->queues[event->kind == EVENT_ORDER ? WORKER_ORDERS : WORKER_PAYMENTS],
                  event);
    }
}

static void queue_all(struct world *world, const struct bag *bag, const struct event *const *events,
                      enum weather weather)
{
    if (weather == WEATHER_CALM) {
        for (size_t i = 0; i < bag->count; i++) {
            queue_event(world, events[i]);
        }
        return;
    }
    size_t count = 0;
    size_t *drawn = bag_draw(bag, &world->rand, 30, &count);
    for (size_t i = 0; i < count; i++) {
        queue_event(world, events[drawn[i]]);
    }
    free(drawn);
}

static void hire(struct world *world, enum weather weather)
{
    static const enum worker_kind kinds[WORKERS_MAX] = {WORKER_ORDERS,   WORKER_ORDERS,
                                                        WORKER_PAYMENTS, WORKER_PAYMENTS,
                                                        WORKER_SWEEPER,  WORKER_DEAD_LETTERS};
    for (size_t i = 0; i < WORKERS_MAX; i++) {
        struct worker *worker = &world->workers[world->worker_count++];
        worker->kind = kinds[i];
        worker->clock_skew = weather == WEATHER_CALM ? 0 : rand_between(&world->rand, 0, 1) * 1000;
    }
}

static int compare_rows(const void *a, const void *b)
{
    const struct mem_row *left = a;
    const struct mem_row *right = b;
    return (left->order_id > right->order_id) - (left->order_id < right->order_id);
}

static char *facts_of_rows(const struct world *world)
{
    struct buf out;
    buf_init_heap(&out, 4u << 20);
    for (size_t i = 0; i < world->row_count; i++) {
        const struct mem_row *row = &world->rows[i];
        if (world->variant->keeps_columns) {
            render_columns(&out, row);
        } else if (row->projection != NULL) {
            buf_add_str(&out, row->projection);
        }
    }
    return finish_text(&out);
}

// What the facts must be: the fold of everything, by order.
static char *expected_facts(const struct world *world, const struct event_list *everything)
{
    struct buf out;
    struct event_list partition = {0};
    buf_init_heap(&out, 4u << 20);
    for (size_t i = 0; i < world->row_count; i++) {
        struct fact fact;
        read_partition(everything, world->rows[i].order_id, &partition);
        fold_list(&partition, &fact);
        render_fact(&out, &fact);
    }
    list_deinit(&partition);
    return finish_text(&out);
}

static bool order_comes(const struct event_list *everything, int64_t order_id)
{
    for (size_t i = 0; i < everything->count; i++) {
        if (everything->items[i]->kind == EVENT_ORDER &&
            everything->items[i]->order_id == order_id) {
            return true;
        }
    }
    return false;
}

static void judge(const struct world *world, const struct event *const *events, size_t count,
                  struct verdict *out_verdict)
{
    struct event_list everything = {0};
    for (size_t i = 0; i < count; i++) {
        if (events[i] != NULL) {
            (void)list_add(&everything, events[i]);
        }
    }
    char *facts = facts_of_rows(world);
    char *expected = expected_facts(world, &everything);
    *out_verdict = (struct verdict){.facts_differ = strcmp(facts, expected) != 0};
    for (size_t i = 0; i < everything.count; i++) {
        const struct event *event = everything.items[i];
        out_verdict->payments_lost += event->kind == EVENT_PAYMENT &&
                                      !order_comes(&everything, event->order_id) &&
                                      !list_has(&world->dead, event);
    }
    free(facts);
    free(expected);
    list_deinit(&everything);
}

static void world_deinit(struct world *world)
{
    for (size_t i = 0; i < world->worker_count; i++) {
        list_deinit(&world->workers[i].seen);
        list_deinit(&world->workers[i].unsent);
    }
    for (size_t i = 0; i < sizeof(world->queues) / sizeof(world->queues[0]); i++) {
        list_deinit(&world->queues[i]);
    }
    for (size_t i = 0; i < world->row_count; i++) {
        free(world->rows[i].projection);
    }
    list_deinit(&world->stored);
    list_deinit(&world->waiting);
    list_deinit(&world->dead);
    free(world->rows);
}

void variant_run(const struct variant *variant, const struct bag *bag, enum weather weather,
                 uint64_t seed, struct verdict *out_verdict)
{
    struct arena arena;
    struct world world = {.variant = variant, .arena = &arena};
    assert_int_equal(arena_init(&arena, 4u << 20), ERR_OK);
    rand_seed(&world.rand, seed);
    const struct event **events = decode_bag(bag, &arena);
    assert_false(arena_overflowed(&arena));
    add_rows(&world, events, bag->count);
    qsort(world.rows, world.row_count, sizeof(world.rows[0]), compare_rows);
    queue_all(&world, bag, events, weather);
    hire(&world, weather);
    if (weather == WEATHER_CALM) {
        run_calmly(&world);
    } else {
        run_roughly(&world);
    }
    assert_false(anything_left(&world));
    judge(&world, events, bag->count, out_verdict);
    world_deinit(&world);
    arena_deinit(&arena);
}
