// Dispatch to the implementation.
#include "transport.h"

#include <assert.h>

void transport_call_start(struct transport *transport, struct transport_call *call)
{
    assert(call->done != NULL && call->request != NULL && call->operation == NULL);
    assert((unsigned)call->method < RPC_METHOD_COUNT && call->timeout_us > 0);
    transport->ops->call(transport, call);
}

void transport_call_cancel(struct transport *transport, struct transport_call *call)
{
    transport->ops->call_cancel(transport, call);
}

void transport_stream_open(struct transport *transport, struct transport_stream *stream)
{
    assert(stream->on_message != NULL && stream->on_written != NULL && stream->on_end != NULL);
    assert((unsigned)stream->method < RPC_METHOD_COUNT && stream->operation == NULL);
    transport->ops->stream_open(transport, stream);
}

void transport_stream_read(struct transport *transport, struct transport_stream *stream)
{
    transport->ops->stream_read(transport, stream);
}

void transport_stream_write(struct transport *transport, struct transport_stream *stream,
                            struct payload *message)
{
    transport->ops->stream_write(transport, stream, message);
}

void transport_stream_finish(struct transport *transport, struct transport_stream *stream)
{
    transport->ops->stream_finish(transport, stream);
}

void transport_stream_cancel(struct transport *transport, struct transport_stream *stream)
{
    transport->ops->stream_cancel(transport, stream);
}

void transport_reconnect(struct transport *transport, uint32_t connection)
{
    transport->ops->reconnect(transport, connection);
}

void transport_wait(struct transport *transport, int64_t timeout_ns)
{
    transport->ops->wait(transport, timeout_ns);
}

void transport_wake(struct transport *transport)
{
    transport->ops->wake(transport);
}

void transport_close(struct transport **transport)
{
    if (transport != NULL && *transport != NULL) {
        (*transport)->ops->close(*transport);
        *transport = NULL;
    }
}
