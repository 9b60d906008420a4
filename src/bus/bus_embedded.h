// The bus on the embedded broker: topics and subscriptions of contract.md in one topics.db.
#ifndef TILL_BUS_EMBEDDED_H
#define TILL_BUS_EMBEDDED_H

#include "bus.h"
#include "clock.h"

struct bus_embedded_options {
    const char *path; // of topics.db; created when absent unless read_only
    struct clock clock;
    int64_t lease_us;     // 0: the default of 60 s
    uint64_t backlog_max; // messages a topic may hold unacked; 0: the default
    uint64_t size_max;    // bytes of topics.db; 0: the default
    bool read_only;       // for reports beside a running owner: only backlog works
};

// Opens (creates, recovers) the log. One process a file may open it for writing; the data directory's
// lock sees to that. ERR_CORRUPT, ERR_SCHEMA, ERR_IO, ERR_READ_ONLY, ERR_NOT_FOUND (read_only).
MUST_USE enum err bus_embedded_open(const struct bus_embedded_options *options,
                                    struct bus **out_bus, struct why *why);

#endif
