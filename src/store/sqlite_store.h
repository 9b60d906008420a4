// The embedded store's inside, shared by its files. Internal to the folder.
#ifndef TILL_SQLITE_STORE_H
#define TILL_SQLITE_STORE_H

#include "order_day.h"
#include "sqlite_util.h"
#include "store.h"

#include <sqlite3.h>

// Columns of an order version and of a payment event, in the order in which both the main and the
// side tables are read and written.
#define ORDER_CONTENT                                                                              \
    "version, content_hash, customer_id, item, quantity, price_minor, currency, currency_given,"   \
    " shipping_address, order_status, creation_date, published_us"
#define ORDER_CONTENT_COUNT 12
#define PAYMENT_CONTENT                                                                            \
    "content_hash, event_id, payment_status, payment_method, card_last_four, "                     \
    "payment_datetime, amount_minor, currency, currency_given, published_us"
#define PAYMENT_CONTENT_COUNT 10

// X(name, sql): every statement of the writer, prepared on first use and kept.
#define STATEMENT_TABLE(X)                                                                         \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(READ_ORDER, "SELECT " ORDER_CONTENT                                                          \
                  ", paid_minor, refunded_minor, charged_back_minor, settlement, match_issue,"     \
                  " n_events, side, day, filing FROM orders WHERE order_id = ?1")                  \
    X(READ_PAYMENTS, "SELECT " PAYMENT_CONTENT ", payment_id, captured_minor, side"                \
                     " FROM payments WHERE order_id = ?1")                                         \
    X(READ_VERSIONS, "SELECT " ORDER_CONTENT " FROM order_versions WHERE order_id = ?1")           \
    X(READ_PAYMENT_EVENTS,                                                                         \
      "SELECT " PAYMENT_CONTENT ", payment_id FROM payment_events WHERE order_id = ?1")            \
    X(READ_NOTES, "SELECT payment_id, kind, about, detail, noted_us FROM notes"                    \
                  " WHERE order_id = ?1")                                                          \
    X(PUT_ORDER, "INSERT OR REPLACE INTO orders (" ORDER_CONTENT                                   \
                 ", order_id, day, filing, paid_minor, refunded_minor, charged_back_minor, "       \
                 "settlement, match_issue, n_events, side) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, "   \
                 "?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)")       \
    X(UPDATE_ORDER, "UPDATE orders SET paid_minor = ?2, refunded_minor = ?3,"                      \
                    " charged_back_minor = ?4, settlement = ?5, match_issue = ?6, n_events = ?7,"  \
                    " side = ?8 WHERE order_id = ?1")                                              \
    X(PUT_VERSION, "INSERT OR IGNORE INTO order_versions (" ORDER_CONTENT ", order_id)"            \
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)")             \
    X(DROP_VERSION, "DELETE FROM order_versions WHERE order_id = ?1 AND version = ?2"              \
                    " AND content_hash = ?3")                                                      \
    X(PUT_PAYMENT, "INSERT OR REPLACE INTO payments (" PAYMENT_CONTENT                             \
                   ", order_id, payment_id, captured_minor, side)"                                 \
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)")        \
    X(UPDATE_PAYMENT, "UPDATE payments SET captured_minor = ?3, side = ?4"                         \
                      " WHERE order_id = ?1 AND payment_id = ?2")                                  \
    X(PUT_PAYMENT_EVENT,                                                                           \
      "INSERT OR IGNORE INTO payment_events (" PAYMENT_CONTENT ", order_id, payment_id, identity)" \
      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)")                          \
    X(DROP_PAYMENT_EVENT, "DELETE FROM payment_events WHERE order_id = ?1 AND payment_id = ?2"     \
                          " AND identity = ?3 AND content_hash = ?4")                              \
    X(PUT_NOTE, "INSERT OR IGNORE INTO notes (order_id, payment_id, kind, about, detail,"          \
                " noted_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                      \
    X(PUT_RECENT,                                                                                  \
      "INSERT INTO index_recent (order_id, customer_id, day, filing) VALUES (?1, ?2, ?3, ?4)")     \
    X(ADD_RUN, "INSERT INTO index_runs (entries) SELECT count(*) FROM index_recent")               \
    X(FILL_CUSTOMER_RUN, "INSERT INTO customer_index SELECT ?1, customer_id, order_id, filing "    \
                         "FROM index_recent ORDER BY customer_id, order_id, filing")               \
    X(FILL_DAY_RUN, "INSERT INTO day_index SELECT ?1, day, order_id, filing FROM index_recent "    \
                    "ORDER BY day, order_id, filing")                                              \
    X(CLEAR_RECENT, "DELETE FROM index_recent")                                                    \
    X(PUT_WAITING, "INSERT OR IGNORE INTO waiting_payments (shard, bucket_us, order_id,"           \
                   " payment_id, event_id, published_us, message_id, attempts, body)"              \
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")                                 \
    X(PUT_BUCKET, "INSERT OR IGNORE INTO waiting_buckets (bucket_us, shard, closed)"               \
                  " VALUES (?1, ?2, 0)")                                                           \
    X(CLOSE_BUCKET, "UPDATE waiting_buckets SET closed = 1 WHERE bucket_us = ?1 AND shard = ?2")   \
    X(READ_BUCKET_CLOSED, "SELECT closed FROM waiting_buckets"                                     \
                          " WHERE bucket_us = ?1 AND shard = ?2")                                  \
    X(DUE_BUCKETS, "SELECT bucket_us, shard FROM waiting_buckets WHERE bucket_us < ?1"             \
                   " ORDER BY bucket_us, shard LIMIT ?2")                                          \
    X(READ_BUCKET, "SELECT order_id, payment_id, event_id, published_us, message_id, attempts,"    \
                   " body FROM waiting_payments WHERE bucket_us = ?1 AND shard = ?2"               \
                   " AND (order_id, payment_id, event_id) > (?3, ?4, ?5)"                          \
                   " ORDER BY order_id, payment_id, event_id LIMIT ?6")                            \
    X(DROP_WAITING, "DELETE FROM waiting_payments WHERE bucket_us = ?1 AND shard = ?2")            \
    X(DROP_BUCKET, "DELETE FROM waiting_buckets WHERE bucket_us = ?1 AND shard = ?2")              \
    X(PUT_LANE, "INSERT INTO lane_status (lane, watermark_us, updated_us) VALUES (?1, ?2, ?3)"     \
                " ON CONFLICT (lane) DO UPDATE SET watermark_us = excluded.watermark_us,"          \
                " updated_us = excluded.updated_us")                                               \
    X(READ_LANES, "SELECT count(*), min(watermark_us) FROM lane_status WHERE updated_us > ?1")     \
    X(READ_APPLIED, "SELECT first, last FROM applied WHERE log_id = ?1 AND topic = ?2"             \
                    " ORDER BY first")                                                             \
    X(APPLIED_BEFORE, "SELECT first, last FROM applied WHERE log_id = ?1 AND topic = ?2"           \
                      " AND first <= ?3 ORDER BY first DESC LIMIT 1")                              \
    X(APPLIED_LAST_WITHIN, "SELECT max(last) FROM applied WHERE log_id = ?1 AND topic = ?2"        \
                           " AND first BETWEEN ?3 AND ?4")                                         \
    X(DROP_APPLIED, "DELETE FROM applied WHERE log_id = ?1 AND topic = ?2"                         \
                    " AND first BETWEEN ?3 AND ?4")                                                \
    X(PUT_APPLIED, "INSERT INTO applied (log_id, topic, first, last) VALUES (?1, ?2, ?3, ?4)")     \
    X(READ_TALLY, "SELECT messages, amount_high, amount_low FROM tally WHERE log_id = ?1"          \
                  " AND topic = ?2 AND outcome = ?3 AND currency = ?4")                            \
    X(PUT_TALLY, "INSERT OR REPLACE INTO tally (log_id, topic, outcome, currency, messages,"       \
                 " amount_high, amount_low) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")                  \
    X(PUT_DEAD_LETTER,                                                                             \
      "INSERT OR IGNORE INTO dead_letter_records (id, reason, state, detail, body, source_topic,"  \
      " source_message_id, first_seen_us, recorded_us, order_id, payment_id, event_id, attempts,"  \
      " replay_count, checks, next_check_us, redacted, rebuilt) VALUES (?1, ?2, ?3, ?4, ?5, ?6,"   \
      " ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)")                                 \
    X(DUE_DEAD_LETTERS, "SELECT id, order_id, payment_id, event_id, first_seen_us, checks,"        \
                        " next_check_us FROM dead_letter_records WHERE next_check_us > 0"          \
                        " AND next_check_us < ?1 ORDER BY next_check_us LIMIT ?2")                 \
    X(CHANGE_DEAD_LETTER, "UPDATE dead_letter_records SET state = ?2, checks = ?3,"                \
                          " next_check_us = ?4 WHERE id = ?1")                                     \
    X(PUT_DEAD_LETTER_EVENT,                                                                       \
      "INSERT INTO dead_letter_events (id, number, state, at_us, who, why) VALUES (?1,"            \
      " (SELECT count(*) + 1 FROM dead_letter_events WHERE id = ?1), ?2, ?3, ?4, ?5)")             \
    X(ADD_START, "INSERT INTO lane_starts (lane, starts) VALUES (?1, 1)"                           \
                 " ON CONFLICT (lane) DO UPDATE SET starts = starts + 1")                          \
    X(READ_START, "SELECT starts FROM lane_starts WHERE lane = ?1")                                \
    X(CLEAR_STARTS, "DELETE FROM lane_starts WHERE lane = ?1")                                     \
    X(ADD_SUSPECT, "INSERT INTO suspects (topic, message_id, starts) VALUES (?1, ?2, 1)"           \
                   " ON CONFLICT (topic, message_id) DO UPDATE SET starts = starts + 1")           \
    X(READ_SUSPECT, "SELECT starts FROM suspects WHERE topic = ?1 AND message_id = ?2")            \
    X(DROP_SUSPECT, "DELETE FROM suspects WHERE topic = ?1 AND message_id = ?2")

enum statement {
#define X(name, sql) STATEMENT_##name,
    STATEMENT_TABLE(X)
#undef X
        STATEMENT_COUNT
};

// A run of the customer and day indexes holds this many orders.
#define INDEX_RUN_ENTRIES 32768

struct sqlite_store {
    struct store base;
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    bool in_transaction;
    int wal_pages;          // in the write-ahead log after the last commit
    bool indexed;           // keeps facts_by_customer and facts_by_day
    int64_t recent_entries; // rows of index_recent, those of the open transaction included
    int64_t recent_entries_committed;
    // Nothing is stored of an order whose id is above both, so ids that ascend need no look-up. Never
    // too low; a rollback may leave them too high, which only costs the look-up.
    int64_t orders_id_max;
    int64_t payments_order_id_max;
};

static inline struct sqlite_store *sqlite_store_of(struct store *store)
{
    return (struct sqlite_store *)store; // base is the first member
}

// The prepared statement, or NULL with `why` set.
sqlite3_stmt *sqlite_store_statement(struct sqlite_store *store, enum statement number,
                                     struct why *why);

// The error that a NULL statement stands for.
static inline enum err sqlite_prepare_failed(const struct why *why)
{
    return why != NULL && why->code != ERR_OK ? why->code : ERR_IO;
}

// sqlite_partition.c
enum err sqlite_insert_events(struct store *store, struct store_group *groups, size_t count,
                              struct why *why);
enum err sqlite_read_partitions(struct store *store, struct store_group *groups, size_t count,
                                struct arena *arena, struct why *why);
// sqlite_project.c
enum err sqlite_write_facts(struct store *store, struct store_group *groups, size_t count,
                            struct why *why);
// sqlite_waiting.c
enum err sqlite_insert_waiting(struct store *store, const struct waiting_payment *items,
                               size_t count, struct why *why);
enum err sqlite_due_buckets(struct store *store, int64_t before_us, size_t count_max,
                            struct arena *arena, struct waiting_bucket **out_buckets,
                            size_t *out_count, struct why *why);
enum err sqlite_close_bucket(struct store *store, struct waiting_bucket bucket, struct why *why);
enum err sqlite_bucket_is_closed(struct store *store, struct waiting_bucket bucket,
                                 bool *out_closed, struct why *why);
enum err sqlite_read_bucket(struct store *store, struct waiting_bucket bucket,
                            const struct waiting_payment *after, size_t count_max,
                            struct arena *arena, struct waiting_payment **out_items,
                            size_t *out_count, struct why *why);
enum err sqlite_finish_bucket(struct store *store, struct waiting_bucket bucket, struct why *why);
enum err sqlite_write_lane_status(struct store *store, struct text lane, int64_t watermark_us,
                                  int64_t now_us, struct why *why);
enum err sqlite_read_lane_status(struct store *store, int64_t fresh_after_us, size_t *out_lanes,
                                 int64_t *out_watermark_us, struct why *why);
// sqlite_ledger.c
enum err sqlite_load_applied(struct store *store, struct text log_id, enum applied_topic topic,
                             struct ranges *out_ranges, struct why *why);
enum err sqlite_add_applied(struct store *store, struct text log_id, enum applied_topic topic,
                            const struct range *ranges, size_t count, struct why *why);
enum err sqlite_add_tallies(struct store *store, struct text log_id, const struct tally *tallies,
                            size_t count, struct why *why);
enum err sqlite_add_start(struct store *store, struct text lane, uint32_t *out_starts,
                          struct why *why);
enum err sqlite_clear_starts(struct store *store, struct text lane, struct why *why);
enum err sqlite_add_suspect(struct store *store, struct text topic, struct text message_id,
                            uint32_t *out_starts, struct why *why);
enum err sqlite_remove_suspect(struct store *store, struct text topic, struct text message_id,
                               struct why *why);
// sqlite_dead_letters.c
enum err sqlite_record_dead_letters(struct store *store, const struct dead_letter_record *records,
                                    size_t count, struct why *why);
enum err sqlite_due_dead_letters(struct store *store, int64_t before_us, size_t count_max,
                                 struct arena *arena, struct dead_letter_record **out_records,
                                 size_t *out_count, struct why *why);
enum err sqlite_change_dead_letter(struct store *store, const struct hash *id,
                                   enum dead_letter_state state, uint32_t checks,
                                   int64_t next_check_us, int64_t now_us, struct text who,
                                   struct text why_text, struct why *why);

// What read_partitions remembers for write_facts about one group (store_group.private_rows).
struct stored_payment {
    int64_t payment_id;
    int64_t captured_minor;
    bool side;
};
struct stored_partition {
    bool has_order;
    bool side; // some main row says that the partition has side rows
    int64_t customer_id;
    char day[ORDER_DAY_SIZE];
    int64_t filing;
    int64_t paid_minor;
    int64_t refunded_minor;
    int64_t charged_back_minor;
    int64_t settlement;
    int64_t match_issue;
    int64_t n_events;
    struct stored_payment *payments;
    size_t payment_count;
};

// event.place of rows that came from the file.
enum place { PLACE_NEW, PLACE_MAIN, PLACE_SIDE };

#endif
