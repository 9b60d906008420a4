// Luhn from the right, prefixes as text: unlike the code under test on purpose.
#include "card_numbers.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct issuer {
    const char *first; // prefixes of equal size, both included
    const char *last;
    unsigned length_min;
    unsigned length_max;
};

static const struct issuer issuers[] = {
    {"4", "4", 13, 13},       {"4", "4", 16, 16},       {"4", "4", 19, 19},
    {"51", "55", 16, 16},     {"2221", "2720", 16, 16}, {"34", "34", 15, 15},
    {"37", "37", 15, 15},     {"6011", "6011", 16, 19}, {"644", "649", 16, 19},
    {"65", "65", 16, 19},     {"62", "62", 16, 19},     {"81", "81", 16, 19},
    {"3528", "3589", 16, 19}, {"300", "305", 14, 19},   {"3095", "3095", 14, 19},
    {"36", "36", 14, 19},     {"38", "39", 14, 19},     {"5018", "5018", 13, 19},
    {"5020", "5020", 13, 19}, {"5038", "5038", 13, 19}, {"5893", "5893", 13, 19},
    {"6304", "6304", 13, 19}, {"6390", "6390", 13, 19}, {"6759", "6763", 13, 19},
    {"2200", "2204", 16, 19}, {"5085", "5089", 16, 16}, {"6069", "6085", 16, 16},
    {"82", "82", 16, 16},     {"9792", "9792", 16, 16},
};
#define ISSUER_COUNT (sizeof(issuers) / sizeof(issuers[0]))

static unsigned luhn_sum(const char *digits, unsigned count)
{
    unsigned sum = 0;
    for (unsigned from_right = 0; from_right < count; from_right++) {
        unsigned digit = (unsigned)(digits[count - 1 - from_right] - '0');
        if (from_right % 2 == 1) {
            digit *= 2;
        }
        sum += digit / 10 + digit % 10;
    }
    return sum;
}

static bool is_card(const char *digits, unsigned count)
{
    for (size_t i = 0; i < ISSUER_COUNT; i++) {
        const size_t size = strlen(issuers[i].first);
        if (count >= issuers[i].length_min && count <= issuers[i].length_max &&
            strncmp(digits, issuers[i].first, size) >= 0 &&
            strncmp(digits, issuers[i].last, size) <= 0) {
            return luhn_sum(digits, count) % 10 == 0;
        }
    }
    return false;
}

static void set_check_digit(char *number, unsigned length)
{
    number[length] = '\0';
    number[length - 1] = '0';
    number[length - 1] = (char)('0' + (10 - luhn_sum(number, length) % 10) % 10);
}

void card_number_make(const char *prefix, unsigned length, char out[CARD_NUMBER_SIZE])
{
    assert(length < CARD_NUMBER_SIZE && strlen(prefix) < length);
    memset(out, '0', length);
    memcpy(out, prefix, strlen(prefix));
    set_check_digit(out, length);
}

void card_number_draw(struct rand *rand, char out[CARD_NUMBER_SIZE])
{
    const struct issuer *issuer = &issuers[rand_below(rand, ISSUER_COUNT)];
    const size_t prefix_size = strlen(issuer->first);
    const int64_t prefix = rand_between(rand, atoll(issuer->first), atoll(issuer->last));
    const unsigned length = (unsigned)rand_between(rand, issuer->length_min, issuer->length_max);
    int64_t rest = prefix;
    for (size_t i = prefix_size; i-- > 0; rest /= 10) {
        out[i] = (char)('0' + rest % 10);
    }
    for (size_t i = prefix_size; i < length; i++) {
        out[i] = (char)('0' + rand_below(rand, 10));
    }
    set_check_digit(out, length);
}

static bool is_digit(struct text text, size_t i)
{
    return i < text.size && text.data[i] >= '0' && text.data[i] <= '9';
}

static bool stretch_is_card(struct text text, size_t start, size_t end)
{
    char digits[CARD_NUMBER_SIZE];
    unsigned count = 0;
    unsigned separators = 0;
    for (size_t i = start; i < end; i++) {
        if (is_digit(text, i)) {
            if (count == CARD_NUMBER_SIZE - 1) {
                return false;
            }
            digits[count++] = text.data[i];
            separators = 0;
        } else if ((text.data[i] != ' ' && text.data[i] != '-') || ++separators > 3) {
            return false;
        }
    }
    return is_card(digits, count);
}

bool card_number_naive_scan(struct text text)
{
    for (size_t start = 0; start < text.size; start++) {
        if (!is_digit(text, start) || (start > 0 && is_digit(text, start - 1))) {
            continue;
        }
        for (size_t end = start + 13; end <= text.size; end++) {
            if (is_digit(text, end - 1) && !is_digit(text, end) &&
                stretch_is_card(text, start, end)) {
                return true;
            }
        }
    }
    return false;
}
