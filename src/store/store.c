// The store seam: one call a primitive, and the words of its tables.
#include "store.h"

#include <stddef.h>

static const struct text outcome_texts[] = {
#define X(name, text) [OUTCOME_##name] = {text, sizeof(text) - 1},
    OUTCOME_TABLE(X)
#undef X
};

struct text outcome_text(enum outcome outcome)
{
    return outcome_texts[outcome];
}

static const struct text dead_letter_state_texts[] = {
#define X(name) [DEAD_LETTER_##name] = {#name, sizeof(#name) - 1},
    DEAD_LETTER_STATE_TABLE(X)
#undef X
};

struct text dead_letter_state_text(enum dead_letter_state state)
{
    return dead_letter_state_texts[state];
}

enum err store_begin(struct store *store, struct why *why)
{
    return store->ops->begin(store, why);
}

enum err store_commit(struct store *store, struct why *why)
{
    return store->ops->commit(store, why);
}

enum err store_insert_events(struct store *store, struct store_group *groups, size_t count,
                             struct why *why)
{
    return store->ops->insert_events(store, groups, count, why);
}

enum err store_read_partitions(struct store *store, struct store_group *groups, size_t count,
                               struct arena *arena, struct why *why)
{
    return store->ops->read_partitions(store, groups, count, arena, why);
}

enum err store_write_facts(struct store *store, struct store_group *groups, size_t count,
                           struct why *why)
{
    return store->ops->write_facts(store, groups, count, why);
}

enum err store_insert_waiting(struct store *store, const struct waiting_payment *items,
                              size_t count, struct why *why)
{
    return store->ops->insert_waiting(store, items, count, why);
}

enum err store_due_buckets(struct store *store, int64_t before_us, size_t count_max,
                           struct arena *arena, struct waiting_bucket **out_buckets,
                           size_t *out_count, struct why *why)
{
    return store->ops->due_buckets(store, before_us, count_max, arena, out_buckets, out_count, why);
}

enum err store_close_bucket(struct store *store, struct waiting_bucket bucket, struct why *why)
{
    return store->ops->close_bucket(store, bucket, why);
}

enum err store_bucket_is_closed(struct store *store, struct waiting_bucket bucket, bool *out_closed,
                                struct why *why)
{
    return store->ops->bucket_is_closed(store, bucket, out_closed, why);
}

enum err store_read_bucket(struct store *store, struct waiting_bucket bucket,
                           const struct waiting_payment *after, size_t count_max,
                           struct arena *arena, struct waiting_payment **out_items,
                           size_t *out_count, struct why *why)
{
    return store->ops->read_bucket(store, bucket, after, count_max, arena, out_items, out_count,
                                   why);
}

enum err store_finish_bucket(struct store *store, struct waiting_bucket bucket, struct why *why)
{
    return store->ops->finish_bucket(store, bucket, why);
}

enum err store_write_lane_status(struct store *store, struct text lane, int64_t watermark_us,
                                 int64_t now_us, struct why *why)
{
    return store->ops->write_lane_status(store, lane, watermark_us, now_us, why);
}

enum err store_read_lane_status(struct store *store, int64_t fresh_after_us, size_t *out_lanes,
                                int64_t *out_watermark_us, struct why *why)
{
    return store->ops->read_lane_status(store, fresh_after_us, out_lanes, out_watermark_us, why);
}

enum err store_load_applied(struct store *store, struct text log_id, enum applied_topic topic,
                            struct ranges *out_ranges, struct why *why)
{
    return store->ops->load_applied(store, log_id, topic, out_ranges, why);
}

enum err store_add_applied(struct store *store, struct text log_id, enum applied_topic topic,
                           const struct range *ranges, size_t count, struct why *why)
{
    return store->ops->add_applied(store, log_id, topic, ranges, count, why);
}

enum err store_add_tallies(struct store *store, struct text log_id, const struct tally *tallies,
                           size_t count, struct why *why)
{
    return store->ops->add_tallies(store, log_id, tallies, count, why);
}

enum err store_record_dead_letters(struct store *store, const struct dead_letter_record *records,
                                   size_t count, struct why *why)
{
    return store->ops->record_dead_letters(store, records, count, why);
}

enum err store_due_dead_letters(struct store *store, int64_t before_us, size_t count_max,
                                struct arena *arena, struct dead_letter_record **out_records,
                                size_t *out_count, struct why *why)
{
    return store->ops->due_dead_letters(store, before_us, count_max, arena, out_records, out_count,
                                        why);
}

enum err store_change_dead_letter(struct store *store, const struct hash *id,
                                  enum dead_letter_state state, uint32_t checks,
                                  int64_t next_check_us, int64_t now_us, struct text who,
                                  struct text why_text, struct why *why)
{
    return store->ops->change_dead_letter(store, id, state, checks, next_check_us, now_us, who,
                                          why_text, why);
}

enum err store_add_start(struct store *store, struct text lane, uint32_t *out_starts,
                         struct why *why)
{
    return store->ops->add_start(store, lane, out_starts, why);
}

enum err store_clear_starts(struct store *store, struct text lane, struct why *why)
{
    return store->ops->clear_starts(store, lane, why);
}

enum err store_add_suspect(struct store *store, struct text topic, struct text message_id,
                           uint32_t *out_starts, struct why *why)
{
    return store->ops->add_suspect(store, topic, message_id, out_starts, why);
}

enum err store_remove_suspect(struct store *store, struct text topic, struct text message_id,
                              struct why *why)
{
    return store->ops->remove_suspect(store, topic, message_id, why);
}

void store_rollback(struct store *store)
{
    store->ops->rollback(store);
}

void store_close(struct store **store)
{
    if (store != NULL && *store != NULL) {
        (*store)->ops->close(*store);
        *store = NULL;
    }
}
