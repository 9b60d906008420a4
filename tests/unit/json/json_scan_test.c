// Both ways of scanning a string, against a plain loop.
#include "json_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#define SIZE_MAX_TRIED 50

typedef size_t (*scan_function)(struct text text, size_t offset);

static size_t scan_plainly(struct text text, size_t offset)
{
    while (offset < text.size && text.data[offset] != '"' && text.data[offset] != '\\' &&
           (unsigned char)text.data[offset] >= 0x20) {
        offset++;
    }
    return offset;
}

// On a block of exactly that size, so that the address sanitizer sees a byte read too much.
static void check_byte_everywhere(scan_function scan, char byte, size_t size)
{
    char *data = malloc(size);
    assert_non_null(data);
    memset(data, 'x', size);
    for (size_t place = 0; place < size; place++) {
        data[place] = byte;
        const struct text text = {data, size};
        for (size_t offset = 0; offset <= size; offset++) {
            assert_int_equal(scan(text, offset), scan_plainly(text, offset));
        }
        data[place] = 'x';
    }
    free(data);
}

static void check_every_byte_value(scan_function scan)
{
    for (int byte = 0; byte < 256; byte++) {
        for (size_t size = 1; size < SIZE_MAX_TRIED; size += 7) {
            check_byte_everywhere(scan, (char)byte, size);
        }
    }
}

// Neighbours of a special byte are where a borrow could mislead the word-wide test.
static void check_every_pair(scan_function scan)
{
    char data[24];
    for (int first = 0; first < 256; first++) {
        for (int second = 0; second < 256; second++) {
            memset(data, 'x', sizeof(data));
            data[5] = (char)first;
            data[6] = (char)second;
            const struct text text = {data, sizeof(data)};
            assert_int_equal(scan(text, 0), scan_plainly(text, 0));
            assert_int_equal(scan(text, 6), scan_plainly(text, 6));
        }
    }
}

static void portable_scan_finds_every_special_byte_at_every_place(void **state)
{
    (void)state;
    check_every_byte_value(json_scan_portable);
    check_every_pair(json_scan_portable);
}

static void sse2_scan_finds_every_special_byte_at_every_place(void **state)
{
    (void)state;
#ifdef __SSE2__
    check_every_byte_value(json_scan_sse2);
    check_every_pair(json_scan_sse2);
#else
    skip();
#endif
}

static void scan_of_nothing_finds_its_end(void **state)
{
    (void)state;
    assert_int_equal(json_scan((struct text){NULL, 0}, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(portable_scan_finds_every_special_byte_at_every_place),
        cmocka_unit_test(sse2_scan_finds_every_special_byte_at_every_place),
        cmocka_unit_test(scan_of_nothing_finds_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
