// Bytes and address. A path longer than an address holds is no error: data directories of tests and
// of deep trees are reached by a descriptor instead.
#include "ingest_wire.h"

#include "ingest.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const unsigned char magic[4] = {'t', 'i', 'l', 'l'};

enum err wire_refusal_err(uint16_t code)
{
    switch (code) {
#define X(name, number, err)                                                                       \
    case number:                                                                                   \
        return err;
        WIRE_REFUSAL_TABLE(X)
#undef X
    default:
        return ERR_UNAVAILABLE;
    }
}

static void put(unsigned char *out, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        out[i] = (unsigned char)(value >> (8 * i));
    }
}

static uint64_t get(const unsigned char *in, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value |= (uint64_t)in[i] << (8 * i);
    }
    return value;
}

void wire_put_u16(unsigned char out[2], uint16_t value)
{
    put(out, value, 2);
}

void wire_put_u32(unsigned char out[4], uint32_t value)
{
    put(out, value, 4);
}

void wire_put_u64(unsigned char out[8], uint64_t value)
{
    put(out, value, 8);
}

uint16_t wire_get_u16(const unsigned char in[2])
{
    return (uint16_t)get(in, 2);
}

uint32_t wire_get_u32(const unsigned char in[4])
{
    return (uint32_t)get(in, 4);
}

uint64_t wire_get_u64(const unsigned char in[8])
{
    return get(in, 8);
}

void wire_put_hello(unsigned char out[WIRE_HELLO_SIZE])
{
    memcpy(out, magic, sizeof(magic));
    wire_put_u16(out + sizeof(magic), INGEST_VERSION);
}

bool wire_get_hello(const unsigned char in[WIRE_HELLO_SIZE], uint16_t *out_version)
{
    if (memcmp(in, magic, sizeof(magic)) != 0) {
        return false;
    }
    *out_version = wire_get_u16(in + sizeof(magic));
    return true;
}

void wire_put_ack(unsigned char out[WIRE_ACK_SIZE], uint64_t durable)
{
    out[0] = WIRE_ACK;
    wire_put_u64(out + 1, durable);
}

size_t wire_put_refusal(unsigned char out[WIRE_REFUSAL_HEAD_SIZE + WIRE_REFUSAL_TEXT_SIZE_MAX],
                        uint64_t durable, enum wire_refusal refusal, const char *text)
{
    assert(refusal != WIRE_NOT_REFUSED);
    size_t size = strnlen(text, WIRE_REFUSAL_TEXT_SIZE_MAX);
    out[0] = WIRE_REFUSAL;
    wire_put_u64(out + 1, durable);
    wire_put_u16(out + 9, (uint16_t)refusal);
    wire_put_u16(out + 11, (uint16_t)size);
    memcpy(out + WIRE_REFUSAL_HEAD_SIZE, text, size);
    return WIRE_REFUSAL_HEAD_SIZE + size;
}

static enum err open_failed(const char *directory, int number, struct why *why)
{
    enum err err = ERR_UNAVAILABLE;
    if (number == EACCES || number == EPERM) {
        err = ERR_PERMISSION;
    } else if (number == EMFILE || number == ENFILE || number == ENOMEM) {
        err = ERR_NO_MEMORY;
    } else if (number == EIO) {
        err = ERR_IO;
    }
    return why_set(why, err, "data directory %.200s cannot be opened: %s", directory,
                   strerror(number));
}

enum err wire_address_open(const char *directory, struct wire_address *out_address, struct why *why)
{
    struct wire_address address = {.socket = {.sun_family = AF_UNIX}};
    address.directory_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (address.directory_fd < 0) {
        return open_failed(directory, errno, why);
    }
    char *path = address.socket.sun_path;
    size_t cap = sizeof(address.socket.sun_path);
    int size = snprintf(path, cap, "%s/" INGEST_SOCKET_NAME, directory);
    if (size < 0 || (size_t)size >= cap) {
        size = snprintf(path, cap, "/proc/self/fd/%d/" INGEST_SOCKET_NAME, address.directory_fd);
    }
    assert(size > 0 && (size_t)size < cap);
    address.size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)size + 1);
    *out_address = address;
    return ERR_OK;
}

void wire_address_close(struct wire_address *address)
{
    if (address->directory_fd >= 0) {
        (void)close(address->directory_fd); // nothing was written through it
        address->directory_fd = -1;
    }
}
