// One connection of the ingest server: its buffers, its state, what it may do next. Knows sockets
// and frames, but neither the bus nor other connections. Internal to ingest.
//
//            hello          end of input, refusal, stop      all frames published       all written
//   HELLO ──────────► OPEN ───────────────────────► ENDING ────────────────────► LEAVING ─────► FREE
//     └──────────────────── refusal, end of input ───────────────────────────────►┘
#ifndef TILL_INGEST_CONNECTION_H
#define TILL_INGEST_CONNECTION_H

#include "bus.h"
#include "clock.h"
#include "ingest_wire.h"
#include "text.h"

#include <stdbool.h>
#include <stdint.h>

#define CONNECTION_BUFFER_SIZE (512u * 1024u)      // grows only for a frame that is larger
#define CONNECTION_LINGER_NS   (2 * NS_PER_SECOND) // for the other side to read what is due to it
#define CONNECTION_OUT_SIZE                                                                        \
    (WIRE_HELLO_SIZE + WIRE_ACK_SIZE + WIRE_REFUSAL_HEAD_SIZE + WIRE_REFUSAL_TEXT_SIZE_MAX)

enum connection_state {
    CONNECTION_FREE,
    CONNECTION_HELLO,   // accepted; its hello has not come
    CONNECTION_OPEN,    // frames are read
    CONNECTION_ENDING,  // nothing more is read; whole frames are still to be published
    CONNECTION_LEAVING, // what is to be written is all that is left
};

struct connection {
    enum connection_state state;
    int fd;
    int64_t deadline_ns; // of HELLO and LEAVING

    // Read and not yet durable. While frames are taken, `in` neither moves nor is read into.
    unsigned char *in;
    size_t in_start;
    size_t in_end;
    size_t in_cap;
    size_t taken_size; // bytes at in_start that the batch points into
    uint64_t taken_count;

    uint64_t durable; // frames
    bool mute;        // the other side doesn't listen any more

    bool hello_due;
    bool ack_due;
    bool refusal_due;
    enum wire_refusal refusal;
    char refusal_text[WIRE_REFUSAL_TEXT_SIZE_MAX + 1];
    unsigned char out[CONNECTION_OUT_SIZE];
    size_t out_start;
    size_t out_end;
};

struct connection_frame {
    enum bus_topic topic;
    struct text body; // points into the connection's buffer
};

// Takes the socket: HELLO until `deadline_ns`.
void connection_begin(struct connection *connection, int fd, int64_t deadline_ns);
// FREE, from any state. What was refused and how much was durable can still be read.
void connection_end(struct connection *connection);

// Whether a read would be of use now.
bool connection_wants_input(const struct connection *connection);
bool connection_wants_output(const struct connection *connection);

// Reads until nothing is there or the buffer is full, and takes the hello.
void connection_read(struct connection *connection);
// Writes what is due, as far as the socket takes it.
void connection_write(struct connection *connection);

// The next whole frame that is not taken yet; it is taken then. false when there is none. A head
// that is no frame's refuses the connection.
bool connection_take_frame(struct connection *connection, struct connection_frame *out_frame);
// What was taken is durable: of its frames the first `count`, which is all unless one was refused.
void connection_settle(struct connection *connection, uint64_t count);

// Ends the connection with a refusal, after the frames that are whole. The first refusal counts.
void connection_refuse(struct connection *connection, enum wire_refusal refusal, const char *format,
                       ...) PRINTF_LIKE(3, 4);
// Forgets what is not durable, so that no frame is left to be published; the refusal stays.
void connection_drop_input(struct connection *connection);
// Writes what is due. HELLO past its deadline is refused; ENDING becomes LEAVING when no whole
// frame is left, and LEAVING becomes FREE when all is written or its deadline has passed.
void connection_advance(struct connection *connection, int64_t now_ns);

#endif
