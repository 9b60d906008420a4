// Building and decoding messages for tests.
#include "codec_rig.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct member {
    const char *key;
    const char *value;
};

static const struct member order_members[] = {
    {"order_id", "42"},
    {"customer_id", "771"},
    {"item", "\"Laptop\""},
    {"quantity", "3"},
    {"price", "1299.99"},
    {"shipping_address", "\"123 Main St, City A\""},
    {"order_status", "\"Pending\""},
    {"creation_date", "\"2024-01-21\""},
};

static const struct member payment_members[] = {
    {"payment_id", "1042"},
    {"order_id", "42"},
    {"payment_method", "\"Google Pay\""},
    {"card_last_four", "\"0042\""},
    {"payment_status", "\"Completed\""},
    {"payment_datetime", "\"2024-01-21T10:01:30Z\""},
};

static char *exact_copy; // of the body last decoded

int codec_rig_set_up(void **state)
{
    static struct codec_rig rig;
    rig = (struct codec_rig){
        .rules = {.lenient_price = true, .default_currency = currency_usd()},
    };
    buf_init_heap(&rig.body, RIG_BODY_CAP);
    *state = &rig;
    return arena_init(&rig.arena, RIG_ARENA_CAP) == ERR_OK ? 0 : -1;
}

int codec_rig_tear_down(void **state)
{
    struct codec_rig *rig = *state;
    arena_deinit(&rig->arena);
    buf_deinit(&rig->body);
    free(exact_copy);
    exact_copy = NULL;
    return 0;
}

static void add_member(struct buf *body, const char *key, const char *value)
{
    if (value != NULL) {
        buf_add_fmt(body, "%s\"%s\": ", body->size > 1 ? ", " : "", key);
        buf_add_str(body, value);
    }
}

static struct text build(struct codec_rig *rig, const struct member *members, size_t count,
                         const char *key, const char *value)
{
    bool added = key == NULL;
    buf_reset(&rig->body);
    buf_add_char(&rig->body, '{');
    for (size_t i = 0; i < count; i++) {
        const bool is_changed = key != NULL && strcmp(members[i].key, key) == 0;
        add_member(&rig->body, members[i].key, is_changed ? value : members[i].value);
        added = added || is_changed;
    }
    if (!added) {
        add_member(&rig->body, key, value);
    }
    buf_add_char(&rig->body, '}');
    assert(!buf_overflowed(&rig->body));
    return buf_view(&rig->body);
}

struct text codec_rig_order(struct codec_rig *rig, const char *key, const char *value)
{
    return build(rig, order_members, sizeof(order_members) / sizeof(order_members[0]), key, value);
}

struct text codec_rig_payment(struct codec_rig *rig, const char *key, const char *value)
{
    return build(rig, payment_members, sizeof(payment_members) / sizeof(payment_members[0]), key,
                 value);
}

const char *codec_rig_letters(size_t size, char *memory)
{
    memset(memory, 'x', size + 2);
    memory[0] = '"';
    memory[size + 1] = '"';
    memory[size + 2] = '\0';
    return memory;
}

static struct text prepare(struct codec_rig *rig, struct text body)
{
    free(exact_copy);
    exact_copy = malloc(body.size > 0 ? body.size : 1);
    assert(exact_copy != NULL);
    if (body.size > 0) {
        memcpy(exact_copy, body.data, body.size);
    }
    arena_reset(&rig->arena);
    rig->remarks = (struct decode_remarks){0};
    rig->refusal = (struct refusal){0};
    return (struct text){exact_copy, body.size};
}

void codec_rig_decode_order(struct codec_rig *rig, struct text body)
{
    const struct text copy = prepare(rig, body);
    rig->accepted =
        order_decode(copy, &rig->rules, &rig->arena, &rig->order, &rig->remarks, &rig->refusal);
}

void codec_rig_decode_payment(struct codec_rig *rig, struct text body)
{
    const struct text copy = prepare(rig, body);
    rig->accepted =
        payment_decode(copy, &rig->rules, &rig->arena, &rig->payment, &rig->remarks, &rig->refusal);
}
