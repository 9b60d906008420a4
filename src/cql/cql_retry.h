// What to do when a request was not answered as it should: the only place that decides whether, and where, it
// is sent again, and what is told to whoever waits. Pure: a function of what happened.
//
// The rules come from one question: was the write done? A statement that may be done twice (idempotent: a
// fixed timestamp, a read) is tried again when there is a chance; one that may not is tried again only when it
// certainly was not done, and else reported with CQL_UNKNOWN.
#ifndef TILL_CQL_RETRY_H
#define TILL_CQL_RETRY_H

#include "cql_response.h"
#include "errors.h"

#include <stdbool.h>

// Whether a write that failed was done.
enum cql_outcome {
    CQL_DONE,     // the error is ERR_OK, or a batch whose log will replay it
    CQL_NOT_DONE, // certainly not
    CQL_UNKNOWN,  // perhaps, now or later
};

enum cql_trouble {
    CQL_TROUBLE_NOT_SENT,        // no connection, queue full, no stream: nothing left this process
    CQL_TROUBLE_CONNECTION_LOST, // after it was written, or perhaps written; a dead heartbeat too
    CQL_TROUBLE_TIMEOUT,         // no answer within the client's patience
    CQL_TROUBLE_ERROR,           // the server answered with an ERROR
};

#define CQL_RETRIES_MAX    1u // by an ERROR that allows "once"
#define CQL_REPREPARES_MAX 2u // by UNPREPARED, not counted as retries

struct cql_situation {
    enum cql_trouble trouble;
    const struct cql_server_error *error; // of CQL_TROUBLE_ERROR
    bool idempotent;
    bool conditional; // IF ...: also known by a serial consistency in the error
    unsigned retries; // how often an ERROR has made it be sent again; reconnecting does not count
    unsigned reprepares; // how often it was prepared again
};

enum cql_action {
    CQL_ACTION_REPORT,        // it is over: complete with `err` and `outcome`
    CQL_ACTION_RETRY_SAME,    // send it to the same node
    CQL_ACTION_RETRY_NEXT,    // to the next node of its plan; report when there is none left
    CQL_ACTION_PREPARE_AGAIN, // PREPARE on the same connection, then send it there
};

struct cql_decision {
    enum cql_action action;
    enum err err;             // what to report, now or when no node is left
    enum cql_outcome outcome; // the same
    bool counts;              // add one to `retries`
    bool overloaded;          // wait a little before, and shrink the node's window
    bool close;               // the connection can't be used any more
};

struct cql_decision cql_retry_decide(const struct cql_situation *situation);

#endif
