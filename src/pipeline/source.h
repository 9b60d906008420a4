// A source of messages to publish: a generator, a file, standard input.
#ifndef TILL_SOURCE_H
#define TILL_SOURCE_H

#include "bus.h"
#include "errors.h"
#include "text.h"

enum source_status {
    SOURCE_READY, // *out_message is set
    SOURCE_WAIT,  // nothing now: poll poll_fd, or ask again later when it is -1
    SOURCE_END,
    SOURCE_FAILED, // `why` says what; the source gives nothing more
};

struct source_message {
    enum bus_topic topic;
    struct text body; // valid until the next call
};

// The first member of every source. One thread uses it.
struct source {
    enum source_status (*next)(struct source *source, struct source_message *out_message,
                               struct why *why);
    int (*poll_fd)(struct source *source); // -1: none
    void (*close)(struct source *source);
};

#endif
