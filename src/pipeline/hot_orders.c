// A ring of full orders, and the look before the write.
#include "hot_orders.h"

#include "fold.h"

#include <string.h>

static size_t rows_of_kind(const struct store_group *group, enum event_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < group->row_count; i++) {
        count += group->rows[i]->kind == kind;
    }
    return count;
}

// Its place, or hot->count.
static size_t find(const struct hot_orders *hot, int64_t order_id)
{
    size_t at = 0;
    while (at < hot->count && hot->items[at].order_id != order_id) {
        at++;
    }
    return at;
}

static struct hot_order *add(struct hot_orders *hot)
{
    if (hot->count < HOT_ORDERS_MAX) {
        return &hot->items[hot->count++];
    }
    struct hot_order *oldest = &hot->items[hot->next];
    hot->next = (hot->next + 1) % HOT_ORDERS_MAX;
    return oldest;
}

void hot_orders_note(struct hot_orders *hot, const struct store_group *group)
{
    if (group->row_count < FOLD_EVENTS_OF_KIND_MAX) {
        return;
    }
    struct hot_order order = {
        .order_id = group->order_id,
        .versions = rows_of_kind(group, EVENT_ORDER) >= FOLD_EVENTS_OF_KIND_MAX,
        .payments = rows_of_kind(group, EVENT_PAYMENT) >= FOLD_EVENTS_OF_KIND_MAX,
    };
    size_t at = find(hot, group->order_id);
    if (at < hot->count) { // rows only grow
        hot->items[at].versions |= order.versions;
        hot->items[at].payments |= order.payments;
    } else if (order.versions || order.payments) {
        *add(hot) = order;
    }
}

void hot_order_refuse(struct batch_item *item, struct arena *arena)
{
    static const char versions[] = "order_id: the order has 1000 versions already";
    static const char payments[] = "order_id: the order has 1000 payment events already";
    const struct event *event = &item->incoming.event;
    struct refusal *refusal = ARENA_NEW(arena, struct refusal);
    if (refusal == NULL) {
        return; // sticks
    }
    refusal->reason = REASON_E_HOT_ORDER;
    refusal->order_id = event->order_id;
    refusal->payment_id = event->kind == EVENT_PAYMENT ? event->entity_id : 0;
    if (event->kind == EVENT_ORDER) {
        memcpy(refusal->detail, versions, sizeof(versions));
    } else {
        memcpy(refusal->detail, payments, sizeof(payments));
    }
    item->refusal = refusal;
    item->outcome = OUTCOME_REFUSED;
}

static bool may_be_above(const struct hot_orders *hot, const struct batch_item *item)
{
    if (item->refusal != NULL) {
        return false;
    }
    const struct event *event = &item->incoming.event;
    size_t at = find(hot, event->order_id);
    return at < hot->count &&
           (event->kind == EVENT_ORDER ? hot->items[at].versions : hot->items[at].payments);
}

static struct store_group *group_of(struct store_group *groups, size_t count, int64_t order_id)
{
    size_t at = 0;
    while (at < count && groups[at].order_id != order_id) {
        at++;
    }
    return &groups[at];
}

static bool holds(const struct store_group *group, const struct event *event)
{
    for (size_t i = 0; i < group->row_count; i++) {
        if (event_compare(group->rows[i], event) == 0) {
            return true;
        }
    }
    return false;
}

enum err hot_orders_refuse(const struct hot_orders *hot, struct store *store,
                           struct batch_item *items, size_t count, struct arena *arena,
                           struct why *why)
{
    struct store_group groups[HOT_ORDERS_MAX] = {0};
    size_t group_count = 0;
    for (size_t i = 0; hot->count > 0 && i < count; i++) {
        if (may_be_above(hot, &items[i])) {
            int64_t order_id = items[i].incoming.event.order_id;
            struct store_group *group = group_of(groups, group_count, order_id);
            group_count += group == &groups[group_count];
            group->order_id = order_id;
        }
    }
    if (group_count == 0) {
        return ERR_OK;
    }
    enum err err = store_read_partitions(store, groups, group_count, arena, why);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        const struct event *event = &items[i].incoming.event;
        if (may_be_above(hot, &items[i]) &&
            !holds(group_of(groups, group_count, event->order_id), event)) {
            hot_order_refuse(&items[i], arena);
        }
    }
    return err;
}
