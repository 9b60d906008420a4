#include "cql_bytes.h"

#include "rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

struct piece {
    struct piece *next;
    char *data;
};
static struct piece *pieces;

static char *piece_create(size_t size)
{
    struct piece *piece = malloc(sizeof(*piece));
    assert_non_null(piece);
    piece->data = malloc(size > 0 ? size : 1);
    assert_non_null(piece->data);
    piece->next = pieces;
    pieces = piece;
    return piece->data;
}

int bytes_release(void **state)
{
    (void)state;
    while (pieces) {
        struct piece *piece = pieces;
        pieces = piece->next;
        free(piece->data);
        free(piece);
    }
    return 0;
}

struct text bytes_copy(struct text bytes)
{
    char *data = piece_create(bytes.size);
    if (bytes.size > 0) {
        memcpy(data, bytes.data, bytes.size);
    }
    return (struct text){data, bytes.size};
}

static unsigned digit_of(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = strchr(digits, c | 0x20);
    assert_non_null(at);
    return (unsigned)(at - digits);
}

struct text bytes_of(const char *hex)
{
    char *bytes = piece_create(strlen(hex) / 2);
    size_t size = 0;
    while (*hex != '\0') {
        if (*hex == ' ') {
            hex++;
            continue;
        }
        bytes[size++] = (char)(digit_of(hex[0]) << 4 | digit_of(hex[1]));
        hex += 2;
    }
    return bytes_copy((struct text){bytes, size});
}

struct text bytes_random(size_t size, uint64_t seed)
{
    struct rand rand;
    rand_seed(&rand, seed);
    char *bytes = piece_create(size);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (char)rand_u64(&rand);
    }
    return (struct text){bytes, size};
}

struct text bytes_repeated(size_t size, char byte)
{
    char *bytes = piece_create(size);
    memset(bytes, byte, size);
    return (struct text){bytes, size};
}

void bytes_expect(struct text bytes, const char *hex)
{
    const struct text expected = bytes_of(hex);
    if (text_equal(bytes, expected)) {
        return;
    }
    printf("got      ");
    for (size_t i = 0; i < bytes.size; i++) {
        printf("%02x", (unsigned char)bytes.data[i]);
    }
    printf("\nexpected ");
    for (size_t i = 0; i < expected.size; i++) {
        printf("%02x", (unsigned char)expected.data[i]);
    }
    printf("\n");
    fail_msg("other bytes than expected");
}

struct cql_envelope bytes_answer(int version, uint8_t opcode, uint8_t flags, struct text body)
{
    return (struct cql_envelope){
        .version = (uint8_t)version, .opcode = opcode, .flags = flags, .stream = 1, .body = body};
}
