// What the tables show that must not depend on the history: the order and number of deliveries, the
// cuts into batches, the deaths in between.
#ifndef TILL_PICTURE_H
#define TILL_PICTURE_H

#include "rig.h"

#define PICTURE_PARTS 5

struct picture {
    char *parts[PICTURE_PARTS];
};

void picture_take(struct rig *rig, struct picture *out);
void picture_deinit(struct picture *picture);
void picture_assert_same(const struct picture *picture, const struct picture *expected);

#endif
