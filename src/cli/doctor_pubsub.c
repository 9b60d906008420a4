// The Pub/Sub part of till doctor. It only asks: no message is published, pulled or acked, so it can be
// run beside a pipeline at work. The service's clock is not looked at, since it shows only in the publish
// times of messages (docs/pubsub.md).
#include "doctor.h"
#include "pubsub_identity.h"
#include "pubsub_settings.h"
#include "value.h"

#include <stdio.h>
#include <string.h>

#define ARENA_SIZE  ((size_t)1 << 20)
#define FOUND_CAP   1024u
#define DEADLINE_US (30 * US_PER_SECOND) // an ack deadline shorter than this is a risk

static const char setup_does_it[] = "till setup makes it";

struct checks {
    struct doctor *doctor;
    struct pubsub *client;
    struct arena arena;
    struct setup_pair pairs[BUS_TOPIC_COUNT];
    bool may_look[BUS_TOPIC_COUNT];
};

// A row whose text is put together piece by piece.
struct row {
    enum finding finding; // the worst so far
    struct buf found;
    char text[FOUND_CAP];
};

static void row_init(struct row *row)
{
    row->finding = FINDING_OK;
    buf_init_fixed(&row->found, row->text, sizeof(row->text) - 1);
}

static void row_worsen(struct row *row, enum finding finding)
{
    if (finding > row->finding) {
        row->finding = finding;
    }
    if (row->found.size > 0) {
        buf_add_str(&row->found, "; ");
    }
}

static void row_end(struct row *row, struct doctor *doctor, const char *check, const char *remedy)
{
    row->text[row->found.size] = '\0';
    doctor_find(doctor, check, row->finding, row->text, remedy);
}

static void add_duration(struct buf *out, int64_t us)
{
    static const struct value_rule rule = {.kind = VALUE_DURATION};
    value_add_text(&rule, &us, out);
}

static bool is_dead_letter_topic(int i)
{
    return i == BUS_ORDERS_DLQ || i == BUS_PAYMENTS_DLQ;
}

// --- each topic and subscription ----------------------------------------------------------------

// What loses messages, or keeps them from till, fails; what only costs is a warning.
static enum finding gravity(const char *field)
{
    static const char *const grave[] = {"topic", "filter", "dead_letter_policy"};
    for (size_t i = 0; i < sizeof(grave) / sizeof(grave[0]); i++) {
        if (strcmp(field, grave[i]) == 0) {
            return FINDING_FAILED;
        }
    }
    return FINDING_WARNING;
}

static void add_differences(struct row *row, const struct setup_pair *pair)
{
    for (size_t i = 0; i < pair->difference_count; i++) {
        const char *field = pair->differences[i].field;
        row_worsen(row, gravity(field));
        buf_add_fmt(&row->found, "%s is ", field);
        setup_add_value(&row->found, &pair->found, field);
        buf_add_str(&row->found, ", wanted ");
        setup_add_value(&row->found, &pair->wanted, field);
    }
}

static void check_subscription(struct checks *checks, int i)
{
    const struct setup_pair *pair = &checks->pairs[i];
    struct row row;
    char check[FOUND_CAP];
    row_init(&row);
    (void)snprintf(check, sizeof(check), "subscription %.*s", TEXT_PRINT(pair->subscription));
    if (!pair->has_subscription) {
        row_worsen(&row, FINDING_FAILED);
        buf_add_str(&row.found, is_dead_letter_topic(i)
                                    ? "missing: dead letters that are published now are lost"
                                    : "missing: what is published now is lost");
        row_end(&row, checks->doctor, check, setup_does_it);
        return;
    }
    buf_add_fmt(&row.found, "of %.*s", TEXT_PRINT(setup_short_name(pair->found.topic)));
    add_differences(&row, pair);
    row_end(&row, checks->doctor, check, "till setup shows it field by field; --apply changes it");
}

static void check_topic(struct checks *checks, int i)
{
    const struct setup_pair *pair = &checks->pairs[i];
    char check[FOUND_CAP];
    (void)snprintf(check, sizeof(check), "topic %.*s", TEXT_PRINT(pair->topic));
    doctor_find(checks->doctor, check, pair->has_topic ? FINDING_OK : FINDING_FAILED,
                pair->has_topic ? "there" : "missing", setup_does_it);
}

// Whether going on makes sense: the service has answered.
static bool check_pair(struct checks *checks, int i)
{
    struct why why = {0};
    enum err err = setup_pair_look(&checks->pairs[i], checks->client, &checks->arena, &why);
    checks->may_look[i] = err == ERR_OK;
    if (err == ERR_OK) {
        check_topic(checks, i);
        check_subscription(checks, i);
        return true;
    }
    if (err == ERR_PERMISSION) { // a pipeline need not be allowed to look
        doctor_find(checks->doctor, "topics", FINDING_WARNING, why.text,
                    "to have them checked, give the identity roles/pubsub.viewer");
        return true;
    }
    setup_advise(&why);
    doctor_find(checks->doctor, "service", FINDING_FAILED, why.text,
                "see the message; nothing can be published or received now");
    return false;
}

// --- what concerns all of them ------------------------------------------------------------------

static void check_dead_letters(struct checks *checks)
{
    struct row row;
    row_init(&row);
    for (int i = 0; i < BUS_TOPIC_COUNT; i++) {
        const struct setup_pair *pair = &checks->pairs[i];
        if (is_dead_letter_topic(i) && checks->may_look[i] && !pair->has_subscription) {
            row_worsen(&row, FINDING_FAILED);
            buf_add_fmt(&row.found, "%.*s has no subscription", TEXT_PRINT(pair->topic));
        }
    }
    if (row.finding == FINDING_OK) {
        buf_add_str(&row.found, "each topic of dead letters has its subscription");
    }
    row_end(&row, checks->doctor, "dead letters", setup_does_it);
}

// The least of a time over all subscriptions that could be looked at; -1 when there are none.
static int64_t least(const struct checks *checks, size_t offset)
{
    int64_t least_us = -1;
    for (int i = 0; i < BUS_TOPIC_COUNT; i++) {
        const struct setup_pair *pair = &checks->pairs[i];
        int64_t us = 0;
        memcpy(&us, (const char *)&pair->found + offset, sizeof(us));
        if (checks->may_look[i] && pair->has_subscription && (least_us < 0 || us < least_us)) {
            least_us = us;
        }
    }
    return least_us;
}

static void check_ack_deadline(struct checks *checks)
{
    int64_t least_us =
        least(checks, offsetof(struct pubsub_subscription_settings, ack_deadline_us));
    struct row row;
    row_init(&row);
    if (least_us < 0) {
        return;
    }
    if (least_us < DEADLINE_US) {
        row_worsen(&row, FINDING_WARNING);
    }
    buf_add_str(&row.found, "at least ");
    add_duration(&row.found, least_us);
    buf_add_str(&row.found, ", extended while a batch is in hand");
    row_end(&row, checks->doctor, "ack deadline",
            "30s or more, or a pause of the process makes messages come twice: till setup --apply");
}

// A message has to outlive the longest time that the pipeline may take for it.
static void check_retention(struct checks *checks)
{
    const struct config *config = checks->doctor->context->config;
    int64_t least_us = least(checks, offsetof(struct pubsub_subscription_settings, retention_us));
    int64_t needed_us = config->match_grace + config->match_max_hold;
    struct row row;
    row_init(&row);
    if (least_us < 0) {
        return;
    }
    if (least_us < needed_us) {
        row_worsen(&row, FINDING_FAILED);
    }
    buf_add_str(&row.found, "at least ");
    add_duration(&row.found, least_us);
    buf_add_str(&row.found, "; match.grace and match.max_hold are ");
    add_duration(&row.found, needed_us);
    row_end(&row, checks->doctor, "retention",
            "messages must be kept longer than that: till setup --apply");
}

// --- rights -------------------------------------------------------------------------------------

static void note_right(struct row *row, bool missing, enum finding finding, const char *what,
                       struct text name)
{
    if (missing) {
        row_worsen(row, finding);
        buf_add_fmt(&row->found, "may not %s %.*s", what, TEXT_PRINT(name));
    }
}

// A process that only consumes needs no right to publish orders and payments.
static enum err ask_rights(struct checks *checks, int i, struct row *row, struct why *why)
{
    static const char *const publish[] = {"pubsub.topics.publish"};
    static const char *const consume[] = {"pubsub.subscriptions.consume"};
    const struct setup_pair *pair = &checks->pairs[i];
    bool may_look = checks->may_look[i];
    unsigned missing = 0;
    enum err err = ERR_OK;
    if (pair->has_topic || !may_look) { // of what is not there, nothing is granted
        err = pubsub_topic_permissions(checks->client, pair->topic, publish, 1, &missing, why);
        note_right(row, missing != 0, is_dead_letter_topic(i) ? FINDING_FAILED : FINDING_WARNING,
                   "publish to", pair->topic);
    }
    if (err == ERR_OK && (pair->has_subscription || !may_look)) {
        missing = 0;
        err = pubsub_subscription_permissions(checks->client, pair->subscription, consume, 1,
                                              &missing, why);
        note_right(row, missing != 0, FINDING_FAILED, "receive from", pair->subscription);
    }
    return err;
}

static void check_rights(struct checks *checks)
{
    struct why why = {0};
    struct row row;
    enum err err = ERR_OK;
    row_init(&row);
    for (int i = 0; i < BUS_TOPIC_COUNT && err == ERR_OK; i++) {
        err = ask_rights(checks, i, &row, &why);
    }
    if (err == ERR_CONFIG) { // UNIMPLEMENTED
        doctor_find(checks->doctor, "rights", FINDING_OK, "this service knows none (an emulator)",
                    NULL);
        return;
    }
    if (err != ERR_OK) {
        doctor_find(checks->doctor, "rights", FINDING_FAILED, why.text,
                    "the service does not accept this identity; see docs/pubsub.md");
        return;
    }
    if (row.finding == FINDING_OK) {
        buf_add_str(&row.found, "may publish to and receive from all");
    }
    row_end(&row, checks->doctor, "rights",
            "give it roles/pubsub.publisher on topics, roles/pubsub.subscriber on subscriptions");
}

void doctor_check_pubsub_client(struct doctor *doctor, struct pubsub *client,
                                const struct setup_wishes *wishes)
{
    struct checks checks = {.doctor = doctor, .client = client};
    if (arena_init(&checks.arena, ARENA_SIZE) != ERR_OK) {
        doctor_find(doctor, "service", FINDING_FAILED, "out of memory", "free some memory");
        return;
    }
    bool answers = true;
    for (int i = 0; i < BUS_TOPIC_COUNT && answers; i++) {
        setup_pair_init(&checks.pairs[i], wishes, (enum bus_topic)i);
        answers = check_pair(&checks, i);
    }
    if (answers) {
        check_dead_letters(&checks);
        check_ack_deadline(&checks);
        check_retention(&checks);
        check_rights(&checks);
    }
    arena_deinit(&checks.arena);
}

static void describe_identity(const struct pubsub_target *target, char *out, size_t size)
{
    if (target->plaintext) {
        (void)snprintf(out, size, "none is needed without TLS");
    } else if (target->anonymous) {
        (void)snprintf(out, size, "none is sent");
    } else {
        pubsub_identity_describe(out, size);
    }
}

void doctor_check_pubsub(struct doctor *doctor)
{
    struct why why = {0};
    struct bus_pubsub_options options = {0};
    const struct pubsub_target *target = &options.client.target;
    struct setup_wishes wishes;
    struct pubsub *client = NULL;
    char text[PUBSUB_ENDPOINT_MAX + PUBSUB_PROJECT_MAX + PUBSUB_IDENTITY_MAX];
    if (pubsub_settings_read(doctor->context, &options, &why) != ERR_OK) {
        doctor_find(doctor, "Pub/Sub", FINDING_FAILED, why.text, "see docs/pubsub.md");
        return;
    }
    pubsub_target_describe(target, text, sizeof(text));
    doctor_find(doctor, "Pub/Sub", FINDING_OK, text, NULL);
    pubsub_settings_wishes(doctor->context->config, &wishes);
    if (pubsub_open(&options.client, &client, &why) != ERR_OK) {
        doctor_find(doctor, "identity", FINDING_FAILED, why.text, "see docs/pubsub.md");
        return;
    }
    describe_identity(target, text, sizeof(text));
    doctor_find(doctor, "identity", FINDING_OK, text, NULL);
    doctor_check_pubsub_client(doctor, client, &wishes);
    pubsub_close(&client);
}
