// Three fields side by side in one number, the greatest first.
#include "projection.h"

#include <assert.h>

int64_t projection_timestamp(uint32_t fold_epoch, uint32_t n_rows, const struct hash *set_hash)
{
    assert(fold_epoch <= PROJECTION_FOLD_EPOCH_MAX);
    int64_t rows = n_rows <= PROJECTION_ROWS_MAX ? n_rows : PROJECTION_ROWS_MAX;
    int64_t tie =
        (int64_t)set_hash->bytes[HASH_SIZE - 2] << 8 | (int64_t)set_hash->bytes[HASH_SIZE - 1];
    return PROJECTION_TIMESTAMP_BASE + ((int64_t)fold_epoch << 32) + (rows << 16) + tie;
}
