// Dead letters' attributes. Writing lists what there is; reading trusts nothing, because anybody
// may publish to a dead-letter topic and no letter may be lost for it.
#include "dead_letter.h"

#include "buf.h"
#include "clock.h"
#include "time_text.h"

#include <assert.h>
#include <string.h>

#define ATTRIBUTES_CAP       16u
#define NUMBER_TEXT_SIZE_MAX 20u // bytes of an int64_t
#define DETAIL_SIZE_MAX      (REFUSAL_DETAIL_SIZE - 1)
#define REASON_SHOWN_MAX     40u // bytes of an unknown reason's name
#define REPLAY_COUNT_MAX     ((UINT64_C(1) << 31) - 1)

// Kept apart, so that no message can have the id of an event. Never changed: ids are stored.
#define ID_TAG_MESSAGE UINT64_C(0x2d67736d2d6c6474) // "tdl-msg-"
#define ID_TAG_EVENT   UINT64_C(0x2d7476652d6c6474) // "tdl-evt-"

#define KEY_ID                TEXT("till_id")
#define KEY_REASON            TEXT("till_reason")
#define KEY_DETAIL            TEXT("till_detail")
#define KEY_SOURCE_TOPIC      TEXT("till_source_topic")
#define KEY_SOURCE_MESSAGE_ID TEXT("till_source_message_id")
#define KEY_FIRST_SEEN        TEXT("till_first_seen")
#define KEY_ATTEMPTS          TEXT("till_attempts")
#define KEY_REPLAY_COUNT      TEXT("till_replay_count")
#define KEY_ORDER_ID          TEXT("till_order_id")
#define KEY_PAYMENT_ID        TEXT("till_payment_id")
#define KEY_EVENT_ID          TEXT("till_event_id")
#define KEY_REDACTED          TEXT("till_redacted")
#define KEY_REBUILT           TEXT("till_rebuilt")
#define KEY_PUBSUB_TIME       TEXT("CloudPubSubDeadLetterSourceTopicPublishTime")
#define KEY_PUBSUB_ATTEMPTS   TEXT("CloudPubSubDeadLetterSourceDeliveryCount")
#define VALUE_TRUE            TEXT("true")

// Sizes come before the bytes, so that no two identities give the same input.
static void hash_text(struct hasher *hasher, struct text text)
{
    hasher_add_u64(hasher, text.size);
    hasher_add(hasher, text.data, text.size);
}

void dead_letter_id_of_message(struct text source_topic, struct text source_message_id,
                               int64_t published_us, struct hash *out_id)
{
    struct hasher hasher;
    hasher_init(&hasher);
    hasher_add_u64(&hasher, ID_TAG_MESSAGE);
    hash_text(&hasher, source_topic);
    hash_text(&hasher, source_message_id);
    hasher_add_u64(&hasher, (uint64_t)published_us);
    hasher_final(&hasher, out_id);
}

static struct text kind_text(enum event_kind kind)
{
    switch (kind) {
    case EVENT_ORDER:
        return TEXT("ORDER");
    case EVENT_PAYMENT:
        return TEXT("PAYMENT");
    case EVENT_NOTE:
        return TEXT("NOTE");
    }
    assert(false);
    return TEXT("");
}

void dead_letter_id_of_event(enum reason reason, const struct event *event, struct hash *out_id)
{
    struct hasher hasher;
    hasher_init(&hasher);
    hasher_add_u64(&hasher, ID_TAG_EVENT);
    hash_text(&hasher, reason_name(reason));
    hash_text(&hasher, kind_text(event->kind));
    hasher_add_u64(&hasher, (uint64_t)event->order_id);
    hasher_add_u64(&hasher, (uint64_t)event->entity_id);
    hasher_add_u64(&hasher, (uint64_t)event->version_rank);
    hash_text(&hasher, event->event_id);
    hasher_add(&hasher, event->hash.bytes, HASH_SIZE);
    hasher_final(&hasher, out_id);
}

// Attributes under construction. Sticky: what the arena refuses is left out, and asked for once.
struct attribute_list {
    struct arena *arena;
    struct attribute *items;
    size_t count;
};

static void add_text(struct attribute_list *list, struct text key, struct text value)
{
    if (list->items == NULL) {
        return;
    }
    assert(list->count < ATTRIBUTES_CAP);
    list->items[list->count++] = (struct attribute){key, value};
}

static void add_copy(struct attribute_list *list, struct text key, const char *bytes, size_t size)
{
    const char *copy = arena_copy(list->arena, bytes, size);
    add_text(list, key, (struct text){copy, copy == NULL ? 0 : size});
}

static void add_number(struct attribute_list *list, struct text key, int64_t value)
{
    char memory[NUMBER_TEXT_SIZE_MAX];
    struct buf number;
    buf_init_fixed(&number, memory, sizeof(memory));
    buf_add_i64(&number, value);
    add_copy(list, key, memory, number.size);
}

static void add_time(struct attribute_list *list, int64_t us)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(us, text);
    add_copy(list, KEY_FIRST_SEEN, text, strlen(text));
    add_copy(list, KEY_PUBSUB_TIME, text, strlen(text));
}

static void add_id(struct attribute_list *list, const struct hash *id)
{
    char hex[HASH_HEX_SIZE];
    hash_format(id, hex);
    add_copy(list, KEY_ID, hex, HASH_HEX_SIZE - 1);
}

// At most `size_max` bytes, cut between characters.
static struct text cut(struct text text, size_t size_max)
{
    if (text.size <= size_max) {
        return text;
    }
    text.size = size_max;
    return (struct text){text.data, text_utf8_valid_prefix(text)};
}

enum err dead_letter_attributes(const struct dead_letter *letter, struct arena *arena,
                                struct attributes *out_attributes)
{
    struct attribute_list list = {.arena = arena};
    list.items = ARENA_ARRAY(arena, struct attribute, ATTRIBUTES_CAP);
    add_id(&list, &letter->id);
    add_text(&list, KEY_REASON, reason_name(letter->reason));
    add_text(&list, KEY_DETAIL, cut(letter->detail, DETAIL_SIZE_MAX));
    add_text(&list, KEY_SOURCE_TOPIC, letter->source_topic);
    add_text(&list, KEY_SOURCE_MESSAGE_ID, letter->source_message_id);
    add_time(&list, letter->first_seen_us);
    add_number(&list, KEY_ATTEMPTS, letter->attempts);
    add_number(&list, KEY_PUBSUB_ATTEMPTS, letter->attempts);
    add_number(&list, KEY_REPLAY_COUNT, letter->replay_count);
    if (letter->order_id != 0) {
        add_number(&list, KEY_ORDER_ID, letter->order_id);
    }
    if (letter->payment_id != 0) {
        add_number(&list, KEY_PAYMENT_ID, letter->payment_id);
    }
    if (letter->event_id.size > 0) {
        add_text(&list, KEY_EVENT_ID, letter->event_id);
    }
    if (letter->redacted) {
        add_text(&list, KEY_REDACTED, VALUE_TRUE);
    }
    if (letter->rebuilt) {
        add_text(&list, KEY_REBUILT, VALUE_TRUE);
    }
    if (arena_overflowed(arena)) {
        return ERR_NO_MEMORY;
    }
    *out_attributes = (struct attributes){list.items, list.count};
    return ERR_OK;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_id(struct text text, struct hash *out_id)
{
    if (text.size != 2 * (size_t)HASH_SIZE) {
        return false;
    }
    struct hash id;
    for (size_t i = 0; i < HASH_SIZE; i++) {
        const int high = hex_value(text.data[2 * i]);
        const int low = hex_value(text.data[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        id.bytes[i] = (unsigned char)(high << 4 | low);
    }
    *out_id = id;
    return true;
}

// Numbers that are not there, no numbers or beyond `max` are 0.
static uint64_t read_number(struct text text, uint64_t max)
{
    uint64_t value;
    return text_parse_u64(text, &value) && value <= max ? value : 0;
}

static uint32_t read_attempts(struct attributes attributes)
{
    const struct text own = attributes_get(attributes, KEY_ATTEMPTS);
    const struct text text = own.size > 0 ? own : attributes_get(attributes, KEY_PUBSUB_ATTEMPTS);
    return (uint32_t)read_number(text, UINT32_MAX);
}

// A count that can't be read must not look like a fresh letter: that one would be replayed for
// ever.
static uint32_t read_replay_count(struct text text)
{
    uint64_t value;
    if (text.data == NULL) {
        return 0;
    }
    return text_parse_u64(text, &value) && value <= REPLAY_COUNT_MAX ? (uint32_t)value : UINT32_MAX;
}

static int64_t read_first_seen(struct attributes attributes)
{
    int64_t us = 0;
    if (!time_text_parse_rfc3339(attributes_get(attributes, KEY_FIRST_SEEN), &us)) {
        time_text_parse_rfc3339(attributes_get(attributes, KEY_PUBSUB_TIME), &us);
    }
    return us;
}

static struct text read_event_id(struct text text)
{
    const bool good = text.size <= PAYMENT_EVENT_ID_SIZE_MAX &&
                      memchr(text.data == NULL ? "" : text.data, '\0', text.size) == NULL;
    return good ? text : TEXT("");
}

// As it stands when we wrote it; escaped when somebody else did and it needs that.
static bool is_plain(struct text text)
{
    for (size_t i = 0; i < text.size; i++) {
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7F) {
            return false;
        }
    }
    return text_utf8_valid_prefix(text) == text.size;
}

static void add_detail(struct buf *out, struct text detail)
{
    char memory[4 * DETAIL_SIZE_MAX + sizeof("...")];
    struct buf escaped;
    buf_init_fixed(&escaped, memory, sizeof(memory));
    if (!is_plain(detail)) {
        buf_add_escaped(&escaped, detail, DETAIL_SIZE_MAX);
        detail = buf_view(&escaped);
    }
    buf_add_text(out, cut(detail, out->cap - out->size));
}

static void read_reason(struct attributes attributes, struct arena *arena,
                        struct dead_letter *letter)
{
    const struct text name = attributes_get(attributes, KEY_REASON);
    const struct text detail = attributes_get(attributes, KEY_DETAIL);
    const bool known = reason_find(name, &letter->reason);
    if (known && detail.size <= DETAIL_SIZE_MAX && is_plain(detail)) {
        letter->detail = detail;
        return;
    }
    char *memory = arena_alloc(arena, DETAIL_SIZE_MAX);
    if (memory == NULL) {
        return;
    }
    struct buf made;
    buf_init_fixed(&made, memory, DETAIL_SIZE_MAX);
    if (!known) {
        letter->reason = REASON_E_POISON;
        buf_add_str(&made, name.size > 0 ? "unknown reason " : "no reason");
        buf_add_escaped(&made, name, REASON_SHOWN_MAX);
        buf_add_str(&made, detail.size > 0 ? ": " : "");
    }
    add_detail(&made, detail);
    letter->detail = buf_view(&made);
}

enum err dead_letter_read(struct text body, struct attributes attributes, struct text message_id,
                          int64_t published_us, struct arena *arena, struct dead_letter *out_letter)
{
    struct dead_letter letter = {
        .body = body,
        .source_topic = attributes_get(attributes, KEY_SOURCE_TOPIC),
        .source_message_id = attributes_get(attributes, KEY_SOURCE_MESSAGE_ID),
        .first_seen_us = read_first_seen(attributes),
        .order_id = (int64_t)read_number(attributes_get(attributes, KEY_ORDER_ID), INT64_MAX),
        .payment_id = (int64_t)read_number(attributes_get(attributes, KEY_PAYMENT_ID), INT64_MAX),
        .event_id = read_event_id(attributes_get(attributes, KEY_EVENT_ID)),
        .attempts = read_attempts(attributes),
        .replay_count = read_replay_count(attributes_get(attributes, KEY_REPLAY_COUNT)),
        .redacted = text_equal(attributes_get(attributes, KEY_REDACTED), VALUE_TRUE),
        .rebuilt = text_equal(attributes_get(attributes, KEY_REBUILT), VALUE_TRUE),
    };
    read_reason(attributes, arena, &letter);
    if (!parse_id(attributes_get(attributes, KEY_ID), &letter.id)) {
        dead_letter_id_of_message(letter.source_topic, message_id, published_us, &letter.id);
    }
    if (arena_overflowed(arena)) {
        return ERR_NO_MEMORY;
    }
    *out_letter = letter;
    return ERR_OK;
}
