// The walk over the JSON: one pass, whatever the message is. Everything is looked at once: the
// reader checks encoding and syntax, this file looks for card data in every text and key, and keeps
// the tokens of the known fields.
#include "card_scan.h"
#include "fields.h"

#include <assert.h>
#include <string.h>

#define NO_FIELD FIELDS_CAP

// The first card data seen. Refused only when the whole body was read, because a body with broken
// syntax is refused for that.
struct card_finding {
    const char *what; // NULL: none
    size_t offset;
    unsigned field;
};

struct walk {
    struct json_reader reader;
    struct card_finding card;
    unsigned depth;
    unsigned field; // whose value comes next, or NO_FIELD
};

static bool key_is(const struct json_token *token, const struct field_spec *spec)
{
    return token->raw.size == spec->key.size &&
           memcmp(token->raw.data, spec->key.data, spec->key.size) == 0;
}

static unsigned search_field(const struct fields_shape *shape, const struct json_token *token)
{
    for (unsigned i = 0; i < shape->count; i++) {
        const struct field_spec *spec = &shape->specs[i];
        if (token->has_escapes ? json_token_equals(token, spec->key) : key_is(token, spec)) {
            return i;
        }
    }
    return NO_FIELD;
}

static unsigned find_field(struct fields *fields, const struct json_token *token)
{
    const struct fields_shape *shape = fields->shape;
    unsigned found = fields->expected_index;
    if (found >= shape->count || !key_is(token, &shape->specs[found])) {
        found = search_field(shape, token);
    }
    fields->unknown_count += found >= shape->known_count;
    fields->expected_index = found + 1;
    return found;
}

static void note_card(struct walk *walk, const struct json_token *token, const char *what)
{
    if (walk->card.what == NULL) {
        walk->card = (struct card_finding){
            .what = what,
            .offset = (size_t)(token->raw.data - walk->reader.document.data),
            .field = walk->field,
        };
    }
}

static void visit_key(struct fields *fields, struct walk *walk, const struct json_token *token)
{
    walk->field = walk->depth == 1 ? find_field(fields, token) : NO_FIELD;
    if (walk->field != NO_FIELD) {
        return;
    }
    if (card_scan_raw_key(token->raw, token->has_escapes)) {
        note_card(walk, token, "no key that names card data");
    } else if (card_scan_raw_text(token->raw, token->has_escapes)) {
        note_card(walk, token, "no card number in a key");
    }
}

static void visit_value(struct fields *fields, struct walk *walk, enum json_event event,
                        const struct json_token *token)
{
    if (event == JSON_STRING && card_scan_raw_text(token->raw, token->has_escapes)) {
        note_card(walk, token, "text without a card number");
    }
    if (walk->field != NO_FIELD) {
        fields->events[walk->field] = (uint8_t)event;
        fields->tokens[walk->field] = *token;
        walk->field = NO_FIELD;
    }
}

static void enter_container(struct fields *fields, struct walk *walk, enum json_event event)
{
    if (walk->depth == 0) {
        fields->is_object = event == JSON_OBJECT_BEGIN;
    }
    walk->depth++;
}

// False when the body can't be read to its end.
static bool walk_body(struct fields *fields, struct walk *walk)
{
    struct json_token token = {0};
    for (;;) {
        const enum json_event event = json_next(&walk->reader, &token);
        switch (event) {
        case JSON_ERROR:
            return false;
        case JSON_END:
            return true;
        case JSON_KEY:
            visit_key(fields, walk, &token);
            break;
        case JSON_OBJECT_END:
        case JSON_ARRAY_END:
            walk->depth--;
            break;
        case JSON_OBJECT_BEGIN:
        case JSON_ARRAY_BEGIN:
            visit_value(fields, walk, event, &token);
            enter_container(fields, walk, event);
            break;
        case JSON_STRING:
        case JSON_NUMBER:
        case JSON_TRUE:
        case JSON_FALSE:
        case JSON_NULL:
            visit_value(fields, walk, event, &token);
            break;
        }
    }
}

static enum reason reason_of(enum json_failure failure)
{
    switch (failure) {
    case JSON_FAILURE_NONE:
        break;
    case JSON_FAILURE_ENCODING:
        return REASON_E_UTF8;
    case JSON_FAILURE_SYNTAX:
        return REASON_E_JSON;
    case JSON_FAILURE_DEPTH:
        return REASON_E_DEPTH;
    case JSON_FAILURE_KEYS:
        return REASON_E_SIZE;
    case JSON_FAILURE_DUPLICATE_KEY:
        return REASON_E_DUPKEY;
    }
    assert(false);
    return REASON_NONE;
}

static void refuse_at(struct fields *fields, enum reason reason, size_t offset,
                      const char *expected)
{
    unsigned line;
    unsigned column;
    json_position(fields->body, offset, &line, &column);
    char text[REFUSAL_DETAIL_SIZE];
    struct buf detail;
    buf_init_fixed(&detail, text, sizeof(text));
    buf_add_fmt(&detail, "line %u, column %u: expected %s", line, column, expected);
    buf_add_char(&detail, '\0');
    assert(!buf_overflowed(&detail));
    fields_refuse_message(fields, reason, text);
}

// Half-read fields of a body that is no JSON say nothing for certain, not even who it is about.
static void refuse_unreadable(struct fields *fields, const struct json_reader *reader)
{
    memset(fields->events, JSON_ERROR, sizeof(fields->events));
    refuse_at(fields, reason_of(reader->failure), reader->failure_offset, reader->failure_text);
}

static void refuse_card(struct fields *fields, const struct card_finding *card)
{
    if (card->field < fields->shape->count) {
        fields_refuse(fields, card->field, REASON_E_PAN, card->what);
    } else {
        refuse_at(fields, REASON_E_PAN, card->offset, card->what);
    }
}

static void read_object(struct fields *fields)
{
    struct walk walk TILL_UNINITIALIZED;
    walk.card.what = NULL;
    walk.depth = 0;
    walk.field = NO_FIELD;
    const struct json_limits limits = {MESSAGE_DEPTH_MAX, MESSAGE_KEYS_MAX};
    json_reader_init(&walk.reader, fields->body, limits);
    if (!walk_body(fields, &walk)) {
        refuse_unreadable(fields, &walk.reader);
    } else if (walk.card.what != NULL) {
        refuse_card(fields, &walk.card);
    } else if (!fields->is_object) {
        fields_refuse_message(fields, REASON_E_TYPE, "expected an object");
    }
}

void fields_read(struct fields *fields, const struct fields_shape *shape, struct text body,
                 struct arena *arena, struct refusal *out_refusal)
{
    assert(shape->count <= FIELDS_CAP);
    fields->shape = shape;
    fields->body = body;
    fields->arena = arena;
    fields->refusal = out_refusal;
    fields->refused = false;
    fields->is_object = false;
    fields->unknown_count = 0;
    fields->expected_index = 0;
    memset(fields->events, JSON_ERROR, sizeof(fields->events));
    if (body.size == 0) {
        fields_refuse_message(fields, REASON_E_EMPTY, "expected an object, the body is empty");
    } else if (body.size > MESSAGE_SIZE_MAX) {
        fields_refuse_message(fields, REASON_E_SIZE, "expected a body of at most 262144 bytes");
    } else {
        read_object(fields);
    }
}
