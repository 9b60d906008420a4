// Conversions, and lists that come in pages.
#include "admin_convert.h"

#include "admin.pb-c.h"

#include <string.h>

#define PAGE_SIZE 1000

char *admin_name(const struct resource *resource, char out[NAME_SIZE_MAX + 1])
{
    memcpy(out, resource->name, resource->name_size);
    out[resource->name_size] = '\0';
    return out;
}

Till__Pubsub__Label **admin_labels(struct arena *arena, struct attributes labels, size_t *out_count)
{
    if (labels.count == 0) {
        *out_count = 0;
        return NULL;
    }
    Till__Pubsub__Label **list = ARENA_ARRAY(arena, Till__Pubsub__Label *, labels.count);
    for (size_t i = 0; i < labels.count && list != NULL; i++) {
        list[i] = ARENA_NEW(arena, Till__Pubsub__Label);
        if (list[i] == NULL) {
            break;
        }
        till__pubsub__label__init(list[i]);
        list[i]->key = admin_string(arena, labels.items[i].key);
        list[i]->value = admin_string(arena, labels.items[i].value);
    }
    *out_count = labels.count;
    return list;
}

struct attributes admin_attributes(struct arena *arena, Till__Pubsub__Label **labels, size_t count)
{
    struct attribute *items = count > 0 ? ARENA_ARRAY(arena, struct attribute, count) : NULL;
    if (items == NULL) {
        return (struct attributes){0};
    }
    for (size_t i = 0; i < count; i++) {
        items[i] = (struct attribute){admin_text(arena, labels[i]->key),
                                      admin_text(arena, labels[i]->value)};
    }
    return (struct attributes){items, count};
}

Till__Pubsub__Duration *admin_duration(struct arena *arena, int64_t us)
{
    Till__Pubsub__Duration *duration = us != 0 ? ARENA_NEW(arena, Till__Pubsub__Duration) : NULL;
    if (duration != NULL) {
        till__pubsub__duration__init(duration);
        duration->seconds = us / US_PER_SECOND;
        duration->nanos = (int32_t)(us % US_PER_SECOND) * 1000;
    }
    return duration;
}

int64_t admin_us(const Till__Pubsub__Duration *duration)
{
    return duration != NULL ? duration->seconds * US_PER_SECOND + duration->nanos / 1000 : 0;
}

enum err admin_list_all(struct pubsub *client, enum rpc_method method, admin_take_page *take,
                        struct arena *arena, struct text **out_names, size_t *out_count,
                        struct why *why)
{
    struct resource project;
    struct arena scratch = {0};
    struct admin_list list = {.arena = arena};
    char name[NAME_SIZE_MAX + 1];
    char no_token[] = "";
    char *token = no_token;
    enum err err = admin_project(client, &project, why);
    if (err == ERR_OK) {
        err = admin_scratch(&scratch, why);
    }
    for (bool more = true; err == ERR_OK && more; more = token != NULL && token[0] != '\0') {
        Till__Pubsub__ListRequest request;
        till__pubsub__list_request__init(&request);
        struct payload *response = NULL;
        request.project = admin_name(&project, name);
        request.page_size = PAGE_SIZE;
        request.page_token = token;
        err = admin_call(client, method, &request.base, resource_routing(&project), &response, why);
        if (err == ERR_OK) {
            err = take(&list, &scratch, response, &token, why);
            payload_release(&response);
        }
    }
    arena_deinit(&scratch);
    if (err == ERR_OK) {
        *out_names = list.names;
        *out_count = list.count;
    }
    return err;
}
