// The data directory: where topics.db and facts.db lie, and who owns them. One process at a time owns
// it, by a lock on DIR/lock that ends with the process, however it ends. Reading needs no lock.
// Nothing here ever deletes anything.
#ifndef TILL_DATA_DIR_H
#define TILL_DATA_DIR_H

#include "errors.h"

#include <stdint.h>

#define DATA_DIR_PATH_SIZE     4096u
#define DATA_DIR_FREE_SIZE_MIN (UINT64_C(64) << 20) // less room than this is refused

struct data_dir {
    char path[DATA_DIR_PATH_SIZE];        // as given
    char topics_path[DATA_DIR_PATH_SIZE]; // DIR/topics.db
    char facts_path[DATA_DIR_PATH_SIZE];  // DIR/facts.db
    char lock_path[DATA_DIR_PATH_SIZE];
    int lock_fd; // -1: not owned
};

// Creates the directory when it is absent (its parent must be there), checks that data is safe in it,
// and locks it in the name of `owner` ("till run"), which others then see. ERR_LOCKED,
// ERR_UNAVAILABLE (no parent, no directory, network file system), ERR_FULL, ERR_READ_ONLY,
// ERR_PERMISSION, ERR_IO; `why` is one sentence.
MUST_USE enum err data_dir_own(const char *path, const char *owner, struct data_dir *out_dir,
                               struct why *why);

// Only finds the files of an existing directory, for reading. ERR_NOT_FOUND, ERR_UNAVAILABLE,
// ERR_PERMISSION.
MUST_USE enum err data_dir_view(const char *path, struct data_dir *out_dir, struct why *why);

// Whether there are facts to read in a directory that is viewed. ERR_NOT_FOUND.
MUST_USE enum err data_dir_check_facts(const struct data_dir *dir, struct why *why);

// Gives up the lock. Accepts a zeroed, closed or only viewed one.
void data_dir_close(struct data_dir *dir);

// The common name of a network file system that breaks locks and SQLite's shared memory, by the type
// that statfs(2) gives, or NULL for one that data is safe on.
const char *data_dir_network_name(uint64_t file_system_type);

// ERR_FULL when that many free bytes are too few to begin with.
MUST_USE enum err data_dir_check_room(const char *path, uint64_t free_size, struct why *why);

#endif
