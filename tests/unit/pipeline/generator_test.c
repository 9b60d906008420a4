// The stream that the generator gives: the same for the same options, in the promised order, at the
// promised distances, within its memory. What the messages say is generator_fate_test's subject.
#include "generator.h"

#include "fault_alloc.h"
#include "hash.h"
#include "order_json.h"
#include "payment_json.h"
#include "test_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#define ALL_SHARES(ppm)                                                                            \
    .late_ppm = (ppm), .early_ppm = (ppm), .duplicate_ppm = (ppm), .orphan_ppm = (ppm),            \
    .conflict_ppm = (ppm), .corrupt_ppm = (ppm), .partial_ppm = (ppm), .overpay_ppm = (ppm),       \
    .refund_ppm = (ppm), .chargeback_ppm = (ppm), .failed_retry_ppm = (ppm),                       \
    .wrong_currency_ppm = (ppm), .update_ppm = (ppm)

static struct generator *create(const struct generator_options *options)
{
    struct generator *generator = NULL;
    struct why why = {0};
    assert_int_equal(generator_create(options, &generator, &why), ERR_OK);
    return generator;
}

// Of the first `count` messages, or of all when there are fewer.
static struct hash hash_of_stream(const struct generator_options *options, uint64_t count)
{
    struct generator *generator = create(options);
    struct hasher hasher;
    hasher_init(&hasher);
    struct generated generated;
    for (uint64_t i = 0; i < count && generator_next(generator, &generated); i++) {
        hasher_add_u64(&hasher, (uint64_t)generated.topic);
        hasher_add_u64(&hasher, generated.body.size);
        hasher_add(&hasher, generated.body.data, generated.body.size);
    }
    generator_destroy(&generator);
    struct hash hash;
    hasher_final(&hasher, &hash);
    return hash;
}

static void assert_stream(const struct generator_options *options, const char *expected)
{
    struct hash hash = hash_of_stream(options, 10000);
    char text[HASH_HEX_SIZE];
    hash_format(&hash, text);
    assert_string_equal(text, expected);
}

// These hashes are the promise that a seed gives the same bytes everywhere. They change only when the
// generator's content is meant to change.
static void seed_1_gives_the_known_bytes(void **state)
{
    (void)state;
    assert_stream(&(struct generator_options){.seed = 1, .pairs = 1000000},
                  "fa7e43f2d33f35b001eeac2bb6646d49");
    assert_stream(&(struct generator_options){.seed = 1, .pairs = 1000000, ALL_SHARES(50000)},
                  "335b040d2be392978a24d80d458f7507");
    assert_stream(
        &(struct generator_options){.seed = 1, .pairs = 1000000, .random_order_ids = true},
        "c5ecca598c9b2da68ad22ff8730df6de");
}

static void same_seed_gives_the_same_stream_and_another_seed_another(void **state)
{
    (void)state;
    struct generator_options options = {.seed = test_seed(), .pairs = 2000, ALL_SHARES(50000)};
    struct hash first = hash_of_stream(&options, UINT64_MAX);
    struct hash again = hash_of_stream(&options, UINT64_MAX);
    options.seed++;
    struct hash other = hash_of_stream(&options, UINT64_MAX);
    assert_true(hash_equal(&first, &again));
    assert_false(hash_equal(&first, &other));
}

// The first number in the body is the id of the order or of the payment.
static uint64_t id_of(struct text body)
{
    size_t start = 0;
    while (start < body.size && (body.data[start] < '0' || body.data[start] > '9')) {
        start++;
    }
    size_t end = start;
    while (end < body.size && body.data[end] >= '0' && body.data[end] <= '9') {
        end++;
    }
    uint64_t id = 0;
    assert_true(text_parse_u64((struct text){body.data + start, end - start}, &id));
    return id;
}

static void orders_come_once_each_with_ascending_ids(void **state)
{
    (void)state;
    struct generator_options options = {.seed = test_seed(), .pairs = 5000, .first_order_id = 77};
    struct generator *generator = create(&options);
    struct generated generated;
    uint64_t orders = 0;
    uint64_t payments = 0;
    while (generator_next(generator, &generated)) {
        if (generated.topic == BUS_ORDERS) {
            assert_int_equal(id_of(generated.body), 77 + orders);
            assert_int_equal(generated.pair, orders);
            orders++;
        } else {
            payments++;
        }
    }
    assert_int_equal(orders, 5000);
    assert_int_equal(payments, 5000);
    assert_false(generator_next(generator, &generated));
    generator_destroy(&generator);
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void random_order_ids_are_distinct_and_spread(void **state)
{
    (void)state;
    enum { PAIRS = 20000 };
    static uint64_t ids[PAIRS];
    struct generator_options options = {
        .seed = test_seed(), .pairs = PAIRS, .random_order_ids = true};
    struct generator *generator = create(&options);
    struct generated generated;
    size_t count = 0;
    size_t high_count = 0;
    while (generator_next(generator, &generated)) {
        if (generated.topic == BUS_ORDERS) {
            ids[count] = id_of(generated.body);
            assert_in_range(ids[count], 1, INT64_MAX);
            high_count += ids[count] > INT64_MAX / 2;
            count++;
        }
    }
    generator_destroy(&generator);
    assert_int_equal(count, PAIRS);
    assert_in_range(high_count, PAIRS / 2 - 600, PAIRS / 2 + 600);
    qsort(ids, PAIRS, sizeof(ids[0]), compare_u64);
    for (size_t i = 1; i < PAIRS; i++) {
        assert_true(ids[i] != ids[i - 1]);
    }
}

// How many orders had come before each pair's payment, less the pair's own number: below 1 when the
// payment was first.
struct distances {
    int64_t least;
    int64_t greatest;
    uint64_t payments;
};

static struct distances measure_distances(const struct generator_options *options)
{
    struct distances distances = {INT64_MAX, INT64_MIN, 0};
    struct generator *generator = create(options);
    struct generated generated;
    int64_t orders = 0;
    while (generator_next(generator, &generated)) {
        if (generated.topic == BUS_ORDERS) {
            orders++;
            continue;
        }
        // Behind the last order, distance can't be told any more.
        if (orders < (int64_t)options->pairs) {
            int64_t distance = orders - (int64_t)generated.pair;
            distances.least = distance < distances.least ? distance : distances.least;
            distances.greatest = distance > distances.greatest ? distance : distances.greatest;
        }
        distances.payments++;
    }
    generator_destroy(&generator);
    assert_int_equal(distances.payments, options->pairs);
    return distances;
}

static void payments_usually_come_soon_after_their_orders(void **state)
{
    (void)state;
    struct generator_options options = {.seed = test_seed(), .pairs = 20000};
    struct distances distances = measure_distances(&options);
    assert_int_equal(distances.least, 1);
    assert_int_equal(distances.greatest, 1 + GENERATOR_DELAY_MAX);
}

static void early_payments_come_before_their_orders(void **state)
{
    (void)state;
    struct generator_options options = {
        .seed = test_seed(), .pairs = 20000, .early_ppm = GENERATOR_PPM};
    struct distances distances = measure_distances(&options);
    assert_int_equal(distances.least, 1 - (int64_t)GENERATOR_LEAD_MAX);
    assert_int_equal(distances.greatest, 0);
}

static void first_pairs_can_be_early_too(void **state)
{
    (void)state;
    struct generator_options options = {.seed = 3, .pairs = 1, .early_ppm = GENERATOR_PPM};
    struct generator *generator = create(&options);
    struct generated generated;
    assert_true(generator_next(generator, &generated));
    assert_int_equal(generated.topic, BUS_PAYMENTS);
    assert_true(generator_next(generator, &generated));
    assert_int_equal(generated.topic, BUS_ORDERS);
    assert_false(generator_next(generator, &generated));
    generator_destroy(&generator);
}

static void late_payments_come_far_behind_their_orders(void **state)
{
    (void)state;
    struct generator_options options = {
        .seed = test_seed(), .pairs = 200000, .late_ppm = GENERATOR_PPM};
    struct distances distances = measure_distances(&options);
    assert_in_range(distances.least, 1 + GENERATOR_LATE_MIN, 10 + GENERATOR_LATE_MIN);
    assert_in_range(distances.greatest, GENERATOR_LATE_MAX - 10, 1 + GENERATOR_LATE_MAX);
}

// Six standard deviations of a share of 50,000 in a million among 50,000 pairs.
#define SHARE_EXPECTED  2500
#define SHARE_TOLERANCE 300

static void assert_share(uint64_t count)
{
    assert_in_range(count, SHARE_EXPECTED - SHARE_TOLERANCE, SHARE_EXPECTED + SHARE_TOLERANCE);
}

static void shares_of_stories_and_duplicates_are_as_asked_for(void **state)
{
    (void)state;
    enum { PAIRS = 50000 };
    static bool seen[PAIRS];
    memset(seen, 0, sizeof(seen));
    struct generator_options options = {.seed = test_seed(), .pairs = PAIRS, ALL_SHARES(50000)};
    options.corrupt_ppm = 0; // copies of refused messages are refused, not duplicates
    struct generator *generator = create(&options);
    struct generated generated;
    uint64_t stories[GENERATOR_STORY_COUNT] = {0};
    uint64_t duplicates = 0;
    while (generator_next(generator, &generated)) {
        stories[generated.story] += !seen[generated.pair];
        seen[generated.pair] = true;
        duplicates += generated.fate == GENERATED_DUPLICATE;
    }
    generator_destroy(&generator);
    assert_int_equal(stories[GENERATOR_CORRUPT], 0);
    for (int story = GENERATOR_PLAIN + 1; story < GENERATOR_STORY_COUNT; story++) {
        if (story != GENERATOR_CORRUPT) {
            assert_share(stories[story]);
        }
    }
    assert_share(duplicates);
}

static void share_of_corrupt_messages_is_as_asked_for(void **state)
{
    (void)state;
    struct generator_options options = {.seed = test_seed(), .pairs = 50000, .corrupt_ppm = 50000};
    struct generator *generator = create(&options);
    struct generated generated;
    uint64_t refused = 0;
    while (generator_next(generator, &generated)) {
        refused += generated.fate == GENERATED_REFUSED;
    }
    generator_destroy(&generator);
    assert_share(refused);
}

// Counts payments outside the usual distance to their orders, those behind the last order apart.
static void shares_of_early_and_late_payments_are_as_asked_for(void **state)
{
    (void)state;
    struct generator_options options = {
        .seed = test_seed(), .pairs = 50000, .early_ppm = 50000, .late_ppm = 50000};
    struct generator *generator = create(&options);
    struct generated generated;
    uint64_t orders = 0;
    uint64_t early = 0;
    uint64_t late = 0;
    uint64_t at_end = 0;
    while (generator_next(generator, &generated)) {
        if (generated.topic == BUS_ORDERS) {
            orders++;
        } else if (orders == options.pairs) {
            at_end++;
        } else {
            early += generated.pair >= orders;
            late += generated.pair + 1 + GENERATOR_LATE_MIN <= orders;
        }
    }
    generator_destroy(&generator);
    assert_share(early);
    assert_in_range(late, 1, SHARE_EXPECTED + SHARE_TOLERANCE);
    assert_in_range(late + at_end, SHARE_EXPECTED - SHARE_TOLERANCE,
                    SHARE_EXPECTED + SHARE_TOLERANCE + GENERATOR_DELAY_MAX);
}

static void share_changes_nothing_but_what_it_names(void **state)
{
    (void)state;
    struct generator_options options = {.seed = test_seed(), .pairs = 2000};
    struct generator *plain = create(&options);
    options.refund_ppm = 300000;
    options.late_ppm = 300000;
    options.overpay_ppm = 300000;
    struct generator *busy = create(&options);
    struct generated from_plain = {0};
    struct generated from_busy = {0};
    for (uint64_t i = 0; i < options.pairs; i++) {
        do {
            assert_true(generator_next(plain, &from_plain));
        } while (from_plain.topic != BUS_ORDERS);
        do {
            assert_true(generator_next(busy, &from_busy));
        } while (from_busy.topic != BUS_ORDERS);
        assert_true(text_equal(from_plain.body, from_busy.body));
    }
    generator_destroy(&plain);
    generator_destroy(&busy);
}

static void bodies_are_not_empty_and_fit_on_one_line(void **state)
{
    (void)state;
    struct generator_options options = {
        .seed = test_seed(), .pairs = 5000, .random_order_ids = true, ALL_SHARES(90000)};
    options.duplicate_ppm = GENERATOR_PPM;
    struct generator *generator = create(&options);
    struct generated generated;
    while (generator_next(generator, &generated)) {
        assert_true(generated.body.size > 0);
        assert_null(memchr(generated.body.data, '\n', generated.body.size));
    }
    generator_destroy(&generator);
}

// The wheel asserts its bound; this is the run that fills it most.
static void slowest_run_keeps_within_the_memory_of_its_start(void **state)
{
    (void)state;
    struct generator_options options = {.seed = test_seed(),
                                        .pairs = 60000,
                                        .late_ppm = GENERATOR_PPM,
                                        .duplicate_ppm = GENERATOR_PPM,
                                        .refund_ppm = GENERATOR_PPM};
    struct generator *generator = create(&options);
    uint64_t allocations = fault_alloc_count();
    struct generated generated;
    uint64_t messages = 0;
    while (generator_next(generator, &generated)) {
        messages++;
    }
    assert_in_range(messages, 4 * options.pairs, 5 * options.pairs);
    assert_int_equal(fault_alloc_count(), allocations);
    generator_destroy(&generator);
}

static void no_memory_at_the_start_is_an_error(void **state)
{
    (void)state;
    struct generator_options options = {.pairs = 1};
    struct generator *generator = NULL;
    struct why why = {0};
    fault_alloc_arm(1);
    enum err err = generator_create(&options, &generator, &why);
    fault_alloc_disarm();
    assert_int_equal(err, ERR_NO_MEMORY);
    assert_null(generator);
    assert_int_equal(why.code, ERR_NO_MEMORY);
}

static void no_pairs_give_no_messages(void **state)
{
    (void)state;
    struct generator_options options = {.seed = 1, ALL_SHARES(50000)};
    struct generator *generator = create(&options);
    struct generated generated;
    assert_false(generator_next(generator, &generated));
    generator_destroy(&generator);
    generator_destroy(&generator);
    generator_destroy(NULL);
}

static enum err try_create(struct generator_options options)
{
    struct generator *generator = NULL;
    struct why why = {0};
    enum err err = generator_create(&options, &generator, &why);
    assert_int_equal(why.code, err);
    assert_true((err == ERR_OK) == (generator != NULL));
    generator_destroy(&generator);
    return err;
}

#define assert_accepted(...)                                                                       \
    assert_int_equal(try_create((struct generator_options){__VA_ARGS__}), ERR_OK)
#define assert_refused(...)                                                                        \
    assert_int_equal(try_create((struct generator_options){__VA_ARGS__}), ERR_INVALID)

static void limits_of_the_options_are_kept(void **state)
{
    (void)state;
    assert_accepted(.pairs = GENERATOR_PAIRS_MAX - 1);
    assert_accepted(.pairs = GENERATOR_PAIRS_MAX);
    assert_refused(.pairs = GENERATOR_PAIRS_MAX + 1);
    assert_accepted(.first_order_id = GENERATOR_ORDER_ID_MAX - 1);
    assert_accepted(.first_order_id = GENERATOR_ORDER_ID_MAX);
    assert_refused(.first_order_id = GENERATOR_ORDER_ID_MAX + 1);
    assert_refused(.first_order_id = -1);
    assert_accepted(.early_ppm = 400000, .late_ppm = 599999);
    assert_accepted(.early_ppm = 400000, .late_ppm = 600000);
    assert_refused(.early_ppm = 400000, .late_ppm = 600001);
    assert_accepted(.duplicate_ppm = GENERATOR_PPM - 1);
    assert_accepted(.duplicate_ppm = GENERATOR_PPM);
    assert_refused(.duplicate_ppm = GENERATOR_PPM + 1);
    assert_accepted(.orphan_ppm = 400000, .update_ppm = 599999);
    assert_accepted(.orphan_ppm = 400000, .update_ppm = 600000);
    assert_refused(.orphan_ppm = 400000, .update_ppm = 600001);
    assert_refused(.orphan_ppm = UINT32_MAX, .refund_ppm = 1);
    assert_refused(.early_ppm = UINT32_MAX, .late_ppm = 2);
}

static void greatest_ids_still_decode(void **state)
{
    (void)state;
    struct generator_options options = {
        .seed = 1, .pairs = 100, .first_order_id = GENERATOR_ORDER_ID_MAX, .orphan_ppm = 500000};
    struct generator *generator = create(&options);
    struct arena arena;
    assert_int_equal(arena_init(&arena, MESSAGE_SIZE_MAX), ERR_OK);
    struct decode_rules rules = {.default_currency = currency_usd()};
    struct generated generated;
    while (generator_next(generator, &generated)) {
        struct order order;
        struct payment payment;
        struct decode_remarks remarks;
        struct refusal refusal;
        arena_reset(&arena);
        assert_true(
            generated.topic == BUS_ORDERS
                ? order_decode(generated.body, &rules, &arena, &order, &remarks, &refusal)
                : payment_decode(generated.body, &rules, &arena, &payment, &remarks, &refusal));
    }
    arena_deinit(&arena);
    generator_destroy(&generator);
}

static void source_gives_the_same_messages_and_then_ends(void **state)
{
    (void)state;
    struct generator_options options = {.seed = test_seed(), .pairs = 100};
    struct generator *expected = create(&options);
    struct source *source = generator_source(create(&options));
    struct why why = {0};
    struct generated generated;
    struct source_message message;
    assert_int_equal(source->poll_fd(source), -1);
    while (generator_next(expected, &generated)) {
        assert_int_equal(source->next(source, &message, &why), SOURCE_READY);
        assert_int_equal(message.topic, generated.topic);
        assert_true(text_equal(message.body, generated.body));
    }
    assert_int_equal(source->next(source, &message, &why), SOURCE_END);
    source->close(source);
    generator_destroy(&expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seed_1_gives_the_known_bytes),
        cmocka_unit_test(same_seed_gives_the_same_stream_and_another_seed_another),
        cmocka_unit_test(orders_come_once_each_with_ascending_ids),
        cmocka_unit_test(random_order_ids_are_distinct_and_spread),
        cmocka_unit_test(payments_usually_come_soon_after_their_orders),
        cmocka_unit_test(early_payments_come_before_their_orders),
        cmocka_unit_test(first_pairs_can_be_early_too),
        cmocka_unit_test(late_payments_come_far_behind_their_orders),
        cmocka_unit_test(shares_of_stories_and_duplicates_are_as_asked_for),
        cmocka_unit_test(share_of_corrupt_messages_is_as_asked_for),
        cmocka_unit_test(shares_of_early_and_late_payments_are_as_asked_for),
        cmocka_unit_test(share_changes_nothing_but_what_it_names),
        cmocka_unit_test(bodies_are_not_empty_and_fit_on_one_line),
        cmocka_unit_test(slowest_run_keeps_within_the_memory_of_its_start),
        cmocka_unit_test(no_memory_at_the_start_is_an_error),
        cmocka_unit_test(no_pairs_give_no_messages),
        cmocka_unit_test(limits_of_the_options_are_kept),
        cmocka_unit_test(greatest_ids_still_decode),
        cmocka_unit_test(source_gives_the_same_messages_and_then_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
