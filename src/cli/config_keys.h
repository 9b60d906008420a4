// The table of configuration keys, from which come struct config, the reader of files, variables and
// flags, `till config show`, and docs/configuration.md (a test holds the two together).
#ifndef TILL_CONFIG_KEYS_H
#define TILL_CONFIG_KEYS_H

#include <stdint.h>

#define MS  INT64_C(1000)
#define SEC (1000 * MS)
#define MIN (60 * SEC)
#define HR  (60 * MIN)
#define DAY (24 * HR)
#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

extern const char *const log_level_names[];  // by enum log_level, then NULL
extern const char *const log_format_names[]; // by enum log_format, then NULL
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
extern const char *const bus_kind_names[]; // by enum bus_kind, then NULL
enum bus_kind { BUS_KIND_EMBEDDED, BUS_KIND_PUBSUB };
extern const char *const store_kind_names[]; // by enum store_kind, then NULL
enum store_kind { STORE_KIND_EMBEDDED, STORE_KIND_CASSANDRA };
extern const char *const cassandra_compression_names[]; // by enum cql_compression, then NULL
extern const char *const pubsub_receive_names[];        // by enum pubsub_way, then NULL
extern const char *const pubsub_identity_names[];       // by enum pubsub_identity_kind, then NULL
enum pubsub_identity_kind { PUBSUB_IDENTITY_GOOGLE, PUBSUB_IDENTITY_NONE };

// X(field, path, kind of value.h, default, min, max, choices, help)
#define CONFIG_TABLE(X)                                                                            \
    X(data_dir, "data_dir", TEXT, "./till-data", 0, 0, NULL,                                       \
      "directory of topics.db and facts.db")                                                       \
    X(log_level, "log.level", CHOICE, "info", 0, 0, log_level_names, "least level that is logged") \
    X(log_format, "log.format", CHOICE, "auto", 0, 0, log_format_names,                            \
      "auto is text on a terminal and JSON lines elsewhere")                                       \
    X(match_grace, "match.grace", DURATION, "2m", 0, 30 * DAY, NULL,                               \
      "how long a payment waits for its order before it becomes a dead letter")                    \
    X(match_bucket, "match.bucket", DURATION, "10s", 1 * SEC, 1 * HR, NULL,                        \
      "waiting payments are looked at in steps of this")                                           \
    X(match_max_hold, "match.max_hold", DURATION, "1h", 0, 30 * DAY, NULL,                         \
      "how long an outage of the order lanes may hold back the end of the grace time")             \
    X(match_lenient_price, "match.lenient_price", BOOL, "true", 0, 0, NULL,                        \
      "round prices of too many digits half to even, as the reference producer needs")             \
    X(match_default_currency, "match.default_currency", CURRENCY, "USD", 0, 0, NULL,               \
      "currency of orders that name none")                                                         \
    X(match_shards, "match.shards", COUNT, "16", 1, 1024, NULL,                                    \
      "parts of the index of waiting payments")                                                    \
    X(lane_batch_messages, "lane.batch_messages", COUNT, "4096", 1, 10000, NULL,                   \
      "most messages that a lane takes in one batch")                                              \
    X(lane_batch_bytes, "lane.batch_bytes", SIZE, "4MiB", 256 * KIB, 16 * MIB, NULL,               \
      "most bytes of each topic that a lane takes in one batch")                                   \
    X(broker_lease, "broker.lease", DURATION, "1m", 10 * SEC, 1 * HR, NULL,                        \
      "how long a message may be in hand before it is delivered again")                            \
    X(broker_backlog_max, "broker.backlog_max", COUNT, "10000000", 1, INT64_C(1000000000000),      \
      NULL, "messages a topic holds unacked before publishers have to wait")                       \
    X(broker_size_max, "broker.size_max", SIZE, "0", 0, INT64_C(1) << 50, NULL,                    \
      "bytes of topics.db before publishers have to wait; 0 is no limit but the disk")             \
    X(bus_kind, "bus.kind", CHOICE, "embedded", 0, 0, bus_kind_names, "where messages are")        \
    X(pubsub_project, "pubsub.project", OPTIONAL, "", 0, 0, NULL,                                  \
      "Google Cloud project; else PUBSUB_PROJECT_ID or GOOGLE_CLOUD_PROJECT")                      \
    X(pubsub_endpoint, "pubsub.endpoint", OPTIONAL, "", 0, 0, NULL,                                \
      "HOST:PORT of the service; else PUBSUB_EMULATOR_HOST or Google's")                           \
    X(pubsub_identity, "pubsub.identity", CHOICE, "google", 0, 0, pubsub_identity_names,           \
      "google sends Google credentials; none is for an endpoint of one's own that wants none")     \
    X(pubsub_ca_file, "pubsub.ca_file", OPTIONAL, "", 0, 0, NULL,                                  \
      "PEM file of the certificate authorities to trust; else the system's")                       \
    X(pubsub_quota_project, "pubsub.quota_project", OPTIONAL, "", 0, 0, NULL,                      \
      "project that is billed and limited; else the identity's own")                               \
    X(pubsub_connections, "pubsub.connections", COUNT, "1", 1, 16, NULL,                           \
      "connections to the service")                                                                \
    X(pubsub_orders_topic, "pubsub.orders_topic", TEXT, "orders_data", 0, 0, NULL,                 \
      "topic of orders; short, or projects/P/topics/T")                                            \
    X(pubsub_payments_topic, "pubsub.payments_topic", TEXT, "payments_data", 0, 0, NULL,           \
      "topic of payments")                                                                         \
    X(pubsub_orders_dlq_topic, "pubsub.orders_dlq_topic", TEXT, "orders_dlq", 0, 0, NULL,          \
      "topic of dead letters of orders")                                                           \
    X(pubsub_payments_dlq_topic, "pubsub.payments_dlq_topic", TEXT, "payments_dlq", 0, 0, NULL,    \
      "topic of dead letters of payments")                                                         \
    X(pubsub_orders_subscription, "pubsub.orders_subscription", TEXT, "orders_data-sub", 0, 0,     \
      NULL, "subscription of orders; short, or projects/P/subscriptions/S")                        \
    X(pubsub_payments_subscription, "pubsub.payments_subscription", TEXT, "payments_data-sub", 0,  \
      0, NULL, "subscription of payments")                                                         \
    X(pubsub_orders_dlq_subscription, "pubsub.orders_dlq_subscription", TEXT, "orders_dlq-sub", 0, \
      0, NULL, "subscription of dead letters of orders")                                           \
    X(pubsub_payments_dlq_subscription, "pubsub.payments_dlq_subscription", TEXT,                  \
      "payments_dlq-sub", 0, 0, NULL, "subscription of dead letters of payments")                  \
    X(pubsub_receive, "pubsub.receive", CHOICE, "stream", 0, 0, pubsub_receive_names,              \
      "stream has the service send as messages come, pull asks for up to 1000 at a time")          \
    X(pubsub_receivers, "pubsub.receivers", COUNT, "4", 1, 64, NULL,                               \
      "streams, or pulls at once, of each subscription")                                           \
    X(pubsub_held_messages, "pubsub.held_messages", COUNT, "10000", 1, 1000000, NULL,              \
      "messages of a subscription that are here and not yet acked, at most")                       \
    X(pubsub_held_bytes, "pubsub.held_bytes", SIZE, "64MiB", 1 * MIB, 4 * GIB, NULL,               \
      "and their bytes")                                                                           \
    X(pubsub_hold, "pubsub.hold", DURATION, "1h", 1 * MIN, 1 * DAY, NULL,                          \
      "how long a message may be in hand before it is handed back")                                \
    X(pubsub_ack_deadline, "pubsub.ack_deadline", DURATION, "1m", 10 * SEC, 10 * MIN, NULL,        \
      "first lease of a message on a stream; till setup gives it to subscriptions")                \
    X(pubsub_retention, "pubsub.retention", DURATION, "7d", 10 * MIN, 31 * DAY, NULL,              \
      "how long till setup has subscriptions keep messages, at least")                             \
    X(pubsub_publish_timeout, "pubsub.publish_timeout", DURATION, "30s", 1 * SEC, 10 * MIN, NULL,  \
      "how long one publish may try before it is begun again")                                     \
    X(pubsub_start_timeout, "pubsub.start_timeout", DURATION, "10s", 1 * SEC, 10 * MIN, NULL,      \
      "how long a start waits for the service before it gives up")                                 \
    X(dead_letters_max_age, "dead_letters.max_age", DURATION, "30d", 1 * MIN, 3650 * DAY, NULL,    \
      "after this a dead letter is checked no more and counts as expired")                         \
    X(cassandra_contact_points, "cassandra.contact_points", TEXT, "127.0.0.1", 0, 0, NULL,         \
      "HOST or HOST:PORT of some nodes, by comma; the others are found")                           \
    X(cassandra_keyspace, "cassandra.keyspace", TEXT, "ecom_store", 0, 0, NULL,                    \
      "keyspace of the tables")                                                                    \
    X(cassandra_local_dc, "cassandra.local_dc", OPTIONAL, "", 0, 0, NULL,                          \
      "data centre that is spoken to; else that of the first node that answers")                   \
    X(cassandra_replication, "cassandra.replication", OPTIONAL, "", 0, 0, NULL,                    \
      "what till setup gives a new keyspace, such as {'class': 'NetworkTopologyStrategy', 'dc1': " \
      "3}")                                                                                        \
    X(cassandra_user, "cassandra.user", OPTIONAL, "", 0, 0, NULL, "who logs in")                   \
    X(cassandra_password_file, "cassandra.password_file", OPTIONAL, "", 0, 0, NULL,                \
      "file whose first line is the password")                                                     \
    X(cassandra_tls, "cassandra.tls", BOOL, "false", 0, 0, NULL,                                   \
      "encrypt, and check who the nodes are")                                                      \
    X(cassandra_ca_file, "cassandra.ca_file", OPTIONAL, "", 0, 0, NULL,                            \
      "PEM file of the certificate authorities to trust; else the system's")                       \
    X(cassandra_cert_file, "cassandra.cert_file", OPTIONAL, "", 0, 0, NULL,                        \
      "PEM file of our own certificate")                                                           \
    X(cassandra_key_file, "cassandra.key_file", OPTIONAL, "", 0, 0, NULL, "PEM file of its key")   \
    X(cassandra_compression, "cassandra.compression", CHOICE, "none", 0, 0,                        \
      cassandra_compression_names, "of what is sent; worth it between machines")                   \
    X(cassandra_connections, "cassandra.connections", COUNT, "1", 1, 16, NULL,                     \
      "connections to each node")                                                                  \
    X(cassandra_in_flight, "cassandra.in_flight", COUNT, "1024", 1, 32000, NULL,                   \
      "requests that may be open at a node at once")                                               \
    X(cassandra_request_timeout, "cassandra.request_timeout", DURATION, "12s", 1 * SEC, 5 * MIN,   \
      NULL, "how long a request may take; more than the server's own timeouts")                    \
    X(store_kind, "store.kind", CHOICE, "embedded", 0, 0, store_kind_names,                        \
      "where events and facts are kept")                                                           \
    X(store_customer_index, "store.customer_index", BOOL, "true", 0, 0, NULL,                      \
      "keep the indexes of orders by customer and by day")                                         \
    X(run_name, "run.name", OPTIONAL, "", 0, 0, NULL,                                              \
      "what this process is called among those that share a cluster; else the host's name")        \
    X(run_drain_timeout, "run.drain_timeout", DURATION, "30s", 0, 1 * HR, NULL,                    \
      "how long the end of a run may take to finish what is in hand")

#endif
