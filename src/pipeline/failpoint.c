// Ends the process at a named place, for tests of recovery.
#include "failpoint.h"

#ifdef TILL_FAILPOINTS

#include "text.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

void failpoint_reached(const char *name)
{
    static atomic_uint_fast64_t reached;
    const char *wanted = getenv("TILL_TEST_FAILPOINT");
    if (wanted == NULL) {
        return;
    }
    const char *colon = strchr(wanted, ':');
    struct text wanted_name = {wanted, colon != NULL ? (size_t)(colon - wanted) : strlen(wanted)};
    uint64_t count = 1;
    if (!text_equal(wanted_name, text_of(name)) ||
        (colon != NULL && !text_parse_u64(text_of(colon + 1), &count))) {
        return;
    }
    if (atomic_fetch_add(&reached, 1) + 1 >= count) {
        (void)raise(SIGKILL);
    }
}

#endif
