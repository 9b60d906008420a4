// jansson as the second opinion on JSON. It is behind this header because its names and ours clash
// (JSON_STRING, json_string, ...): no file may include both. Programs that link both need
// -Wl,--exclude-libs,ALL, so that the functions of ours never stand in for jansson's own.
//
// It is asked for strictness: duplicate keys are refused, any value may be a document, \u0000 is
// allowed in strings. Two differences remain and are told apart as ORACLE_CANNOT_TELL: jansson
// converts numbers and refuses those that do not fit, and it has no keys with \u0000. Bytes of 0
// are refused before jansson is asked: JSON has no place for them, but jansson overlooks some.
#ifndef TILL_JSON_ORACLE_H
#define TILL_JSON_ORACLE_H

#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum oracle_verdict { ORACLE_ACCEPTS, ORACLE_REFUSES, ORACLE_CANNOT_TELL };

enum oracle_kind {
    ORACLE_OBJECT,
    ORACLE_ARRAY,
    ORACLE_STRING,
    ORACLE_INTEGER,
    ORACLE_REAL,
    ORACLE_TRUE,
    ORACLE_FALSE,
    ORACLE_NULL,
};

struct oracle_value; // owned by the tree it is in

// The tree is written only on ORACLE_ACCEPTS; free it with oracle_free.
enum oracle_verdict oracle_parse(struct text document, struct oracle_value **out_tree);
void oracle_free(struct oracle_value *tree);
// Parses and frees.
enum oracle_verdict oracle_judge(struct text document);

// Whether both documents are accepted and hold the same values, whatever their spelling.
bool oracle_equal(struct text a, struct text b);

enum oracle_kind oracle_kind(const struct oracle_value *value);
size_t oracle_count(const struct oracle_value *container); // members or items
// NULL when there is none.
const struct oracle_value *oracle_member(const struct oracle_value *object, struct text key);
const struct oracle_value *oracle_item(const struct oracle_value *array, size_t index);
struct text oracle_string(const struct oracle_value *string); // its meaning
// Whether the text of a number is what jansson made of it.
bool oracle_number_is(const struct oracle_value *number, struct text raw);

#endif
