// The rules by which cells merge, and partitions as sets of rows.
#include "replica.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the four before it
#include <cmocka.h>

static struct cell number(int64_t timestamp, int64_t value)
{
    return (struct cell){.timestamp = timestamp, .kind = CELL_NUMBER, .number = value};
}

static struct cell tombstone(int64_t timestamp)
{
    return (struct cell){.timestamp = timestamp, .kind = CELL_TOMBSTONE};
}

static void assert_wins(struct cell winner, struct cell loser)
{
    assert_true(cell_wins(&winner, &loser));
    assert_false(cell_wins(&loser, &winner));
}

static void greater_timestamp_wins_whatever_the_value(void **state)
{
    (void)state;
    assert_wins(number(2, 0), number(1, 9));
    assert_wins(number(2, 0), tombstone(1));
    assert_wins(tombstone(2), number(1, 9));
    assert_wins(number(0, 0), number(-1, 9));
}

static void tombstone_beats_a_value_of_the_same_time(void **state)
{
    (void)state;
    assert_wins(tombstone(7), number(7, INT64_MAX));
    struct cell one = tombstone(7);
    struct cell other = tombstone(7);
    assert_false(cell_wins(&one, &other));
}

static void larger_bytes_win_at_the_same_time(void **state)
{
    (void)state;
    assert_wins(number(7, 2), number(7, 1));
    assert_wins(number(7, -1), number(7, 1)); // as bytes, not as numbers
    static const struct text texts[] = {{"a", 1}, {"ab", 2}, {"b", 1}};
    for (size_t i = 1; i < 3; i++) {
        struct cell low = {.timestamp = 7, .kind = CELL_TEXT, .object = &texts[i - 1]};
        struct cell high = {.timestamp = 7, .kind = CELL_TEXT, .object = &texts[i]};
        assert_wins(high, low);
    }
    static const struct hash hashes[] = {{{1}}, {{2}}};
    assert_wins((struct cell){.timestamp = 7, .kind = CELL_HASH, .object = &hashes[1]},
                (struct cell){.timestamp = 7, .kind = CELL_HASH, .object = &hashes[0]});
}

static void the_same_cell_again_changes_nothing(void **state)
{
    (void)state;
    struct cell one = number(7, 5);
    struct cell other = number(7, 5);
    assert_false(cell_wins(&one, &other));
    struct cell unset = {0};
    assert_wins(number(INT64_MIN, 0), unset);
    assert_false(cell_wins(&unset, &unset));
}

struct bed {
    struct sim *sim;
    struct pool pool;
    struct replica replica;
};

static void make_bed(struct bed *bed, uint64_t seed)
{
    bed->sim = sim_create(seed);
    bed->pool = (struct pool){.sim = bed->sim};
    replica_init(&bed->replica, &bed->pool);
}

static bool put(struct bed *bed, int64_t partition, int64_t row, uint32_t column, struct cell cell,
                int64_t now_us)
{
    struct put put = {TABLE_FACTS, column, {.first = row}, cell};
    return replica_put(&bed->replica, (struct partition_key){partition, 0}, &put, now_us);
}

// Writes drawn from few cells and few timestamps; one replica has them in order, the other shuffled and
// some twice.
static void same_writes_give_the_same_data_in_any_order(void **state)
{
    (void)state;
    enum { WRITES = 2000 };
    static struct put puts[WRITES];
    struct bed ordered;
    struct bed shuffled;
    make_bed(&ordered, 1);
    make_bed(&shuffled, 2);
    struct rand *rand = sim_rand(ordered.sim);
    for (size_t i = 0; i < WRITES; i++) {
        int64_t timestamp = rand_between(rand, 0, 9);
        bool deletes = rand_below(rand, 8) == 0;
        puts[i] = (struct put){TABLE_FACTS,
                               (uint32_t)rand_below(rand, 11),
                               {.first = rand_between(rand, 0, 50)},
                               deletes ? tombstone(timestamp)
                                       : number(timestamp, rand_between(rand, -3, 3))};
        (void)replica_put(&ordered.replica, (struct partition_key){puts[i].key.first % 7, 0},
                          &puts[i], 0);
    }
    for (size_t i = 0; i < 20 * WRITES; i++) {
        size_t at = i < WRITES ? WRITES - 1 - i : (size_t)rand_below(rand, WRITES);
        (void)replica_put(&shuffled.replica, (struct partition_key){puts[at].key.first % 7, 0},
                          &puts[at], 0);
    }
    for (int64_t key = 0; key < 7; key++) {
        const struct partition *a =
            replica_find(&ordered.replica, TABLE_FACTS, (struct partition_key){key, 0});
        const struct partition *b =
            replica_find(&shuffled.replica, TABLE_FACTS, (struct partition_key){key, 0});
        struct partition *merged = partition_create(&ordered.pool, TABLE_FACTS, a->key);
        assert_true(partition_merge(&ordered.pool, merged, a));
        assert_false(partition_merge(&ordered.pool, merged, b));
        partition_destroy(&ordered.pool, merged);
    }
    sim_destroy(&ordered.sim);
    sim_destroy(&shuffled.sim);
}

static void partitions_are_found_among_many(void **state)
{
    (void)state;
    struct bed bed;
    make_bed(&bed, 1);
    for (int64_t key = -1000; key < 1000; key++) {
        assert_true(put(&bed, key, 0, 0, number(1, key), 0));
    }
    for (int64_t key = -1000; key < 1000; key++) {
        const struct partition *partition =
            replica_find(&bed.replica, TABLE_FACTS, (struct partition_key){key, 0});
        assert_non_null(partition);
        assert_int_equal(partition->rows[0]->cells[0].number, key);
        assert_null(replica_find(&bed.replica, TABLE_FACTS, (struct partition_key){key, 1}));
        assert_null(replica_find(&bed.replica, TABLE_EVENTS, (struct partition_key){key, 0}));
    }
    replica_clear(&bed.replica);
    assert_null(replica_find(&bed.replica, TABLE_FACTS, (struct partition_key){0, 0}));
    sim_destroy(&bed.sim);
}

static int64_t number_at(const struct bed *bed, int64_t row)
{
    const struct partition *partition =
        replica_find(&bed->replica, TABLE_FACTS, (struct partition_key){1, 0});
    const struct row *found = partition_row(partition, &(struct row_key){.first = row});
    return cell_is_set(&found->cells[0]) ? found->cells[0].number : -1;
}

static void what_is_younger_is_forgotten_unless_it_was_overwritten(void **state)
{
    (void)state;
    struct bed bed;
    make_bed(&bed, 1);
    bed.replica.undo_us = 100;
    assert_true(put(&bed, 1, 1, 0, number(1, 10), 1000));
    assert_true(put(&bed, 1, 2, 0, number(1, 20), 1099));
    assert_true(put(&bed, 1, 1, 0, number(2, 11), 1100));
    assert_true(put(&bed, 1, 3, 0, number(1, 30), 1101));
    replica_forget_since(&bed.replica, 1100);
    assert_int_equal(number_at(&bed, 1), 10);
    assert_int_equal(number_at(&bed, 2), 20);
    assert_int_equal(number_at(&bed, 3), -1);
    replica_forget_since(&bed.replica, 0); // what was kept then is on the disk
    assert_int_equal(number_at(&bed, 1), 10);
    sim_destroy(&bed.sim);
}

int main(void)
{
    const struct CMUnitTest claims[] = {
        cmocka_unit_test(greater_timestamp_wins_whatever_the_value),
        cmocka_unit_test(tombstone_beats_a_value_of_the_same_time),
        cmocka_unit_test(larger_bytes_win_at_the_same_time),
        cmocka_unit_test(the_same_cell_again_changes_nothing),
        cmocka_unit_test(same_writes_give_the_same_data_in_any_order),
        cmocka_unit_test(partitions_are_found_among_many),
        cmocka_unit_test(what_is_younger_is_forgotten_unless_it_was_overwritten),
    };
    return cmocka_run_group_tests_name("replica", claims, NULL, NULL);
}
