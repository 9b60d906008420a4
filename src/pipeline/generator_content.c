// Orders are complete and plausible; names, streets and cities are examples. What a payment says
// follows from its pair's story.
#include "generator_content.h"

#include "generator_text.h"

#include <assert.h>

#define FOREIGN_CURRENCY_PPM 30000u
#define NO_AMOUNT_PERCENT    30u
#define CUSTOMER_COUNT       200000u
#define ORPHAN_OFFSET        UINT64_C(1000000000000000) // past all orders of this and further runs

// Orders are placed 100,000 a day; after 75 years the calendar starts again.
#define PAIRS_A_DAY 100000u
#define DAY_COUNT   27394u
#define DAY_SECONDS 86400u

#define COUNT_OF(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))

struct item_row {
    struct text name;
    uint32_t price_min; // hundredths
    uint32_t price_max;
};

struct method_row {
    struct text name;
    unsigned percent;
    bool has_card;
};

struct currency_row {
    struct text code;
    unsigned minor_of_hundredth; // a rough rate: minor units for one hundredth of a dollar
};

static const struct item_row item_rows[] = {
    {TEXT("Laptop"), 59900, 249900},
    {TEXT("Phone"), 19900, 129900},
    {TEXT("Tablet"), 14900, 99900},
    {TEXT("Headphones"), 1999, 39900},
    {TEXT("Monitor"), 11900, 89900},
    {TEXT("Keyboard"), 1500, 19900},
    {TEXT("Camera"), 24900, 349900},
    {TEXT("Printer"), 7900, 49900},
    {TEXT("Book"), 499, 5999},
    {TEXT("Desk Lamp"), 1299, 12900},
    {TEXT("Office Chair"), 6900, 59900},
    {TEXT("Backpack"), 1999, 14900},
    {TEXT("Running Shoes"), 3900, 18900},
    {TEXT("Caf\xc3\xa9 Table"), 8900, 45900},
    {TEXT("Coffee Maker"), 2499, 29900},
    {TEXT("Water Bottle"), 500, 3900},
};

static const struct method_row method_rows[] = {
    {TEXT("Credit Card"), 45, true},   {TEXT("PayPal"), 20, false},
    {TEXT("Google Pay"), 15, true},    {TEXT("Apple Pay"), 12, true},
    {TEXT("Bank Transfer"), 8, false},
};

static const struct currency_row currency_rows[PAIR_CURRENCY_COUNT] = {
    {TEXT("USD"), 1}, {TEXT("EUR"), 1}, {TEXT("GBP"), 1},
    {TEXT("CHF"), 1}, {TEXT("JPY"), 1}, {TEXT("KWD"), 3},
};

static const struct text streets[] = {
    TEXT("Main St"),   TEXT("Oak Ave"),    TEXT("Park Rd"),     TEXT("Cedar Ln"),
    TEXT("Maple Dr"),  TEXT("Station Rd"), TEXT("Hill St"),     TEXT("Lake View"),
    TEXT("Church St"), TEXT("Mill Lane"),  TEXT("Harbour Way"), TEXT("Gr\xc3\xbcner Weg"),
};

static const struct text cities[] = {
    TEXT("City A"),     TEXT("City B"),   TEXT("City C"),    TEXT("Springfield"),
    TEXT("Riverton"),   TEXT("Fairview"), TEXT("Lakeside"),  TEXT("Georgetown"),
    TEXT("Greenville"), TEXT("Neustadt"), TEXT("Bridgeton"), TEXT("Sk\xc3\xb8rping"),
};

void content_find_currencies(struct currency out_currencies[PAIR_CURRENCY_COUNT])
{
    for (size_t i = 0; i < PAIR_CURRENCY_COUNT; i++) {
        bool found = currency_find(currency_rows[i].code, &out_currencies[i]);
        assert(found);
    }
}

static unsigned draw_currency(uint64_t *word)
{
    bool foreign = pair_draw(word, GENERATOR_PPM) < FOREIGN_CURRENCY_PPM;
    return foreign ? 1 + pair_draw(word, PAIR_CURRENCY_COUNT - 1) : 0;
}

static int64_t draw_quantity(uint64_t *word)
{
    unsigned quantity = 1 + pair_draw(word, 8);
    return quantity > 5 ? 1 : quantity; // one thing in half of the orders
}

void content_draw_goods(struct pair *pair)
{
    uint64_t *price = &pair->words[WORD_PRICE];
    pair->currency = draw_currency(&pair->words[WORD_BUYER]);
    pair->item = pair_draw(price, COUNT_OF(item_rows));
    pair->quantity = draw_quantity(price);
    const struct item_row *item = &item_rows[pair->item];
    pair->price_minor = item->price_min + pair_draw(price, item->price_max - item->price_min);
    pair->price_minor *= currency_rows[pair->currency].minor_of_hundredth;
    pair->total_minor = pair->price_minor * pair->quantity;
}

static uint64_t day_of(const struct pair *pair)
{
    return pair->index / PAIRS_A_DAY % DAY_COUNT;
}

static struct text make_address(uint64_t word, char *memory, size_t cap)
{
    struct pen pen;
    pen_init(&pen, memory, cap);
    pen_u64(&pen, 1 + pair_draw(&word, 999));
    pen_literal(&pen, " ");
    pen_text(&pen, streets[pair_draw(&word, COUNT_OF(streets))]);
    pen_literal(&pen, ", ");
    pen_text(&pen, cities[pair_draw(&word, COUNT_OF(cities))]);
    pen_literal(&pen, " ");
    pen_digits(&pen, pair_draw(&word, 100000), 5);
    return pen_view(&pen);
}

static void second_order(const struct pair *pair, struct order *order)
{
    static const enum order_status later_statuses[] = {
        ORDER_STATUS_CONFIRMED, ORDER_STATUS_CONFIRMED, ORDER_STATUS_SHIPPED,
        ORDER_STATUS_SHIPPED,   ORDER_STATUS_DELIVERED, ORDER_STATUS_DELIVERED,
        ORDER_STATUS_RETURNED,  ORDER_STATUS_CANCELLED,
    };
    if (pair->story == GENERATOR_UPDATE) {
        order->version = 2;
        order->status = later_statuses[pair->variant];
    } else {
        order->quantity++;
    }
}

void content_order(const struct pair_rules *rules, const struct pair *pair, enum pair_part part,
                   struct content_space *space, struct order *out_order)
{
    uint64_t buyer = pair->words[WORD_BUYER];
    struct pen date;
    pen_init(&date, space->time, sizeof(space->time));
    pen_date(&date, day_of(pair));
    *out_order = (struct order){
        .order_id = pair_order_id(rules, pair->index),
        .customer_id = 1 + pair_draw(&buyer, CUSTOMER_COUNT),
        .item = item_rows[pair->item].name,
        .quantity = pair->quantity,
        .price_minor = pair->price_minor,
        .shipping_address =
            make_address(pair->words[WORD_ADDRESS], space->address, sizeof(space->address)),
        .status = ORDER_STATUS_PENDING,
        .creation_date = pen_view(&date),
        .currency = rules->currencies[pair->currency],
        .currency_given = pair->currency != 0,
        .version_given = true,
        .version = 1,
    };
    if (part == PART_ORDER_SECOND) {
        second_order(pair, out_order);
    }
}

static void set_amount(struct payment *payment, struct currency currency, bool is_usual,
                       int64_t minor)
{
    payment->amount_given = true;
    payment->amount_minor = minor;
    payment->currency = currency;
    payment->currency_given = !is_usual;
}

static void set_method(struct payment *payment, struct content_space *space, unsigned method,
                       uint32_t last_four)
{
    const struct method_row *row = &method_rows[method];
    payment->method = row->name;
    payment->card_last_four = TEXT("");
    if (row->has_card) {
        struct pen pen;
        pen_init(&pen, space->last_four, sizeof(space->last_four));
        pen_digits(&pen, last_four, PAYMENT_LAST_FOUR_SIZE);
        payment->card_last_four = pen_view(&pen);
    }
}

static unsigned draw_method(uint64_t *word)
{
    unsigned percent = pair_draw(word, 100);
    unsigned method = 0;
    while (percent >= method_rows[method].percent) {
        percent -= method_rows[method].percent;
        method++;
    }
    return method;
}

// What the first payment says of money, where its story has something to say.
static int64_t first_amount_minor(const struct pair *pair)
{
    uint64_t word = pair->words[WORD_AMOUNT];
    int64_t total_minor = pair->total_minor;
    if (pair->story == GENERATOR_PARTIAL) {
        return 1 + pair_draw(&word, (uint32_t)total_minor - 1);
    }
    if (pair->story == GENERATOR_OVERPAY) {
        return total_minor + 1 + pair_draw(&word, (uint32_t)total_minor);
    }
    return total_minor;
}

static bool must_state_amount(const struct pair *pair)
{
    return pair->story == GENERATOR_PARTIAL || pair->story == GENERATOR_OVERPAY ||
           pair->story == GENERATOR_WRONG_CURRENCY;
}

static void set_first_amount(const struct pair_rules *rules, const struct pair *pair, bool is_given,
                             struct payment *payment)
{
    if (!is_given && !must_state_amount(pair)) {
        return;
    }
    bool is_wrong = pair->story == GENERATOR_WRONG_CURRENCY;
    unsigned currency = (pair->currency + is_wrong) % PAIR_CURRENCY_COUNT;
    set_amount(payment, rules->currencies[currency], currency == 0 && !is_wrong,
               first_amount_minor(pair));
}

static void set_refund(const struct pair_rules *rules, const struct pair *pair, bool is_third,
                       struct payment *payment)
{
    uint64_t word = pair->words[WORD_AMOUNT];
    uint32_t part_max = (uint32_t)(pair->total_minor / 3);
    payment->status = PAYMENT_STATUS_REFUNDED;
    payment->amount_given = false;
    payment->currency_given = false;
    payment->currency = CURRENCY_NONE;
    if (pair->variant == 0) {
        return; // without an amount: all of it
    }
    int64_t minor = pair->total_minor;
    if (pair->variant >= 3) {
        minor = 1 + pair_draw(&word, part_max);
        minor = is_third ? 1 + pair_draw(&word, part_max) : minor;
    }
    set_amount(payment, rules->currencies[pair->currency], pair->currency == 0, minor);
    if (pair->variant >= 6) {
        payment->event_id = is_third ? TEXT("refund-2") : TEXT("refund-1");
    }
}

static void set_rest(const struct pair_rules *rules, const struct pair *pair,
                     struct payment *payment)
{
    payment->payment_id = pair_payment_id(rules, pair->index, true);
    payment->amount_minor = pair->total_minor - payment->amount_minor;
}

// The other side of a conflict: another method or another amount.
static void set_contradiction(const struct pair_rules *rules, const struct pair *pair,
                              struct content_space *space, unsigned method, struct payment *payment)
{
    if (pair->variant % 4 == 0) {
        set_method(payment, space, (method + 1) % COUNT_OF(method_rows), 0);
    } else {
        set_amount(payment, rules->currencies[pair->currency], pair->currency == 0,
                   pair->total_minor + 100);
    }
}

static uint64_t seconds_later(enum pair_part part)
{
    switch (part) {
    case PART_PAYMENT_SECOND:
        return DAY_SECONDS;
    case PART_PAYMENT_THIRD:
        return UINT64_C(5) * DAY_SECONDS;
    case PART_ORDER:
    case PART_ORDER_SECOND:
    case PART_PAYMENT:
        break;
    }
    return 0;
}

static struct text make_datetime(const struct pair *pair, enum pair_part part, uint32_t second,
                                 struct content_space *space)
{
    bool is_same_event = pair->story == GENERATOR_CONFLICT;
    struct pen pen;
    pen_init(&pen, space->time, sizeof(space->time));
    pen_datetime(&pen,
                 day_of(pair) * DAY_SECONDS + second + (is_same_event ? 0 : seconds_later(part)));
    return pen_view(&pen);
}

static void tell_story(const struct pair_rules *rules, const struct pair *pair, enum pair_part part,
                       struct content_space *space, unsigned method, struct payment *payment)
{
    bool is_first = part == PART_PAYMENT;
    switch (pair->story) {
    case GENERATOR_PLAIN:
    case GENERATOR_CORRUPT:
    case GENERATOR_OVERPAY:
    case GENERATOR_WRONG_CURRENCY:
    case GENERATOR_UPDATE:
    case GENERATOR_STORY_COUNT:
        return;
    case GENERATOR_ORPHAN:
        payment->order_id = pair_order_id(rules, pair->index + ORPHAN_OFFSET);
        return;
    case GENERATOR_FAILED_RETRY:
        payment->status = is_first ? PAYMENT_STATUS_FAILED : PAYMENT_STATUS_COMPLETED;
        return;
    case GENERATOR_CONFLICT:
        if (!is_first) {
            set_contradiction(rules, pair, space, method, payment);
        }
        return;
    case GENERATOR_PARTIAL:
        if (!is_first) {
            set_rest(rules, pair, payment);
        }
        return;
    case GENERATOR_REFUND:
        if (!is_first) {
            set_refund(rules, pair, part == PART_PAYMENT_THIRD, payment);
        }
        return;
    case GENERATOR_CHARGEBACK:
        if (!is_first) {
            payment->status = part == PART_PAYMENT_SECOND ? PAYMENT_STATUS_CHARGEBACK
                                                          : PAYMENT_STATUS_CHARGEBACK_REVERSED;
        }
        return;
    }
}

void content_payment(const struct pair_rules *rules, const struct pair *pair, enum pair_part part,
                     struct content_space *space, struct payment *out_payment)
{
    uint64_t word = pair->words[WORD_PAYMENT];
    unsigned method = draw_method(&word);
    uint32_t last_four = pair_draw(&word, 10000);
    bool amount_is_given = pair_draw(&word, 100) >= NO_AMOUNT_PERCENT;
    *out_payment = (struct payment){
        .payment_id = pair_payment_id(rules, pair->index, false),
        .order_id = pair_order_id(rules, pair->index),
        .status = PAYMENT_STATUS_COMPLETED,
        .datetime = make_datetime(pair, part, pair_draw(&word, DAY_SECONDS), space),
    };
    set_method(out_payment, space, method, last_four);
    set_first_amount(rules, pair, amount_is_given, out_payment);
    tell_story(rules, pair, part, space, method, out_payment);
}
