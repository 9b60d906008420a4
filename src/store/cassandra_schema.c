// The tables. Everything that decides lies in order_events and is only ever inserted, with one constant
// timestamp; what is derived carries timestamps made of the set of events (projection.h), so that no clock
// is ever asked which row is the right one.
//
// Settings and their reasons, the same for all tables unless said otherwise beside it:
//   no default_time_to_live, and no deletes: rows are facts of a business, and a tombstone would be read by
//     every later read of its partition.
//   read_repair BLOCKING: two reads at quorum, one after the other, must not go back in time.
//   gc_grace_seconds as it comes (10 days): repair has to run more often than that.
//   size-tiered compaction: a partition is written a few times within minutes and then hardly ever; levels
//     would rewrite every row several times for reads that the row's own node answers from one file anyway.
//   LZ4 in chunks of 16 KiB: a partition is a few hundred bytes, and a larger chunk would be read for it.
#include "cassandra_schema.h"

#include <assert.h>
#include <string.h>

#define TABLE_SETTINGS                                                                             \
    " AND read_repair = 'BLOCKING'"                                                                \
    " AND compaction = {'class': 'SizeTieredCompactionStrategy'}"                                  \
    " AND compression = {'class': 'LZ4Compressor', 'chunk_length_in_kb': '16'}"

static const char *const first_version[] = {
    "CREATE TABLE IF NOT EXISTS {keyspace}.till_settings ("
    " name text PRIMARY KEY, value bigint)"
    " WITH comment = 'schema_version and fold_epoch of this keyspace'" TABLE_SETTINGS,

    // The truth. A row is named by everything that makes it that event, so the same event is the same row
    // however often it comes, and two contents of one event are two rows.
    "CREATE TABLE IF NOT EXISTS {keyspace}.order_events ("
    " order_id bigint, kind text, entity_id bigint, event_id text, content_hash blob,"
    " published_us bigint,"
    " customer_id bigint, item text, quantity int, price decimal, shipping_address text,"
    " status text, stated_time text, payment_method text, card_last_four text, amount decimal,"
    " currency text, currency_given boolean, note text,"
    " PRIMARY KEY ((order_id), kind, entity_id, event_id, content_hash))"
    " WITH comment = 'every order version, payment event and note; insert only'" TABLE_SETTINGS,

    // What people read. Columns of the order are static, so an order without payments is one row, and each
    // payment adds one.
    "CREATE TABLE IF NOT EXISTS {keyspace}.orders_payments_facts ("
    " order_id bigint, payment_id bigint,"
    " customer_id bigint static, item text static, quantity int static, price decimal static,"
    " shipping_address text static, order_status text static, creation_date text static,"
    " payment_method text, card_last_four text, payment_status text, payment_datetime text,"
    " amount decimal,"
    " currency text static, order_total decimal static, amount_paid decimal static,"
    " amount_refunded decimal static, amount_charged_back decimal static,"
    " settlement text static, match_issue text static, n_events int static,"
    " PRIMARY KEY ((order_id), payment_id))"
    " WITH comment = 'orders with their payments, derived from order_events'" TABLE_SETTINGS,

    // Where to look; what stands there is in the facts. An order that changed its customer or day stays
    // listed under the old one, and readers pass it over.
    "CREATE TABLE IF NOT EXISTS {keyspace}.facts_by_customer ("
    " customer_id bigint, order_id bigint, creation_date text, order_status text, item text,"
    " quantity int, currency text, order_total decimal,"
    " PRIMARY KEY ((customer_id), order_id))"
    " WITH CLUSTERING ORDER BY (order_id DESC)"
    " AND comment = 'orders of a customer, newest id first'" TABLE_SETTINGS,
    "CREATE TABLE IF NOT EXISTS {keyspace}.facts_by_day ("
    " day date, bucket int, order_id bigint, customer_id bigint, order_status text, item text,"
    " quantity int, currency text, order_total decimal,"
    " PRIMARY KEY ((day, bucket), order_id))"
    " WITH comment = 'orders of a day, in 16 buckets'" TABLE_SETTINGS,

    // Payments without their order, by the time at which that becomes an issue. The hours and buckets in
    // use are listed, so that a sweeper finds them without scanning.
    "CREATE TABLE IF NOT EXISTS {keyspace}.waiting_payments ("
    " shard int, bucket_us bigint, order_id bigint, payment_id bigint, event_id text,"
    " published_us bigint, message_id text, attempts int, body blob,"
    " PRIMARY KEY ((shard, bucket_us), order_id, payment_id, event_id))"
    " WITH comment = 'index of payments whose order had not come'" TABLE_SETTINGS,
    "CREATE TABLE IF NOT EXISTS {keyspace}.waiting_buckets ("
    " hour_us bigint, bucket_us bigint, shard int, known boolean, closed boolean, done boolean,"
    " PRIMARY KEY ((hour_us), bucket_us, shard))"
    " WITH comment = 'buckets of waiting_payments and how far the sweepers are'" TABLE_SETTINGS,
    "CREATE TABLE IF NOT EXISTS {keyspace}.waiting_hours ("
    " part int, hour_us bigint, known boolean, closed boolean, done boolean,"
    " PRIMARY KEY ((part), hour_us))"
    " WITH comment = 'hours that have buckets'" TABLE_SETTINGS,

    // One small row a lane, written every second.
    "CREATE TABLE IF NOT EXISTS {keyspace}.lane_status ("
    " part int, lane text, watermark_us bigint, updated_us bigint, PRIMARY KEY ((part), lane))"
    " WITH comment = 'how far the order lanes are'" TABLE_SETTINGS,

    "CREATE TABLE IF NOT EXISTS {keyspace}.dead_letters ("
    " bucket int, id blob, reason text, detail text, body blob, source_topic text,"
    " source_message_id text, first_seen_us bigint, recorded_us bigint, order_id bigint,"
    " payment_id bigint, event_id text, attempts int, replay_count int, redacted boolean,"
    " rebuilt boolean, PRIMARY KEY ((bucket), id))"
    " WITH comment = 'every dead letter, written once'" TABLE_SETTINGS,
    "CREATE TABLE IF NOT EXISTS {keyspace}.dead_letter_events ("
    " bucket int, id blob, state text, checks int, next_check_us bigint, at_us bigint, who text,"
    " why text, PRIMARY KEY ((bucket), id, state, checks, next_check_us, at_us, who, why))"
    " WITH comment = 'what became of dead letters; insert only'" TABLE_SETTINGS,
    "CREATE TABLE IF NOT EXISTS {keyspace}.dead_letter_checks ("
    " hour_us bigint, next_check_us bigint, id blob, PRIMARY KEY ((hour_us), next_check_us, id))"
    " WITH comment = 'when dead letters are to be looked at again'" TABLE_SETTINGS,
    "CREATE TABLE IF NOT EXISTS {keyspace}.dead_letter_days ("
    " day date, bucket int, id blob, reason text, PRIMARY KEY ((day, bucket), id))"
    " WITH comment = 'dead letters by the day on which they were recorded'" TABLE_SETTINGS,

    "CREATE TABLE IF NOT EXISTS {keyspace}.starts ("
    " kind text, name text, starts int, PRIMARY KEY ((kind, name)))"
    " WITH comment = 'work that was begun and not ended: lanes, and single "
    "messages'" TABLE_SETTINGS,
    NULL,
};

const char *const *cassandra_schema_step(int from)
{
    return from == 0 ? first_version : NULL;
}

void cassandra_schema_add_statement(struct buf *out, const char *statement, const char *keyspace)
{
    static const char mark[] = "{keyspace}";
    const char *at = strstr(statement, mark);
    while (at != NULL) {
        buf_add(out, statement, (size_t)(at - statement));
        buf_add_str(out, keyspace);
        statement = at + sizeof(mark) - 1;
        at = strstr(statement, mark);
    }
    buf_add_str(out, statement);
}

void cassandra_schema_add_keyspace(struct buf *out, const char *keyspace, const char *replication)
{
    buf_add_fmt(out,
                "CREATE KEYSPACE IF NOT EXISTS %s WITH replication = %s AND durable_writes = true",
                keyspace, replication);
}

bool cassandra_keyspace_name_is_valid(const char *name)
{
    size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return size > 0 && size <= 48 && name[size] == '\0' && name[0] >= 'a' && name[0] <= 'z';
}
