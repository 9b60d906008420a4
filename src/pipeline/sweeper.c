// One bucket after another: close it, then for each entry note PARKED, read, and either project (the
// order is there) or publish the dead letter, await it, note DEAD and look once more.
#include "sweeper.h"

#include "failpoint.h"

#include <string.h>

#define SWEEPER_ARENA_SIZE (64u * 1024u * 1024u)
// An order lane that has not written its status for this long does not count as running.
#define LANE_FRESH_US (10 * US_PER_SECOND)

enum err sweeper_init(struct sweeper *sweeper, const struct matcher *matcher, struct log *log)
{
    memset(sweeper, 0, sizeof(*sweeper));
    sweeper->matcher = *matcher;
    sweeper->log = log;
    return arena_init(&sweeper->arena, SWEEPER_ARENA_SIZE);
}

void sweeper_deinit(struct sweeper *sweeper)
{
    arena_deinit(&sweeper->arena);
}

// A page of a bucket: entries, their notes, and the groups of the orders that they wait for.
struct page {
    struct sweeper *sweeper;
    struct waiting_payment *entries;
    size_t count;
    struct incoming *notes;
    struct store_group *groups; // entries of one order are neighbours
    size_t group_count;
    struct store_group **group_of; // by entry
    struct why *why;
};

static enum err no_memory(struct why *why)
{
    return why_set(why, ERR_NO_MEMORY, "waiting payments need more memory than their arena has");
}

// Fills note and group of each entry; notes of kind PARKED or DEAD for those that `wanted` names.
static enum err build_groups(struct page *page, enum note_kind kind, const bool *wanted)
{
    struct arena *arena = &page->sweeper->arena;
    int64_t now_us = clock_wall_us(&page->sweeper->matcher.clock);
    page->notes = ARENA_ARRAY(arena, struct incoming, page->count);
    page->groups = ARENA_ARRAY(arena, struct store_group, page->count);
    page->group_of = ARENA_ARRAY(arena, struct store_group *, page->count);
    struct incoming **pointers = ARENA_ARRAY(arena, struct incoming *, page->count);
    char *ids = ARENA_ARRAY(arena, char, page->count *EVENT_NOTE_ID_SIZE);
    if (arena_overflowed(arena)) {
        return no_memory(page->why);
    }
    page->group_count = 0;
    for (size_t i = 0; i < page->count; i++) {
        const struct waiting_payment *entry = &page->entries[i];
        struct store_group *group =
            page->group_count > 0 ? &page->groups[page->group_count - 1] : NULL;
        if (group == NULL || group->order_id != entry->order_id) {
            group = &page->groups[page->group_count++];
            group->order_id = entry->order_id;
            group->incoming = &pointers[i];
        }
        page->group_of[i] = group;
        if (wanted == NULL || wanted[i]) {
            struct note note = {kind, entry->event_id, entry->message_id};
            event_of_note(entry->order_id, entry->payment_id, &note, ids + i * EVENT_NOTE_ID_SIZE,
                          &page->notes[i].event);
            page->notes[i].event.published_us = now_us;
            group->incoming[group->incoming_count++] = &page->notes[i];
        }
    }
    return ERR_OK;
}

static enum err note_and_project(struct page *page)
{
    struct matcher *matcher = &page->sweeper->matcher;
    enum err err = store_begin(matcher->store, page->why);
    if (err != ERR_OK) {
        return err;
    }
    err = match_groups(matcher, page->groups, page->group_count, &page->sweeper->arena, page->why);
    if (err != ERR_OK) {
        store_rollback(matcher->store);
        return err;
    }
    return store_commit(matcher->store, page->why);
}

// The stored event that an entry speaks of; NULL when it is not there (then nothing is owed).
static const struct event *event_of_entry(const struct store_group *group,
                                          const struct waiting_payment *entry)
{
    for (size_t i = 0; i < group->row_count; i++) {
        const struct event *row = group->rows[i];
        if (row->kind == EVENT_PAYMENT && row->entity_id == entry->payment_id &&
            text_equal(row->event_id, entry->event_id)) {
            return row;
        }
    }
    return NULL;
}

static bool has_dead_note(const struct store_group *group, const struct waiting_payment *entry)
{
    for (size_t i = 0; i < group->row_count; i++) {
        const struct event *row = group->rows[i];
        bool dead = row->kind == EVENT_NOTE && row->entity_id == entry->payment_id &&
                    (row->note.kind == NOTE_DEAD || row->note.kind == NOTE_DISCARDED) &&
                    text_equal(row->note.about, entry->event_id);
        if (dead) {
            return true;
        }
    }
    return false;
}

// Publishes a dead letter for each entry of the page that is still without its order, and names those that
// are to be noted DEAD. A note that is there already may be one that its writer was never told of, on too few
// replicas to stay: where there are such, it is noted again before the bucket is done.
static enum err publish_unmatched(struct page *page, bool *dead, size_t *out_published,
                                  size_t *out_dead)
{
    bool notes_may_go = !page->sweeper->matcher.store->transactional;
    struct letters letters;
    letters_init(&letters, &page->sweeper->arena);
    *out_published = *out_dead = 0;
    for (size_t i = 0; i < page->count; i++) {
        const struct store_group *group = page->group_of[i];
        const struct event *event = event_of_entry(group, &page->entries[i]);
        bool unmatched = group->fact.order == NULL && event != NULL;
        bool noted = has_dead_note(group, &page->entries[i]);
        dead[i] = unmatched && (!noted || notes_may_go);
        *out_dead += dead[i];
        if (unmatched && !noted) {
            letters_add_unmatched(&letters, &page->entries[i], event);
            ++*out_published;
        }
    }
    return letters_publish(&letters, page->sweeper->matcher.bus, page->why);
}

static enum err sweep_page(struct page *page)
{
    bool *dead = ARENA_ARRAY(&page->sweeper->arena, bool, page->count);
    if (dead == NULL) {
        return no_memory(page->why);
    }
    enum err err = build_groups(page, NOTE_PARKED, NULL);
    if (err == ERR_OK) {
        err = note_and_project(page);
    }
    FAILPOINT("after_parked");
    size_t published_count = 0;
    size_t dead_count = 0;
    if (err == ERR_OK) {
        err = publish_unmatched(page, dead, &published_count, &dead_count);
    }
    FAILPOINT("after_dead_letters");
    if (err != ERR_OK || dead_count == 0) {
        return err;
    }
    err = build_groups(page, NOTE_DEAD, dead);
    if (err == ERR_OK) {
        err = note_and_project(page); // inserts, reads once more after DEAD, projects
    }
    if (err == ERR_OK) {
        atomic_fetch_add(&page->sweeper->unmatched, published_count);
    }
    return err;
}

// A page that does not fit into the arena is read again with half as many entries.
static enum err sweep_pages(struct sweeper *sweeper, struct waiting_bucket bucket, struct why *why)
{
    struct store *store = sweeper->matcher.store;
    struct waiting_payment last = {0};
    char last_event_id[PAYMENT_EVENT_ID_SIZE_MAX];
    size_t page_max = SWEEPER_PAGE_MAX;
    bool started = false;
    for (;;) {
        arena_reset(&sweeper->arena);
        struct page page = {.sweeper = sweeper, .why = why};
        enum err err = store_read_bucket(store, bucket, started ? &last : NULL, page_max,
                                         &sweeper->arena, &page.entries, &page.count, why);
        if (err == ERR_OK && page.count == 0) {
            return ERR_OK;
        }
        if (err == ERR_OK) {
            err = sweep_page(&page);
        }
        if (err == ERR_NO_MEMORY && arena_overflowed(&sweeper->arena) && page_max > 1) {
            page_max /= 2;
            continue;
        }
        if (err != ERR_OK) {
            return err;
        }
        last = page.entries[page.count - 1];
        memcpy(last_event_id, last.event_id.data, last.event_id.size);
        last.event_id.data = last_event_id;
        started = true;
    }
}

static enum err in_transaction(struct sweeper *sweeper, struct waiting_bucket bucket,
                               enum err (*change)(struct store *, struct waiting_bucket,
                                                  struct why *),
                               struct why *why)
{
    struct store *store = sweeper->matcher.store;
    enum err err = store_begin(store, why);
    if (err != ERR_OK) {
        return err;
    }
    err = change(store, bucket, why);
    if (err != ERR_OK) {
        store_rollback(store);
        return err;
    }
    return store_commit(store, why);
}

static enum err sweep_bucket(struct sweeper *sweeper, struct waiting_bucket bucket, struct why *why)
{
    enum err err = in_transaction(sweeper, bucket, store_close_bucket, why);
    if (err == ERR_OK) {
        err = sweep_pages(sweeper, bucket, why);
    }
    return err == ERR_OK ? in_transaction(sweeper, bucket, store_finish_bucket, why) : err;
}

// Whether the order lanes have passed the publish times of the bucket's payments. This only keeps
// noise out of the dead letters; no pair depends on it.
static enum err must_hold(struct sweeper *sweeper, struct waiting_bucket bucket, int64_t now_us,
                          bool *out_hold, struct why *why)
{
    const struct pipeline_rules *rules = sweeper->matcher.rules;
    *out_hold = false;
    if (now_us >= bucket.due_us + rules->max_hold_us) {
        return ERR_OK;
    }
    size_t lanes = 0;
    int64_t watermark_us = 0;
    int64_t since_us = rules->lanes_rest ? 0 : now_us - LANE_FRESH_US;
    enum err err =
        store_read_lane_status(sweeper->matcher.store, since_us, &lanes, &watermark_us, why);
    *out_hold = lanes == 0 || watermark_us < bucket.due_us - rules->grace_us;
    return err;
}

enum err sweeper_step(struct sweeper *sweeper, int64_t now_us, bool final, bool *out_done,
                      struct why *why)
{
    arena_reset(&sweeper->arena);
    struct arena list = {0};
    enum err err = arena_init(&list, SWEEPER_BUCKETS_MAX * sizeof(struct waiting_bucket) + 64);
    struct waiting_bucket *buckets = NULL;
    size_t count = 0;
    *out_done = true;
    if (err != ERR_OK) {
        (void)why_set(why, err, "no memory for the list of due buckets");
    } else {
        err = store_due_buckets(sweeper->matcher.store, final ? INT64_MAX : now_us,
                                SWEEPER_BUCKETS_MAX, &list, &buckets, &count, why);
    }
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        bool hold = false;
        if (!final) {
            err = must_hold(sweeper, buckets[i], now_us, &hold, why);
        }
        if (err == ERR_OK && hold) {
            break; // later buckets would be held too
        }
        if (err == ERR_OK) {
            err = sweep_bucket(sweeper, buckets[i], why);
        }
        *out_done = err == ERR_OK && (i + 1 < count || count < SWEEPER_BUCKETS_MAX);
    }
    arena_deinit(&list);
    return err;
}
