// What producers say in the scenarios that have a story of their own. Each fills a script; `plan` is unused
// by most, as the type of a scenario's `write` has it.
#ifndef TILL_SIM_STORIES_H
#define TILL_SIM_STORIES_H

#include "world.h"

// Few ids, every kind of message, and bodies that nobody can read.
void story_random_messages(struct script *script, const struct plan *plan);
// Two producers that contradict each other about the same payments and versions.
void story_conflicts(struct script *script, const struct plan *plan);
// Orders are cancelled and opened again by later versions, which may come first.
void story_reopened(struct script *script, const struct plan *plan);
// A payment, its order while sweepers are at it, and some time later one payment more.
void story_late_payments(struct script *script, const struct plan *plan);
// Orders that state no version, said again with the same content and with other content.
void story_repeated_orders(struct script *script, const struct plan *plan);
// One order with more versions than an order takes, and one with more payment events.
void story_hot_orders(struct script *script, const struct plan *plan);

#endif
