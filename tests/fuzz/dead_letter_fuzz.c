// Any bytes as a dead letter's attributes, one "key=value" a line. Every letter must give a record,
// and the record must come back from the attributes that are made of it.
#include "codec_check.h"
#include "dead_letter.h"

#define ATTRIBUTES_MAX 64u

static size_t split_lines(struct text rest, struct attribute items[ATTRIBUTES_MAX])
{
    size_t count = 0;
    while (rest.size > 0 && count < ATTRIBUTES_MAX) {
        const char *newline = memchr(rest.data, '\n', rest.size);
        const size_t size = newline ? (size_t)(newline - rest.data) : rest.size;
        const char *equals = memchr(rest.data, '=', size);
        if (equals) {
            const size_t key_size = (size_t)(equals - rest.data);
            items[count++] = (struct attribute){
                .key = {rest.data, key_size},
                .value = {equals + 1, size - key_size - 1},
            };
        }
        const size_t taken = newline ? size + 1 : size;
        rest = (struct text){rest.data + taken, rest.size - taken};
    }
    return count;
}

static void check_record(const struct dead_letter *letter)
{
    fuzz_expect(letter->reason > REASON_NONE && letter->reason < REASON_COUNT
                    ? NULL
                    : "a record has a reason");
    fuzz_expect(letter->detail.size < REFUSAL_DETAIL_SIZE ? NULL : "a detail is limited");
    fuzz_expect(
        text_utf8_valid_prefix(letter->detail) == letter->detail.size ? NULL : "a detail is UTF-8");
    fuzz_expect(letter->order_id >= 0 && letter->payment_id >= 0 ? NULL : "ids are not negative");
    fuzz_expect(letter->event_id.size <= PAYMENT_EVENT_ID_SIZE_MAX ? NULL
                                                                   : "an event id is limited");
}

static void check_same(const struct dead_letter *a, const struct dead_letter *b)
{
    const bool same = hash_equal(&a->id, &b->id) && a->reason == b->reason &&
                      text_equal(a->detail, b->detail) &&
                      text_equal(a->source_topic, b->source_topic) &&
                      text_equal(a->source_message_id, b->source_message_id) &&
                      a->first_seen_us == b->first_seen_us && a->order_id == b->order_id &&
                      a->payment_id == b->payment_id && text_equal(a->event_id, b->event_id) &&
                      a->attempts == b->attempts && a->replay_count == b->replay_count &&
                      a->redacted == b->redacted && a->rebuilt == b->rebuilt;
    fuzz_expect(same ? NULL : "a record comes back from its attributes");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct attribute items[ATTRIBUTES_MAX];
    const struct attributes attributes = {
        items, split_lines((struct text){(const char *)data, size}, items)};
    struct arena arena;
    if (arena_init(&arena, CODEC_CHECK_ARENA_CAP) != ERR_OK) {
        return 0;
    }
    struct dead_letter letter;
    struct dead_letter again;
    struct attributes made;
    enum err err = dead_letter_read(TEXT("body"), attributes, TEXT("7"), 1, &arena, &letter);
    fuzz_expect(err == ERR_OK ? NULL : "every letter gives a record");
    check_record(&letter);
    err = dead_letter_attributes(&letter, &arena, &made);
    fuzz_expect(err == ERR_OK ? NULL : "every record gives attributes");
    err = dead_letter_read(TEXT("body"), made, TEXT("8"), 2, &arena, &again);
    fuzz_expect(err == ERR_OK ? NULL : "its own attributes give a record");
    check_same(&letter, &again);
    arena_deinit(&arena);
    return 0;
}
