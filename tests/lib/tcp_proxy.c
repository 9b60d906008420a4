// One thread owns everything and waits in ppoll. A command is handed to it and waited for, so nothing
// but the one pending command is shared.
#include "tcp_proxy.h"

#include "loopback_port.h"
#include "tcp_proxy_link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS 1000000u
#define NS_PER_S  1000000000u
#define TICK_MS   2

struct command {
    void (*apply)(struct tcp_proxy *proxy, const struct command *command);
    unsigned ways;
    uint64_t value;
    struct tcp_proxy_counts *out_counts;
    bool done;
};

struct tcp_proxy {
    // Set before the thread starts, then never again.
    struct loopback_port port;
    uint16_t server_port;
    char address[32];
    int wake_fd;
    pthread_t thread;
    bool has_thread;

    // The thread's own.
    int listen_fd; // -1: refusing
    bool stopping;
    uint64_t accepted;
    struct tcp_proxy_weather weather[WAY_COUNT];
    struct tcp_proxy_link *links[TCP_PROXY_CONNECTIONS_MAX];
    size_t link_count;

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct command *pending; // under the mutex
};

// What one round waits for: the links' sockets first.
struct round {
    struct pollfd polled[TCP_PROXY_CONNECTIONS_MAX * WAY_COUNT + 2];
    size_t link_count;
    struct pollfd *wake;
    struct pollfd *listener;
    uint64_t wake_ns;
};

static uint64_t now_ns(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

static _Noreturn void give_up(const char *what)
{
    perror(what);
    abort();
}

// --- the thread -----------------------------------------------------------------------------------

static void plan_round(const struct tcp_proxy *proxy, struct round *round)
{
    uint64_t now = now_ns();
    round->wake_ns = UINT64_MAX;
    round->link_count = proxy->link_count;
    for (size_t i = 0; i < proxy->link_count; i++) {
        link_plan(proxy->links[i], proxy->weather, now, &round->polled[i * WAY_COUNT],
                  &round->wake_ns);
    }
    round->wake = &round->polled[proxy->link_count * WAY_COUNT];
    round->listener = round->wake + 1;
    bool has_room = proxy->link_count < TCP_PROXY_CONNECTIONS_MAX;
    *round->wake = (struct pollfd){.fd = proxy->wake_fd, .events = POLLIN};
    *round->listener = (struct pollfd){.fd = has_room ? proxy->listen_fd : -1, .events = POLLIN};
}

static void wait_round(struct round *round)
{
    struct timespec timeout = {0};
    uint64_t now = now_ns();
    if (round->wake_ns > now && round->wake_ns != UINT64_MAX) {
        timeout.tv_sec = (time_t)((round->wake_ns - now) / NS_PER_S);
        timeout.tv_nsec = (long)((round->wake_ns - now) % NS_PER_S);
    }
    int count = ppoll(round->polled, round->link_count * WAY_COUNT + 2,
                      round->wake_ns == UINT64_MAX ? NULL : &timeout, NULL);
    if (count < 0 && errno != EINTR) {
        give_up("ppoll");
    }
}

static void run_command(struct tcp_proxy *proxy)
{
    uint64_t woken = 0;
    if (read(proxy->wake_fd, &woken, sizeof woken) < 0) {
        return; // EAGAIN: somebody's wake was seen with another's
    }
    (void)pthread_mutex_lock(&proxy->mutex);
    if (proxy->pending != NULL) {
        proxy->pending->apply(proxy, proxy->pending);
        proxy->pending->done = true;
        proxy->pending = NULL;
        (void)pthread_cond_broadcast(&proxy->changed);
    }
    (void)pthread_mutex_unlock(&proxy->mutex);
}

static void remove_link(struct tcp_proxy *proxy, size_t index)
{
    link_destroy(proxy->links[index]);
    proxy->links[index] = proxy->links[--proxy->link_count];
}

// Backwards, because a removed link's place is taken by the last one.
static void move_links(struct tcp_proxy *proxy, const struct round *round)
{
    uint64_t now = now_ns();
    for (size_t i = round->link_count; i-- > 0;) {
        if (!link_move(proxy->links[i], proxy->weather, now, &round->polled[i * WAY_COUNT])) {
            remove_link(proxy, i);
        }
    }
}

// A client whose server is not there is reset.
static void begin_link(struct tcp_proxy *proxy, int client_fd)
{
    int server_fd = loopback_port_connect(proxy->server_port);
    struct tcp_proxy_link *link = link_create(client_fd, server_fd);
    if (link == NULL) {
        give_up("memory of a connection");
    }
    if (server_fd < 0) {
        link_destroy(link);
        return;
    }
    proxy->links[proxy->link_count++] = link;
}

static void accept_one(struct tcp_proxy *proxy)
{
    int client_fd = accept4(proxy->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client_fd >= 0) {
        (void)setsockopt(client_fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        proxy->accepted++;
        begin_link(proxy, client_fd);
    } else if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
        give_up("accept4");
    }
}

static void *run(void *context)
{
    struct tcp_proxy *proxy = context;
    struct round round;
    while (!proxy->stopping) {
        plan_round(proxy, &round);
        wait_round(&round);
        if (round.wake->revents != 0) {
            run_command(proxy);
            continue; // the round's plan may be wrong now
        }
        move_links(proxy, &round);
        if (round.listener->revents != 0) {
            accept_one(proxy);
        }
    }
    return NULL;
}

// --- the life of a proxy --------------------------------------------------------------------------

static bool open_parts(struct tcp_proxy *proxy)
{
    if (!loopback_port_reserve(&proxy->port)) {
        return false;
    }
    (void)snprintf(proxy->address, sizeof proxy->address, "127.0.0.1:%u", proxy->port.number);
    proxy->listen_fd = loopback_port_listen(&proxy->port);
    proxy->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (proxy->listen_fd < 0 || proxy->wake_fd < 0) {
        return false;
    }
    errno = pthread_create(&proxy->thread, NULL, run, proxy);
    proxy->has_thread = errno == 0;
    return proxy->has_thread;
}

struct tcp_proxy *tcp_proxy_start(uint16_t server_port)
{
    struct tcp_proxy *proxy = calloc(1, sizeof *proxy);
    if (proxy == NULL) {
        return NULL;
    }
    proxy->server_port = server_port;
    proxy->port.fd = proxy->listen_fd = proxy->wake_fd = -1;
    (void)pthread_mutex_init(&proxy->mutex, NULL);
    (void)pthread_cond_init(&proxy->changed, NULL);
    if (!open_parts(proxy)) {
        int saved = errno;
        tcp_proxy_stop(&proxy);
        errno = saved;
    }
    return proxy;
}

// Hands the command to the thread and waits until it has been carried out.
static void carry_out(struct tcp_proxy *proxy, struct command *command)
{
    (void)pthread_mutex_lock(&proxy->mutex);
    while (proxy->pending != NULL) {
        (void)pthread_cond_wait(&proxy->changed, &proxy->mutex);
    }
    proxy->pending = command;
    if (eventfd_write(proxy->wake_fd, 1) != 0) {
        give_up("eventfd_write");
    }
    while (!command->done) {
        (void)pthread_cond_wait(&proxy->changed, &proxy->mutex);
    }
    (void)pthread_mutex_unlock(&proxy->mutex);
}

static void apply_stop(struct tcp_proxy *proxy, const struct command *command)
{
    (void)command;
    proxy->stopping = true;
}

static void close_fd(int fd)
{
    if (fd >= 0) {
        (void)close(fd);
    }
}

void tcp_proxy_stop(struct tcp_proxy **proxy_pointer)
{
    struct tcp_proxy *proxy = *proxy_pointer;
    *proxy_pointer = NULL;
    if (proxy == NULL) {
        return;
    }
    if (proxy->has_thread) {
        carry_out(proxy, &(struct command){.apply = apply_stop});
        (void)pthread_join(proxy->thread, NULL);
    }
    while (proxy->link_count > 0) {
        remove_link(proxy, proxy->link_count - 1);
    }
    close_fd(proxy->listen_fd);
    close_fd(proxy->wake_fd);
    loopback_port_release(&proxy->port);
    (void)pthread_cond_destroy(&proxy->changed);
    (void)pthread_mutex_destroy(&proxy->mutex);
    free(proxy);
}

uint16_t tcp_proxy_port(const struct tcp_proxy *proxy)
{
    return proxy->port.number;
}

const char *tcp_proxy_address(const struct tcp_proxy *proxy)
{
    return proxy->address;
}

// --- commands -------------------------------------------------------------------------------------

static bool has_way(unsigned ways, enum tcp_proxy_way way)
{
    return (ways & (way == WAY_TO_CLIENT ? TCP_PROXY_CLIENT : TCP_PROXY_SERVER)) != 0;
}

static void apply_delay(struct tcp_proxy *proxy, const struct command *command)
{
    for (enum tcp_proxy_way way = 0; way < WAY_COUNT; way++) {
        proxy->weather[way].delay_ns = command->value * NS_PER_MS;
    }
}

void tcp_proxy_delay(struct tcp_proxy *proxy, uint32_t delay_ms)
{
    carry_out(proxy, &(struct command){.apply = apply_delay, .value = delay_ms});
}

static void apply_stall(struct tcp_proxy *proxy, const struct command *command)
{
    for (enum tcp_proxy_way way = 0; way < WAY_COUNT; way++) {
        proxy->weather[way].stalled = has_way(command->ways, way);
    }
}

void tcp_proxy_stall(struct tcp_proxy *proxy, unsigned ways)
{
    carry_out(proxy, &(struct command){.apply = apply_stall, .ways = ways});
}

static void apply_cut(struct tcp_proxy *proxy, const struct command *command)
{
    for (size_t i = proxy->link_count; i-- > 0;) {
        if (!link_cut(proxy->links[i], has_way(command->ways, WAY_TO_CLIENT),
                      has_way(command->ways, WAY_TO_SERVER))) {
            remove_link(proxy, i);
        }
    }
}

void tcp_proxy_cut(struct tcp_proxy *proxy, unsigned sides)
{
    carry_out(proxy, &(struct command){.apply = apply_cut, .ways = sides});
}

static void apply_half_close(struct tcp_proxy *proxy, const struct command *command)
{
    for (size_t i = 0; i < proxy->link_count; i++) {
        for (enum tcp_proxy_way way = 0; way < WAY_COUNT; way++) {
            if (has_way(command->ways, way)) {
                link_end(proxy->links[i], way);
            }
        }
    }
}

void tcp_proxy_half_close(struct tcp_proxy *proxy, unsigned ways)
{
    carry_out(proxy, &(struct command){.apply = apply_half_close, .ways = ways});
}

static void apply_refuse(struct tcp_proxy *proxy, const struct command *command)
{
    bool refuses = proxy->listen_fd < 0;
    if (command->value != 0 && !refuses) {
        close_fd(proxy->listen_fd);
        proxy->listen_fd = -1;
    } else if (command->value == 0 && refuses) {
        proxy->listen_fd = loopback_port_listen(&proxy->port);
        if (proxy->listen_fd < 0) {
            give_up("listening again");
        }
    }
}

void tcp_proxy_refuse(struct tcp_proxy *proxy, bool on)
{
    carry_out(proxy, &(struct command){.apply = apply_refuse, .value = on});
}

static void apply_throttle(struct tcp_proxy *proxy, const struct command *command)
{
    for (enum tcp_proxy_way way = 0; way < WAY_COUNT; way++) {
        proxy->weather[way].bytes_per_second = command->value;
        proxy->weather[way].next_free_ns = 0;
    }
}

void tcp_proxy_throttle(struct tcp_proxy *proxy, uint64_t bytes_per_second)
{
    carry_out(proxy, &(struct command){.apply = apply_throttle, .value = bytes_per_second});
}

// --- counting -------------------------------------------------------------------------------------

static void apply_count(struct tcp_proxy *proxy, const struct command *command)
{
    *command->out_counts =
        (struct tcp_proxy_counts){.accepted = proxy->accepted,
                                  .open = proxy->link_count,
                                  .to_server = proxy->weather[WAY_TO_SERVER].given_size,
                                  .to_client = proxy->weather[WAY_TO_CLIENT].given_size};
}

void tcp_proxy_count(struct tcp_proxy *proxy, struct tcp_proxy_counts *out_counts)
{
    carry_out(proxy, &(struct command){.apply = apply_count, .out_counts = out_counts});
}

bool tcp_proxy_wait_until(struct tcp_proxy *proxy, tcp_proxy_condition *holds, void *context,
                          uint32_t timeout_ms)
{
    uint64_t deadline_ns = now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
    for (;;) {
        struct tcp_proxy_counts counts;
        tcp_proxy_count(proxy, &counts);
        if (holds(&counts, context)) {
            return true;
        }
        if (now_ns() >= deadline_ns) {
            return false;
        }
        (void)poll(NULL, 0, TICK_MS);
    }
}
