// What the configuration says about Cassandra.
#ifndef TILL_CASSANDRA_SETTINGS_H
#define TILL_CASSANDRA_SETTINGS_H

#include "command.h"
#include "store_cassandra.h"

#define CASSANDRA_PASSWORD_SIZE_MAX 256

// What the options borrow beside the configuration.
struct cassandra_settings {
    struct store_cassandra_options options;
    const char *replication; // for store_cassandra_setup; NULL: its default
    char password[CASSANDRA_PASSWORD_SIZE_MAX];
};

// ERR_CONFIG: the file with the password can't be read, or its first line is none.
MUST_USE enum err cassandra_settings_read(const struct command_context *context,
                                          struct cassandra_settings *out_settings, struct why *why);

// ERR_USAGE when a flag that is about Cassandra was given with another store.
MUST_USE enum err cassandra_settings_check_flags(const struct command_context *context,
                                                 struct why *why);

// "Cassandra keyspace ecom_store at 127.0.0.1", on standard error unless --quiet.
void cassandra_settings_say_target(struct command_context *context,
                                   const struct cassandra_settings *settings);

#endif
