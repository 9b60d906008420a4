// Lines like "250,000 of 1,000,000 messages (25%), 101,332/s, 12 dead letters".
#include "progress.h"

#include <string.h>

#define LIVE_INTERVAL_NS  (NS_PER_SECOND / 10)
#define PLAIN_INTERVAL_NS (5 * NS_PER_SECOND)
#define LINE_SIZE_MAX     240u
#define ERASE_LINE        "\r\x1b[K"

enum progress_mode progress_mode_choose(bool quiet, bool is_terminal, const char *term,
                                        const char *ci)
{
    if (quiet) {
        return PROGRESS_OFF;
    }
    bool able = term != NULL && *term != '\0' && strcmp(term, "dumb") != 0;
    bool recorded = ci != NULL && *ci != '\0';
    return is_terminal && able && !recorded ? PROGRESS_LIVE : PROGRESS_PLAIN;
}

void progress_init(struct progress *progress, enum progress_mode mode, const char *noun,
                   struct output *output, struct clock clock, unsigned width)
{
    *progress = (struct progress){.mode = mode,
                                  .noun = noun,
                                  .output = output,
                                  .clock = clock,
                                  .width = width > 0 ? width : 80,
                                  .shown_ns = clock_mono_ns(&clock)};
}

// 1234567 as 1,234,567.
static void add_grouped(uint64_t value, struct buf *out)
{
    char digits_memory[24];
    struct buf digits;
    buf_init_fixed(&digits, digits_memory, sizeof digits_memory);
    buf_add_u64(&digits, value);
    struct text text = buf_view(&digits);
    for (size_t i = 0; i < text.size; i++) {
        if (i > 0 && (text.size - i) % 3 == 0) {
            buf_add_char(out, ',');
        }
        buf_add_char(out, text.data[i]);
    }
}

static unsigned percent_of(uint64_t count, uint64_t total)
{
    if (count >= total) {
        return 100;
    }
    return (unsigned)((unsigned __int128)count * 100 / total);
}

static void add_line(const struct progress *progress, const struct progress_numbers *numbers,
                     struct buf *out)
{
    add_grouped(numbers->count, out);
    if (numbers->total > 0) {
        buf_add_str(out, " of ");
        add_grouped(numbers->total, out);
    }
    buf_add_fmt(out, " %s", progress->noun);
    if (numbers->total > 0) {
        buf_add_fmt(out, " (%u%%)", percent_of(numbers->count, numbers->total));
    }
    if (numbers->per_second > 0) {
        buf_add_str(out, ", ");
        add_grouped(numbers->per_second, out);
        buf_add_str(out, "/s");
    }
    if (numbers->extra.size > 0) {
        buf_add_str(out, ", ");
        buf_add_text(out, numbers->extra);
    }
}

static void write_line(struct progress *progress, const struct progress_numbers *numbers,
                       bool is_last)
{
    char memory[LINE_SIZE_MAX];
    struct buf line;
    buf_init_fixed(&line, memory, sizeof memory);
    add_line(progress, numbers, &line);
    struct text text = buf_view(&line);
    bool live = progress->mode == PROGRESS_LIVE;
    if (live && text.size >= progress->width) {
        text.size = progress->width - 1; // a line that wraps can't be written over
    }
    buf_add_str(&progress->output->buf, live ? ERASE_LINE : "");
    buf_add_text(&progress->output->buf, text);
    buf_add_str(&progress->output->buf, live && !is_last ? "" : "\n");
    output_flush(progress->output);
    progress->line_is_open = live && !is_last;
    progress->shown_ns = clock_mono_ns(&progress->clock);
}

bool progress_is_due(const struct progress *progress)
{
    if (progress->mode == PROGRESS_OFF) {
        return false;
    }
    int64_t interval_ns = progress->mode == PROGRESS_LIVE ? LIVE_INTERVAL_NS : PLAIN_INTERVAL_NS;
    return clock_mono_ns(&progress->clock) - progress->shown_ns >= interval_ns;
}

void progress_show(struct progress *progress, const struct progress_numbers *numbers)
{
    if (progress_is_due(progress)) {
        write_line(progress, numbers, false);
    }
}

void progress_clear(struct progress *progress)
{
    if (progress->line_is_open) {
        buf_add_str(&progress->output->buf, ERASE_LINE);
        output_flush(progress->output);
        progress->line_is_open = false;
    }
}

void progress_end(struct progress *progress, const struct progress_numbers *numbers)
{
    if (progress->mode != PROGRESS_OFF) {
        write_line(progress, numbers, true);
    }
}
