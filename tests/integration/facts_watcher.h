// Reads all facts of a keyspace again and again in a thread of its own, while processes and nodes come and
// go, and holds that what was shown once is always shown: a payment that was matched stays matched, and an
// order's events do not get fewer.
#ifndef TILL_TESTS_FACTS_WATCHER_H
#define TILL_TESTS_FACTS_WATCHER_H

#include <stddef.h>

struct facts_watcher;

// Both texts are copied. Ends the test when there is no memory or no thread.
struct facts_watcher *facts_watcher_start(const char *nodes, const char *keyspace);

// The latest whole reading: payments that are matched. 0 before the first one.
size_t facts_watcher_matched(struct facts_watcher *watcher);

// Ends it. `out_complaint` is what once was shown and then was not, or empty; `out_readings` how often
// everything was read. A reading that nodes which are down cut short does not count.
#define FACTS_COMPLAINT_SIZE 256
void facts_watcher_stop(struct facts_watcher **watcher, char out_complaint[FACTS_COMPLAINT_SIZE],
                        size_t *out_readings);

#endif
