// The program `till` on a keyspace of a real Cassandra: what every start of it is told, what it shows of the
// tables, and the same messages as files, so that the embedded store can say what should have come out.
//
// Everything is within a test of till_process.h, in its directory. Failures end the test. One thread.
#ifndef TILL_TESTS_CASSANDRA_RIG_H
#define TILL_TESTS_CASSANDRA_RIG_H

#include "generator.h"
#include "till_process.h"

#include <stdint.h>

// Settings, as variables of the environment.
struct cassandra_rig {
    char memory[2048];
    size_t used;
    const char *variables[24]; // the last one is NULL
    size_t count;
};

void rig_init(struct cassandra_rig *rig, const char *nodes, const char *keyspace);
// "TILL_RUN_NAME=...". The last one of a name stands.
void rig_set(struct cassandra_rig *rig, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// A run may take long, where a claim is tried large and the nodes have little of a machine.
#define RIG_PATIENCE_MS (30 * 60 * 1000)

struct till_process *rig_start(const struct cassandra_rig *rig, const char *const *words);
const struct outcome *rig_wait(struct till_process *process); // until it ends
const struct outcome *rig_run(const struct cassandra_rig *rig, const char *const *words);
#define RIG_RUN(rig, ...)   rig_run(rig, TILL_WORDS(__VA_ARGS__))
#define RIG_START(rig, ...) rig_start(rig, TILL_WORDS(__VA_ARGS__))

// --- what the tables show ---------------------------------------------------------------------------
// `rig` NULL: the embedded store in `directory`, else the keyspace. free() what comes.

// Rows of `till query` as CSV, sorted.
char *rig_facts(const struct cassandra_rig *rig, const char *directory);
// Dead letters that are not healed, as "reason,order,payment" lines, sorted.
char *rig_letters(const struct cassandra_rig *rig, const char *directory);
// Shows the first line that differs.
void assert_same_lines(const char *what, const char *found, const char *expected);
// The keyspace shows what the embedded store in `directory` shows.
void rig_assert_same(const struct cassandra_rig *rig, const char *directory);

size_t line_count(const char *text);
// Exit code 0, and all checks balance.
void rig_assert_balanced(const struct cassandra_rig *rig);

// --- messages ---------------------------------------------------------------------------------------

// Some of every story and timing that the generator knows.
struct generator_options rig_anomalies(uint64_t seed, uint64_t pairs);
// All that it makes, as orders.jsonl and payments.jsonl. What would be no line is left out.
void rig_write_messages(const struct generator_options *options);
// Those two files through the embedded bus and store in `directory`.
void rig_apply_embedded(const char *directory);

// TILL_TEST_FULL=1.
bool rig_is_full(void);

#endif
