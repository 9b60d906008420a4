// Telling orders and payments apart.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "codec_rig.h"

#include <stdlib.h>
#include <string.h>

static void assert_kind(const char *body, enum message_kind kind)
{
    assert_int_equal(message_kind_guess(text_of(body)), kind);
}

static void payment_keys_make_a_payment(void **state)
{
    (void)state;
    assert_kind("{\"payment_id\": 1042, \"order_id\": 42}", MESSAGE_PAYMENT);
    assert_kind("{\"order_id\": 42, \"payment_status\": \"Completed\"}", MESSAGE_PAYMENT);
    assert_kind("{\"order_id\": 42, \"payment_anything\": null}", MESSAGE_PAYMENT);
    assert_kind("{\"\\u0070ayment_id\": 1042}", MESSAGE_PAYMENT);
    assert_kind("{\"payment_id\": 1042, broken", MESSAGE_PAYMENT);
}

static void everything_else_is_an_order(void **state)
{
    (void)state;
    assert_kind("", MESSAGE_ORDER);
    assert_kind("{}", MESSAGE_ORDER);
    assert_kind("{\"order_id\": 42, \"customer_id\": 771}", MESSAGE_ORDER);
    assert_kind("{\"payment\": 1}", MESSAGE_ORDER);
    assert_kind("{\"note\": \"payment_id\"}", MESSAGE_ORDER);
    assert_kind("{\"nested\": {\"payment_id\": 1042}}", MESSAGE_ORDER);
    assert_kind("[{\"payment_id\": 1042}]", MESSAGE_ORDER);
    assert_kind("{\"note\": {}, \"list\": [\"payment_id\"]}", MESSAGE_ORDER);
    assert_kind("\"payment_id\"", MESSAGE_ORDER);
    assert_kind("{broken, \"payment_id\": 1042}", MESSAGE_ORDER);
}

static void body_over_the_size_limit_is_not_read(void **state)
{
    (void)state;
    static char body[MESSAGE_SIZE_MAX + 1];
    memset(body, ' ', sizeof(body));
    memcpy(body, "{\"payment_id\": 1}", 17);
    assert_int_equal(message_kind_guess((struct text){body, MESSAGE_SIZE_MAX}), MESSAGE_PAYMENT);
    assert_int_equal(message_kind_guess((struct text){body, MESSAGE_SIZE_MAX + 1}), MESSAGE_ORDER);
}

static void long_escaped_key_is_nobodys(void **state)
{
    (void)state;
    char body[1024] = "{\"payment_\\n";
    memset(body + strlen(body), 'x', 600);
    strncat(body, "\": 1}", sizeof(body) - strlen(body) - 1);
    assert_kind(body, MESSAGE_ORDER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(payment_keys_make_a_payment),
        cmocka_unit_test(everything_else_is_an_order),
        cmocka_unit_test(body_over_the_size_limit_is_not_read),
        cmocka_unit_test(long_escaped_key_is_nobodys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
