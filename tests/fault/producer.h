// A producer that goes on whatever becomes of the owner: a thread that sends a set of messages through
// DIR/till.sock and keeps a journal of what was acknowledged. When the connection breaks it connects
// again, as often as it takes, and goes on from the first message that was not acknowledged, so that
// what was durable without its acknowledgement comes twice.
#ifndef TILL_FAULT_PRODUCER_H
#define TILL_FAULT_PRODUCER_H

#include "message_set.h"

struct producer;

struct producer_figures {
    size_t acknowledged; // of the set, from its first message on
    size_t sent[2];      // orders and payments handed to a connection, each time counted
    size_t sent_again;   // of them, those that had been handed to an earlier connection
    size_t connections;
};

// `directory` and `set` are borrowed until producer_stop. How many messages are under way at a time is
// drawn anew for each connection. Nothing is sent yet.
struct producer *producer_start(const char *directory, const struct message_set *set,
                                uint64_t seed);
// From now on it may send the set's first `count` messages.
void producer_allow(struct producer *producer, size_t count);
// Fails the test when something happened that no death of an owner explains.
void producer_figures(struct producer *producer, struct producer_figures *out_figures);
void producer_stop(struct producer **producer); // accepts NULL and *producer == NULL

#endif
