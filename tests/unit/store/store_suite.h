// What every store must do, written against store.h and store_read.h alone. A store comes with a
// factory; the same claims are then run on it.
#ifndef TILL_STORE_SUITE_H
#define TILL_STORE_SUITE_H

#include "store.h"
#include "store_read.h"

// What a store can do, so that claims on it are run or left out.
struct store_suite_traits {
    bool transactional; // what was not committed is gone
};

// Makes stores that hold nothing.
struct store_factory {
    const char *name;
    struct store_suite_traits traits;
    void *(*create)(void);                       // a world with one store in it, open
    struct store *(*store)(void *world);         // the store of the world
    struct store *(*reopen)(void *world);        // closes it and opens it again
    struct store_reader *(*reader)(void *world); // a new one; store_reader_close it
    void (*destroy)(void *world);
};

// Runs all claims; the number of those that failed.
int store_suite_run(const struct store_factory *factory);

#endif
