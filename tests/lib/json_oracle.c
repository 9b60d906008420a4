#include "json_oracle.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const json_t *json_of(const struct oracle_value *value)
{
    return (const json_t *)(const void *)value;
}

static const struct oracle_value *value_of(const json_t *json)
{
    return (const struct oracle_value *)(const void *)json;
}

enum oracle_verdict oracle_parse(struct text document, struct oracle_value **out_tree)
{
    if (document.size > 0 && memchr(document.data, 0, document.size)) {
        return ORACLE_REFUSES; // jansson overlooks one that follows a number
    }
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_error_t error;
    const char *data = document.data ? document.data : "";
    json_t *tree = json_loadb(data, document.size, flags, &error);
    if (tree) {
        *out_tree = (struct oracle_value *)(void *)tree;
        return ORACLE_ACCEPTS;
    }
    const enum json_error_code code = json_error_code(&error);
    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key
               ? ORACLE_CANNOT_TELL
               : ORACLE_REFUSES;
}

void oracle_free(struct oracle_value *tree)
{
    json_decref((json_t *)(void *)tree);
}

enum oracle_verdict oracle_judge(struct text document)
{
    struct oracle_value *tree = NULL;
    const enum oracle_verdict verdict = oracle_parse(document, &tree);
    oracle_free(tree);
    return verdict;
}

bool oracle_equal(struct text a, struct text b)
{
    struct oracle_value *left = NULL;
    struct oracle_value *right = NULL;
    const bool equal = oracle_parse(a, &left) == ORACLE_ACCEPTS &&
                       oracle_parse(b, &right) == ORACLE_ACCEPTS &&
                       json_equal(json_of(left), json_of(right));
    oracle_free(left);
    oracle_free(right);
    return equal;
}

enum oracle_kind oracle_kind(const struct oracle_value *value)
{
    switch (json_typeof(json_of(value))) {
    case JSON_OBJECT:
        return ORACLE_OBJECT;
    case JSON_ARRAY:
        return ORACLE_ARRAY;
    case JSON_STRING:
        return ORACLE_STRING;
    case JSON_INTEGER:
        return ORACLE_INTEGER;
    case JSON_REAL:
        return ORACLE_REAL;
    case JSON_TRUE:
        return ORACLE_TRUE;
    case JSON_FALSE:
        return ORACLE_FALSE;
    case JSON_NULL:
        return ORACLE_NULL;
    }
    assert(false);
    return ORACLE_NULL;
}

size_t oracle_count(const struct oracle_value *container)
{
    return json_is_object(json_of(container)) ? json_object_size(json_of(container))
                                              : json_array_size(json_of(container));
}

const struct oracle_value *oracle_member(const struct oracle_value *object, struct text key)
{
    return value_of(json_object_getn(json_of(object), key.data, key.size));
}

const struct oracle_value *oracle_item(const struct oracle_value *array, size_t index)
{
    return value_of(json_array_get(json_of(array), index));
}

struct text oracle_string(const struct oracle_value *string)
{
    return (struct text){json_string_value(json_of(string)), json_string_length(json_of(string))};
}

bool oracle_number_is(const struct oracle_value *number, struct text raw)
{
    char *digits = strndup(raw.data, raw.size);
    assert(digits);
    const bool same = json_is_integer(json_of(number))
                          ? strtoll(digits, NULL, 10) == json_integer_value(json_of(number))
                          : strtod(digits, NULL) == json_real_value(json_of(number));
    free(digits);
    return same;
}
