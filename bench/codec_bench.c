// Measures what one message costs in the codec: decoding an order and a payment as producers send
// them (reader, card scan and all checks included), and encoding them. Nanoseconds a message, the
// median of five rounds.
#include "clock.h"
#include "order_json.h"
#include "payment_json.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS           5
#define MESSAGES_A_ROUND 500000
#define ENCODED_SIZE_MAX 4096u
#define ARENA_CAP        4096u

#define ORDER                                                                                      \
    "{\"order_id\": 42, \"customer_id\": 771, \"item\": \"Laptop\", \"quantity\": 3, "             \
    "\"price\": 1299.99, \"shipping_address\": \"123 Main St, City A, 10115 Berlin\", "            \
    "\"order_status\": \"Pending\", \"creation_date\": \"2024-01-21\"}"
#define PAYMENT                                                                                    \
    "{\"payment_id\": 1042, \"order_id\": 42, \"payment_method\": \"Google Pay\", "                \
    "\"card_last_four\": \"0042\", \"payment_status\": \"Completed\", "                            \
    "\"payment_datetime\": \"2024-01-21T10:01:30Z\"}"

static struct arena arena;
static struct decode_rules rules;
static struct order order;
static struct payment payment;

static size_t decode_order(void)
{
    struct decode_remarks remarks;
    struct refusal refusal;
    const bool accepted = order_decode(TEXT(ORDER), &rules, &arena, &order, &remarks, &refusal);
    assert(accepted);
    return sizeof(ORDER) - 1;
}

static size_t decode_payment(void)
{
    struct decode_remarks remarks;
    struct refusal refusal;
    const bool accepted =
        payment_decode(TEXT(PAYMENT), &rules, &arena, &payment, &remarks, &refusal);
    assert(accepted);
    return sizeof(PAYMENT) - 1;
}

static size_t encode_order(void)
{
    char memory[ENCODED_SIZE_MAX];
    struct buf out;
    buf_init_fixed(&out, memory, sizeof(memory));
    order_encode(&order, &out);
    assert(!buf_overflowed(&out));
    return out.size;
}

static size_t encode_payment(void)
{
    char memory[ENCODED_SIZE_MAX];
    struct buf out;
    buf_init_fixed(&out, memory, sizeof(memory));
    payment_encode(&payment, &out);
    assert(!buf_overflowed(&out));
    return out.size;
}

static size_t guess_order(void)
{
    const enum message_kind kind = message_kind_guess(TEXT(ORDER));
    assert(kind == MESSAGE_ORDER);
    return sizeof(ORDER) - 1;
}

static int compare_i64(const void *a, const void *b)
{
    const int64_t left = *(const int64_t *)a;
    const int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static void run(const char *name, size_t (*work)(void))
{
    const struct clock clock = clock_real();
    int64_t tenths_ns[ROUNDS];
    size_t size = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        const int64_t start_ns = clock_mono_ns(&clock);
        for (unsigned i = 0; i < MESSAGES_A_ROUND; i++) {
            size = work();
        }
        tenths_ns[round] = (clock_mono_ns(&clock) - start_ns) * 10 / MESSAGES_A_ROUND;
    }
    qsort(tenths_ns, ROUNDS, sizeof(tenths_ns[0]), compare_i64);
    const int64_t median = tenths_ns[ROUNDS / 2];
    printf("%-16s %4zu bytes %5" PRId64 ".%" PRId64 " ns\n", name, size, median / 10, median % 10);
}

int main(void)
{
    rules = (struct decode_rules){.lenient_price = true, .default_currency = currency_usd()};
    if (arena_init(&arena, ARENA_CAP) != ERR_OK) {
        return 1;
    }
    run("decode order", decode_order);
    run("decode payment", decode_payment);
    run("encode order", encode_order);
    run("encode payment", encode_payment);
    run("guess order", guess_order);
    arena_deinit(&arena);
    return 0;
}
