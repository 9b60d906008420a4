// What every store must do, written against store.h and store_read.h alone. A store comes with a
// factory; the same claims are then run on it.
#ifndef TILL_STORE_SUITE_H
#define TILL_STORE_SUITE_H

#include "store.h"
#include "store_read.h"

// What a store can do, so that claims on it are run or left out.
struct store_suite_traits {
    bool transactional; // what was not committed is gone
    bool looks; // it says of an event that comes in whether it was known, and keeps the first
    bool keeps_ledger;   // which messages were applied, and with what outcome
    bool scans_in_order; // rows of all orders come in the order of their ids
    bool drops_finished; // the entries of a finished bucket are gone at once
};

// Makes stores that hold nothing.
struct store_factory {
    const char *name;
    struct store_suite_traits traits;
    void *(*create)(void);                // a world with one store in it, open
    struct store *(*store)(void *world);  // the store of the world
    struct store *(*reopen)(void *world); // closes it and opens it again
    // A new one; store_reader_close it. NULL for a store without: a claim is left where it needs one.
    struct store_reader *(*reader)(void *world);
    void (*destroy)(void *world);
};

// Runs all claims; the number of those that failed.
int store_suite_run(const struct store_factory *factory);

#endif
