#include "fault_vfs.h"

#include <assert.h>
#include <pthread.h>
#include <sqlite3.h>
#include <string.h>

struct fault_file {
    sqlite3_file file; // first
    const char *name;  // SQLite keeps it until the file is closed; NULL for temporary files
    sqlite3_file *real;
};

static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    pthread_mutex_t lock;
    struct fault_vfs_plan plan;
    uint64_t matched;
    uint64_t added_size;
    uint64_t counts[FAULT_VFS_CALL_COUNT];
    bool hit;
} fault = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const int default_results[FAULT_VFS_CALL_COUNT] = {
    [FAULT_VFS_WRITE] = SQLITE_IOERR_WRITE,       [FAULT_VFS_SYNC] = SQLITE_IOERR_FSYNC,
    [FAULT_VFS_TRUNCATE] = SQLITE_IOERR_TRUNCATE, [FAULT_VFS_READ] = SQLITE_IOERR_READ,
    [FAULT_VFS_OPEN] = SQLITE_CANTOPEN,
};

static bool name_matches(const char *name)
{
    if (fault.plan.suffix == NULL) {
        return true;
    }
    size_t name_size = name != NULL ? strlen(name) : 0;
    size_t suffix_size = strlen(fault.plan.suffix);
    return name_size >= suffix_size &&
           memcmp(name + name_size - suffix_size, fault.plan.suffix, suffix_size) == 0;
}

// SQLITE_OK, or what the call must answer instead of doing its work.
static int judge(enum fault_vfs_call call, const char *name)
{
    int result = SQLITE_OK;
    pthread_mutex_lock(&fault.lock);
    if (name_matches(name)) {
        fault.counts[call]++;
        if ((fault.plan.calls & FAULT_VFS_MASK(call)) != 0 && fault.plan.nth != 0) {
            fault.matched++;
            if (fault.matched == fault.plan.nth ||
                (fault.plan.stays && fault.matched > fault.plan.nth)) {
                fault.hit = true;
                result = fault.plan.result != 0 ? fault.plan.result : default_results[call];
            }
        }
    }
    pthread_mutex_unlock(&fault.lock);
    return result;
}

// The same for the room on the disk.
static int judge_growth(const char *name, uint64_t size)
{
    int result = SQLITE_OK;
    pthread_mutex_lock(&fault.lock);
    if (fault.plan.size_max != 0 && name_matches(name)) {
        if (fault.added_size + size > fault.plan.size_max) {
            fault.hit = true;
            result = SQLITE_FULL;
        } else {
            fault.added_size += size;
        }
    }
    pthread_mutex_unlock(&fault.lock);
    return result;
}

static struct fault_file *ours(sqlite3_file *file)
{
    return (struct fault_file *)(void *)file;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ours(file)->real;
}

static int file_close(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int file_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 offset)
{
    int result = judge(FAULT_VFS_READ, ours(file)->name);
    return result != SQLITE_OK ? result
                               : real_of(file)->pMethods->xRead(real_of(file), bytes, size, offset);
}

static uint64_t growth(sqlite3_file *real, int size, sqlite3_int64 offset)
{
    sqlite3_int64 now = 0;
    (void)real->pMethods->xFileSize(real, &now);
    return offset + size > now ? (uint64_t)(offset + size - now) : 0;
}

static int file_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset)
{
    sqlite3_file *real = real_of(file);
    int result = judge(FAULT_VFS_WRITE, ours(file)->name);
    if (result == SQLITE_OK) {
        result = judge_growth(ours(file)->name, growth(real, size, offset));
    } else if (fault.plan.torn && size > 1) {
        (void)real->pMethods->xWrite(real, bytes, size / 2, offset);
    }
    return result != SQLITE_OK ? result : real->pMethods->xWrite(real, bytes, size, offset);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int result = judge(FAULT_VFS_TRUNCATE, ours(file)->name);
    return result != SQLITE_OK ? result : real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int file_sync(sqlite3_file *file, int flags)
{
    int result = judge(FAULT_VFS_SYNC, ours(file)->name);
    return result != SQLITE_OK || fault.plan.skips_syncs
               ? result
               : real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int file_lock(sqlite3_file *file, int kind)
{
    return real_of(file)->pMethods->xLock(real_of(file), kind);
}

static int file_unlock(sqlite3_file *file, int kind)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), kind);
}

static int file_check_lock(sqlite3_file *file, int *out_reserved)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out_reserved);
}

static int file_control(sqlite3_file *file, int operation, void *argument)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), operation, argument);
}

static int file_sector_size(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int file_characteristics(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int file_shm_map(sqlite3_file *file, int page, int page_size, int extend,
                        void volatile **out)
{
    return real_of(file)->pMethods->xShmMap(real_of(file), page, page_size, extend, out);
}

static int file_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}

static void file_shm_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int file_shm_unmap(sqlite3_file *file, int delete)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), delete);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                    int *out_flags)
{
    (void)vfs;
    struct fault_file *opened = ours(file);
    opened->file.pMethods = NULL;
    opened->name = name;
    opened->real = (sqlite3_file *)(void *)(opened + 1);
    int result = judge(FAULT_VFS_OPEN, name);
    if (result == SQLITE_OK) {
        result = fault.real->xOpen(fault.real, name, opened->real, flags, out_flags);
    }
    if (result == SQLITE_OK) {
        opened->file.pMethods = &methods;
    }
    return result;
}

void fault_vfs_install(void)
{
    if (fault.real != NULL) {
        return;
    }
    fault.real = sqlite3_vfs_find(NULL);
    assert(fault.real != NULL);
    // All but opening goes to the real one as it is: unix's functions keep no state in the struct.
    fault.vfs = *fault.real;
    fault.vfs.zName = "fault";
    fault.vfs.szOsFile = (int)sizeof(struct fault_file) + fault.real->szOsFile;
    fault.vfs.xOpen = vfs_open;
    int result = sqlite3_vfs_register(&fault.vfs, 1);
    assert(result == SQLITE_OK);
}

void fault_vfs_arm(const struct fault_vfs_plan *plan)
{
    assert(fault.real != NULL);
    pthread_mutex_lock(&fault.lock);
    fault.plan = *plan;
    fault.matched = 0;
    fault.added_size = 0;
    memset(fault.counts, 0, sizeof(fault.counts));
    fault.hit = false;
    pthread_mutex_unlock(&fault.lock);
}

void fault_vfs_disarm(void)
{
    pthread_mutex_lock(&fault.lock);
    fault.plan.nth = 0;
    fault.plan.size_max = 0;
    pthread_mutex_unlock(&fault.lock);
}

bool fault_vfs_hit(void)
{
    pthread_mutex_lock(&fault.lock);
    bool hit = fault.hit;
    pthread_mutex_unlock(&fault.lock);
    return hit;
}

uint64_t fault_vfs_count(enum fault_vfs_call call)
{
    pthread_mutex_lock(&fault.lock);
    uint64_t count = fault.counts[call];
    pthread_mutex_unlock(&fault.lock);
    return count;
}

// SQLite's allocations.

static struct {
    sqlite3_mem_methods real;
    bool installed;
    uint64_t left; // until the one that fails; 0: none
    bool hit;
} memory;

// Under SQLite's own lock where it has one; tests that arm this use one thread.
static bool fails_now(void)
{
    if (memory.left == 0) {
        return false;
    }
    memory.left--;
    memory.hit = memory.hit || memory.left == 0;
    return memory.left == 0;
}

static void *memory_alloc(int size)
{
    return fails_now() ? NULL : memory.real.xMalloc(size);
}

static void *memory_realloc(void *bytes, int size)
{
    return fails_now() ? NULL : memory.real.xRealloc(bytes, size);
}

void fault_sqlite_alloc_install(void)
{
    if (memory.installed) {
        return;
    }
    int result = sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory.real);
    assert(result == SQLITE_OK);
    sqlite3_mem_methods wrapped = memory.real;
    wrapped.xMalloc = memory_alloc;
    wrapped.xRealloc = memory_realloc;
    result = sqlite3_config(SQLITE_CONFIG_MALLOC, &wrapped);
    assert(result == SQLITE_OK);
    memory.installed = true;
}

void fault_sqlite_alloc_arm(uint64_t nth)
{
    memory.left = nth;
    if (nth != 0) {
        memory.hit = false;
    }
}

bool fault_sqlite_alloc_hit(void)
{
    return memory.hit;
}
