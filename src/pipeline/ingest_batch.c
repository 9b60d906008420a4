// Gather, publish, settle. The order of messages is kept within a connection and topic: a topic's
// messages of one connection lie in the batch in their order, and no later batch is gathered before
// this one is published.
#include "ingest_batch.h"

#include "failpoint.h"

#include <assert.h>

static bool is_full(const struct ingest_batch *batch)
{
    return batch->count == INGEST_BATCH_COUNT_MAX || batch->size >= INGEST_BATCH_SIZE_MAX;
}

static void gather_from(struct ingest_batch *batch, struct connection *connections, size_t index)
{
    struct connection *connection = &connections[index];
    struct connection_frame frame;
    while (!is_full(batch) && connection_take_frame(connection, &frame)) {
        struct ingest_topic_batch *topic = &batch->topics[frame.topic == BUS_PAYMENTS ? 1 : 0];
        topic->messages[topic->count] = (struct bus_outgoing){.data = frame.body};
        topic->origins[topic->count] = (struct ingest_origin){
            .connection = (uint32_t)index,
            .number = (uint32_t)(connection->taken_count - 1),
        };
        topic->count++;
        batch->count++;
        batch->size += frame.body.size;
    }
    batch->settled_counts[index] = connection->taken_count;
}

bool ingest_batch_gather(struct ingest_batch *batch, struct connection *connections)
{
    assert(batch->count == 0);
    for (size_t i = 0; i < INGEST_CONNECTIONS_MAX; i++) {
        gather_from(batch, connections, (batch->first_connection + i) % INGEST_CONNECTIONS_MAX);
    }
    batch->first_connection = (batch->first_connection + 1) % INGEST_CONNECTIONS_MAX;
    return batch->count > 0;
}

// The bus will never take this message. Its connection ends; what came before it is acknowledged.
static void refuse(struct ingest_batch *batch, const struct ingest_origin *origin,
                   struct connection *connections, const struct why *why)
{
    connection_refuse(&connections[origin->connection], WIRE_REFUSED_BUS_REFUSED,
                      "the bus refuses a message: %s", why->text);
    if (origin->number < batch->settled_counts[origin->connection]) {
        batch->settled_counts[origin->connection] = origin->number;
    }
}

// Publishes as much of a topic as the bus takes in one call, or finds the message that it refuses.
static enum err publish_some(struct ingest_batch *batch, struct ingest_topic_batch *topic,
                             enum bus_topic number, struct bus *bus, struct connection *connections,
                             struct why *why)
{
    const struct ingest_origin *origin = &topic->origins[topic->done];
    if (batch->settled_counts[origin->connection] <= origin->number) {
        topic->done++; // behind a message that was refused
        return ERR_OK;
    }
    size_t count = batch->one_by_one ? 1 : topic->count - topic->done;
    enum err err = bus_publish(bus, number, topic->messages + topic->done, count, why);
    if (err == ERR_OK) {
        topic->done += count;
        batch->published += count;
    } else if (err_class_of(err) == ERR_CLASS_REJECT && count > 1) {
        batch->one_by_one = true;
        err = ERR_OK;
    } else if (err_class_of(err) == ERR_CLASS_REJECT) {
        refuse(batch, origin, connections, why);
        topic->done++;
        err = ERR_OK;
    }
    return err;
}

static enum err publish_topic(struct ingest_batch *batch, enum bus_topic number, struct bus *bus,
                              struct connection *connections, struct why *why)
{
    struct ingest_topic_batch *topic = &batch->topics[number == BUS_PAYMENTS ? 1 : 0];
    enum err err = ERR_OK;
    while (err == ERR_OK && topic->done < topic->count) {
        err = publish_some(batch, topic, number, bus, connections, why);
    }
    return err;
}

static void settle(struct ingest_batch *batch, struct connection *connections)
{
    for (size_t i = 0; i < INGEST_CONNECTIONS_MAX; i++) {
        if (connections[i].taken_count > 0) {
            connection_settle(&connections[i], batch->settled_counts[i]);
        }
    }
    for (size_t i = 0; i < WIRE_TOPIC_COUNT; i++) {
        batch->topics[i].count = 0;
        batch->topics[i].done = 0;
    }
    batch->count = 0;
    batch->size = 0;
    batch->one_by_one = false;
}

enum err ingest_batch_publish(struct ingest_batch *batch, struct bus *bus,
                              struct connection *connections, struct why *why)
{
    FAILPOINT("ingest_before_publish");
    enum err err = publish_topic(batch, BUS_ORDERS, bus, connections, why);
    if (err == ERR_OK) {
        FAILPOINT("ingest_between_topics");
        err = publish_topic(batch, BUS_PAYMENTS, bus, connections, why);
    }
    if (err == ERR_OK) {
        FAILPOINT("ingest_before_ack");
        settle(batch, connections);
    }
    return err;
}
