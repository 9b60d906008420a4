// Where Google's Pub/Sub emulator and a Java to run it are on this machine.
//
// The jar: TILL_PUBSUB_EMULATOR_JAR, else the Google Cloud SDK that `gcloud` on the PATH belongs to, else
// one in a usual place. Java: JAVA_HOME, else the PATH.
#ifndef TILL_PUBSUB_EMULATOR_FIND_H
#define TILL_PUBSUB_EMULATOR_FIND_H

#include <limits.h>
#include <stdbool.h>

struct pubsub_emulator_files {
    char jar[PATH_MAX];
    char java[PATH_MAX];
};

enum pubsub_emulator_found {
    PUBSUB_EMULATOR_FOUND,
    PUBSUB_EMULATOR_MISSING,
    PUBSUB_EMULATOR_WRONG, // what a variable names is not there
};

// Always sets *out_reason: what is missing and how to get it, or "found". It is a constant text.
enum pubsub_emulator_found pubsub_emulator_find(struct pubsub_emulator_files *out_files,
                                                const char **out_reason);

#endif
