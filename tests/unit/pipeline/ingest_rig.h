// An ingest server on the embedded bus in a fresh directory, with a bus in between that tests can
// make refuse, and a client of bare bytes.
#ifndef TILL_INGEST_RIG_H
#define TILL_INGEST_RIG_H

#include "bus.h"
#include "ingest.h"
#include "ingest_client.h"
#include "ingest_wire.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define INGEST_RIG_WAIT_S 60 // a condition that doesn't come true by then never will

// Asks before every publish. What it returns is what the caller gets; the messages go on when it is
// ERR_OK. Runs in the server's thread.
typedef enum err ingest_rig_judge(void *context, enum bus_topic topic,
                                  const struct bus_outgoing *messages, size_t count,
                                  struct why *why);

// The bus that the server sees.
struct judged_bus {
    struct bus bus;   // first
    struct bus *real; // NULL: messages are only counted
    pthread_mutex_t mutex;
    ingest_rig_judge *judge; // NULL: everything goes on
    void *context;
    uint64_t published; // messages
    uint64_t calls;
};

struct ingest_rig {
    char directory[256];
    struct judged_bus bus;
    struct clock clock;
    FILE *log_file;
    struct log log;
    struct ingest *ingest; // NULL: stopped
};

void ingest_rig_init(struct ingest_rig *rig); // started
// With this clock, and without an embedded bus when `with_bus` is false.
void ingest_rig_init_as(struct ingest_rig *rig, struct clock clock, bool with_bus);
void ingest_rig_deinit(struct ingest_rig *rig); // stopped, closed and removed
void ingest_rig_start(struct ingest_rig *rig);

void ingest_rig_judge_by(struct ingest_rig *rig, ingest_rig_judge *judge, void *context);
uint64_t ingest_rig_published(struct ingest_rig *rig);
uint64_t ingest_rig_calls(struct ingest_rig *rig); // of bus_publish
uint64_t ingest_rig_retries(struct ingest_rig *rig);
uint64_t ingest_rig_connections(struct ingest_rig *rig);
size_t ingest_rig_logged(struct ingest_rig *rig, const char *text); // lines that hold it

// Everything that the topic holds, in its order; each body as a string, which the test frees, and
// then the array.
char **ingest_rig_pull(struct ingest_rig *rig, enum bus_topic topic, size_t *out_count);
// Asserts that the topic holds exactly "PREFIX-0" ... "PREFIX-(count-1)" in that order.
void ingest_rig_expect(struct ingest_rig *rig, enum bus_topic topic, const char *prefix,
                       size_t count);

struct ingest_client *ingest_rig_connect(struct ingest_rig *rig);
void ingest_rig_send(struct ingest_client *client, enum bus_topic topic, const char *prefix,
                     size_t number); // "PREFIX-number"
void ingest_rig_flush(struct ingest_client *client, uint64_t expected_durable);

// Bare bytes. Reads wait INGEST_RIG_WAIT_S at most and fail the test then.
int raw_connect(struct ingest_rig *rig);
void raw_write(int fd, const void *bytes, size_t size);
void raw_hello(int fd, const char *magic, unsigned version);
void raw_frame(int fd, unsigned topic, const char *body);
void raw_expect_hello(int fd);
// Reads acknowledgements until one says `durable`; a larger one fails the test.
void raw_expect_durable(int fd, uint64_t durable);
// Reads acknowledgements until a refusal comes, which must say this; then the end of the
// connection.
void raw_expect_refusal(int fd, enum wire_refusal refusal, uint64_t durable, const char *text_part);
void raw_expect_end(int fd);
int raw_open(struct ingest_rig *rig); // connected, greeted and taken

struct timespec ingest_rig_deadline(void);
bool ingest_rig_is_past(const struct timespec *deadline);

#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        struct timespec deadline_ = ingest_rig_deadline();                                         \
        while (!(condition)) {                                                                     \
            if (ingest_rig_is_past(&deadline_)) {                                                  \
                fail_msg("never came true: %s", #condition);                                       \
            }                                                                                      \
            (void)sched_yield();                                                                   \
        }                                                                                          \
    } while (0)

#endif
