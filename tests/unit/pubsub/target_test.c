// Which service is spoken to, by configuration and environment.
#include "pubsub_target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka needs the five before it
#include <cmocka.h>

static const char *emulator;
static const char *pubsub_project;
static const char *cloud_project;

static char *fake_environment(const char *name)
{
    const char *value = NULL;
    if (strcmp(name, "PUBSUB_EMULATOR_HOST") == 0) {
        value = emulator;
    } else if (strcmp(name, "PUBSUB_PROJECT_ID") == 0) {
        value = pubsub_project;
    } else if (strcmp(name, "GOOGLE_CLOUD_PROJECT") == 0) {
        value = cloud_project;
    }
    return (char *)(uintptr_t)value;
}

static struct pubsub_target target;
static struct why why;

static enum err resolve(struct pubsub_target_wishes wishes)
{
    target = (struct pubsub_target){0};
    why = (struct why){0};
    return pubsub_target_resolve(&wishes, fake_environment, &target, &why);
}

static int clean(void **state)
{
    (void)state;
    emulator = pubsub_project = cloud_project = NULL;
    return 0;
}

static void nothing_set_but_a_project_is_the_cloud(void **state)
{
    (void)state;
    assert_int_equal(resolve((struct pubsub_target_wishes){.project = "shop"}), ERR_OK);
    assert_string_equal(target.endpoint, "pubsub.googleapis.com:443");
    assert_string_equal(target.project, "shop");
    assert_false(target.plaintext);
    assert_false(target.anonymous);
    char text[500];
    pubsub_target_describe(&target, text, sizeof(text));
    assert_string_equal(text, "Google Cloud Pub/Sub at pubsub.googleapis.com:443, project shop");
}

static void no_project_anywhere_is_refused(void **state)
{
    (void)state;
    assert_int_equal(resolve((struct pubsub_target_wishes){0}), ERR_CONFIG);
    assert_non_null(strstr(why.text, "PUBSUB_PROJECT_ID"));
    cloud_project = "general";
    assert_int_equal(resolve((struct pubsub_target_wishes){.project = ""}), ERR_OK);
    assert_string_equal(target.project, "general");
    pubsub_project = "special";
    assert_int_equal(resolve((struct pubsub_target_wishes){0}), ERR_OK);
    assert_string_equal(target.project, "special");
}

static void emulator_variable_is_honoured(void **state)
{
    (void)state;
    emulator = "pubsub.test:8085";
    pubsub_project = "demo";
    assert_int_equal(resolve((struct pubsub_target_wishes){0}), ERR_OK);
    assert_string_equal(target.endpoint, "pubsub.test:8085");
    assert_true(target.plaintext);
    char text[500];
    pubsub_target_describe(&target, text, sizeof(text));
    assert_string_equal(text, "Pub/Sub emulator at pubsub.test:8085, project demo");
}

static void emulator_beside_a_configured_project_must_be_confirmed(void **state)
{
    (void)state;
    emulator = "localhost:8085";
    assert_int_equal(resolve((struct pubsub_target_wishes){.project = "shop"}), ERR_CONFIG);
    assert_non_null(strstr(why.text, "PUBSUB_EMULATOR_HOST"));
    assert_non_null(strstr(why.text, "shop"));
    pubsub_project = "other";
    assert_int_equal(resolve((struct pubsub_target_wishes){.project = "shop"}), ERR_CONFIG);
    assert_int_equal(
        resolve((struct pubsub_target_wishes){.project = "shop", .emulator_confirmed = true}),
        ERR_OK);
    assert_string_equal(target.project, "shop");
    assert_true(target.plaintext);
    pubsub_project = "shop"; // both say the same
    assert_int_equal(resolve((struct pubsub_target_wishes){.project = "shop"}), ERR_OK);
}

static void configured_endpoint_comes_first(void **state)
{
    static const struct {
        const char *endpoint;
        const char *bare;
        bool plaintext;
    } cases[] = {
        {"localhost:1", "localhost:1", true},
        {"127.0.0.1:8085", "127.0.0.1:8085", true},
        {"[::1]:8085", "[::1]:8085", true},
        {"pubsub.example:443", "pubsub.example:443", false},
        {"http://pubsub.example:80", "pubsub.example:80", true},
        {"https://localhost:8443", "localhost:8443", false},
    };
    (void)state;
    emulator = "elsewhere:8085";
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(
            resolve((struct pubsub_target_wishes){.project = "p", .endpoint = cases[i].endpoint}),
            ERR_OK);
        assert_string_equal(target.endpoint, cases[i].bare);
        assert_int_equal(target.plaintext, cases[i].plaintext);
    }
}

static void what_is_no_endpoint_or_project_is_refused(void **state)
{
    static const char *const endpoints[] = {"host", ":1", "host:", "host:a", "http://host"};
    char long_text[400];
    (void)state;
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
        assert_int_equal(
            resolve((struct pubsub_target_wishes){.project = "p", .endpoint = endpoints[i]}),
            ERR_CONFIG);
    }
    memset(long_text, 'p', sizeof(long_text));
    for (size_t size = PUBSUB_PROJECT_MAX - 2; size <= PUBSUB_PROJECT_MAX; size++) {
        long_text[size] = '\0';
        assert_int_equal(resolve((struct pubsub_target_wishes){.project = long_text}),
                         size < PUBSUB_PROJECT_MAX ? ERR_OK : ERR_CONFIG);
        long_text[size] = 'p';
    }
    assert_int_equal(resolve((struct pubsub_target_wishes){.project = "a/b"}), ERR_CONFIG);
    emulator = "nonsense";
    pubsub_project = "p";
    assert_int_equal(resolve((struct pubsub_target_wishes){0}), ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_set_but_a_project_is_the_cloud, clean),
        cmocka_unit_test_setup(no_project_anywhere_is_refused, clean),
        cmocka_unit_test_setup(emulator_variable_is_honoured, clean),
        cmocka_unit_test_setup(emulator_beside_a_configured_project_must_be_confirmed, clean),
        cmocka_unit_test_setup(configured_endpoint_comes_first, clean),
        cmocka_unit_test_setup(what_is_no_endpoint_or_project_is_refused, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
