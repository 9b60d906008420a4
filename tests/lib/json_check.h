// Everything the JSON reader promises about one document, checked with jansson as the judge: the
// same documents are accepted, every value and key means the same, json_unescape stays within its
// bounds, a skipped container is checked as well as a read one. For unit tests and fuzzing alike.
#ifndef TILL_JSON_CHECK_H
#define TILL_JSON_CHECK_H

#include "text.h"

#include <stdbool.h>

#define JSON_CHECK_DEPTH_MAX 16u
#define JSON_CHECK_KEYS_MAX  64u

// NULL, or the promise that was broken (static text). Works on a copy of exactly the document's
// size, so that the address sanitizer sees a byte read too much.
const char *json_check(struct text document, bool *out_accepted);

#endif
