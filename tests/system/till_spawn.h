// The part of till_process that forks and executes. Failures end the test.
#ifndef TILL_TESTS_TILL_SPAWN_H
#define TILL_TESTS_TILL_SPAWN_H

#include "till_process.h"

#include <sys/types.h>

// Descriptors of the test's own ends; -1 where there is none. They are the caller's to close.
struct till_spawned {
    pid_t pid;
    int in_fd;
    int out_fd; // of a terminal: both ways
    int err_fd;
    int stuck_fd; // the end of standard error's pipe that nobody reads
};

void till_spawn(const struct till_start *start, struct till_spawned *out_spawned);

#endif
