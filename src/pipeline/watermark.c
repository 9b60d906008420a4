// From pulls to how far the orders are.
#include "watermark.h"

static int64_t earlier(int64_t a_us, int64_t b_us)
{
    return a_us < b_us ? a_us : b_us;
}

void watermark_watch(struct watermark *watermark, const struct batch *batch)
{
    if (!batch->orders_pulled) {
        return;
    }
    if (watermark->since_us == 0) {
        watermark->since_us = watermark->oldest_us = batch->pulled_us;
    }
    for (size_t i = 0; i < batch->order_count; i++) {
        watermark->oldest_us = earlier(watermark->oldest_us, batch->items[i].message->published_us);
    }
}

// Messages in no order: neither the newest one nor an empty pull tells what is still to come. The oldest
// one of a while does: while a backlog is worked off there are old ones among those that come. It rises as
// well on a subscription that is never empty. 0 until the while has passed.
static int64_t oldest_of_a_while(struct watermark *watermark, const struct batch *batch,
                                 int64_t quiet_us)
{
    if (batch->pulled_us - watermark->since_us < quiet_us) {
        return 0;
    }
    int64_t reached_us = watermark->oldest_us;
    watermark->since_us = watermark->oldest_us = batch->pulled_us;
    return reached_us;
}

// An orders subscription that was empty when it was asked had given out everything published before.
static int64_t newest_order(const struct batch *batch)
{
    int64_t reached_us = batch->order_count == 0 ? batch->pulled_us : 0;
    for (size_t i = 0; i < batch->order_count; i++) {
        int64_t published_us = batch->items[i].message->published_us;
        reached_us = published_us > reached_us ? published_us : reached_us;
    }
    return reached_us;
}

void watermark_raise(struct watermark *watermark, const struct batch *batch, int64_t quiet_us)
{
    if (!batch->orders_pulled) {
        return;
    }
    int64_t reached_us =
        quiet_us > 0 ? oldest_of_a_while(watermark, batch, quiet_us) : newest_order(batch);
    watermark->reached_us = reached_us > watermark->reached_us ? reached_us : watermark->reached_us;
}
