// The reading side of the seam: one call a primitive, and the columns of a fact.
#include "store_read.h"

const struct text store_fact_columns[STORE_FACT_COLUMN_COUNT] = {
    {"order_id", 8},
    {"payment_id", 10},
    {"customer_id", 11},
    {"item", 4},
    {"quantity", 8},
    {"price", 5},
    {"shipping_address", 16},
    {"order_status", 12},
    {"creation_date", 13},
    {"payment_method", 14},
    {"card_last_four", 14},
    {"payment_status", 14},
    {"payment_datetime", 16},
    {"amount", 6},
    {"currency", 8},
    {"order_total", 11},
    {"amount_paid", 11},
    {"amount_refunded", 15},
    {"amount_charged_back", 19},
    {"settlement", 10},
    {"match_issue", 11},
    {"n_events", 8},
};

void store_reader_close(struct store_reader **reader)
{
    if (reader != NULL && *reader != NULL) {
        (*reader)->ops->close(*reader);
        *reader = NULL;
    }
}

void store_reader_watch(struct store_reader *reader, store_progress_fn *progress, void *context)
{
    reader->progress = progress;
    reader->progress_context = context;
}

enum err store_reader_verify(struct store_reader *reader, struct why *why)
{
    return reader->ops->verify(reader, why);
}

enum err store_reader_totals(struct store_reader *reader, struct text log_id, struct arena *arena,
                             struct store_totals *out_totals, struct why *why)
{
    return reader->ops->totals(reader, log_id, arena, out_totals, why);
}

enum err store_reader_facts(struct store_reader *reader, const struct fact_filter *filter,
                            fact_row_fn *row, void *context, struct why *why)
{
    return reader->ops->facts(reader, filter, row, context, why);
}

enum err store_reader_dead_letters(struct store_reader *reader,
                                   const struct dead_letter_filter *filter, dead_letter_row_fn *row,
                                   void *context, struct why *why)
{
    return reader->ops->dead_letters(reader, filter, row, context, why);
}
