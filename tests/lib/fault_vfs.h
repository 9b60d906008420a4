// Makes SQLite's file system fail: a VFS around the usual one that fails the n-th write, sync, truncate,
// read or open of certain files, or reports a full disk after so many bytes; and counts calls. Also
// SQLite's own allocations can be made to fail.
//
// The usual scenario runs again and again with nth = 1, 2, 3 ... until it ends without a hit. Arm and
// disarm while no other thread uses SQLite; the calls themselves may come from any thread.
#ifndef TILL_FAULT_VFS_H
#define TILL_FAULT_VFS_H

#include <stdbool.h>
#include <stdint.h>

// X(name)
#define FAULT_VFS_CALLS(X) X(WRITE) X(SYNC) X(TRUNCATE) X(READ) X(OPEN)

enum fault_vfs_call {
#define X(name) FAULT_VFS_##name,
    FAULT_VFS_CALLS(X)
#undef X
        FAULT_VFS_CALL_COUNT
};
#define FAULT_VFS_MASK(call) (1u << (call))

struct fault_vfs_plan {
    unsigned calls;     // mask of the calls that are counted towards nth
    uint64_t nth;       // this one of them fails; 0: none
    bool stays;         // all later ones fail too
    bool torn;          // a write that fails writes its first half
    int result;         // SQLite result of the failure; 0: the I/O error of that call
    uint64_t size_max;  // writes that make files larger than they were fail with SQLITE_FULL once
                        // they added up to this many bytes; 0: never
    bool skips_syncs;   // syncs are counted and judged, but not done: a test's disk need not last
    const char *suffix; // only files whose name ends so; NULL: all
};

// Wraps the default VFS and becomes the default. Call before the first connection; once is enough.
void fault_vfs_install(void);
// Starts counting anew. The suffix must live until disarmed.
void fault_vfs_arm(const struct fault_vfs_plan *plan);
// Nothing fails any more. Counts and hit stay to be asked; skips_syncs stays on.
void fault_vfs_disarm(void);
bool fault_vfs_hit(void); // something was made to fail since the last arm
uint64_t
fault_vfs_count(enum fault_vfs_call call); // calls on files of the suffix since the last arm

// SQLite's allocations: install before SQLite is used at all; then the n-th from arm on fails.
void fault_sqlite_alloc_install(void);
void fault_sqlite_alloc_arm(uint64_t nth); // 0 disarms
bool fault_sqlite_alloc_hit(void);

#endif
