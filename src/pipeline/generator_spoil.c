// The body is cut into its members once; every edit then writes the members back, changed.
#include "generator_spoil.h"

#include <assert.h>
#include <string.h>

#define MEMBERS_MAX 16

#define CARD_NUMBER "4111 1111 1111 1111" // the card schemes' public test number
#define NESTED      "[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]"

#define SPOIL_ROW(of_order, edit, key, value, reason)                                              \
    {                                                                                              \
        of_order, SPOIL_##edit, {key, sizeof(key) - 1}, {value, sizeof(value) - 1},                \
            REASON_##reason                                                                        \
    }
#define OF_PAYMENT(edit, key, value, reason) SPOIL_ROW(false, edit, key, value, reason)
#define OF_ORDER(edit, key, value, reason)   SPOIL_ROW(true, edit, key, value, reason)

// No empty body is among them: Pub/Sub takes none, so a producer can't send one.
static const struct spoil spoils[] = {
    OF_PAYMENT(ADD, "", "\"note\": \"\xff\xfe\"", E_UTF8),
    OF_PAYMENT(CUT, "", "", E_JSON),
    OF_PAYMENT(APPEND, "", "}", E_JSON),
    OF_PAYMENT(WHOLE, "", "payment received", E_JSON),
    OF_PAYMENT(ADD, "", "\"tags\": " NESTED, E_DEPTH),
    OF_PAYMENT(ADD, "", "\"payment_status\": \"Completed\"", E_DUPKEY),
    OF_PAYMENT(WHOLE, "", "[]", E_TYPE),
    OF_PAYMENT(SET, "order_id", "\"42\"", E_TYPE),
    OF_PAYMENT(SET, "payment_method", "7", E_TYPE),
    OF_PAYMENT(REMOVE, "payment_status", "", E_MISSING),
    OF_PAYMENT(REMOVE, "order_id", "", E_MISSING),
    OF_PAYMENT(SET, "payment_status", "\"Done\"", E_ENUM),
    OF_PAYMENT(SET, "card_last_four", "\"12\"", E_FORMAT),
    OF_PAYMENT(SET, "payment_id", "0", E_RANGE),
    OF_PAYMENT(SET, "amount", "-5", E_RANGE),
    OF_PAYMENT(SET, "currency", "\"ZZZ\"", E_CURRENCY),
    OF_PAYMENT(ADD, "", "\"note\": \"paid with " CARD_NUMBER "\"", E_PAN),
    OF_PAYMENT(ADD, "", "\"cvv\": \"123\"", E_PAN),
    OF_PAYMENT(TOPIC, "", "", E_WRONG_TOPIC),
    OF_ORDER(CUT, "", "", E_JSON),
    OF_ORDER(REMOVE, "customer_id", "", E_MISSING),
    OF_ORDER(SET, "quantity", "\"3\"", E_TYPE),
    OF_ORDER(SET, "quantity", "0", E_RANGE),
    OF_ORDER(SET, "price", "-1", E_RANGE),
    OF_ORDER(SET, "order_status", "\"Lost\"", E_ENUM),
    OF_ORDER(SET, "currency", "\"US\"", E_CURRENCY),
    OF_ORDER(TOPIC, "", "", E_WRONG_TOPIC),
};

size_t spoil_count(void)
{
    return sizeof(spoils) / sizeof(spoils[0]);
}

const struct spoil *spoil_at(size_t index)
{
    assert(index < spoil_count());
    return &spoils[index];
}

struct member {
    struct text key; // without quotes
    struct text value;
};

struct members {
    struct member items[MEMBERS_MAX];
    size_t count;
};

static size_t end_of_value(struct text body, size_t at)
{
    bool in_string = false;
    while (in_string || (body.data[at] != ',' && body.data[at] != '}')) {
        in_string ^= body.data[at] == '"';
        at++;
        assert(at < body.size);
    }
    return at;
}

static void split(struct text body, struct members *out_members)
{
    out_members->count = 0;
    for (size_t at = 0; body.data[at] != '}';) {
        assert(out_members->count < MEMBERS_MAX);
        struct member *member = &out_members->items[out_members->count++];
        size_t key = at + (at == 0 ? strlen("{\"") : strlen(", \""));
        const char *quote = memchr(body.data + key, '"', body.size - key);
        assert(quote != NULL);
        size_t value = (size_t)(quote - body.data) + strlen("\": ");
        at = end_of_value(body, value);
        member->key = (struct text){body.data + key, (size_t)(quote - body.data) - key};
        member->value = (struct text){body.data + value, at - value};
    }
}

static void add_separator(struct buf *out, bool is_first)
{
    buf_add_str(out, is_first ? "{" : ", ");
}

static void add_member(struct buf *out, struct text key, struct text value, bool is_first)
{
    add_separator(out, is_first);
    buf_add_char(out, '"');
    buf_add_text(out, key);
    buf_add_str(out, "\": ");
    buf_add_text(out, value);
}

static bool has_key(const struct members *members, struct text key)
{
    for (size_t i = 0; i < members->count; i++) {
        if (text_equal(members->items[i].key, key)) {
            return true;
        }
    }
    return false;
}

static void set_member(const struct spoil *spoil, const struct members *members, struct buf *out)
{
    bool in_front = !has_key(members, spoil->key);
    if (in_front) {
        add_member(out, spoil->key, spoil->value, true);
    }
    for (size_t i = 0; i < members->count; i++) {
        const struct member *member = &members->items[i];
        bool is_it = text_equal(member->key, spoil->key);
        add_member(out, member->key, is_it ? spoil->value : member->value, i == 0 && !in_front);
    }
    buf_add_char(out, '}');
}

static void remove_member(const struct spoil *spoil, const struct members *members, struct buf *out)
{
    bool is_first = true;
    for (size_t i = 0; i < members->count; i++) {
        const struct member *member = &members->items[i];
        if (!text_equal(member->key, spoil->key)) {
            add_member(out, member->key, member->value, is_first);
            is_first = false;
        }
    }
    buf_add_char(out, '}');
}

static void cut_after_last_comma(struct text body, struct buf *out)
{
    const char *comma = memrchr(body.data, ',', body.size);
    assert(comma != NULL);
    buf_add(out, body.data, (size_t)(comma - body.data) + 1);
}

void spoil_apply(const struct spoil *spoil, struct text body, struct buf *out)
{
    struct members members;
    split(body, &members);
    switch (spoil->edit) {
    case SPOIL_SET:
        set_member(spoil, &members, out);
        break;
    case SPOIL_ADD:
        buf_add_char(out, '{');
        buf_add_text(out, spoil->value);
        buf_add_str(out, ", ");
        buf_add(out, body.data + 1, body.size - 1);
        break;
    case SPOIL_REMOVE:
        remove_member(spoil, &members, out);
        break;
    case SPOIL_CUT:
        cut_after_last_comma(body, out);
        break;
    case SPOIL_APPEND:
        buf_add_text(out, body);
        buf_add_text(out, spoil->value);
        break;
    case SPOIL_WHOLE:
        buf_add_text(out, spoil->value);
        break;
    case SPOIL_TOPIC:
        buf_add_text(out, body);
        break;
    }
    assert(!buf_overflowed(out));
}

static bool is_text_of_letters(struct text value)
{
    return value.size > 2 && value.data[0] == '"' && value.data[1] >= 'A' && value.data[1] <= 'Z';
}

static void add_respelled(struct buf *out, struct text value)
{
    if (!is_text_of_letters(value)) {
        buf_add_text(out, value);
        return;
    }
    buf_add_fmt(out, "\"\\u%04x", (unsigned)value.data[1]);
    buf_add(out, value.data + 2, value.size - 2);
}

void spoil_respell(struct text body, struct buf *out)
{
    struct members members;
    split(body, &members);
    for (size_t i = members.count; i > 0; i--) {
        const struct member *member = &members.items[i - 1];
        buf_add_str(out, i == members.count ? "{\t\"" : " ,\"");
        buf_add_text(out, member->key);
        buf_add_str(out, "\":");
        add_respelled(out, member->value);
    }
    buf_add_str(out, " }");
    assert(!buf_overflowed(out));
}
