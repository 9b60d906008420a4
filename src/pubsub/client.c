// The loop of a client, and names of resources.
#include "client.h"

#include "buf.h"
#include "transport_grpc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS_DEFAULT  1u
#define KEEPALIVE_DEFAULT_US (300 * US_PER_SECOND)
#define SILENCE_DEFAULT_US   (40 * US_PER_SECOND)
#define ADMIN_DEFAULT_US     (60 * US_PER_SECOND)
#define ID_SIZE_MIN          3u
#define ID_SIZE_MAX          255u

// --- the lock and what happens under it ---------------------------------------------------------

void client_lock(struct pubsub *client)
{
    int result = pthread_mutex_lock(&client->lock);
    assert(result == 0);
}

// Waiters are told after the lock is free: woken before, they would only run into it.
void client_unlock(struct pubsub *client)
{
    bool changed = client->has_changed;
    client->has_changed = false;
    int result = pthread_mutex_unlock(&client->lock);
    assert(result == 0);
    if (changed) {
        pthread_cond_broadcast(&client->changed);
    }
}

int64_t client_now_ns(const struct pubsub *client)
{
    return clock_mono_ns(&client->clock);
}

// Ends the loop's sleep when it would last beyond `due_ns`.
static void wake_before(struct pubsub *client, int64_t due_ns)
{
    if (client->asleep_until_ns > due_ns) {
        client->asleep_until_ns = INT64_MIN;
        transport_wake(client->transport);
    }
}

void client_timer_set(struct pubsub *client, struct timer *timer, int64_t due_ns)
{
    timers_set(&client->timers, timer, due_ns);
    wake_before(client, due_ns);
}

void client_timer_clear(struct pubsub *client, struct timer *timer)
{
    timers_clear(&client->timers, timer);
}

void client_deliver(struct pubsub *client, struct delivery *delivery)
{
    delivery->next = NULL;
    if (client->deliveries_last != NULL) {
        client->deliveries_last->next = delivery;
    } else {
        client->deliveries_first = delivery;
    }
    client->deliveries_last = delivery;
    wake_before(client, INT64_MIN + 1);
}

void client_changed(struct pubsub *client)
{
    client->has_changed = true;
}

void client_arrived(struct pubsub *client)
{
    client->arrivals++;
    client_changed(client);
}

static struct timespec monotonic_after(int64_t ns)
{
    struct timespec time = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    int64_t sum_ns = time.tv_nsec + ns % NS_PER_SECOND;
    time.tv_sec += ns / NS_PER_SECOND + sum_ns / NS_PER_SECOND;
    time.tv_nsec = sum_ns % NS_PER_SECOND;
    return time;
}

void client_wait(struct pubsub *client, int64_t until_ns)
{
    int64_t left_ns = until_ns - client_now_ns(client);
    if (left_ns <= 0) {
        return;
    }
    if (!client->has_thread) {
        client_unlock(client);
        client_turn(client, left_ns);
        client_lock(client);
        return;
    }
    if (client->has_changed) { // others may wait for what the caller has done
        client->has_changed = false;
        pthread_cond_broadcast(&client->changed);
    }
    struct timespec until = monotonic_after(left_ns);
    (void)pthread_cond_timedwait(&client->changed, &client->lock, &until);
}

uint64_t pubsub_arrivals(struct pubsub *client)
{
    client_lock(client);
    uint64_t arrivals = client->arrivals;
    client_unlock(client);
    return arrivals;
}

void pubsub_wait(struct pubsub *client, uint64_t seen, int64_t timeout_us)
{
    client_lock(client);
    int64_t now_ns = client_now_ns(client);
    int64_t most_us = (TIMER_NEVER - now_ns) / 1000;
    int64_t until_ns = timeout_us < most_us ? now_ns + timeout_us * 1000 : TIMER_NEVER;
    while (client->arrivals == seen && client_now_ns(client) < until_ns) {
        client_wait(client, until_ns);
    }
    client_unlock(client);
}

void pubsub_wake(struct pubsub *client)
{
    client_lock(client);
    client_arrived(client);
    wake_before(client, INT64_MIN + 1);
    client_unlock(client);
}

// --- the loop -----------------------------------------------------------------------------------

static void hand_out(struct pubsub *client)
{
    client_lock(client);
    struct delivery *delivery = client->deliveries_first;
    client->deliveries_first = client->deliveries_last = NULL;
    client_unlock(client);
    while (delivery != NULL) {
        struct delivery *next = delivery->next; // deliver may free it
        delivery->deliver(delivery);
        delivery = next;
    }
}

static int64_t sleep_until(struct pubsub *client, int64_t latest_ns)
{
    client_lock(client);
    int64_t next_ns = timers_next_ns(&client->timers);
    int64_t until_ns = next_ns < latest_ns ? next_ns : latest_ns;
    bool busy = client->deliveries_first != NULL || client->stopping;
    client->asleep_until_ns = busy ? INT64_MIN : until_ns;
    client_unlock(client);
    return busy ? INT64_MIN : until_ns;
}

void client_turn(struct pubsub *client, int64_t timeout_ns)
{
    int64_t now_ns = client_now_ns(client);
    int64_t latest_ns = timeout_ns < TIMER_NEVER - now_ns ? now_ns + timeout_ns : TIMER_NEVER;
    int64_t until_ns = sleep_until(client, latest_ns);
    int64_t left_ns = until_ns <= now_ns ? 0 : until_ns - now_ns;
    transport_wait(client->transport, until_ns == TIMER_NEVER ? TIMER_NEVER : left_ns);
    client_lock(client);
    client->asleep_until_ns = INT64_MIN;
    timers_run(&client->timers, client_now_ns(client));
    bool anything = client->deliveries_first != NULL;
    client_unlock(client);
    if (anything) {
        hand_out(client);
    }
}

static bool is_stopping(struct pubsub *client)
{
    client_lock(client);
    bool stopping = client->stopping;
    client_unlock(client);
    return stopping;
}

static void *run_loop(void *context)
{
    struct pubsub *client = context;
    while (!is_stopping(client)) {
        client_turn(client, TIMER_NEVER);
    }
    return NULL;
}

// --- opening and closing ------------------------------------------------------------------------

static void init_changed(struct pubsub *client)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&client->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

enum err client_create(struct transport *transport, const char *project, struct clock clock,
                       uint64_t seed, bool with_thread, struct pubsub **out_client, struct why *why)
{
    struct pubsub *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        transport_close(&transport);
        return why_set(why, ERR_NO_MEMORY, "no memory for a Pub/Sub client");
    }
    client->transport = transport;
    client->clock = clock;
    client->admin_us = ADMIN_DEFAULT_US;
    (void)strncat(client->project, project, sizeof(client->project) - 1);
    client->asleep_until_ns = INT64_MIN;
    pthread_mutex_init(&client->lock, NULL);
    init_changed(client);
    rand_seed(&client->rand, seed);
    if (with_thread && pthread_create(&client->thread, NULL, run_loop, client) != 0) {
        pubsub_close(&client);
        return why_set(why, ERR_NO_MEMORY, "no thread for a Pub/Sub client");
    }
    client->has_thread = with_thread;
    *out_client = client;
    return ERR_OK;
}

enum err pubsub_open(const struct pubsub_options *options, struct pubsub **out_client,
                     struct why *why)
{
    const struct pubsub_target *target = &options->target;
    const struct transport_grpc_options transport_options = {
        .endpoint = target->endpoint,
        .project = target->project,
        .security = target->plaintext   ? TRANSPORT_PLAINTEXT
                    : target->anonymous ? TRANSPORT_TLS
                                        : TRANSPORT_GOOGLE,
        .ca_file = options->ca_file,
        .quota_project = options->quota_project,
        .connections = options->connections > 0 ? options->connections : CONNECTIONS_DEFAULT,
        .keepalive_us = options->keepalive_us > 0 ? options->keepalive_us : KEEPALIVE_DEFAULT_US,
        .silence_us = options->silence_us > 0 ? options->silence_us : SILENCE_DEFAULT_US,
    };
    struct clock clock = options->clock.mono_ns != NULL ? options->clock : clock_real();
    struct transport *transport = NULL;
    enum err err = transport_grpc_open(&transport_options, &transport, why);
    if (err == ERR_OK) {
        err = client_create(transport, target->project, clock, rand_seed_from_system(), true,
                            out_client, why);
    }
    if (err == ERR_OK && options->admin_us > 0) {
        (*out_client)->admin_us = options->admin_us;
    }
    return err;
}

void pubsub_close(struct pubsub **client)
{
    if (client == NULL || *client == NULL) {
        return;
    }
    struct pubsub *closing = *client;
    *client = NULL;
    client_lock(closing);
    closing->stopping = true;
    wake_before(closing, INT64_MIN + 1);
    client_unlock(closing);
    if (closing->has_thread) {
        pthread_join(closing->thread, NULL);
    }
    hand_out(closing);
    assert(closing->timers.first == NULL);
    transport_close(&closing->transport);
    pthread_cond_destroy(&closing->changed);
    pthread_mutex_destroy(&closing->lock);
    free(closing);
}

// --- names --------------------------------------------------------------------------------------

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

static bool is_id(struct text id)
{
    bool good = id.size >= ID_SIZE_MIN && id.size <= ID_SIZE_MAX &&
                !text_starts_with(id, TEXT("goog")) &&
                ((id.data[0] | 0x20) >= 'a' && (id.data[0] | 0x20) <= 'z');
    for (size_t i = 0; i < id.size && good; i++) {
        good = is_unreserved(id.data[i]) || id.data[i] == '+' || id.data[i] == '%';
    }
    return good;
}

static void add_encoded(struct buf *out, struct text text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (is_unreserved((char)c)) {
            buf_add_char(out, (char)c);
        } else {
            buf_add(out, (char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
        }
    }
}

enum err resource_init(struct resource *resource, const struct pubsub *client, const char *kind,
                       const char *key, struct text id, struct why *why)
{
    struct buf name;
    struct buf routing;
    buf_init_fixed(&name, resource->name, sizeof(resource->name));
    buf_init_fixed(&routing, resource->routing, sizeof(resource->routing));
    if (text_starts_with(id, TEXT("projects/"))) {
        buf_add_text(&name, id);
    } else if (is_id(id)) {
        buf_add_fmt(&name, "projects/%s/%s/%.*s", client->project, kind, TEXT_PRINT(id));
    } else {
        return why_set(
            why, ERR_INVALID,
            "%.*s is no name for %s: 3-255 letters, digits and -_.~+%%, a letter first, not "
            "\"goog\"",
            TEXT_PRINT(id), kind);
    }
    buf_add_fmt(&routing, "%s=", key);
    add_encoded(&routing, buf_view(&name));
    if (buf_overflowed(&name) || buf_overflowed(&routing)) {
        return why_set(why, ERR_INVALID, "the name of %s is too long", kind);
    }
    resource->name_size = name.size;
    resource->routing_size = routing.size;
    return ERR_OK;
}

struct text resource_name(const struct resource *resource)
{
    return (struct text){resource->name, resource->name_size};
}

struct text resource_routing(const struct resource *resource)
{
    return (struct text){resource->routing, resource->routing_size};
}
