// What decoding an order or a payment needs and tells beside the value itself.
//
// Checks run in this order and the first failure names the reason: size, encoding, syntax (depth
// and duplicate keys are part of it), card data, identity, fields, meaning. Fields are checked in
// the contract's order, but a currency before the money it is the unit of.
#ifndef TILL_DECODE_H
#define TILL_DECODE_H

#include "arena.h"
#include "currency.h"
#include "reason.h"
#include "text.h"

#include <stdbool.h>
#include <stdint.h>

#define MESSAGE_SIZE_MAX    (256u * 1024u) // bytes of one body
#define MESSAGE_DEPTH_MAX   16u            // nested objects and arrays
#define MESSAGE_KEYS_MAX    64u            // keys of one object
#define REFUSAL_DETAIL_SIZE 160            // bytes, zero-terminated

struct decode_rules {
    bool lenient_price;
    struct currency default_currency;
};

// Things that were accepted but are worth counting.
struct decode_remarks {
    uint32_t unknown_field_count;
    bool price_rounded;
    bool time_unparsed; // creation_date or payment_datetime is kept as text only
};

// Why a message was refused: which field, what was expected. Never the value itself.
struct refusal {
    enum reason reason;
    char detail[REFUSAL_DETAIL_SIZE];
    int64_t order_id;   // 0 when it could not be read
    int64_t payment_id; // 0 when it could not be read, or is not there
};

enum message_kind { MESSAGE_ORDER, MESSAGE_PAYMENT };

// Tells orders and payments apart by the keys of the top-level object, for sources that mix them:
// payment_id or a payment_... key makes a payment, everything else is an order. Never fails;
// whether the message is valid is for the decoder to say.
enum message_kind message_kind_guess(struct text body);

#endif
