// The table of flags. A flag means the same on every command that takes it. Three kinds: flags with
// a field in struct options, flags that may be repeated, and flags that set a configuration key
// (their type, bounds and default are the key's).
#ifndef TILL_OPTIONS_H
#define TILL_OPTIONS_H

#include "config.h"
#include "value.h"

extern const char *const settlement_names[]; // by enum settlement, then NULL

// X(field, flag, kind of value.h, what stands for the value in help, default or NULL for none, min,
//   max, choices, help)
#define OPTION_TABLE(X)                                                                            \
    X(config, "config", TEXT, "FILE", NULL, 0, 0, NULL,                                            \
      "read settings from FILE too; it outranks ./till.yaml and /etc/till/till.yaml")              \
    X(output, "output", CHOICE, "FORMAT", "table", 0, 0, table_format_names,                       \
      "table, json, jsonl or csv")                                                                 \
    X(quiet, "quiet", BOOL, NULL, "false", 0, 0, NULL, "no progress and no messages but errors")   \
    X(origin, "origin", BOOL, NULL, "false", 0, 0, NULL, "say where each value comes from")        \
    X(once, "once", BOOL, NULL, "false", 0, 0, NULL,                                               \
      "end when the sources are read and every message is settled")                                \
    X(idle, "idle", DURATION, "DURATION", NULL, 0, 1 * HR, NULL,                                   \
      "with --once: end when every subscription was empty for this long (5s on Pub/Sub)")          \
    X(allow_emulator, "allow-emulator", BOOL, NULL, "false", 0, 0, NULL,                           \
      "use PUBSUB_EMULATOR_HOST although a project is configured")                                 \
    X(dry_run, "dry-run", BOOL, NULL, "false", 0, 0, NULL,                                         \
      "change nothing and say what would be done")                                                 \
    X(apply, "apply", BOOL, NULL, "false", 0, 0, NULL, "also change what is there and differs")    \
    X(generate, "generate", COUNT, "N", NULL, 1, INT64_C(1000000000000), NULL,                     \
      "make N orders, and payments for them")                                                      \
    X(seed, "seed", COUNT, "S", NULL, 0, INT64_MAX, NULL,                                          \
      "same seed, same messages; without it a new one is taken and printed")                       \
    X(rate, "rate", COUNT, "N", "0", 0, 100000000, NULL,                                           \
      "messages a second at most; 0 is as fast as it goes")                                        \
    X(late, "late", SHARE, "SHARE", "5%", 0, SHARE_WHOLE_PPM, NULL,                                \
      "payments long after their order")                                                           \
    X(early, "early", SHARE, "SHARE", "5%", 0, SHARE_WHOLE_PPM, NULL,                              \
      "payments before their order")                                                               \
    X(orphan, "orphan", SHARE, "SHARE", "1%", 0, SHARE_WHOLE_PPM, NULL,                            \
      "payments whose order never comes")                                                          \
    X(duplicate, "duplicate", SHARE, "SHARE", "1%", 0, SHARE_WHOLE_PPM, NULL,                      \
      "messages that come twice")                                                                  \
    X(conflict, "conflict", SHARE, "SHARE", "0.1%", 0, SHARE_WHOLE_PPM, NULL,                      \
      "messages that come again with other content")                                               \
    X(corrupt, "corrupt", SHARE, "SHARE", "0.1%", 0, SHARE_WHOLE_PPM, NULL,                        \
      "messages that are not valid")                                                               \
    X(partial, "partial", SHARE, "SHARE", "2%", 0, SHARE_WHOLE_PPM, NULL,                          \
      "orders paid in two parts")                                                                  \
    X(overpay, "overpay", SHARE, "SHARE", "0.5%", 0, SHARE_WHOLE_PPM, NULL,                        \
      "orders paid too much")                                                                      \
    X(refund, "refund", SHARE, "SHARE", "2%", 0, SHARE_WHOLE_PPM, NULL, "payments refunded")       \
    X(chargeback, "chargeback", SHARE, "SHARE", "0.2%", 0, SHARE_WHOLE_PPM, NULL,                  \
      "payments charged back")                                                                     \
    X(failed_retry, "failed-retry", SHARE, "SHARE", "2%", 0, SHARE_WHOLE_PPM, NULL,                \
      "payments that fail first and succeed later")                                                \
    X(wrong_currency, "wrong-currency", SHARE, "SHARE", "0.1%", 0, SHARE_WHOLE_PPM, NULL,          \
      "payments in another currency than their order")                                             \
    X(order, "order", COUNT, "ID", NULL, 1, INT64_MAX, NULL, "only this order")                    \
    X(customer, "customer", COUNT, "ID", NULL, 1, INT64_MAX, NULL, "only orders of this customer") \
    X(day, "day", TEXT, "YYYY-MM-DD", NULL, 0, 0, NULL, "only orders created on this day")         \
    X(status, "status", CHOICE, "SETTLEMENT", NULL, 0, 0, settlement_names,                        \
      "only orders of this settlement, such as PAID")                                              \
    X(reason, "reason", TEXT, "REASON", NULL, 0, 0, NULL,                                          \
      "only dead letters of this reason, such as E_UNMATCHED")                                     \
    X(limit, "limit", COUNT, "N", "100", 1, INT64_MAX, NULL, "at most N rows")                     \
    X(pairs, "pairs", COUNT, "N", "1000000", 1, INT64_C(1000000000), NULL,                         \
      "orders, and as many payments, to measure with")                                             \
    X(grow, "grow", BOOL, NULL, "false", 0, 0, NULL,                                               \
      "measure at several sizes of the store instead")                                             \
    X(latency, "latency", BOOL, NULL, "false", 0, 0, NULL,                                         \
      "measure from publish to durable fact at a paced rate instead")                              \
    X(json, "json", BOOL, NULL, "false", 0, 0, NULL, "print the figures as JSON")

// Flags that may come several times, kept in the order given. X(field, flag, value, help)
#define LIST_OPTION_TABLE(X)                                                                       \
    X(orders, "orders", "FILE", "take orders from FILE, one JSON message a line; - is stdin")      \
    X(payments, "payments", "FILE", "take payments from FILE in the same way")                     \
    X(from, "from", "FILE",                                                                        \
      "take messages from FILE; till run tells orders and payments apart by their keys")           \
    X(set, "set", "KEY=VALUE", "set a configuration key, such as match.grace=15m")

// Flags that set a configuration key. X(key's field, flag, value, help)
#define KEY_OPTION_TABLE(X)                                                                        \
    X(data_dir, "data-dir", "DIR", "directory of topics.db and facts.db")                          \
    X(bus_kind, "bus", "KIND", "where messages are: embedded or pubsub")                           \
    X(pubsub_project, "project", "ID", "Google Cloud project, with --bus pubsub")                  \
    X(pubsub_endpoint, "pubsub-endpoint", "HOST:PORT", "service to use in place of Google's")      \
    X(store_kind, "store", "KIND", "where events and facts are kept: embedded or cassandra")       \
    X(cassandra_contact_points, "cassandra", "HOST[:PORT],...",                                    \
      "some nodes of the cluster, with --store cassandra")                                         \
    X(match_grace, "grace", "DURATION",                                                            \
      "how long a payment waits for its order before it becomes a dead letter")                    \
    X(run_drain_timeout, "drain-timeout", "DURATION",                                              \
      "how long the end of a run may take to finish what is in hand")

enum option_id {
#define X(field, ...) OPTION_##field,
    OPTION_TABLE(X) LIST_OPTION_TABLE(X) KEY_OPTION_TABLE(X)
#undef X
        OPTION_COUNT
};

struct string_list {
    const char **items;
    size_t count;
};

// What was given, or the default; a number without default is 0, a text NULL. Flags that set a key
// are not here: commands read them, like every key, from struct config.
struct options {
#define X(field, flag, kind, metavar, text, min, max, choices, help) VALUE_TYPE(kind) field;
    OPTION_TABLE(X)
#undef X
#define X(field, flag, metavar, help) struct string_list field;
    LIST_OPTION_TABLE(X)
#undef X
    bool given[OPTION_COUNT]; // on the command line
};

struct option {
    const char *name;    // "data-dir"
    const char *flag;    // "--data-dir"
    const char *metavar; // NULL for VALUE_BOOL
    const char *help;
    const char *default_text; // NULL for none; see option_default_text()
    struct value_rule rule;   // see option_rule()
    bool repeatable;
    enum config_key key; // CONFIG_KEY_COUNT: sets no key
    size_t offset;       // of the field in struct options, unless it sets a key
};

// By option_id. Pure; valid for the life of the process.
const struct option *option_info(enum option_id id);
// Its own, or those of the key that it sets.
const struct value_rule *option_rule(const struct option *option);
const char *option_default_text(const struct option *option);

// Every flag at its default, none given.
void options_set_defaults(struct options *options);

#endif
