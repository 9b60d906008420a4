// The other end of ingest.h: publishes through the owner of a data directory. A message is
// published when it is among ingest_client_durable; all others have to be counted as not published,
// and sending them again to the same or the next owner is harmless.
//
// One thread at a time uses a client. A client that failed stays failed: every later send gives the
// same error, and so does a flush unless everything was durable before. Close it, and connect anew.
#ifndef TILL_INGEST_CLIENT_H
#define TILL_INGEST_CLIENT_H

#include "bus.h"
#include "errors.h"
#include "text.h"

#include <stdint.h>

#define INGEST_CLIENT_WINDOW_COUNT 8192u                // messages that may be unacknowledged
#define INGEST_CLIENT_WINDOW_SIZE  (8u * 1024u * 1024u) // bytes of their bodies; one may be larger

struct ingest_client;

// Connects and waits, some 10 s at most, until the owner has taken the connection. ERR_UNAVAILABLE
// (nobody owns the directory, or the owner ends), ERR_BUSY (it serves as many as it may),
// ERR_TIMEOUT, ERR_PERMISSION, ERR_SCHEMA (another version), ERR_INVALID (something else listens
// there), ERR_IO, ERR_NO_MEMORY.
MUST_USE enum err ingest_client_connect(const char *directory, struct ingest_client **out_client,
                                        struct why *why);

// From now on a send that waits ends with ERR_BUSY when `fd` is readable (signals_drain_fd). -1:
// none.
void ingest_client_interrupt_on(struct ingest_client *client, int fd);

// Takes a message (a copy) for BUS_ORDERS or BUS_PAYMENTS. What was taken goes out in larger
// pieces: the last ones only with a flush. Waits while as many are unacknowledged as may be.
// ERR_TOO_LARGE, ERR_BUSY, ERR_NO_MEMORY: not taken, the client goes on. ERR_UNAVAILABLE or the
// reason of a refusal: the client failed; `why` says how many messages are durable.
MUST_USE enum err ingest_client_send(struct ingest_client *client, enum bus_topic topic,
                                     struct text body, struct why *why);

// Sends what was taken and waits until all of it is durable. ERR_TIMEOUT: not yet; the client goes
// on. With timeout_us 0 it sends and hears what it can without waiting. Otherwise errors as of
// send.
MUST_USE enum err ingest_client_flush(struct ingest_client *client, int64_t timeout_us,
                                      uint64_t *out_durable_count, struct why *why);

// The first so many of the messages taken are durable, as far as was heard; also after a failure.
uint64_t ingest_client_durable(const struct ingest_client *client);

// Without waiting: flush before. Accepts NULL and *client == NULL.
void ingest_client_close(struct ingest_client **client);

#endif
