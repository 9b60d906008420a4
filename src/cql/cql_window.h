// How many requests a node may have at once: halved when it says that it is overloaded, and grown by
// one for each window of answers after that (additive increase, multiplicative decrease), so that a
// burst of refusals counts once. Pure; not thread-safe.
#ifndef TILL_CQL_WINDOW_H
#define TILL_CQL_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct cql_window {
    uint32_t max;
    uint32_t now; // 1 ... max
    uint32_t
        in_flight;    // sent and not answered, overdue ones too; may be above `now` after a halving
    uint32_t answers; // good ones since the window last grew
    uint32_t settling; // answers to requests that were sent before the last halving
};

void cql_window_init(struct cql_window *window, uint32_t max); // max >= 1
bool cql_window_has_room(const struct cql_window *window);
void cql_window_sent(struct cql_window *window);
void cql_window_answered(struct cql_window *window, bool overloaded);
// Requests that will never be answered: their connection is gone.
void cql_window_forget(struct cql_window *window, uint32_t count);

#endif
