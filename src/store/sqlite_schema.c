// How facts.db is laid out.
//
// `orders` and `payments` hold the truth as producers stated it and, beside it, what fold() derives:
// one row an order (its winning version) and one row a payment (the event whose status is shown).
// That is nearly every row there will ever be. What is rare lies in side tables of the same columns:
//
//   order_versions   versions that do not win, conflicting ones included
//   payment_events   further events of a payment, conflicting ones included
//   notes            what till itself noted about a payment event (PARKED, DEAD, ...)
//
// A partition that has rows in a side table is marked `side` in at least one of its main rows, so
// that reading an ordinary partition is two look-ups. Main and side rows are never deleted, only
// moved: `order_events` is the view over all of them, `orders_payments_facts` the one over the main
// rows. Enumerations are stored as numbers and shown as words; money is stored in minor units and
// shown as exact decimals.
//
// Customers and days are indexed in sorted runs: a new order appends one row to `index_recent`; every
// 32,768 of them are sorted into one run of `customer_index` and `day_index`, appended at the end of
// each tree. Keeping a random index at every commit costs several times as much. Readers look into
// every run. An order whose customer or day changes gets a new entry with the next `filing` number, and
// only the entry with the order's present number counts.
#include "sqlite_schema.h"

#include "buf.h"
#include "currency.h"
#include "event.h"
#include "fold.h"
#include "sqlite_util.h"
#include "store.h"

#include <inttypes.h>
#include <string.h>

static const char tables_sql[] =
    "CREATE TABLE orders ("
    " order_id INTEGER PRIMARY KEY,"
    " version INTEGER NOT NULL," // rank: explicit versions above 2^62, implicit ones are publish times
    " content_hash BLOB NOT NULL,"
    " customer_id INTEGER NOT NULL, item TEXT NOT NULL, quantity INTEGER NOT NULL,"
    " price_minor INTEGER NOT NULL, currency TEXT NOT NULL, currency_given INTEGER NOT NULL,"
    " shipping_address TEXT NOT NULL, order_status INTEGER NOT NULL, creation_date TEXT NOT NULL,"
    " published_us INTEGER NOT NULL,"
    " day TEXT NOT NULL,"       // YYYY-MM-DD: of creation_date, else of the publish time (UTC)
    " filing INTEGER NOT NULL," // which of the order's index entries is the present one
    " paid_minor INTEGER NOT NULL, refunded_minor INTEGER NOT NULL,"
    " charged_back_minor INTEGER NOT NULL, settlement INTEGER NOT NULL,"
    " match_issue INTEGER NOT NULL, n_events INTEGER NOT NULL, side INTEGER NOT NULL);"

    "CREATE TABLE order_versions ("
    " order_id INTEGER NOT NULL, version INTEGER NOT NULL, content_hash BLOB NOT NULL,"
    " customer_id INTEGER NOT NULL, item TEXT NOT NULL, quantity INTEGER NOT NULL,"
    " price_minor INTEGER NOT NULL, currency TEXT NOT NULL, currency_given INTEGER NOT NULL,"
    " shipping_address TEXT NOT NULL, order_status INTEGER NOT NULL, creation_date TEXT NOT NULL,"
    " published_us INTEGER NOT NULL,"
    " PRIMARY KEY (order_id, version, content_hash)) WITHOUT ROWID;"

    "CREATE TABLE payments ("
    " order_id INTEGER NOT NULL, payment_id INTEGER NOT NULL, event_id TEXT," // null: the status
    " content_hash BLOB NOT NULL, payment_status INTEGER NOT NULL, payment_method TEXT NOT NULL,"
    " card_last_four TEXT, payment_datetime TEXT NOT NULL, amount_minor INTEGER, currency TEXT,"
    " currency_given INTEGER NOT NULL, published_us INTEGER NOT NULL,"
    " captured_minor INTEGER NOT NULL, side INTEGER NOT NULL,"
    " PRIMARY KEY (order_id, payment_id)) WITHOUT ROWID;"

    "CREATE TABLE payment_events ("
    " order_id INTEGER NOT NULL, payment_id INTEGER NOT NULL, identity TEXT NOT NULL,"
    " content_hash BLOB NOT NULL, event_id TEXT, payment_status INTEGER NOT NULL,"
    " payment_method TEXT NOT NULL, card_last_four TEXT, payment_datetime TEXT NOT NULL,"
    " amount_minor INTEGER, currency TEXT, currency_given INTEGER NOT NULL,"
    " published_us INTEGER NOT NULL,"
    " PRIMARY KEY (order_id, payment_id, identity, content_hash)) WITHOUT ROWID;"

    "CREATE TABLE notes ("
    " order_id INTEGER NOT NULL, payment_id INTEGER NOT NULL, kind INTEGER NOT NULL,"
    " about TEXT NOT NULL, detail TEXT NOT NULL, noted_us INTEGER NOT NULL,"
    " PRIMARY KEY (order_id, payment_id, kind, about)) WITHOUT ROWID;"

    "CREATE TABLE waiting_payments ("
    " shard INTEGER NOT NULL, bucket_us INTEGER NOT NULL, order_id INTEGER NOT NULL,"
    " payment_id INTEGER NOT NULL, event_id TEXT NOT NULL, published_us INTEGER NOT NULL,"
    " message_id TEXT NOT NULL, attempts INTEGER NOT NULL, body BLOB NOT NULL,"
    " PRIMARY KEY (bucket_us, shard, order_id, payment_id, event_id)) WITHOUT ROWID;"
    "CREATE TABLE waiting_buckets ("
    " bucket_us INTEGER NOT NULL, shard INTEGER NOT NULL, closed INTEGER NOT NULL,"
    " PRIMARY KEY (bucket_us, shard)) WITHOUT ROWID;"
    "CREATE TABLE lane_status ("
    " lane TEXT PRIMARY KEY, watermark_us INTEGER NOT NULL, updated_us INTEGER NOT NULL)"
    " WITHOUT ROWID;"

    "CREATE TABLE applied ("
    " log_id TEXT NOT NULL, topic TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,"
    " PRIMARY KEY (log_id, topic, first)) WITHOUT ROWID;"
    // A sum is amount_high * 10^15 + amount_low, so that no number of messages overflows it.
    "CREATE TABLE tally ("
    " log_id TEXT NOT NULL, topic TEXT NOT NULL, outcome TEXT NOT NULL, currency TEXT NOT NULL,"
    " messages INTEGER NOT NULL, amount_high INTEGER NOT NULL, amount_low INTEGER NOT NULL,"
    " PRIMARY KEY (log_id, topic, outcome, currency)) WITHOUT ROWID;"

    "CREATE TABLE dead_letter_records ("
    " id BLOB PRIMARY KEY, reason TEXT NOT NULL, state INTEGER NOT NULL, detail TEXT NOT NULL,"
    " body BLOB NOT NULL, source_topic TEXT NOT NULL, source_message_id TEXT NOT NULL,"
    " first_seen_us INTEGER NOT NULL, recorded_us INTEGER NOT NULL, order_id INTEGER NOT NULL,"
    " payment_id INTEGER NOT NULL, event_id TEXT NOT NULL, attempts INTEGER NOT NULL,"
    " replay_count INTEGER NOT NULL, checks INTEGER NOT NULL, next_check_us INTEGER NOT NULL,"
    " redacted INTEGER NOT NULL, rebuilt INTEGER NOT NULL);"
    "CREATE INDEX dead_letters_by_next_check ON dead_letter_records (next_check_us)"
    " WHERE next_check_us > 0;"
    "CREATE TABLE dead_letter_events ("
    " id BLOB NOT NULL, number INTEGER NOT NULL, state INTEGER NOT NULL, at_us INTEGER NOT NULL,"
    " who TEXT NOT NULL, why TEXT NOT NULL, PRIMARY KEY (id, number)) WITHOUT ROWID;"

    "CREATE TABLE index_recent ("
    " order_id INTEGER NOT NULL, customer_id INTEGER NOT NULL, day TEXT NOT NULL,"
    " filing INTEGER NOT NULL);"
    "CREATE TABLE index_runs (run INTEGER PRIMARY KEY, entries INTEGER NOT NULL);"
    "CREATE TABLE customer_index ("
    " run INTEGER NOT NULL, customer_id INTEGER NOT NULL, order_id INTEGER NOT NULL,"
    " filing INTEGER NOT NULL, PRIMARY KEY (run, customer_id, order_id, filing)) WITHOUT ROWID;"
    "CREATE TABLE day_index ("
    " run INTEGER NOT NULL, day TEXT NOT NULL, order_id INTEGER NOT NULL,"
    " filing INTEGER NOT NULL, PRIMARY KEY (run, day, order_id, filing)) WITHOUT ROWID;"

    "CREATE TABLE lane_starts (lane TEXT PRIMARY KEY, starts INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE suspects ("
    " topic TEXT NOT NULL, message_id TEXT NOT NULL, starts INTEGER NOT NULL,"
    " PRIMARY KEY (topic, message_id)) WITHOUT ROWID;";

static void add_case(struct buf *sql, const char *column, struct text (*name_of)(int), int count)
{
    buf_add_fmt(sql, "CASE %s", column);
    for (int value = 0; value < count; value++) {
        buf_add_fmt(sql, " WHEN %d THEN '%.*s'", value, TEXT_PRINT(name_of(value)));
    }
    buf_add_str(sql, " END");
}

static struct text order_status_name(int value)
{
    return order_status_text((enum order_status)value);
}

static struct text payment_status_name(int value)
{
    return payment_status_text((enum payment_status)value);
}

static struct text settlement_name(int value)
{
    return settlement_text((enum settlement)value);
}

static struct text match_issue_name(int value)
{
    return match_issue_text((enum match_issue)value);
}

static struct text note_name(int value)
{
    return note_kind_text((enum note_kind)value);
}

static struct text dead_letter_state_name(int value)
{
    return dead_letter_state_text((enum dead_letter_state)value);
}

// The number of minor digits of a currency column: 2 unless listed.
static void add_exponent(struct buf *sql, const char *currency_column)
{
    buf_add_fmt(sql, "CASE %s", currency_column);
    for (unsigned index = 1; index <= currency_count(); index++) {
        struct currency currency = {(uint8_t)index};
        if (currency_exponent(currency) != 2) {
            buf_add_fmt(sql, " WHEN '%.*s' THEN %u", TEXT_PRINT(currency_code(currency)),
                        currency_exponent(currency));
        }
    }
    buf_add_str(sql, " ELSE 2 END");
}

// Minor units as exact decimal text, in integer arithmetic only; null stays null.
static void add_decimal(struct buf *sql, const char *minor, const char *currency_column)
{
    buf_add_fmt(sql, "CASE WHEN %s IS NULL THEN NULL ELSE CASE ", minor);
    add_exponent(sql, currency_column);
    buf_add_fmt(sql, " WHEN 0 THEN CAST(%s AS TEXT)", minor);
    static const char *const divisors[] = {NULL, "10", "100", "1000", "10000"};
    for (unsigned exponent = 1; exponent <= 4; exponent++) {
        buf_add_fmt(sql,
                    " WHEN %u THEN printf('%%s%%d.%%0%ud', CASE WHEN %s < 0 THEN '-' ELSE '' END,"
                    " abs(%s / %s), abs(%s %% %s))",
                    exponent, exponent, minor, minor, divisors[exponent], minor,
                    divisors[exponent]);
    }
    buf_add_str(sql, " END END");
}

static void add_time(struct buf *sql, const char *us)
{
    buf_add_fmt(sql,
                "strftime('%%Y-%%m-%%dT%%H:%%M:%%S', %s / 1000000, 'unixepoch') ||"
                " printf('.%%06dZ', %s %% 1000000)",
                us, us);
}

// The columns that a fact row shows, `o` being orders and `p` payments; shared by three views.
static void add_fact_columns(struct buf *sql, const char *customer_id)
{
    buf_add_fmt(sql, "o.order_id, p.payment_id, %s AS customer_id, ", customer_id);
    buf_add_str(sql, "o.item, o.quantity, ");
    add_decimal(sql, "o.price_minor", "o.currency");
    buf_add_str(sql, " AS price, o.shipping_address, ");
    add_case(sql, "o.order_status", order_status_name, ORDER_STATUS_COUNT);
    buf_add_str(sql, " AS order_status, o.creation_date, p.payment_method, p.card_last_four, ");
    add_case(sql, "p.payment_status", payment_status_name, PAYMENT_STATUS_COUNT);
    buf_add_str(sql, " AS payment_status, p.payment_datetime, ");
    add_decimal(sql, "p.captured_minor", "o.currency");
    buf_add_str(sql, " AS amount, o.currency, ");
    add_decimal(sql, "o.price_minor * o.quantity", "o.currency");
    buf_add_str(sql, " AS order_total, ");
    add_decimal(sql, "o.paid_minor", "o.currency");
    buf_add_str(sql, " AS amount_paid, ");
    add_decimal(sql, "o.refunded_minor", "o.currency");
    buf_add_str(sql, " AS amount_refunded, ");
    add_decimal(sql, "o.charged_back_minor", "o.currency");
    buf_add_str(sql, " AS amount_charged_back, ");
    add_case(sql, "o.settlement", settlement_name, SETTLEMENT_COUNT);
    buf_add_str(sql, " AS settlement, ");
    add_case(sql, "o.match_issue", match_issue_name, MATCH_ISSUE_COUNT);
    buf_add_str(sql, " AS match_issue, o.n_events");
}

// The view over one index. UNION ALL and CROSS JOIN let SQLite carry a condition on the key's column
// into each run, where it is one look-up; `filing` leaves one entry an order.
static void add_index_view(struct buf *sql, const char *view, const char *key, const char *index)
{
    bool by_customer = strcmp(key, "customer_id") == 0;
    buf_add_fmt(sql, "CREATE VIEW %s AS SELECT %s", view, by_customer ? "" : "k.day AS day, ");
    add_fact_columns(sql, by_customer ? "k.customer_id" : "o.customer_id");
    buf_add_fmt(sql,
                " FROM (SELECT i.%s AS %s, i.order_id AS order_id, i.filing AS filing"
                "       FROM index_runs r CROSS JOIN %s i ON i.run = r.run"
                "       UNION ALL SELECT %s, order_id, filing FROM index_recent) k"
                " JOIN orders o ON o.order_id = k.order_id AND o.filing = k.filing"
                " LEFT JOIN payments p ON p.order_id = o.order_id;",
                key, key, index, key);
}

static void add_facts_views(struct buf *sql)
{
    buf_add_str(sql, "CREATE VIEW orders_payments_facts AS SELECT ");
    add_fact_columns(sql, "o.customer_id");
    buf_add_str(sql, " FROM orders o LEFT JOIN payments p ON p.order_id = o.order_id;");
    add_index_view(sql, "facts_by_customer", "customer_id", "customer_index");
    add_index_view(sql, "facts_by_day", "day", "day_index");
}

static void add_order_event_rows(struct buf *sql, const char *table)
{
    buf_add_str(sql, "SELECT order_id, 'ORDER' AS kind, order_id AS entity_id,"
                     " CASE WHEN version > 4611686018427387904"
                     " THEN 'v' || (version - 4611686018427387904) ELSE 't' || version END"
                     " AS event_id, lower(hex(content_hash)) AS content_hash, customer_id, item,"
                     " quantity, ");
    add_decimal(sql, "price_minor", "currency");
    buf_add_str(sql, " AS price, shipping_address, ");
    add_case(sql, "order_status", order_status_name, ORDER_STATUS_COUNT);
    buf_add_fmt(sql,
                " AS status, creation_date AS stated_time, NULL AS payment_method,"
                " NULL AS card_last_four, NULL AS amount, currency, NULL AS note, published_us"
                " FROM %s",
                table);
}

static void add_payment_event_rows(struct buf *sql, const char *table)
{
    buf_add_str(sql, "SELECT order_id, 'PAYMENT', payment_id, coalesce(event_id, ");
    add_case(sql, "payment_status", payment_status_name, PAYMENT_STATUS_COUNT);
    buf_add_str(sql, "), lower(hex(content_hash)), NULL, NULL, NULL, NULL, NULL, ");
    add_case(sql, "payment_status", payment_status_name, PAYMENT_STATUS_COUNT);
    buf_add_str(sql, ", payment_datetime, payment_method, card_last_four, ");
    add_decimal(sql, "amount_minor", "currency");
    buf_add_fmt(sql, ", currency, NULL, published_us FROM %s", table);
}

static void add_events_view(struct buf *sql)
{
    buf_add_str(sql, "CREATE VIEW order_events AS ");
    add_order_event_rows(sql, "orders");
    buf_add_str(sql, " UNION ALL ");
    add_order_event_rows(sql, "order_versions");
    buf_add_str(sql, " UNION ALL ");
    add_payment_event_rows(sql, "payments");
    buf_add_str(sql, " UNION ALL ");
    add_payment_event_rows(sql, "payment_events");
    buf_add_str(sql, " UNION ALL SELECT order_id, 'NOTE', payment_id, ");
    add_case(sql, "kind", note_name, NOTE_COUNT);
    buf_add_str(sql, " || ':' || about, NULL, NULL, NULL, NULL, NULL, NULL, ");
    add_case(sql, "kind", note_name, NOTE_COUNT);
    buf_add_str(sql, ", NULL, NULL, NULL, NULL, NULL, detail, noted_us FROM notes;");
}

// A dead letter whose order has come is healed, whether or not its next check was due yet.
static void add_dead_letters_view(struct buf *sql)
{
    buf_add_fmt(sql,
                "CREATE VIEW dead_letters AS SELECT lower(hex(id)) AS id, reason, detail,"
                " CASE WHEN state IN (%d, %d) AND EXISTS (SELECT 1 FROM orders o WHERE o.order_id ="
                " dead_letter_records.order_id) THEN 'HEALED' ELSE ",
                DEAD_LETTER_WAITING, DEAD_LETTER_EXPIRED);
    add_case(sql, "state", dead_letter_state_name, DEAD_LETTER_STATE_COUNT);
    buf_add_str(sql, " END AS state, CAST(body AS TEXT) AS body, source_topic, source_message_id,"
                     " order_id, payment_id, event_id, attempts, replay_count, ");
    add_time(sql, "first_seen_us");
    buf_add_str(sql, " AS first_seen, CASE WHEN next_check_us > 0 THEN ");
    add_time(sql, "next_check_us");
    buf_add_str(sql, " END AS next_check, redacted, rebuilt FROM dead_letter_records;");
}

static enum err create_all(sqlite3 *db, struct why *why)
{
    struct buf sql = {0};
    buf_init_heap(&sql, 256 * 1024);
    buf_add_str(&sql, "BEGIN IMMEDIATE;");
    buf_add_str(&sql, tables_sql);
    add_facts_views(&sql);
    add_events_view(&sql);
    add_dead_letters_view(&sql);
    buf_add_fmt(&sql, "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT;",
                (int)FACTS_APPLICATION_ID, FACTS_SCHEMA_VERSION);
    buf_add_char(&sql, '\0');
    enum err err = buf_overflowed(&sql)
                       ? why_set(why, ERR_NO_MEMORY, "out of memory while creating facts.db")
                       : sqlite_run(db, sql.data, why);
    buf_deinit(&sql);
    if (err != ERR_OK) {
        (void)sqlite3_exec(db, "ROLLBACK;", NULL, NULL, NULL); // may have been rolled back already
    }
    return err;
}

enum err sqlite_schema_check(sqlite3 *db, struct why *why)
{
    int64_t application_id = 0;
    int64_t version = 0;
    enum err err = sqlite_read_i64(db, "PRAGMA application_id;", &application_id, why);
    if (err == ERR_OK) {
        err = sqlite_read_i64(db, "PRAGMA user_version;", &version, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    const char *path = sqlite3_db_filename(db, "main");
    if (application_id != (int)FACTS_APPLICATION_ID) {
        return why_set(why, ERR_SCHEMA, "%s: not a facts file of till", path);
    }
    if (version != FACTS_SCHEMA_VERSION) {
        return why_set(why, ERR_SCHEMA,
                       "%s: schema version %" PRId64 ", this program reads version %d", path,
                       version, FACTS_SCHEMA_VERSION);
    }
    return ERR_OK;
}

enum err sqlite_schema_ensure(sqlite3 *db, struct why *why)
{
    int64_t application_id = 0;
    int64_t tables = 0;
    enum err err = sqlite_read_i64(db, "PRAGMA application_id;", &application_id, why);
    if (err == ERR_OK) {
        err = sqlite_read_i64(db, "SELECT count(*) FROM sqlite_schema;", &tables, why);
    }
    bool empty = tables == 0 && application_id == 0;
    if (err == ERR_OK && !empty) {
        err = sqlite_schema_check(db, why);
    }
    if (err == ERR_OK) {
        err = sqlite_start_writing(db, why);
    }
    return err == ERR_OK && empty ? create_all(db, why) : err;
}
