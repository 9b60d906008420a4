// Values of cells, and the copies that they point to.
#include "store_sim_internal.h"

#include "hash.h"
#include "projection.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

struct intern_entry {
    struct intern_entry *next;
    uint64_t mixed;
    struct event event;
};

struct cell cell_number(int64_t timestamp, int64_t number)
{
    return (struct cell){.timestamp = timestamp, .kind = CELL_NUMBER, .number = number};
}

struct cell cell_tombstone(int64_t timestamp)
{
    return (struct cell){.timestamp = timestamp, .kind = CELL_TOMBSTONE};
}

struct cell cell_object(int64_t timestamp, enum cell_kind kind, const void *object)
{
    return (struct cell){.timestamp = timestamp, .kind = kind, .object = object};
}

int64_t session_stamp(struct session *session)
{
    return is_embedded(session) ? ++session->cluster->stamp : PROJECTION_TIMESTAMP_BASE;
}

struct row_key event_row_key(const struct cluster *cluster, const struct event *event)
{
    bool one_a_payment =
        event->kind == EVENT_PAYMENT && cluster->variant == VARIANT_LAST_WRITE_WINS;
    return (struct row_key){(int64_t)event->kind, event->entity_id, one_a_payment ? NULL : event};
}

struct row_key letter_row_key(const struct hash *id)
{
    struct row_key key = {0};
    uint64_t half[2];
    memcpy(half, id->bytes, sizeof(half));
    key.first = (int64_t)be64toh(half[0]);
    key.second = (int64_t)be64toh(half[1]);
    return key;
}

// --- copies -------------------------------------------------------------------------------------

struct text intern_text(struct cluster *cluster, struct text text)
{
    if (text.size == 0) {
        return (struct text){"", 0};
    }
    char *copy = pool_take(&cluster->pool, text.size);
    memcpy(copy, text.data, text.size);
    return (struct text){copy, text.size};
}

const struct text *intern_text_object(struct cluster *cluster, struct text text)
{
    struct text *object = pool_take(&cluster->pool, sizeof(*object));
    *object = intern_text(cluster, text);
    return object;
}

static void copy_texts(struct cluster *cluster, struct event *event)
{
    event->event_id = intern_text(cluster, event->event_id);
    switch (event->kind) {
    case EVENT_ORDER:
        event->order.item = intern_text(cluster, event->order.item);
        event->order.shipping_address = intern_text(cluster, event->order.shipping_address);
        event->order.creation_date = intern_text(cluster, event->order.creation_date);
        return;
    case EVENT_PAYMENT:
        event->payment.method = intern_text(cluster, event->payment.method);
        event->payment.card_last_four = intern_text(cluster, event->payment.card_last_four);
        event->payment.datetime = intern_text(cluster, event->payment.datetime);
        event->payment.event_id = intern_text(cluster, event->payment.event_id);
        return;
    case EVENT_NOTE:
        event->note.about = intern_text(cluster, event->note.about);
        event->note.detail = intern_text(cluster, event->note.detail);
        return;
    }
    assert(false);
}

static uint64_t mix_event(const struct event *event)
{
    uint64_t half = 0;
    memcpy(&half, event->hash.bytes, sizeof(half));
    uint64_t mixed = hash_mix_u64(half ^ (uint64_t)event->order_id);
    mixed = hash_mix_u64(mixed ^ (uint64_t)event->entity_id ^ (uint64_t)event->kind << 60);
    return hash_mix_u64(mixed ^ (uint64_t)event->published_us ^ (uint64_t)event->version_rank);
}

static void widen_interned(struct cluster *cluster)
{
    struct intern_entry **old = cluster->interned;
    size_t old_slots = cluster->interned_slots;
    cluster->interned_slots = old_slots == 0 ? 1024 : old_slots * 2;
    cluster->interned =
        pool_take(&cluster->pool, cluster->interned_slots * sizeof(cluster->interned[0]));
    for (size_t i = 0; i < old_slots; i++) {
        while (old[i] != NULL) {
            struct intern_entry *entry = old[i];
            old[i] = entry->next;
            size_t slot = (size_t)entry->mixed & (cluster->interned_slots - 1);
            entry->next = cluster->interned[slot];
            cluster->interned[slot] = entry;
        }
    }
    if (old != NULL) {
        pool_give(&cluster->pool, old, old_slots * sizeof(old[0]));
    }
}

static bool is_same_event(const struct event *a, const struct event *b)
{
    return a->order_id == b->order_id && a->published_us == b->published_us &&
           event_compare(a, b) == 0;
}

const struct event *intern_event(struct cluster *cluster, const struct event *event)
{
    if (cluster->interned_count >= cluster->interned_slots) {
        widen_interned(cluster);
    }
    uint64_t mixed = mix_event(event);
    size_t slot = (size_t)mixed & (cluster->interned_slots - 1);
    for (struct intern_entry *entry = cluster->interned[slot]; entry != NULL; entry = entry->next) {
        if (entry->mixed == mixed && is_same_event(&entry->event, event)) {
            return &entry->event;
        }
    }
    struct intern_entry *entry = pool_take(&cluster->pool, sizeof(*entry));
    *entry = (struct intern_entry){cluster->interned[slot], mixed, *event};
    entry->event.place = 0;
    copy_texts(cluster, &entry->event);
    cluster->interned[slot] = entry;
    cluster->interned_count++;
    return &entry->event;
}

const struct waiting_payment *intern_waiting(struct cluster *cluster,
                                             const struct waiting_payment *entry)
{
    struct waiting_payment *copy = pool_take(&cluster->pool, sizeof(*copy));
    *copy = *entry;
    copy->event_id = intern_text(cluster, entry->event_id);
    copy->message_id = intern_text(cluster, entry->message_id);
    copy->body = intern_text(cluster, entry->body);
    return copy;
}

const struct dead_letter_record *intern_letter(struct cluster *cluster,
                                               const struct dead_letter_record *record)
{
    struct dead_letter_record *copy = pool_take(&cluster->pool, sizeof(*copy));
    *copy = *record;
    copy->detail = intern_text(cluster, record->detail);
    copy->body = intern_text(cluster, record->body);
    copy->source_topic = intern_text(cluster, record->source_topic);
    copy->source_message_id = intern_text(cluster, record->source_message_id);
    copy->event_id = intern_text(cluster, record->event_id);
    return copy;
}
