// Makes send, recv and accept4 of the code under test behave as badly as they may: a few bytes a
// call, interrupted, suddenly not ready. The linker sends its calls here (--wrap, see meson.build);
// tests use read and write, which are not touched.
#ifndef TILL_SOCKET_FAULTS_H
#define TILL_SOCKET_FAULTS_H

#include <stddef.h>
#include <stdint.h>

struct socket_faults {
    size_t chunk_max;         // bytes of one call; 0: any number
    unsigned interrupt_every; // every so many calls end with EINTR; 0: never
    unsigned not_ready_every; // and with EAGAIN
};

// From now on; a zeroed one means none.
void socket_faults_set(struct socket_faults faults);
// The next `count` calls of accept4 fail with `number`.
void socket_faults_fail_accepts(unsigned count, int number);
uint64_t socket_faults_count(void); // calls that were changed, ever
uint64_t socket_faults_polls(void); // calls of poll, ever, which are only counted

#endif
