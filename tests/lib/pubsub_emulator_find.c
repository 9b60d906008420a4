// See the header for the order in which places are looked at.
#include "pubsub_emulator_find.h"

#include <glob.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const sdk_roots[] = {"/usr/lib/google-cloud-sdk", "/usr/share/google-cloud-sdk",
                                        "/usr/local/google-cloud-sdk", "/opt/google-cloud-sdk",
                                        "/snap/google-cloud-cli/current"};

// Whether the text fits, and can be read at that path.
static bool is_readable(const char *path, int size)
{
    return size > 0 && size < PATH_MAX && access(path, R_OK) == 0;
}

static bool find_on_path(const char *name, char out_path[PATH_MAX])
{
    const char *folder = getenv("PATH");
    while (folder != NULL && *folder != '\0') {
        size_t length = strcspn(folder, ":");
        int size = snprintf(out_path, PATH_MAX, "%.*s/%s", (int)length, folder, name);
        if (length > 0 && is_readable(out_path, size) && access(out_path, X_OK) == 0) {
            return true;
        }
        folder += length + (folder[length] == ':');
    }
    return false;
}

// The newest one, should there be several.
static bool find_in_sdk(const char *root, char out_jar[PATH_MAX])
{
    char pattern[PATH_MAX];
    glob_t found = {0};
    const char *newest = NULL;
    int size = snprintf(pattern, sizeof pattern,
                        "%s/platform/pubsub-emulator/lib/cloud-pubsub-emulator-*.jar", root);
    if (size > 0 && size < PATH_MAX && glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            const char *path = found.gl_pathv[i];
            if (newest == NULL || strverscmp(path, newest) > 0) {
                newest = path;
            }
        }
    }
    bool is_found =
        newest != NULL && is_readable(out_jar, snprintf(out_jar, PATH_MAX, "%s", newest));
    globfree(&found);
    return is_found;
}

// gcloud is SDK/bin/gcloud, or a link to it.
static bool find_beside_gcloud(char out_jar[PATH_MAX])
{
    static const char tail[] = "/bin/gcloud";
    char gcloud[PATH_MAX];
    char target[PATH_MAX];
    if (!find_on_path("gcloud", gcloud) || realpath(gcloud, target) == NULL) {
        return false;
    }
    size_t length = strlen(target);
    size_t tail_length = sizeof tail - 1;
    if (length <= tail_length || strcmp(target + length - tail_length, tail) != 0) {
        return false;
    }
    target[length - tail_length] = '\0';
    return find_in_sdk(target, out_jar);
}

static bool find_in_usual_place(char out_jar[PATH_MAX])
{
    char root[PATH_MAX];
    const char *home = getenv("HOME");
    int size = snprintf(root, sizeof root, "%s/google-cloud-sdk", home != NULL ? home : "");
    if (home != NULL && size > 0 && size < PATH_MAX && find_in_sdk(root, out_jar)) {
        return true;
    }
    for (size_t i = 0; i < sizeof sdk_roots / sizeof sdk_roots[0]; i++) {
        if (find_in_sdk(sdk_roots[i], out_jar)) {
            return true;
        }
    }
    return false;
}

static bool find_java(char out_java[PATH_MAX])
{
    const char *home = getenv("JAVA_HOME");
    return (home != NULL &&
            is_readable(out_java, snprintf(out_java, PATH_MAX, "%s/bin/java", home))) ||
           find_on_path("java", out_java);
}

enum pubsub_emulator_found pubsub_emulator_find(struct pubsub_emulator_files *out_files,
                                                const char **out_reason)
{
    const char *named = getenv("TILL_PUBSUB_EMULATOR_JAR");
    if (named != NULL && *named != '\0') {
        if (!is_readable(named, snprintf(out_files->jar, sizeof out_files->jar, "%s", named))) {
            *out_reason = "the file that TILL_PUBSUB_EMULATOR_JAR names cannot be read";
            return PUBSUB_EMULATOR_WRONG;
        }
    } else if (!find_beside_gcloud(out_files->jar) && !find_in_usual_place(out_files->jar)) {
        *out_reason =
            "there is no Pub/Sub emulator. Get it with `gcloud components install "
            "pubsub-emulator`, "
            "or as the package google-cloud-cli-pubsub-emulator, or set TILL_PUBSUB_EMULATOR_JAR "
            "to a cloud-pubsub-emulator-*-all.jar";
        return PUBSUB_EMULATOR_MISSING;
    }
    if (!find_java(out_files->java)) {
        *out_reason = "there is no java to run the Pub/Sub emulator. Debian's package is "
                      "openjdk-17-jre-headless";
        return PUBSUB_EMULATOR_MISSING;
    }
    *out_reason = "found";
    return PUBSUB_EMULATOR_FOUND;
}
