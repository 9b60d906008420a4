// Random messages that the contract allows, with every field at times at its limits.
#ifndef TILL_RANDOM_MESSAGES_H
#define TILL_RANDOM_MESSAGES_H

#include "arena.h"
#include "order.h"
#include "payment.h"
#include "rand.h"

// Texts are in `arena`. Messages without a currency are in `default_currency`.
struct order random_order(struct rand *rand, struct arena *arena, struct currency default_currency);
struct payment random_payment(struct rand *rand, struct arena *arena,
                              struct currency default_currency);

#endif
