// Bytes for tests, written as hex. Each text has memory of its own of just its size, so that the address
// sanitizer sees a read beyond it.
#ifndef TILL_CQL_BYTES_H
#define TILL_CQL_BYTES_H

#include "cql_frame.h"
#include "cql_wire.h"
#include "text.h"

// Valid until bytes_release, which a test's teardown calls.
struct text bytes_of(const char *hex); // blanks between digits are left out
struct text bytes_copy(struct text bytes);
struct text bytes_random(size_t size, uint64_t seed);
struct text bytes_repeated(size_t size, char byte);
int bytes_release(void **state);

// Fails the test, with both in hex, unless they are equal.
void bytes_expect(struct text bytes, const char *hex);

// The envelope of an answer with that body.
struct cql_envelope bytes_answer(int version, uint8_t opcode, uint8_t flags, struct text body);

#endif
