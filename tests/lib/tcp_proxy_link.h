// One connection through the proxy: two sockets, and for each way a queue of bytes that are under way.
// Used by the proxy's thread alone.
#ifndef TILL_TCP_PROXY_LINK_H
#define TILL_TCP_PROXY_LINK_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The two ways, which are also the two sides they lead to: side[WAY] receives what flows that way.
enum tcp_proxy_way { WAY_TO_CLIENT, WAY_TO_SERVER, WAY_COUNT };

// The weather of one way, for all connections.
struct tcp_proxy_weather {
    bool stalled;
    uint64_t delay_ns;
    uint64_t bytes_per_second; // 0: no limit
    uint64_t next_free_ns;     // the limit lets nothing pass before
    uint64_t given_size;       // bytes
};

struct tcp_proxy_link;

// Takes over the descriptors in any case. NULL without memory, and then the client is reset.
struct tcp_proxy_link *link_create(int client_fd, int server_fd);
// Resets what is still open.
void link_destroy(struct tcp_proxy_link *link);

// Two entries: what to wait for, for the client's and the server's socket. Lowers *wake_ns to the
// moment when something is due that no socket will tell.
void link_plan(const struct tcp_proxy_link *link, const struct tcp_proxy_weather weather[WAY_COUNT],
               uint64_t now_ns, struct pollfd out_polled[WAY_COUNT], uint64_t *wake_ns);
// Takes and gives what can be. False when the connection is over and is to be destroyed.
bool link_move(struct tcp_proxy_link *link, struct tcp_proxy_weather weather[WAY_COUNT],
               uint64_t now_ns, const struct pollfd polled[WAY_COUNT]);

// False when no side is left.
bool link_cut(struct tcp_proxy_link *link, bool client, bool server);
void link_end(struct tcp_proxy_link *link, enum tcp_proxy_way way);

#endif
