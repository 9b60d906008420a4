// Card numbers for tests, and a second opinion on what is one.
#ifndef TILL_CARD_NUMBERS_H
#define TILL_CARD_NUMBERS_H

#include "rand.h"
#include "text.h"

#include <stdbool.h>

#define CARD_NUMBER_SIZE 20 // 19 digits and a zero

// `prefix`, then zeros, then the check digit: `length` digits, zero-terminated.
void card_number_make(const char *prefix, unsigned length, char out[CARD_NUMBER_SIZE]);
// One of a random issuer.
void card_number_draw(struct rand *rand, char out[CARD_NUMBER_SIZE]);

// The definition, followed word by word and slowly: some stretch of the text starts and ends where
// runs of digits do, has 13-19 digits with at most three spaces and dashes in a row between them, a
// known prefix and a good check digit.
bool card_number_naive_scan(struct text text);

#endif
