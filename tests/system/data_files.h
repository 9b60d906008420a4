// What lies on disk: files written for the program, the tables of facts.db as any SQLite program sees
// them, and whether files are still what they were. Failures end the test. One thread.
#ifndef TILL_TESTS_DATA_FILES_H
#define TILL_TESTS_DATA_FILES_H

#include "till_process.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// --- files ----------------------------------------------------------------------------------------

void write_bytes(const char *path, const void *bytes, size_t size);
void write_text(const char *path, const char *text);
void append_text(const char *path, const char *text);
void overwrite_bytes(const char *path, size_t offset, const void *bytes, size_t size);
void append_file(const char *path, const char *source_path);
// Allocated, with a zero byte behind it that is not counted; free() it.
char *read_bytes(const char *path, size_t *out_size);
bool file_exists(const char *path);
bool file_holds(const char *path, const char *text); // anywhere among its bytes

// Every regular file of a directory with its bytes, but for those that only tell who works on it.
struct directory_copy;
struct directory_copy *directory_copy_take(const char *path);
// Everything that was there still is, byte by byte; new files are allowed. Frees the copy.
void assert_directory_kept(struct directory_copy *copy);

// The messages of the reference pipeline; the directory is in TILL_TEST_REFERENCE.
const char *reference_orders(void);
const char *reference_payments(void);

// --- messages -------------------------------------------------------------------------------------

// A line with its LF, in one of a few static buffers that take turns.
const char *order_line(int64_t order_id);                       // 1 x 10.50 USD, Pending
const char *payment_line(int64_t payment_id, int64_t order_id); // Completed, pays in full

// --- DIR/facts.db, opened read-only ---------------------------------------------------------------

int64_t facts_number(const char *directory, const char *sql);
char *facts_rows(const char *directory, const char *sql); // a line a row; free() it
// All facts and all dead letters, without what depends on the time of the run. free() it.
char *facts_of(const char *directory);
void assert_same_facts(const char *left, const char *right);
void facts_change(const char *directory, const char *sql); // while nobody runs

// Until the number is `expected`.
void wait_for_number(struct till_process *process, const char *directory, const char *sql,
                     int64_t expected);
void wait_for_more(struct till_process *process, const char *directory, const char *sql,
                   int64_t limit);

#define SQL_ORDERS    "SELECT count(*) FROM orders"
#define SQL_MATCHED   "SELECT count(*) FROM orders_payments_facts WHERE payment_id IS NOT NULL"
#define SQL_WAITING   "SELECT count(*) FROM waiting_payments"
#define SQL_UNMATCHED "SELECT count(*) FROM dead_letters WHERE reason = 'E_UNMATCHED'"

// --- reports --------------------------------------------------------------------------------------

// The number below the heading "orders" or "payments" of the report's first block, in the line of that
// label. -1 when there is none.
int64_t report_number(const struct outcome *report, const char *label, const char *heading);

// Asks `till report`: exit 0, balanced, nothing on standard error.
const struct outcome *assert_balanced(const char *directory);

#endif
