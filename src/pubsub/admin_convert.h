// Settings as protobuf-c has them, and back.
#ifndef TILL_ADMIN_CONVERT_H
#define TILL_ADMIN_CONVERT_H

#include "admin_call.h"

// Generated from proto/admin.proto; named here so that this header needs nothing generated.
typedef struct Till__Pubsub__Label Till__Pubsub__Label;
typedef struct Till__Pubsub__Duration Till__Pubsub__Duration;

char *admin_name(const struct resource *resource, char out[NAME_SIZE_MAX + 1]);
Till__Pubsub__Label **admin_labels(struct arena *arena, struct attributes labels,
                                   size_t *out_count);
struct attributes admin_attributes(struct arena *arena, Till__Pubsub__Label **labels, size_t count);
Till__Pubsub__Duration *admin_duration(struct arena *arena, int64_t us); // NULL for 0
int64_t admin_us(const Till__Pubsub__Duration *duration);                // 0 for NULL

typedef enum err admin_take_page(struct admin_list *list, struct arena *scratch,
                                 struct payload *response, char **token, struct why *why);
// Calls `method` page by page; `take` adds a page's names and leaves the next one's token in the scratch.
MUST_USE enum err admin_list_all(struct pubsub *client, enum rpc_method method,
                                 admin_take_page *take, struct arena *arena,
                                 struct text **out_names, size_t *out_count, struct why *why);

#endif
