// The buffered writer behind every command's standard output and messages.
#include "output.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define OUTPUT_PASS_SIZE 32768u
#define OUTPUT_CAP_MAX   (64u << 20) // one row is far below that

void output_init(struct output *output, int fd)
{
    *output = (struct output){.fd = fd};
    buf_init_heap(&output->buf, OUTPUT_CAP_MAX);
}

void output_deinit(struct output *output)
{
    buf_deinit(&output->buf);
}

// A non-blocking descriptor (a terminal shared with another program) makes write() answer EAGAIN;
// then we wait as a blocking one would.
static bool write_some(struct output *output, struct text *rest)
{
    ssize_t written = write(output->fd, rest->data, rest->size);
    if (written >= 0) {
        rest->data += written;
        rest->size -= (size_t)written;
        return true;
    }
    if (errno == EAGAIN) {
        struct pollfd wait = {.fd = output->fd, .events = POLLOUT};
        (void)poll(&wait, 1, -1); // an interrupted or failed wait shows in the next write
        return true;
    }
    if (errno != EINTR) {
        output->failure = errno;
    }
    return output->failure == 0;
}

void output_flush(struct output *output)
{
    assert(output != NULL);
    if (buf_overflowed(&output->buf) && output->failure == 0) {
        output->failure = ENOMEM;
    }
    if (output->fd < 0) {
        return;
    }
    struct text rest = buf_view(&output->buf);
    while (rest.size > 0 && output->failure == 0 && write_some(output, &rest)) {
        continue;
    }
    buf_reset(&output->buf);
}

bool output_pass(struct output *output)
{
    if (buf_view(&output->buf).size >= OUTPUT_PASS_SIZE || buf_overflowed(&output->buf)) {
        output_flush(output);
    }
    return output->failure == 0;
}

enum err output_finish(struct output *output, struct why *why)
{
    output_flush(output);
    if (output->failure == 0 || output->failure == EPIPE) {
        return ERR_OK;
    }
    return why_set(why, ERR_IO, "standard output: %s", strerror(output->failure));
}
