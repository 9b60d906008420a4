// Numbers, dates and the two message forms, with the separators of the reference producer.
#include "generator_text.h"

#define DAYS_OF_CYCLE 1461u // four years, a leap year first
#define DAYS_OF_YEAR  365u

void pen_u64(struct pen *pen, uint64_t value)
{
    char digits[20];
    char *first = digits + sizeof(digits);
    do {
        *--first = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    pen_bytes(pen, first, (size_t)(digits + sizeof(digits) - first));
}

void pen_digits(struct pen *pen, uint64_t value, unsigned digits)
{
    assert((size_t)(pen->end - pen->next) >= digits);
    for (unsigned i = digits; i > 0; i--) {
        pen->next[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    pen->next += digits;
}

// 2024 is a leap year and 2100 is out of reach, so every fourth year is one.
void pen_date(struct pen *pen, uint64_t day)
{
    static const uint16_t month_starts[2][13] = {
        {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365},
        {0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335, 366},
    };
    uint64_t cycle_day = day % DAYS_OF_CYCLE;
    uint64_t year = cycle_day == 0 ? 0 : (cycle_day - 1) / DAYS_OF_YEAR;
    uint64_t year_day = cycle_day - (year == 0 ? 0 : year * DAYS_OF_YEAR + 1);
    const uint16_t *starts = month_starts[year == 0];
    unsigned month = 1;
    while (year_day >= starts[month]) {
        month++;
    }
    pen_digits(pen, 2024 + 4 * (day / DAYS_OF_CYCLE) + year, 4);
    pen_literal(pen, "-");
    pen_digits(pen, month, 2);
    pen_literal(pen, "-");
    pen_digits(pen, year_day - starts[month - 1] + 1, 2);
}

void pen_datetime(struct pen *pen, uint64_t second)
{
    pen_date(pen, second / 86400);
    pen_literal(pen, "T");
    pen_digits(pen, second / 3600 % 24, 2);
    pen_literal(pen, ":");
    pen_digits(pen, second / 60 % 60, 2);
    pen_literal(pen, ":");
    pen_digits(pen, second % 60, 2);
    pen_literal(pen, "Z");
}

static void pen_money(struct pen *pen, int64_t minor, struct currency currency)
{
    static const uint64_t powers[] = {1, 10, 100, 1000, 10000};
    unsigned exponent = currency_exponent(currency);
    assert(minor >= 0);
    pen_u64(pen, (uint64_t)minor / powers[exponent]);
    if (exponent > 0) {
        pen_literal(pen, ".");
        pen_digits(pen, (uint64_t)minor % powers[exponent], exponent);
    }
}

static void pen_currency(struct pen *pen, struct currency currency)
{
    pen_literal(pen, ", \"currency\": \"");
    pen_text(pen, currency_code(currency));
    pen_literal(pen, "\"");
}

void pen_order(struct pen *pen, const struct order *order)
{
    pen_literal(pen, "{\"order_id\": ");
    pen_u64(pen, (uint64_t)order->order_id);
    pen_literal(pen, ", \"customer_id\": ");
    pen_u64(pen, (uint64_t)order->customer_id);
    pen_literal(pen, ", \"item\": \"");
    pen_text(pen, order->item);
    pen_literal(pen, "\", \"quantity\": ");
    pen_u64(pen, (uint64_t)order->quantity);
    pen_literal(pen, ", \"price\": ");
    pen_money(pen, order->price_minor, order->currency);
    pen_literal(pen, ", \"shipping_address\": \"");
    pen_text(pen, order->shipping_address);
    pen_literal(pen, "\", \"order_status\": \"");
    pen_text(pen, order_status_text(order->status));
    pen_literal(pen, "\", \"creation_date\": \"");
    pen_text(pen, order->creation_date);
    pen_literal(pen, "\"");
    if (order->currency_given) {
        pen_currency(pen, order->currency);
    }
    pen_literal(pen, ", \"version\": ");
    pen_u64(pen, (uint64_t)order->version);
    pen_literal(pen, "}");
}

static void pen_last_four(struct pen *pen, const struct payment *payment)
{
    pen_literal(pen, "\", \"card_last_four\": \"");
    pen_text(pen, payment->card_last_four);
}

static void pen_amount(struct pen *pen, const struct payment *payment)
{
    pen_literal(pen, ", \"amount\": ");
    pen_money(pen, payment->amount_minor, payment->currency);
    if (payment->currency_given) {
        pen_currency(pen, payment->currency);
    }
}

static void pen_event_id(struct pen *pen, struct text event_id)
{
    pen_literal(pen, ", \"event_id\": \"");
    pen_text(pen, event_id);
    pen_literal(pen, "\"");
}

void pen_payment(struct pen *pen, const struct payment *payment)
{
    pen_literal(pen, "{\"payment_id\": ");
    pen_u64(pen, (uint64_t)payment->payment_id);
    pen_literal(pen, ", \"order_id\": ");
    pen_u64(pen, (uint64_t)payment->order_id);
    pen_literal(pen, ", \"payment_method\": \"");
    pen_text(pen, payment->method);
    if (payment->card_last_four.size > 0) {
        pen_last_four(pen, payment);
    }
    pen_literal(pen, "\", \"payment_status\": \"");
    pen_text(pen, payment_status_text(payment->status));
    pen_literal(pen, "\", \"payment_datetime\": \"");
    pen_text(pen, payment->datetime);
    pen_literal(pen, "\"");
    if (payment->amount_given) {
        pen_amount(pen, payment);
    }
    if (payment->event_id.size > 0) {
        pen_event_id(pen, payment->event_id);
    }
    pen_literal(pen, "}");
}
