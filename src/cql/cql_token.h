// From a partition key to its token: Murmur3Partitioner (Cassandra's utils/MurmurHash.java hash3_x64_128 with
// seed 0, of which the first half counts). It is not quite Murmur3: the last 0-15 bytes are taken as signed.
// The smallest number is not a token; a hash that gives it becomes the largest. Pure.
#ifndef TILL_CQL_TOKEN_H
#define TILL_CQL_TOKEN_H

#include "cql_value.h"
#include "text.h"

#include <stdbool.h>
#include <stdint.h>

int64_t cql_token(struct text routing_key);

#define CQL_KEY_PART_SIZE_MAX 65535u // a partition key, and each part of it

// The routing key of bound values: of one part its bytes (a view into the values), of several each with its
// size (u16) before and a zero after, put together in `memory`. false when a part is missing, null or unset, or
// too long, or when `memory` is too small: then the request has no home, and any node will do.
bool cql_routing_key(struct cql_values_view values, const uint16_t *indexes, size_t part_count,
                     void *memory, size_t cap, struct text *out_key);

// A token as system.local and system.peers write it, "-9223372036854775808". false on anything else.
bool cql_token_parse(struct text text, int64_t *out_token);

#endif
