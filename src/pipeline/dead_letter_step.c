// Recording, healing and looking again. The record is keyed by the letter's identity, so a second
// publication of the same letter changes nothing.
#include "dead_letter_step.h"

#include "dead_letter.h"

#include <string.h>

#define CONSUMER_ARENA_SIZE    (64u * 1024u * 1024u)
#define CONSUMER_PULL_SIZE_MAX (4u * 1024u * 1024u)

enum err dead_letter_consumer_init(struct dead_letter_consumer *consumer,
                                   const struct matcher *matcher, struct log *log)
{
    memset(consumer, 0, sizeof(*consumer));
    consumer->matcher = *matcher;
    consumer->log = log;
    consumer->count_max = DEAD_LETTER_BATCH_MAX;
    return arena_init(&consumer->arena, CONSUMER_ARENA_SIZE);
}

void dead_letter_consumer_deinit(struct dead_letter_consumer *consumer)
{
    arena_deinit(&consumer->arena);
}

int64_t dead_letter_next_check_us(uint32_t checks, int64_t now_us)
{
    static const int64_t minutes[] = {1, 5, 30, 120, 720};
    size_t last = sizeof(minutes) / sizeof(minutes[0]) - 1;
    return now_us + minutes[checks < last ? checks : last] * 60 * US_PER_SECOND;
}

static enum err no_memory(struct why *why)
{
    return why_set(why, ERR_NO_MEMORY, "dead letters need more memory than their arena has");
}

// Sets there[i] for each order id: whether the order is stored. Groups must name distinct orders, so
// repeated ids of a batch are asked once each; they are few.
static enum err find_orders(struct dead_letter_consumer *consumer, const int64_t *order_ids,
                            size_t count, bool *there, struct why *why)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        there[i] = false;
        if (order_ids[i] <= 0) {
            continue;
        }
        size_t mark = arena_mark(&consumer->arena);
        struct store_group group = {.order_id = order_ids[i]};
        err = match_groups(&consumer->matcher, &group, 1, &consumer->arena, why);
        there[i] = err == ERR_OK && group.fact.order != NULL;
        arena_rewind(&consumer->arena, mark);
    }
    return err;
}

static void record_of_letter(const struct dead_letter *letter, bool order_there, int64_t now_us,
                             struct dead_letter_record *out_record)
{
    *out_record = (struct dead_letter_record){
        .id = letter->id,
        .reason = letter->reason,
        .state = DEAD_LETTER_NEW,
        .detail = letter->detail,
        .body = letter->body,
        .source_topic = letter->source_topic,
        .source_message_id = letter->source_message_id,
        .first_seen_us = letter->first_seen_us,
        .recorded_us = now_us,
        .order_id = letter->order_id,
        .payment_id = letter->payment_id,
        .event_id = letter->event_id,
        .attempts = letter->attempts,
        .replay_count = letter->replay_count,
        .redacted = letter->redacted,
        .rebuilt = letter->rebuilt,
    };
    if (reason_class_of(letter->reason) == REASON_CLASS_HEALS) {
        out_record->state = order_there ? DEAD_LETTER_HEALED : DEAD_LETTER_WAITING;
        out_record->next_check_us = order_there ? 0 : dead_letter_next_check_us(0, now_us);
    }
}

static enum err record_messages(struct dead_letter_consumer *consumer,
                                const struct bus_message *messages, size_t count, struct why *why)
{
    struct arena *arena = &consumer->arena;
    struct dead_letter_record *records = ARENA_ARRAY(arena, struct dead_letter_record, count);
    struct dead_letter *letters = ARENA_ARRAY(arena, struct dead_letter, count);
    int64_t *order_ids = ARENA_ARRAY(arena, int64_t, count);
    bool *there = ARENA_ARRAY(arena, bool, count);
    if (arena_overflowed(arena)) {
        return no_memory(why);
    }
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        err = dead_letter_read(messages[i].data, messages[i].attributes, messages[i].message_id,
                               messages[i].published_us, arena, &letters[i]);
        bool heals = reason_class_of(letters[i].reason) == REASON_CLASS_HEALS;
        order_ids[i] = heals ? letters[i].order_id : 0;
    }
    if (err == ERR_OK) {
        err = find_orders(consumer, order_ids, count, there, why);
    }
    int64_t now_us = clock_wall_us(&consumer->matcher.clock);
    size_t healed = 0;
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        record_of_letter(&letters[i], there[i], now_us, &records[i]);
        healed += records[i].state == DEAD_LETTER_HEALED;
    }
    if (err == ERR_OK) {
        err = store_record_dead_letters(consumer->matcher.store, records, count, why);
    }
    if (err == ERR_OK) {
        atomic_fetch_add(&consumer->recorded, count);
        atomic_fetch_add(&consumer->healed, healed);
    }
    return err;
}

typedef enum err work_fn(struct dead_letter_consumer *consumer, void *context, struct why *why);

static enum err in_transaction(struct dead_letter_consumer *consumer, work_fn *work, void *context,
                               struct why *why)
{
    struct store *store = consumer->matcher.store;
    enum err err = store_begin(store, why);
    if (err != ERR_OK) {
        return err;
    }
    err = work(consumer, context, why);
    if (err != ERR_OK) {
        store_rollback(store);
        return err;
    }
    return store_commit(store, why);
}

struct pulled {
    const struct bus_message *messages;
    size_t count;
};

static enum err record_pulled(struct dead_letter_consumer *consumer, void *context, struct why *why)
{
    const struct pulled *pulled = context;
    return record_messages(consumer, pulled->messages, pulled->count, why);
}

static enum err settle(struct dead_letter_consumer *consumer, enum bus_topic topic,
                       const struct pulled *pulled, bool done, struct why *why)
{
    struct arena *arena = &consumer->arena;
    arena->overflowed = false;
    struct bus_handle *handles = ARENA_ARRAY(arena, struct bus_handle, pulled->count);
    if (handles == NULL) {
        return no_memory(why); // the leases run out by themselves
    }
    for (size_t i = 0; i < pulled->count; i++) {
        handles[i] = pulled->messages[i].handle;
    }
    struct bus *bus = consumer->matcher.bus;
    return done ? bus_ack(bus, topic, handles, pulled->count, why)
                : bus_nack(bus, topic, handles, pulled->count, why);
}

static enum err consume_topic(struct dead_letter_consumer *consumer, enum bus_topic topic,
                              size_t *out_count, struct why *why)
{
    struct bus_message *messages = NULL;
    size_t count = 0;
    arena_reset(&consumer->arena);
    enum err err = bus_pull(consumer->matcher.bus, topic, consumer->count_max,
                            CONSUMER_PULL_SIZE_MAX, &consumer->arena, &messages, &count, why);
    if (err != ERR_OK || count == 0) {
        return err;
    }
    size_t mark = arena_mark(&consumer->arena);
    struct pulled pulled = {messages, count};
    err = in_transaction(consumer, record_pulled, &pulled, why);
    bool too_many = err == ERR_NO_MEMORY && arena_overflowed(&consumer->arena) && count > 1;
    arena_rewind(&consumer->arena, mark);
    struct why settle_why = {0};
    enum err settled = settle(consumer, topic, &pulled, err == ERR_OK, &settle_why);
    if (too_many) {
        consumer->count_max = count / 2;
        err = ERR_OK; // they come again, fewer at a time
    } else if (err == ERR_OK) {
        consumer->count_max = DEAD_LETTER_BATCH_MAX;
    }
    *out_count += count;
    return err == ERR_OK && settled != ERR_OK ? why_set(why, settled, "%s", settle_why.text) : err;
}

enum err dead_letter_consume(struct dead_letter_consumer *consumer, size_t *out_count,
                             struct why *why)
{
    *out_count = 0;
    enum err err = consume_topic(consumer, BUS_PAYMENTS_DLQ, out_count, why);
    return err == ERR_OK ? consume_topic(consumer, BUS_ORDERS_DLQ, out_count, why) : err;
}

// --- looking again ------------------------------------------------------------------------------

struct recheck {
    int64_t now_us;
    size_t count;
};

static enum err change(struct dead_letter_consumer *consumer,
                       const struct dead_letter_record *record, bool order_there, int64_t now_us,
                       struct why *why)
{
    const struct pipeline_rules *rules = consumer->matcher.rules;
    enum dead_letter_state state = DEAD_LETTER_WAITING;
    struct text reason = TEXT("no order yet");
    int64_t next_check_us = dead_letter_next_check_us(record->checks + 1, now_us);
    if (order_there) {
        state = DEAD_LETTER_HEALED;
        reason = TEXT("the order has come");
        next_check_us = 0;
        atomic_fetch_add(&consumer->healed, 1);
    } else if (now_us - record->first_seen_us > rules->dead_letter_age_max_us) {
        state = DEAD_LETTER_EXPIRED;
        reason = TEXT("no order within the maximum age");
        next_check_us = 0;
        atomic_fetch_add(&consumer->expired, 1);
    }
    return store_change_dead_letter(consumer->matcher.store, &record->id, state, record->checks + 1,
                                    next_check_us, now_us, TEXT("till"), reason, why);
}

static enum err recheck_some(struct dead_letter_consumer *consumer, void *context, struct why *why)
{
    struct recheck *recheck = context;
    struct dead_letter_record *records = NULL;
    enum err err =
        store_due_dead_letters(consumer->matcher.store, recheck->now_us, DEAD_LETTER_BATCH_MAX,
                               &consumer->arena, &records, &recheck->count, why);
    int64_t *order_ids = ARENA_ARRAY(&consumer->arena, int64_t, recheck->count);
    bool *there = ARENA_ARRAY(&consumer->arena, bool, recheck->count);
    if (err == ERR_OK && arena_overflowed(&consumer->arena)) {
        return no_memory(why);
    }
    for (size_t i = 0; err == ERR_OK && i < recheck->count; i++) {
        order_ids[i] = records[i].order_id;
    }
    if (err == ERR_OK) {
        err = find_orders(consumer, order_ids, recheck->count, there, why);
    }
    for (size_t i = 0; err == ERR_OK && i < recheck->count; i++) {
        err = change(consumer, &records[i], there[i], recheck->now_us, why);
    }
    return err;
}

enum err dead_letter_recheck(struct dead_letter_consumer *consumer, int64_t now_us, struct why *why)
{
    struct recheck recheck = {now_us, 0};
    enum err err = ERR_OK;
    do {
        arena_reset(&consumer->arena);
        err = in_transaction(consumer, recheck_some, &recheck, why);
    } while (err == ERR_OK && recheck.count == DEAD_LETTER_BATCH_MAX);
    return err;
}
