// The reader against jansson: the same documents accepted, the same values in them. The seed is
// printed.
#include "json_check.h"
#include "json_random.h"
#include "test_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define DOCUMENT_COUNT    20000u // of them every second one damaged
#define DOCUMENT_SIZE_MAX 65536u

static bool agree(struct text document)
{
    bool accepted = false;
    const char *broken = json_check(document, &accepted);
    if (broken) {
        char room[4096];
        struct buf buf;
        buf_init_fixed(&buf, room, sizeof(room) - 1);
        buf_add_escaped(&buf, document, 1000);
        fail_msg("not so: %s; document: %.*s", broken, TEXT_PRINT(buf_view(&buf)));
    }
    return accepted;
}

static void random_documents_read_as_jansson_reads_them(void **state)
{
    (void)state;
    static char room[DOCUMENT_SIZE_MAX];
    unsigned damaged_accepted = 0;
    struct rand rand;
    rand_seed(&rand, test_seed());
    for (unsigned i = 0; i < DOCUMENT_COUNT; i++) {
        struct buf buf;
        buf_init_fixed(&buf, room, sizeof(room));
        json_random_document(&rand, &buf);
        assert_false(buf_overflowed(&buf));
        if (i % 2 == 0) {
            assert_true(agree(buf_view(&buf)));
        } else {
            json_random_damage(&rand, &buf);
            damaged_accepted += agree(buf_view(&buf));
        }
    }
    // Damage that always or never showed would mean that it tests nothing.
    print_message("%u of %u damaged documents accepted\n", damaged_accepted, DOCUMENT_COUNT / 2);
    assert_in_range(damaged_accepted, DOCUMENT_COUNT / 40,
                    DOCUMENT_COUNT / 2 - DOCUMENT_COUNT / 40);
}

static const struct text small_documents[] = {
    TEXT("{\"a\":[1,-2.5e+3,true,null,\"x\\n\\u00e9\\ud83d\\ude00\xC3\xA9\"],\"b\":{\"a\":false}}"),
    TEXT("[0,0.0,1e1,\"\",{},[]]"),
    TEXT("\"plain\""),
    TEXT("-10.25E-3"),
};

static void every_single_byte_change_reads_as_jansson_reads_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(small_documents) / sizeof(small_documents[0]); i++) {
        char changed[128];
        const size_t size = small_documents[i].size;
        memcpy(changed, small_documents[i].data, size);
        for (size_t offset = 0; offset < size; offset++) {
            for (unsigned byte = 0; byte < 256; byte++) {
                changed[offset] = (char)byte;
                agree((struct text){changed, size});
            }
            changed[offset] = small_documents[i].data[offset];
        }
    }
}

static void every_cut_out_byte_reads_as_jansson_reads_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(small_documents) / sizeof(small_documents[0]); i++) {
        const struct text document = small_documents[i];
        char cut[128];
        for (size_t offset = 0; offset < document.size; offset++) {
            memcpy(cut, document.data, offset);
            memcpy(cut + offset, document.data + offset + 1, document.size - offset - 1);
            agree((struct text){cut, document.size - 1});
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_documents_read_as_jansson_reads_them),
        cmocka_unit_test(every_single_byte_change_reads_as_jansson_reads_it),
        cmocka_unit_test(every_cut_out_byte_reads_as_jansson_reads_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
