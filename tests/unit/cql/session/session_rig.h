// A session against mocks (cql_mock.h), with a statement to write and one to read, and a record of how each
// request ended. Times are short: what a test waits for comes in milliseconds, and every wait has an end.
#ifndef TILL_CQL_SESSION_RIG_H
#define TILL_CQL_SESSION_RIG_H

#include "cql.h"
#include "cql_mock.h"

// cmocka wants these above it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define RIG_MOCKS_MAX    4u
#define RIG_REQUESTS_MAX 40000u
#define RIG_WAIT_MS      60000 // for what comes in milliseconds on a machine that is not busy

#define RIG_INSERT "INSERT INTO shop.orders (id, item) VALUES (?, ?)"
#define RIG_SELECT "SELECT id, item FROM shop.orders WHERE id = ?"

struct rig_end { // of a request
    unsigned times;
    enum err err;
    enum cql_outcome outcome;
    int32_t error_code;
};

struct rig {
    struct cql_mock *mocks[RIG_MOCKS_MAX];
    unsigned mock_count;
    struct cql *cql;
    struct cql_statement *insert;
    struct cql_statement *select;
    struct rig_end *ends; // by number of the request
    unsigned char (*memory)[64];
    size_t done; // of them
    char contact_points[128];
    char notices[8192];
    size_t notice_count;
};

// So many mocks that know each other; options may be NULL. Writes are taught to each.
void rig_start(struct rig *rig, unsigned mock_count, const struct cql_mock_options *options);
// Defaults for tests where the options say nothing; contact point is the first mock.
struct cql_options rig_options(struct rig *rig);
void rig_open(struct rig *rig,
              const struct cql_options *options); // NULL: rig_options; prepares too
// What opening gives when it must fail.
enum err rig_open_fails(struct rig *rig, const struct cql_options *options, struct why *why);
void rig_add_rule(struct rig *rig, const struct cql_mock_rule *rule); // to all mocks
void rig_introduce(struct rig *rig);                                  // the mocks to each other

// Submits writes `first` ... `first + count - 1`; all must be accepted.
void rig_write(struct rig *rig, unsigned first, unsigned count, bool idempotent);
// One write that may be changed before.
struct cql_request rig_request(struct rig *rig, unsigned number, bool idempotent);
void rig_submit(struct rig *rig, const struct cql_request *request);
void rig_poll(struct rig *rig, int64_t timeout_us); // once; records what is done
void rig_await(struct rig *rig, size_t done);       // until so many are done in all
// Polls until the condition holds.
typedef bool rig_condition(struct rig *rig, unsigned argument);
void rig_until(struct rig *rig, rig_condition *condition, unsigned argument);
void rig_pass(struct rig *rig, int64_t us); // polls for that long

// Every request in [first, first + count) ended once, like that.
void rig_expect(const struct rig *rig, unsigned first, unsigned count, enum err err,
                enum cql_outcome outcome);
struct cql_node_info rig_node(struct rig *rig,
                              unsigned index); // of the cluster's info, without texts
size_t rig_node_count(struct rig *rig);
bool rig_node_is_connected(struct rig *rig, unsigned mock); // for rig_until
unsigned rig_executes(struct rig *rig);                     // EXECUTEs that came to all mocks

void rig_close(struct rig *rig); // the session
// Closes all; a complaint of a mock fails the test.
void rig_stop(struct rig *rig);
// The same where the test made the client break a rule on purpose, or may have.
void rig_stop_without_complaints(struct rig *rig);

#endif
