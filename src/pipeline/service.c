// Threads and the queue between them. What is done after what is in worker.c.
#include "service.h"

#include "failpoint.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCHES          2
#define IDLE_WAIT_US     100000  // how long the fetch thread waits for a publish
#define STATUS_US        1000000 // how often an idle fetch thread reports that orders are up to date
#define BACKOFF_FIRST_US 10000
#define BACKOFF_LAST_US  2000000

struct slot {
    struct batch batch;
    bool full;
    bool sources_were_done; // before the pull of this batch
    int64_t empty_since_ns; // no pull gave a message or failed since then; of an empty batch
};

struct service {
    struct service_options options;
    atomic_bool *stop;
    struct worker worker;
    struct publisher publishers[SERVICE_PUBLISHERS_MAX];
    struct seat {
        struct service *service;
        struct publisher *publisher;
    } seats[SERVICE_PUBLISHERS_MAX]; // what each publisher thread is given
    pthread_t publisher_threads[SERVICE_PUBLISHERS_MAX];
    size_t publisher_count; // threads that run
    pthread_t fetch_thread;
    pthread_t lane_thread;
    bool fetch_started;
    bool lane_started;
    int64_t empty_since_ns; // of the fetch thread

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    // shared, under the mutex
    struct slot slots[BATCHES];
    bool fetch_ended;
    size_t running; // threads that have not left
    enum err err;   // the first error of fetch or lane
    struct why why;

    atomic_bool ended;     // the lane thread is through
    atomic_bool all_ended; // fetch may stop: the lane found everything done
};

static bool stopping(const struct service *service)
{
    return atomic_load(service->stop) || atomic_load(&service->all_ended);
}

static void record_failure(struct service *service, enum err err, const struct why *why)
{
    pthread_mutex_lock(&service->mutex);
    if (service->err == ERR_OK) {
        service->err = err;
        service->why = *why;
    }
    pthread_mutex_unlock(&service->mutex);
    atomic_store(&service->all_ended, true);
    bus_wake(service->options.bus);
}

static bool sources_done(const struct service *service)
{
    for (size_t i = 0; i < service->options.source_count; i++) {
        if (!atomic_load(&service->publishers[i].done)) {
            return false;
        }
    }
    return true;
}

static void log_retry(struct service *service, const char *what, const struct why *why)
{
    log_warn(service->options.log, "service", what, LOG_STR("error", err_name(why->code)),
             LOG_STR("detail", why->text));
}

static void wait_for_messages(struct service *service, int64_t us)
{
    struct why why = {0};
    enum err err = bus_wait(service->options.bus, us, &why); // stop wakes it
    (void)err; // an early end only means to look again
}

// The last thing that a thread does.
static void leave(struct service *service)
{
    pthread_mutex_lock(&service->mutex);
    service->running--;
    pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->mutex);
}

static struct timespec deadline_after(int64_t us)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time); // can't fail with this clock
    int64_t ns = (int64_t)time.tv_nsec + us * 1000;
    time.tv_sec += (time_t)(ns / NS_PER_SECOND);
    time.tv_nsec = (long)(ns % NS_PER_SECOND);
    return time;
}

// Waits after a RETRY error, longer each time. Not on the bus: whoever publishes would end the wait.
static void back_off(struct service *service, int64_t *backoff_us)
{
    struct timespec deadline = deadline_after(*backoff_us);
    int waited = 0;
    pthread_mutex_lock(&service->mutex);
    while (waited == 0 && !stopping(service)) {
        waited = pthread_cond_timedwait(&service->changed, &service->mutex, &deadline);
    }
    pthread_mutex_unlock(&service->mutex);
    *backoff_us = *backoff_us * 2 < BACKOFF_LAST_US ? *backoff_us * 2 : BACKOFF_LAST_US;
}

// --- fetch thread ------------------------------------------------------------------------------

static struct slot *take_empty_slot(struct service *service, size_t turn)
{
    struct slot *slot = &service->slots[turn];
    pthread_mutex_lock(&service->mutex);
    while (slot->full && !atomic_load(&service->all_ended)) {
        pthread_cond_wait(&service->changed, &service->mutex);
    }
    bool free_now = !slot->full;
    pthread_mutex_unlock(&service->mutex);
    return free_now ? slot : NULL;
}

static void hand_over(struct service *service, struct slot *slot)
{
    pthread_mutex_lock(&service->mutex);
    slot->full = true;
    pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->mutex);
}

// Fills the slot. *out_worth says whether the lane should see it: it holds messages, or an empty pull
// that means something.
static enum err fetch_once(struct service *service, struct slot *slot, int64_t *last_status_ns,
                           bool *out_worth, struct why *why)
{
    struct batch *batch = &slot->batch;
    // A source that was told to stop has not ended: more of it may come at the next start.
    slot->sources_were_done = sources_done(service) && !atomic_load(service->stop);
    batch->pulled_us = clock_wall_us(&service->options.clock);
    enum err err = batch_fetch(batch, service->options.bus, &service->options.limits,
                               &service->options.rules, why);
    int64_t now_ns = clock_mono_ns(&service->options.clock);
    if (err != ERR_OK || batch->count > 0 || !slot->sources_were_done) {
        service->empty_since_ns = now_ns;
    }
    slot->empty_since_ns = service->empty_since_ns;
    if (err != ERR_OK) {
        return err;
    }
    bool reports = now_ns - *last_status_ns >= STATUS_US * 1000 ||
                   (service->options.once && slot->sources_were_done);
    *out_worth = batch->count > 0 || reports;
    if (*out_worth) {
        *last_status_ns = now_ns;
    }
    return ERR_OK;
}

static void *fetch_main(void *argument)
{
    struct service *service = argument;
    (void)pthread_setname_np(pthread_self(), "till-fetch"); // only for people who look
    int64_t last_status_ns = 0;
    service->empty_since_ns = clock_mono_ns(&service->options.clock);
    int64_t backoff_us = BACKOFF_FIRST_US;
    size_t turn = 0;
    while (!stopping(service)) {
        struct slot *slot = take_empty_slot(service, turn);
        if (slot == NULL) {
            break;
        }
        struct why why = {0};
        bool worth = false;
        enum err err = fetch_once(service, slot, &last_status_ns, &worth, &why);
        if (err != ERR_OK && err_class_of(err) != ERR_CLASS_RETRY) {
            record_failure(service, err, &why);
            break;
        }
        if (err != ERR_OK) {
            log_retry(service, "cannot pull, will try again", &why);
            back_off(service, &backoff_us);
            continue;
        }
        backoff_us = BACKOFF_FIRST_US;
        if (worth) {
            hand_over(service, slot);
            turn = (turn + 1) % BATCHES;
        }
        if (slot->batch.count == 0 && !stopping(service)) {
            wait_for_messages(service, IDLE_WAIT_US);
        }
    }
    pthread_mutex_lock(&service->mutex);
    service->fetch_ended = true;
    pthread_mutex_unlock(&service->mutex);
    leave(service);
    return NULL;
}

// --- lane thread -------------------------------------------------------------------------------

// The next full slot; NULL after a while without one. *out_last: none will come any more.
static struct slot *take_full_slot(struct service *service, size_t turn, bool *out_last)
{
    struct slot *slot = &service->slots[turn];
    struct timespec deadline = deadline_after(WORKER_HOUSEKEEPING_US);
    pthread_mutex_lock(&service->mutex);
    int waited = 0;
    while (!slot->full && !service->fetch_ended && waited == 0) {
        waited = pthread_cond_timedwait(&service->changed, &service->mutex, &deadline);
    }
    bool full = slot->full;
    *out_last = !full && service->fetch_ended;
    pthread_mutex_unlock(&service->mutex);
    return full ? slot : NULL;
}

static void give_back(struct service *service, struct slot *slot)
{
    pthread_mutex_lock(&service->mutex);
    slot->full = false;
    pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->mutex);
}

static enum err work_on(struct service *service, struct slot *slot, int64_t *backoff_us,
                        struct why *why)
{
    int64_t empty_ns = clock_mono_ns(&service->options.clock) - slot->empty_since_ns;
    bool ends = service->options.once && slot->sources_were_done && slot->batch.count == 0 &&
                empty_ns >= service->options.idle_us * 1000 && !atomic_load(service->stop);
    bool retry = false;
    enum err err = worker_apply(&service->worker, &slot->batch, &retry, why);
    if (retry && err == ERR_OK) {
        back_off(service, backoff_us);
    } else if (err == ERR_OK) {
        *backoff_us = BACKOFF_FIRST_US;
    }
    give_back(service, slot);
    bool finished = false;
    if (err == ERR_OK && ends) {
        err = worker_finish(&service->worker, &finished, why);
    }
    if (finished) {
        atomic_store(&service->all_ended, true);
        bus_wake(service->options.bus);
    }
    return err;
}

static enum err lane_loop(struct service *service, struct why *why)
{
    int64_t backoff_us = BACKOFF_FIRST_US;
    enum err err = ERR_OK;
    bool last = false;
    for (size_t turn = 0; err == ERR_OK && !last;) {
        struct slot *slot = take_full_slot(service, turn, &last);
        if (slot != NULL) {
            turn = (turn + 1) % BATCHES;
            err = work_on(service, slot, &backoff_us, why);
        }
        if (err == ERR_OK && !last && !stopping(service)) {
            err = worker_keep_house(&service->worker, why);
        }
    }
    return err;
}

static void *lane_main(void *argument)
{
    struct service *service = argument;
    (void)pthread_setname_np(pthread_self(), "till-lane"); // only for people who look
    struct why why = {0};
    enum err err = lane_loop(service, &why);
    if (err != ERR_OK) {
        record_failure(service, err, &why);
    }
    atomic_store(&service->all_ended, true);
    bus_wake(service->options.bus);
    atomic_store(&service->ended, true);
    leave(service);
    return NULL;
}

// --- life --------------------------------------------------------------------------------------

static void *publisher_main(void *argument)
{
    struct seat *seat = argument;
    (void)pthread_setname_np(pthread_self(), "till-publish");
    publisher_run(seat->publisher);
    leave(seat->service);
    return NULL;
}

static void destroy(struct service *service)
{
    for (size_t i = 0; i < BATCHES; i++) {
        batch_deinit(&service->slots[i].batch);
    }
    pthread_cond_destroy(&service->changed);
    pthread_mutex_destroy(&service->mutex);
    free(service);
}

static enum err start_thread(struct service *service, pthread_t *thread, void *(*entry)(void *),
                             void *argument, struct why *why)
{
    pthread_mutex_lock(&service->mutex);
    service->running++;
    pthread_mutex_unlock(&service->mutex);
    if (pthread_create(thread, NULL, entry, argument) == 0) {
        return ERR_OK;
    }
    leave(service); // in its place
    return why_set(why, ERR_NO_MEMORY, "cannot start a thread");
}

static enum err start_publishers(struct service *service, struct why *why)
{
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < service->options.source_count; i++) {
        struct publisher *publisher = &service->publishers[i];
        publisher->bus = service->options.bus;
        publisher->source = service->options.sources[i];
        publisher->clock = service->options.clock;
        publisher->log = service->options.log;
        publisher->rate_per_second = service->options.rate_per_second;
        publisher->backlog_soft_max = service->options.backlog_soft_max;
        publisher->stop = service->stop;
        service->seats[i] = (struct seat){service, publisher};
        err = start_thread(service, &service->publisher_threads[i], publisher_main,
                           &service->seats[i], why);
        service->publisher_count += err == ERR_OK;
    }
    return err;
}

// A message may have stopped the last start: it is looked for before the threads begin.
static enum err start_threads(struct service *service, struct why *why)
{
    enum err err = worker_recover(&service->worker, &service->slots[0].batch, why);
    if (err == ERR_OK) {
        err = start_thread(service, &service->lane_thread, lane_main, service, why);
        service->lane_started = err == ERR_OK;
    }
    if (err == ERR_OK) {
        err = start_thread(service, &service->fetch_thread, fetch_main, service, why);
        service->fetch_started = err == ERR_OK;
    }
    return err == ERR_OK ? start_publishers(service, why) : err;
}

static enum err init(struct service *service, struct why *why)
{
    const struct service_options *options = &service->options;
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < BATCHES; i++) {
        err = batch_init(&service->slots[i].batch);
    }
    if (err != ERR_OK) {
        return why_set(why, err, "cannot reserve memory for batches");
    }
    struct worker_options worker = {
        .bus = options->bus,
        .store = options->store,
        .rules = &service->options.rules,
        .clock = options->clock,
        .log = options->log,
        .name = options->name,
        .limits = options->limits,
        .sweep = options->sweep,
        .dead_letters = options->dead_letters,
        .idle_us = options->idle_us,
    };
    return worker_open(&service->worker, &worker, why);
}

enum err service_start(const struct service_options *options, atomic_bool *stop,
                       struct service **out_service, struct why *why)
{
    assert(options->source_count <= SERVICE_PUBLISHERS_MAX);
    struct service *service = calloc(1, sizeof(*service));
    if (service == NULL) {
        return why_set(why, ERR_NO_MEMORY, "out of memory");
    }
    service->options = *options;
    service->stop = stop;
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes); // these three can't fail on Linux
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&service->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)pthread_mutex_init(&service->mutex, NULL);
    enum err err = init(service, why);
    if (err != ERR_OK) {
        destroy(service);
        return err;
    }
    service->worker.lane.committed = options->committed;
    service->worker.lane.committed_context = options->committed_context;
    err = start_threads(service, why);
    if (err != ERR_OK) {
        struct why first = why != NULL ? *why : (struct why){0};
        struct service_figures figures;
        enum err finished = service_finish(&service, 30 * US_PER_SECOND, &figures, why);
        (void)finished; // the first error is the one to tell
        return why_set(why, err, "%s", first.text);
    }
    *out_service = service;
    return ERR_OK;
}

bool service_ended(const struct service *service)
{
    return atomic_load(&service->ended);
}

void service_figures(const struct service *service, struct service_figures *out_figures)
{
    *out_figures = (struct service_figures){0};
    for (size_t i = 0; i < service->options.source_count; i++) {
        out_figures->published += atomic_load(&service->publishers[i].published);
    }
    const struct lane_counters *counters = &service->worker.lane.counters;
    for (size_t topic = 0; topic < APPLIED_TOPIC_COUNT; topic++) {
        uint64_t stored = atomic_load(&counters->messages[topic][OUTCOME_STORED]) +
                          atomic_load(&counters->messages[topic][OUTCOME_CONFLICT]);
        uint64_t duplicate = atomic_load(&counters->messages[topic][OUTCOME_DUPLICATE]);
        uint64_t refused = atomic_load(&counters->messages[topic][OUTCOME_REFUSED]);
        out_figures->stored += stored;
        out_figures->duplicate += duplicate;
        out_figures->refused += refused;
        out_figures->applied += stored + duplicate + refused;
    }
    out_figures->unmatched = atomic_load(&service->worker.sweeper.unmatched);
    out_figures->prices_rounded = atomic_load(&counters->prices_rounded);
    out_figures->sources_done = sources_done(service);
}

// false when some thread has not left in time. Otherwise all are joined.
static bool join_all(struct service *service, int64_t drain_timeout_us)
{
    struct timespec deadline = deadline_after(drain_timeout_us);
    int waited = 0;
    pthread_mutex_lock(&service->mutex);
    service->fetch_ended = service->fetch_ended || !service->fetch_started;
    pthread_cond_broadcast(&service->changed);
    while (service->running > 0 && waited == 0) {
        waited = pthread_cond_timedwait(&service->changed, &service->mutex, &deadline);
    }
    bool all_left = service->running == 0;
    pthread_mutex_unlock(&service->mutex);
    if (!all_left) {
        return false;
    }
    for (size_t i = 0; i < service->publisher_count; i++) {
        (void)pthread_join(service->publisher_threads[i], NULL); // joinable, and joined once
    }
    if (service->fetch_started) {
        (void)pthread_join(service->fetch_thread, NULL);
    }
    if (service->lane_started) {
        (void)pthread_join(service->lane_thread, NULL);
    }
    return true;
}

static enum err first_error(struct service *service, struct why *why)
{
    if (service->err != ERR_OK) {
        return why_set(why, service->err, "%s", service->why.text);
    }
    for (size_t i = 0; i < service->publisher_count; i++) {
        const struct publisher *publisher = &service->publishers[i];
        if (publisher->err != ERR_OK) {
            return why_set(why, publisher->err, "%s", publisher->why.text);
        }
    }
    return ERR_OK;
}

enum err service_finish(struct service **in_service, int64_t drain_timeout_us,
                        struct service_figures *out_figures, struct why *why)
{
    struct service *service = *in_service;
    atomic_store(service->stop, true);
    bus_wake(service->options.bus);
    pthread_mutex_lock(&service->mutex);
    pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->mutex);
    if (!join_all(service, drain_timeout_us)) {
        return why_set(why, ERR_DRAIN_TIMEOUT,
                       "could not finish what was in hand within %lld ms; it comes again at the "
                       "next start",
                       (long long)(drain_timeout_us / 1000));
    }
    service_figures(service, out_figures);
    enum err err = first_error(service, why);
    struct why close_why = {0};
    enum err closed = worker_close(&service->worker, service->err != ERR_OK, &close_why);
    if (err == ERR_OK && closed != ERR_OK) {
        err = why_set(why, closed, "%s", close_why.text);
    }
    destroy(service);
    *in_service = NULL;
    return err;
}
