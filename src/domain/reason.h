// Why a message became a dead letter: one table, used by the codec, the store and every report.
#ifndef TILL_REASON_H
#define TILL_REASON_H

#include "text.h"

#include <stdbool.h>

enum reason_class {
    REASON_CLASS_REFUSED, // the message itself must be mended and sent again
    REASON_CLASS_HEALS,   // goes away when the order comes
    REASON_CLASS_PERSON,  // somebody has to look
};

// X(name, class, text)
#define REASON_TABLE(X)                                                                            \
    X(E_EMPTY, REFUSED, "the message has no body")                                                 \
    X(E_SIZE, REFUSED, "the message is over a size limit")                                         \
    X(E_UTF8, REFUSED, "the body is not UTF-8")                                                    \
    X(E_JSON, REFUSED, "the body is not one JSON document")                                        \
    X(E_DEPTH, REFUSED, "the JSON is nested too deeply")                                           \
    X(E_DUPKEY, REFUSED, "a key comes twice in one object")                                        \
    X(E_TYPE, REFUSED, "a field has the wrong type")                                               \
    X(E_MISSING, REFUSED, "a required field is missing")                                           \
    X(E_ENUM, REFUSED, "a field has none of the allowed values")                                   \
    X(E_FORMAT, REFUSED, "a field has the wrong form")                                             \
    X(E_RANGE, REFUSED, "a number or text is outside its limits")                                  \
    X(E_CURRENCY, REFUSED, "not an ISO 4217 currency")                                             \
    X(E_PAN, REFUSED, "the message holds card data")                                               \
    X(E_WRONG_TOPIC, REFUSED, "an order on the payments topic, or vice versa")                     \
    X(E_HOT_ORDER, REFUSED, "the order has too many events")                                       \
    X(E_STORE_REJECT, REFUSED, "the store refuses the row")                                        \
    X(E_UNMATCHED, HEALS, "no such order within the grace time")                                   \
    X(E_CONFLICT, PERSON, "same identity, other content")                                          \
    X(E_POISON, PERSON, "the message stopped the process three times")

enum reason {
    REASON_NONE,
#define X(name, class, text) REASON_##name,
    REASON_TABLE(X)
#undef X
        REASON_COUNT
};

struct text reason_name(enum reason reason); // "E_EMPTY"; "" for REASON_NONE
const char *reason_text(enum reason reason);
enum reason_class reason_class_of(enum reason reason);
bool reason_find(struct text name, enum reason *out_reason);

#endif
