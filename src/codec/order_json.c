// Orders: what each field must be, in the order in which they are checked. The currency is checked
// before the price, because it says how many digits a price may have.
#include "order_json.h"

#include "fields.h"
#include "json_write.h"
#include "money.h"
#include "time_text.h"

enum order_field {
    FIELD_ORDER_ID,
    FIELD_CUSTOMER_ID,
    FIELD_ITEM,
    FIELD_QUANTITY,
    FIELD_PRICE,
    FIELD_SHIPPING_ADDRESS,
    FIELD_ORDER_STATUS,
    FIELD_CREATION_DATE,
    FIELD_CURRENCY,
    FIELD_VERSION,
    FIELD_KNOWN_COUNT,
    FIELD_PAYMENT_ID = FIELD_KNOWN_COUNT,
    FIELD_PAYMENT_STATUS,
    FIELD_COUNT
};
_Static_assert(FIELD_COUNT <= FIELDS_CAP, "an order has more keys than struct fields holds");

static const struct field_spec specs[FIELD_COUNT] = {
    [FIELD_ORDER_ID] = {TEXT("order_id"), "an integer from 1 to 2^63-1"},
    [FIELD_CUSTOMER_ID] = {TEXT("customer_id"), "an integer from 1 to 2^63-1"},
    [FIELD_ITEM] = {TEXT("item"), "text of 1 to 256 bytes"},
    [FIELD_QUANTITY] = {TEXT("quantity"), "an integer from 1 to 1000000"},
    [FIELD_PRICE] = {TEXT("price"), "a decimal from 0 to 10^12 minor units"},
    [FIELD_SHIPPING_ADDRESS] = {TEXT("shipping_address"), "text of at most 512 bytes"},
#define X(name, text) " " text
    [FIELD_ORDER_STATUS] = {TEXT("order_status"), "one of" ORDER_STATUS_TABLE(X)},
#undef X
    [FIELD_CREATION_DATE] = {TEXT("creation_date"), "text of 1 to 64 bytes"},
    [FIELD_CURRENCY] = {TEXT("currency"), "an ISO 4217 code such as USD"},
    [FIELD_VERSION] = {TEXT("version"), "an integer from 1 to 2^31"},
    [FIELD_PAYMENT_ID] = {TEXT("payment_id"), ""},
    [FIELD_PAYMENT_STATUS] = {TEXT("payment_status"), ""},
};

static const struct fields_shape shape = {
    .specs = specs,
    .known_count = FIELD_KNOWN_COUNT,
    .count = FIELD_COUNT,
    .order_id = FIELD_ORDER_ID,
    .payment_id = FIELD_PAYMENT_ID,
};

static void check_topic(struct fields *fields)
{
    const bool is_payment =
        fields_has_key(fields, FIELD_PAYMENT_ID) || fields_has_key(fields, FIELD_PAYMENT_STATUS);
    if (is_payment && !fields_has_key(fields, FIELD_CUSTOMER_ID)) {
        fields_refuse_message(fields, REASON_E_WRONG_TOPIC,
                              "expected an order, the keys are a payment's");
    }
}

static void read_currency(struct fields *fields, const struct decode_rules *rules,
                          struct order *order)
{
    order->currency_given = fields_given(fields, FIELD_CURRENCY);
    order->currency =
        order->currency_given ? fields_currency(fields, FIELD_CURRENCY) : rules->default_currency;
}

static enum order_status read_status(struct fields *fields)
{
    const struct text text =
        fields_text(fields, FIELD_ORDER_STATUS, 0, FIELDS_STATUS_SIZE_MAX, REASON_E_ENUM);
    enum order_status status = ORDER_STATUS_PENDING;
    if (!order_status_find(text, &status)) {
        fields_refuse(fields, FIELD_ORDER_STATUS, REASON_E_ENUM,
                      specs[FIELD_ORDER_STATUS].expected);
    }
    return status;
}

static struct text read_creation_date(struct fields *fields, struct decode_remarks *remarks)
{
    const struct text text =
        fields_text(fields, FIELD_CREATION_DATE, 1, ORDER_CREATION_DATE_SIZE_MAX, REASON_E_RANGE);
    int64_t us;
    remarks->time_unparsed = !time_text_is_date(text) && !time_text_parse_rfc3339(text, &us);
    return text;
}

static void read_version(struct fields *fields, struct order *order)
{
    order->version_given = fields_given(fields, FIELD_VERSION);
    if (order->version_given) {
        order->version = fields_integer(fields, FIELD_VERSION, 1, ORDER_VERSION_MAX);
    }
}

static void check_total(struct fields *fields, const struct order *order)
{
    int64_t total_minor;
    if (!money_multiply(order->price_minor, order->quantity, &total_minor) ||
        total_minor > MONEY_TOTAL_MINOR_MAX) {
        fields_refuse_message(fields, REASON_E_RANGE,
                              "price x quantity: expected at most 10^15 minor units");
    }
}

bool order_decode(struct text body, const struct decode_rules *rules, struct arena *arena,
                  struct order *out_order, struct decode_remarks *out_remarks,
                  struct refusal *out_refusal)
{
    struct fields fields TILL_UNINITIALIZED;
    fields_read(&fields, &shape, body, arena, out_refusal);
    check_topic(&fields);

    struct order order = {0};
    struct decode_remarks remarks = {.unknown_field_count = fields.unknown_count};
    order.order_id = fields_integer(&fields, FIELD_ORDER_ID, 1, INT64_MAX);
    order.customer_id = fields_integer(&fields, FIELD_CUSTOMER_ID, 1, INT64_MAX);
    order.item = fields_text(&fields, FIELD_ITEM, 1, ORDER_ITEM_SIZE_MAX, REASON_E_RANGE);
    order.quantity = fields_integer(&fields, FIELD_QUANTITY, 1, ORDER_QUANTITY_MAX);
    read_currency(&fields, rules, &order);
    order.price_minor = fields_money(&fields, FIELD_PRICE, order.currency, 0, rules->lenient_price,
                                     &remarks.price_rounded);
    order.shipping_address = fields_text(&fields, FIELD_SHIPPING_ADDRESS, 0,
                                         ORDER_SHIPPING_ADDRESS_SIZE_MAX, REASON_E_RANGE);
    order.status = read_status(&fields);
    order.creation_date = read_creation_date(&fields, &remarks);
    read_version(&fields, &order);
    check_total(&fields, &order);
    if (fields.refused) {
        return false;
    }
    *out_order = order;
    *out_remarks = remarks;
    return true;
}

void order_encode(const struct order *order, struct buf *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_object_begin(&writer);
    fields_write_integer(&writer, &specs[FIELD_ORDER_ID], order->order_id);
    fields_write_integer(&writer, &specs[FIELD_CUSTOMER_ID], order->customer_id);
    fields_write_text(&writer, &specs[FIELD_ITEM], order->item);
    fields_write_integer(&writer, &specs[FIELD_QUANTITY], order->quantity);
    fields_write_money(&writer, &specs[FIELD_PRICE], order->price_minor, order->currency);
    fields_write_text(&writer, &specs[FIELD_SHIPPING_ADDRESS], order->shipping_address);
    fields_write_text(&writer, &specs[FIELD_ORDER_STATUS], order_status_text(order->status));
    fields_write_text(&writer, &specs[FIELD_CREATION_DATE], order->creation_date);
    if (order->currency_given) {
        fields_write_text(&writer, &specs[FIELD_CURRENCY], currency_code(order->currency));
    }
    if (order->version_given) {
        fields_write_integer(&writer, &specs[FIELD_VERSION], order->version);
    }
    json_object_end(&writer);
}
