// A TCP proxy between a test's client and its server on 127.0.0.1, which makes bad weather on command:
// it delays, stalls, cuts, half-closes, refuses and throttles, and counts what passes.
//
// A command holds for all connections, those that come later too unless it says otherwise. It may be
// given by any thread, and when it returns it is in force: after tcp_proxy_stall no byte passes, after
// tcp_proxy_cut the connections are gone. Without commands bytes, ends and resets pass as they come.
//
// What has been taken from one side and not yet been given to the other is at most TCP_PROXY_HELD_MAX
// bytes a connection and way; above that the proxy takes nothing, as a slow network would.
#ifndef TILL_TCP_PROXY_H
#define TILL_TCP_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#define TCP_PROXY_HELD_MAX        (4u << 20)
#define TCP_PROXY_CONNECTIONS_MAX 256u // open at once; more wait to be accepted

// Names both a side of the proxy and the way of the bytes that flow towards it. May be combined.
enum {
    TCP_PROXY_CLIENT = 1,
    TCP_PROXY_SERVER = 2,
    TCP_PROXY_BOTH = TCP_PROXY_CLIENT | TCP_PROXY_SERVER,
};

struct tcp_proxy;

// Listens on a free port and connects to the other for each client. NULL with errno set when the
// system has no port, thread or memory.
struct tcp_proxy *tcp_proxy_start(uint16_t server_port);
// Resets what is still open. No other thread may use the proxy any more.
void tcp_proxy_stop(struct tcp_proxy **proxy);

uint16_t tcp_proxy_port(const struct tcp_proxy *proxy);
const char *tcp_proxy_address(const struct tcp_proxy *proxy); // "127.0.0.1:40001"

// Bytes taken from now on are given this much later, in both ways and never out of order. 0 ends it.
void tcp_proxy_delay(struct tcp_proxy *proxy, uint32_t delay_ms);

// Towards these sides nothing is taken and nothing given, not even ends; connections are accepted and
// stand still. With 0 everything flows again.
void tcp_proxy_stall(struct tcp_proxy *proxy, unsigned ways);

// Resets the present connections on these sides; what was on its way is lost. When one side
// alone is cut, the other one stands open and silent until it is cut too: nothing tells it.
void tcp_proxy_cut(struct tcp_proxy *proxy, unsigned sides);

// Gives the present connections an end towards these sides, after what has been taken for them; what
// the other side sends later stays untaken. The opposite way goes on.
void tcp_proxy_half_close(struct tcp_proxy *proxy, unsigned ways);

// While on, nobody listens: who connects is refused at once. Present connections go on.
void tcp_proxy_refuse(struct tcp_proxy *proxy, bool on);

// Each way gives at most this many bytes in a second, all connections together. 0: no limit.
void tcp_proxy_throttle(struct tcp_proxy *proxy, uint64_t bytes_per_second);

struct tcp_proxy_counts {
    uint64_t accepted;  // connections, since the start
    uint64_t open;      // of these, the ones that are not over
    uint64_t to_server; // bytes given
    uint64_t to_client;
};

void tcp_proxy_count(struct tcp_proxy *proxy, struct tcp_proxy_counts *out_counts);

// Waits until the counts are as wanted; false when they were not within the time.
typedef bool tcp_proxy_condition(const struct tcp_proxy_counts *counts, void *context);
bool tcp_proxy_wait_until(struct tcp_proxy *proxy, tcp_proxy_condition *holds, void *context,
                          uint32_t timeout_ms);

#endif
