// What the files of the suite share.
#ifndef TILL_STORE_SUITE_INTERNAL_H
#define TILL_STORE_SUITE_INTERNAL_H

// A claim is a cmocka test whose *state is a struct store_bench on a store that holds nothing.
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, store_suite_setup, store_suite_teardown)

int store_suite_setup(void **state);
int store_suite_teardown(void **state);

// Each runs the claims of its file; the number of those that failed.
int store_suite_run_events(void);
int store_suite_run_facts(void);
int store_suite_run_waiting(void);
int store_suite_run_ledger(void);
int store_suite_run_letters(void);

#endif
