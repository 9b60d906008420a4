// Measures the JSON reader against jansson: nanoseconds a document, the median of five rounds in
// which the two take turns, so that a slow moment of the machine hits both. The reader here gives
// every event and does what a decoder must (encoding, grammar, limits, duplicate keys); jansson
// builds a tree. Both are given the same bytes.
#include "clock.h"
#include "json_oracle.h"
#include "json_read.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS          5
#define READS_PER_ROUND 200000

struct sample {
    const char *name;
    struct text document;
};

static const struct sample samples[] = {
    {"order",
     TEXT("{\"order_id\": 42, \"customer_id\": 771, \"item\": \"Laptop\", \"quantity\": 3, "
          "\"price\": 1299.99, \"shipping_address\": \"123 Main St, City A, 10115 Berlin\", "
          "\"order_status\": \"Pending\", \"creation_date\": \"2024-01-21\"}")},
    {"payment", TEXT("{\"payment_id\": 1042, \"order_id\": 42, \"payment_method\": \"Google Pay\", "
                     "\"card_last_four\": \"0042\", \"payment_status\": \"Completed\", "
                     "\"payment_datetime\": \"2024-01-21T10:01:30Z\"}")},
    {"order with escapes and accents",
     TEXT("{\"order_id\": 42, \"customer_id\": 771, \"item\": \"Caf\\u00e9 \\\"noir\\\"\", "
          "\"quantity\": 3, \"price\": 1299.99, \"shipping_address\": \"Stra\xC3\x9F"
          "e 7\\n\xE6\x9D\xB1\xE4\xBA\xAC\", \"order_status\": \"Pending\", "
          "\"creation_date\": \"2024-01-21\"}")},
};

static void read_with_till(struct text document)
{
    static struct json_reader reader;
    json_reader_init(&reader, document, (struct json_limits){.depth_max = 16, .keys_max = 64});
    struct json_token token;
    enum json_event event;
    do {
        event = json_next(&reader, &token);
    } while (event != JSON_END && event != JSON_ERROR);
    assert(event == JSON_END);
}

static void read_with_jansson(struct text document)
{
    const enum oracle_verdict verdict = oracle_judge(document);
    assert(verdict == ORACLE_ACCEPTS);
}

// Tenths of a nanosecond a document.
static int64_t measure(void (*read)(struct text document), struct text document)
{
    const struct clock clock = clock_real();
    const int64_t start_ns = clock_mono_ns(&clock);
    for (unsigned i = 0; i < READS_PER_ROUND; i++) {
        read(document);
    }
    return (clock_mono_ns(&clock) - start_ns) * 10 / READS_PER_ROUND;
}

static int compare_i64(const void *a, const void *b)
{
    const int64_t left = *(const int64_t *)a;
    const int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static int64_t median(int64_t values[ROUNDS])
{
    qsort(values, ROUNDS, sizeof(values[0]), compare_i64);
    return values[ROUNDS / 2];
}

static void run(const struct sample *sample)
{
    int64_t till[ROUNDS];
    int64_t jansson[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        till[i] = measure(read_with_till, sample->document);
        jansson[i] = measure(read_with_jansson, sample->document);
    }
    const int64_t till_median = median(till);
    const int64_t jansson_median = median(jansson);
    printf("%-32s %4zu bytes  till %5" PRId64 ".%" PRId64 " ns  jansson %5" PRId64 ".%" PRId64
           " ns\n",
           sample->name, sample->document.size, till_median / 10, till_median % 10,
           jansson_median / 10, jansson_median % 10);
}

int main(void)
{
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        run(&samples[i]);
    }
    return 0;
}
