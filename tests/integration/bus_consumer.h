// A consuming process without business: it appends the id of every message to a file, syncs, then acks.
#ifndef TILL_BUS_CONSUMER_H
#define TILL_BUS_CONSUMER_H

#include "bus_pubsub.h"

#include <sys/types.h>

struct bus_consumer_options {
    const char *address; // of the service
    const char *project;
    enum bus_topic topic;
    enum pubsub_way way;
    unsigned receivers;
    const char *path; // of the file; made when it is not there
};

// Starts this very program again, as bus_consumer_main. It ends by SIGTERM, or when the thread that started
// it ends.
pid_t bus_consumer_start(const struct bus_consumer_options *options);

// Whether the program was started so.
bool bus_consumer_is_meant(int argc, char **argv);
// Its exit code: 0 after SIGTERM.
int bus_consumer_main(char **argv);

#endif
