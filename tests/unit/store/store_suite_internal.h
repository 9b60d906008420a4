// What the files of the suite share.
#ifndef TILL_STORE_SUITE_INTERNAL_H
#define TILL_STORE_SUITE_INTERNAL_H

// *state is a struct store_bench on a store that holds nothing.
int store_suite_setup(void **state);
int store_suite_teardown(void **state);

// Claims about waiting payments, the ledger and dead letters.
int store_suite_run_rest(void);

#endif
