// Any bytes as a type and a value of it: an [option], then the value's bytes. What fits is bound again, and
// must be the same bytes.
#include "cql_check.h"
#include "cql_ring.h"
#include "cql_token.h"
#include "cql_value.h"
#include "fuzz.h"

#include <string.h>

static void bind_again(struct cql_cell cell)
{
    static char memory[1 << 16];
    struct cql_values values;
    cql_values_init(&values, memory, sizeof(memory));
    cql_bind_cell(&values, cell);
    const struct cql_values_view view = cql_values_view(&values);
    if (!view.overflowed) {
        struct text key;
        fuzz_expect(text_equal(cql_values_at(view, 0).bytes, cell.bytes)
                        ? NULL
                        : "what was bound is found again");
        if (cql_routing_key(view, (const uint16_t[]){0}, 1, NULL, 0, &key)) {
            fuzz_expect(cql_token(key) != INT64_MIN ? NULL : "the smallest number is no token");
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cql_reader reader;
    struct cql_replication replication;
    cql_reader_init(&reader, (struct text){(const char *)data, size});
    const struct cql_type type = cql_read_type(&reader);
    if (reader.damaged) {
        return 0;
    }
    const struct cql_cell cell = {.bytes = cql_read_raw(&reader, cql_reader_left(&reader))};
    cql_check_cell(cell, type);
    bind_again(cell);
    (void)!cql_replication_read(cell, &replication);
    return 0;
}
