// The journal is one number, since acknowledgements come in the order of sending. The thread never
// asserts: what it cannot explain it leaves for producer_figures, which the test's thread calls.
#include "producer.h"

#include "clock.h"
#include "ingest_client.h"
#include "must.h"
#include "rand.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define FLUSH_US             (US_PER_SECOND / 50)
#define LOOK_NS              (NS_PER_SECOND / 500) // how soon it looks for the next owner
#define TOPIC_INDEX(message) ((message)->topic == BUS_PAYMENTS ? 1 : 0)

struct producer {
    const char *directory;
    const struct message_set *set;
    struct rand rand; // of the thread
    size_t reached;   // of the thread: messages that were handed to some connection
    pthread_t thread;
    int stop_fd; // readable once it shall stop

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    // under the mutex
    size_t allowed;
    bool stop;
    bool failed;
    struct why why;
    struct producer_figures figures;
};

// Waits until there is something to send. false: it shall stop.
static bool wait_for_work(struct producer *producer)
{
    pthread_mutex_lock(&producer->mutex);
    while (!producer->stop && producer->figures.acknowledged >= producer->allowed) {
        pthread_cond_wait(&producer->changed, &producer->mutex);
    }
    bool go_on = !producer->stop;
    pthread_mutex_unlock(&producer->mutex);
    return go_on;
}

static bool stopped(struct producer *producer)
{
    pthread_mutex_lock(&producer->mutex);
    bool stop = producer->stop;
    pthread_mutex_unlock(&producer->mutex);
    return stop;
}

// While nobody owns the directory.
static void wait_for_owner(struct producer *producer)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += LOOK_NS;
    until.tv_sec += until.tv_nsec / NS_PER_SECOND;
    until.tv_nsec %= NS_PER_SECOND;
    pthread_mutex_lock(&producer->mutex);
    if (!producer->stop) {
        (void)pthread_cond_timedwait(&producer->changed, &producer->mutex, &until);
    }
    pthread_mutex_unlock(&producer->mutex);
}

// An owner that dies or ends is ERR_UNAVAILABLE; ERR_BUSY is our own interruption.
static void note_error(struct producer *producer, enum err err, const struct why *why)
{
    if (err == ERR_OK || err == ERR_UNAVAILABLE || err == ERR_BUSY) {
        return;
    }
    pthread_mutex_lock(&producer->mutex);
    producer->failed = true;
    producer->stop = true;
    producer->why = *why;
    pthread_mutex_unlock(&producer->mutex);
}

static enum err send_one(struct producer *producer, struct ingest_client *client, size_t index,
                         struct why *why)
{
    const struct kept_message *message = &producer->set->items[index];
    enum err err = ingest_client_send(client, message->topic, message->body, why);
    if (err != ERR_OK) {
        return err;
    }
    pthread_mutex_lock(&producer->mutex);
    producer->figures.sent[TOPIC_INDEX(message)]++;
    producer->figures.sent_again += index < producer->reached;
    pthread_mutex_unlock(&producer->mutex);
    producer->reached = index < producer->reached ? producer->reached : index + 1;
    return ERR_OK;
}

// Sends messages first ... last - 1 and waits until they are durable.
static enum err send_some(struct producer *producer, struct ingest_client *client, size_t first,
                          size_t last, struct why *why)
{
    enum err err = ERR_OK;
    for (size_t i = first; err == ERR_OK && i < last; i++) {
        err = send_one(producer, client, i, why);
    }
    uint64_t durable = 0;
    while (err == ERR_OK) {
        err = ingest_client_flush(client, FLUSH_US, &durable, why);
        if (err != ERR_TIMEOUT) {
            return err;
        }
        err = stopped(producer) ? ERR_BUSY : ERR_OK;
    }
    return err;
}

// Until the connection breaks.
static void use_connection(struct producer *producer, struct ingest_client *client)
{
    static const size_t windows[] = {1, 8, 64, 512, 4096};
    size_t window = windows[rand_below(&producer->rand, sizeof(windows) / sizeof(windows[0]))];
    size_t base = producer->figures.acknowledged; // only this thread writes it
    struct why why = {0};
    enum err err = ERR_OK;
    while (err == ERR_OK && wait_for_work(producer)) {
        size_t first = producer->figures.acknowledged;
        pthread_mutex_lock(&producer->mutex);
        size_t left = producer->allowed - first;
        pthread_mutex_unlock(&producer->mutex);
        err = send_some(producer, client, first, first + (left < window ? left : window), &why);
        pthread_mutex_lock(&producer->mutex);
        producer->figures.acknowledged = base + ingest_client_durable(client);
        pthread_mutex_unlock(&producer->mutex);
    }
    note_error(producer, err, &why);
}

static void *producer_main(void *argument)
{
    struct producer *producer = argument;
    while (wait_for_work(producer)) {
        struct ingest_client *client = NULL;
        struct why why = {0};
        enum err err = ingest_client_connect(producer->directory, &client, &why);
        if (err != ERR_OK) {
            note_error(producer, err, &why);
            wait_for_owner(producer);
            continue;
        }
        ingest_client_interrupt_on(client, producer->stop_fd);
        pthread_mutex_lock(&producer->mutex);
        producer->figures.connections++;
        pthread_mutex_unlock(&producer->mutex);
        use_connection(producer, client);
        ingest_client_close(&client);
    }
    return NULL;
}

struct producer *producer_start(const char *directory, const struct message_set *set, uint64_t seed)
{
    struct producer *producer = calloc(1, sizeof(*producer));
    must(producer != NULL, "memory");
    producer->directory = directory;
    producer->set = set;
    rand_seed(&producer->rand, seed);
    producer->stop_fd = eventfd(0, EFD_CLOEXEC);
    must(producer->stop_fd >= 0, "eventfd");
    (void)pthread_mutex_init(&producer->mutex, NULL); // these two can't fail on Linux
    (void)pthread_cond_init(&producer->changed, NULL);
    must(pthread_create(&producer->thread, NULL, producer_main, producer) == 0, "pthread_create");
    return producer;
}

void producer_allow(struct producer *producer, size_t count)
{
    pthread_mutex_lock(&producer->mutex);
    producer->allowed = count < producer->set->count ? count : producer->set->count;
    pthread_cond_signal(&producer->changed);
    pthread_mutex_unlock(&producer->mutex);
}

void producer_figures(struct producer *producer, struct producer_figures *out_figures)
{
    pthread_mutex_lock(&producer->mutex);
    *out_figures = producer->figures;
    bool failed = producer->failed;
    pthread_mutex_unlock(&producer->mutex);
    if (failed) {
        fail_msg("the producer: %s: %s", err_name(producer->why.code), producer->why.text);
    }
}

void producer_stop(struct producer **producer)
{
    if (producer == NULL || *producer == NULL) {
        return;
    }
    struct producer *self = *producer;
    pthread_mutex_lock(&self->mutex);
    self->stop = true;
    pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    (void)eventfd_write(self->stop_fd, 1); // below its limit, it can't fail
    (void)pthread_join(self->thread, NULL);
    (void)close(self->stop_fd);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->mutex);
    free(self);
    *producer = NULL;
}
