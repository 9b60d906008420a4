// What a command needs to run the pipeline: the lock of a data directory, the store in it, and the bus,
// which is in the directory too or on Pub/Sub, in the order in which they are opened and closed.
#ifndef TILL_ENGINE_H
#define TILL_ENGINE_H

#include "bus.h"
#include "command.h"
#include "data_dir.h"
#include "ingest.h"
#include "line_source.h"
#include "pubsub_start.h"
#include "report.h"
#include "service.h"
#include "store.h"

#define ENGINE_NAME_SIZE 160

struct engine {
    struct data_dir dir;         // not owned when nothing of it is needed
    char name[ENGINE_NAME_SIZE]; // on a cluster: of what it does and where; else empty
    struct bus *bus;
    struct store *store;   // NULL when the command only publishes
    struct ingest *ingest; // NULL unless engine_listen was called
};

struct engine_needs {
    bool store;
    struct pubsub_needs pubsub; // topics and subscriptions that have to be there on Pub/Sub
};

// Opens the bus that the configuration names, and with needs->store the store that it names. Owns the data directory in
// the name of `owner` ("till run") when one of the two lies in it. On Pub/Sub it says where that is, and
// the errors of pubsub_start.h apply.
MUST_USE enum err engine_open(struct command_context *context, const char *owner,
                              const struct engine_needs *needs, struct engine *out_engine,
                              struct why *why);
void engine_close(struct engine *engine); // accepts a zeroed or half-opened one

// Takes messages of other processes from now on, until the engine is closed. Does nothing on Pub/Sub, to
// which they publish themselves.
MUST_USE enum err engine_listen(struct command_context *context, struct engine *engine,
                                struct why *why);

// The rules and limits that the configuration says.
void engine_service_options(const struct command_context *context, const struct engine *engine,
                            struct service_options *out_options);

// Runs the service to its end (once) or until a drain is asked for, with progress on stderr.
// After ERR_DRAIN_TIMEOUT the process has to end at once: bus and store are still in use.
MUST_USE enum err engine_run(struct command_context *context, const struct service_options *options,
                             struct service_figures *out_figures, struct why *why);

// Sources named by --orders, --payments, --from and --generate, in that order. The lines of --from
// belong to `from_topic`.
MUST_USE enum err engine_open_sources(struct command_context *context, enum line_topic from_topic,
                                      struct service_options *options, struct why *why);
void engine_close_sources(struct service_options *options);

// Whether events and facts are in a cluster, which other processes may work on.
bool engine_on_cassandra(const struct command_context *context);
// What query, dlq and report read from: facts.db of the data directory, or the cluster.
MUST_USE enum err engine_open_reader(struct command_context *context,
                                     struct store_reader **out_reader, struct why *why);

// The conservation report of a directory, read beside its owner or without one. When the bus is Pub/Sub
// only the store's side is in it; on a cluster `dir` is not looked at. Allocated; free() it. The arena holds what it points to.
MUST_USE enum err engine_report(struct command_context *context, const struct data_dir *dir,
                                struct report **out_report, struct why *why);

// Ends a command's process while threads that can't be waited for still use its memory.
_Noreturn void engine_abandon(struct command_context *context, const struct why *why);

#endif
