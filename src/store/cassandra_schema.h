// The tables of a Cassandra keyspace: what there must be, and how one version becomes the next. Forward
// only: a keyspace of a later version is refused. Internal to the folder, but for what store_cassandra.h
// says of it.
#ifndef TILL_CASSANDRA_SCHEMA_H
#define TILL_CASSANDRA_SCHEMA_H

#include "buf.h"
#include "errors.h"

#include <stddef.h>
#include <stdint.h>

#define CASSANDRA_SCHEMA_VERSION 1

// Rows of till_settings.
#define CASSANDRA_SETTING_VERSION    "schema_version"
#define CASSANDRA_SETTING_FOLD_EPOCH "fold_epoch"

// Parts into which indexes of many small rows are cut, so that no partition grows without bound and a batch
// still meets few of them. Never to be changed on a keyspace with data.
#define CASSANDRA_DAY_BUCKETS    16
#define CASSANDRA_LETTER_BUCKETS 256

// The statements that bring a keyspace of version `from` (0: none) to the next one, in order: CQL in which
// {keyspace} stands for its name. NULL at the end; NULL when there is no such step.
const char *const *cassandra_schema_step(int from);

// Adds `statement` with the name of the keyspace put in.
void cassandra_schema_add_statement(struct buf *out, const char *statement, const char *keyspace);
// CREATE KEYSPACE ... with what `replication` says: a map in CQL's form.
void cassandra_schema_add_keyspace(struct buf *out, const char *keyspace, const char *replication);

// A name that needs no quotes: a small letter, then small letters, digits and underscores, 48 at most.
bool cassandra_keyspace_name_is_valid(const char *name);

#endif
