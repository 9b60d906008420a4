// Opening a data directory, in the order of what can be wrong with it: path, directory, file system,
// room, lock. Every failure is one sentence that names the directory as the person wrote it.
//
// The lock is flock(2): it belongs to the open file, not to the process, so closing another
// descriptor of the same file does not lose it, and the kernel frees it when the process dies.
#include "data_dir.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define DIRECTORY_MODE 0700 // orders hold names and addresses
#define LOCK_MODE      0600
#define OWNER_SIZE_MAX 64u

static enum err code_of(int number)
{
    switch (number) {
    case EACCES:
    case EPERM:
        return ERR_PERMISSION;
    case EROFS:
        return ERR_READ_ONLY;
    case ENOSPC:
    case EDQUOT:
        return ERR_FULL;
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
        return ERR_UNAVAILABLE;
    default:
        return ERR_IO;
    }
}

// "data directory ./till-data cannot be created: Permission denied"
static enum err fail(const struct data_dir *dir, const char *what, int number, struct why *why)
{
    return why_set(why, code_of(number), "data directory %.200s %s: %s", dir->path, what,
                   strerror(number));
}

static bool join(char out[DATA_DIR_PATH_SIZE], const char *path, const char *name)
{
    int size = snprintf(out, DATA_DIR_PATH_SIZE, "%s%s%s", path, *name != '\0' ? "/" : "", name);
    return size > 0 && (size_t)size < DATA_DIR_PATH_SIZE;
}

static enum err set_paths(const char *path, struct data_dir *dir, struct why *why)
{
    assert(path != NULL);
    *dir = (struct data_dir){.lock_fd = -1};
    if (!join(dir->path, path, "") || !join(dir->topics_path, path, "topics.db") ||
        !join(dir->facts_path, path, "facts.db") || !join(dir->lock_path, path, "lock")) {
        return why_set(why, ERR_UNAVAILABLE, "the path of the data directory is empty or too long");
    }
    return ERR_OK;
}

static enum err check_is_directory(const struct data_dir *dir, struct why *why)
{
    struct stat status;
    if (stat(dir->path, &status) != 0) {
        return errno == ENOENT ? ERR_NOT_FOUND : fail(dir, "cannot be reached", errno, why);
    }
    if (!S_ISDIR(status.st_mode)) {
        return why_set(why, ERR_UNAVAILABLE, "data directory %.200s is not a directory", dir->path);
    }
    return ERR_OK;
}

// The directory that holds the last part of `path`: "." for a bare name, "/" at the root.
static void parent_of(const char *path, char out[DATA_DIR_PATH_SIZE])
{
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/') {
        size--;
    }
    while (size > 0 && path[size - 1] != '/') {
        size--;
    }
    while (size > 1 && path[size - 1] == '/') {
        size--;
    }
    if (size == 0) {
        path = ".";
        size = 1;
    }
    memcpy(out, path, size);
    out[size] = '\0';
}

// Without this the directory itself could be gone after a power cut, with all that was synced in it.
static enum err sync_directory(const struct data_dir *dir, const char *path, struct why *why)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return ERR_OK; // a parent that may be passed but not read: nothing more can be done
    }
    int failure = fsync(fd) == 0 || errno == EINVAL ? 0 : errno; // EINVAL: it never syncs
    (void)close(fd);
    return failure == 0 ? ERR_OK : fail(dir, "cannot be synced", failure, why);
}

static enum err create(const struct data_dir *dir, struct why *why)
{
    char parent[DATA_DIR_PATH_SIZE];
    parent_of(dir->path, parent);
    if (mkdir(dir->path, DIRECTORY_MODE) == 0) {
        return sync_directory(dir, parent, why);
    }
    if (errno == EEXIST) {
        return ERR_OK; // another process was quicker; the lock decides between the two
    }
    if (errno == ENOENT) {
        return why_set(why, ERR_UNAVAILABLE,
                       "data directory %.200s cannot be created: there is no directory %.200s",
                       dir->path, parent);
    }
    return fail(dir, "cannot be created", errno, why);
}

const char *data_dir_network_name(uint64_t file_system_type)
{
    switch (file_system_type & UINT32_MAX) { // the field's sign and width differ between systems
    case 0x6969:
        return "NFS";
    case 0x517b:
        return "SMB";
    case 0xff534d42:
        return "CIFS";
    case 0xfe534d42:
        return "SMB2";
    default:
        return NULL;
    }
}

static enum err check_file_system(const struct data_dir *dir, struct why *why)
{
    struct statfs system;
    if (statfs(dir->path, &system) != 0) {
        return fail(dir, "cannot be examined", errno, why);
    }
    const char *network = data_dir_network_name((uint64_t)system.f_type);
    if (network != NULL) {
        return why_set(why, ERR_UNAVAILABLE,
                       "data directory %.200s is on %s; locks and shared memory do not hold on a "
                       "network file system, so take a local disk",
                       dir->path, network);
    }
    return ERR_OK;
}

enum err data_dir_check_room(const char *path, uint64_t free_size, struct why *why)
{
    if (free_size >= DATA_DIR_FREE_SIZE_MIN) {
        return ERR_OK;
    }
    return why_set(why, ERR_FULL,
                   "data directory %.200s has %llu MiB of free disk; at least %llu are needed",
                   path, (unsigned long long)(free_size >> 20),
                   (unsigned long long)(DATA_DIR_FREE_SIZE_MIN >> 20));
}

static enum err check_room(const struct data_dir *dir, struct why *why)
{
    struct statvfs room;
    if (statvfs(dir->path, &room) != 0) {
        return fail(dir, "cannot be examined", errno, why);
    }
    return data_dir_check_room(dir->path, (uint64_t)room.f_bavail * room.f_frsize, why);
}

// The lock file holds "PID OWNER\n". Its owner may be just writing it: then we know no name.
static enum err complain_locked(const struct data_dir *dir, int fd, struct why *why)
{
    char text[OWNER_SIZE_MAX + 32] = "";
    long pid = 0;
    char owner[OWNER_SIZE_MAX] = "";
    ssize_t size = pread(fd, text, sizeof text - 1, 0);
    if (size > 0 && sscanf(text, "%ld %63[a-z0-9 -]", &pid, owner) == 2 && pid > 0) {
        return why_set(why, ERR_LOCKED, "data directory %.200s is in use by %s (pid %ld)",
                       dir->path, owner, pid);
    }
    return why_set(why, ERR_LOCKED, "data directory %.200s is in use by another process",
                   dir->path);
}

static enum err write_owner(const struct data_dir *dir, const char *owner, struct why *why)
{
    char text[OWNER_SIZE_MAX + 32];
    int size = snprintf(text, sizeof text, "%ld %s\n", (long)getpid(), owner);
    assert(size > 0 && (size_t)size < sizeof text);
    if (ftruncate(dir->lock_fd, 0) != 0 || pwrite(dir->lock_fd, text, (size_t)size, 0) != size) {
        return fail(dir, "cannot be written", errno != 0 ? errno : ENOSPC, why);
    }
    return ERR_OK;
}

static enum err lock(struct data_dir *dir, const char *owner, struct why *why)
{
    dir->lock_fd = open(dir->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, LOCK_MODE);
    if (dir->lock_fd < 0) {
        return fail(dir, "cannot be written", errno, why);
    }
    if (flock(dir->lock_fd, LOCK_EX | LOCK_NB) == 0) {
        errno = 0;
        return write_owner(dir, owner, why);
    }
    return errno == EWOULDBLOCK ? complain_locked(dir, dir->lock_fd, why)
                                : fail(dir, "cannot be locked", errno, why);
}

static enum err make_ready(struct data_dir *dir, const char *owner, struct why *why)
{
    enum err code = check_is_directory(dir, why);
    if (code == ERR_NOT_FOUND) {
        code = create(dir, why);
    }
    if (code == ERR_OK) {
        code = check_file_system(dir, why);
    }
    if (code == ERR_OK) {
        code = lock(dir, owner, why);
    }
    return code == ERR_OK ? check_room(dir, why) : code;
}

enum err data_dir_own(const char *path, const char *owner, struct data_dir *out_dir,
                      struct why *why)
{
    assert(strlen(owner) < OWNER_SIZE_MAX);
    struct data_dir dir;
    enum err code = set_paths(path, &dir, why);
    if (code == ERR_OK) {
        code = make_ready(&dir, owner, why);
    }
    if (code == ERR_OK) {
        *out_dir = dir;
    } else {
        data_dir_close(&dir);
    }
    return code;
}

enum err data_dir_view(const char *path, struct data_dir *out_dir, struct why *why)
{
    struct data_dir dir;
    enum err code = set_paths(path, &dir, why);
    if (code == ERR_OK) {
        code = check_is_directory(&dir, why);
    }
    if (code == ERR_NOT_FOUND) {
        return why_set(why, code, "there is no data directory %.200s; till run creates one",
                       dir.path);
    }
    if (code == ERR_OK && access(dir.path, R_OK | X_OK) != 0) {
        code = fail(&dir, "cannot be read", errno, why);
    }
    if (code == ERR_OK) {
        *out_dir = dir;
    }
    return code;
}

enum err data_dir_check_facts(const struct data_dir *dir, struct why *why)
{
    if (access(dir->facts_path, F_OK) == 0 || errno != ENOENT) {
        return ERR_OK;
    }
    return why_set(
        why, ERR_NOT_FOUND,
        "data directory %.200s holds no facts.db yet; till run and till consume create it",
        dir->path);
}

void data_dir_close(struct data_dir *dir)
{
    if (dir == NULL) {
        return;
    }
    // A zeroed struct has descriptor 0, which is never a lock of ours unless a path stands beside it.
    if (dir->path[0] != '\0' && dir->lock_fd >= 0) {
        (void)close(dir->lock_fd); // frees the lock; the file stays, and what it says is then stale
    }
    *dir = (struct data_dir){.lock_fd = -1};
}
