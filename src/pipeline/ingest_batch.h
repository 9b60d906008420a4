// What one round of the ingest server publishes: whole frames of all connections, by topic, as
// views into the connections' buffers. Internal to ingest.
#ifndef TILL_INGEST_BATCH_H
#define TILL_INGEST_BATCH_H

#include "bus.h"
#include "ingest.h"
#include "ingest_connection.h"

#include <stdbool.h>

#define INGEST_BATCH_COUNT_MAX 4096u                // messages
#define INGEST_BATCH_SIZE_MAX  (4u * 1024u * 1024u) // bytes of bodies; the last one may go beyond

// Where a message came from.
struct ingest_origin {
    uint32_t connection;
    uint32_t number; // among the connection's frames of this batch, from 0
};

struct ingest_topic_batch {
    struct bus_outgoing messages[INGEST_BATCH_COUNT_MAX];
    struct ingest_origin origins[INGEST_BATCH_COUNT_MAX];
    size_t count;
    size_t done; // published, or refused by the bus
};

struct ingest_batch {
    struct ingest_topic_batch topics[WIRE_TOPIC_COUNT];
    size_t count;
    size_t size;
    bool one_by_one;                                 // the bus refused a message among several
    uint64_t settled_counts[INGEST_CONNECTIONS_MAX]; // frames to acknowledge of each connection
    size_t first_connection; // is gathered from first, and moves on, so that none is left behind
    uint64_t published;      // messages, ever
};

// Takes whole frames, of `connections[INGEST_CONNECTIONS_MAX]`, into an empty batch. false when
// there are none.
bool ingest_batch_gather(struct ingest_batch *batch, struct connection *connections);

// Publishes what is not published yet. ERR_OK: settled, acknowledgements are due, and the batch is
// empty again. After a RETRY error call again. After STOP the batch must not be used any more.
MUST_USE enum err ingest_batch_publish(struct ingest_batch *batch, struct bus *bus,
                                       struct connection *connections, struct why *why);

#endif
