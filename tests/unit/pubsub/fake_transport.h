// A transport that does nothing by itself, in virtual time. Calls and streams wait in a list until the
// test answers them; only what the client cancels is ended at once, in the next turn. Waiting lets
// virtual time pass, so a client without a thread runs as fast as it can.
//
// Single-threaded. What can't be in a right test ends it (cmocka's fail).
#ifndef TILL_FAKE_TRANSPORT_H
#define TILL_FAKE_TRANSPORT_H

#include "client.h"

struct fake_call {
    struct transport_call *call; // the client's; NULL once answered
    enum rpc_method method;
    struct payload *request;
    int64_t timeout_us;
    int64_t started_ns;
    bool cancelled;
    struct fake_call *next;
};

struct fake_stream {
    struct transport_stream *stream; // the client's; NULL once ended
    int64_t opened_ns;
    struct payload *written[64]; // what the client has written
    size_t written_count;
    bool reading; // the client asks for a message
    bool finished;
    bool cancelled;
    struct fake_stream *next;
};

struct fake {
    struct transport transport; // first
    struct virtual_time time;
    struct pubsub *client;
    struct fake_call *calls; // oldest first
    struct fake_stream *streams;
    size_t reconnects;
    // Called in every wait, for a fake that answers by itself; true when it did something. May be NULL.
    bool (*answer)(struct fake *fake, void *context);
    void *context;
};

// A client of project "p" on a fake. The seed is printed when a test fails.
struct fake *fake_create(void);
// Closes the client; every call and stream must have ended by then.
void fake_destroy(struct fake **fake);

// Turns the loop until nothing more is due, without letting time pass.
void fake_turn(struct fake *fake);
// Lets that much time pass, timers firing at their moments.
void fake_pass(struct fake *fake, int64_t us);

// The n-th open call of a method, oldest first, 0, 1, ...; fails the test when there is none.
struct fake_call *fake_call(struct fake *fake, enum rpc_method method, size_t n);
size_t fake_call_count(const struct fake *fake, enum rpc_method method); // open ones
// Ends a call and turns the loop.
void fake_answer(struct fake *fake, struct fake_call *call, struct text response);
// The same without turning the loop.
void fake_answer_only(struct fake *fake, struct fake_call *call, struct text response);
void fake_end_call(struct fake *fake, struct fake_call *call, const struct rpc_status *status,
                   struct text response);
void fake_refuse(struct fake *fake, struct fake_call *call, int code, const char *message);
void fake_refuse_with(struct fake *fake, struct fake_call *call, int code, struct text details);

// The n-th open stream.
struct fake_stream *fake_stream(struct fake *fake, size_t n);
size_t fake_stream_count(const struct fake *fake);
void fake_message(struct fake *fake, struct fake_stream *stream, struct text message);
void fake_end(struct fake *fake, struct fake_stream *stream, int code, const char *message);

#endif
