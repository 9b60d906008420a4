// The Pub/Sub client by TLS, with a certificate authority of one's own, which `openssl` makes when the test
// begins.
#include "scripted_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// cmocka needs the five before it
#include <cmocka.h>

#define PEM_MAX 16384u

static char folder[] = "/tmp/till-tls-XXXXXX";

// Two authorities, and a server's certificate of the first.
static const char make_certificates[] =
    "cd \"$1\" && exec >openssl.log 2>&1 && "
    "for ca in ours other; do openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
    "-days 2 -subj \"/CN=$ca authority\" -keyout $ca.key -out $ca.pem || exit 1; done && "
    "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=server "
    "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout server.key -out server.csr && "
    "openssl x509 -req -in server.csr -CA ours.pem -CAkey ours.key -CAcreateserial -days 2 "
    "-copy_extensions copy -out server.pem && cat ours.pem >>server.pem";

static const char *path_of(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void read_pem(const char *name, char out[PEM_MAX])
{
    FILE *file = fopen(path_of(name), "re");
    assert_non_null(file);
    size_t size = fread(out, 1, PEM_MAX - 1, file);
    assert_true(size > 0 && size < PEM_MAX - 1);
    out[size] = '\0';
    assert_int_equal(fclose(file), 0);
}

static int run_shell(const char *command)
{
    char line[2048];
    (void)snprintf(line, sizeof(line), "sh -c '%s' sh %s", command, folder);
    return system(line);
}

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL || run_shell(make_certificates) != 0) {
        print_message("openssl made no certificates, see %s\n", path_of("openssl.log"));
        return 1;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return run_shell("rm -r -- \"$1\"");
}

static struct scripted_rig *create(const char *ca)
{
    static char certificates[PEM_MAX];
    static char key[PEM_MAX];
    read_pem("server.pem", certificates);
    read_pem("server.key", key);
    const struct pubsub_scripted_options server = {.certificates = certificates, .key = key};
    const struct pubsub_options client = {.target = {.anonymous = true}, .ca_file = path_of(ca)};
    return scripted_rig_create_to(&server, &client);
}

static void messages_pass_by_tls_with_the_authority_that_was_given(void **state)
{
    struct scripted_rig *rig = create("ours.pem");
    (void)state;
    rig_open_publisher(rig, (struct pubsub_publisher_options){.linger_us = 1000});
    rig_open_subscriber(rig, (struct pubsub_subscriber_options){0});
    pubsub_scripted_add(rig->server, 100, 1000);
    rig_take_all(rig, 100, true);
    assert_true(rig_wait_acked(rig, 100));
    pubsub_subscriber_close(&rig->subscriber);
    rig_expect_ok(rig_publish_one(rig), &rig->why);
    assert_int_equal(pubsub_scripted_counts(rig->server).messages, 101);
    scripted_rig_destroy(rig);
}

static void server_of_another_authority_is_refused_in_a_sentence(void **state)
{
    struct scripted_rig *rig = create("other.pem");
    (void)state;
    rig_open_publisher(
        rig, (struct pubsub_publisher_options){.linger_us = 1000, .total_us = 2 * US_PER_SECOND});
    assert_int_equal(rig_publish_one(rig), ERR_UNAVAILABLE);
    print_message("%s\n", rig->why.text);
    assert_non_null(strstr(rig->why.text, "certificate"));
    assert_int_equal(pubsub_scripted_counts(rig->server).calls[SCRIPTED_PUBLISH], 0);
    scripted_rig_destroy(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_pass_by_tls_with_the_authority_that_was_given),
        cmocka_unit_test(server_of_another_authority_is_refused_in_a_sentence),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
