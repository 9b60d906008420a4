// Noticing dead connections. A connection can be gone without anybody being told: a machine that lost
// its power, a firewall that forgot. TCP notices only what stays unconfirmed, and HTTP/2 pings more often
// than every 5 minutes are taken for an attack by some servers. So: when calls are open on a connection and
// nothing has come from the other side for a while, a small call is made on it. Any answer to it is a
// sign of life, a refusal too. Without one the connection is replaced, and what was open on it ends with
// UNAVAILABLE, as if the connection had been seen to break.
//
// Calls that give up before that while are no sign of life: what the next one waits for has been
// awaited since the first. Else a connection would stay dead for as long as short calls follow each other.
#include "grpc_core.h"

#include "clock.h"
#include "wire.h"

#include <assert.h>
#include <stdio.h>

#define PROBE_TOPIC "till-connection-test" // need not exist

static int64_t now_ns(void)
{
    struct clock clock = clock_real();
    return clock_mono_ns(&clock);
}

void grpc_watch_opened(struct operation *operation, struct connection *connection)
{
    if (connection->first == NULL && !connection->in_vain) {
        connection->heard_ns = now_ns();
    }
    operation->connection = connection;
    operation->previous = NULL;
    operation->next = connection->first;
    if (operation->next != NULL) {
        operation->next->previous = operation;
    }
    connection->first = operation;
}

void grpc_watch_closed(struct operation *operation)
{
    if (operation->previous != NULL) {
        operation->previous->next = operation->next;
    } else {
        operation->connection->first = operation->next;
    }
    if (operation->next != NULL) {
        operation->next->previous = operation->previous;
    }
}

void grpc_watch_heard(struct connection *connection)
{
    connection->heard_ns = now_ns();
    connection->in_vain = false;
}

void grpc_watch_timed_out(struct connection *connection)
{
    connection->in_vain = true;
}

void grpc_watch_replace(struct transport_grpc *self, struct connection *connection)
{
    grpc_channel *old = connection->channel;
    for (struct operation *operation = connection->first; operation != NULL;
         operation = operation->next) {
        (void)grpc_call_cancel_with_status(operation->handle, GRPC_STATUS_UNAVAILABLE,
                                           "nothing was heard on the connection", NULL);
    }
    grpc_core_connect(self, connection);
    grpc_channel_destroy(old);
    grpc_watch_heard(connection); // the new one is given its time
}

static int64_t due_ns(const struct connection *connection)
{
    bool awaited = connection->first != NULL && !connection->probing;
    return awaited ? connection->heard_ns + connection->transport->silence_us * 1000 : INT64_MAX;
}

int64_t grpc_watch_due_ns(struct transport_grpc *self)
{
    int64_t earliest_ns = INT64_MAX;
    pthread_mutex_lock(&self->lock);
    for (uint32_t i = 0; i < self->connection_count; i++) {
        int64_t due = due_ns(&self->connections[i]);
        earliest_ns = due < earliest_ns ? due : earliest_ns;
    }
    pthread_mutex_unlock(&self->lock);
    return earliest_ns;
}

static void probe_done(struct transport_call *call, const struct rpc_status *status,
                       struct payload *response)
{
    struct connection *connection =
        (struct connection *)((char *)call - offsetof(struct connection, probe));
    struct transport_grpc *self = connection->transport;
    (void)response;
    pthread_mutex_lock(&self->lock);
    connection->probing = false;
    bool unanswered = status->code == RPC_DEADLINE_EXCEEDED || status->code == RPC_UNAVAILABLE;
    if (unanswered && now_ns() - connection->heard_ns >= self->silence_us * 1000) {
        grpc_watch_replace(self, connection);
    }
    pthread_mutex_unlock(&self->lock);
}

static void start_probe(struct transport_grpc *self, uint32_t index)
{
    struct transport_call *probe = &self->connections[index].probe;
    *probe = (struct transport_call){
        .method = RPC_GET_TOPIC,
        .connection = index,
        .request = self->probe_request,
        .routing = text_of(self->probe_routing),
        .timeout_us = self->silence_us / 4,
        .done = probe_done,
    };
    transport_call_start(&self->transport, probe);
}

void grpc_watch_look(struct transport_grpc *self)
{
    int64_t now = now_ns();
    for (uint32_t i = 0; i < self->connection_count; i++) {
        pthread_mutex_lock(&self->lock);
        bool due = due_ns(&self->connections[i]) <= now;
        self->connections[i].probing |= due;
        pthread_mutex_unlock(&self->lock);
        if (due) {
            start_probe(self, i);
        }
    }
}

enum err grpc_watch_init(struct transport_grpc *self, const char *project, struct why *why)
{
    char name[PROBE_ROUTING_SIZE];
    int size = snprintf(name, sizeof(name), "projects/%s/topics/" PROBE_TOPIC, project);
    (void)snprintf(self->probe_routing, sizeof(self->probe_routing),
                   "topic=projects%%2F%s%%2Ftopics%%2F" PROBE_TOPIC, project);
    assert(size > 0 && (size_t)size < sizeof(name));
    struct payload_writer writer = {0};
    char *at = payload_reserve(&writer, wire_bytes_size((size_t)size));
    if (at != NULL) {
        wire_put_bytes(at, 1, (struct text){name, (size_t)size});
    }
    self->probe_request = payload_finish(&writer);
    return self->probe_request != NULL ? ERR_OK
                                       : why_set(why, ERR_NO_MEMORY, "no memory to connect");
}
