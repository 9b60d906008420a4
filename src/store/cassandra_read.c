// Reading facts from a keyspace: by key where there is one, else all of them, in the order of their tokens.
#include "store_cassandra.h"

#include "cassandra_store.h"
#include "money.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ORDERS_AT_ONCE      256
#define ARENA_SIZE          (64u << 20)
#define ROW_TEXT_SIZE       2048 // of the numbers of a row
#define FACT_ORDER_ID       0
#define FACT_CUSTOMER_ID    2
#define FACT_PRICE          5
#define FACT_CREATED        8
#define FACT_CARD_LAST_FOUR 10
#define FACT_SETTLEMENT     19
#define FACT_MATCH_ISSUE    20

// --- scanning -----------------------------------------------------------------------------------

// First token of a part; the parts are equal up to one token.
static int64_t token_of(unsigned part)
{
    __int128 first = (__int128)INT64_MIN + ((__int128)part << 64) / CASSANDRA_PARTS;
    return (int64_t)first;
}

enum err cassandra_scan(struct cassandra_store *store, enum cassandra_statement statement,
                        call_row_fn *on_row, parts_end_fn *end_of_parts, void *context,
                        struct why *why)
{
    enum err err = ERR_OK;
    for (unsigned part = 0; err == ERR_OK && part < CASSANDRA_PARTS;
         part += CASSANDRA_PARTS_AT_ONCE) {
        struct call call;
        call_init(&call, store, CASSANDRA_PARTS_AT_ONCE, 0);
        for (unsigned i = part; i < part + CASSANDRA_PARTS_AT_ONCE; i++) {
            struct cql_values *values = call_add(&call, statement, 0);
            cql_bind_bigint(values, token_of(i));
            cql_bind_bigint(values, i + 1 < CASSANDRA_PARTS ? token_of(i + 1) - 1 : INT64_MAX);
        }
        err = call_run(&call, on_row, context, why);
        if (err == ERR_OK && end_of_parts != NULL) {
            err = end_of_parts(context, why);
        }
    }
    return err;
}

// --- rows of facts ------------------------------------------------------------------------------

struct fact_scan {
    const struct fact_filter *filter;
    fact_row_fn *row;
    void *context;
    uint64_t given;
    bool ended; // the caller, or the filter, has enough
};

static bool is_decimal_column(size_t column)
{
    struct text name = store_fact_columns[column];
    return text_equal(name, TEXT("price")) || text_equal(name, TEXT("order_total")) ||
           text_starts_with(name, TEXT("amount"));
}

static bool is_number_column(size_t column)
{
    struct text name = store_fact_columns[column];
    return text_equal(name, TEXT("order_id")) || text_equal(name, TEXT("payment_id")) ||
           text_equal(name, TEXT("customer_id"));
}

static bool is_count_column(size_t column)
{
    struct text name = store_fact_columns[column];
    return text_equal(name, TEXT("quantity")) || text_equal(name, TEXT("n_events"));
}

// A cell as text: exact, and empty for null.
static struct text show(struct cql_cell cell, size_t column, struct buf *memory)
{
    size_t start = memory->size;
    struct cql_decimal decimal;
    int64_t unscaled = 0;
    if (cell.presence != CQL_PRESENT) {
        return (struct text){NULL, 0};
    }
    if (is_decimal_column(column)) {
        if (cql_get_decimal(cell, &decimal) == CQL_GOT_VALUE && decimal.scale >= 0 &&
            cql_varint_to_i64(decimal.unscaled, &unscaled)) {
            money_format(memory, unscaled, (unsigned)decimal.scale);
        }
    } else if (is_number_column(column)) {
        buf_add_i64(memory, cell_bigint(cell));
    } else if (is_count_column(column)) {
        buf_add_i64(memory, cell_int(cell));
    } else {
        struct text text = cell_text(cell);
        bool none = text.size == 0 && column == FACT_CARD_LAST_FOUR; // empty, for want of null
        return none ? (struct text){NULL, 0} : text;
    }
    return (struct text){memory->data + start, memory->size - start};
}

static bool is_of_day(struct text created, struct text day)
{
    char stated[ORDER_DAY_SIZE];
    return !order_day_stated(created, stated) || // filed by its publish time, which is not shown
           text_equal((struct text){stated, ORDER_DAY_SIZE}, day);
}

static bool passes(const struct fact_filter *filter, const struct cql_cell *cells)
{
    if (filter->order_id != 0 && cell_bigint(cells[FACT_ORDER_ID]) != filter->order_id) {
        return false;
    }
    if (filter->customer_id != 0 && cell_bigint(cells[FACT_CUSTOMER_ID]) != filter->customer_id) {
        return false; // listed there once, of another customer now
    }
    if (filter->day.size > 0 && !is_of_day(cell_text(cells[FACT_CREATED]), filter->day)) {
        return false;
    }
    struct text settlement = cell_text(cells[FACT_SETTLEMENT]);
    struct text issue = cell_text(cells[FACT_MATCH_ISSUE]);
    return (filter->settlement < 0 ||
            text_equal(settlement, settlement_text((enum settlement)filter->settlement))) &&
           (filter->match_issue < 0 ||
            text_equal(issue, match_issue_text((enum match_issue)filter->match_issue)));
}

static enum err give_fact(void *context, size_t request, const struct cql_cell *cells,
                          struct why *why)
{
    struct fact_scan *scan = context;
    char memory[ROW_TEXT_SIZE];
    struct text columns[STORE_FACT_COLUMN_COUNT];
    struct buf numbers;
    (void)request;
    (void)why;
    if (scan->ended || !passes(scan->filter, cells)) {
        return ERR_OK;
    }
    buf_init_fixed(&numbers, memory, sizeof(memory));
    for (size_t i = 0; i < STORE_FACT_COLUMN_COUNT; i++) {
        columns[i] = show(cells[i], i, &numbers);
    }
    assert(!buf_overflowed(&numbers));
    scan->given++;
    scan->ended = !scan->row(columns, STORE_FACT_COLUMN_COUNT, scan->context) ||
                  (scan->filter->row_max > 0 && scan->given == scan->filter->row_max);
    return scan->ended ? ERR_NOT_FOUND : ERR_OK; // ends the call
}

// --- by key -------------------------------------------------------------------------------------

struct ids {
    struct arena arena;
    int64_t *items;
    size_t count;
    size_t cap;
};

static enum err take_id(void *context, size_t request, const struct cql_cell *cells,
                        struct why *why)
{
    struct ids *ids = context;
    (void)request;
    if (ids->count == ids->cap) {
        size_t cap = ids->cap == 0 ? 1024 : ids->cap * 2;
        int64_t *larger = ARENA_ARRAY(&ids->arena, int64_t, cap);
        if (larger == NULL) {
            return why_set(why, ERR_NO_MEMORY, "more than %zu orders are listed there", ids->cap);
        }
        if (ids->count > 0) {
            memcpy(larger, ids->items, ids->count * sizeof(larger[0]));
        }
        ids->items = larger;
        ids->cap = cap;
    }
    ids->items[ids->count++] = cell_bigint(cells[0]);
    return ERR_OK;
}

static int compare_ids(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static enum err list_ids(struct cassandra_store *store, const struct fact_filter *filter,
                         struct ids *ids, struct why *why)
{
    struct call call;
    call_init(&call, store, CASSANDRA_DAY_BUCKETS, 0);
    if (filter->order_id != 0) {
        struct cql_cell cell = {.presence = CQL_NULL};
        enum err err = take_id(ids, 0, &cell, why);
        ids->items[0] = err == ERR_OK ? filter->order_id : 0;
        return err;
    }
    if (filter->customer_id != 0) {
        cql_bind_bigint(call_add(&call, CASSANDRA_READ_BY_CUSTOMER, 0), filter->customer_id);
        return call_run(&call, take_id, ids, why);
    }
    for (int32_t bucket = 0; bucket < CASSANDRA_DAY_BUCKETS; bucket++) {
        struct cql_values *values = call_add(&call, CASSANDRA_READ_BY_DAY, 0);
        bind_day(values, filter->day.data);
        cql_bind_int(values, bucket);
    }
    return call_run(&call, take_id, ids, why);
}

// Answers of one call come in any order, and rows are to be given in that of their orders.
struct kept_row {
    struct kept_row *next;
    struct cql_cell cells[STORE_FACT_COLUMN_COUNT];
};

struct keeper {
    struct arena *arena;
    struct kept_row **first; // by request
    struct kept_row **last;
};

static enum err keep_row(void *context, size_t request, const struct cql_cell *cells,
                         struct why *why)
{
    struct keeper *keeper = context;
    struct kept_row *row = ARENA_NEW(keeper->arena, struct kept_row);
    for (size_t i = 0; row != NULL && i < STORE_FACT_COLUMN_COUNT; i++) {
        row->cells[i] = cells[i];
        row->cells[i].bytes =
            (struct text){arena_copy(keeper->arena, cells[i].bytes.data, cells[i].bytes.size),
                          cells[i].bytes.size};
    }
    if (arena_overflowed(keeper->arena)) {
        return why_set(why, ERR_NO_MEMORY, "the rows of these orders need too much memory");
    }
    *(keeper->last[request] == NULL ? &keeper->first[request] : &keeper->last[request]->next) = row;
    keeper->last[request] = row;
    return ERR_OK;
}

static enum err give_orders(struct cassandra_store *store, const int64_t *order_ids, size_t count,
                            struct arena *arena, struct fact_scan *scan, struct why *why)
{
    struct kept_row *first[ORDERS_AT_ONCE] = {0};
    struct kept_row *last[ORDERS_AT_ONCE] = {0};
    struct keeper keeper = {arena, first, last};
    struct call call;
    call_init(&call, store, count, 0);
    for (size_t i = 0; i < count; i++) {
        cql_bind_bigint(call_add(&call, CASSANDRA_READ_FACTS, 0), order_ids[i]);
    }
    enum err err = call_run(&call, keep_row, &keeper, why);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        for (struct kept_row *row = first[i]; row != NULL && !scan->ended; row = row->next) {
            (void)give_fact(scan, i, row->cells, why);
        }
    }
    return err;
}

static enum err give_listed(struct cassandra_store *store, struct ids *ids, struct fact_scan *scan,
                            struct why *why)
{
    enum err err = list_ids(store, scan->filter, ids, why);
    size_t distinct = 0;
    if (ids->count > 0) {
        qsort(ids->items, ids->count, sizeof(ids->items[0]), compare_ids);
    }
    for (size_t i = 0; i < ids->count; i++) {
        if (i == 0 || ids->items[i] != ids->items[distinct - 1]) {
            ids->items[distinct++] = ids->items[i];
        }
    }
    for (size_t i = 0; err == ERR_OK && !scan->ended && i < distinct; i += ORDERS_AT_ONCE) {
        size_t count = distinct - i < ORDERS_AT_ONCE ? distinct - i : ORDERS_AT_ONCE;
        size_t mark = arena_mark(&ids->arena);
        err = give_orders(store, ids->items + i, count, &ids->arena, scan, why);
        arena_rewind(&ids->arena, mark);
    }
    return err;
}

static enum err read_facts(struct store_reader *base, const struct fact_filter *filter,
                           fact_row_fn *row, void *context, struct why *why)
{
    struct cassandra_store *store = cassandra_reader_of(base)->store;
    struct fact_scan scan = {.filter = filter, .row = row, .context = context};
    if (filter->order_id == 0 && filter->customer_id == 0 && filter->day.size == 0) {
        enum err err = cassandra_scan(store, CASSANDRA_SCAN_FACTS, give_fact, NULL, &scan, why);
        return scan.ended ? ERR_OK : err;
    }
    if (filter->day.size != 0 && filter->day.size != ORDER_DAY_SIZE) {
        return why_set(why, ERR_INVALID, "a day is YYYY-MM-DD");
    }
    struct ids ids = {0};
    if (arena_init(&ids.arena, ARENA_SIZE) != ERR_OK) {
        return why_set(why, ERR_NO_MEMORY, "no memory to read facts");
    }
    enum err err = give_listed(store, &ids, &scan, why);
    arena_deinit(&ids.arena);
    return err;
}

// --- orders that are there ----------------------------------------------------------------------

static enum err take_there(void *context, size_t request, const struct cql_cell *cells,
                           struct why *why)
{
    (void)cells;
    (void)why;
    ((bool *)context)[request] = true;
    return ERR_OK;
}

enum err cassandra_find_orders(struct cassandra_store *store, const int64_t *order_ids,
                               size_t count, bool *out_there, struct why *why)
{
    struct call call;
    call_init(&call, store, count, 0);
    for (size_t i = 0; i < count; i++) {
        out_there[i] = false;
        cql_bind_bigint(call_add(&call, CASSANDRA_READ_FACTS, 0), order_ids[i]);
    }
    return call_run(&call, take_there, out_there, why);
}

// --- opening and closing ------------------------------------------------------------------------

// What a single file can be checked for, servers check themselves.
static enum err verify(struct store_reader *reader, struct why *why)
{
    return cassandra_check_epoch(cassandra_reader_of(reader)->store, why);
}

static void close_reader(struct store_reader *base)
{
    struct store *store = &cassandra_reader_of(base)->store->base;
    store_close(&store);
    free(base);
}

static const struct store_reader_ops reader_ops = {
    .verify = verify,
    .totals = cassandra_reader_totals,
    .facts = read_facts,
    .dead_letters = cassandra_reader_letters,
    .close = close_reader,
};

enum err store_reader_open_cassandra(const struct store_cassandra_options *options,
                                     struct store_reader **out_reader, struct why *why)
{
    struct cassandra_reader *reader = calloc(1, sizeof(*reader));
    struct store *store = NULL;
    if (reader == NULL) {
        return why_set(why, ERR_NO_MEMORY, "cannot open the store: out of memory");
    }
    enum err err = store_cassandra_open(options, &store, why);
    if (err != ERR_OK) {
        free(reader);
        return err;
    }
    reader->base.ops = &reader_ops;
    reader->store = cassandra_store_of(store);
    *out_reader = &reader->base;
    return ERR_OK;
}
