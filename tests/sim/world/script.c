// Messages in memory, and sources over them.
#include "script.h"

#include "hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void script_init(struct script *script, struct sim *sim)
{
    *script = (struct script){.sim = sim};
}

void script_deinit(struct script *script)
{
    free(script->lines);
    *script = (struct script){0};
}

static struct script_line *add(struct script *script, enum bus_topic topic, struct text body)
{
    if (script->count == script->cap) {
        script->cap = script->cap == 0 ? 1024 : script->cap * 2;
        script->lines = realloc(script->lines, script->cap * sizeof(script->lines[0]));
        if (script->lines == NULL) {
            abort();
        }
    }
    char *copy = sim_alloc(script->sim, body.size + 1);
    memcpy(copy, body.data, body.size);
    struct script_line *line = &script->lines[script->count++];
    *line = (struct script_line){.topic = topic, .body = {copy, body.size}};
    return line;
}

void script_add_generated(struct script *script, const struct generator_options *options)
{
    struct why why = {0};
    struct generator *generator = NULL;
    enum err err = generator_create(options, &generator, &why);
    assert(err == ERR_OK);
    struct generated generated;
    while (generator_next(generator, &generated)) {
        struct script_line *line = add(script, generated.topic, generated.body);
        line->has_fate = true;
        line->fate = generated.fate;
        line->reason = generated.reason;
    }
    generator_destroy(&generator);
}

void script_add_bag(struct script *script, const struct bag *bag)
{
    for (size_t i = 0; i < bag->count; i++) {
        (void)add(script, bag->items[i].topic, bag->items[i].body);
    }
}

void script_shuffle(struct script *script, size_t distance)
{
    struct rand *rand = sim_rand(script->sim);
    for (size_t i = 0; i + 1 < script->count; i++) {
        size_t reach = script->count - i < distance ? script->count - i : distance;
        size_t other = i + (size_t)rand_below(rand, reach);
        struct script_line line = script->lines[i];
        script->lines[i] = script->lines[other];
        script->lines[other] = line;
    }
}

// --- the answer key -----------------------------------------------------------------------------

// A message that came twice has the fate of its first effect: the copy's is DUPLICATE.
static int compare_lines(const void *a, const void *b)
{
    const struct script_line *one = a;
    const struct script_line *other = b;
    if (one->topic != other->topic) {
        return one->topic < other->topic ? -1 : 1;
    }
    size_t size = one->body.size < other->body.size ? one->body.size : other->body.size;
    int order = memcmp(one->body.data, other->body.data, size);
    if (order == 0 && one->body.size != other->body.size) {
        order = one->body.size < other->body.size ? -1 : 1;
    }
    return order;
}

static int compare_with_fate(const void *a, const void *b)
{
    const struct script_line *one = a;
    const struct script_line *other = b;
    int order = compare_lines(a, b);
    if (order == 0) {
        bool first = one->fate == GENERATED_DUPLICATE;
        bool second = other->fate == GENERATED_DUPLICATE;
        order = (int)first - (int)second;
    }
    return order;
}

void script_index(struct script *script)
{
    qsort(script->lines, script->count, sizeof(script->lines[0]), compare_with_fate);
}

bool script_fate(const struct script *script, enum bus_topic topic, struct text body,
                 enum generated_fate *out_fate, enum reason *out_reason)
{
    struct script_line key = {.topic = topic, .body = body};
    size_t low = 0;
    size_t high = script->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_lines(&script->lines[middle], &key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == script->count || compare_lines(&script->lines[low], &key) != 0 ||
        !script->lines[low].has_fate) {
        return false;
    }
    *out_fate = script->lines[low].fate;
    *out_reason = script->lines[low].reason;
    return true;
}

// --- sources ------------------------------------------------------------------------------------

struct script_source {
    struct source source;
    const struct script *script;
    size_t next;
    size_t parts;
    enum bus_topic topic;
};

static enum source_status next(struct source *base, struct source_message *out_message,
                               struct why *why)
{
    (void)why;
    struct script_source *source = (struct script_source *)base;
    while (source->next < source->script->count) {
        const struct script_line *line = &source->script->lines[source->next];
        source->next += source->parts;
        if (source->topic == BUS_TOPIC_COUNT || source->topic == line->topic) {
            *out_message = (struct source_message){line->topic, line->body};
            return SOURCE_READY;
        }
    }
    return SOURCE_END;
}

static int poll_fd(struct source *base)
{
    (void)base;
    return -1;
}

static void close_source(struct source *base)
{
    free(base);
}

struct source *script_source(const struct script *script, size_t part, size_t parts,
                             enum bus_topic topic)
{
    struct script_source *source = calloc(1, sizeof(*source));
    if (source == NULL) {
        abort();
    }
    source->source = (struct source){next, poll_fd, close_source};
    source->script = script;
    source->next = part;
    source->parts = parts;
    source->topic = topic;
    return &source->source;
}
