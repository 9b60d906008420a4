// Any bytes as a document: the reader must agree with jansson. Any bytes as a string: what the
// writer makes of them must be JSON.
#include "fuzz.h"
#include "json_check.h"
#include "json_write.h"

static void write_as_string(struct text text)
{
    const size_t cap = 6 * text.size + 2; // every byte as \u00XX, and the quotes
    char *room = malloc(cap);
    if (!room) {
        return;
    }
    struct buf buf;
    buf_init_fixed(&buf, room, cap);
    struct json_writer writer;
    json_writer_init(&writer, &buf);
    json_string(&writer, text);
    bool accepted = false;
    fuzz_expect(buf_overflowed(&buf) ? "six bytes of room for each byte will do" : NULL);
    fuzz_expect(json_check(buf_view(&buf), &accepted));
    fuzz_expect(accepted ? NULL : "what the writer writes is JSON");
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct text text = {(const char *)data, size};
    bool accepted = false;
    fuzz_expect(json_check(text, &accepted));
    write_as_string(text);
    return 0;
}
