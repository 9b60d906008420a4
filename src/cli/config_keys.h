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
    X(dead_letters_max_age, "dead_letters.max_age", DURATION, "30d", 1 * MIN, 3650 * DAY, NULL,    \
      "after this a dead letter is checked no more and counts as expired")                         \
    X(store_customer_index, "store.customer_index", BOOL, "true", 0, 0, NULL,                      \
      "keep the indexes of orders by customer and by day")                                         \
    X(run_drain_timeout, "run.drain_timeout", DURATION, "30s", 0, 1 * HR, NULL,                    \
      "how long the end of a run may take to finish what is in hand")

#endif
