// How a call of the seam becomes requests: all of its statements are bound first, then sent together and
// awaited together, so that a batch of a thousand orders costs the time of a few round trips.
//
// A request may be done twice, by a retry or by a redelivered message: everything that is written has a
// timestamp of its own, so the second time changes nothing.
#include "cassandra_store.h"

#include <assert.h>
#include <string.h>

#define VALUE_SIZE_MAX   32u // bytes of a bound value that is no text or blob, its length included
#define PAGE_ROWS        5000
#define COMPLETIONS_MAX  256
#define COLUMNS_READ_MAX 24
#define POLL_US          (100 * 1000)

// --- binding ------------------------------------------------------------------------------------

void call_init(struct call *call, struct cassandra_store *store, size_t request_max,
               size_t entry_max)
{
    arena_reset(&store->memory);
    *call = (struct call){
        .store = store,
        .requests = ARENA_ARRAY(&store->memory, struct cql_request, request_max),
        .cap = request_max,
        .entries = ARENA_ARRAY(&store->memory, struct cql_batch_entry, entry_max),
        .entry_cap = entry_max,
    };
}

static struct cql_request *new_request(struct call *call)
{
    assert(call->count < call->cap);
    struct cql_request *request = &call->requests[call->count];
    *request = (struct cql_request){
        .consistency = CQL_LOCAL_QUORUM,
        .timestamp_us = CQL_TIMESTAMP_SERVER,
        .idempotent = true,
        .page_size = PAGE_ROWS,
        .context = (void *)(uintptr_t)call->count,
    };
    call->count++;
    return request;
}

// What was bound becomes part of its request; memory that it did not need goes back.
void call_seal(struct call *call)
{
    if (!call->binding) {
        return;
    }
    call->binding = false;
    struct cql_statement *statement = call->store->statements[call->statement];
    struct cql_values_view view = cql_values_view(&call->values);
    assert(view.count == cql_statement_value_count(statement));
    arena_rewind(&call->store->memory, call->mark + view.bytes.size);
    if (call->in_batch) {
        assert(call->entry_count < call->entry_cap);
        call->entries[call->entry_count++] = (struct cql_batch_entry){statement, view};
    } else {
        struct cql_request *request = new_request(call);
        request->statement = statement;
        request->values = view;
    }
}

struct cql_values *call_add(struct call *call, enum cassandra_statement statement, size_t size_max)
{
    struct arena *memory = &call->store->memory;
    call_seal(call);
    size_t cap =
        size_max + cql_statement_value_count(call->store->statements[statement]) * VALUE_SIZE_MAX;
    char *bytes = arena_alloc(memory, cap);
    call->statement = statement;
    call->binding = bytes != NULL; // else the run says that the arena is full
    call->mark = bytes != NULL ? (size_t)(bytes - (char *)memory->base) : 0;
    cql_values_init(&call->values, bytes, bytes != NULL ? cap : 0);
    return &call->values;
}

void call_begin_batch(struct call *call)
{
    call_seal(call);
    call->in_batch = true;
    call->batch_first = call->entry_count;
}

// A batch of one statement is that statement; one of none is nothing.
void call_end_batch(struct call *call)
{
    call_seal(call);
    const struct cql_batch_entry *first = call->entries + call->batch_first;
    size_t count = call->entry_count - call->batch_first;
    call->in_batch = false;
    if (count == 0 || arena_overflowed(&call->store->memory)) {
        return;
    }
    struct cql_request *request = new_request(call);
    if (count == 1) {
        request->statement = first->statement;
        request->values = first->values;
        return;
    }
    assert(count <= CQL_BATCH_COUNT_MAX);
    request->page_size = 0;
    request->batch = first;
    request->batch_count = (uint16_t)count;
    request->batch_type = CQL_BATCH_UNLOGGED;
}

void bind_hash(struct cql_values *values, const struct hash *value)
{
    cql_bind_blob(values, (struct text){(const char *)value->bytes, HASH_SIZE});
}

void bind_timestamp_us(struct cql_values *values, int64_t us)
{
    int64_t ms = us / 1000;
    cql_bind_timestamp(values, ms * 1000 > us ? ms - 1 : ms);
}

static int32_t digits(const char *at, size_t count)
{
    int32_t number = 0;
    for (size_t i = 0; i < count; i++) {
        assert(at[i] >= '0' && at[i] <= '9');
        number = number * 10 + (at[i] - '0');
    }
    return number;
}

// Days since 1970-01-01 in the proleptic Gregorian calendar, years from 0 on.
static int32_t days_of(int32_t year, int32_t month, int32_t day)
{
    int32_t y = year - (month <= 2); // years begin in March, so that the leap day is the last
    int32_t era = (y >= 0 ? y : y - 399) / 400;
    int32_t of_era = y - era * 400;
    int32_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void bind_day(struct cql_values *values, const char day[ORDER_DAY_SIZE])
{
    cql_bind_date(values, days_of(digits(day, 4), digits(day + 5, 2), digits(day + 8, 2)));
}

void bind_money(struct cql_values *values, int64_t minor, struct currency currency)
{
    cql_bind_decimal(values, minor, (int32_t)currency_exponent(currency));
}

// --- reading ------------------------------------------------------------------------------------

int64_t cell_bigint(struct cql_cell cell)
{
    int64_t value = 0;
    return cql_get_bigint(cell, &value) == CQL_GOT_VALUE ? value : 0;
}

int32_t cell_int(struct cql_cell cell)
{
    int32_t value = 0;
    return cql_get_int(cell, &value) == CQL_GOT_VALUE ? value : 0;
}

bool cell_boolean(struct cql_cell cell)
{
    bool value = false;
    return cql_get_boolean(cell, &value) == CQL_GOT_VALUE && value;
}

int64_t cell_timestamp_us(struct cql_cell cell)
{
    int64_t ms = 0;
    return cql_get_timestamp(cell, &ms) == CQL_GOT_VALUE ? ms * 1000 : 0;
}

struct text cell_text(struct cql_cell cell)
{
    struct text value = {0};
    return cql_get_blob(cell, &value) == CQL_GOT_VALUE ? value : (struct text){0};
}

struct text cell_copy(struct cql_cell cell, struct arena *arena)
{
    struct text value = cell_text(cell);
    return (struct text){arena_copy(arena, value.data, value.size), value.size};
}

bool cell_hash(struct cql_cell cell, struct hash *out_hash)
{
    struct text value = cell_text(cell);
    if (value.size != HASH_SIZE) {
        return false;
    }
    memcpy(out_hash->bytes, value.data, HASH_SIZE);
    return true;
}

bool cell_money(struct cql_cell cell, struct currency currency, int64_t *out_minor)
{
    return cql_get_minor(cell, (int32_t)currency_exponent(currency), out_minor) == CQL_GOT_VALUE;
}

// --- running ------------------------------------------------------------------------------------

// A call while it runs. Requests are sent in order; those with another page are sent again.
struct running {
    struct call *call;
    call_row_fn *on_row;
    void *context;
    size_t sent;
    size_t open;   // sent and not completed
    size_t *again; // indexes, of requests whose next page is to be asked for
    size_t again_count;
    enum err err; // the worst so far
    struct why *why;
};

static void keep_error(struct running *run, enum err err, const struct why *why)
{
    bool worse = run->err == ERR_OK || (err_class_of(run->err) == ERR_CLASS_RETRY &&
                                        err_class_of(err) != ERR_CLASS_RETRY);
    if (worse) {
        run->err = err;
        (void)why_set(run->why, err, "Cassandra: %s", why != NULL ? why->text : err_text(err));
    }
}

// Rows are ours to give out in the order of their partition, page after page.
static void give_rows(struct running *run, size_t index, const struct cql_result *result)
{
    struct cql_cell cells[COLUMNS_READ_MAX];
    struct why why = {0};
    struct cql_row_reader reader = cql_rows_read(&result->rows);
    while (run->err == ERR_OK && cql_row_next(&reader, cells, COLUMNS_READ_MAX)) {
        enum err err = run->on_row(run->context, index, cells, &why);
        if (err != ERR_OK) {
            keep_error(run, err, &why);
        }
    }
}

static void ask_next_page(struct running *run, size_t index, struct text state)
{
    struct cql_request *request = &run->call->requests[index];
    const char *copy = arena_copy(&run->call->store->memory, state.data, state.size);
    if (copy == NULL) {
        keep_error(run, ERR_NO_MEMORY, NULL);
        return;
    }
    request->paging_state = (struct text){copy, state.size};
    run->again[run->again_count++] = index;
}

static void take(struct running *run, const struct cql_completion *completion)
{
    size_t index = (size_t)(uintptr_t)completion->context;
    run->open--;
    if (completion->err != ERR_OK) {
        keep_error(run, completion->err, completion->why);
        return;
    }
    if (run->on_row != NULL) {
        give_rows(run, index, &completion->result);
    }
    if (run->err == ERR_OK && completion->result.paging_state.size > 0) {
        ask_next_page(run, index, completion->result.paging_state);
    }
}

static void send_some(struct running *run)
{
    struct call *call = run->call;
    struct why why = {0};
    enum err err = ERR_OK;
    while (run->err == ERR_OK && err == ERR_OK &&
           (run->again_count > 0 || run->sent < call->count)) {
        bool again = run->again_count > 0;
        const struct cql_request *first =
            again ? &call->requests[run->again[run->again_count - 1]] : &call->requests[run->sent];
        size_t accepted = 0;
        err = cql_submit(call->store->cql, first, again ? 1 : call->count - run->sent, &accepted,
                         &why);
        run->open += accepted;
        run->again_count -= again ? accepted : 0;
        run->sent += again ? 0 : accepted;
        if (err != ERR_OK) {
            keep_error(run, err, &why);
        } else if (accepted == 0) {
            break; // the window is full
        }
    }
}

static enum err receive_some(struct running *run)
{
    struct cql_completion completions[COMPLETIONS_MAX];
    size_t count = 0;
    enum err err =
        cql_poll(run->call->store->cql, POLL_US, completions, COMPLETIONS_MAX, &count, run->why);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        take(run, &completions[i]);
    }
    return err;
}

// An answer that makes no sense is ours: a statement or a table is not what this program thinks.
static enum err as_store_error(enum err err)
{
    return err_class_of(err) == ERR_CLASS_REJECT ? ERR_SCHEMA : err;
}

enum err call_run(struct call *call, call_row_fn *on_row, void *context, struct why *why)
{
    call_seal(call);
    struct running run = {.call = call, .on_row = on_row, .context = context, .why = why};
    run.again = ARENA_ARRAY(&call->store->memory, size_t, call->count);
    if (arena_overflowed(&call->store->memory)) {
        return why_set(why, ERR_NO_MEMORY, "a batch needs more memory than the store's arena has");
    }
    send_some(&run);
    while (run.open > 0) {
        enum err err = receive_some(&run);
        if (err != ERR_OK) {
            return as_store_error(err); // the session is broken: nothing completes any more
        }
        send_some(&run);
    }
    return as_store_error(run.err);
}
