// A broker in a directory of its own under virtual time, and short words for what tests do with it.
// Every helper asserts that the call succeeds unless its name says otherwise.
#ifndef TILL_BROKER_RIG_H
#define TILL_BROKER_RIG_H

#include "broker.h"

#define RIG_LEASE_US    (10 * US_PER_SECOND)
#define RIG_HANDLES_MAX 20000u

struct rig {
    char directory[64];
    char path[96];
    struct virtual_time time;
    struct broker_options options; // may be changed between close and open
    struct broker *broker;
    uint32_t topic;        // "t"
    uint32_t subscription; // "t-sub", of that topic
    struct arena arena;    // of the last pull
    struct broker_message *pulled;
    size_t pulled_count;
    uint64_t handles[RIG_HANDLES_MAX]; // of the last pull
    struct why why;
};

// For cmocka_unit_test_setup_teardown: *state is a struct rig, opened, with its topic and subscription.
int rig_setup(void **state);
int rig_teardown(void **state);

// Without cmocka's state: the same steps apart.
void rig_init(struct rig *rig);   // directory and options; nothing opened
void rig_deinit(struct rig *rig); // closes and removes all

void rig_open(struct rig *rig);
enum err rig_try_open(struct rig *rig); // leaves rig->broker NULL on failure; text in rig->why
void rig_close(struct rig *rig);
void rig_reopen(struct rig *rig);
// Leaves the file as a crash would, without the last flush: the file as it is now, copied aside, takes
// the place of the closed one.
void rig_crash(struct rig *rig);

void rig_publish(struct rig *rig, const char *text);
// count messages "<prefix>1", "<prefix>2", ... in one call.
void rig_publish_many(struct rig *rig, const char *prefix, size_t count);
enum err rig_try_publish_many(struct rig *rig, const char *prefix, size_t count);

// Pulls from the rig's subscription; returns how many came.
size_t rig_pull(struct rig *rig, size_t count_max);
size_t rig_pull_from(struct rig *rig, uint32_t subscription, size_t count_max);
void rig_ack(struct rig *rig); // all of the last pull
void rig_ack_one(struct rig *rig, uint64_t handle);
void rig_nack_one(struct rig *rig, uint64_t handle);
void rig_extend_one(struct rig *rig, uint64_t handle, int64_t lease_us);
struct broker_backlog rig_backlog(struct rig *rig);
struct broker_counters rig_counters(struct rig *rig);
void rig_expect(const struct rig *rig, size_t index, uint64_t sequence, const char *text,
                uint32_t attempt);
// One statement on the closed file with a connection of its own.
void rig_sql(const struct rig *rig, const char *sql);
int64_t rig_sql_number(const struct rig *rig, const char *sql);

#endif
