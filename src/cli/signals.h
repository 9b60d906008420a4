// Interrupts. The first SIGINT or SIGTERM asks for a drain: it sets a flag and makes a descriptor
// readable, and nothing else. A second one ends the process at once with 130 or 143, which is safe
// because everything that was acknowledged is durable. SIGPIPE is ignored: writes answer EPIPE.
#ifndef TILL_SIGNALS_H
#define TILL_SIGNALS_H

#include "errors.h"

// From main(), before any thread is started. ERR_IO when the system refuses.
MUST_USE enum err signals_install(struct why *why);
// Puts back what was there before; for tests.
void signals_uninstall(void);

bool signals_drain_requested(void); // safe from any thread
// Becomes readable when a drain is requested and stays so; for poll(2). Never read it.
int signals_drain_fd(void);
// Asks for a drain as the first signal does. Safe from any thread and from a handler.
void signals_request_drain(void);

#endif
