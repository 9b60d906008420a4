// Every allocation of a story fails in turn: nothing leaks, nothing is told twice or never, and the client
// goes on. The transport here allocates nothing itself.
#include "client.h"
#include "fake_service.h"
#include "fault_alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

#define OPEN_MAX 64

// A response outlives its call: the client reads it when it delivers the results.
struct answer {
    struct payload payload;
    char bytes[2000];
};

struct still {
    struct transport transport; // first
    struct virtual_time time;
    struct transport_call *open[OPEN_MAX];
    struct payload *requests[OPEN_MAX];
    size_t open_count;
    struct answer answers[OPEN_MAX]; // used in turn
    size_t answer_count;
    struct pubsub *client;
    char pulled[20000]; // an encoded response
    size_t pulled_size;
    bool has_pulled;
    size_t accepted;
    size_t results;
};

static struct still *still_of(struct transport *transport)
{
    return (struct still *)transport;
}

static void call_start(struct transport *transport, struct transport_call *call)
{
    struct still *still = still_of(transport);
    assert_true(still->open_count < OPEN_MAX);
    call->operation = still;
    still->requests[still->open_count] = payload_reference(call->request);
    still->open[still->open_count++] = call;
}

static void call_cancel(struct transport *transport, struct transport_call *call)
{
    (void)transport;
    (void)call; // all calls end in the next wait
}

static void keep(struct payload *payload)
{
    (void)payload; // in static memory
}

static struct answer *next_answer(struct still *still)
{
    return &still->answers[still->answer_count++ % OPEN_MAX];
}

static void end_first(struct still *still, int code, struct payload *response, struct text bytes)
{
    struct transport_call *call = still->open[0];
    const struct rpc_status status = {.code = code};
    struct payload *request = still->requests[0];
    still->open_count--;
    memmove(still->open, still->open + 1, still->open_count * sizeof(still->open[0]));
    memmove(still->requests, still->requests + 1, still->open_count * sizeof(still->requests[0]));
    atomic_init(&response->references, 1000000);
    response->bytes = bytes;
    response->destroy = keep;
    call->operation = NULL;
    call->done(call, &status, code == RPC_OK ? response : NULL);
    payload_release(&request);
}

static void answer_first(struct still *still)
{
    enum rpc_method method = still->open[0]->method;
    struct answer *answer = next_answer(still);
    struct payload *response = &answer->payload;
    struct buf ids;
    buf_init_fixed(&ids, answer->bytes, sizeof(answer->bytes));
    if (method == RPC_PUBLISH) {
        write_published_ids(&ids, published_count(still->requests[0]));
        end_first(still, RPC_OK, response, buf_view(&ids));
    } else if (method == RPC_PULL && !still->has_pulled) {
        still->has_pulled = true;
        end_first(still, RPC_OK, response, (struct text){still->pulled, still->pulled_size});
    } else {
        end_first(still, method == RPC_PULL ? RPC_CANCELLED : RPC_OK, response, (struct text){0});
    }
}

static void wait_for_call(struct transport *transport, int64_t timeout_ns)
{
    struct still *still = still_of(transport);
    if (still->open_count > 0) {
        answer_first(still);
    } else {
        assert_true(timeout_ns < TIMER_NEVER);
        virtual_time_advance(&still->time, (timeout_ns + 999) / 1000);
    }
}

static void wake(struct transport *transport)
{
    (void)transport;
}

static void close_still(struct transport *transport)
{
    assert_int_equal(still_of(transport)->open_count, 0);
}

static const struct transport_ops still_ops = {
    .call = call_start,
    .call_cancel = call_cancel,
    .wait = wait_for_call,
    .wake = wake,
    .close = close_still,
};

static struct still *create(void)
{
    static struct still still;
    struct buf response;
    memset(&still, 0, sizeof(still));
    still.transport.ops = &still_ops;
    still.time = (struct virtual_time){.wall_us = 1, .mono_ns = 1000};
    buf_init_fixed(&response, still.pulled, sizeof(still.pulled));
    write_many_received(&response, "ack-", 50, 100);
    assert_false(buf_overflowed(&response));
    still.pulled_size = response.size;
    return &still;
}

static bool open_client(struct still *still)
{
    return client_create(&still->transport, "p", clock_virtual(&still->time), 1, false,
                         &still->client, NULL) == ERR_OK;
}

static void pass(struct still *still, int64_t us)
{
    for (int64_t until_ns = still->time.mono_ns + us * 1000; still->time.mono_ns < until_ns;) {
        client_turn(still->client, until_ns - still->time.mono_ns);
    }
}

static void on_result(void *context, void *tag, const struct pubsub_publish_result *result)
{
    struct still *still = context;
    (void)tag;
    assert_true(result->err == ERR_OK || result->err == ERR_NO_MEMORY);
    still->results++;
}

static void publish_story(struct still *still)
{
    const struct pubsub_publisher_options options = {
        .topic = TEXT("ttt"), .ordering = true, .on_result = on_result, .context = still};
    static const char *const keys[] = {"", "a", "b", "a", ""};
    struct pubsub_publisher *publisher = NULL;
    if (pubsub_publisher_open(still->client, &options, &publisher, NULL) != ERR_OK) {
        return;
    }
    for (size_t i = 0; i < 200; i++) {
        const struct pubsub_outgoing message = {.data = TEXT("0123456789"),
                                                .ordering_key = text_of(keys[i % 5])};
        size_t accepted = 0;
        enum err err = pubsub_publish(publisher, &message, 1, NULL, &accepted, NULL);
        assert_true(err == ERR_OK || err == ERR_NO_MEMORY || err == ERR_BUSY);
        still->accepted += accepted;
    }
    assert_int_equal(pubsub_publisher_flush(publisher, US_PER_SECOND, NULL), ERR_OK);
    pubsub_publisher_close(&publisher);
    assert_int_equal(still->accepted, still->results);
}

static void subscribe_story(struct still *still)
{
    const struct pubsub_subscriber_options options = {
        .subscription = TEXT("sss"), .way = PUBSUB_UNARY_PULL, .exactly_once = true};
    const struct pubsub_take_limits limits = {.count_max = 100, .size_max = 100000};
    static char memory[100000];
    struct arena arena = {.base = (unsigned char *)memory, .cap = sizeof(memory)};
    struct pubsub_subscriber *subscriber = NULL;
    struct pubsub_message *messages = NULL;
    size_t count = 0;
    if (pubsub_subscriber_open(still->client, &options, &subscriber, NULL) != ERR_OK) {
        return;
    }
    pass(still, US_PER_SECOND);
    enum err err = pubsub_take(subscriber, &limits, &arena, &messages, &count, NULL);
    assert_true(err == ERR_OK || err == ERR_NO_MEMORY || err == ERR_UNAVAILABLE);
    for (size_t i = 0; i < count && i < 20; i++) {
        if (i % 2 == 0) {
            pubsub_ack(subscriber, &messages[i].handle, 1);
        } else {
            pubsub_nack(subscriber, &messages[i].handle, 1);
        }
    }
    pass(still, 60 * US_PER_SECOND); // leases are extended
    assert_true(pubsub_subscriber_figures(subscriber).held <= 50);
    pubsub_subscriber_close(&subscriber);
}

// Whether the n-th allocation of the story was reached.
static bool runs_into_failure(void (*story)(struct still *), uint64_t n)
{
    struct still *still = create();
    fault_alloc_arm(n);
    if (open_client(still)) {
        story(still);
        pubsub_close(&still->client);
    }
    bool hit = fault_alloc_hit();
    fault_alloc_disarm();
    return hit;
}

static void publishing_survives_every_failed_allocation(void **state)
{
    uint64_t n = 1;
    (void)state;
    while (runs_into_failure(publish_story, n)) {
        n++;
    }
    assert_in_range(n, 20, 200);
}

static void subscribing_survives_every_failed_allocation(void **state)
{
    uint64_t n = 1;
    (void)state;
    while (runs_into_failure(subscribe_story, n)) {
        n++;
    }
    assert_in_range(n, 20, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(publishing_survives_every_failed_allocation),
        cmocka_unit_test(subscribing_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
