#include "json_check.h"

#include "json_oracle.h"
#include "json_read.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const struct json_limits limits = {
    .depth_max = JSON_CHECK_DEPTH_MAX,
    .keys_max = JSON_CHECK_KEYS_MAX,
};

static char *copy_exactly(const char *data, size_t size)
{
    char *copy = malloc(size);
    assert(copy || size == 0);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

static const char *check_meaning(const struct json_token *token, struct text meaning)
{
    if (!json_token_equals(token, meaning)) {
        return "a token equals its meaning";
    }
    const struct text shorter = {meaning.data, meaning.size - 1};
    if (meaning.size > 0 && json_token_equals(token, shorter)) {
        return "a token equals nothing else";
    }
    char *room = malloc(meaning.size);
    const bool refused =
        meaning.size == 0 || json_unescape(token->raw, room, meaning.size - 1) == SIZE_MAX;
    const bool fits = json_unescape(token->raw, room, meaning.size) == meaning.size;
    free(room);
    return !refused ? "too small a buffer is refused" : fits ? NULL : "a buffer that fits will do";
}

// A raw text needs at most its own size; *out_meaning is on the heap.
static const char *check_text(const struct json_token *token, struct text *out_meaning)
{
    if (token->has_escapes != (memchr(token->raw.data, '\\', token->raw.size) != NULL)) {
        return "has_escapes tells of backslashes";
    }
    char *room = malloc(token->raw.size);
    const size_t size = json_unescape(token->raw, room, token->raw.size);
    *out_meaning = (struct text){room, size};
    if (size > token->raw.size) {
        return "a meaning is never longer than its raw text";
    }
    if (text_utf8_valid_prefix(*out_meaning) != size) {
        return "a meaning is UTF-8";
    }
    return check_meaning(token, *out_meaning);
}

static bool has_text(enum json_event event)
{
    return event == JSON_KEY || event == JSON_STRING;
}

// Reads to the end, with every text on the way checked.
static const char *check_tokens(struct text document, bool *out_accepted)
{
    static struct json_reader reader;
    json_reader_init(&reader, document, limits);
    for (;;) {
        struct json_token token;
        const enum json_event event = json_next(&reader, &token);
        if (event == JSON_END || event == JSON_ERROR) {
            *out_accepted = event == JSON_END;
            return json_next(&reader, &token) == event ? NULL : "the last event is sticky";
        }
        if (has_text(event)) {
            struct text meaning = {NULL, 0};
            const char *broken = check_text(&token, &meaning);
            free((void *)(uintptr_t)meaning.data);
            if (broken) {
                return broken;
            }
        }
    }
}

static const char *check_failure(struct text document)
{
    static struct json_reader reader;
    json_reader_init(&reader, document, limits);
    struct json_token token;
    for (enum json_event event = JSON_NULL; event != JSON_END && event != JSON_ERROR;) {
        event = json_next(&reader, &token);
    }
    if (reader.failure == JSON_FAILURE_NONE) {
        return NULL;
    }
    if (reader.failure_offset > document.size || !reader.failure_text) {
        return "a failure has a place and a text";
    }
    const bool limit = reader.failure == JSON_FAILURE_DEPTH || reader.failure == JSON_FAILURE_KEYS;
    return !limit && oracle_judge(document) == ORACLE_ACCEPTS ? "what jansson accepts is accepted"
                                                              : NULL;
}

// Skipping the document's outermost container must come to the same verdict.
static const char *check_skip(struct text document, bool accepted)
{
    static struct json_reader reader;
    json_reader_init(&reader, document, limits);
    struct json_token token;
    const enum json_event event = json_next(&reader, &token);
    if (event != JSON_OBJECT_BEGIN && event != JSON_ARRAY_BEGIN) {
        return NULL;
    }
    const bool skipped = json_skip_container(&reader) && json_next(&reader, &token) == JSON_END;
    return skipped == accepted ? NULL : "skipping checks as much as reading";
}

static const char *compare_value(struct json_reader *reader, enum json_event event,
                                 const struct json_token *token, const struct oracle_value *value);

static const char *compare_text(const struct json_token *token, const struct oracle_value *value)
{
    return oracle_kind(value) == ORACLE_STRING && json_token_equals(token, oracle_string(value))
               ? NULL
               : "a string means what jansson says";
}

static const char *compare_number(const struct json_token *token, const struct oracle_value *value)
{
    const bool fraction = memchr(token->raw.data, '.', token->raw.size) ||
                          memchr(token->raw.data, 'e', token->raw.size) ||
                          memchr(token->raw.data, 'E', token->raw.size);
    return oracle_kind(value) == (fraction ? ORACLE_REAL : ORACLE_INTEGER) &&
                   oracle_number_is(value, token->raw)
               ? NULL
               : "a number is what jansson says";
}

static const struct oracle_value *member_of(const struct oracle_value *object,
                                            const struct json_token *key)
{
    char *room = malloc(key->raw.size);
    const size_t size = json_unescape(key->raw, room, key->raw.size);
    assert(size <= key->raw.size);
    const struct oracle_value *member =
        oracle_member(object, (struct text){size > 0 ? room : "", size});
    free(room);
    return member;
}

static const char *compare_object(struct json_reader *reader, const struct oracle_value *object)
{
    struct json_token token;
    size_t count = 0;
    enum json_event event;
    while ((event = json_next(reader, &token)) == JSON_KEY) {
        const struct oracle_value *member = member_of(object, &token);
        if (!member) {
            return "a key means what jansson says";
        }
        event = json_next(reader, &token);
        const char *broken = compare_value(reader, event, &token, member);
        if (broken) {
            return broken;
        }
        count++;
    }
    return event == JSON_OBJECT_END && count == oracle_count(object) ? NULL
                                                                     : "an object has all its keys";
}

static const char *compare_array(struct json_reader *reader, const struct oracle_value *array)
{
    struct json_token token;
    size_t count = 0;
    enum json_event event;
    while ((event = json_next(reader, &token)) != JSON_ARRAY_END) {
        const struct oracle_value *item = oracle_item(array, count++);
        const char *broken =
            item ? compare_value(reader, event, &token, item) : "an array has no item too many";
        if (broken) {
            return broken;
        }
    }
    return count == oracle_count(array) ? NULL : "an array has all its items";
}

static const char *compare_value(struct json_reader *reader, enum json_event event,
                                 const struct json_token *token, const struct oracle_value *value)
{
    const enum oracle_kind kind = oracle_kind(value);
    switch (event) {
    case JSON_OBJECT_BEGIN:
        return kind == ORACLE_OBJECT ? compare_object(reader, value) : "an object is an object";
    case JSON_ARRAY_BEGIN:
        return kind == ORACLE_ARRAY ? compare_array(reader, value) : "an array is an array";
    case JSON_STRING:
        return compare_text(token, value);
    case JSON_NUMBER:
        return compare_number(token, value);
    case JSON_TRUE:
        return kind == ORACLE_TRUE ? NULL : "true is true";
    case JSON_FALSE:
        return kind == ORACLE_FALSE ? NULL : "false is false";
    case JSON_NULL:
        return kind == ORACLE_NULL ? NULL : "null is null";
    case JSON_ERROR:
    case JSON_END:
    case JSON_OBJECT_END:
    case JSON_ARRAY_END:
    case JSON_KEY:
        break;
    }
    return "a value begins with a value's event";
}

static const char *compare_trees(struct text document)
{
    struct oracle_value *tree = NULL;
    const enum oracle_verdict verdict = oracle_parse(document, &tree);
    if (verdict != ORACLE_ACCEPTS) {
        return verdict == ORACLE_REFUSES ? "what jansson refuses is refused" : NULL;
    }
    static struct json_reader reader;
    json_reader_init(&reader, document, limits);
    struct json_token token;
    const enum json_event event = json_next(&reader, &token);
    const char *broken = compare_value(&reader, event, &token, tree);
    oracle_free(tree);
    return broken ? broken : json_next(&reader, &token) == JSON_END ? NULL : "the document ends";
}

static const char *check_copy(struct text document, bool *out_accepted)
{
    const char *broken = check_tokens(document, out_accepted);
    if (!broken) {
        broken = check_skip(document, *out_accepted);
    }
    if (!broken) {
        broken = *out_accepted ? compare_trees(document) : check_failure(document);
    }
    return broken;
}

const char *json_check(struct text document, bool *out_accepted)
{
    char *copy = copy_exactly(document.data, document.size);
    bool accepted = false;
    const char *broken = check_copy((struct text){copy, document.size}, &accepted);
    free(copy);
    *out_accepted = accepted;
    return broken;
}
