// What the parts of a client share: the transport, the lock, the timers and the loop.
//
// Everything about a client's publishers and subscribers lives under its one lock. The loop hands out
// events of the transport, which take the lock for themselves, then runs due timers under the lock, then
// hands results to callbacks without it.
#ifndef TILL_CLIENT_H
#define TILL_CLIENT_H

#include "pubsub.h"
#include "rand.h"
#include "timers.h"
#include "transport.h"

#include <pthread.h>

#define NAME_SIZE_MAX    512u  // bytes of "projects/P/topics/T"
#define ROUTING_SIZE_MAX 1600u // the same percent-encoded, with its key

// Something to hand out on the loop, without the lock. In the memory of what it belongs to.
struct delivery {
    struct delivery *next;
    void (*deliver)(struct delivery *delivery);
};

struct pubsub {
    struct transport *transport;
    struct clock clock;
    int64_t admin_us; // patience of administrative calls
    char project[PUBSUB_PROJECT_MAX];
    pthread_mutex_t lock;
    pthread_cond_t changed; // broadcast when somebody may be waiting for what has happened
    bool has_changed;       // to be broadcast when the lock is given away
    struct rand rand;
    struct timers timers;
    struct delivery *deliveries_first;
    struct delivery *deliveries_last;
    int64_t asleep_until_ns; // the loop's; INT64_MIN while it is awake
    uint64_t arrivals;       // pubsub_arrivals
    bool stopping;
    bool has_thread; // else whoever waits turns the loop
    pthread_t thread;
};

// Takes the transport, also when it fails. Without a thread (tests) nothing moves but in client_turn.
MUST_USE enum err client_create(struct transport *transport, const char *project,
                                struct clock clock, uint64_t seed, bool with_thread,
                                struct pubsub **out_client, struct why *why);

void client_lock(struct pubsub *client);
void client_unlock(struct pubsub *client);
int64_t client_now_ns(const struct pubsub *client);

// The next six with the lock held.
void client_timer_set(struct pubsub *client, struct timer *timer, int64_t due_ns);
void client_timer_clear(struct pubsub *client, struct timer *timer);
void client_deliver(struct pubsub *client, struct delivery *delivery);
void client_changed(struct pubsub *client); // ends waits
void client_arrived(struct pubsub *client); // ends those of pubsub_wait for good
// Waits for a change, for until_ns at most; gives the lock away meanwhile. May return early.
void client_wait(struct pubsub *client, int64_t until_ns);

// One turn of the loop: waits for an event up to timeout_ns, then timers and deliveries.
void client_turn(struct pubsub *client, int64_t timeout_ns);

// A resource's full name and the header that routes calls about it.
struct resource {
    char name[NAME_SIZE_MAX]; // projects/P/topics/T
    size_t name_size;
    char routing[ROUTING_SIZE_MAX]; // topic=projects%2FP%2Ftopics%2FT
    size_t routing_size;
};

// `kind` is "topics" or "subscriptions"; `id` may be a full name already. `key` is the routing's: it
// names the request's field. ERR_INVALID for what is no name.
MUST_USE enum err resource_init(struct resource *resource, const struct pubsub *client,
                                const char *kind, const char *key, struct text id, struct why *why);
struct text resource_name(const struct resource *resource);
struct text resource_routing(const struct resource *resource);

#endif
