#include "cql_window.h"

#include <assert.h>

void cql_window_init(struct cql_window *window, uint32_t max)
{
    assert(max >= 1);
    *window = (struct cql_window){.max = max, .now = max};
}

bool cql_window_has_room(const struct cql_window *window)
{
    return window->in_flight < window->now;
}

void cql_window_sent(struct cql_window *window)
{
    window->in_flight++;
}

static void shrink(struct cql_window *window)
{
    if (window->settling > 0) {
        return; // an answer to what was sent before the last halving says nothing new
    }
    window->now = window->now > 1 ? window->now / 2 : 1;
    window->settling = window->in_flight;
    window->answers = 0;
}

static void grow(struct cql_window *window)
{
    window->answers++;
    if (window->now < window->max && window->answers >= window->now) {
        window->now++;
        window->answers = 0;
    }
}

void cql_window_answered(struct cql_window *window, bool overloaded)
{
    assert(window->in_flight > 0);
    window->in_flight--;
    bool settles = window->settling > 0;
    if (overloaded) {
        shrink(window);
    } else {
        grow(window);
    }
    if (settles) {
        window->settling--;
    }
}

void cql_window_forget(struct cql_window *window, uint32_t count)
{
    assert(window->in_flight >= count);
    window->in_flight -= count;
    window->settling = window->settling > count ? window->settling - count : 0;
}
