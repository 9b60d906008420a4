// The least that any client on gRPC core has to do: encoded requests go out, responses come in and are not
// looked at, but for ack ids, which have to be sent back. No batching, no leases, no retries; a failed call
// ends the program. One thread.
#ifndef TILL_PUBSUB_BARE_H
#define TILL_PUBSUB_BARE_H

#include "text.h"

#include <stdint.h>

struct bare;

struct bare *bare_open(const char *endpoint);
void bare_close(struct bare **bare);

// Sends the encoded PublishRequest so many times, with that many under way at once.
void bare_publish(struct bare *bare, struct text request, size_t requests, size_t in_flight);
// Pulls up to 1,000 at a time, one pull under way, acks beside it, until that many messages have come and
// all acks are answered. How many came. The next pull is sent after the acks of this one, or, ahead, before
// them, as whoever pulls while messages are being worked on has to.
size_t bare_pull(struct bare *bare, struct text subscription, size_t messages, bool ahead);
// The same from a stream.
size_t bare_stream(struct bare *bare, struct text subscription, size_t messages);
// Publishes, waits for the message on a stream, acks, and so on: the nanoseconds from the one to the other.
void bare_latency(struct bare *bare, struct text request, struct text subscription, int64_t *out_ns,
                  size_t count);

#endif
