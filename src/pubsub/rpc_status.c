// The one table from gRPC's codes to ours.
#include "rpc_status.h"

#include "buf.h"

#define MESSAGE_SIZE_MAX 300u // bytes of the service's text that are kept

static const struct {
    const char *name;
    enum err err;
} codes[] = {
#define X(code, number, error) [number] = {#code, error},
    RPC_TABLE(X)
#undef X
};

static bool is_known(int code)
{
    return code >= 0 && (size_t)code < sizeof(codes) / sizeof(codes[0]);
}

enum err rpc_error(int code)
{
    return is_known(code) ? codes[code].err : ERR_UNAVAILABLE;
}

const char *rpc_code_name(int code)
{
    return is_known(code) ? codes[code].name + sizeof("RPC_") - 1 : "status unknown to gRPC";
}

enum err rpc_status_explain(const struct rpc_status *status, struct why *why)
{
    enum err err = rpc_error(status->code);
    if (err == ERR_OK || why == NULL) {
        return err;
    }
    char text[4 * MESSAGE_SIZE_MAX + 4];
    struct buf escaped;
    buf_init_fixed(&escaped, text, sizeof(text));
    buf_add_escaped(&escaped, status->message, MESSAGE_SIZE_MAX);
    struct text shown = buf_view(&escaped);
    return why_set(why, err, "%s%s%.*s", rpc_code_name(status->code), shown.size > 0 ? ": " : "",
                   TEXT_PRINT(shown));
}
