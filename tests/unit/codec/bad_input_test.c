// The table of bad input: one row a case, each a test of its own. A row is a good message with one
// member changed, a whole body, or a body that is made; and what must become of it. Details are
// compared whole, so a value that leaked into one would show.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "codec_rig.h"

#include <string.h>

enum side { ORDERS, PAYMENTS };

struct row {
    const char *name;
    enum side side;
    const char *key; // of the member to change; NULL for none
    const char *value;
    struct text body; // instead of a member
    void (*make)(struct buf *body);
    bool strict_price;
    enum reason reason; // REASON_NONE: accepted
    const char *detail;
};

#define NO_MEMBER      NULL
#define ACCEPTED       .reason = REASON_NONE, .detail = ""
#define WHOLE(literal) .body = {(literal), sizeof(literal) - 1}

#define ID_EXPECTED        "an integer from 1 to 2^63-1"
#define ORDER_STATUSES     "one of Pending Confirmed Shipped Delivered Cancelled Returned"
#define PAYMENT_STATUSES   "one of Pending Failed Completed Refunded Chargeback ChargebackReversed"
#define AMOUNT_EXPECTED    "a decimal above 0, at most 10^12 minor units"
#define PRICE_EXPECTED     "a decimal from 0 to 10^12 minor units"
#define CURRENCY_EXPECTED  "an ISO 4217 code such as USD"
#define LAST_FOUR_EXPECTED "text of 4 digits, or empty"

static void add_repeated(struct buf *body, const char *text, size_t times)
{
    for (size_t i = 0; i < times; i++) {
        buf_add_str(body, text);
    }
}

static void make_brackets(struct buf *body)
{
    add_repeated(body, "[", 100000);
}

// An order of exactly `size` bytes, filled up with white space.
static void make_order_of_size(struct buf *body, size_t size)
{
    static const char order[] =
        "{\"order_id\":42,\"customer_id\":7,\"item\":\"x\",\"quantity\":1,\"price\":1,"
        "\"shipping_address\":\"\",\"order_status\":\"Pending\",\"creation_date\":\"2024-01-21\"}";
    buf_add_str(body, order);
    add_repeated(body, " ", size - (sizeof(order) - 1));
}

static void make_at_limit(struct buf *body)
{
    make_order_of_size(body, MESSAGE_SIZE_MAX);
}

static void make_below_limit(struct buf *body)
{
    make_order_of_size(body, MESSAGE_SIZE_MAX - 1);
}

static void make_above_limit(struct buf *body)
{
    make_order_of_size(body, MESSAGE_SIZE_MAX + 1);
}

static void make_ten_megabytes(struct buf *body)
{
    make_order_of_size(body, 10u * 1024 * 1024);
}

static void make_long_id(struct buf *body)
{
    buf_add_str(body, "{\"order_id\":\"");
    add_repeated(body, "7", 1024u * 1024);
    buf_add_str(body, "\"}");
}

// The message's own object is the first level.
static void make_nested(struct buf *body, size_t levels)
{
    buf_add_str(body,
                "{\"order_id\":42,\"customer_id\":7,\"item\":\"x\",\"quantity\":1,\"price\":1,"
                "\"shipping_address\":\"\",\"order_status\":\"Pending\","
                "\"creation_date\":\"2024-01-21\",\"extra\":");
    add_repeated(body, "{\"a\":", levels - 2);
    buf_add_str(body, "{}");
    add_repeated(body, "}", levels - 1);
}

static void make_nested_15(struct buf *body)
{
    make_nested(body, MESSAGE_DEPTH_MAX - 1);
}

static void make_nested_16(struct buf *body)
{
    make_nested(body, MESSAGE_DEPTH_MAX);
}

static void make_nested_17(struct buf *body)
{
    make_nested(body, MESSAGE_DEPTH_MAX + 1);
}

static void make_nested_65(struct buf *body)
{
    make_nested(body, 65);
}

static void make_keys(struct buf *body, size_t count)
{
    buf_add_str(body,
                "{\"order_id\":42,\"customer_id\":7,\"item\":\"x\",\"quantity\":1,\"price\":1,"
                "\"shipping_address\":\"\",\"order_status\":\"Pending\","
                "\"creation_date\":\"2024-01-21\"");
    for (size_t i = 8; i < count; i++) {
        buf_add_fmt(body, ",\"key_%zu\":%zu", i, i);
    }
    buf_add_str(body, "}");
}

static void make_63_keys(struct buf *body)
{
    make_keys(body, MESSAGE_KEYS_MAX - 1);
}

static void make_64_keys(struct buf *body)
{
    make_keys(body, MESSAGE_KEYS_MAX);
}

static void make_65_keys(struct buf *body)
{
    make_keys(body, MESSAGE_KEYS_MAX + 1);
}

static void make_10000_keys(struct buf *body)
{
    make_keys(body, 10000);
}

// clang-format off
static const struct row rows[] = {
    // Size, encoding, syntax
    {"1 empty body is refused", ORDERS, .body = {"", 0},
        .reason = REASON_E_EMPTY, .detail = "expected an object, the body is empty"},
    {"1 empty payment is refused", PAYMENTS, .body = {"", 0},
        .reason = REASON_E_EMPTY, .detail = "expected an object, the body is empty"},
    {"2 byte 0xFF is not UTF-8", ORDERS, "item", "\"a\xFFz\"",
        .reason = REASON_E_UTF8, .detail = "line 1, column 48: expected UTF-8"},
    {"2 overlong slash is not UTF-8", PAYMENTS, "payment_method", "\"\xC0\xAF\"",
        .reason = REASON_E_UTF8, .detail = "line 1, column 57: expected UTF-8"},
    {"2 surrogate bytes are not UTF-8", ORDERS, "extra", "\"\xED\xA0\x80\"",
        .reason = REASON_E_UTF8, .detail = "line 1, column 200: expected UTF-8"},
    {"2 encoding wins over syntax that stands before it", ORDERS, WHOLE("{oops \xFF"),
        .reason = REASON_E_UTF8, .detail = "line 1, column 7: expected UTF-8"},
    {"3 byte order mark is refused", ORDERS, WHOLE("\xEF\xBB\xBF{\"order_id\": 42}"),
        .reason = REASON_E_JSON, .detail = "line 1, column 1: expected no byte order mark"},
    {"4 truncated JSON is refused", ORDERS, WHOLE("{\"order_id\": 42, \"customer_id\""),
        .reason = REASON_E_JSON, .detail = "line 1, column 31: expected ':'"},
    {"4 truncated in a string", PAYMENTS, WHOLE("{\"payment_id\": 42, \"payment_method\": \"Goo"),
        .reason = REASON_E_JSON, .detail = "line 1, column 42: expected the quote that ends a string"},
    {"4 value missing", ORDERS, WHOLE("{\"order_id\":\n    ,}"),
        .reason = REASON_E_JSON, .detail = "line 2, column 5: expected a value"},
    {"5 two documents are refused", ORDERS, WHOLE("{\"order_id\": 42} {\"order_id\": 43}"),
        .reason = REASON_E_JSON, .detail = "line 1, column 18: expected nothing after the document"},
    {"5 trailing garbage is refused", PAYMENTS, WHOLE("{\"payment_id\": 42}x"),
        .reason = REASON_E_JSON, .detail = "line 1, column 19: expected nothing after the document"},
    {"6 trailing comma is refused", ORDERS, WHOLE("{\"order_id\": 42,}"),
        .reason = REASON_E_JSON, .detail = "line 1, column 17: expected a key"},
    {"6 comment is refused", ORDERS, WHOLE("{/* id */ \"order_id\": 42}"),
        .reason = REASON_E_JSON, .detail = "line 1, column 2: expected a key or '}'"},
    {"6 single quotes are refused", ORDERS, WHOLE("{'order_id': 42}"),
        .reason = REASON_E_JSON, .detail = "line 1, column 2: expected a key or '}'"},
    {"6 NaN is refused", ORDERS, "price", "NaN",
        .reason = REASON_E_JSON, .detail = "line 1, column 80: expected a value"},
    {"6 Infinity is refused", ORDERS, "price", "-Infinity",
        .reason = REASON_E_JSON, .detail = "line 1, column 81: expected a digit"},
    {"6 raw newline in text is refused", ORDERS, "item", "\"a\nb\"",
        .reason = REASON_E_JSON, .detail = "line 1, column 48: expected control characters to be escaped"},
    {"7 top-level array", ORDERS, WHOLE("[{\"order_id\": 42}]"),
        .reason = REASON_E_TYPE, .detail = "expected an object"},
    {"7 top-level text", PAYMENTS, WHOLE("\"payment_id\""),
        .reason = REASON_E_TYPE, .detail = "expected an object"},
    {"7 top-level null", ORDERS, WHOLE("null"),
        .reason = REASON_E_TYPE, .detail = "expected an object"},
    {"7 broken top-level array is a matter of syntax", ORDERS, WHOLE("[42"),
        .reason = REASON_E_JSON, .detail = "line 1, column 4: expected ',' or ']'"},
    {"8 a hundred thousand brackets", ORDERS, .make = make_brackets,
        .reason = REASON_E_DEPTH, .detail = "line 1, column 17: expected fewer levels of nesting"},
    {"9 duplicate key", PAYMENTS, WHOLE("{\"payment_id\": 1042, \"amount\": 1, \"amount\": 2}"),
        .reason = REASON_E_DUPKEY, .detail = "line 1, column 35: expected a key that is not there already"},
    {"9 duplicate key in other spelling", ORDERS, WHOLE("{\"order_id\": 1, \"order\\u005fid\": 2}"),
        .reason = REASON_E_DUPKEY, .detail = "line 1, column 17: expected a key that is not there already"},
    {"10 message one byte below the limit", ORDERS, .make = make_below_limit, ACCEPTED},
    {"10 message at the limit", ORDERS, .make = make_at_limit, ACCEPTED},
    {"10 message one byte above the limit", ORDERS, .make = make_above_limit,
        .reason = REASON_E_SIZE, .detail = "expected a body of at most 262144 bytes"},
    {"11 ten megabytes", ORDERS, .make = make_ten_megabytes,
        .reason = REASON_E_SIZE, .detail = "expected a body of at most 262144 bytes"},
    {"12 base64 body", ORDERS, WHOLE("eyJvcmRlcl9pZCI6IDQyfQ=="),
        .reason = REASON_E_JSON, .detail = "line 1, column 1: expected a value"},
    {"12 gzip body", ORDERS, WHOLE("\x1F\x8B\x08\x00\x00"),
        .reason = REASON_E_UTF8, .detail = "line 1, column 2: expected UTF-8"},
    {"13 unknown field is ignored", ORDERS, "note", "\"leave at the door\"", ACCEPTED},
    {"13 unknown nested field is ignored", PAYMENTS, "meta", "{\"order_id\": [null, {\"a\": 1e9}]}", ACCEPTED},
    {"14 a schema version is a field like any other", ORDERS, "schema_version", "99", ACCEPTED},
    {"15 zero byte in the item", ORDERS, "item", "\"a\\u0000b\"",
        .reason = REASON_E_FORMAT, .detail = "item: expected text without a zero byte"},
    {"15 zero byte in the status", PAYMENTS, "payment_status", "\"Completed\\u0000\"",
        .reason = REASON_E_FORMAT, .detail = "payment_status: expected text without a zero byte"},
    {"15 zero byte in the event id", PAYMENTS, "event_id", "\"\\u0000\"",
        .reason = REASON_E_FORMAT, .detail = "event_id: expected text without a zero byte"},
    {"15 zero byte in an id", ORDERS, "order_id", "\"42\\u0000\"",
        .reason = REASON_E_TYPE, .detail = "order_id: expected " ID_EXPECTED},
    {"16 lone surrogate escape", ORDERS, "item", "\"\\uD800\"",
        .reason = REASON_E_UTF8, .detail = "line 1, column 47: expected a pair of surrogates"},

    // Identity
    {"17 order_id missing", ORDERS, "order_id", NO_MEMBER,
        .reason = REASON_E_MISSING, .detail = "order_id: missing, expected " ID_EXPECTED},
    {"17 payment_id missing", PAYMENTS, "payment_id", NO_MEMBER,
        .reason = REASON_E_MISSING, .detail = "payment_id: missing, expected " ID_EXPECTED},
    {"18 order_id empty", ORDERS, "order_id", "\"\"",
        .reason = REASON_E_TYPE, .detail = "order_id: expected " ID_EXPECTED},
    {"18 order_id spaces", PAYMENTS, "order_id", "\"   \"",
        .reason = REASON_E_TYPE, .detail = "order_id: expected " ID_EXPECTED},
    {"19 order_id in quotes", ORDERS, "order_id", "\"123\"",
        .reason = REASON_E_TYPE, .detail = "order_id: expected " ID_EXPECTED},
    {"19 order_id null", ORDERS, "order_id", "null",
        .reason = REASON_E_TYPE, .detail = "order_id: expected " ID_EXPECTED},
    {"19 payment_id true", PAYMENTS, "payment_id", "true",
        .reason = REASON_E_TYPE, .detail = "payment_id: expected " ID_EXPECTED},
    {"19 payment_id an array", PAYMENTS, "payment_id", "[1042]",
        .reason = REASON_E_TYPE, .detail = "payment_id: expected " ID_EXPECTED},
    {"20 order_id of a megabyte", ORDERS, .make = make_long_id,
        .reason = REASON_E_SIZE, .detail = "expected a body of at most 262144 bytes"},
    {"20 order_id of 65 digits", ORDERS, "order_id",
        "11111111111111111111111111111111111111111111111111111111111111111",
        .reason = REASON_E_RANGE, .detail = "order_id: expected " ID_EXPECTED},
    {"21 order_id with SQL", ORDERS, "order_id", "\"'; DROP TABLE x;--\"",
        .reason = REASON_E_TYPE, .detail = "order_id: expected " ID_EXPECTED},
    {"22 order_id with a path", PAYMENTS, "order_id", "\"/../\\n\\u202e\"",
        .reason = REASON_E_TYPE, .detail = "order_id: expected " ID_EXPECTED},
    {"24 order_id above 2^53", ORDERS, "order_id", "9007199254740993", ACCEPTED},
    {"24 order_id 2^63-2", ORDERS, "order_id", "9223372036854775806", ACCEPTED},
    {"24 order_id 2^63-1", ORDERS, "order_id", "9223372036854775807", ACCEPTED},
    {"24 order_id 2^63", ORDERS, "order_id", "9223372036854775808",
        .reason = REASON_E_RANGE, .detail = "order_id: expected " ID_EXPECTED},
    {"24 payment_id 0", PAYMENTS, "payment_id", "0",
        .reason = REASON_E_RANGE, .detail = "payment_id: expected " ID_EXPECTED},
    {"24 payment_id 1", PAYMENTS, "payment_id", "1", ACCEPTED},
    {"24 payment_id 2", PAYMENTS, "payment_id", "2", ACCEPTED},
    {"24 payment_id negative", PAYMENTS, "payment_id", "-1",
        .reason = REASON_E_RANGE, .detail = "payment_id: expected " ID_EXPECTED},
    {"24 customer_id minus zero", ORDERS, "customer_id", "-0",
        .reason = REASON_E_RANGE, .detail = "customer_id: expected " ID_EXPECTED},
    {"24 order_id with an exponent", ORDERS, "order_id", "1e2",
        .reason = REASON_E_TYPE, .detail = "order_id: expected " ID_EXPECTED},
    {"24 order_id with a fraction", ORDERS, "order_id", "42.0",
        .reason = REASON_E_TYPE, .detail = "order_id: expected " ID_EXPECTED},
    {"63 order on the payments topic", PAYMENTS,
        WHOLE("{\"order_id\": 42, \"customer_id\": 771, \"item\": \"x\", \"quantity\": 1, \"price\": 1}"),
        .reason = REASON_E_WRONG_TOPIC, .detail = "expected a payment, the keys are an order's"},
    {"63 item alone tells an order", PAYMENTS, WHOLE("{\"order_id\": 42, \"item\": null}"),
        .reason = REASON_E_WRONG_TOPIC, .detail = "expected a payment, the keys are an order's"},
    {"63 payment on the orders topic", ORDERS,
        WHOLE("{\"payment_id\": 1042, \"order_id\": 42, \"payment_status\": \"Completed\"}"),
        .reason = REASON_E_WRONG_TOPIC, .detail = "expected an order, the keys are a payment's"},
    {"63 payment_status alone tells a payment", ORDERS, WHOLE("{\"order_id\": 0, \"payment_status\": 1}"),
        .reason = REASON_E_WRONG_TOPIC, .detail = "expected an order, the keys are a payment's"},
    {"63 an order that names its payment is an order", ORDERS, "payment_id", "1042", ACCEPTED},
    {"63 a payment that names the price is a payment", PAYMENTS, "price", "1299.99", ACCEPTED},
    {"89 payment without order_id", PAYMENTS, "order_id", NO_MEMBER,
        .reason = REASON_E_MISSING, .detail = "order_id: missing, expected " ID_EXPECTED},

    // Money
    {"25 price missing", ORDERS, "price", NO_MEMBER,
        .reason = REASON_E_MISSING, .detail = "price: missing, expected " PRICE_EXPECTED},
    {"25 price null", ORDERS, "price", "null",
        .reason = REASON_E_TYPE, .detail = "price: expected " PRICE_EXPECTED},
    {"25 amount missing", PAYMENTS, "amount", NO_MEMBER, ACCEPTED},
    {"25 amount null", PAYMENTS, "amount", "null", ACCEPTED},
    {"26 amount as exact text", PAYMENTS, "amount", "\"12.50\"", ACCEPTED},
    {"26 price as exact text", ORDERS, "price", "\"12.50\"", ACCEPTED},
    {"26 price as text with escapes", ORDERS, "price", "\"1\\u0032.5\"", ACCEPTED},
    {"26 price as text is never rounded", ORDERS, "price", "\"512.3400000000001\"",
        .reason = REASON_E_RANGE, .detail = "price: expected a decimal of at most 2 digits after the point"},
    {"26 price as words", ORDERS, "price", "\"twelve\"",
        .reason = REASON_E_TYPE, .detail = "price: expected " PRICE_EXPECTED},
    {"26 price as text with a comma", ORDERS, "price", "\"12,50\"",
        .reason = REASON_E_TYPE, .detail = "price: expected " PRICE_EXPECTED},
    {"26 price as empty text", ORDERS, "price", "\"\"",
        .reason = REASON_E_TYPE, .detail = "price: expected " PRICE_EXPECTED},
    {"26 amount true", PAYMENTS, "amount", "true",
        .reason = REASON_E_TYPE, .detail = "amount: expected " AMOUNT_EXPECTED},
    {"27 amount with three decimals", PAYMENTS, "amount", "12.505",
        .reason = REASON_E_RANGE, .detail = "amount: expected a decimal of at most 2 digits after the point"},
    {"27 strict price with three decimals", ORDERS, "price", "12.505", .strict_price = true,
        .reason = REASON_E_RANGE, .detail = "price: expected a decimal of at most 2 digits after the point"},
    {"27 trailing zeros are no precision", PAYMENTS, "amount", "12.50000", ACCEPTED},
    {"28 yen with a fraction", PAYMENTS,
        WHOLE("{\"payment_id\": 1, \"order_id\": 2, \"payment_method\": \"x\", \"payment_status\": \"Completed\","
              "\"payment_datetime\": \"x\", \"amount\": 10.5, \"currency\": \"JPY\"}"),
        .reason = REASON_E_RANGE, .detail = "amount: expected a decimal without digits after the point"},
    {"28 dinar with three digits", PAYMENTS,
        WHOLE("{\"payment_id\": 1, \"order_id\": 2, \"payment_method\": \"x\", \"payment_status\": \"Completed\","
              "\"payment_datetime\": \"x\", \"amount\": 1.234, \"currency\": \"KWD\"}"), ACCEPTED},
    {"28 dinar with four digits", PAYMENTS,
        WHOLE("{\"payment_id\": 1, \"order_id\": 2, \"payment_method\": \"x\", \"payment_status\": \"Completed\","
              "\"payment_datetime\": \"x\", \"currency\": \"KWD\", \"amount\": 1.2345}"),
        .reason = REASON_E_RANGE, .detail = "amount: expected a decimal of at most 3 digits after the point"},
    {"29 amount 1e400", PAYMENTS, "amount", "1e400",
        .reason = REASON_E_RANGE, .detail = "amount: expected " AMOUNT_EXPECTED},
    {"29 amount 1e-400", PAYMENTS, "amount", "1e-400",
        .reason = REASON_E_RANGE, .detail = "amount: expected a decimal of at most 2 digits after the point"},
    {"29 price with an absurd exponent", ORDERS, "price", "1e999999999999999999999",
        .reason = REASON_E_RANGE, .detail = "price: expected " PRICE_EXPECTED},
    {"29 price minus zero", ORDERS, "price", "-0", ACCEPTED},
    {"29 price with a good exponent", ORDERS, "price", "1.2e2", ACCEPTED},
    {"30 price that a double printed is rounded", ORDERS, "price", "512.3400000000001", ACCEPTED},
    {"30 price that a double printed, strictly", ORDERS, "price", "512.3400000000001", .strict_price = true,
        .reason = REASON_E_RANGE, .detail = "price: expected a decimal of at most 2 digits after the point"},
    {"30 price of more digits than a double has", ORDERS, "price", "512.340000000000012",
        .reason = REASON_E_RANGE, .detail = "price: expected a decimal of at most 2 digits after the point"},
    {"30 amount is never rounded", PAYMENTS, "amount", "0.30000000000000004",
        .reason = REASON_E_RANGE, .detail = "amount: expected a decimal of at most 2 digits after the point"},
    {"31 negative amount", PAYMENTS, "amount", "-0.01",
        .reason = REASON_E_RANGE, .detail = "amount: expected " AMOUNT_EXPECTED},
    {"31 negative price", ORDERS, "price", "-0.01",
        .reason = REASON_E_RANGE, .detail = "price: expected " PRICE_EXPECTED},
    {"32 price zero", ORDERS, "price", "0.00", ACCEPTED},
    {"32 price one cent", ORDERS, "price", "0.01", ACCEPTED},
    {"32 amount zero", PAYMENTS, "amount", "0",
        .reason = REASON_E_RANGE, .detail = "amount: expected " AMOUNT_EXPECTED},
    {"32 amount one cent", PAYMENTS, "amount", "0.01", ACCEPTED},
    {"33 amount above int64", PAYMENTS, "amount", "92233720368547758.08",
        .reason = REASON_E_RANGE, .detail = "amount: expected " AMOUNT_EXPECTED},
    {"33 amount just below 10^12 minor units", PAYMENTS, "amount", "9999999999.99", ACCEPTED},
    {"33 amount of 10^12 minor units", PAYMENTS, "amount", "10000000000.00", ACCEPTED},
    {"33 amount just above 10^12 minor units", PAYMENTS, "amount", "10000000000.01",
        .reason = REASON_E_RANGE, .detail = "amount: expected " AMOUNT_EXPECTED},
    {"33 price just above 10^12 minor units", ORDERS, "price", "10000000000.01",
        .reason = REASON_E_RANGE, .detail = "price: expected " PRICE_EXPECTED},
    {"35 total just below 10^15", ORDERS,
        WHOLE("{\"order_id\": 1, \"customer_id\": 2, \"item\": \"x\", \"quantity\": 1000, \"price\": 9999999999.99,"
              "\"shipping_address\": \"\", \"order_status\": \"Pending\", \"creation_date\": \"x\"}"), ACCEPTED},
    {"35 total of 10^15", ORDERS,
        WHOLE("{\"order_id\": 1, \"customer_id\": 2, \"item\": \"x\", \"quantity\": 1000, \"price\": 10000000000,"
              "\"shipping_address\": \"\", \"order_status\": \"Pending\", \"creation_date\": \"x\"}"), ACCEPTED},
    {"35 total just above 10^15", ORDERS,
        WHOLE("{\"order_id\": 1, \"customer_id\": 2, \"item\": \"x\", \"quantity\": 1001, \"price\": 9990009990.01,"
              "\"shipping_address\": \"\", \"order_status\": \"Pending\", \"creation_date\": \"x\"}"),
        .reason = REASON_E_RANGE, .detail = "price x quantity: expected at most 10^15 minor units"},
    {"36 quantity 0", ORDERS, "quantity", "0",
        .reason = REASON_E_RANGE, .detail = "quantity: expected an integer from 1 to 1000000"},
    {"36 quantity 1", ORDERS, "quantity", "1", ACCEPTED},
    {"36 quantity -1", ORDERS, "quantity", "-1",
        .reason = REASON_E_RANGE, .detail = "quantity: expected an integer from 1 to 1000000"},
    {"36 quantity 999999", ORDERS, "quantity", "999999", ACCEPTED},
    {"36 quantity 1000000", ORDERS, "quantity", "1000000", ACCEPTED},
    {"36 quantity 1000001", ORDERS, "quantity", "1000001",
        .reason = REASON_E_RANGE, .detail = "quantity: expected an integer from 1 to 1000000"},
    {"36 quantity 1e9", ORDERS, "quantity", "1e9",
        .reason = REASON_E_TYPE, .detail = "quantity: expected an integer from 1 to 1000000"},
    {"37 currency in lower case", ORDERS, "currency", "\"eur\"",
        .reason = REASON_E_CURRENCY, .detail = "currency: expected " CURRENCY_EXPECTED},
    {"37 currency of two letters", PAYMENTS, "currency", "\"EU\"",
        .reason = REASON_E_CURRENCY, .detail = "currency: expected " CURRENCY_EXPECTED},
    {"37 currency of four letters", PAYMENTS, "currency", "\"EURO\"",
        .reason = REASON_E_CURRENCY, .detail = "currency: expected " CURRENCY_EXPECTED},
    {"37 currency XXX", ORDERS, "currency", "\"XXX\"",
        .reason = REASON_E_CURRENCY, .detail = "currency: expected " CURRENCY_EXPECTED},
    {"37 currency as a sign", PAYMENTS, "currency", "\"\xE2\x82\xAC\"",
        .reason = REASON_E_CURRENCY, .detail = "currency: expected " CURRENCY_EXPECTED},
    {"37 currency empty", ORDERS, "currency", "\"\"",
        .reason = REASON_E_CURRENCY, .detail = "currency: expected " CURRENCY_EXPECTED},
    {"37 currency a number", ORDERS, "currency", "978",
        .reason = REASON_E_TYPE, .detail = "currency: expected " CURRENCY_EXPECTED},
    {"37 currency null", ORDERS, "currency", "null", ACCEPTED},
    {"37 an unknown currency is told before a price that it would judge", ORDERS,
        WHOLE("{\"order_id\": 1, \"customer_id\": 2, \"item\": \"x\", \"quantity\": 1, \"price\": 1.2345678901234567890,"
              "\"currency\": \"EEK\"}"),
        .reason = REASON_E_CURRENCY, .detail = "currency: expected " CURRENCY_EXPECTED},
    {"38 a payment's currency may be any", PAYMENTS, "currency", "\"JPY\"", ACCEPTED},

    // Times
    {"39 creation_date missing", ORDERS, "creation_date", NO_MEMBER,
        .reason = REASON_E_MISSING, .detail = "creation_date: missing, expected text of 1 to 64 bytes"},
    {"39 payment_datetime missing", PAYMENTS, "payment_datetime", NO_MEMBER,
        .reason = REASON_E_MISSING, .detail = "payment_datetime: missing, expected text of 1 to 64 bytes"},
    {"39 payment_datetime empty", PAYMENTS, "payment_datetime", "\"\"",
        .reason = REASON_E_RANGE, .detail = "payment_datetime: expected text of 1 to 64 bytes"},
    {"39 creation_date a number", ORDERS, "creation_date", "1705831290",
        .reason = REASON_E_TYPE, .detail = "creation_date: expected text of 1 to 64 bytes"},
    {"40 a time that does not exist is kept", PAYMENTS, "payment_datetime", "\"2026-02-30T25:61:00Z\"", ACCEPTED},
    {"41 the year 1969 is kept", ORDERS, "creation_date", "\"1969-12-31\"", ACCEPTED},
    {"42 a time without zone is kept", PAYMENTS, "payment_datetime", "\"2024-01-21T10:01:30\"", ACCEPTED},
    {"42 a leap second is kept", PAYMENTS, "payment_datetime", "\"2016-12-31T23:59:60Z\"", ACCEPTED},

    // Texts
    {"43 unknown order status", ORDERS, "order_status", "\"PAYED\"",
        .reason = REASON_E_ENUM, .detail = "order_status: expected " ORDER_STATUSES},
    {"43 status in other case", PAYMENTS, "payment_status", "\"completed\"",
        .reason = REASON_E_ENUM, .detail = "payment_status: expected " PAYMENT_STATUSES},
    {"43 status empty", PAYMENTS, "payment_status", "\"\"",
        .reason = REASON_E_ENUM, .detail = "payment_status: expected " PAYMENT_STATUSES},
    {"43 status missing", ORDERS, "order_status", NO_MEMBER,
        .reason = REASON_E_MISSING, .detail = "order_status: missing, expected " ORDER_STATUSES},
    {"43 status a number", ORDERS, "order_status", "1",
        .reason = REASON_E_TYPE, .detail = "order_status: expected " ORDER_STATUSES},
    {"46 last four of two digits", PAYMENTS, "card_last_four", "\"12\"",
        .reason = REASON_E_FORMAT, .detail = "card_last_four: expected " LAST_FOUR_EXPECTED},
    {"46 last four of three digits", PAYMENTS, "card_last_four", "\"123\"",
        .reason = REASON_E_FORMAT, .detail = "card_last_four: expected " LAST_FOUR_EXPECTED},
    {"46 last four of five digits", PAYMENTS, "card_last_four", "\"12345\"",
        .reason = REASON_E_FORMAT, .detail = "card_last_four: expected " LAST_FOUR_EXPECTED},
    {"46 last four with a letter", PAYMENTS, "card_last_four", "\"12a4\"",
        .reason = REASON_E_FORMAT, .detail = "card_last_four: expected " LAST_FOUR_EXPECTED},
    {"46 last four with a sign", PAYMENTS, "card_last_four", "\"-123\"",
        .reason = REASON_E_FORMAT, .detail = "card_last_four: expected " LAST_FOUR_EXPECTED},
    {"46 last four a number", PAYMENTS, "card_last_four", "1234",
        .reason = REASON_E_TYPE, .detail = "card_last_four: expected " LAST_FOUR_EXPECTED},
    {"46 last four empty", PAYMENTS, "card_last_four", "\"\"", ACCEPTED},
    {"46 last four null", PAYMENTS, "card_last_four", "null", ACCEPTED},
    {"46 last four absent", PAYMENTS, "card_last_four", NO_MEMBER, ACCEPTED},
    {"90 order without item", ORDERS, "item", NO_MEMBER,
        .reason = REASON_E_MISSING, .detail = "item: missing, expected text of 1 to 256 bytes"},
    {"90 item empty", ORDERS, "item", "\"\"",
        .reason = REASON_E_RANGE, .detail = "item: expected text of 1 to 256 bytes"},
    {"90 item an array", ORDERS, "item", "[\"Laptop\"]",
        .reason = REASON_E_TYPE, .detail = "item: expected text of 1 to 256 bytes"},
    {"90 shipping_address null", ORDERS, "shipping_address", "null",
        .reason = REASON_E_TYPE, .detail = "shipping_address: expected text of at most 512 bytes"},
    {"90 shipping_address empty", ORDERS, "shipping_address", "\"\"", ACCEPTED},
    {"95 newline and header injection in a text", ORDERS, "shipping_address",
        "\"a@b\\r\\nBcc: everyone\"", ACCEPTED},
    {"96 formula in a text", ORDERS, "item", "\"=cmd()\"", ACCEPTED},
    {"version 0", ORDERS, "version", "0",
        .reason = REASON_E_RANGE, .detail = "version: expected an integer from 1 to 2^31"},
    {"version 1", ORDERS, "version", "1", ACCEPTED},
    {"version 2^31-1", ORDERS, "version", "2147483647", ACCEPTED},
    {"version 2^31", ORDERS, "version", "2147483648", ACCEPTED},
    {"version 2^31+1", ORDERS, "version", "2147483649",
        .reason = REASON_E_RANGE, .detail = "version: expected an integer from 1 to 2^31"},
    {"version as text", ORDERS, "version", "\"1\"",
        .reason = REASON_E_TYPE, .detail = "version: expected an integer from 1 to 2^31"},
    {"version null", ORDERS, "version", "null", ACCEPTED},
    {"event_id empty", PAYMENTS, "event_id", "\"\"",
        .reason = REASON_E_RANGE, .detail = "event_id: expected text of 1 to 64 bytes"},
    {"event_id a number", PAYMENTS, "event_id", "7",
        .reason = REASON_E_TYPE, .detail = "event_id: expected text of 1 to 64 bytes"},
    {"event_id null", PAYMENTS, "event_id", "null", ACCEPTED},

    // Card data
    {"44 card number in the method", PAYMENTS, "payment_method", "\"Visa 4111111111111111\"",
        .reason = REASON_E_PAN, .detail = "payment_method: expected text without a card number"},
    {"45 key cvv", PAYMENTS, "cvv", "\"123\"",
        .reason = REASON_E_PAN, .detail = "line 1, column 172: expected no key that names card data"},
    {"45 key CVC-2 in a nested object", PAYMENTS, "card", "{\"CVC-2\": 1}",
        .reason = REASON_E_PAN, .detail = "line 1, column 181: expected no key that names card data"},
    {"45 key track2 with an escape", ORDERS, "trac\\u006b2", "null",
        .reason = REASON_E_PAN, .detail = "line 1, column 191: expected no key that names card data"},
    {"45 key pin", ORDERS, "pin", "{}",
        .reason = REASON_E_PAN, .detail = "line 1, column 191: expected no key that names card data"},
    {"45 a key that is a card number", ORDERS, "4111111111111111", "true",
        .reason = REASON_E_PAN, .detail = "line 1, column 191: expected no card number in a key"},
    {"47 card number with spaces and dashes in a note", ORDERS, "note", "\"call 4111 1111-1111 1111 now\"",
        .reason = REASON_E_PAN, .detail = "line 1, column 199: expected text without a card number"},
    {"47 card number with escapes", ORDERS, "item", "\"\\u0034111\\u002d1111-11111111\"",
        .reason = REASON_E_PAN, .detail = "item: expected text without a card number"},
    {"47 card number deep inside", ORDERS, "extra", "[[{\"a\": [\"378282246310005\"]}]]",
        .reason = REASON_E_PAN, .detail = "line 1, column 209: expected text without a card number"},
    {"47 the first of several is named", ORDERS, WHOLE("{\"item\": \"4111111111111111\", \"cvv\": 1}"),
        .reason = REASON_E_PAN, .detail = "item: expected text without a card number"},
    {"47 card data wins over identity and type", ORDERS, WHOLE("[\"4111111111111111\"]"),
        .reason = REASON_E_PAN, .detail = "line 1, column 3: expected text without a card number"},
    {"47 syntax wins over card data", ORDERS, WHOLE("{\"item\": \"4111111111111111\""),
        .reason = REASON_E_JSON, .detail = "line 1, column 28: expected ',' or '}'"},
    {"48 a number is never scanned", PAYMENTS, "payment_id", "4111111111111111", ACCEPTED},
    {"48 nor is an unknown one", ORDERS, "reference", "4111111111111111", ACCEPTED},
    {"48 sixteen digits that fail the Luhn check", ORDERS, "item", "\"4111111111111112\"", ACCEPTED},

    // Shape
    {"93 nesting below the limit", ORDERS, .make = make_nested_15, ACCEPTED},
    {"93 nesting at the limit", ORDERS, .make = make_nested_16, ACCEPTED},
    {"93 nesting above the limit", ORDERS, .make = make_nested_17,
        .reason = REASON_E_DEPTH, .detail = "line 1, column 225: expected fewer levels of nesting"},
    {"93 65 nested objects in an unknown field", ORDERS, .make = make_nested_65,
        .reason = REASON_E_DEPTH, .detail = "line 1, column 225: expected fewer levels of nesting"},
    {"94 63 keys", ORDERS, .make = make_63_keys, ACCEPTED},
    {"94 64 keys", ORDERS, .make = make_64_keys, ACCEPTED},
    {"94 65 keys", ORDERS, .make = make_65_keys,
        .reason = REASON_E_SIZE, .detail = "line 1, column 810: expected fewer keys in one object"},
    {"94 ten thousand keys", ORDERS, .make = make_10000_keys,
        .reason = REASON_E_SIZE, .detail = "line 1, column 810: expected fewer keys in one object"},
};
// clang-format on

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static struct text body_of(struct codec_rig *rig, const struct row *row)
{
    if (row->make != NULL) {
        buf_reset(&rig->body);
        row->make(&rig->body);
        assert_false(buf_overflowed(&rig->body));
        return buf_view(&rig->body);
    }
    if (row->body.data != NULL) {
        return row->body;
    }
    return row->side == ORDERS ? codec_rig_order(rig, row->key, row->value)
                               : codec_rig_payment(rig, row->key, row->value);
}

static void row_holds(void **state)
{
    const struct row *row = *state;
    void *rig_state = NULL;
    assert_int_equal(codec_rig_set_up(&rig_state), 0);
    struct codec_rig *rig = rig_state;
    rig->rules.lenient_price = !row->strict_price;
    const struct text body = body_of(rig, row);
    if (row->side == ORDERS) {
        codec_rig_decode_order(rig, body);
    } else {
        codec_rig_decode_payment(rig, body);
    }
    assert_string_equal(rig->refusal.detail, row->detail);
    assert_string_equal(reason_name(rig->refusal.reason).data, reason_name(row->reason).data);
    assert_int_equal(rig->accepted, row->reason == REASON_NONE);
    codec_rig_tear_down(&rig_state);
}

int main(void)
{
    static struct CMUnitTest tests[ROW_COUNT];
    for (size_t i = 0; i < ROW_COUNT; i++) {
        // cmocka hands the state through untouched; row_holds only reads it.
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = row_holds,
            .initial_state = (void *)(uintptr_t)&rows[i],
        };
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
