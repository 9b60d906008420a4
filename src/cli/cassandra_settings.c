// From struct config to the options of the store on Cassandra.
#include "cassandra_settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *or_null(const char *value)
{
    return value[0] != '\0' ? value : NULL;
}

static enum err read_password(const char *path, char out[CASSANDRA_PASSWORD_SIZE_MAX],
                              struct why *why)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return why_set(why, ERR_CONFIG, "cassandra.password_file: %s: %s", path, strerror(errno));
    }
    bool there = fgets(out, CASSANDRA_PASSWORD_SIZE_MAX, file) != NULL;
    bool whole = there && (strchr(out, '\n') != NULL || feof(file));
    (void)fclose(file); // was only read
    if (!whole) {
        return why_set(why, ERR_CONFIG,
                       "cassandra.password_file: %s: expected a first line of 1 to %d bytes", path,
                       CASSANDRA_PASSWORD_SIZE_MAX - 2);
    }
    out[strcspn(out, "\r\n")] = '\0';
    return ERR_OK;
}

enum err cassandra_settings_read(const struct command_context *context,
                                 struct cassandra_settings *out_settings, struct why *why)
{
    const struct config *config = context->config;
    *out_settings = (struct cassandra_settings){
        .options =
            {
                .cluster =
                    {
                        .contact_points = config->cassandra_contact_points,
                        .local_dc = or_null(config->cassandra_local_dc),
                        .user = or_null(config->cassandra_user),
                        .tls = {.enabled = config->cassandra_tls,
                                .ca_file = or_null(config->cassandra_ca_file),
                                .cert_file = or_null(config->cassandra_cert_file),
                                .key_file = or_null(config->cassandra_key_file)},
                        .compression = (enum cql_compression)config->cassandra_compression,
                        .connections_per_node = (uint32_t)config->cassandra_connections,
                        .in_flight_per_node = (uint32_t)config->cassandra_in_flight,
                        .request_timeout_us = config->cassandra_request_timeout,
                        .clock = context->clock,
                        .application = "till",
                    },
                .keyspace = config->cassandra_keyspace,
                .without_by_customer = !config->store_customer_index,
                .clock = context->clock,
            },
        .replication = or_null(config->cassandra_replication),
    };
    if (config->cassandra_password_file[0] == '\0') {
        return ERR_OK;
    }
    out_settings->options.cluster.password = out_settings->password;
    return read_password(config->cassandra_password_file, out_settings->password, why);
}

enum err cassandra_settings_check_flags(const struct command_context *context, struct why *why)
{
    if (context->config->store_kind == STORE_KIND_CASSANDRA ||
        !context->options->given[OPTION_cassandra_contact_points]) {
        return ERR_OK;
    }
    return why_set(why, ERR_USAGE,
                   "flag --cassandra names nodes, but the store is the embedded one; add --store"
                   " cassandra");
}

void cassandra_settings_say_target(struct command_context *context,
                                   const struct cassandra_settings *settings)
{
    command_say(context, "Cassandra keyspace %s at %s", settings->options.keyspace,
                settings->options.cluster.contact_points);
}
