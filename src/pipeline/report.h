// Conservation: does every message and every cent that came in stand somewhere? Two independent
// counts are held against each other: what each transaction noted in the ledger, message by message,
// and what a scan of the tables finds.
#ifndef TILL_REPORT_H
#define TILL_REPORT_H

#include "arena.h"
#include "bus.h"
#include "store_read.h"

#include <stdbool.h>

#define REPORT_CHECKS_MAX      512u
#define REPORT_CHECK_NAME_SIZE 64

// One equation; `holds` when left equals right, or left is at most right where `at_most`.
struct report_check {
    char name[REPORT_CHECK_NAME_SIZE];
    const char *left_text;
    const char *right_text;
    __int128 left;
    __int128 right;
    struct currency currency; // NONE: counts of messages; else minor units of it
    bool at_most;
    bool holds;
};

struct report {
    struct store_totals totals;
    bool has_bus;        // published figures are known, and held against the ledger
    bool counts_letters; // those of dead letters are known
    struct bus_backlog before[BUS_TOPIC_COUNT]; // read before the store
    struct bus_backlog after[BUS_TOPIC_COUNT];  // and after it
    struct report_check checks[REPORT_CHECKS_MAX];
    size_t check_count;
    size_t failed_count;
};

// Reads everything and makes the checks. `bus` may be NULL, or one that can't tell what was published:
// then only the store's side is checked, and dead letters that are not recorded yet are not looked for.
// A failed check is no error: ask failed_count. `out_report` is large: give heap memory.
MUST_USE enum err report_build(struct store_reader *reader, struct bus *bus, struct arena *arena,
                               struct report *out_report, struct why *why);

#endif
