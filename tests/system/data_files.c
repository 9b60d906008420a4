// Files, facts.db through SQLite's own library, and the figures of a report.
#include "data_files.h"

#include "must.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_SIZE       1024u
#define FILES_KEPT_MAX  16u
#define LINE_BUFFERS    8u
#define LINE_SIZE       512u
#define BUSY_TIMEOUT_MS 10000

// --- files ----------------------------------------------------------------------------------------

static void put_bytes(const char *path, const char *mode, size_t offset, const void *bytes,
                      size_t size)
{
    FILE *file = fopen(path, mode);
    must(file != NULL, path);
    must(offset == 0 || fseek(file, (long)offset, SEEK_SET) == 0, path);
    must(fwrite(bytes, 1, size, file) == size, path);
    must(fclose(file) == 0, path);
}

void write_bytes(const char *path, const void *bytes, size_t size)
{
    put_bytes(path, "we", 0, bytes, size);
}

void write_text(const char *path, const char *text)
{
    write_bytes(path, text, strlen(text));
}

void append_text(const char *path, const char *text)
{
    put_bytes(path, "ae", 0, text, strlen(text));
}

void overwrite_bytes(const char *path, size_t offset, const void *bytes, size_t size)
{
    put_bytes(path, "r+e", offset, bytes, size);
}

char *read_bytes(const char *path, size_t *out_size)
{
    struct stat status;
    FILE *file = fopen(path, "re");
    must(file != NULL && fstat(fileno(file), &status) == 0, path);
    size_t size = (size_t)status.st_size;
    char *bytes = malloc(size + 1);
    must(bytes != NULL && fread(bytes, 1, size, file) == size, path);
    must(fclose(file) == 0, path);
    bytes[size] = '\0';
    *out_size = size;
    return bytes;
}

void append_file(const char *path, const char *source_path)
{
    size_t size = 0;
    char *bytes = read_bytes(source_path, &size);
    put_bytes(path, "ae", 0, bytes, size);
    free(bytes);
}

bool file_exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

bool file_holds(const char *path, const char *text)
{
    size_t size = 0;
    char *bytes = read_bytes(path, &size);
    bool holds = memmem(bytes, size, text, strlen(text)) != NULL;
    free(bytes);
    return holds;
}

struct kept_file {
    char path[PATH_SIZE];
    char *bytes;
    size_t size;
};

struct directory_copy {
    struct kept_file files[FILES_KEPT_MAX];
    size_t count;
};

// What tells nothing of the data: who was the last owner, and what SQLite shares between processes.
static bool is_passing(const char *name)
{
    size_t size = strlen(name);
    return strcmp(name, "lock") == 0 || (size > 4 && strcmp(name + size - 4, "-shm") == 0);
}

static void keep_file(struct directory_copy *copy, const char *path, const char *name)
{
    assert_in_range(copy->count, 0, FILES_KEPT_MAX - 1);
    struct kept_file *file = &copy->files[copy->count++];
    int size = snprintf(file->path, sizeof file->path, "%s/%s", path, name);
    assert_in_range(size, 1, PATH_SIZE - 1);
    file->bytes = read_bytes(file->path, &file->size);
    if (file->size == 0) { // an empty log of SQLite's, which may go
        free(file->bytes);
        copy->count--;
    }
}

struct directory_copy *directory_copy_take(const char *path)
{
    struct directory_copy *copy = calloc(1, sizeof *copy);
    must(copy != NULL, "memory");
    DIR *directory = opendir(path);
    must(directory != NULL, path);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_type == DT_REG && !is_passing(entry->d_name)) {
            keep_file(copy, path, entry->d_name);
        }
    }
    must(closedir(directory) == 0, path);
    return copy;
}

void assert_directory_kept(struct directory_copy *copy)
{
    for (size_t i = 0; i < copy->count; i++) {
        struct kept_file *file = &copy->files[i];
        if (!file_exists(file->path)) {
            fail_msg("%s is gone", file->path);
        }
        size_t size = 0;
        char *bytes = read_bytes(file->path, &size);
        bool same = size == file->size && memcmp(bytes, file->bytes, size) == 0;
        free(bytes);
        free(file->bytes);
        if (!same) {
            fail_msg("%s has changed", file->path);
        }
    }
    free(copy);
}

static const char *reference_file(const char *name, char path[PATH_SIZE])
{
    const char *directory = getenv("TILL_TEST_REFERENCE");
    assert_non_null(directory);
    int size = snprintf(path, PATH_SIZE, "%s/%s", directory, name);
    assert_in_range(size, 1, PATH_SIZE - 1);
    return path;
}

const char *reference_orders(void)
{
    static char path[PATH_SIZE];
    return reference_file("orders.jsonl", path);
}

const char *reference_payments(void)
{
    static char path[PATH_SIZE];
    return reference_file("payments.jsonl", path);
}

// --- messages -------------------------------------------------------------------------------------

static char *next_line_buffer(void)
{
    static char buffers[LINE_BUFFERS][LINE_SIZE];
    static size_t turn;
    return buffers[turn++ % LINE_BUFFERS];
}

const char *order_line(int64_t order_id)
{
    char *line = next_line_buffer();
    (void)snprintf(line, LINE_SIZE,
                   "{\"order_id\": %" PRId64 ", \"customer_id\": 7, \"item\": \"Laptop\", "
                   "\"quantity\": 1, \"price\": 10.50, \"shipping_address\": \"1 Main St\", "
                   "\"order_status\": \"Pending\", \"creation_date\": \"2024-01-21\"}\n",
                   order_id);
    return line;
}

const char *payment_line(int64_t payment_id, int64_t order_id)
{
    char *line = next_line_buffer();
    (void)snprintf(line, LINE_SIZE,
                   "{\"payment_id\": %" PRId64 ", \"order_id\": %" PRId64
                   ", \"payment_method\": \"PayPal\", \"payment_status\": \"Completed\", "
                   "\"payment_datetime\": \"2024-01-21T10:01:30Z\"}\n",
                   payment_id, order_id);
    return line;
}

// --- facts ----------------------------------------------------------------------------------------

static sqlite3 *open_facts(const char *directory, int flags)
{
    char path[PATH_SIZE];
    sqlite3 *db = NULL;
    (void)snprintf(path, sizeof path, "%s/facts.db", directory);
    if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", path, db != NULL ? sqlite3_errmsg(db) : "no memory");
    }
    (void)sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS); // fails only for a NULL handle
    return db;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    }
    return statement;
}

int64_t facts_number(const char *directory, const char *sql)
{
    sqlite3 *db = open_facts(directory, SQLITE_OPEN_READONLY);
    sqlite3_stmt *statement = prepare(db, sql);
    if (sqlite3_step(statement) != SQLITE_ROW) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    }
    int64_t number = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return number;
}

static void add_row(FILE *out, sqlite3_stmt *statement)
{
    for (int i = 0; i < sqlite3_column_count(statement); i++) {
        const unsigned char *text = sqlite3_column_text(statement, i);
        (void)fprintf(out, "%s%s", i > 0 ? "|" : "", text != NULL ? (const char *)text : "(null)");
    }
    (void)fputc('\n', out);
}

char *facts_rows(const char *directory, const char *sql)
{
    sqlite3 *db = open_facts(directory, SQLITE_OPEN_READONLY);
    sqlite3_stmt *statement = prepare(db, sql);
    char *rows = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&rows, &size);
    must(out != NULL, "memory");
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        add_row(out, statement);
    }
    if (code != SQLITE_DONE) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    }
    must(fclose(out) == 0, "memory");
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return rows;
}

char *facts_of(const char *directory)
{
    char *facts =
        facts_rows(directory, "SELECT * FROM orders_payments_facts ORDER BY order_id, payment_id");
    char *letters = facts_rows(directory, "SELECT reason, detail, state, order_id, payment_id, body"
                                          " FROM dead_letters ORDER BY 1, 2, 3, 4, 5, 6");
    char *both = NULL;
    must(asprintf(&both, "%s\n%s", facts, letters) >= 0, "memory");
    free(facts);
    free(letters);
    return both;
}

static size_t common_size(const char *left, const char *right)
{
    size_t size = 0;
    while (left[size] != '\0' && left[size] == right[size]) {
        size++;
    }
    return size;
}

static void show_line_around(const char *name, const char *text, size_t position)
{
    while (position > 0 && text[position - 1] != '\n') {
        position--;
    }
    print_error("%s: %.*s\n", name, (int)strcspn(text + position, "\n"), text + position);
}

void assert_same_facts(const char *left, const char *right)
{
    char *left_rows = facts_of(left);
    char *right_rows = facts_of(right);
    if (strcmp(left_rows, right_rows) != 0) {
        size_t position = common_size(left_rows, right_rows);
        show_line_around(left, left_rows, position);
        show_line_around(right, right_rows, position);
        fail_msg("the facts of %s and %s differ", left, right);
    }
    free(left_rows);
    free(right_rows);
}

void facts_change(const char *directory, const char *sql)
{
    sqlite3 *db = open_facts(directory, SQLITE_OPEN_READWRITE);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    }
    (void)sqlite3_close(db);
}

struct awaited_number {
    const char *directory;
    const char *sql;
    int64_t least;
    int64_t most;
};

static bool has_number(void *context)
{
    const struct awaited_number *awaited = context;
    int64_t number = facts_number(awaited->directory, awaited->sql);
    return number >= awaited->least && number <= awaited->most;
}

void wait_for_number(struct till_process *process, const char *directory, const char *sql,
                     int64_t expected)
{
    struct awaited_number awaited = {directory, sql, expected, expected};
    till_wait_until(process, has_number, &awaited, sql);
}

void wait_for_more(struct till_process *process, const char *directory, const char *sql,
                   int64_t limit)
{
    struct awaited_number awaited = {directory, sql, limit + 1, INT64_MAX};
    till_wait_until(process, has_number, &awaited, sql);
}

// --- reports --------------------------------------------------------------------------------------

// The line that begins with `label`, signs before it passed over; "" when there is none.
static const char *line_with_label(const char *text, const char *label)
{
    for (const char *line = text; *line != '\0';) {
        if (strncmp(line + strspn(line, " =+"), label, strlen(label)) == 0) {
            return line;
        }
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    return "";
}

// Numbers are flush right with their heading and have their thousands marked.
int64_t report_number(const struct outcome *report, const char *label, const char *heading)
{
    const char *headings = line_with_label(report->out, "Messages");
    const char *column = strstr(headings, heading);
    const char *line = line_with_label(report->out, label);
    if (column == NULL || *line == '\0') {
        return -1;
    }
    size_t end = (size_t)(column - headings) + strlen(heading);
    if (strcspn(line, "\n") < end) {
        return -1;
    }
    size_t start = end;
    while (start > 0 && line[start - 1] != ' ') {
        start--;
    }
    int64_t number = start < end ? 0 : -1;
    for (; start < end; start++) {
        number = line[start] == ',' ? number : number * 10 + (line[start] - '0');
    }
    return number;
}

const struct outcome *assert_balanced(const char *directory)
{
    const struct outcome *report = TILL("report", "--data-dir", directory);
    assert_exit_code(report, 0);
    assert_out_has(report, "\nBalanced: all ");
    assert_err_is(report, "");
    return report;
}
