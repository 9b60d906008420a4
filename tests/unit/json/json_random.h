// Random JSON documents from a seed, and random damage to them.
#ifndef TILL_JSON_RANDOM_H
#define TILL_JSON_RANDOM_H

#include "buf.h"
#include "rand.h"

// Appends a document that every strict reader must accept: at most 8 levels, 12 keys an object.
void json_random_document(struct rand *rand, struct buf *out);
// Makes 1 to 3 changes to the document in `buf`: bytes changed, cut, added, repeated, or tokens put
// in. It is then usually refused, and sometimes a different document.
void json_random_damage(struct rand *rand, struct buf *buf);

#endif
