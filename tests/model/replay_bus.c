// The bus seam of a replay. Pulling is no step of its own: a program starts with its messages in hand.
#include "replay_seams.h"

#include <assert.h>

static struct seams *seams_of(struct bus *bus)
{
    return (struct seams *)((char *)bus - offsetof(struct seams, bus));
}

static enum err ask_to_ack(struct seams *seams, enum call_kind kind, uint64_t mask)
{
    struct call call = {.kind = (uint8_t)kind, .mask = mask};
    return seams_ask(seams, &call, NULL);
}

static size_t pull_letter(const struct seams *seams, struct bus_message *messages)
{
    const struct letter *letter = &seams->universe->letters[seams->program->letter];
    messages[0] = (struct bus_message){
        .message_id = TEXT("letter"),
        .published_us = seams->universe->time.wall_us,
        .delivery_attempt = 1,
        .data = letter->body,
        .attributes = letter->attributes,
        .handle = {.number = seams->program->letter},
    };
    return 1;
}

static size_t pull_batch(const struct seams *seams, enum bus_topic topic,
                         struct bus_message *messages)
{
    size_t count = 0;
    for (unsigned i = 0; i < seams->universe->message_count; i++) {
        if (has_bit(seams->program->messages, i) &&
            seams->universe->world->messages[i].topic == topic) {
            messages[count++] = seams->universe->messages[i];
        }
    }
    return count;
}

static enum err pull(struct bus *bus, enum bus_topic subscription, size_t count_max,
                     size_t size_max, struct arena *arena, struct bus_message **out_messages,
                     size_t *out_count, struct why *why)
{
    (void)count_max;
    (void)size_max;
    (void)why;
    struct seams *seams = seams_of(bus);
    struct bus_message *messages = ARENA_ARRAY(arena, struct bus_message, WORLD_MESSAGES_MAX);
    assert(messages != NULL);
    *out_messages = messages;
    *out_count = 0;
    if (seams->program->kind == PROCESS_DEAD_LETTERS) {
        *out_count = subscription == BUS_PAYMENTS_DLQ ? pull_letter(seams, messages) : 0;
        return ERR_OK;
    }
    *out_count = pull_batch(seams, subscription, messages);
    bool acks_now = seams_variant(seams, VARIANT_ACK_BEFORE_WRITE) && subscription == BUS_ORDERS;
    return acks_now ? ask_to_ack(seams, CALL_ACK, seams->program->messages) : ERR_OK;
}

static enum err ack(struct bus *bus, enum bus_topic subscription, const struct bus_handle *handles,
                    size_t count, struct why *why)
{
    (void)subscription;
    (void)why;
    struct seams *seams = seams_of(bus);
    uint64_t mask = 0;
    for (size_t i = 0; i < count; i++) {
        mask |= UINT64_C(1) << handles[i].number;
    }
    if (seams->program->kind == PROCESS_DEAD_LETTERS) {
        return ask_to_ack(seams, CALL_ACK_LETTER, mask);
    }
    bool removed =
        seams_removed(seams, REMOVE_ACK) || seams_variant(seams, VARIANT_ACK_BEFORE_WRITE);
    return removed ? ERR_OK : ask_to_ack(seams, CALL_ACK, mask);
}

static enum err nack(struct bus *bus, enum bus_topic subscription, const struct bus_handle *handles,
                     size_t count, struct why *why)
{
    (void)bus;
    (void)subscription;
    (void)handles;
    (void)count;
    (void)why;
    return ERR_OK; // the message comes again anyway, as it was not acked
}

// Numbers of the letters among these messages that are really published.
static enum err letters_in(struct seams *seams, const struct bus_outgoing *messages, size_t count,
                           uint64_t *out_mask)
{
    struct arena arena = {0};
    enum err err = arena_init(&arena, 65536);
    assert(err == ERR_OK);
    for (size_t i = 0; i < count; i++) {
        struct dead_letter letter;
        err = dead_letter_read(messages[i].data, messages[i].attributes, TEXT("letter"), 0, &arena,
                               &letter);
        assert(err == ERR_OK);
        bool unmatched = letter.reason == REASON_E_UNMATCHED;
        bool removed =
            seams_removed(seams, unmatched ? REMOVE_PUBLISH : REMOVE_PUBLISH_CONFLICT) ||
            seams_variant(seams, VARIANT_UNAWAITED_DEAD_LETTER); // never comes out: the worst case
        unsigned number = universe_letter(seams->universe, &letter, messages[i].attributes);
        *out_mask |= removed ? 0 : UINT64_C(1) << number;
    }
    arena_deinit(&arena);
    return err;
}

static enum err publish(struct bus *bus, enum bus_topic topic, const struct bus_outgoing *messages,
                        size_t count, struct why *why)
{
    (void)topic;
    (void)why;
    struct seams *seams = seams_of(bus);
    struct call call = {.kind = CALL_PUBLISH};
    enum err err = letters_in(seams, messages, count, &call.mask);
    return err == ERR_OK && call.mask != 0 ? seams_ask(seams, &call, NULL) : err;
}

const struct bus_ops replay_bus_ops = {
    .publish = publish,
    .pull = pull,
    .ack = ack,
    .nack = nack,
};
