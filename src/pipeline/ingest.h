// The Unix socket by which other processes publish to the owner of a data directory. The owner is
// the one writer of topics.db; `till produce` beside it passes its messages on through
// DIR/till.sock and counts a message as published when the owner says that it is durable, and not
// before.
//
// Protocol, version 1. A stream socket; all integers are little endian. The client speaks first.
//
//   client to server   hello         "till", u16 version
//                      then frames   u32 size, u8 topic (0 orders, 1 payments), `size` bytes
//   server to client   hello         "till", u16 version
//                      then records  u8 1, u64 durable                              acknowledgement
//                                    u8 2, u64 durable, u16 code, u16 size, text    refusal
//
// `durable` counts the frames of this connection, from its first one on, that will outlive a crash;
// it never shrinks, and speaks for all frames up to that number. The server answers a hello with
// its own; the acknowledgement of 0 frames says that the connection is taken. Acknowledgements are
// merged: there may be one for thousands of frames. A refusal is the last record: no frame behind
// `durable` counts as published, though some may have been, and sending them again is harmless. Its
// codes are in ingest_wire.h, its text is for people. A side that ends the connection at any byte
// breaks nothing: whole frames are published, the start of one is dropped. A client that shuts down
// only its sending half still hears of all its frames.
//
// Limits: a body of up to 10,000,000 bytes (it may be empty), 64 connections, 10 s for the hello. A
// connection whose buffer is full isn't read until its frames are published, so clients wait.
//
// One thread of its own. Errors of the bus: RETRY means to try again with back-off, clients wait; a
// message that the bus never takes ends its connection; STOP ends everything and stays in
// ingest_error.
#ifndef TILL_INGEST_H
#define TILL_INGEST_H

#include "bus.h"
#include "clock.h"
#include "errors.h"
#include "log.h"

#include <stdint.h>

#define INGEST_SOCKET_NAME     "till.sock"
#define INGEST_VERSION         1u
#define INGEST_BODY_SIZE_MAX   10000000u // bytes
#define INGEST_CONNECTIONS_MAX 64u

struct ingest_options {
    struct bus *bus;       // borrowed until ingest_stop
    const char *directory; // whose lock the caller holds; only needed during the call
    struct clock clock;    // its mono_ns bounds waits: a virtual one has to move
    struct log *log;       // may be NULL
};

struct ingest_figures {
    uint64_t published;   // durable messages
    uint64_t retries;     // times the bus said to try again
    uint64_t connections; // open now
    uint64_t refused;     // connections that were ended with a refusal, those at a stop not counted
};

struct ingest;

// Listens and starts the thread. What is left of the socket of an owner that died is replaced.
// ERR_UNAVAILABLE (no such directory, something else lies at the socket's path), ERR_PERMISSION,
// ERR_READ_ONLY, ERR_FULL, ERR_IO, ERR_NO_MEMORY.
MUST_USE enum err ingest_start(const struct ingest_options *options, struct ingest **out_ingest,
                               struct why *why);

// ERR_OK, or the STOP error of the bus that ended the thread; then nobody is served any more.
MUST_USE enum err ingest_error(const struct ingest *ingest, struct why *why);
void ingest_get_figures(const struct ingest *ingest, struct ingest_figures *out_figures);

// Asks for the drain that ingest_stop waits for: nothing more is accepted or read, what was read
// whole is published and acknowledged, connections end. Safe from any thread.
void ingest_request_stop(struct ingest *ingest);
// Drains, removes the socket, ends the thread, frees. While the bus says RETRY, the drain gives up
// after a third of a second; clients that don't read their acknowledgements are waited for 2 s.
void ingest_stop(struct ingest **ingest); // accepts NULL and *ingest == NULL

#endif
