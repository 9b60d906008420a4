// Work that was begun: what is still counted after a crash tells which lane, and which message, it was. No two
// processes count the same thing at once, so the wall clock will do for timestamps.
#include "cassandra_store.h"

static const struct text lanes = {"lane", 4};
static const struct text messages = {"message", 7};

static enum err take_starts(void *context, size_t request, const struct cql_cell *cells,
                            struct why *why)
{
    (void)request;
    (void)why;
    *(int32_t *)context = cell_int(cells[0]);
    return ERR_OK;
}

static enum err read_starts(struct cassandra_store *store, struct text kind, struct text name,
                            int32_t *out_starts, struct why *why)
{
    struct call call;
    call_init(&call, store, 1, 0);
    struct cql_values *values = call_add(&call, CASSANDRA_READ_STARTS, kind.size + name.size);
    cql_bind_text(values, kind);
    cql_bind_text(values, name);
    *out_starts = 0;
    return call_run(&call, take_starts, out_starts, why);
}

static enum err write_starts(struct cassandra_store *store, struct text kind, struct text name,
                             int32_t starts, struct why *why)
{
    struct call call;
    call_init(&call, store, 1, 0);
    struct cql_values *values = call_add(&call, CASSANDRA_PUT_STARTS, kind.size + name.size);
    cql_bind_text(values, kind);
    cql_bind_text(values, name);
    cql_bind_int(values, starts);
    cql_bind_bigint(values, clock_wall_us(&store->clock));
    return call_run(&call, NULL, NULL, why);
}

static enum err count_start(struct store *base, struct text kind, struct text name,
                            uint32_t *out_starts, struct why *why)
{
    struct cassandra_store *store = cassandra_store_of(base);
    int32_t starts = 0;
    enum err err = read_starts(store, kind, name, &starts, why);
    if (err == ERR_OK) {
        starts++;
        *out_starts = (uint32_t)starts;
        err = write_starts(store, kind, name, starts, why);
    }
    return err;
}

enum err cassandra_add_start(struct store *base, struct text lane, uint32_t *out_starts,
                             struct why *why)
{
    return count_start(base, lanes, lane, out_starts, why);
}

enum err cassandra_clear_starts(struct store *base, struct text lane, struct why *why)
{
    return write_starts(cassandra_store_of(base), lanes, lane, 0, why);
}

#define MESSAGE_NAME_SIZE 1024

static struct text message_name(char memory[MESSAGE_NAME_SIZE], struct text topic,
                                struct text message_id)
{
    struct buf name;
    buf_init_fixed(&name, memory, MESSAGE_NAME_SIZE);
    buf_add_text(&name, topic);
    buf_add_char(&name, '/');
    buf_add_text(&name, message_id);
    return buf_view(&name);
}

enum err cassandra_add_suspect(struct store *base, struct text topic, struct text message_id,
                               uint32_t *out_starts, struct why *why)
{
    char memory[MESSAGE_NAME_SIZE];
    return count_start(base, messages, message_name(memory, topic, message_id), out_starts, why);
}

enum err cassandra_remove_suspect(struct store *base, struct text topic, struct text message_id,
                                  struct why *why)
{
    char memory[MESSAGE_NAME_SIZE];
    return write_starts(cassandra_store_of(base), messages, message_name(memory, topic, message_id),
                        0, why);
}
