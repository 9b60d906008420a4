// Lanes: a hash table of ordering keys, each lane's queue, and the list of lanes that may send.
#include "publisher.h"

#include "hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_FIRST 16u

// FNV-1a, mixed: keys come from our own producers.
static uint64_t hash_of(struct text key)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < key.size; i++) {
        hash = (hash ^ (unsigned char)key.data[i]) * UINT64_C(1099511628211);
    }
    return hash_mix_u64(hash);
}

static struct publish_lane **bucket_of(const struct pubsub_publisher *publisher, struct text key)
{
    return &publisher->buckets[hash_of(key) & (publisher->bucket_count - 1)];
}

struct publish_lane *publish_lane_find(struct pubsub_publisher *publisher, struct text key)
{
    if (key.size == 0) {
        return &publisher->plain;
    }
    struct publish_lane *lane = publisher->bucket_count > 0 ? *bucket_of(publisher, key) : NULL;
    while (lane != NULL && !text_equal(lane->key, key)) {
        lane = lane->next_in_bucket;
    }
    return lane;
}

static bool grow(struct pubsub_publisher *publisher)
{
    size_t old_count = publisher->bucket_count;
    struct publish_lane **old = publisher->buckets;
    size_t count = old_count == 0 ? BUCKETS_FIRST : old_count * 2;
    struct publish_lane **buckets = calloc(count, sizeof(buckets[0]));
    if (buckets == NULL) {
        return false;
    }
    publisher->buckets = buckets;
    publisher->bucket_count = count;
    for (size_t i = 0; i < old_count; i++) {
        while (old[i] != NULL) {
            struct publish_lane *lane = old[i];
            old[i] = lane->next_in_bucket;
            struct publish_lane **bucket = bucket_of(publisher, lane->key);
            lane->next_in_bucket = *bucket;
            *bucket = lane;
        }
    }
    free(old);
    return true;
}

struct publish_lane *publish_lane_make(struct pubsub_publisher *publisher, struct text key)
{
    struct publish_lane *lane = publish_lane_find(publisher, key);
    if (lane != NULL) {
        return lane;
    }
    if (publisher->lane_count >= publisher->bucket_count && !grow(publisher)) {
        return NULL;
    }
    lane = calloc(1, sizeof(*lane));
    char *copy = malloc(key.size);
    if (lane == NULL || copy == NULL) {
        free(lane);
        free(copy);
        return NULL;
    }
    memcpy(copy, key.data, key.size);
    lane->key = (struct text){copy, key.size};
    struct publish_lane **bucket = bucket_of(publisher, key);
    lane->next_in_bucket = *bucket;
    *bucket = lane;
    publisher->lane_count++;
    return lane;
}

static void free_lane(struct publish_lane *lane)
{
    free((void *)(uintptr_t)lane->key.data);
    free(lane);
}

void publish_lane_drop_if_idle(struct pubsub_publisher *publisher, struct publish_lane *lane)
{
    if (lane->key.size == 0 || lane->open != NULL || lane->first != NULL || lane->in_flight > 0 ||
        lane->paused || lane->listed) {
        return;
    }
    struct publish_lane **link = bucket_of(publisher, lane->key);
    while (*link != lane) {
        link = &(*link)->next_in_bucket;
    }
    *link = lane->next_in_bucket;
    publisher->lane_count--;
    free_lane(lane);
}

void publish_lanes_deinit(struct pubsub_publisher *publisher)
{
    for (size_t i = 0; i < publisher->bucket_count; i++) {
        while (publisher->buckets[i] != NULL) {
            struct publish_lane *lane = publisher->buckets[i];
            publisher->buckets[i] = lane->next_in_bucket;
            free_lane(lane);
        }
    }
    free(publisher->buckets);
    publisher->buckets = NULL;
    publisher->bucket_count = publisher->lane_count = 0;
}

void publish_lane_push(struct publish_lane *lane, struct publish_batch *batch)
{
    batch->next = NULL;
    if (lane->last != NULL) {
        lane->last->next = batch;
    } else {
        lane->first = batch;
    }
    lane->last = batch;
}

struct publish_batch *publish_lane_pop(struct publish_lane *lane)
{
    struct publish_batch *batch = lane->first;
    if (batch != NULL) {
        lane->first = batch->next;
        batch->next = NULL;
        if (lane->first == NULL) {
            lane->last = NULL;
        }
    }
    return batch;
}

bool publish_lane_may_send(const struct publish_lane *lane)
{
    bool one_at_a_time = lane->key.size > 0;
    return lane->first != NULL && !(one_at_a_time && lane->in_flight > 0);
}

void publish_lane_list(struct pubsub_publisher *publisher, struct publish_lane *lane)
{
    if (lane->listed || !publish_lane_may_send(lane)) {
        return;
    }
    lane->listed = true;
    lane->next_listed = NULL;
    if (publisher->listed_last != NULL) {
        publisher->listed_last->next_listed = lane;
    } else {
        publisher->listed_first = lane;
    }
    publisher->listed_last = lane;
}

struct publish_lane *publish_lane_unlist_first(struct pubsub_publisher *publisher)
{
    struct publish_lane *lane = publisher->listed_first;
    if (lane != NULL) {
        assert(lane->listed);
        publisher->listed_first = lane->next_listed;
        if (publisher->listed_first == NULL) {
            publisher->listed_last = NULL;
        }
        lane->listed = false;
        lane->next_listed = NULL;
    }
    return lane;
}
