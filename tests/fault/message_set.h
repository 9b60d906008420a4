// A fixed set of messages in memory: what the generator makes of a seed, with every anomaly it knows in
// large shares, and what should become of each. Failures end the test. Read by any number of threads.
#ifndef TILL_FAULT_MESSAGE_SET_H
#define TILL_FAULT_MESSAGE_SET_H

#include "generator.h"

struct kept_message {
    enum bus_topic topic;
    enum generated_fate fate;
    struct text body;
};

struct message_set {
    struct kept_message *items; // in the order in which they come
    size_t count;
    size_t cap;
};

void message_set_make(struct message_set *set, uint64_t seed, uint64_t pairs);
void message_set_free(struct message_set *set);

// Messages of that topic, or of that topic and fate.
size_t message_set_count(const struct message_set *set, enum bus_topic topic);
size_t message_set_count_fate(const struct message_set *set, enum bus_topic topic,
                              enum generated_fate fate);

// The messages of a topic, one a line, for `till produce`.
void message_set_write(const struct message_set *set, enum bus_topic topic, const char *path);

#endif
