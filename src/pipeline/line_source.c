// The buffer holds what was read and not yet given out: whole lines, then the start of one more.
//
//     buffer        start              scanned        end              LINE_SOURCE_CAP
//       | given out   | start of a line   | unsearched  | room for a read   |
//
// Lines are views into the buffer. When no line end is left in it, the rest, which is shorter than the
// longest line, moves to the front and more is read behind it. Streams that may have nothing to read
// yet are polled before every read instead of being made non-blocking: the mode would also change for
// other programs that share our standard input.
#include "line_source.h"

#include "decode.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CUT_SIZE        (MESSAGE_SIZE_MAX + 1u) // what is passed on of a longer line
#define UNDECIDED_MAX   CUT_SIZE                // without a line end; may be a message and its CR
#define LINE_SOURCE_CAP (UNDECIDED_MAX + LINE_SOURCE_READ_SIZE)

struct line_source {
    struct source source; // first
    int fd;
    bool is_ours;   // the descriptor; standard input is not
    bool may_block; // polled before a read
    enum line_topic topic;
    bool skips_rest; // of an over-long line
    bool at_end;
    int failed_errno; // 0: none
    uint64_t line_number;
    struct line_counts counts;
    size_t start;
    size_t scanned;
    size_t end;
    char *name;
    char buffer[LINE_SOURCE_CAP];
};

static bool is_standard_input(const char *path)
{
    return strcmp(path, "-") == 0;
}

static const char *shown_name(const char *path)
{
    return is_standard_input(path) ? "standard input" : path;
}

static enum err err_of_errno(int number)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
        return ERR_PERMISSION;
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case ENXIO:
        return ERR_INVALID;
    case ENOMEM:
        return ERR_NO_MEMORY;
    default:
        return ERR_IO;
    }
}

static enum err why_errno(struct why *why, const char *name, int number)
{
    return why_set(why, err_of_errno(number), "%s: %s", name, strerror(number));
}

// O_NONBLOCK lets a FIFO be opened before anybody writes to it.
static int open_path(const char *path)
{
    if (is_standard_input(path)) {
        return STDIN_FILENO;
    }
    int fd;
    do {
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

static enum err open_stream(struct line_source *source, struct why *why)
{
    source->fd = open_path(source->name);
    source->is_ours = source->fd >= 0 && !is_standard_input(source->name);
    struct stat status;
    const char *name = shown_name(source->name);
    if (source->fd < 0 || fstat(source->fd, &status) != 0) {
        return why_errno(why, name, errno);
    }
    if (S_ISDIR(status.st_mode)) {
        return why_errno(why, name, EISDIR);
    }
    source->may_block = !S_ISREG(status.st_mode);
    return ERR_OK;
}

static enum bus_topic topic_of(const struct line_source *source, struct text body)
{
    switch (source->topic) {
    case LINE_ORDERS:
        return BUS_ORDERS;
    case LINE_PAYMENTS:
        return BUS_PAYMENTS;
    case LINE_GUESS:
        break;
    }
    return message_kind_guess(body) == MESSAGE_PAYMENT ? BUS_PAYMENTS : BUS_ORDERS;
}

// false when the line is empty.
static bool give_line(struct line_source *source, size_t size, struct line *out_line)
{
    struct text body = {source->buffer + source->start, size};
    source->line_number++;
    if (size == 0) {
        source->counts.empty++;
        return false;
    }
    source->counts.lines++;
    *out_line = (struct line){
        .body = body,
        .topic = topic_of(source, body),
        .number = source->line_number,
    };
    return true;
}

static bool give_cut_line(struct line_source *source, struct line *out_line)
{
    source->counts.over_long++;
    return give_line(source, CUT_SIZE, out_line);
}

// The line from start up to line_end, which is where its LF is or where the input ends.
static bool give_whole_line(struct line_source *source, size_t line_end, struct line *out_line)
{
    size_t size = line_end - source->start;
    if (size > 0 && source->buffer[line_end - 1] == '\r') {
        size--;
    }
    return size > MESSAGE_SIZE_MAX ? give_cut_line(source, out_line)
                                   : give_line(source, size, out_line);
}

static void drop_to(struct line_source *source, size_t position)
{
    source->start = position;
    source->scanned = position;
}

// What is left once no line end is in hand: nothing, the start of a line, or a line too long.
static bool take_rest(struct line_source *source, struct line *out_line)
{
    size_t size = source->end - source->start;
    source->scanned = source->end;
    bool given = false;
    if (source->skips_rest) {
        drop_to(source, source->end);
    } else if (size > UNDECIDED_MAX) {
        given = give_cut_line(source, out_line);
        source->skips_rest = true;
        drop_to(source, source->end);
    } else if (source->at_end && size > 0) {
        given = give_whole_line(source, source->end, out_line);
        drop_to(source, source->end);
    }
    return given;
}

// false when no line is in hand.
static bool take_line(struct line_source *source, struct line *out_line)
{
    while (source->scanned < source->end) {
        const char *newline =
            memchr(source->buffer + source->scanned, '\n', source->end - source->scanned);
        if (newline == NULL) {
            break;
        }
        size_t line_end = (size_t)(newline - source->buffer);
        bool given = !source->skips_rest && give_whole_line(source, line_end, out_line);
        source->skips_rest = false;
        drop_to(source, line_end + 1);
        if (given) {
            return true;
        }
    }
    return take_rest(source, out_line);
}

static bool would_block(const struct line_source *source)
{
    struct pollfd poll_fd = {.fd = source->fd, .events = POLLIN};
    return source->may_block && poll(&poll_fd, 1, 0) == 0;
}

static void make_room(struct line_source *source)
{
    size_t rest_size = source->end - source->start;
    assert(rest_size <= UNDECIDED_MAX);
    memmove(source->buffer, source->buffer + source->start, rest_size);
    source->scanned -= source->start;
    source->start = 0;
    source->end = rest_size;
}

// SOURCE_READY when there is something new to look at, the end included.
static enum source_status read_more(struct line_source *source)
{
    if (would_block(source)) {
        return SOURCE_WAIT;
    }
    make_room(source);
    ssize_t size;
    do {
        size = read(source->fd, source->buffer + source->end, LINE_SOURCE_READ_SIZE);
    } while (size < 0 && errno == EINTR);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return SOURCE_WAIT;
    }
    if (size < 0) {
        source->failed_errno = errno;
        return SOURCE_FAILED;
    }
    source->at_end = size == 0;
    source->end += (size_t)size;
    source->counts.read_size += (uint64_t)size;
    return SOURCE_READY;
}

enum source_status line_source_next(struct line_source *source, struct line *out_line,
                                    struct why *why)
{
    enum source_status status = source->failed_errno == 0 ? SOURCE_READY : SOURCE_FAILED;
    while (status == SOURCE_READY && !take_line(source, out_line)) {
        status = source->at_end ? SOURCE_END : read_more(source);
    }
    if (status == SOURCE_FAILED) {
        (void)why_errno(why, shown_name(source->name), source->failed_errno);
    }
    return status;
}

static enum source_status source_next(struct source *source, struct source_message *out_message,
                                      struct why *why)
{
    struct line line;
    enum source_status status = line_source_next((struct line_source *)source, &line, why);
    if (status == SOURCE_READY) {
        *out_message = (struct source_message){.topic = line.topic, .body = line.body};
    }
    return status;
}

static int source_poll_fd(struct source *source)
{
    return line_source_fd((struct line_source *)source);
}

static void source_close(struct source *source)
{
    struct line_source *line_source = (struct line_source *)source;
    line_source_close(&line_source);
}

enum err line_source_open(const char *path, enum line_topic topic, struct line_source **out_source,
                          struct why *why)
{
    struct line_source *source = calloc(1, sizeof(*source));
    char *name = strdup(path);
    if (source == NULL || name == NULL) {
        free(source);
        free(name);
        return why_set(why, ERR_NO_MEMORY, "%s: no memory to read it", shown_name(path));
    }
    source->source = (struct source){source_next, source_poll_fd, source_close};
    source->topic = topic;
    source->name = name;
    enum err err = open_stream(source, why);
    if (err != ERR_OK) {
        line_source_close(&source);
        return err;
    }
    *out_source = source;
    return ERR_OK;
}

int line_source_fd(const struct line_source *source)
{
    return source->fd;
}

struct line_counts line_source_counts(const struct line_source *source)
{
    return source->counts;
}

void line_source_close(struct line_source **source)
{
    if (source == NULL || *source == NULL) {
        return;
    }
    if ((*source)->is_ours) {
        (void)close((*source)->fd);
    }
    free((*source)->name);
    free(*source);
    *source = NULL;
}

struct source *line_source_source(struct line_source *source)
{
    return &source->source;
}
