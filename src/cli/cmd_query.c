// till query: rows of the fact table; till dlq list and show: dead letters. All read-only, beside a
// running owner or without one.
#include "engine.h"
#include "store_read.h"
#include "table_out.h"

#include <string.h>

static void say_when_cut(struct command_context *context, enum err err, uint64_t row_count,
                         uint64_t row_max)
{
    if (err == ERR_OK && row_count == row_max) {
        command_say(context, "(%llu rows shown; --limit N shows more)",
                    (unsigned long long)row_count);
    }
}

// --- facts --------------------------------------------------------------------------------------

static bool is_number_column(struct text name)
{
    static const struct text numbers[] = {
        {"order_id", 8}, {"payment_id", 10}, {"customer_id", 11}, {"quantity", 8}, {"n_events", 8}};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (text_equal(name, numbers[i])) {
            return true;
        }
    }
    return false;
}

// A terminal shows what a person looks for first; the other formats give every column.
static bool is_overview_column(struct text name)
{
    static const struct text shown[] = {
        {"order_id", 8},     {"payment_id", 10},  {"customer_id", 11},    {"item", 4},
        {"order_total", 11}, {"currency", 8},     {"payment_status", 14}, {"amount_paid", 11},
        {"settlement", 10},  {"match_issue", 11},
    };
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        if (text_equal(name, shown[i])) {
            return true;
        }
    }
    return false;
}

struct fact_rows {
    struct table_out table;
    struct table_column columns[TABLE_COLUMN_COUNT_MAX];
    char names[TABLE_COLUMN_COUNT_MAX][32];
    size_t sources[TABLE_COLUMN_COUNT_MAX]; // index in store_fact_columns
    size_t count;
};

static void choose_columns(struct fact_rows *rows, enum table_format format)
{
    for (size_t i = 0; i < STORE_FACT_COLUMN_COUNT; i++) {
        struct text name = store_fact_columns[i];
        if (format == TABLE_FORMAT_TABLE && !is_overview_column(name)) {
            continue;
        }
        char *copy = rows->names[rows->count];
        memcpy(copy, name.data, name.size);
        copy[name.size] = '\0';
        rows->columns[rows->count] =
            (struct table_column){copy, is_number_column(name) ? TABLE_NUMBER : TABLE_TEXT};
        rows->sources[rows->count++] = i;
    }
}

static bool give_fact(const struct text *columns, size_t column_count, void *context)
{
    (void)column_count;
    struct fact_rows *rows = context;
    struct text cells[TABLE_COLUMN_COUNT_MAX];
    for (size_t i = 0; i < rows->count; i++) {
        cells[i] = columns[rows->sources[i]];
    }
    return table_out_row(&rows->table, cells);
}

static bool is_day(struct text text)
{
    uint64_t part = 0;
    return text.size == 10 && text.data[4] == '-' && text.data[7] == '-' &&
           text_parse_u64((struct text){text.data, 4}, &part) &&
           text_parse_u64((struct text){text.data + 5, 2}, &part) && part >= 1 && part <= 12 &&
           text_parse_u64((struct text){text.data + 8, 2}, &part) && part >= 1 && part <= 31;
}

static enum err fill_filter(const struct options *options, struct fact_filter *filter,
                            struct why *why)
{
    *filter = (struct fact_filter){
        .order_id = options->order,
        .customer_id = options->customer,
        .day = text_of(options->day),
        .settlement = options->given[OPTION_status] ? (int)options->status : -1,
        .match_issue = -1,
        .row_max = (uint64_t)options->limit,
    };
    if (filter->day.size > 0 && !is_day(filter->day)) {
        return why_set(why, ERR_USAGE, "--day: expected YYYY-MM-DD");
    }
    return ERR_OK;
}

enum err cmd_query(struct command_context *context, struct why *why)
{
    struct fact_filter filter;
    struct store_reader *reader = NULL;
    enum err err = fill_filter(context->options, &filter, why);
    if (err == ERR_OK) {
        err = engine_open_reader(context, &reader, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    struct fact_rows rows = {0};
    enum table_format format = (enum table_format)context->options->output;
    choose_columns(&rows, format);
    table_out_init(&rows.table, format, rows.columns, rows.count, context->out);
    err = store_reader_facts(reader, &filter, give_fact, &rows, why);
    uint64_t row_count = rows.table.row_count;
    table_out_end(&rows.table);
    store_reader_close(&reader);
    say_when_cut(context, err, row_count, filter.row_max);
    return err;
}

// --- dead letters ----------------------------------------------------------------------------------

static const struct table_column letter_columns[] = {
    {"id", TABLE_TEXT},         {"reason", TABLE_TEXT},       {"state", TABLE_TEXT},
    {"order_id", TABLE_NUMBER}, {"payment_id", TABLE_NUMBER}, {"first_seen", TABLE_TEXT},
    {"detail", TABLE_TEXT},
};
#define LETTER_COLUMN_COUNT (sizeof(letter_columns) / sizeof(letter_columns[0]))
#define ID_SHOWN_SIZE       12 // hex digits; enough to tell millions apart

static struct text number_or_null(int64_t value, char memory[24])
{
    if (value == 0) {
        return (struct text){NULL, 0};
    }
    struct buf out;
    buf_init_fixed(&out, memory, 24);
    buf_add_i64(&out, value);
    return buf_view(&out);
}

static bool give_letter(const struct dead_letter_record *record, void *context)
{
    char id[HASH_HEX_SIZE];
    char order_id[24];
    char payment_id[24];
    char first_seen[CLOCK_RFC3339_SIZE];
    hash_format(&record->id, id);
    clock_format_rfc3339(record->first_seen_us, first_seen);
    const struct text cells[LETTER_COLUMN_COUNT] = {
        {id, ID_SHOWN_SIZE},
        reason_name(record->reason),
        dead_letter_state_text(record->state),
        number_or_null(record->order_id, order_id),
        number_or_null(record->payment_id, payment_id),
        text_of(first_seen),
        record->detail,
    };
    return table_out_row(context, cells);
}

static enum err find_reason(const char *name, enum reason *out_reason, struct why *why)
{
    *out_reason = REASON_NONE;
    if (name == NULL || reason_find(text_of(name), out_reason)) {
        return ERR_OK;
    }
    struct text names[REASON_COUNT];
    size_t count = 0;
    for (int i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        names[count++] = reason_name((enum reason)i);
    }
    size_t nearest = text_nearest(text_of(name), names, count);
    if (nearest < count) {
        return why_set(why, ERR_USAGE, "--reason: no reason '%s'; did you mean %.*s?", name,
                       TEXT_PRINT(names[nearest]));
    }
    return why_set(why, ERR_USAGE, "--reason: no reason '%s', such as E_UNMATCHED or E_JSON", name);
}

enum err cmd_dlq_list(struct command_context *context, struct why *why)
{
    struct dead_letter_filter filter = {.row_max = (uint64_t)context->options->limit};
    struct store_reader *reader = NULL;
    enum err err = find_reason(context->options->reason, &filter.reason, why);
    if (err == ERR_OK) {
        err = engine_open_reader(context, &reader, why);
    }
    if (err != ERR_OK) {
        return err;
    }
    struct table_out table;
    table_out_init(&table, (enum table_format)context->options->output, letter_columns,
                   LETTER_COLUMN_COUNT, context->out);
    err = store_reader_dead_letters(reader, &filter, give_letter, &table, why);
    uint64_t row_count = table.row_count;
    table_out_end(&table);
    store_reader_close(&reader);
    say_when_cut(context, err, row_count, filter.row_max);
    return err;
}

struct shown_letter {
    struct command_context *context;
    size_t count;
};

static void add_field(struct buf *out, const char *label, struct text value)
{
    if (value.size > 0) {
        buf_add_fmt(out, "%-16s ", label);
        table_add_visible(out, value);
        buf_add_char(out, '\n');
    }
}

static void add_number(struct buf *out, const char *label, int64_t value)
{
    char memory[24];
    add_field(out, label, number_or_null(value, memory));
}

static void add_time(struct buf *out, const char *label, int64_t us)
{
    char memory[CLOCK_RFC3339_SIZE];
    if (us > 0) {
        clock_format_rfc3339(us, memory);
        add_field(out, label, text_of(memory));
    }
}

static bool show_letter(const struct dead_letter_record *record, void *context)
{
    struct shown_letter *shown = context;
    struct buf *out = &shown->context->out->buf;
    if (shown->count++ > 0) {
        return false; // not the only one; said afterwards
    }
    char id[HASH_HEX_SIZE];
    hash_format(&record->id, id);
    add_field(out, "id", text_of(id));
    add_field(out, "reason", reason_name(record->reason));
    add_field(out, "meaning", text_of(reason_text(record->reason)));
    add_field(out, "detail", record->detail);
    add_field(out, "state", dead_letter_state_text(record->state));
    add_number(out, "order_id", record->order_id);
    add_number(out, "payment_id", record->payment_id);
    add_field(out, "event_id", record->event_id);
    add_field(out, "source topic", record->source_topic);
    add_field(out, "source message", record->source_message_id);
    add_number(out, "attempts", record->attempts);
    add_time(out, "first seen", record->first_seen_us);
    add_time(out, "recorded", record->recorded_us);
    add_time(out, "next check", record->next_check_us);
    add_field(out, "redacted", record->redacted ? TEXT("yes, it held card data") : TEXT(""));
    add_field(out, "rebuilt", record->rebuilt ? TEXT("yes, from the stored columns") : TEXT(""));
    add_field(out, "body", record->body);
    return true;
}

static bool is_hex(struct text text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
    }
    return text.size > 0 && text.size <= 2 * HASH_SIZE;
}

enum err cmd_dlq_show(struct command_context *context, struct why *why)
{
    struct dead_letter_filter filter = {.id_prefix = text_of(context->line->arguments[0])};
    struct store_reader *reader = NULL;
    if (!is_hex(filter.id_prefix)) {
        return why_set(why, ERR_USAGE,
                       "ID: expected the hexadecimal digits that till dlq list shows");
    }
    enum err err = engine_open_reader(context, &reader, why);
    if (err != ERR_OK) {
        return err;
    }
    struct shown_letter shown = {context, 0};
    err = store_reader_dead_letters(reader, &filter, show_letter, &shown, why);
    store_reader_close(&reader);
    if (err == ERR_OK && shown.count == 0) {
        err = why_set(why, ERR_NOT_FOUND, "no dead letter %.*s", TEXT_PRINT(filter.id_prefix));
    }
    if (err == ERR_OK && shown.count > 1) {
        command_say(context, "(more dead letters begin with %.*s; this is the first)",
                    TEXT_PRINT(filter.id_prefix));
    }
    return err;
}
