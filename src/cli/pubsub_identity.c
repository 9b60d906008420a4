// Reads "type" and "client_email" of a credentials file.
#include "pubsub_identity.h"

#include "json_read.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_SIZE_MAX 65536u
#define FIELD_MAX     300u

struct fields {
    char type[FIELD_MAX];
    char email[FIELD_MAX];
};

static void keep(const struct json_token *token, char out[FIELD_MAX])
{
    size_t size = json_unescape(token->raw, out, FIELD_MAX - 1);
    out[size != SIZE_MAX ? size : 0] = '\0';
}

// The value of one key at the top.
static bool read_field(struct json_reader *reader, const struct json_token *key,
                       struct fields *fields)
{
    struct json_token value;
    enum json_event event = json_next(reader, &value);
    if (event == JSON_OBJECT_BEGIN || event == JSON_ARRAY_BEGIN) {
        return json_skip_container(reader);
    }
    if (event == JSON_STRING && json_token_equals(key, TEXT("type"))) {
        keep(&value, fields->type);
    } else if (event == JSON_STRING && json_token_equals(key, TEXT("client_email"))) {
        keep(&value, fields->email);
    }
    return event != JSON_ERROR;
}

static void read_fields(struct text content, struct fields *fields)
{
    struct json_reader reader __attribute__((uninitialized));
    struct json_token token;
    json_reader_init(&reader, content, (struct json_limits){.depth_max = 16, .keys_max = 64});
    if (json_next(&reader, &token) != JSON_OBJECT_BEGIN) {
        return;
    }
    while (json_next(&reader, &token) == JSON_KEY && read_field(&reader, &token, fields)) {
    }
}

void pubsub_identity_of_file(struct text content, char *out, size_t size)
{
    struct fields fields = {0};
    read_fields(content, &fields);
    if (strcmp(fields.type, "service_account") == 0 && fields.email[0] != '\0') {
        (void)snprintf(out, size, "service account %s", fields.email);
    } else if (strcmp(fields.type, "authorized_user") == 0) {
        (void)snprintf(out, size, "the user of gcloud's application-default login");
    } else if (strcmp(fields.type, "external_account") == 0) {
        (void)snprintf(out, size, "a federated workload identity");
    } else {
        (void)snprintf(out, size, "an identity of unknown kind");
    }
}

static bool describe_file(const char *path, char *out, size_t size)
{
    char content[FILE_SIZE_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t got = read(fd, content, sizeof(content)); // larger ones are of no kind that is known
    (void)close(fd);                                  // nothing was written through it
    if (got < 0) {
        return false;
    }
    pubsub_identity_of_file((struct text){content, (size_t)got}, out, size);
    explicit_bzero(content, (size_t)got); // it held a private key
    return true;
}

void pubsub_identity_describe(char *out, size_t size)
{
    char path[4096];
    const char *file = getenv("GOOGLE_APPLICATION_CREDENTIALS");
    const char *home = getenv("HOME");
    if (file != NULL && describe_file(file, out, size)) {
        return;
    }
    (void)snprintf(path, sizeof(path), "%s/.config/gcloud/application_default_credentials.json",
                   home != NULL ? home : "");
    if (!describe_file(path, out, size)) {
        (void)snprintf(out, size, "this machine's service account");
    }
}
