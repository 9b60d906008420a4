// Moments are drawn, not waited for: a moment is some microseconds after the start or after it was
// ready, or the n-th time that a named place is reached.
#include "owner.h"

#include "clock.h"
#include "data_files.h"
#include "must.h"
#include "same_data.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

#define WORDS_MAX          48u
#define EARLY_US_MAX       200000
#define WORK_US_MAX        300000
#define SECOND_TERM_US_MAX 20000
#define POINT_WAIT_MS      2000
#define READY              "ready on "
#define EXIT_OF_KILL       (128 + SIGKILL)
#define EXIT_OF_TERM       (128 + SIGTERM)

static const struct point {
    const char *name;
    unsigned count_max;   // it is drawn how often the place is reached before it kills
    bool only_of_service; // never reached without a producer at the socket
} points[] = {
    {"before_commit", 8, false},      {"ingest_before_ack", 8, true},
    {"after_commit", 8, false},       {"after_parked", 2, false},
    {"before_ack", 8, false},         {"ingest_before_publish", 8, true},
    {"after_dead_letters", 2, false}, {"ingest_between_topics", 8, true},
};
#define POINT_COUNT         (sizeof(points) / sizeof(points[0]))
#define POINT_BEFORE_COMMIT 0u // in that table

// --- starting -------------------------------------------------------------------------------------

static struct till_process *start(struct owner *owner, const char *variable)
{
    static const char *const batches[] = {"lane.batch_messages=16", "lane.batch_messages=64",
                                          "lane.batch_messages=256"};
    static const char *const graces[] = {"0s", "1s"};
    const char *words[WORDS_MAX];
    size_t count = 0;
    for (; owner->words[count] != NULL; count++) {
        assert_true(count < WORDS_MAX - 7);
        words[count] = owner->words[count];
    }
    words[count++] = "--data-dir";
    words[count++] = owner->directory;
    words[count++] = "--grace";
    words[count++] = graces[rand_below(&owner->rand, 2)];
    words[count++] = "--set"; // small ones, so that there are many commits to die around
    words[count++] = batches[rand_below(&owner->rand, 3)];
    words[count] = NULL;
    const char *const variables[] = {variable, NULL};
    return till_start(&(struct till_start){.words = words, .variables = variables});
}

struct till_process *owner_start(struct owner *owner)
{
    return start(owner, NULL);
}

// --- moments --------------------------------------------------------------------------------------

// The moment of a kill is drawn, not waited for: no condition could stand in its place.
static void let_pass(int64_t us)
{
    struct timespec time = {us / US_PER_SECOND, us % US_PER_SECOND * 1000};
    (void)ppoll(NULL, 0, &time, NULL); // ended early, it is only another moment
}

static int64_t now_ms(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

struct end_or_deadline {
    pid_t pid;
    int64_t deadline_ms;
    bool ended;
};

// Looks without reaping, which is till_process's to do.
static bool ended_or_late(void *context)
{
    struct end_or_deadline *awaited = context;
    siginfo_t info = {0};
    int result = waitid(P_PID, (id_t)awaited->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    awaited->ended = result != 0 || info.si_pid != 0;
    return awaited->ended || now_ms() >= awaited->deadline_ms;
}

// Whether it ended by itself within that time.
static bool ends_within(struct till_process *process, int64_t ms)
{
    struct end_or_deadline awaited = {till_pid(process), now_ms() + ms, false};
    till_wait_until(process, ended_or_late, &awaited, "its end or a deadline");
    return awaited.ended;
}

// --- ending ---------------------------------------------------------------------------------------

static void kill_now(struct till_process *process)
{
    if (!ends_within(process, 0)) {
        till_signal(process, SIGKILL);
    }
}

static void let_it_get_to_work(struct owner *owner, struct till_process *process, bool suspects)
{
    if (owner->is_service) {
        till_wait_for_err(process, READY);
    }
    if (suspects) {
        wait_for_number(process, owner->directory, SQL_SUSPECTS, 0);
    }
}

// Small ones more often: the first commit of a start is like no other.
static unsigned draw_count(struct owner *owner, unsigned count_max)
{
    return 1 + (unsigned)rand_below(&owner->rand, 1 + rand_below(&owner->rand, count_max));
}

static struct till_process *kill_at_point(struct owner *owner)
{
    const struct point *point;
    char variable[64];
    do {
        point = &points[owner->point_turn++ % POINT_COUNT];
    } while (point->only_of_service && !owner->is_service);
    (void)snprintf(variable, sizeof variable, "TILL_TEST_FAILPOINT=%s:%u", point->name,
                   draw_count(owner, point->count_max));
    struct till_process *process = start(owner, variable);
    if (!ends_within(process, POINT_WAIT_MS)) {
        owner->points_missed++;
        kill_now(process);
    }
    return process;
}

static struct till_process *live_and_end(struct owner *owner, enum owner_end end, bool suspects)
{
    if (end == OWNER_KILL_AT_POINT) {
        return kill_at_point(owner);
    }
    struct till_process *process = start(owner, NULL);
    switch (end) {
    case OWNER_KILL_EARLY:
        let_pass(rand_between(&owner->rand, 0, EARLY_US_MAX));
        kill_now(process);
        break;
    case OWNER_KILL_AT_POINT:
    case OWNER_KILL_AT_WORK:
        let_it_get_to_work(owner, process, suspects);
        let_pass(rand_between(&owner->rand, 0, WORK_US_MAX));
        kill_now(process);
        break;
    case OWNER_TERM:
    case OWNER_TERM_TWICE:
        till_wait_for_handler(process, SIGTERM);
        let_pass(rand_between(&owner->rand, 0, WORK_US_MAX));
        till_signal(process, SIGTERM);
        if (end == OWNER_TERM_TWICE) {
            till_wait_for_signal_taken(process, SIGTERM);
            let_pass(rand_between(&owner->rand, 0, SECOND_TERM_US_MAX));
            till_signal(process, SIGTERM);
        }
        break;
    case OWNER_END_COUNT:
        break;
    }
    return process;
}

static void check_exit(const struct owner *owner, enum owner_end end, const struct outcome *outcome)
{
    bool is_kill = end <= OWNER_KILL_AT_POINT;
    bool by_itself = outcome->exit_code == 0 && (!is_kill || !owner->is_service);
    bool as_told = outcome->exit_code == EXIT_OF_KILL
                       ? is_kill
                       : outcome->exit_code == EXIT_OF_TERM && end == OWNER_TERM_TWICE;
    if (!by_itself && !as_told) {
        till_fail(outcome, "ended with %d", outcome->exit_code);
    }
}

static void count_end(struct owner *owner, enum owner_end end, const struct outcome *outcome)
{
    struct disk_figures left;
    disk_figures(owner->directory, &left);
    owner->ends[end]++;
    owner->redelivered += left.applied - left.acked;
    owner->ends_with_work += left.acked < left.published;
    if (outcome->exit_code == EXIT_OF_KILL) {
        owner->kills++;
        owner->kills_before_ready += owner->is_service && strstr(outcome->err, READY) == NULL;
        owner->kills_with_suspect += left.suspects > 0;
    }
}

// After a start that died before its first commit the next one takes messages one by one, the first
// ones of all. Half of such starts die in the middle of that.
static enum owner_end choose_end(struct owner *owner, enum owner_end wanted,
                                 const struct disk_figures *before)
{
    bool is_kill = wanted <= OWNER_KILL_AT_POINT;
    if (before->suspects > 0) {
        return is_kill ? OWNER_KILL_AT_WORK : wanted;
    }
#ifdef TILL_FAILPOINTS
    if (is_kill && before->starts > 0 && before->applied < before->published &&
        rand_below(&owner->rand, 2) == 0) {
        owner->point_turn = POINT_BEFORE_COMMIT;
        return OWNER_KILL_AT_POINT;
    }
    return wanted;
#else
    (void)owner; // draws nothing without the places to die at
    return wanted == OWNER_KILL_AT_POINT ? OWNER_KILL_AT_WORK : wanted;
#endif
}

void owner_live_once(struct owner *owner, enum owner_end end)
{
    struct disk_figures before;
    disk_figures(owner->directory, &before);
    enum owner_end chosen = choose_end(owner, end, &before);
    struct till_process *process = live_and_end(owner, chosen, before.suspects > 0);
    const struct outcome *outcome = till_wait(process);
    check_exit(owner, chosen, outcome);
    count_end(owner, chosen, outcome);
}

enum owner_end owner_draw_kill(struct owner *owner)
{
    static const enum owner_end kills[] = {OWNER_KILL_EARLY, OWNER_KILL_AT_WORK, OWNER_KILL_AT_WORK,
                                           OWNER_KILL_AT_POINT};
    return kills[rand_below(&owner->rand, sizeof(kills) / sizeof(kills[0]))];
}

void owner_print(const struct owner *owner)
{
    printf(
        "%zu kills: %zu soon after the start, %zu at work, %zu at named places (%zu not reached); "
        "%zu before it was ready, %zu with a message tried alone; "
        "%zu with messages in hand\n",
        owner->kills, owner->ends[OWNER_KILL_EARLY], owner->ends[OWNER_KILL_AT_WORK],
        owner->ends[OWNER_KILL_AT_POINT], owner->points_missed, owner->kills_before_ready,
        owner->kills_with_suspect, owner->ends_with_work);
    if (owner->ends[OWNER_TERM] + owner->ends[OWNER_TERM_TWICE] > 0) {
        printf("%zu times SIGTERM, %zu times twice\n", owner->ends[OWNER_TERM],
               owner->ends[OWNER_TERM_TWICE]);
    }
    printf("%lld messages came again that had been applied\n", (long long)owner->redelivered);
}
