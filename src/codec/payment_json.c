// Payments: what each field must be, in the order in which they are checked. The currency is
// checked before the amount, because it says how many digits an amount may have.
#include "payment_json.h"

#include "fields.h"
#include "json_write.h"
#include "time_text.h"

enum payment_field {
    FIELD_PAYMENT_ID,
    FIELD_ORDER_ID,
    FIELD_PAYMENT_METHOD,
    FIELD_CARD_LAST_FOUR,
    FIELD_PAYMENT_STATUS,
    FIELD_PAYMENT_DATETIME,
    FIELD_AMOUNT,
    FIELD_CURRENCY,
    FIELD_EVENT_ID,
    FIELD_KNOWN_COUNT,
    FIELD_CUSTOMER_ID = FIELD_KNOWN_COUNT,
    FIELD_ITEM,
    FIELD_PRICE,
    FIELD_COUNT
};
_Static_assert(FIELD_COUNT <= FIELDS_CAP, "a payment has more keys than struct fields holds");

static const struct field_spec specs[FIELD_COUNT] = {
    [FIELD_PAYMENT_ID] = {TEXT("payment_id"), "an integer from 1 to 2^63-1"},
    [FIELD_ORDER_ID] = {TEXT("order_id"), "an integer from 1 to 2^63-1"},
    [FIELD_PAYMENT_METHOD] = {TEXT("payment_method"), "text of 1 to 64 bytes"},
    [FIELD_CARD_LAST_FOUR] = {TEXT("card_last_four"), "text of 4 digits, or empty"},
#define X(name, text) " " text
    [FIELD_PAYMENT_STATUS] = {TEXT("payment_status"), "one of" PAYMENT_STATUS_TABLE(X)},
#undef X
    [FIELD_PAYMENT_DATETIME] = {TEXT("payment_datetime"), "text of 1 to 64 bytes"},
    [FIELD_AMOUNT] = {TEXT("amount"), "a decimal above 0, at most 10^12 minor units"},
    [FIELD_CURRENCY] = {TEXT("currency"), "an ISO 4217 code such as USD"},
    [FIELD_EVENT_ID] = {TEXT("event_id"), "text of 1 to 64 bytes"},
    [FIELD_CUSTOMER_ID] = {TEXT("customer_id"), ""},
    [FIELD_ITEM] = {TEXT("item"), ""},
    [FIELD_PRICE] = {TEXT("price"), ""},
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
    const bool is_order = fields_has_key(fields, FIELD_CUSTOMER_ID) ||
                          fields_has_key(fields, FIELD_ITEM) || fields_has_key(fields, FIELD_PRICE);
    if (is_order && !fields_has_key(fields, FIELD_PAYMENT_ID)) {
        fields_refuse_message(fields, REASON_E_WRONG_TOPIC,
                              "expected a payment, the keys are an order's");
    }
}

static bool is_four_digits(struct text text)
{
    uint64_t value;
    return text.size == PAYMENT_LAST_FOUR_SIZE && text_parse_u64(text, &value);
}

static struct text read_last_four(struct fields *fields)
{
    if (!fields_given(fields, FIELD_CARD_LAST_FOUR)) {
        return TEXT("");
    }
    const struct text text =
        fields_text(fields, FIELD_CARD_LAST_FOUR, 0, PAYMENT_LAST_FOUR_SIZE, REASON_E_FORMAT);
    if (text.size > 0 && !is_four_digits(text)) {
        fields_refuse(fields, FIELD_CARD_LAST_FOUR, REASON_E_FORMAT,
                      specs[FIELD_CARD_LAST_FOUR].expected);
    }
    return text;
}

static enum payment_status read_status(struct fields *fields)
{
    const struct text text =
        fields_text(fields, FIELD_PAYMENT_STATUS, 0, FIELDS_STATUS_SIZE_MAX, REASON_E_ENUM);
    enum payment_status status = PAYMENT_STATUS_PENDING;
    if (!payment_status_find(text, &status)) {
        fields_refuse(fields, FIELD_PAYMENT_STATUS, REASON_E_ENUM,
                      specs[FIELD_PAYMENT_STATUS].expected);
    }
    return status;
}

static struct text read_datetime(struct fields *fields, struct decode_remarks *remarks)
{
    const struct text text =
        fields_text(fields, FIELD_PAYMENT_DATETIME, 1, PAYMENT_DATETIME_SIZE_MAX, REASON_E_RANGE);
    int64_t us;
    remarks->time_unparsed = !time_text_parse_rfc3339(text, &us);
    return text;
}

static void read_amount(struct fields *fields, const struct decode_rules *rules,
                        struct payment *payment)
{
    payment->currency_given = fields_given(fields, FIELD_CURRENCY);
    payment->amount_given = fields_given(fields, FIELD_AMOUNT);
    if (payment->currency_given) {
        payment->currency = fields_currency(fields, FIELD_CURRENCY);
    } else if (payment->amount_given) {
        payment->currency = rules->default_currency;
    }
    if (payment->amount_given) {
        bool rounded = false;
        payment->amount_minor =
            fields_money(fields, FIELD_AMOUNT, payment->currency, 1, false, &rounded);
    }
}

static struct text read_event_id(struct fields *fields)
{
    return fields_given(fields, FIELD_EVENT_ID)
               ? fields_text(fields, FIELD_EVENT_ID, 1, PAYMENT_EVENT_ID_SIZE_MAX, REASON_E_RANGE)
               : TEXT("");
}

bool payment_decode(struct text body, const struct decode_rules *rules, struct arena *arena,
                    struct payment *out_payment, struct decode_remarks *out_remarks,
                    struct refusal *out_refusal)
{
    struct fields fields TILL_UNINITIALIZED;
    fields_read(&fields, &shape, body, arena, out_refusal);
    check_topic(&fields);

    struct payment payment = {0};
    struct decode_remarks remarks = {.unknown_field_count = fields.unknown_count};
    payment.payment_id = fields_integer(&fields, FIELD_PAYMENT_ID, 1, INT64_MAX);
    payment.order_id = fields_integer(&fields, FIELD_ORDER_ID, 1, INT64_MAX);
    payment.method =
        fields_text(&fields, FIELD_PAYMENT_METHOD, 1, PAYMENT_METHOD_SIZE_MAX, REASON_E_RANGE);
    payment.card_last_four = read_last_four(&fields);
    payment.status = read_status(&fields);
    payment.datetime = read_datetime(&fields, &remarks);
    read_amount(&fields, rules, &payment);
    payment.event_id = read_event_id(&fields);
    if (fields.refused) {
        return false;
    }
    *out_payment = payment;
    *out_remarks = remarks;
    return true;
}

void payment_encode(const struct payment *payment, struct buf *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_object_begin(&writer);
    fields_write_integer(&writer, &specs[FIELD_PAYMENT_ID], payment->payment_id);
    fields_write_integer(&writer, &specs[FIELD_ORDER_ID], payment->order_id);
    fields_write_text(&writer, &specs[FIELD_PAYMENT_METHOD], payment->method);
    fields_write_text(&writer, &specs[FIELD_CARD_LAST_FOUR], payment->card_last_four);
    fields_write_text(&writer, &specs[FIELD_PAYMENT_STATUS], payment_status_text(payment->status));
    fields_write_text(&writer, &specs[FIELD_PAYMENT_DATETIME], payment->datetime);
    if (payment->amount_given) {
        fields_write_money(&writer, &specs[FIELD_AMOUNT], payment->amount_minor, payment->currency);
    }
    if (payment->currency_given) {
        fields_write_text(&writer, &specs[FIELD_CURRENCY], currency_code(payment->currency));
    }
    if (payment->event_id.size > 0) {
        fields_write_text(&writer, &specs[FIELD_EVENT_ID], payment->event_id);
    }
    json_object_end(&writer);
}
