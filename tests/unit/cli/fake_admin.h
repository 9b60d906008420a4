// A Pub/Sub service that only administers: it remembers topics and subscriptions as they were created, and
// answers questions about them. On the fake transport of tests/unit/pubsub, in virtual time.
#ifndef TILL_FAKE_ADMIN_H
#define TILL_FAKE_ADMIN_H

#include "fake_transport.h"

#define FAKE_ADMIN_THINGS_MAX 8

// A topic or subscription. The request that created it is what the service answers when it is asked.
struct fake_thing {
    char name[128]; // in full
    struct payload *body;
};

struct fake_admin {
    struct fake_thing things[FAKE_ADMIN_THINGS_MAX];
    size_t count;
    size_t created;
    bool races;     // a creation finds that somebody was faster
    char mask[256]; // paths of the last update, each with a comma behind it
    // Calls are refused with this status, RPC_OK: none. With only_deaf, those of one method.
    int refusal;
    bool only_deaf;
    enum rpc_method deaf;
    const char *denied; // a permission that is not granted, on any resource; NULL: all are
};

void fake_admin_attach(struct fake_admin *service, struct fake *fake);
void fake_admin_deinit(struct fake_admin *service);
bool fake_admin_has(const struct fake_admin *service, struct text name);

#endif
