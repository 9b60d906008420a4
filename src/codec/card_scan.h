// Finds card data in text: full card numbers (13-19 digits, a known issuer prefix, Luhn check) and
// keys that name a security code or track data. Up to three spaces and dashes between two digits
// are ignored, no-break spaces and typographic dashes among them.
#ifndef TILL_CARD_SCAN_H
#define TILL_CARD_SCAN_H

#include "buf.h"
#include "text.h"

#include <stdbool.h>

// True when `text` holds a full card number. Linear time.
bool card_scan_text(struct text text);
// True for cvv, cvv2, cvc, cvc2, cid, track1, track2, track_data, pin, pin_block, card_number and
// pan, whatever the letters' case and with '_' and '-' ignored.
bool card_scan_key(struct text key);

// The same for the raw form of a JSON string or key, in which escapes count as what they mean.
bool card_scan_raw_text(struct text raw, bool has_escapes);
bool card_scan_raw_key(struct text raw, bool has_escapes);

// Appends `body` with every digit of a card number but the last four replaced by '*', and, where
// the body looks like JSON, the values of the keys above replaced by "***". The size of the text
// may change. Works on any bytes. The values of order_id, payment_id and customer_id stay when they
// are numbers: they are never taken for card numbers, and a person needs them.
void card_redact(struct text body, struct buf *out);

#endif
