// The proxy between a client and a server that are both sockets of the test, so that each test sees
// exactly what either side gets, and when.
#include "loopback_port.h"
#include "tcp_proxy.h"
#include "test_seed.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// cmocka wants these above it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define DEADLINE_MS 10000
#define SILENCE_MS  80 // so long nothing must come

struct rig {
    struct loopback_port port;
    int listener;
    struct tcp_proxy *proxy;
    int client;
    int server;
};

static uint64_t now_ms(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

// Whether the socket has bytes, an end or an error within the time.
static bool has_news(int fd, int ms)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    return poll(&polled, 1, ms) == 1;
}

static int accept_next(const struct rig *rig)
{
    assert_true(has_news(rig->listener, DEADLINE_MS));
    int fd = accept4(rig->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void rig_begin(struct rig *rig)
{
    *rig = (struct rig){.client = -1, .server = -1};
    assert_true(loopback_port_reserve(&rig->port));
    rig->listener = loopback_port_listen(&rig->port);
    assert_true(rig->listener >= 0);
    rig->proxy = tcp_proxy_start(rig->port.number);
    assert_non_null(rig->proxy);
}

static void rig_connect(struct rig *rig)
{
    rig->client = loopback_port_connect(tcp_proxy_port(rig->proxy));
    assert_true(rig->client >= 0);
    rig->server = accept_next(rig);
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

static void rig_end(struct rig *rig)
{
    tcp_proxy_stop(&rig->proxy);
    close_fd(&rig->client);
    close_fd(&rig->server);
    close_fd(&rig->listener);
    loopback_port_release(&rig->port);
}

static void say(int fd, const char *text)
{
    ssize_t size = (ssize_t)strlen(text);
    assert_int_equal(send(fd, text, (size_t)size, MSG_NOSIGNAL), size);
}

static void expect(int fd, const char *text)
{
    char got[64];
    size_t wanted = strlen(text);
    size_t size = 0;
    assert_in_range(wanted, 1, sizeof got);
    while (size < wanted) {
        assert_true(has_news(fd, DEADLINE_MS));
        ssize_t read_size = recv(fd, got + size, wanted - size, 0);
        assert_true(read_size > 0);
        size += (size_t)read_size;
    }
    assert_memory_equal(got, text, wanted);
}

static void expect_silence(int fd)
{
    assert_false(has_news(fd, SILENCE_MS));
}

static void expect_end(int fd)
{
    char byte;
    assert_true(has_news(fd, DEADLINE_MS));
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

static void expect_reset(int fd)
{
    char byte;
    assert_true(has_news(fd, DEADLINE_MS));
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
}

static void reset(int *fd)
{
    struct linger at_once = {.l_onoff = 1};
    assert_int_equal(setsockopt(*fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    close_fd(fd);
}

static struct tcp_proxy_counts counts_of(const struct rig *rig)
{
    struct tcp_proxy_counts counts;
    tcp_proxy_count(rig->proxy, &counts);
    return counts;
}

static bool has_none_open(const struct tcp_proxy_counts *counts, void *context)
{
    (void)context;
    return counts->open == 0;
}

// --- fair weather ---------------------------------------------------------------------------------

// Sends from a thread of its own, so that no buffer is large enough to hide a fault.
struct sender {
    int fd;
    uint64_t seed;
    size_t size;
    bool done;
    pthread_t thread;
};

static void *send_all(void *context)
{
    struct sender *sender = context;
    struct rand rand;
    rand_seed(&rand, sender->seed);
    unsigned char bytes[5000];
    for (size_t left = sender->size; left > 0;) {
        size_t size = left < sizeof bytes ? left : sizeof bytes;
        for (size_t i = 0; i < size; i++) {
            bytes[i] = (unsigned char)rand_u64(&rand);
        }
        for (size_t sent = 0; sent < size;) {
            struct pollfd polled = {.fd = sender->fd, .events = POLLOUT};
            ssize_t now = poll(&polled, 1, DEADLINE_MS) == 1
                              ? send(sender->fd, bytes + sent, size - sent, MSG_NOSIGNAL)
                              : -1;
            if (now < 0) {
                return NULL;
            }
            sent += (size_t)now;
        }
        left -= size;
    }
    sender->done = shutdown(sender->fd, SHUT_WR) == 0;
    return NULL;
}

static void expect_all(int fd, uint64_t seed, size_t wanted)
{
    struct rand rand;
    rand_seed(&rand, seed);
    unsigned char bytes[5000];
    size_t size = 0;
    for (;;) {
        assert_true(has_news(fd, DEADLINE_MS));
        ssize_t read_size = recv(fd, bytes, sizeof bytes, 0);
        assert_true(read_size >= 0);
        if (read_size == 0) {
            break;
        }
        for (ssize_t i = 0; i < read_size; i++) {
            assert_int_equal(bytes[i], (unsigned char)rand_u64(&rand));
        }
        size += (size_t)read_size;
    }
    assert_int_equal(size, wanted);
}

// More than the proxy holds.
static void all_bytes_pass_in_order_in_both_ways(void **state)
{
    (void)state;
    struct rig rig;
    uint64_t seed = test_seed();
    size_t size = TCP_PROXY_HELD_MAX * 2 + 1;
    rig_begin(&rig);
    rig_connect(&rig);
    struct sender senders[] = {{.fd = rig.client, .seed = seed, .size = size},
                               {.fd = rig.server, .seed = seed + 1, .size = size - 1}};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_all, &senders[i]), 0);
    }
    expect_all(rig.server, seed, size);
    expect_all(rig.client, seed + 1, size - 1);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(senders[i].thread, NULL), 0);
        assert_true(senders[i].done);
    }
    assert_true(tcp_proxy_wait_until(rig.proxy, has_none_open, NULL, DEADLINE_MS));
    assert_int_equal(counts_of(&rig).to_server, size);
    assert_int_equal(counts_of(&rig).to_client, size - 1);
    rig_end(&rig);
}

static void an_end_passes_and_the_other_way_goes_on(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    rig_connect(&rig);
    say(rig.client, "last words");
    assert_int_equal(shutdown(rig.client, SHUT_WR), 0);
    expect(rig.server, "last words");
    expect_end(rig.server);
    say(rig.server, "heard");
    expect(rig.client, "heard");
    expect_silence(rig.client);
    rig_end(&rig);
}

static void a_reset_of_the_client_resets_the_server(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    rig_connect(&rig);
    reset(&rig.client);
    expect_reset(rig.server);
    rig_end(&rig);
}

static void a_reset_of_the_server_resets_the_client(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    rig_connect(&rig);
    reset(&rig.server);
    expect_reset(rig.client);
    rig_end(&rig);
}

static void without_a_server_the_client_is_reset(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    close_fd(&rig.listener);
    rig.client = loopback_port_connect(tcp_proxy_port(rig.proxy));
    assert_true(rig.client >= 0);
    expect_reset(rig.client);
    assert_int_equal(counts_of(&rig).accepted, 1);
    assert_int_equal(counts_of(&rig).open, 0);
    rig_end(&rig);
}

static void connections_and_bytes_are_counted(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    assert_int_equal(counts_of(&rig).accepted, 0);
    rig_connect(&rig);
    say(rig.client, "12345");
    expect(rig.server, "12345");
    say(rig.server, "123");
    expect(rig.client, "123");
    struct tcp_proxy_counts counts = counts_of(&rig);
    assert_int_equal(counts.accepted, 1);
    assert_int_equal(counts.open, 1);
    assert_int_equal(counts.to_server, 5);
    assert_int_equal(counts.to_client, 3);
    close_fd(&rig.client);
    close_fd(&rig.server);
    assert_true(tcp_proxy_wait_until(rig.proxy, has_none_open, NULL, DEADLINE_MS));
    rig_connect(&rig);
    assert_int_equal(counts_of(&rig).accepted, 2);
    rig_end(&rig);
}

static void the_address_names_the_port(void **state)
{
    (void)state;
    struct rig rig;
    char address[32];
    rig_begin(&rig);
    (void)snprintf(address, sizeof address, "127.0.0.1:%d", tcp_proxy_port(rig.proxy));
    assert_string_equal(tcp_proxy_address(rig.proxy), address);
    rig_end(&rig);
}

static void waiting_for_what_does_not_come_ends(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    rig_connect(&rig);
    uint64_t begun_ms = now_ms();
    assert_false(tcp_proxy_wait_until(rig.proxy, has_none_open, NULL, SILENCE_MS));
    assert_true(now_ms() - begun_ms >= SILENCE_MS);
    rig_end(&rig);
}

// --- bad weather ----------------------------------------------------------------------------------

static void delayed_bytes_come_when_they_are_due(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    rig_connect(&rig);
    tcp_proxy_delay(rig.proxy, 200);
    uint64_t begun_ms = now_ms();
    say(rig.client, "there");
    expect(rig.server, "there");
    assert_in_range(now_ms() - begun_ms, 200, DEADLINE_MS);
    begun_ms = now_ms();
    say(rig.server, "and back");
    expect(rig.client, "and back");
    assert_in_range(now_ms() - begun_ms, 200, DEADLINE_MS);
    rig_end(&rig);
}

static void without_delay_later_bytes_wait_for_the_delayed_ones(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    rig_connect(&rig);
    tcp_proxy_delay(rig.proxy, 500);
    uint64_t begun_ms = now_ms();
    say(rig.client, "first ");
    expect_silence(rig.server); // so it has been taken
    tcp_proxy_delay(rig.proxy, 0);
    say(rig.client, "second");
    assert_int_equal(shutdown(rig.client, SHUT_WR), 0);
    expect(rig.server, "first second");
    expect_end(rig.server);
    assert_in_range(now_ms() - begun_ms, 500, DEADLINE_MS);
    rig_end(&rig);
}

static void stalled_bytes_and_ends_come_when_it_is_over(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    rig_connect(&rig);
    tcp_proxy_stall(rig.proxy, TCP_PROXY_BOTH);
    say(rig.client, "still");
    say(rig.server, "here");
    assert_int_equal(shutdown(rig.client, SHUT_WR), 0);
    expect_silence(rig.server);
    expect_silence(rig.client);
    assert_int_equal(counts_of(&rig).to_server + counts_of(&rig).to_client, 0);
    tcp_proxy_stall(rig.proxy, 0);
    expect(rig.server, "still");
    expect_end(rig.server);
    expect(rig.client, "here");
    rig_end(&rig);
}

static void one_way_can_be_stalled_alone(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    rig_connect(&rig);
    tcp_proxy_stall(rig.proxy, TCP_PROXY_CLIENT);
    say(rig.server, "lost?");
    say(rig.client, "passes");
    expect(rig.server, "passes");
    expect_silence(rig.client);
    tcp_proxy_stall(rig.proxy, TCP_PROXY_SERVER);
    expect(rig.client, "lost?");
    say(rig.client, "waits");
    expect_silence(rig.server);
    rig_end(&rig);
}

static void a_connection_made_while_stalled_is_accepted_and_stands_still(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    tcp_proxy_stall(rig.proxy, TCP_PROXY_BOTH);
    rig_connect(&rig);
    say(rig.client, "hello");
    expect_silence(rig.server);
    assert_int_equal(counts_of(&rig).accepted, 1);
    tcp_proxy_stall(rig.proxy, 0);
    expect(rig.server, "hello");
    rig_end(&rig);
}

static void a_reset_behind_a_stall_takes_no_processor(void **state)
{
    (void)state;
    struct rig rig;
    struct timespec before;
    struct timespec after;
    rig_begin(&rig);
    rig_connect(&rig);
    tcp_proxy_stall(rig.proxy, TCP_PROXY_BOTH);
    reset(&rig.client);
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before), 0);
    for (int i = 0; i < 5; i++) {
        expect_silence(rig.server);
    }
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after), 0);
    int64_t used_ns = (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec;
    assert_true(used_ns < SILENCE_MS * 1000000);
    tcp_proxy_stall(rig.proxy, 0);
    expect_reset(rig.server);
    rig_end(&rig);
}

static void a_cut_resets_both_sides_and_lets_new_ones_in(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    for (int i = 0; i < 3; i++) {
        rig_connect(&rig);
        say(rig.client, "before");
        expect(rig.server, "before");
        tcp_proxy_cut(rig.proxy, TCP_PROXY_BOTH);
        assert_int_equal(counts_of(&rig).open, 0);
        expect_reset(rig.client);
        expect_reset(rig.server);
        close_fd(&rig.client);
        close_fd(&rig.server);
    }
    rig_end(&rig);
}

static void a_cut_throws_away_what_is_under_way(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    rig_connect(&rig);
    tcp_proxy_delay(rig.proxy, 600000);
    say(rig.client, "gone");
    expect_silence(rig.server);
    tcp_proxy_cut(rig.proxy, TCP_PROXY_BOTH);
    expect_reset(rig.server);
    assert_int_equal(counts_of(&rig).to_server, 0);
    rig_end(&rig);
}

static void a_client_whose_server_is_cut_is_told_nothing(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    rig_connect(&rig);
    tcp_proxy_cut(rig.proxy, TCP_PROXY_SERVER);
    expect_reset(rig.server);
    say(rig.client, "anybody there?");
    expect_silence(rig.client);
    assert_int_equal(counts_of(&rig).open, 1);
    tcp_proxy_cut(rig.proxy, TCP_PROXY_CLIENT);
    expect_reset(rig.client);
    assert_int_equal(counts_of(&rig).open, 0);
    rig_end(&rig);
}

static void a_half_close_comes_after_the_bytes_and_leaves_the_other_way(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    rig_connect(&rig);
    tcp_proxy_delay(rig.proxy, 500);
    say(rig.server, "taken");
    expect_silence(rig.client);
    tcp_proxy_half_close(rig.proxy, TCP_PROXY_CLIENT);
    say(rig.server, "too late");
    expect(rig.client, "taken");
    expect_end(rig.client);
    say(rig.client, "goes on");
    expect(rig.server, "goes on");
    rig_end(&rig);
}

static void while_refusing_nobody_gets_in_and_the_present_ones_go_on(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    rig_connect(&rig);
    for (int i = 0; i < 2; i++) {
        tcp_proxy_refuse(rig.proxy, true);
        tcp_proxy_refuse(rig.proxy, true);
        assert_false(loopback_port_is_open(tcp_proxy_port(rig.proxy), DEADLINE_MS));
        assert_int_equal(errno, ECONNREFUSED);
        say(rig.client, "inside");
        expect(rig.server, "inside");
        tcp_proxy_refuse(rig.proxy, false);
        tcp_proxy_refuse(rig.proxy, false);
        assert_true(loopback_port_is_open(tcp_proxy_port(rig.proxy), DEADLINE_MS));
        int other = accept_next(&rig);
        close_fd(&other);
    }
    rig_end(&rig);
}

static void a_limit_sets_the_time_that_bytes_take(void **state)
{
    (void)state;
    struct rig rig;
    char bytes[20000];
    memset(bytes, 'x', sizeof bytes);
    rig_begin(&rig);
    rig_connect(&rig);
    tcp_proxy_throttle(rig.proxy, 50000);
    uint64_t begun_ms = now_ms();
    assert_int_equal(send(rig.client, bytes, sizeof bytes, MSG_NOSIGNAL), sizeof bytes);
    assert_int_equal(shutdown(rig.client, SHUT_WR), 0);
    for (ssize_t size = 1; size > 0;) {
        assert_true(has_news(rig.server, DEADLINE_MS));
        size = recv(rig.server, bytes, sizeof bytes, 0);
        assert_true(size >= 0);
    }
    // 400 ms less the share that comes at once.
    assert_in_range(now_ms() - begun_ms, 380, DEADLINE_MS);
    assert_int_equal(counts_of(&rig).to_server, sizeof bytes);
    rig_end(&rig);
}

static void without_the_limit_bytes_come_at_once(void **state)
{
    (void)state;
    struct rig rig;
    rig_begin(&rig);
    rig_connect(&rig);
    tcp_proxy_throttle(rig.proxy, 1);
    say(rig.client, "a long wait");
    expect(rig.server, "a");
    expect_silence(rig.server);
    tcp_proxy_throttle(rig.proxy, 0);
    uint64_t begun_ms = now_ms();
    expect(rig.server, " long wait");
    assert_true(now_ms() - begun_ms < 5000); // ten seconds by the limit
    rig_end(&rig);
}

// --- limits and threads ---------------------------------------------------------------------------

// The connections beyond the limit wait until another is over.
static void more_connections_than_the_limit_wait(void **state)
{
    (void)state;
    struct rig rig;
    static int clients[TCP_PROXY_CONNECTIONS_MAX + 1];
    static int servers[TCP_PROXY_CONNECTIONS_MAX + 1];
    rig_begin(&rig);
    for (size_t i = 0; i <= TCP_PROXY_CONNECTIONS_MAX; i++) {
        clients[i] = loopback_port_connect(tcp_proxy_port(rig.proxy));
        assert_true(clients[i] >= 0);
        servers[i] = i < TCP_PROXY_CONNECTIONS_MAX ? accept_next(&rig) : -1;
    }
    assert_false(has_news(rig.listener, SILENCE_MS));
    assert_int_equal(counts_of(&rig).open, TCP_PROXY_CONNECTIONS_MAX);
    reset(&clients[0]);
    servers[TCP_PROXY_CONNECTIONS_MAX] = accept_next(&rig);
    assert_int_equal(counts_of(&rig).accepted, TCP_PROXY_CONNECTIONS_MAX + 1);
    for (size_t i = 0; i <= TCP_PROXY_CONNECTIONS_MAX; i++) {
        close_fd(&clients[i]);
        close_fd(&servers[i]);
    }
    rig_end(&rig);
}

// What the system holds in its own buffers comes on top.
static void what_is_taken_and_not_given_is_bounded(void **state)
{
    (void)state;
    struct rig rig;
    static const char bytes[65536];
    size_t size = 0;
    rig_begin(&rig);
    rig_connect(&rig);
    tcp_proxy_delay(rig.proxy, 600000);
    struct pollfd polled = {.fd = rig.client, .events = POLLOUT};
    while (size < (size_t)TCP_PROXY_HELD_MAX * 16 && poll(&polled, 1, SILENCE_MS * 4) == 1) {
        ssize_t sent = send(rig.client, bytes, sizeof bytes, MSG_NOSIGNAL);
        assert_true(sent > 0);
        size += (size_t)sent;
    }
    assert_in_range(size, TCP_PROXY_HELD_MAX - sizeof bytes, TCP_PROXY_HELD_MAX * 8);
    rig_end(&rig);
}

static void *give_commands(void *context)
{
    struct tcp_proxy *proxy = context;
    for (uint32_t i = 0; i < 100; i++) {
        struct tcp_proxy_counts counts;
        tcp_proxy_delay(proxy, i % 3);
        tcp_proxy_stall(proxy, i % 4);
        tcp_proxy_throttle(proxy, (i % 2) * 1000000);
        tcp_proxy_refuse(proxy, i % 5 == 0);
        tcp_proxy_half_close(proxy, TCP_PROXY_SERVER);
        tcp_proxy_cut(proxy, i % 4);
        tcp_proxy_count(proxy, &counts);
    }
    return NULL;
}

static void commands_come_from_any_thread(void **state)
{
    (void)state;
    struct rig rig;
    pthread_t threads[4];
    rig_begin(&rig);
    rig_connect(&rig);
    say(rig.client, "in the storm");
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, give_commands, rig.proxy), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    tcp_proxy_cut(rig.proxy, TCP_PROXY_BOTH);
    tcp_proxy_delay(rig.proxy, 0);
    tcp_proxy_stall(rig.proxy, 0);
    tcp_proxy_throttle(rig.proxy, 0);
    tcp_proxy_refuse(rig.proxy, false);
    close_fd(&rig.client);
    close_fd(&rig.server);
    rig_connect(&rig);
    say(rig.client, "after it");
    expect(rig.server, "after it");
    rig_end(&rig);
}

static size_t count_open_files(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    return count;
}

static void a_stop_resets_all_and_leaves_nothing_open(void **state)
{
    (void)state;
    struct rig rig;
    size_t count = count_open_files();
    rig_begin(&rig);
    rig_connect(&rig);
    tcp_proxy_stall(rig.proxy, TCP_PROXY_BOTH);
    tcp_proxy_stop(&rig.proxy);
    assert_null(rig.proxy);
    expect_reset(rig.client);
    expect_reset(rig.server);
    rig_end(&rig); // stops nothing a second time
    assert_int_equal(count_open_files(), count);
}

// --- the port -------------------------------------------------------------------------------------

static void a_reserved_port_is_nobody_elses(void **state)
{
    (void)state;
    struct loopback_port port;
    assert_true(loopback_port_reserve(&port));
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port.number),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(other >= 0);
    assert_int_equal(bind(other, (const struct sockaddr *)&address, sizeof address), -1);
    assert_int_equal(errno, EADDRINUSE);
    close_fd(&other);
    loopback_port_release(&port);
    loopback_port_release(&port);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_bytes_pass_in_order_in_both_ways),
        cmocka_unit_test(an_end_passes_and_the_other_way_goes_on),
        cmocka_unit_test(a_reset_of_the_client_resets_the_server),
        cmocka_unit_test(a_reset_of_the_server_resets_the_client),
        cmocka_unit_test(without_a_server_the_client_is_reset),
        cmocka_unit_test(connections_and_bytes_are_counted),
        cmocka_unit_test(the_address_names_the_port),
        cmocka_unit_test(waiting_for_what_does_not_come_ends),
        cmocka_unit_test(delayed_bytes_come_when_they_are_due),
        cmocka_unit_test(without_delay_later_bytes_wait_for_the_delayed_ones),
        cmocka_unit_test(stalled_bytes_and_ends_come_when_it_is_over),
        cmocka_unit_test(one_way_can_be_stalled_alone),
        cmocka_unit_test(a_connection_made_while_stalled_is_accepted_and_stands_still),
        cmocka_unit_test(a_reset_behind_a_stall_takes_no_processor),
        cmocka_unit_test(a_cut_resets_both_sides_and_lets_new_ones_in),
        cmocka_unit_test(a_cut_throws_away_what_is_under_way),
        cmocka_unit_test(a_client_whose_server_is_cut_is_told_nothing),
        cmocka_unit_test(a_half_close_comes_after_the_bytes_and_leaves_the_other_way),
        cmocka_unit_test(while_refusing_nobody_gets_in_and_the_present_ones_go_on),
        cmocka_unit_test(a_limit_sets_the_time_that_bytes_take),
        cmocka_unit_test(without_the_limit_bytes_come_at_once),
        cmocka_unit_test(more_connections_than_the_limit_wait),
        cmocka_unit_test(what_is_taken_and_not_given_is_bounded),
        cmocka_unit_test(commands_come_from_any_thread),
        cmocka_unit_test(a_stop_resets_all_and_leaves_nothing_open),
        cmocka_unit_test(a_reserved_port_is_nobody_elses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
