// The Cassandra store's inside, shared by its files. Read cassandra_call.c first: how a call of the seam
// becomes requests; the other files only say what each call reads and writes. Internal to the folder.
#ifndef TILL_CASSANDRA_STORE_H
#define TILL_CASSANDRA_STORE_H

#include "arena.h"
#include "cassandra_schema.h"
#include "cql.h"
#include "order_day.h"
#include "projection.h"
#include "store.h"
#include "store_read.h"

#define EVENT_KEY "order_id, kind, entity_id, event_id, content_hash, published_us"
// After the key and the publish time, in the order in which they are read.
#define EVENT_CONTENT                                                                              \
    "customer_id, item, quantity, price, shipping_address, status, stated_time, payment_method,"   \
    " card_last_four, amount, currency, currency_given, note"

// As store_fact_columns.
#define FACT_COLUMNS                                                                               \
    "order_id, payment_id, customer_id, item, quantity, price, shipping_address, order_status,"    \
    " creation_date, payment_method, card_last_four, payment_status, payment_datetime, amount,"    \
    " currency, order_total, amount_paid, amount_refunded, amount_charged_back, settlement,"       \
    " match_issue, n_events"

// X(name, cql): {keyspace} stands for its name. Prepared when the store is opened.
#define CASSANDRA_STATEMENT_TABLE(X)                                                               \
    X(PUT_ORDER_EVENT,                                                                             \
      "INSERT INTO {keyspace}.order_events (" EVENT_KEY ", customer_id, item, quantity, price,"    \
      " shipping_address, status, stated_time, currency, currency_given)"                          \
      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?")                   \
    X(PUT_PAYMENT_EVENT,                                                                           \
      "INSERT INTO {keyspace}.order_events (" EVENT_KEY ", status, stated_time, payment_method,"   \
      " card_last_four, amount, currency, currency_given)"                                         \
      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?")                         \
    X(PUT_NOTE_EVENT, "INSERT INTO {keyspace}.order_events (" EVENT_KEY ", status, note)"          \
                      " VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?")                        \
    X(READ_EVENTS, "SELECT kind, entity_id, event_id, content_hash, published_us, " EVENT_CONTENT  \
                   " FROM {keyspace}.order_events WHERE order_id = ?")                             \
    X(PUT_FACT_ORDER,                                                                              \
      "INSERT INTO {keyspace}.orders_payments_facts (order_id, customer_id, item, quantity,"       \
      " price, shipping_address, order_status, creation_date, currency, order_total, amount_paid," \
      " amount_refunded, amount_charged_back, settlement, match_issue, n_events)"                  \
      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?")                \
    X(PUT_FACT_PAYMENT,                                                                            \
      "INSERT INTO {keyspace}.orders_payments_facts (order_id, payment_id, payment_method,"        \
      " card_last_four, payment_status, payment_datetime, amount)"                                 \
      " VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?")                                           \
    X(PUT_BY_CUSTOMER, "INSERT INTO {keyspace}.facts_by_customer (customer_id, order_id,"          \
                       " creation_date, order_status, item, quantity, currency, order_total)"      \
                       " VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?")                       \
    X(PUT_BY_DAY, "INSERT INTO {keyspace}.facts_by_day (day, bucket, order_id, customer_id,"       \
                  " order_status, item, quantity, currency, order_total)"                          \
                  " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?")                         \
    X(PUT_WAITING, "INSERT INTO {keyspace}.waiting_payments (shard, bucket_us, order_id,"          \
                   " payment_id, event_id, published_us, message_id, attempts, body)"              \
                   " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?")                        \
    X(READ_WAITING, "SELECT order_id, payment_id, event_id, published_us, message_id, attempts,"   \
                    " body FROM {keyspace}.waiting_payments WHERE shard = ? AND bucket_us = ?"     \
                    " AND (order_id, payment_id, event_id) > (?, ?, ?) LIMIT ?")                   \
    X(DROP_WAITING, "DELETE FROM {keyspace}.waiting_payments USING TIMESTAMP ?"                    \
                    " WHERE shard = ? AND bucket_us = ?")                                          \
    X(PUT_HOUR, "INSERT INTO {keyspace}.waiting_hours (part, hour_us, known)"                      \
                " VALUES (0, ?, true) USING TIMESTAMP ?")                                          \
    X(CLOSE_HOUR, "INSERT INTO {keyspace}.waiting_hours (part, hour_us, closed)"                   \
                  " VALUES (0, ?, true) USING TIMESTAMP ?")                                        \
    X(FINISH_HOUR, "INSERT INTO {keyspace}.waiting_hours (part, hour_us, done)"                    \
                   " VALUES (0, ?, true) USING TIMESTAMP ?")                                       \
    X(READ_HOURS, "SELECT hour_us, closed, done FROM {keyspace}.waiting_hours"                     \
                  " WHERE part = 0 AND hour_us >= ? AND hour_us < ?")                              \
    X(READ_HOUR, "SELECT closed FROM {keyspace}.waiting_hours WHERE part = 0 AND hour_us = ?")     \
    X(PUT_BUCKET, "INSERT INTO {keyspace}.waiting_buckets (hour_us, bucket_us, shard, known)"      \
                  " VALUES (?, ?, ?, true) USING TIMESTAMP ?")                                     \
    X(CLOSE_BUCKET, "INSERT INTO {keyspace}.waiting_buckets (hour_us, bucket_us, shard, closed)"   \
                    " VALUES (?, ?, ?, true) USING TIMESTAMP ?")                                   \
    X(FINISH_BUCKET, "INSERT INTO {keyspace}.waiting_buckets (hour_us, bucket_us, shard, done)"    \
                     " VALUES (?, ?, ?, true) USING TIMESTAMP ?")                                  \
    X(READ_BUCKETS, "SELECT bucket_us, shard, known, done FROM {keyspace}.waiting_buckets"         \
                    " WHERE hour_us = ? AND bucket_us >= ?")                                       \
    X(READ_BUCKET_CLOSED, "SELECT closed FROM {keyspace}.waiting_buckets"                          \
                          " WHERE hour_us = ? AND bucket_us = ? AND shard = ?")                    \
    X(PUT_LANE, "INSERT INTO {keyspace}.lane_status (part, lane, watermark_us, updated_us)"        \
                " VALUES (0, ?, ?, ?) USING TIMESTAMP ?")                                          \
    X(READ_LANES, "SELECT watermark_us, updated_us FROM {keyspace}.lane_status WHERE part = 0")    \
    X(PUT_LETTER, "INSERT INTO {keyspace}.dead_letters (bucket, id, reason, detail, body,"         \
                  " source_topic, source_message_id, first_seen_us, recorded_us, order_id,"        \
                  " payment_id, event_id, attempts, replay_count, redacted, rebuilt)"              \
                  " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?")    \
    X(PUT_LETTER_EVENT, "INSERT INTO {keyspace}.dead_letter_events (bucket, id, state, checks,"    \
                        " next_check_us, at_us, who, why) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"         \
                        " USING TIMESTAMP ?")                                                      \
    X(PUT_LETTER_CHECK, "INSERT INTO {keyspace}.dead_letter_checks (hour_us, next_check_us, id)"   \
                        " VALUES (?, ?, ?) USING TIMESTAMP ? AND TTL 8640000")                     \
    X(PUT_LETTER_DAY, "INSERT INTO {keyspace}.dead_letter_days (day, bucket, id, reason)"          \
                      " VALUES (?, ?, ?, ?) USING TIMESTAMP ?")                                    \
    X(READ_CHECK_HOURS, "SELECT DISTINCT hour_us FROM {keyspace}.dead_letter_checks")              \
    X(READ_CHECKS, "SELECT next_check_us, id FROM {keyspace}.dead_letter_checks WHERE hour_us = ?" \
                   " AND (next_check_us, id) > (?, ?) AND next_check_us < ? LIMIT ?")              \
    X(READ_LETTER, "SELECT reason, order_id, payment_id, event_id, first_seen_us"                  \
                   " FROM {keyspace}.dead_letters WHERE bucket = ? AND id = ?")                    \
    X(READ_LETTER_EVENTS, "SELECT state, checks, next_check_us FROM {keyspace}.dead_letter_events" \
                          " WHERE bucket = ? AND id = ?")                                          \
    X(READ_STARTS, "SELECT starts FROM {keyspace}.starts WHERE kind = ? AND name = ?")             \
    X(PUT_STARTS, "INSERT INTO {keyspace}.starts (kind, name, starts) VALUES (?, ?, ?)"            \
                  " USING TIMESTAMP ? AND TTL 604800")                                             \
    X(READ_FACTS,                                                                                  \
      "SELECT " FACT_COLUMNS " FROM {keyspace}.orders_payments_facts WHERE order_id = ?")          \
    X(SCAN_FACTS, "SELECT " FACT_COLUMNS " FROM {keyspace}.orders_payments_facts"                  \
                  " WHERE token(order_id) >= ? AND token(order_id) <= ?")                          \
    X(SCAN_EVENTS, "SELECT kind, entity_id, event_id, content_hash, published_us, " EVENT_CONTENT  \
                   ", order_id FROM {keyspace}.order_events"                                       \
                   " WHERE token(order_id) >= ? AND token(order_id) <= ?")                         \
    X(SCAN_WAITING, "SELECT order_id FROM {keyspace}.waiting_payments"                             \
                    " WHERE token(shard, bucket_us) >= ? AND token(shard, bucket_us) <= ?")        \
    X(READ_BY_CUSTOMER, "SELECT order_id FROM {keyspace}.facts_by_customer WHERE customer_id = ?") \
    X(READ_BY_DAY, "SELECT order_id FROM {keyspace}.facts_by_day WHERE day = ? AND bucket = ?")    \
    X(SCAN_LETTERS, "SELECT id, reason, detail, body, source_topic, source_message_id,"            \
                    " first_seen_us, recorded_us, order_id, payment_id, event_id, attempts,"       \
                    " replay_count, redacted, rebuilt FROM {keyspace}.dead_letters"                \
                    " WHERE bucket = ?")                                                           \
    X(SCAN_LETTER_EVENTS, "SELECT state, checks, next_check_us, id"                                \
                          " FROM {keyspace}.dead_letter_events WHERE bucket = ?")                  \
    X(READ_SETTING, "SELECT value FROM {keyspace}.till_settings WHERE name = ?")

enum cassandra_statement {
#define X(name, cql) CASSANDRA_##name,
    CASSANDRA_STATEMENT_TABLE(X)
#undef X
        CASSANDRA_STATEMENT_COUNT
};

// Hours of waiting_hours that this process has listed already; the one listed first makes room.
#define CASSANDRA_HOURS_KEPT 64

struct cassandra_store {
    struct store base; // first
    struct cql *cql;
    char keyspace[49];
    struct cql_statement *statements[CASSANDRA_STATEMENT_COUNT];
    struct clock clock;
    struct arena memory; // of the call that runs
    struct arena lists;  // of what several calls of one function work on
    bool without_by_customer;
    uint32_t fold_epoch;
    int64_t epoch_read_ns; // when that of the keyspace was last looked at
    int64_t hours[CASSANDRA_HOURS_KEPT];
    size_t hour_count;
    int64_t open_bucket_us;  // earlier buckets were done when last looked at
    int64_t buckets_read_ns; // when all were read, done ones too
    int64_t open_check_us;   // earlier checks of dead letters are done
};

static inline struct cassandra_store *cassandra_store_of(struct store *store)
{
    return (struct cassandra_store *)store; // base is the first member
}

// --- cassandra_call.c: calls ------------------------------------------------------------------------

// Requests that go out together and are awaited together. Lives in store->memory, which call_init resets.
struct call {
    struct cassandra_store *store;
    struct cql_request *requests;
    size_t count;
    size_t cap;
    struct cql_batch_entry *entries;
    size_t entry_count;
    size_t entry_cap;
    bool in_batch;
    size_t batch_first; // entry
    bool binding;       // the values of `statement`, from `mark` of the memory on
    enum cassandra_statement statement;
    struct cql_values values;
    size_t mark;
};

// For at most that many requests, and that many statements in batches.
void call_init(struct call *call, struct cassandra_store *store, size_t request_max,
               size_t entry_max);
// Begins a statement, whose values are bound to what it gives, in order, until the next function of the
// call: in at most size_max bytes and 32 a value.
struct cql_values *call_add(struct call *call, enum cassandra_statement statement, size_t size_max);
// Ends the binding of the statement added last, before something else takes memory.
void call_seal(struct call *call);
// Statements between these two are of one partition and are done as one.
void call_begin_batch(struct call *call);
void call_end_batch(struct call *call);

void bind_hash(struct cql_values *values, const struct hash *value);
void bind_timestamp_us(struct cql_values *values, int64_t us); // milliseconds are kept
void bind_day(struct cql_values *values, const char day[ORDER_DAY_SIZE]);
void bind_money(struct cql_values *values, int64_t minor, struct currency currency);

// One row of an answer. Valid until it returns. An error ends the call, with that error.
typedef enum err call_row_fn(void *context, size_t request, const struct cql_cell *cells,
                             struct why *why);

// Sends all and waits for all, reading every page. All are done twice if need be: they are reads, or writes
// with a timestamp of their own. The first error that is not RETRY, else the first that is.
MUST_USE enum err call_run(struct call *call, call_row_fn *on_row, void *context, struct why *why);

// Cells of rows. Null or damaged ones give 0, false or the empty text.
int64_t cell_bigint(struct cql_cell cell);
int32_t cell_int(struct cql_cell cell);
bool cell_boolean(struct cql_cell cell);
int64_t cell_timestamp_us(struct cql_cell cell);
struct text cell_text(struct cql_cell cell); // a view
struct text cell_copy(struct cql_cell cell, struct arena *arena);
// false when it is none.
bool cell_hash(struct cql_cell cell, struct hash *out_hash);
bool cell_money(struct cql_cell cell, struct currency currency, int64_t *out_minor);

// store_cassandra.c: before every call that writes facts or events: ERR_SCHEMA when the keyspace has a later fold epoch.
MUST_USE enum err cassandra_check_epoch(struct cassandra_store *store, struct why *why);

// --- cassandra_events.c -------------------------------------------------------------------------------
enum err cassandra_insert_events(struct store *store, struct store_group *groups, size_t count,
                                 struct why *why);
enum err cassandra_read_partitions(struct store *store, struct store_group *groups, size_t count,
                                   struct arena *arena, struct why *why);

// What read_partitions keeps of a group for write_facts.
struct cassandra_rows {
    uint32_t n_rows; // orders and payments, no notes
    bool carried;    // the projection went with the events already
};

// --- cassandra_facts.c --------------------------------------------------------------------------------
enum err cassandra_write_facts(struct store *store, struct store_group *groups, size_t count,
                               struct why *why);
// The projection of the orders alone that come in with this group, into the open batch; nothing when no
// order comes in.
void cassandra_add_carried(struct call *call, const struct store_group *group);

// --- cassandra_waiting.c --------------------------------------------------------------------------------
enum err cassandra_insert_waiting(struct store *store, const struct waiting_payment *items,
                                  size_t count, struct why *why);
enum err cassandra_due_buckets(struct store *store, int64_t before_us, size_t count_max,
                               struct arena *arena, struct waiting_bucket **out_buckets,
                               size_t *out_count, struct why *why);
enum err cassandra_close_bucket(struct store *store, struct waiting_bucket bucket, struct why *why);
enum err cassandra_bucket_is_closed(struct store *store, struct waiting_bucket bucket,
                                    bool *out_closed, struct why *why);
enum err cassandra_read_bucket(struct store *store, struct waiting_bucket bucket,
                               const struct waiting_payment *after, size_t count_max,
                               struct arena *arena, struct waiting_payment **out_items,
                               size_t *out_count, struct why *why);
enum err cassandra_finish_bucket(struct store *store, struct waiting_bucket bucket,
                                 struct why *why);
enum err cassandra_write_lane_status(struct store *store, struct text lane, int64_t watermark_us,
                                     int64_t now_us, struct why *why);
enum err cassandra_read_lane_status(struct store *store, int64_t fresh_after_us, size_t *out_lanes,
                                    int64_t *out_watermark_us, struct why *why);

// --- cassandra_letters.c --------------------------------------------------------------------------------
enum err cassandra_record_dead_letters(struct store *store,
                                       const struct dead_letter_record *records, size_t count,
                                       struct why *why);
enum err cassandra_due_dead_letters(struct store *store, int64_t before_us, size_t count_max,
                                    struct arena *arena, struct dead_letter_record **out_records,
                                    size_t *out_count, struct why *why);
enum err cassandra_change_dead_letter(struct store *store, const struct hash *id,
                                      enum dead_letter_state state, uint32_t checks,
                                      int64_t next_check_us, int64_t now_us, struct text who,
                                      struct text why_text, struct why *why);

// Folds one change (cells of state, checks, next_check_us) into what the record says. false when damaged.
bool cassandra_letter_change(struct dead_letter_record *record, bool is_first,
                             const struct cql_cell cells[3]);

// One row of SCAN_EVENTS or READ_EVENTS as an event, whose order_id the caller has set. Texts go to the arena;
// false when the row is damaged.
bool cassandra_read_event(const struct cql_cell *cells, struct arena *arena, struct event *event);

// --- cassandra_read.c: the reading side -----------------------------------------------------------------

struct cassandra_reader {
    struct store_reader base; // first
    struct cassandra_store *store;
};

static inline struct cassandra_reader *cassandra_reader_of(struct store_reader *reader)
{
    return (struct cassandra_reader *)reader;
}

// Reads a table whole, in parts of the token ring, CASSANDRA_PARTS_AT_ONCE of them at a time; `request` of
// the callback is the number of the part among those. After each lot `end_of_parts` is called.
#define CASSANDRA_PARTS         256
#define CASSANDRA_PARTS_AT_ONCE 8
typedef enum err parts_end_fn(void *context, struct why *why);
MUST_USE enum err cassandra_scan(struct cassandra_store *store, enum cassandra_statement statement,
                                 call_row_fn *on_row, parts_end_fn *end_of_parts, void *context,
                                 struct why *why);

// cassandra_totals.c
enum err cassandra_reader_totals(struct store_reader *reader, struct text log_id,
                                 struct arena *arena, struct store_totals *out_totals,
                                 struct why *why);
// cassandra_read_letters.c
enum err cassandra_reader_letters(struct store_reader *reader,
                                  const struct dead_letter_filter *filter, dead_letter_row_fn *row,
                                  void *context, struct why *why);
// Which of these orders are there. `out_there` has room for as many.
MUST_USE enum err cassandra_find_orders(struct cassandra_store *store, const int64_t *order_ids,
                                        size_t count, bool *out_there, struct why *why);

// --- cassandra_starts.c ---------------------------------------------------------------------------------
enum err cassandra_add_start(struct store *store, struct text lane, uint32_t *out_starts,
                             struct why *why);
enum err cassandra_clear_starts(struct store *store, struct text lane, struct why *why);
enum err cassandra_add_suspect(struct store *store, struct text topic, struct text message_id,
                               uint32_t *out_starts, struct why *why);
enum err cassandra_remove_suspect(struct store *store, struct text topic, struct text message_id,
                                  struct why *why);

#endif
