// Drawing messages: limits come up far more often than by chance.
#include "random_messages.h"

#include "card_scan.h"
#include "money.h"

#include <assert.h>
#include <string.h>

static bool often(struct rand *rand)
{
    return rand_chance_ppm(rand, 500000);
}

static int64_t draw_number(struct rand *rand, int64_t min, int64_t max)
{
    switch (rand_below(rand, 4)) {
    case 0:
        return min;
    case 1:
        return max;
    case 2:
        return rand_between(rand, min, max - min > 100 ? min + 100 : max);
    default:
        return rand_between(rand, min, max);
    }
}

// One character: letters mostly, but also what JSON must escape and what takes several bytes.
static struct text draw_character(struct rand *rand)
{
    static const struct text rare[] = {
        TEXT("\""),
        TEXT("\\"),
        TEXT("/"),
        TEXT("\n"),
        TEXT("\t"),
        TEXT("\x01"),
        TEXT("\x1F"),
        TEXT("\x7F"),
        TEXT("\xC3\xA9"),
        TEXT("\xE2\x82\xAC"),
        TEXT("\xF0\x9F\x98\x80"),
        TEXT("\xEF\xBF\xBF"),
    };
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz ABC 0123456789,.-'";
    if (rand_chance_ppm(rand, 200000)) {
        return rare[rand_below(rand, sizeof(rare) / sizeof(rare[0]))];
    }
    return (struct text){&letters[rand_below(rand, sizeof(letters) - 1)], 1};
}

static struct text draw_text(struct rand *rand, struct arena *arena, size_t size_min,
                             size_t size_max)
{
    const size_t size = (size_t)draw_number(rand, (int64_t)size_min, (int64_t)size_max);
    char *memory = arena_alloc(arena, size_max + 1);
    assert(memory != NULL);
    struct text text = {memory, 0};
    do {
        text.size = 0;
        while (text.size < size) {
            const struct text character = draw_character(rand);
            if (character.size <= size - text.size) {
                memcpy(memory + text.size, character.data, character.size);
                text.size += character.size;
            }
        }
    } while (card_scan_text(text));
    return text;
}

static struct currency draw_currency(struct rand *rand)
{
    return (struct currency){(uint8_t)rand_between(rand, 1, currency_count())};
}

struct order random_order(struct rand *rand, struct arena *arena, struct currency default_currency)
{
    struct order order = {
        .order_id = draw_number(rand, 1, INT64_MAX),
        .customer_id = draw_number(rand, 1, INT64_MAX),
        .item = draw_text(rand, arena, 1, ORDER_ITEM_SIZE_MAX),
        .quantity = draw_number(rand, 1, ORDER_QUANTITY_MAX),
        .shipping_address = draw_text(rand, arena, 0, ORDER_SHIPPING_ADDRESS_SIZE_MAX),
        .status = (enum order_status)rand_below(rand, ORDER_STATUS_COUNT),
        .creation_date = draw_text(rand, arena, 1, ORDER_CREATION_DATE_SIZE_MAX),
        .currency_given = often(rand),
        .version_given = often(rand),
    };
    const int64_t price_max = MONEY_TOTAL_MINOR_MAX / order.quantity;
    order.price_minor =
        draw_number(rand, 0, price_max < MONEY_PRICE_MINOR_MAX ? price_max : MONEY_PRICE_MINOR_MAX);
    order.currency = order.currency_given ? draw_currency(rand) : default_currency;
    order.version = order.version_given ? draw_number(rand, 1, ORDER_VERSION_MAX) : 0;
    return order;
}

static struct text draw_last_four(struct rand *rand, struct arena *arena)
{
    char *digits = arena_alloc(arena, PAYMENT_LAST_FOUR_SIZE);
    assert(digits != NULL);
    for (size_t i = 0; i < PAYMENT_LAST_FOUR_SIZE; i++) {
        digits[i] = (char)('0' + rand_below(rand, 10));
    }
    return (struct text){digits, often(rand) ? PAYMENT_LAST_FOUR_SIZE : 0};
}

struct payment random_payment(struct rand *rand, struct arena *arena,
                              struct currency default_currency)
{
    struct payment payment = {
        .payment_id = draw_number(rand, 1, INT64_MAX),
        .order_id = draw_number(rand, 1, INT64_MAX),
        .method = draw_text(rand, arena, 1, PAYMENT_METHOD_SIZE_MAX),
        .card_last_four = draw_last_four(rand, arena),
        .status = (enum payment_status)rand_below(rand, PAYMENT_STATUS_COUNT),
        .datetime = draw_text(rand, arena, 1, PAYMENT_DATETIME_SIZE_MAX),
        .amount_given = often(rand),
        .currency_given = often(rand),
        .event_id = draw_text(rand, arena, often(rand) ? 1 : 0, PAYMENT_EVENT_ID_SIZE_MAX),
    };
    payment.amount_minor = payment.amount_given ? draw_number(rand, 1, MONEY_PRICE_MINOR_MAX) : 0;
    payment.currency = payment.currency_given ? draw_currency(rand)
                       : payment.amount_given ? default_currency
                                              : CURRENCY_NONE;
    return payment;
}
