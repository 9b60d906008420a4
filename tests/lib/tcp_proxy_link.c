// Bytes are taken in pieces; each piece knows when it may be given. A way is a queue of pieces, so a
// delay that gets shorter never lets a later piece overtake an earlier one.
#include "tcp_proxy_link.h"

#include "tcp_proxy.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TAKEN_SIZE_MAX ((size_t)64 << 10)
#define NS_PER_S       1000000000u
#define SHARES_PER_S   100u // a limited way gives so many times a second

struct piece {
    struct piece *next;
    uint64_t due_ns;
    size_t size;
    size_t given_size;
    unsigned char bytes[];
};

struct flow {
    struct piece *first;
    struct piece *last;
    size_t held_size; // bytes and what their pieces cost
    bool ended;       // nothing more is taken
    bool shut;        // the end has been passed on
};

struct tcp_proxy_link {
    int side[WAY_COUNT]; // sockets; -1: cut
    struct flow flow[WAY_COUNT];
};

static enum tcp_proxy_way opposite(enum tcp_proxy_way way)
{
    return way == WAY_TO_CLIENT ? WAY_TO_SERVER : WAY_TO_CLIENT;
}

// --- beginning and end ----------------------------------------------------------------------------

static void reset_socket(int *fd)
{
    if (*fd >= 0) {
        struct linger at_once = {.l_onoff = 1};
        (void)setsockopt(*fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        (void)close(*fd);
    }
    *fd = -1;
}

// Lets the system send what it still holds.
static void close_socket(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

static void flow_clear(struct flow *flow)
{
    while (flow->first != NULL) {
        struct piece *piece = flow->first;
        flow->first = piece->next;
        free(piece);
    }
    flow->last = NULL;
    flow->held_size = 0;
}

struct tcp_proxy_link *link_create(int client_fd, int server_fd)
{
    struct tcp_proxy_link *link = calloc(1, sizeof *link);
    if (link == NULL) {
        reset_socket(&client_fd);
        reset_socket(&server_fd);
        return NULL;
    }
    link->side[WAY_TO_CLIENT] = client_fd;
    link->side[WAY_TO_SERVER] = server_fd;
    return link;
}

static bool is_over(const struct tcp_proxy_link *link)
{
    return link->flow[WAY_TO_CLIENT].shut && link->flow[WAY_TO_SERVER].shut;
}

void link_destroy(struct tcp_proxy_link *link)
{
    if (link == NULL) {
        return;
    }
    for (enum tcp_proxy_way way = 0; way < WAY_COUNT; way++) {
        if (is_over(link)) {
            close_socket(&link->side[way]);
        } else {
            reset_socket(&link->side[way]);
        }
        flow_clear(&link->flow[way]);
    }
    free(link);
}

// --- planning -------------------------------------------------------------------------------------

static bool may_move(const struct tcp_proxy_link *link, const struct tcp_proxy_weather *weather)
{
    return !weather->stalled && link->side[WAY_TO_CLIENT] >= 0 && link->side[WAY_TO_SERVER] >= 0;
}

static uint64_t due_ns(const struct flow *flow, const struct tcp_proxy_weather *weather)
{
    return flow->first->due_ns > weather->next_free_ns ? flow->first->due_ns
                                                       : weather->next_free_ns;
}

static void plan_way(const struct flow *flow, const struct tcp_proxy_weather *weather,
                     uint64_t now_ns, struct pollfd *source, struct pollfd *target,
                     uint64_t *wake_ns)
{
    if (!flow->ended && flow->held_size < TCP_PROXY_HELD_MAX) {
        source->events |= POLLIN;
    }
    if (flow->first == NULL) {
        return;
    }
    uint64_t due = due_ns(flow, weather);
    if (due <= now_ns) {
        target->events |= POLLOUT;
    } else if (due < *wake_ns) {
        *wake_ns = due;
    }
}

void link_plan(const struct tcp_proxy_link *link, const struct tcp_proxy_weather weather[WAY_COUNT],
               uint64_t now_ns, struct pollfd out_polled[WAY_COUNT], uint64_t *wake_ns)
{
    memset(out_polled, 0, WAY_COUNT * sizeof *out_polled);
    for (enum tcp_proxy_way way = 0; way < WAY_COUNT; way++) {
        if (may_move(link, &weather[way])) {
            plan_way(&link->flow[way], &weather[way], now_ns, &out_polled[opposite(way)],
                     &out_polled[way], wake_ns);
        }
    }
    // A socket of which nothing is wanted must not wake us by its errors.
    for (enum tcp_proxy_way side = 0; side < WAY_COUNT; side++) {
        out_polled[side].fd = out_polled[side].events != 0 ? link->side[side] : -1;
    }
}

// --- moving ---------------------------------------------------------------------------------------

static bool add_piece(struct flow *flow, const unsigned char *bytes, size_t size, uint64_t due_ns)
{
    struct piece *piece = malloc(sizeof *piece + size);
    if (piece == NULL) {
        return false;
    }
    *piece = (struct piece){.due_ns = due_ns, .size = size};
    memcpy(piece->bytes, bytes, size);
    if (flow->last != NULL) {
        flow->last->next = piece;
    } else {
        flow->first = piece;
    }
    flow->last = piece;
    flow->held_size += sizeof *piece + size;
    return true;
}

static void remove_first(struct flow *flow)
{
    struct piece *piece = flow->first;
    flow->first = piece->next;
    if (flow->first == NULL) {
        flow->last = NULL;
    }
    assert(flow->held_size >= sizeof *piece + piece->size);
    flow->held_size -= sizeof *piece + piece->size;
    free(piece);
}

static bool is_passing(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

// False when the connection is broken on the side it comes from.
static bool take(struct flow *flow, int source_fd, uint64_t due_ns)
{
    unsigned char bytes[TAKEN_SIZE_MAX];
    ssize_t size = recv(source_fd, bytes, sizeof bytes, 0);
    if (size < 0) {
        return is_passing(errno);
    }
    if (size == 0) {
        flow->ended = true;
        return true;
    }
    return add_piece(flow, bytes, (size_t)size, due_ns);
}

static size_t share_size(const struct tcp_proxy_weather *weather, size_t size)
{
    uint64_t share = weather->bytes_per_second / SHARES_PER_S;
    if (weather->bytes_per_second == 0 || share >= size) {
        return size;
    }
    return share > 0 ? (size_t)share : 1;
}

static void note_given(struct tcp_proxy_weather *weather, size_t size, uint64_t now_ns)
{
    weather->given_size += size;
    if (weather->bytes_per_second > 0) {
        uint64_t from_ns = weather->next_free_ns > now_ns ? weather->next_free_ns : now_ns;
        weather->next_free_ns = from_ns + size * NS_PER_S / weather->bytes_per_second;
    }
}

// False when the connection is broken on the side it goes to.
static bool give(struct flow *flow, struct tcp_proxy_weather *weather, int target_fd,
                 uint64_t now_ns)
{
    while (flow->first != NULL && due_ns(flow, weather) <= now_ns) {
        struct piece *piece = flow->first;
        size_t wanted = share_size(weather, piece->size - piece->given_size);
        ssize_t size = send(target_fd, piece->bytes + piece->given_size, wanted, MSG_NOSIGNAL);
        if (size < 0) {
            return is_passing(errno);
        }
        note_given(weather, (size_t)size, now_ns);
        piece->given_size += (size_t)size;
        if (piece->given_size == piece->size) {
            remove_first(flow);
        }
    }
    return true;
}

static bool move_way(struct tcp_proxy_link *link, enum tcp_proxy_way way,
                     struct tcp_proxy_weather *weather, uint64_t now_ns,
                     const struct pollfd *source)
{
    struct flow *flow = &link->flow[way];
    bool has_news = (source->events & POLLIN) != 0 && source->revents != 0;
    if (has_news && !flow->ended && flow->held_size < TCP_PROXY_HELD_MAX &&
        !take(flow, link->side[opposite(way)], now_ns + weather->delay_ns)) {
        return false;
    }
    if (!give(flow, weather, link->side[way], now_ns)) {
        return false;
    }
    if (flow->ended && flow->first == NULL && !flow->shut) {
        (void)shutdown(link->side[way], SHUT_WR);
        flow->shut = true;
    }
    return true;
}

bool link_move(struct tcp_proxy_link *link, struct tcp_proxy_weather weather[WAY_COUNT],
               uint64_t now_ns, const struct pollfd polled[WAY_COUNT])
{
    for (enum tcp_proxy_way way = 0; way < WAY_COUNT; way++) {
        if (may_move(link, &weather[way]) &&
            !move_way(link, way, &weather[way], now_ns, &polled[opposite(way)])) {
            return false;
        }
    }
    return !is_over(link);
}

// --- commands -------------------------------------------------------------------------------------

bool link_cut(struct tcp_proxy_link *link, bool client, bool server)
{
    if (client) {
        reset_socket(&link->side[WAY_TO_CLIENT]);
    }
    if (server) {
        reset_socket(&link->side[WAY_TO_SERVER]);
    }
    return link->side[WAY_TO_CLIENT] >= 0 || link->side[WAY_TO_SERVER] >= 0;
}

void link_end(struct tcp_proxy_link *link, enum tcp_proxy_way way)
{
    link->flow[way].ended = true;
}
