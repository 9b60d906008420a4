// Makes DIR/till.sock, and removes it.
#include "ingest_listener.h"

#include "ingest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LISTEN_BACKLOG 128
#define SOCKET_MODE    0600 // who may publish is who may read the directory

static enum err system_error(const char *what, int number, struct why *why)
{
    enum err err = ERR_IO;
    if (number == EACCES || number == EPERM) {
        err = ERR_PERMISSION;
    } else if (number == ENOSPC || number == EDQUOT) {
        err = ERR_FULL;
    } else if (number == EROFS) {
        err = ERR_READ_ONLY;
    } else if (number == EMFILE || number == ENFILE || number == ENOMEM || number == ENOBUFS) {
        err = ERR_NO_MEMORY;
    }
    return why_set(why, err, "%s: %s", what, strerror(number));
}

// An owner that died leaves its socket behind. The directory's lock is ours, so nobody listens
// there.
static enum err remove_stale_socket(int directory_fd, struct why *why)
{
    struct stat status;
    if (fstatat(directory_fd, INGEST_SOCKET_NAME, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT
                   ? ERR_OK
                   : system_error(INGEST_SOCKET_NAME " cannot be looked at", errno, why);
    }
    if (!S_ISSOCK(status.st_mode)) {
        return why_set(why, ERR_UNAVAILABLE,
                       INGEST_SOCKET_NAME " in the data directory is no socket; move it away");
    }
    if (unlinkat(directory_fd, INGEST_SOCKET_NAME, 0) != 0 && errno != ENOENT) {
        return system_error("the old " INGEST_SOCKET_NAME " cannot be removed", errno, why);
    }
    return ERR_OK;
}

static void close_fds(struct ingest_listener *listener)
{
    if (listener->fd >= 0) {
        (void)close(listener->fd);
        listener->fd = -1;
    }
    wire_address_close(&listener->address);
}

// Nobody can connect before listen(2), so the mode is set in time.
static enum err bind_and_listen(struct ingest_listener *listener, struct why *why)
{
    const struct wire_address *address = &listener->address;
    const struct sockaddr *socket_address = (const struct sockaddr *)&address->socket;
    if (bind(listener->fd, socket_address, address->size) != 0) {
        return system_error(INGEST_SOCKET_NAME " cannot be made", errno, why);
    }
    if (fchmodat(address->directory_fd, INGEST_SOCKET_NAME, SOCKET_MODE, 0) != 0) {
        return system_error("the mode of " INGEST_SOCKET_NAME " cannot be set", errno, why);
    }
    if (listen(listener->fd, LISTEN_BACKLOG) != 0) {
        return system_error(INGEST_SOCKET_NAME " cannot be listened on", errno, why);
    }
    return ERR_OK;
}

static enum err open_socket(struct ingest_listener *listener, struct why *why)
{
    enum err err = remove_stale_socket(listener->address.directory_fd, why);
    if (err != ERR_OK) {
        return err;
    }
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0) {
        return system_error("a socket cannot be made", errno, why);
    }
    return bind_and_listen(listener, why);
}

enum err ingest_listener_open(const char *directory, struct ingest_listener *out_listener,
                              struct why *why)
{
    struct ingest_listener listener = {.fd = -1};
    enum err err = wire_address_open(directory, &listener.address, why);
    if (err != ERR_OK) {
        return err;
    }
    err = open_socket(&listener, why);
    if (err != ERR_OK) {
        close_fds(&listener);
        return err;
    }
    *out_listener = listener;
    return ERR_OK;
}

void ingest_listener_close(struct ingest_listener *listener)
{
    if (listener->fd >= 0) {
        (void)unlinkat(listener->address.directory_fd, INGEST_SOCKET_NAME, 0); // a start can, too
        close_fds(listener);
    }
}
