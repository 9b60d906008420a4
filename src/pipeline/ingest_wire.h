// The bytes of the protocol of ingest.h, and the address of its socket: what both sides share.
// Internal to ingest.
#ifndef TILL_INGEST_WIRE_H
#define TILL_INGEST_WIRE_H

#include "errors.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define WIRE_HELLO_SIZE            6u
#define WIRE_FRAME_HEAD_SIZE       5u
#define WIRE_ACK_SIZE              9u
#define WIRE_REFUSAL_HEAD_SIZE     13u
#define WIRE_REFUSAL_TEXT_SIZE_MAX 400u
#define WIRE_TOPIC_COUNT           2u

enum wire_record { WIRE_ACK = 1, WIRE_REFUSAL = 2 };

// X(name, code on the wire, error that the client's caller gets). The codes never change.
#define WIRE_REFUSAL_TABLE(X)                                                                      \
    X(PROTOCOL, 1, ERR_INVALID)       /* bytes that are no hello or no frame */                    \
    X(VERSION, 2, ERR_SCHEMA)         /* a version that the server doesn't speak */                \
    X(TOO_LARGE, 3, ERR_TOO_LARGE)    /* a body above the limit */                                 \
    X(CONNECTIONS, 4, ERR_BUSY)       /* as many connections as there may be */                    \
    X(NO_MEMORY, 5, ERR_FULL)         /* of the server's */                                        \
    X(STOPPING, 6, ERR_UNAVAILABLE)   /* the owner ends */                                         \
    X(BUS_FAILED, 7, ERR_UNAVAILABLE) /* the owner can't publish any more */                       \
    X(BUS_REFUSED, 8, ERR_INVALID)    /* a message that the bus never takes */                     \
    X(HELLO_TIMEOUT, 9, ERR_TIMEOUT)  /* no hello in time */

enum wire_refusal {
    WIRE_NOT_REFUSED,
#define X(name, code, err) WIRE_REFUSED_##name = (code),
    WIRE_REFUSAL_TABLE(X)
#undef X
};

enum err wire_refusal_err(uint16_t code); // ERR_UNAVAILABLE for a code of a later version

void wire_put_u16(unsigned char out[2], uint16_t value);
void wire_put_u32(unsigned char out[4], uint32_t value);
void wire_put_u64(unsigned char out[8], uint64_t value);
uint16_t wire_get_u16(const unsigned char in[2]);
uint32_t wire_get_u32(const unsigned char in[4]);
uint64_t wire_get_u64(const unsigned char in[8]);

void wire_put_hello(unsigned char out[WIRE_HELLO_SIZE]);
bool wire_get_hello(const unsigned char in[WIRE_HELLO_SIZE], uint16_t *out_version); // our magic?
void wire_put_ack(unsigned char out[WIRE_ACK_SIZE], uint64_t durable);
// Text that is too long is cut. Gives the size of the record.
size_t wire_put_refusal(unsigned char out[WIRE_REFUSAL_HEAD_SIZE + WIRE_REFUSAL_TEXT_SIZE_MAX],
                        uint64_t durable, enum wire_refusal refusal, const char *text);

// Where the socket of a directory is. The descriptor names the directory itself; a path that has no
// room in an address is reached through it, by way of /proc/self/fd.
struct wire_address {
    struct sockaddr_un socket;
    socklen_t size;
    int directory_fd; // -1: none
};

// ERR_UNAVAILABLE, ERR_PERMISSION, ERR_IO, ERR_NO_MEMORY.
MUST_USE enum err wire_address_open(const char *directory, struct wire_address *out_address,
                                    struct why *why);
void wire_address_close(struct wire_address *address); // accepts a closed one

#endif
