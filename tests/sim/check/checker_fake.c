// A world made by hand, and its broker: the functions of bus_sim.h that the checker looks through.
#include "checker_fake.h"

#include "dead_letter.h"
#include "order_json.h"
#include "payment_json.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_ARENA_SIZE (4u * 1024u * 1024u)

void fake_init(struct fake *fake, enum store_shape shape)
{
    memset(fake, 0, sizeof(*fake));
    fake->sim = sim_create(1);
    if (arena_init(&fake->arena, FAKE_ARENA_SIZE) != ERR_OK) {
        abort();
    }
    fake->rules = pipeline_rules_default();
    fake->checker = checker_create(&(struct checker_options){
        .sim = fake->sim,
        .broker = &fake->broker,
        .cluster = &fake->cluster,
        .shape = shape,
        .rules = &fake->rules,
    });
}

void fake_deinit(struct fake *fake)
{
    checker_destroy(&fake->checker);
    arena_deinit(&fake->arena);
    sim_destroy(&fake->sim);
}

// --- the broker ---------------------------------------------------------------------------------

static struct text copy_text(struct fake *fake, struct text text)
{
    return (struct text){arena_copy(&fake->arena, text.data, text.size), text.size};
}

static uint64_t publish(struct fake *fake, enum bus_topic topic, struct text data,
                        struct attributes attributes)
{
    size_t at = fake->broker.counts[topic]++;
    assert(at < FAKE_ITEMS_MAX);
    char id[32];
    int size = snprintf(id, sizeof(id), "m%u-%zu", (unsigned)topic, at + 1);
    fake->broker.messages[topic][at] = (struct sim_message){
        .message_id = copy_text(fake, (struct text){id, (size_t)size}),
        .sequence = at + 1,
        .published_us = SIM_EPOCH_US + (int64_t)at * 1000,
        .data = data,
        .attributes = attributes,
    };
    return at + 1;
}

uint64_t fake_publish(struct fake *fake, enum bus_topic topic, const char *body)
{
    return publish(fake, topic, text_of(body), (struct attributes){0});
}

static bool find_event(struct fake *fake, enum bus_topic topic, uint64_t sequence,
                       struct event *out_event)
{
    const struct sim_message *message = &fake->broker.messages[topic][sequence - 1];
    struct decode_remarks remarks;
    struct refusal refusal;
    struct order order;
    struct payment payment;
    bool good = false;
    if (topic == BUS_ORDERS) {
        good = order_decode(message->data, &fake->rules.decode, &fake->arena, &order, &remarks,
                            &refusal);
        if (good) {
            event_of_order(&order, message->published_us, out_event);
        }
    } else {
        good = payment_decode(message->data, &fake->rules.decode, &fake->arena, &payment, &remarks,
                              &refusal);
        if (good) {
            event_of_payment(&payment, message->published_us, out_event);
        }
    }
    return good;
}

struct event fake_event(struct fake *fake, enum bus_topic topic, uint64_t sequence)
{
    struct event event;
    bool good = find_event(fake, topic, sequence, &event);
    assert(good);
    return event;
}

// The ledger's side of it: what is not there when it is acked repeats something that is.
static void count(struct fake *fake, enum bus_topic topic, uint64_t sequence)
{
    struct tally tally = {.topic = topic == BUS_ORDERS ? APPLIED_ORDERS : APPLIED_PAYMENTS,
                          .outcome = OUTCOME_REFUSED,
                          .messages = 1};
    struct event event;
    int64_t minor = 0;
    if (find_event(fake, topic, sequence, &event)) {
        bool stored = cluster_has_event(&fake->cluster, 0, &event);
        tally.outcome = stored ? OUTCOME_STORED : OUTCOME_DUPLICATE;
        if (event_stated_money(&event, &tally.currency, &minor)) {
            tally.amount_minor = minor;
        }
    }
    assert(fake->cluster.tally_count < FAKE_ITEMS_MAX);
    fake->cluster.tallies[fake->cluster.tally_count++] = tally;
    fake->cluster.applied[tally.topic]++;
}

uint64_t fake_letter(struct fake *fake, enum bus_topic topic, uint64_t sequence, enum reason reason,
                     const struct event *event)
{
    const struct sim_message *message = &fake->broker.messages[topic][sequence - 1];
    struct dead_letter letter = {
        .reason = reason,
        .detail = TEXT("what was expected"),
        .body = message->data,
        .source_topic = bus_topic_name(topic),
        .source_message_id = message->message_id,
        .first_seen_us = message->published_us,
        .attempts = 1,
    };
    if (event == NULL) {
        dead_letter_id_of_message(letter.source_topic, letter.source_message_id,
                                  message->published_us, &letter.id);
    } else {
        letter.order_id = event->order_id;
        letter.payment_id = event->kind == EVENT_PAYMENT ? event->entity_id : 0;
        letter.event_id = event->event_id;
        dead_letter_id_of_event(reason, event, &letter.id);
    }
    struct attributes attributes;
    if (dead_letter_attributes(&letter, &fake->arena, &attributes) != ERR_OK) {
        abort();
    }
    return publish(fake, topic == BUS_ORDERS ? BUS_ORDERS_DLQ : BUS_PAYMENTS_DLQ, letter.body,
                   attributes);
}

static void pass(void *context)
{
    (void)context;
}

// A step passes before it, as it does between any two calls of a process.
void fake_ack(struct fake *fake, enum bus_topic topic, uint64_t sequence)
{
    struct sim_message *message = &fake->broker.messages[topic][sequence - 1];
    sim_at(fake->sim, sim_now_us(fake->sim) + 1, pass, NULL);
    (void)sim_run_until(fake->sim, sim_now_us(fake->sim) + 1);
    if (!message->acked && (topic == BUS_ORDERS || topic == BUS_PAYMENTS)) {
        count(fake, topic, sequence);
    }
    message->acked = true;
    fake->broker.acked(fake->broker.acked_context, topic, message);
}

size_t sim_broker_message_count(const struct sim_broker *broker, enum bus_topic topic)
{
    return broker->counts[topic];
}

const struct sim_message *sim_broker_message(const struct sim_broker *broker, enum bus_topic topic,
                                             size_t index)
{
    return &broker->messages[topic][index];
}

size_t sim_broker_unacked(const struct sim_broker *broker, enum bus_topic topic)
{
    size_t count = 0;
    for (size_t i = 0; i < broker->counts[topic]; i++) {
        count += !broker->messages[topic][i].acked;
    }
    return count;
}

void sim_broker_on_acked(struct sim_broker *broker, sim_broker_acked_fn *acked, void *context)
{
    broker->acked = acked;
    broker->acked_context = context;
}
