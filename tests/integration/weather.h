// What the tests of the Pub/Sub client in bad weather share: a client that reaches Google's emulator
// through a proxy, another one beside it that goes there straight, and the account of what became of
// every message. Messages are numbered 0, 1, 2, ...; their number is their data.
//
// One thread uses a weather. Failures end the test.
#ifndef TILL_WEATHER_H
#define TILL_WEATHER_H

#include "pubsub.h"
#include "pubsub_emulator.h"
#include "tcp_proxy.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEATHER_MESSAGES_MAX 200000
#define WEATHER_HANDLES_MAX  1000 // of one take
#define WEATHER_PATIENCE_US  (60 * US_PER_SECOND)
#define WEATHER_LONG_US      (600 * US_PER_SECOND) // and for what the emulator swallows

struct weather_options {
    bool usual_silence;     // of 40 s until a connection is tested; else 2 s
    int64_t attempt_us;     // of the publisher, patience for a request; 0: 3 s
    size_t held_count_max;  // of the subscriber; 0: its default
    size_t batch_count_max; // of the publisher; 0: its default
    size_t message_size;    // bytes of data, zeros in front of the number; 0: as few as needed
};

// What became of one message.
struct fate {
    atomic_bool confirmed;
    atomic_bool failed;
    uint32_t received; // times
};

struct weather {
    struct pubsub_emulator *emulator; // borrowed
    struct weather_options options;
    struct tcp_proxy *proxy;
    struct pubsub *client;
    struct pubsub *beside;
    struct pubsub_publisher *publisher;
    struct pubsub_subscriber *subscriber;
    struct pubsub *receiving; // the client of the subscriber
    struct arena arena;
    struct why why;     // of the last call that failed
    enum err failed_as; // of the last message that could not be published
    struct why failure;
    uint64_t handles[WEATHER_HANDLES_MAX]; // of the last take
    uint64_t numbers[WEATHER_HANDLES_MAX];
    size_t handle_count;
    size_t published; // given to the publisher
    atomic_size_t confirmed;
    atomic_size_t failed;
    size_t taken;    // deliveries
    size_t distinct; // messages
    size_t drained;  // deliveries to subscribers that were drained
    struct fate *fates;
};

bool weather_is_full(void);                           // TILL_TEST_FULL=1
int64_t weather_now_us(void);                         // rises steadily
void weather_pass(struct pubsub *client, int64_t us); // takes nothing meanwhile
void weather_expect_ok(enum err err, const struct why *why);

// A client of a project. silence_us as in pubsub_options.
struct pubsub *weather_connect(const char *address, const char *project, int64_t silence_us);

// A project of its own with topic "topic" and subscription "topic-sub" of 10 s, and a publisher.
struct weather *weather_create(struct pubsub_emulator *emulator,
                               const struct weather_options *options);
// Prints the account.
void weather_destroy(struct weather *weather);
void weather_make_topic(struct weather *weather);
const char *weather_project(void); // of the latest weather

// --- publishing ---------------------------------------------------------------------------------

// Gives the next `count` messages to the publisher and sends them.
void weather_publish(struct weather *weather, size_t count);
// Until each has its result.
void weather_flush(struct weather *weather);

// --- receiving ----------------------------------------------------------------------------------

// Through the proxy, or straight.
void weather_subscribe(struct weather *weather, enum pubsub_way way);
void weather_subscribe_beside(struct weather *weather, enum pubsub_way way);
// Straight, on many streams. For the emulator goes on feeding streams that were cut, to the end of its
// life: what one of them swallows comes again after its deadline of 10 s, to any stream. One alive among
// twenty dead would wait for an hour.
void weather_subscribe_helpers(struct weather *weather, enum pubsub_way way);
// Takes and counts what has arrived, up to `most` (WEATHER_HANDLES_MAX); how many. A service that is away
// is no failure.
size_t weather_take(struct weather *weather, size_t most);
void weather_ack(struct weather *weather); // what was taken last
// Takes and acks until that many different messages have come; fails after `patience_us`.
void weather_receive(struct weather *weather, size_t distinct, int64_t patience_us);
// Takes and acks for that long.
void weather_receive_for(struct weather *weather, int64_t us);
// Publishes, 100 at a time, until one more message comes: the subscriber is served again.
void weather_receive_again(struct weather *weather);
// Drains the subscriber and closes it. Then: every delivery was acked, and each of its acks has arrived.
void weather_drain(struct weather *weather);
// Drains the subscriber, and receives what is missing with the helpers.
void weather_catch_up(struct weather *weather, enum pubsub_way way);

// --- the account --------------------------------------------------------------------------------

// Every message was confirmed, none failed, each was received: to be asked after the drain.
void weather_assert_whole(const struct weather *weather);

// --- the proxy ----------------------------------------------------------------------------------

uint64_t weather_connections(struct weather *weather); // accepted so far
// Until there are more than that.
void weather_wait_for_connection(struct weather *weather, uint64_t before, uint32_t timeout_ms);
// Until that many bytes more than `before` have been given to the server; false: not in time.
bool weather_wait_for_bytes(struct weather *weather, uint64_t before, uint64_t more,
                            uint32_t timeout_ms);

#endif
