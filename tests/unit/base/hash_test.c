// SipHash-2-4-128 against its published vectors, and the pieces it may be fed in.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above it first.
#include <cmocka.h>

#include "hash.h"
#include "hash_internal.h"
#include "test_seed.h"

#include <string.h>

// Key 00 01 ... 0f; the n-th is of the n bytes 00 01 ... n-1.
static const char *const vectors[64] = {
    "a3817f04ba25a8e66df67214c7550293", "da87c1d86b99af44347659119b22fc45",
    "8177228da4a45dc7fca38bdef60affe4", "9c70b60c5267a94e5f33b6b02985ed51",
    "f88164c12d9c8faf7d0f6e7c7bcd5579", "1368875980776f8854527a07690e9627",
    "14eeca338b208613485ea0308fd7a15e", "a1f1ebbed8dbc153c0b84aa61ff08239",
    "3b62a9ba6258f5610f83e264f31497b4", "264499060ad9baabc47f8b02bb6d71ed",
    "00110dc378146956c95447d3f3d0fbba", "0151c568386b6677a2b4dc6f81e5dc18",
    "d626b266905ef35882634df68532c125", "9869e247e9c08b10d029934fc4b952f7",
    "31fcefac66d7de9c7ec7485fe4494902", "5493e99933b0a8117e08ec0f97cfc3d9",
    "6ee2a4ca67b054bbfd3315bf85230577", "473d06e8738db89854c066c47ae47740",
    "a426e5e423bf4885294da481feaef723", "78017731cf65fab074d5208952512eb1",
    "9e25fc833f2290733e9344a5e83839eb", "568e495abe525a218a2214cd3e071d12",
    "4a29b54552d16b9a469c10528eff0aae", "c9d184ddd5a9f5e0cf8ce29a9abf691c",
    "2db479ae78bd50d8882a8a178a6132ad", "8ece5f042d5e447b5051b9eacb8d8f6f",
    "9c0b53b4b3c307e87eaee08678141f66", "abf248af69a6eae4bfd3eb2f129eeb94",
    "0664da1668574b88b935f3027358aef4", "aa4b9dc4bf337de90cd4fd3c467c6ab7",
    "ea5c7f471faf6bde2b1ad7d4686d2287", "2939b0183223fafc1723de4f52c43d35",
    "7c3956ca5eeafc3e363e9d556546eb68", "77c6077146f01c32b6b69d5f4ea9ffcf",
    "37a6986cb8847edf0925f0f1309b54de", "a705f0e69da9a8f907241a2e923c8cc8",
    "3dc47d1f29c448461e9e76ed904f6711", "0d62bf01e6fc0e1a0d3c4751c5d3692b",
    "8c03468bca7c669ee4fd5e084bbee7b5", "528a5bb93baf2c9c4473cce5d0d22bd9",
    "df6a301e95c95dad97ae0cc8c6913bd8", "801189902c857f39e73591285e70b6db",
    "e617346ac9c231bb3650ae34ccca0c5b", "27d93437efb721aa401821dcec5adf89",
    "89237d9ded9c5e78d8b1c9b166cc7342", "4a6d8091bf5e7d651189fa94a250b14c",
    "0e33f96055e7ae893ffc0e3dcf492902", "e61c432b720b19d18ec8d84bdc63151b",
    "f7e5aef549f782cf379055a608269b16", "438d030fd0b7a54fa837f2ad201a6403",
    "a590d3ee4fbf04e3247e0d27f286423f", "5fe2c1a172fe93c4b15cd37caef9f538",
    "2c97325cbd06b36eb2133dd08b3a017c", "92c814227a6bca949ff0659f002ad39e",
    "dce850110bd8328cfbd50841d6911d87", "67f14984c7da791248e32bb5922583da",
    "1938f2cf72d54ee97e94166fa91d2a36", "74481e9646ed49fe0f6224301604698e",
    "57fca5de98a9d6d8006438d0583d8a1d", "9fecde1cefdc1cbed4763674d9575359",
    "e3040c00eb28f15366ca73cbd872e740", "7697009a6a831dfecca91c5993670f7a",
    "5853542321f567a005d547a4f04759bd", "5150d1772f50834a503e069a973fbd7c",
};

static void hash_with_vector_key(const unsigned char *bytes, size_t size, char hex[HASH_HEX_SIZE])
{
    struct hasher hasher;
    struct hash hash;
    hasher_init_keyed(&hasher, UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908));
    hasher_add(&hasher, bytes, size);
    hasher_final(&hasher, &hash);
    hash_format(&hash, hex);
}

static void fill_counting(unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (unsigned char)i;
    }
}

static void published_vectors_are_met(void **state)
{
    (void)state;
    unsigned char bytes[64];
    fill_counting(bytes, sizeof(bytes));
    for (size_t size = 0; size < 64; size++) {
        char hex[HASH_HEX_SIZE];
        hash_with_vector_key(bytes, size, hex);
        assert_string_equal(hex, vectors[size]);
    }
}

// The size enters the hash modulo 256. Expected values are those of OpenSSL 3.
static void long_inputs_agree_with_another_implementation(void **state)
{
    (void)state;
    unsigned char bytes[1000];
    fill_counting(bytes, sizeof(bytes));
    char hex[HASH_HEX_SIZE];
    hash_with_vector_key(bytes, 256, hex);
    assert_string_equal(hex, "67a00304d3834c4612eaee7b5f579acb");
    hash_with_vector_key(bytes, 257, hex);
    assert_string_equal(hex, "1b25fee1ef6fbb23179c26056c2995fc");
    hash_with_vector_key(bytes, 1000, hex);
    assert_string_equal(hex, "24dafa789ae03d86536a4b57372f0ba6");
}

// Hashes are stored, so a change of the key would make every stored one a stranger.
static void fixed_key_never_changes(void **state)
{
    (void)state;
    struct hash hash;
    char hex[HASH_HEX_SIZE];
    hash_bytes(NULL, 0, &hash);
    hash_format(&hash, hex);
    assert_string_equal(hex, "1aa3b1d5970f91fce131cc11b72fb113");
    hash_bytes("till", 4, &hash);
    hash_format(&hash, hex);
    assert_string_equal(hex, "e4afea06320c5f204223355737ad7967");
}

static void pieces_hash_as_the_whole(void **state)
{
    (void)state;
    unsigned char bytes[40];
    fill_counting(bytes, sizeof(bytes));
    struct hash whole;
    hash_bytes(bytes, sizeof(bytes), &whole);
    for (size_t first = 0; first <= sizeof(bytes); first++) {
        for (size_t second = first; second <= sizeof(bytes); second++) {
            struct hasher hasher;
            struct hash hash;
            hasher_init(&hasher);
            hasher_add(&hasher, bytes, first);
            hasher_add(&hasher, bytes + first, second - first);
            hasher_add(&hasher, bytes + second, sizeof(bytes) - second);
            hasher_final(&hasher, &hash);
            assert_true(hash_equal(&hash, &whole));
        }
    }
}

static void number_hashes_as_its_eight_bytes_at_any_offset(void **state)
{
    (void)state;
    for (size_t before = 0; before <= 17; before++) {
        unsigned char bytes[17 + 8 + 3];
        fill_counting(bytes, sizeof(bytes));
        memcpy(bytes + before, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
        struct hash expected;
        hash_bytes(bytes, before + 8 + 3, &expected);

        struct hasher hasher;
        struct hash hash;
        hasher_init(&hasher);
        hasher_add(&hasher, bytes, before);
        hasher_add_u64(&hasher, UINT64_C(0x0102030405060708));
        hasher_add(&hasher, bytes + before + 8, 3);
        hasher_final(&hasher, &hash);
        assert_true(hash_equal(&hash, &expected));
    }
}

static void asking_for_the_result_changes_nothing(void **state)
{
    (void)state;
    struct hasher hasher;
    struct hash first;
    struct hash second;
    hasher_init(&hasher);
    hasher_add(&hasher, "abc", 3);
    hasher_final(&hasher, &first);
    hasher_final(&hasher, &second);
    assert_true(hash_equal(&first, &second));
    hasher_add(&hasher, "def", 3);
    hasher_final(&hasher, &second);
    hash_bytes("abcdef", 6, &first);
    assert_true(hash_equal(&first, &second));
}

static void zeros_of_different_number_differ(void **state)
{
    (void)state;
    static const unsigned char zeros[32];
    struct hash hashes[33];
    for (size_t size = 0; size <= 32; size++) {
        hash_bytes(zeros, size, &hashes[size]);
        for (size_t shorter = 0; shorter < size; shorter++) {
            assert_false(hash_equal(&hashes[size], &hashes[shorter]));
        }
    }
}

static void order_is_that_of_the_hex_text(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, test_seed());
    for (int i = 0; i < 1000; i++) {
        struct hash a;
        struct hash b;
        uint64_t number = rand_u64(&rand);
        hash_bytes(&number, 8, &a);
        number++;
        hash_bytes(&number, 8, &b);
        char hex_a[HASH_HEX_SIZE];
        char hex_b[HASH_HEX_SIZE];
        hash_format(&a, hex_a);
        hash_format(&b, hex_b);
        assert_true((hash_compare(&a, &b) < 0) == (strcmp(hex_a, hex_b) < 0));
        assert_true((hash_compare(&a, &b) > 0) == (hash_compare(&b, &a) < 0));
        assert_int_equal(hash_compare(&a, &a), 0);
    }
}

static void mix_moves_about_half_of_the_bits(void **state)
{
    (void)state;
    struct rand rand;
    rand_seed(&rand, test_seed());
    for (int bit = 0; bit < 64; bit++) {
        int moved = 0;
        for (int i = 0; i < 256; i++) {
            uint64_t value = rand_u64(&rand);
            uint64_t neighbour = value ^ UINT64_C(1) << bit;
            moved += __builtin_popcountll(hash_mix_u64(value) ^ hash_mix_u64(neighbour));
        }
        assert_in_range(moved / 256, 28, 36);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors_are_met),
        cmocka_unit_test(long_inputs_agree_with_another_implementation),
        cmocka_unit_test(fixed_key_never_changes),
        cmocka_unit_test(pieces_hash_as_the_whole),
        cmocka_unit_test(number_hashes_as_its_eight_bytes_at_any_offset),
        cmocka_unit_test(asking_for_the_result_changes_nothing),
        cmocka_unit_test(zeros_of_different_number_differ),
        cmocka_unit_test(order_is_that_of_the_hex_text),
        cmocka_unit_test(mix_moves_about_half_of_the_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
