// Named places at which a test may end the process, as a crash would. Compiled in only with the build
// option `failpoints`; then the environment variable TILL_TEST_FAILPOINT=name[:count] ends the process
// with SIGKILL when that place is reached for the count-th time.
#ifndef TILL_FAILPOINT_H
#define TILL_FAILPOINT_H

#ifdef TILL_FAILPOINTS
void failpoint_reached(const char *name);
#define FAILPOINT(name) failpoint_reached(name)
#else
#define FAILPOINT(name)                                                                            \
    do {                                                                                           \
    } while (0)
#endif

#endif
