// Each body lies in memory of its own, so that reading past its end is found.
#include "message_set.h"

#include "must.h"

#include <stdio.h>
#include <stdlib.h>

// Dense enough that each kind of message is in hand at some of the deaths.
static const struct generator_options shares = {
    .late_ppm = 50000,
    .early_ppm = 100000,
    .duplicate_ppm = 30000,
    .orphan_ppm = 30000,
    .conflict_ppm = 20000,
    .corrupt_ppm = 30000,
    .partial_ppm = 30000,
    .overpay_ppm = 10000,
    .refund_ppm = 50000,
    .chargeback_ppm = 20000,
    .failed_retry_ppm = 30000,
    .wrong_currency_ppm = 10000,
    .update_ppm = 50000,
};

static void keep(struct message_set *set, const struct generated *generated)
{
    if (set->count == set->cap) {
        set->cap = set->cap == 0 ? 1024 : set->cap * 2;
        set->items = reallocarray(set->items, set->cap, sizeof(set->items[0]));
        must(set->items != NULL, "memory for messages");
    }
    char *body = malloc(generated->body.size);
    must(body != NULL, "memory for a message");
    memcpy(body, generated->body.data, generated->body.size);
    set->items[set->count++] =
        (struct kept_message){generated->topic, generated->fate, {body, generated->body.size}};
}

void message_set_make(struct message_set *set, uint64_t seed, uint64_t pairs)
{
    struct generator_options options = shares;
    struct generator *generator = NULL;
    struct generated generated;
    struct why why = {0};
    options.seed = seed;
    options.pairs = pairs;
    options.random_order_ids = seed % 2 == 1;
    *set = (struct message_set){0};
    if (generator_create(&options, &generator, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    while (generator_next(generator, &generated)) {
        keep(set, &generated);
    }
    generator_destroy(&generator);
}

void message_set_free(struct message_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        free((void *)(uintptr_t)set->items[i].body.data); // ours since keep()
    }
    free(set->items);
    *set = (struct message_set){0};
}

size_t message_set_count(const struct message_set *set, enum bus_topic topic)
{
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++) {
        count += set->items[i].topic == topic;
    }
    return count;
}

size_t message_set_count_fate(const struct message_set *set, enum bus_topic topic,
                              enum generated_fate fate)
{
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++) {
        count += set->items[i].topic == topic && set->items[i].fate == fate;
    }
    return count;
}

void message_set_write(const struct message_set *set, enum bus_topic topic, const char *path)
{
    FILE *file = fopen(path, "we");
    must(file != NULL, path);
    for (size_t i = 0; i < set->count; i++) {
        const struct kept_message *message = &set->items[i];
        if (message->topic == topic) {
            must(fwrite(message->body.data, message->body.size, 1, file) == 1, path);
            must(fputc('\n', file) == '\n', path);
        }
    }
    must(fclose(file) == 0, path);
}
