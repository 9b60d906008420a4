#include "fake_admin.h"

#include "fake_service.h"
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

static struct fake_thing *find_thing(struct fake_admin *service, struct text name)
{
    for (size_t i = 0; i < service->count; i++) {
        if (text_equal(text_of(service->things[i].name), name)) {
            return &service->things[i];
        }
    }
    return NULL;
}

static void keep(struct fake_admin *service, struct text name, struct text body)
{
    struct fake_thing *thing = find_thing(service, name);
    if (thing == NULL) {
        assert_true(service->count < FAKE_ADMIN_THINGS_MAX && name.size < sizeof(thing->name));
        thing = &service->things[service->count++];
        memcpy(thing->name, name.data, name.size);
        thing->name[name.size] = '\0';
    }
    payload_release(&thing->body);
    thing->body = payload_copy(body);
}

static int create_thing(struct fake_admin *service, const struct payload *request)
{
    struct text name = stream_text(request, 1);
    bool is_there = find_thing(service, name) != NULL;
    if (!is_there) {
        keep(service, name, request->bytes);
        service->created++;
    }
    return is_there || service->races ? RPC_ALREADY_EXISTS : RPC_OK;
}

// The subscription of the request replaces what was there; the mask is kept for the test.
static int update_thing(struct fake_admin *service, const struct payload *request)
{
    struct payload *changed = payload_copy(stream_text(request, 1));
    struct text mask = stream_text(request, 2);
    struct wire_reader reader;
    struct wire_field field;
    struct buf paths;
    buf_init_fixed(&paths, service->mask, sizeof(service->mask) - 1);
    wire_reader_init(&reader, mask);
    while (wire_next(&reader, &field)) {
        buf_add_text(&paths, field.bytes);
        buf_add_char(&paths, ',');
    }
    service->mask[paths.size] = '\0';
    keep(service, stream_text(changed, 1), changed->bytes);
    payload_release(&changed);
    return RPC_OK;
}

// The one permission that was asked for, as field 1 of the response, unless it is denied.
static struct text granted(const struct fake_admin *service, const struct payload *request,
                           char memory[256])
{
    struct text permission = stream_text(request, 2);
    if (service->denied != NULL && text_equal(permission, text_of(service->denied))) {
        return (struct text){0};
    }
    char *end = wire_put_bytes(memory, 1, permission);
    return (struct text){memory, (size_t)(end - memory)};
}

static bool answer(struct fake *fake, void *context)
{
    struct fake_admin *service = context;
    struct fake_call *call = fake->calls;
    struct text response = {0};
    char memory[256];
    int code = RPC_OK;
    if (call == NULL) {
        return false;
    }
    if (service->refusal != RPC_OK && (!service->only_deaf || call->method == service->deaf)) {
        code = service->refusal;
    } else if (call->method == RPC_CREATE_TOPIC || call->method == RPC_CREATE_SUBSCRIPTION) {
        code = create_thing(service, call->request);
    } else if (call->method == RPC_UPDATE_SUBSCRIPTION) {
        code = update_thing(service, call->request);
    } else if (call->method == RPC_TEST_PERMISSIONS) {
        response = granted(service, call->request, memory);
    } else {
        struct fake_thing *thing = find_thing(service, stream_text(call->request, 1));
        code = thing != NULL ? RPC_OK : RPC_NOT_FOUND;
        response = thing != NULL ? thing->body->bytes : response;
    }
    const struct rpc_status status = {.code = code, .message = TEXT("words")};
    fake_end_call(fake, call, &status, response);
    return true;
}

void fake_admin_attach(struct fake_admin *service, struct fake *fake)
{
    fake->answer = answer;
    fake->context = service;
}

void fake_admin_deinit(struct fake_admin *service)
{
    for (size_t i = 0; i < service->count; i++) {
        payload_release(&service->things[i].body);
    }
}

bool fake_admin_has(const struct fake_admin *service, struct text name)
{
    for (size_t i = 0; i < service->count; i++) {
        if (text_equal(text_of(service->things[i].name), name)) {
            return true;
        }
    }
    return false;
}
