// A picture is the text of five queries.
#include "picture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

static const char *const queries[PICTURE_PARTS] = {
    "SELECT * FROM orders_payments_facts ORDER BY order_id, payment_id",
    "SELECT * FROM facts_by_customer ORDER BY customer_id, order_id, payment_id",
    "SELECT * FROM facts_by_day ORDER BY day, order_id, payment_id",
    // Publish times are the history's own; notes are till's.
    "SELECT order_id, kind, entity_id, event_id, content_hash, customer_id, item, quantity, price,"
    " shipping_address, status, stated_time, payment_method, card_last_four, amount, currency"
    " FROM order_events WHERE kind <> 'NOTE' ORDER BY 1, 2, 3, 4, 5",
    // A refused message that comes twice is two dead letters. Which side of an unmatched conflict its
    // letter names depends on which one had come when it was written.
    "SELECT DISTINCT reason, order_id, payment_id, event_id, CASE reason WHEN 'E_UNMATCHED' THEN ''"
    " WHEN 'E_CONFLICT' THEN id ELSE body END FROM dead_letters WHERE state <> 'HEALED'"
    " ORDER BY 1, 2, 3, 4, 5",
};

void picture_take(struct rig *rig, struct picture *out)
{
    for (size_t i = 0; i < PICTURE_PARTS; i++) {
        out->parts[i] = rig_query(rig, queries[i]);
    }
}

void picture_deinit(struct picture *picture)
{
    for (size_t i = 0; i < PICTURE_PARTS; i++) {
        free(picture->parts[i]);
    }
}

void picture_assert_same(const struct picture *picture, const struct picture *expected)
{
    for (size_t i = 0; i < PICTURE_PARTS; i++) {
        assert_string_equal(picture->parts[i], expected->parts[i]);
    }
}
