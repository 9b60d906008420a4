// Time is counted in slots, one an order: slot n holds the messages that come between order n - 1 and
// order n. Messages that wait for their slot are in a wheel: a ring of lists, one a slot, which is
// wide enough that no message is ever due a whole turn ahead. An entry names the message only; its
// content is made anew from the pair's number when it comes (generator_pair.h).
//
// A pair is put on the wheel when its order comes. Early payments have to be on it before, so every
// pair is also looked at GENERATOR_LEAD_MAX orders ahead, in runs that have early payments.
#include "generator.h"

#include "generator_content.h"
#include "generator_pair.h"
#include "generator_text.h"

#include <assert.h>
#include <stdlib.h>

#define WHEEL_SLOTS 32768u // a power of two
#define NO_ENTRY    0u

// How long a message can wait, in slots: the last one of a late payment's story.
#define WAIT_MAX (1 + GENERATOR_LATE_MAX + 2 * GENERATOR_FOLLOW_UP_MAX + GENERATOR_COPY_DELAY_MAX)

_Static_assert(WAIT_MAX < WHEEL_SLOTS, "two slots never share a list");
_Static_assert((WAIT_MAX + GENERATOR_LEAD_MAX) * PAIR_ITEMS_MAX <= GENERATOR_PENDING_MAX,
               "room for every message of every pair that may have one waiting");

struct wheel_entry {
    uint64_t index; // of the pair
    uint32_t next;
    uint8_t part;
    bool is_copy;
    bool respelled;
};

// Entries are numbered from 1; NO_ENTRY ends a list. Those never used stay untouched memory.
struct wheel {
    uint32_t heads[WHEEL_SLOTS];
    uint32_t free_head;
    uint32_t used_count;
    uint32_t pending_count;
    struct wheel_entry entries[GENERATOR_PENDING_MAX + 1];
};

struct generator {
    struct source source; // first
    struct pair_rules rules;
    uint64_t slot; // the one being emptied; also the number of the next order
    char body[GENERATOR_MESSAGE_SIZE_MAX];
    char edited[GENERATOR_MESSAGE_SIZE_MAX];
    struct wheel wheel;
};

static void wheel_push(struct wheel *wheel, uint64_t index, const struct pair_item *item)
{
    uint32_t number = wheel->free_head;
    if (number != NO_ENTRY) {
        wheel->free_head = wheel->entries[number].next;
    } else {
        assert(wheel->used_count < GENERATOR_PENDING_MAX);
        number = ++wheel->used_count;
    }
    uint32_t *head = &wheel->heads[item->slot % WHEEL_SLOTS];
    wheel->entries[number] = (struct wheel_entry){
        .index = index,
        .next = *head,
        .part = (uint8_t)item->part,
        .is_copy = item->is_copy,
        .respelled = item->respelled,
    };
    *head = number;
    wheel->pending_count++;
}

// false when the slot is empty.
static bool wheel_pop(struct wheel *wheel, uint64_t slot, uint64_t *out_index,
                      struct pair_item *out_item)
{
    uint32_t *head = &wheel->heads[slot % WHEEL_SLOTS];
    uint32_t number = *head;
    if (number == NO_ENTRY) {
        return false;
    }
    struct wheel_entry *entry = &wheel->entries[number];
    *out_index = entry->index;
    *out_item = (struct pair_item){
        .slot = slot,
        .part = (enum pair_part)entry->part,
        .is_copy = entry->is_copy,
        .respelled = entry->respelled,
    };
    *head = entry->next;
    entry->next = wheel->free_head;
    wheel->free_head = number;
    wheel->pending_count--;
    return true;
}

static void schedule(struct generator *generator, const struct pair *pair, bool ahead_of_order)
{
    struct pair_item items[PAIR_ITEMS_MAX];
    size_t count = pair_schedule(&generator->rules, pair, items);
    for (size_t i = 0; i < count; i++) {
        if ((items[i].slot <= pair->index) == ahead_of_order) {
            assert(items[i].slot >= generator->slot);
            wheel_push(&generator->wheel, pair->index, &items[i]);
        }
    }
}

static void look_ahead(struct generator *generator, uint64_t index)
{
    if (index < generator->rules.options.pairs) {
        struct pair pair;
        pair_init(&generator->rules, index, &pair);
        schedule(generator, &pair, true);
    }
}

static bool has_early(const struct generator *generator)
{
    return generator->rules.options.early_ppm > 0;
}

static struct text write_body(struct generator *generator, const struct pair *pair,
                              enum pair_part part)
{
    struct content_space space;
    struct pen pen;
    pen_init(&pen, generator->body, sizeof(generator->body));
    if (part == PART_ORDER || part == PART_ORDER_SECOND) {
        struct order order;
        content_order(&generator->rules, pair, part, &space, &order);
        pen_order(&pen, &order);
    } else {
        struct payment payment;
        content_payment(&generator->rules, pair, part, &space, &payment);
        pen_payment(&pen, &payment);
    }
    return pen_view(&pen);
}

static void spoil(struct generator *generator, const struct spoil *how,
                  struct generated *out_generated)
{
    struct buf edited;
    buf_init_fixed(&edited, generator->edited, sizeof(generator->edited));
    spoil_apply(how, out_generated->body, &edited);
    out_generated->body = buf_view(&edited);
    if (how->edit == SPOIL_TOPIC) {
        out_generated->topic = out_generated->topic == BUS_ORDERS ? BUS_PAYMENTS : BUS_ORDERS;
    }
}

static void respell(struct generator *generator, struct generated *out_generated)
{
    struct buf edited;
    buf_init_fixed(&edited, generator->edited, sizeof(generator->edited));
    spoil_respell(out_generated->body, &edited);
    out_generated->body = buf_view(&edited);
}

static void generate(struct generator *generator, const struct pair *pair,
                     const struct pair_item *item, struct generated *out_generated)
{
    bool is_order = item->part == PART_ORDER || item->part == PART_ORDER_SECOND;
    *out_generated = (struct generated){
        .topic = is_order ? BUS_ORDERS : BUS_PAYMENTS,
        .body = write_body(generator, pair, item->part),
        .story = pair->story,
        .pair = pair->index,
    };
    pair_judge(&generator->rules, pair, item, out_generated);
    if (out_generated->fate == GENERATED_REFUSED) {
        spoil(generator, pair->spoil, out_generated);
    } else if (item->respelled) {
        respell(generator, out_generated);
    }
}

static void next_order(struct generator *generator, struct generated *out_generated)
{
    struct pair pair;
    pair_init(&generator->rules, generator->slot, &pair);
    generator->slot++;
    schedule(generator, &pair, false);
    if (has_early(generator)) {
        look_ahead(generator, pair.index + GENERATOR_LEAD_MAX);
    }
    struct pair_item item = {.slot = pair.index, .part = PART_ORDER};
    generate(generator, &pair, &item, out_generated);
}

bool generator_next(struct generator *generator, struct generated *out_generated)
{
    uint64_t index;
    struct pair_item item;
    while (!wheel_pop(&generator->wheel, generator->slot, &index, &item)) {
        if (generator->slot < generator->rules.options.pairs) {
            next_order(generator, out_generated);
            return true;
        }
        if (generator->wheel.pending_count == 0) {
            return false;
        }
        generator->slot++;
    }
    struct pair pair;
    pair_init(&generator->rules, index, &pair);
    generate(generator, &pair, &item, out_generated);
    return true;
}

static enum source_status source_next(struct source *source, struct source_message *out_message,
                                      struct why *why)
{
    (void)why;
    struct generated generated;
    if (!generator_next((struct generator *)source, &generated)) {
        return SOURCE_END;
    }
    *out_message = (struct source_message){.topic = generated.topic, .body = generated.body};
    return SOURCE_READY;
}

static int source_poll_fd(struct source *source)
{
    (void)source;
    return -1;
}

static void source_close(struct source *source)
{
    struct generator *generator = (struct generator *)source;
    generator_destroy(&generator);
}

enum err generator_create(const struct generator_options *options, struct generator **out_generator,
                          struct why *why)
{
    struct pair_rules rules;
    enum err err = pair_rules_init(&rules, options, why);
    if (err != ERR_OK) {
        return err;
    }
    struct generator *generator = calloc(1, sizeof(*generator));
    if (generator == NULL) {
        return why_set(why, ERR_NO_MEMORY, "no memory for a generator");
    }
    generator->source = (struct source){source_next, source_poll_fd, source_close};
    generator->rules = rules;
    for (uint64_t index = 0; has_early(generator) && index < GENERATOR_LEAD_MAX; index++) {
        look_ahead(generator, index);
    }
    *out_generator = generator;
    return ERR_OK;
}

void generator_destroy(struct generator **generator)
{
    if (generator != NULL) {
        free(*generator);
        *generator = NULL;
    }
}

struct source *generator_source(struct generator *generator)
{
    return &generator->source;
}
