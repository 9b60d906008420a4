// Any bytes as the body of an answer: the first three bytes are version, opcode and flags.
#include "cql_check.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3) {
        return 0;
    }
    const struct cql_envelope envelope = {
        .version = (data[0] & 1) != 0 ? 5 : 4,
        .opcode = data[1],
        .flags = data[2],
        .stream = 1,
        .body = {(const char *)data + 3, size - 3},
    };
    struct cql_response response;
    if (cql_response_read(&envelope, &response)) {
        cql_check_response(&response, envelope.body);
    }
    return 0;
}
