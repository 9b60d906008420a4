// What the parts of the scripted service share. All of it under its lock.
//
//     pubsub_scripted.c           the server, commands, counts, scripts
//     pubsub_scripted_messages.c  messages, their leases, requests about ack ids
//     pubsub_scripted_pull.c      pulls that wait and streams
#ifndef TILL_PUBSUB_SCRIPTED_INTERNAL_H
#define TILL_PUBSUB_SCRIPTED_INTERNAL_H

#include "pubsub_scripted.h"
#include "rpc_server.h"
#include "wire.h"

#include <pthread.h>

#define STREAMS_MAX  16u
#define PULLS_MAX    64u
#define DELAYED_MAX  64u
#define SCRIPT_MAX   64u
#define REFUSALS_MAX 64u
#define TIMES_MAX    1000u

struct stored {
    char *body; // an encoded PubsubMessage
    size_t body_size;
    bool acked;
    bool leased;
    uint32_t deliveries;
    int64_t lease_until_ns;
    const struct rpc_call *stream; // on which it was sent last; only to compare
};

struct open_stream {
    struct rpc_call *call; // NULL: free
    bool sending;
    bool pong; // is owed
    int64_t lease_ns;
    uint64_t count_max;
    uint64_t sent; // messages on this stream that are not settled
};

struct open_pull {
    struct rpc_call *call; // NULL: free
    uint64_t count_max;
    int64_t until_ns;
};

// A request whose answer comes later.
struct delayed {
    struct rpc_call *call; // NULL: free
    enum scripted_method method;
    struct scripted_answer answer;
    char *request;
    size_t request_size;
    int64_t due_ns;
};

struct refusal {
    enum scripted_method method;
    size_t message;
    const char *word;
    uint32_t times;
};

struct script {
    struct scripted_answer answers[SCRIPT_MAX];
    size_t count;
};

struct pubsub_scripted {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct rpc_server *server;
    struct pubsub_scripted_options options;
    char address[32];
    struct stored *messages;
    size_t messages_cap;
    size_t first_unacked; // all before are acked
    size_t ack_id_size;
    bool exactly_once;
    bool pongs;
    struct script scripts[SCRIPTED_METHOD_COUNT];
    struct refusal refusals[REFUSALS_MAX];
    size_t refusal_count;
    struct open_stream streams[STREAMS_MAX];
    struct open_pull pulls[PULLS_MAX];
    struct delayed delayed[DELAYED_MAX];
    bool ending; // streams are to be ended, with this
    int end_status;
    const char *end_reason;
    char client_id[64];
    struct scripted_counts counts;
    int64_t call_ns[SCRIPTED_METHOD_COUNT][TIMES_MAX];
};

int64_t scripted_now_ns(void);
void *scripted_alloc(void *old, size_t size); // never NULL
// Bytes that grow; never fails.
struct scripted_bytes {
    char *data;
    size_t size;
    size_t cap;
};
char *scripted_room(struct scripted_bytes *bytes, size_t size);
void scripted_put_bytes(struct scripted_bytes *bytes, uint32_t field, struct text value);
void scripted_put_number(struct scripted_bytes *bytes, uint32_t field, uint64_t value);
struct text scripted_view(const struct scripted_bytes *bytes);
uint64_t scripted_number_of(struct text message, uint32_t field); // 0: not there
struct text scripted_bytes_of(struct text message, uint32_t field);

void scripted_end(struct pubsub_scripted *self, enum scripted_method method, struct rpc_call *call,
                  int status, const char *reason, struct text details);

// pubsub_scripted_messages.c
void scripted_store(struct pubsub_scripted *self, struct text body);
void scripted_publish(struct pubsub_scripted *self, struct rpc_call *call, struct text request);
void scripted_about_ids(struct pubsub_scripted *self, enum scripted_method method,
                        struct rpc_call *call, struct text request);
// Leases up to that many messages and writes them as ReceivedMessages; how many.
size_t scripted_deliver(struct pubsub_scripted *self, size_t count_max, int64_t lease_ns,
                        struct open_stream *stream, struct scripted_bytes *out);
int64_t scripted_end_leases(struct pubsub_scripted *self); // when the next one ends

// pubsub_scripted_pull.c
void scripted_pull(struct pubsub_scripted *self, struct rpc_call *call, struct text request);
void scripted_stream_message(struct pubsub_scripted *self, struct rpc_call *call,
                             struct text request);
void scripted_stream_sent(struct pubsub_scripted *self, struct rpc_call *call);
void scripted_receiver_gone(struct pubsub_scripted *self, struct rpc_call *call);
struct open_stream *scripted_stream_of(struct pubsub_scripted *self, const struct rpc_call *call);
int64_t scripted_feed(struct pubsub_scripted *self); // pulls and streams; when to look again

#endif
