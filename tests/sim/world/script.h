// What producers say in a world: messages in the order in which they want to publish them, from the
// generator (then with its answer key) or written by hand, and sources that give them to publishers.
#ifndef TILL_SIM_SCRIPT_H
#define TILL_SIM_SCRIPT_H

#include "event_bag.h"
#include "generator.h"
#include "sim.h"
#include "source.h"

struct script_line {
    enum bus_topic topic;
    struct text body;
    bool has_fate;
    enum generated_fate fate;
    enum reason reason;
};

struct script {
    struct sim *sim; // its memory
    struct script_line *lines;
    size_t count;
    size_t cap;
};

void script_init(struct script *script, struct sim *sim);
void script_deinit(struct script *script);
void script_add_generated(struct script *script, const struct generator_options *options);
void script_add_bag(struct script *script, const struct bag *bag); // copies it
void script_shuffle(struct script *script, size_t distance);       // each at most so far, about
// What the generator says of a message of these bytes; false: it said nothing.
bool script_fate(const struct script *script, enum bus_topic topic, struct text body,
                 enum generated_fate *out_fate, enum reason *out_reason);
// Call once all lines are there, before script_fate.
void script_index(struct script *script);

// A source of every line whose number is `part` modulo `parts`, of one topic or of both
// (BUS_TOPIC_COUNT). On the heap until it is closed.
struct source *script_source(const struct script *script, size_t part, size_t parts,
                             enum bus_topic topic);

#endif
