// Every operation of both seams is wrapped alike: judge, then pass on.
#include "seam_fault.h"

static struct {
    const struct bus_ops *bus;
    const struct store_ops *store;
    uint64_t nth;
    uint64_t count;
    enum seam_death death;
    bool hit;
} fault;

enum verdict { VERDICT_LIVE, VERDICT_DEAD, VERDICT_DIES_AFTER };

static enum verdict judge(void)
{
    if (fault.hit) {
        return VERDICT_DEAD;
    }
    fault.count++;
    if (fault.nth == 0 || fault.count != fault.nth) {
        return VERDICT_LIVE;
    }
    fault.hit = true;
    return fault.death == SEAM_BEFORE ? VERDICT_DEAD : VERDICT_DIES_AFTER;
}

static enum err dead(struct why *why)
{
    return why_set(why, ERR_IO, "the process died at a seam");
}

static enum err after(enum verdict verdict, enum err err, struct why *why)
{
    return verdict == VERDICT_DIES_AFTER ? dead(why) : err;
}

// WRAP(seam, operation, parameters, arguments): a function of the operation's type.
#define WRAP(seam, operation, parameters, arguments)                                               \
    static enum err seam##_##operation##_judged parameters                                         \
    {                                                                                              \
        enum verdict verdict = judge();                                                            \
        if (verdict == VERDICT_DEAD) {                                                             \
            return dead(why);                                                                      \
        }                                                                                          \
        return after(verdict, fault.seam->operation arguments, why);                               \
    }

// clang-format off
WRAP(bus, publish,
     (struct bus *bus, enum bus_topic topic, const struct bus_outgoing *messages, size_t count,
      struct why *why),
     (bus, topic, messages, count, why))
WRAP(bus, pull,
     (struct bus *bus, enum bus_topic subscription, size_t count_max, size_t size_max,
      struct arena *arena, struct bus_message **out_messages, size_t *out_count, struct why *why),
     (bus, subscription, count_max, size_max, arena, out_messages, out_count, why))
WRAP(bus, ack,
     (struct bus *bus, enum bus_topic subscription, const struct bus_handle *handles, size_t count,
      struct why *why),
     (bus, subscription, handles, count, why))
WRAP(bus, nack,
     (struct bus *bus, enum bus_topic subscription, const struct bus_handle *handles, size_t count,
      struct why *why),
     (bus, subscription, handles, count, why))

WRAP(store, begin, (struct store *store, struct why *why), (store, why))
WRAP(store, commit, (struct store *store, struct why *why), (store, why))
WRAP(store, insert_events,
     (struct store *store, struct store_group *groups, size_t count, struct why *why),
     (store, groups, count, why))
WRAP(store, read_partitions,
     (struct store *store, struct store_group *groups, size_t count, struct arena *arena,
      struct why *why),
     (store, groups, count, arena, why))
WRAP(store, write_facts,
     (struct store *store, struct store_group *groups, size_t count, struct why *why),
     (store, groups, count, why))
WRAP(store, insert_waiting,
     (struct store *store, const struct waiting_payment *items, size_t count, struct why *why),
     (store, items, count, why))
WRAP(store, due_buckets,
     (struct store *store, int64_t before_us, size_t count_max, struct arena *arena,
      struct waiting_bucket **out_buckets, size_t *out_count, struct why *why),
     (store, before_us, count_max, arena, out_buckets, out_count, why))
WRAP(store, close_bucket,
     (struct store *store, struct waiting_bucket bucket, struct why *why),
     (store, bucket, why))
WRAP(store, bucket_is_closed,
     (struct store *store, struct waiting_bucket bucket, bool *out_closed, struct why *why),
     (store, bucket, out_closed, why))
WRAP(store, read_bucket,
     (struct store *store, struct waiting_bucket bucket, const struct waiting_payment *last,
      size_t count_max, struct arena *arena, struct waiting_payment **out_items, size_t *out_count,
      struct why *why),
     (store, bucket, last, count_max, arena, out_items, out_count, why))
WRAP(store, finish_bucket,
     (struct store *store, struct waiting_bucket bucket, struct why *why),
     (store, bucket, why))
WRAP(store, write_lane_status,
     (struct store *store, struct text lane, int64_t watermark_us, int64_t now_us,
      struct why *why),
     (store, lane, watermark_us, now_us, why))
WRAP(store, add_applied,
     (struct store *store, struct text log_id, enum applied_topic topic,
      const struct range *ranges, size_t count, struct why *why),
     (store, log_id, topic, ranges, count, why))
WRAP(store, add_tallies,
     (struct store *store, struct text log_id, const struct tally *tallies, size_t count,
      struct why *why),
     (store, log_id, tallies, count, why))
WRAP(store, record_dead_letters,
     (struct store *store, const struct dead_letter_record *records, size_t count,
      struct why *why),
     (store, records, count, why))
WRAP(store, clear_starts, (struct store *store, struct text lane, struct why *why),
     (store, lane, why))
WRAP(store, add_suspect,
     (struct store *store, struct text topic, struct text message_id, uint32_t *out_starts,
      struct why *why),
     (store, topic, message_id, out_starts, why))
WRAP(store, remove_suspect,
     (struct store *store, struct text topic, struct text message_id, struct why *why),
     (store, topic, message_id, why))
// clang-format on

static void wrap_bus(struct bus *bus)
{
    static struct bus_ops wrapped;
    if (bus->ops == &wrapped) {
        return; // armed again
    }
    fault.bus = bus->ops;
    wrapped = *bus->ops;
    wrapped.publish = bus_publish_judged;
    wrapped.pull = bus_pull_judged;
    wrapped.ack = bus_ack_judged;
    wrapped.nack = bus_nack_judged;
    bus->ops = &wrapped;
}

static void wrap_store(struct store *store)
{
    static struct store_ops wrapped;
    if (store->ops == &wrapped) {
        return;
    }
    fault.store = store->ops;
    wrapped = *store->ops;
    wrapped.begin = store_begin_judged;
    wrapped.commit = store_commit_judged;
    wrapped.insert_events = store_insert_events_judged;
    wrapped.read_partitions = store_read_partitions_judged;
    wrapped.write_facts = store_write_facts_judged;
    wrapped.insert_waiting = store_insert_waiting_judged;
    wrapped.due_buckets = store_due_buckets_judged;
    wrapped.close_bucket = store_close_bucket_judged;
    wrapped.bucket_is_closed = store_bucket_is_closed_judged;
    wrapped.read_bucket = store_read_bucket_judged;
    wrapped.finish_bucket = store_finish_bucket_judged;
    wrapped.write_lane_status = store_write_lane_status_judged;
    wrapped.add_applied = store_add_applied_judged;
    wrapped.add_tallies = store_add_tallies_judged;
    wrapped.record_dead_letters = store_record_dead_letters_judged;
    wrapped.clear_starts = store_clear_starts_judged;
    wrapped.add_suspect = store_add_suspect_judged;
    wrapped.remove_suspect = store_remove_suspect_judged;
    store->ops = &wrapped;
}

void seam_fault_follow(struct rig *rig)
{
    wrap_bus(rig->bus);
    wrap_store(rig->store);
}

void seam_fault_arm(struct rig *rig, uint64_t nth, enum seam_death death)
{
    seam_fault_follow(rig);
    fault.nth = nth;
    fault.death = death;
    fault.count = 0;
    fault.hit = false;
}

void seam_fault_disarm(void)
{
    fault.nth = 0;
}

bool seam_fault_hit(void)
{
    return fault.hit;
}

uint64_t seam_fault_count(void)
{
    return fault.count;
}
