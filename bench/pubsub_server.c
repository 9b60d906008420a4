// Usage: pubsub_server null | echo | emulator
// A Pub/Sub service to measure clients against, in a process of its own, so that its CPU time is not the
// client's. Prints its address and the id of its process, and ends when its standard input does.
//   null      answers at once: a publish with ids, a pull or a stream with 1,000 messages that are always
//             the same; there are no topics to make
//   echo      delivers what is published at once (tests/lib/pubsub_scripted.h)
//   emulator  Google's emulator, where it is installed
#include "pubsub_emulator.h"
#include "pubsub_scripted.h"
#include "rpc_server.h"
#include "wire.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT         1000u
#define DATA_SIZE     250u
#define ACK_ID_SIZE   200u // as long as the cloud's
#define UNIMPLEMENTED 12   // of gRPC

enum { RECEIVED = 1, ACK_ID = 1, MESSAGE = 2, DATA = 1, ID = 3, TIME = 4, SECONDS = 1, IDS = 1 };
enum { PUBLISHED = 2 };

struct canned {
    struct text publish; // a PublishResponse
    struct text pull;    // a PullResponse, and a StreamingPullResponse
};

static struct text take(char *bytes, const char *end)
{
    return (struct text){bytes, (size_t)(end - bytes)};
}

static struct text make_publish_response(void)
{
    char *bytes = malloc((size_t)COUNT * 32);
    char *at = bytes;
    assert(bytes != NULL);
    for (unsigned i = 0; i < COUNT; i++) {
        char id[24];
        int size = snprintf(id, sizeof(id), "%u", 1000000000u + i);
        at = wire_put_bytes(at, IDS, (struct text){id, (size_t)size});
    }
    return take(bytes, at);
}

static char *put_message(char *at, unsigned number)
{
    char data[DATA_SIZE];
    char id[24];
    int id_size = snprintf(id, sizeof(id), "%u", 1000000000u + number);
    memset(data, 'x', sizeof(data));
    at = wire_put_bytes(at, DATA, (struct text){data, sizeof(data)});
    at = wire_put_bytes(at, ID, (struct text){id, (size_t)id_size});
    at = wire_put_head(at, TIME, wire_number_size(1700000000));
    return wire_put_number(at, SECONDS, 1700000000);
}

static struct text make_pull_response(void)
{
    char *bytes = malloc((size_t)COUNT * (DATA_SIZE + ACK_ID_SIZE + 64));
    char *at = bytes;
    assert(bytes != NULL);
    for (unsigned i = 0; i < COUNT; i++) {
        char body[DATA_SIZE + 64];
        char ack_id[ACK_ID_SIZE + 1];
        struct text message = take(body, put_message(body, i));
        int head = snprintf(ack_id, sizeof(ack_id), "%u-", i);
        memset(ack_id + head, 'a', ACK_ID_SIZE - (size_t)head);
        size_t size = wire_bytes_size(ACK_ID_SIZE) + wire_bytes_size(message.size);
        at = wire_put_head(at, RECEIVED, size);
        at = wire_put_bytes(at, ACK_ID, (struct text){ack_id, ACK_ID_SIZE});
        at = wire_put_bytes(at, MESSAGE, message);
    }
    return take(bytes, at);
}

// --- null ---------------------------------------------------------------------------------------

// As many ids as there are messages in the request; all ids have one size.
static struct text ids_for(const struct canned *canned, struct text request)
{
    struct wire_reader reader;
    struct wire_field field;
    size_t count = 0;
    wire_reader_init(&reader, request);
    while (wire_next(&reader, &field)) {
        count += wire_is_bytes(&field, PUBLISHED) ? 1 : 0;
    }
    assert(count <= COUNT);
    return (struct text){canned->publish.data, canned->publish.size / COUNT * count};
}

static bool ends_with(struct text text, struct text end)
{
    return text.size >= end.size &&
           memcmp(text.data + text.size - end.size, end.data, end.size) == 0;
}

static void on_message(void *context, struct rpc_call *call, struct text path, struct text message)
{
    const struct canned *canned = context;
    if (ends_with(path, TEXT("/StreamingPull"))) {
        if (rpc_call_note(call) == NULL) { // pings are not answered: messages come all the time
            rpc_call_set_note(call, call);
            rpc_call_send_lent(call, canned->pull);
        }
    } else if (ends_with(path, TEXT("/Publish"))) {
        rpc_call_answer_lent(call, ids_for(canned, message));
    } else if (ends_with(path, TEXT("/Pull"))) {
        rpc_call_answer_lent(call, canned->pull);
    } else if (ends_with(path, TEXT("/Acknowledge")) ||
               ends_with(path, TEXT("/ModifyAckDeadline"))) {
        rpc_call_answer(call, (struct text){0});
    } else {
        rpc_call_end(call, UNIMPLEMENTED, "there are no topics here", (struct text){0});
    }
}

static void on_sent(void *context, struct rpc_call *call)
{
    const struct canned *canned = context;
    rpc_call_send_lent(call, canned->pull);
}

static void say(const char *address, pid_t pid)
{
    (void)printf("%s %d\n", address, (int)pid);
    (void)fflush(stdout);
}

static void wait_for_end_of_input(void)
{
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
        // whatever it is
    }
}

static void serve_null(void)
{
    struct canned canned = {make_publish_response(), make_pull_response()};
    const struct rpc_service service = {
        .context = &canned, .on_message = on_message, .on_sent = on_sent};
    struct rpc_server *server = rpc_server_start(&(struct rpc_server_options){0}, &service);
    char address[32];
    assert(server != NULL);
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)rpc_server_port(server));
    say(address, getpid());
    wait_for_end_of_input();
    rpc_server_stop(&server);
    free((void *)(uintptr_t)canned.publish.data);
    free((void *)(uintptr_t)canned.pull.data);
}

static void serve_echo(void)
{
    struct pubsub_scripted *server = pubsub_scripted_start(&(struct pubsub_scripted_options){0});
    say(pubsub_scripted_address(server), getpid());
    wait_for_end_of_input();
    pubsub_scripted_stop(&server);
}

static void serve_emulator(void)
{
    pubsub_emulator_require();
    struct pubsub_emulator *emulator = pubsub_emulator_start();
    say(pubsub_emulator_address(emulator), pubsub_emulator_pid(emulator));
    wait_for_end_of_input();
    pubsub_emulator_stop(&emulator);
}

int main(int count, char **arguments)
{
    static const struct {
        const char *name;
        void (*serve)(void);
    } kinds[] = {{"null", serve_null}, {"echo", serve_echo}, {"emulator", serve_emulator}};
    for (size_t i = 0; count == 2 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(arguments[1], kinds[i].name) == 0) {
            kinds[i].serve();
            return 0;
        }
    }
    (void)fprintf(stderr, "usage: pubsub_server null | echo | emulator\n");
    return 2;
}
