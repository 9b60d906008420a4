// A transport that answers every call by itself, on the loop, for clients with a thread: publishing gives
// ids, a pull gives messages until there are no more, acks are counted. Streams there are none.
#ifndef TILL_ECHO_TRANSPORT_H
#define TILL_ECHO_TRANSPORT_H

#include "transport.h"

#include <pthread.h>

struct echo {
    struct transport transport; // first
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct echo_call *first;
    struct echo_call *last;
    bool woken;
    uint64_t to_give; // messages left for pulls
    // What has been asked for so far.
    uint64_t published;
    uint64_t given;
    uint64_t acked;
    uint64_t nacked;
};

void echo_init(struct echo *echo, uint64_t to_give);
void echo_deinit(struct echo *echo);
// Reads a counter of this struct.
uint64_t echo_get(struct echo *echo, const uint64_t *counter);

#endif
