// till setup: makes what a run needs and what is not there by itself: topics and subscriptions, which are rows
// of the table, and the tables of a cluster, whose statements follow it.
#include "bus_pubsub.h"
#include "cassandra_settings.h"
#include "command.h"
#include "pubsub_settings.h"
#include "pubsub_setup.h"
#include "table_out.h"

#define NAMES_ARENA_SIZE    ((size_t)1 << 20)
#define STATEMENTS_SIZE_MAX ((size_t)1 << 20)
#define VALUE_SIZE_MAX      600u

static const struct table_column columns[] = {
    {"kind", TABLE_TEXT},  {"name", TABLE_TEXT},   {"state", TABLE_TEXT}, {"field", TABLE_TEXT},
    {"found", TABLE_TEXT}, {"wanted", TABLE_TEXT}, {"do", TABLE_TEXT},
};

struct setup {
    struct command_context *context;
    struct table_out table;
    bool dry_run;
    bool apply;
    // how many topics and subscriptions, fields, and so on
    size_t created;      // or would be, with dry_run
    size_t changed;      // or would be
    size_t statements;   // run on a cluster, or would be
    size_t differing;    // left as they are, --apply would change them
    size_t unchangeable; // left as they are, a person has to
};

static void add_row(struct setup *setup, const char *kind, struct text name, const char *state)
{
    const struct text cells[] = {text_of(kind), name, text_of(state), {0}, {0}, {0}, {0}};
    (void)table_out_row(&setup->table, cells);
}

static void add_difference(struct setup *setup, const struct setup_pair *pair,
                           const struct pubsub_difference *difference, const char *state,
                           const char *remedy)
{
    char found_text[VALUE_SIZE_MAX];
    char wanted_text[VALUE_SIZE_MAX];
    struct buf found;
    struct buf wanted;
    buf_init_fixed(&found, found_text, sizeof(found_text));
    buf_init_fixed(&wanted, wanted_text, sizeof(wanted_text));
    setup_add_value(&found, &pair->found, difference->field);
    setup_add_value(&wanted, &pair->wanted, difference->field);
    const struct text cells[] = {
        TEXT("subscription"),
        pair->subscription,
        text_of(state),
        text_of(difference->field),
        buf_view(&found),
        buf_view(&wanted),
        remedy != NULL ? text_of(remedy) : (struct text){0},
    };
    (void)table_out_row(&setup->table, cells);
}

// --- Pub/Sub ------------------------------------------------------------------------------------

static enum err complete_topic(struct setup *setup, struct setup_pair *pair, struct pubsub *client,
                               struct why *why)
{
    if (pair->has_topic) {
        add_row(setup, "topic", pair->topic, "there");
        return ERR_OK;
    }
    enum err err = setup->dry_run ? ERR_OK : setup_pair_create_topic(pair, client, why);
    if (err == ERR_OK) {
        add_row(setup, "topic", pair->topic, setup->dry_run ? "would be created" : "created");
        setup->created++;
    }
    return err;
}

static enum err create_subscription(struct setup *setup, struct setup_pair *pair,
                                    struct pubsub *client, struct why *why)
{
    enum err err = setup->dry_run ? ERR_OK : setup_pair_create_subscription(pair, client, why);
    if (err == ERR_OK) {
        add_row(setup, "subscription", pair->subscription,
                setup->dry_run ? "would be created" : "created");
        setup->created++;
    }
    return err;
}

// What the service refuses to change is left to a person, like what it never changes.
static enum err apply(struct setup *setup, struct setup_pair *pair, size_t i, struct pubsub *client,
                      struct why *why)
{
    enum err err = setup->dry_run ? ERR_OK : setup_pair_change(pair, i, client, why);
    if (err_class_of(err) == ERR_CLASS_REJECT) {
        add_difference(setup, pair, &pair->differences[i], "refused", why->text);
        *why = (struct why){0};
        setup->unchangeable++;
        return ERR_OK;
    }
    if (err == ERR_OK) {
        add_difference(setup, pair, &pair->differences[i],
                       setup->dry_run ? "would be changed" : "changed", NULL);
        setup->changed++;
    }
    return err;
}

static enum err settle_difference(struct setup *setup, struct setup_pair *pair, size_t i,
                                  struct pubsub *client, struct why *why)
{
    const struct pubsub_difference *difference = &pair->differences[i];
    if (!difference->changeable) {
        add_difference(setup, pair, difference, "cannot be changed",
                       setup_remedy(difference->field));
        setup->unchangeable++;
        return ERR_OK;
    }
    if (setup->apply) {
        return apply(setup, pair, i, client, why);
    }
    add_difference(setup, pair, difference, "differs", "till setup --apply changes it");
    setup->differing++;
    return ERR_OK;
}

static enum err complete_subscription(struct setup *setup, struct setup_pair *pair,
                                      struct pubsub *client, struct why *why)
{
    if (!pair->has_subscription) {
        return create_subscription(setup, pair, client, why);
    }
    if (pair->difference_count == 0) {
        add_row(setup, "subscription", pair->subscription, "there");
    }
    enum err err = ERR_OK;
    for (size_t i = 0; i < pair->difference_count && err == ERR_OK; i++) {
        err = settle_difference(setup, pair, i, client, why);
    }
    return err;
}

static enum err complete_all(struct setup *setup, const struct setup_wishes *wishes,
                             struct pubsub *client, struct why *why)
{
    struct arena arena;
    struct setup_pair pair;
    enum err err = arena_init(&arena, NAMES_ARENA_SIZE);
    for (int i = 0; i < BUS_TOPIC_COUNT && err == ERR_OK; i++) {
        arena_reset(&arena);
        setup_pair_init(&pair, wishes, (enum bus_topic)i);
        err = setup_pair_look(&pair, client, &arena, why);
        if (err == ERR_OK) {
            err = complete_topic(setup, &pair, client, why);
        }
        if (err == ERR_OK) {
            err = complete_subscription(setup, &pair, client, why);
        }
    }
    arena_deinit(&arena);
    if (err != ERR_OK) {
        setup_advise(why);
    }
    return err;
}

static enum err set_up_pubsub(struct setup *setup, struct why *why)
{
    struct bus_pubsub_options options = {0};
    struct setup_wishes wishes;
    struct pubsub *client = NULL;
    enum err err = pubsub_settings_read(setup->context, &options, why);
    if (err != ERR_OK) {
        return err;
    }
    pubsub_settings_say_target(setup->context, &options);
    output_flush(setup->context->messages); // before anything is done there
    pubsub_settings_wishes(setup->context->config, &wishes);
    err = pubsub_open(&options.client, &client, why);
    if (err == ERR_OK) {
        err = complete_all(setup, &wishes, client, why);
    }
    pubsub_close(&client);
    return err;
}

// --- all parts ----------------------------------------------------------------------------------

static enum err set_up_bus(struct setup *setup, struct why *why)
{
    const struct config *config = setup->context->config;
    if (config->bus_kind == BUS_KIND_PUBSUB) {
        return set_up_pubsub(setup, why);
    }
    if (config->store_kind == STORE_KIND_CASSANDRA) {
        return ERR_OK; // there is something to be set up elsewhere
    }
    command_say(setup->context,
                "bus.kind is embedded: nothing needs to be set up, the first run makes %s",
                setup->context->config->data_dir);
    return ERR_OK;
}

// Statements are told apart by their ends, a line each.
static size_t count_statements(struct text cql)
{
    size_t count = 0;
    for (size_t i = 0; i < cql.size; i++) {
        count += cql.data[i] == '\n';
    }
    return count;
}

static enum err set_up_store(struct setup *setup, struct why *why)
{
    struct command_context *context = setup->context;
    struct cassandra_settings settings;
    struct buf cql;
    if (context->config->store_kind != STORE_KIND_CASSANDRA) {
        return ERR_OK;
    }
    enum err err = cassandra_settings_read(context, &settings, why);
    if (err != ERR_OK) {
        return err;
    }
    cassandra_settings_say_target(context, &settings);
    output_flush(context->messages); // before anything is done there
    buf_init_heap(&cql, STATEMENTS_SIZE_MAX);
    err =
        store_cassandra_setup(&settings.options, settings.replication, !setup->dry_run, &cql, why);
    if (context->options->output == TABLE_FORMAT_TABLE) {
        buf_add_text(&context->out->buf, buf_view(&cql));
    }
    setup->statements = count_statements(buf_view(&cql));
    buf_deinit(&cql);
    return err;
}

static void say_count(const struct setup *setup, size_t count, const char *done, const char *would)
{
    if (count > 0) {
        command_say(setup->context, "%zu %s", count, setup->dry_run ? would : done);
    }
}

// What was done, and whether something was left that should not be so.
static enum err conclude(const struct setup *setup, struct why *why)
{
    size_t left = setup->differing + setup->unchangeable;
    say_count(setup, setup->created, "created", "would be created");
    say_count(setup, setup->changed, "changed", "would be changed");
    say_count(setup, setup->statements, "statements run", "statements would be run");
    if (setup->created + setup->changed + setup->statements + left == 0) {
        command_say(setup->context, "nothing to do");
    }
    if (left == 0) {
        return ERR_OK;
    }
    return why_set(
        why, ERR_CHECK_FAILED, "%zu setting%s left as found%s", left, left == 1 ? " was" : "s were",
        setup->differing > 0 ? "; till setup --apply changes what can be changed" : ", see above");
}

enum err cmd_setup(struct command_context *context, struct why *why)
{
    struct setup setup = {
        .context = context, .dry_run = context->options->dry_run, .apply = context->options->apply};
    enum err err = pubsub_settings_check_flags(context, why);
    err = err == ERR_OK ? cassandra_settings_check_flags(context, why) : err;
    if (err != ERR_OK) {
        return err;
    }
    table_out_init(&setup.table, (enum table_format)context->options->output, columns,
                   sizeof(columns) / sizeof(columns[0]), context->out);
    err = set_up_bus(&setup, why);
    table_out_end(&setup.table);
    if (err == ERR_OK) {
        err = set_up_store(&setup, why);
    }
    output_flush(context->out);
    return err == ERR_OK ? conclude(&setup, why) : err;
}
