// Statements, prepared by need: once for the caller, on every new connection, and again where a node has
// forgotten one. Requests that met UNPREPARED wait for one PREPARE together.
#include "cql_session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TRY_AGAIN_NS INT64_C(20000000) // at most, after a node had no answer to PREPARE

// --- what a statement is ------------------------------------------------------------------------

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static size_t after_quoted(struct text text, size_t at)
{
    char quote = text.data[at];
    at++;
    while (at < text.size && text.data[at] != quote) {
        at++;
    }
    return at + 1;
}

// Whether it has the word IF outside of quotes: it is answered by a row [applied], and may not be done
// twice. Taking IF NOT EXISTS of a definition for one does no harm.
static bool is_conditional(struct text text)
{
    size_t at = 0;
    while (at < text.size) {
        if (text.data[at] == '\'' || text.data[at] == '"') {
            at = after_quoted(text, at);
            continue;
        }
        size_t end = at;
        while (end < text.size && is_word(text.data[end])) {
            end++;
        }
        if (text_equal_nocase_ascii((struct text){text.data + at, end - at}, TEXT("if"))) {
            return true;
        }
        at = end > at ? end : at + 1;
    }
    return false;
}

bool cql_text_is_conditional(struct text text)
{
    return is_conditional(text);
}

size_t cql_statement_value_count(const struct cql_statement *statement)
{
    return statement->value_count;
}

static struct cql_statement *find(const struct cql *cql, struct text text)
{
    struct cql_statement *statement = cql->statements;
    while (statement != NULL && !text_equal(statement->text, text)) {
        statement = statement->next;
    }
    return statement;
}

static struct cql_statement *create(struct text text)
{
    struct cql_statement *statement = calloc(1, sizeof(*statement) + text.size);
    if (statement != NULL) {
        char *copy = (char *)(statement + 1);
        memcpy(copy, text.data, text.size);
        statement->text = (struct text){copy, text.size};
        statement->conditional = is_conditional(text);
    }
    return statement;
}

static void free_statement(struct cql_statement *statement)
{
    free((void *)(uintptr_t)statement->id.data);
    free(statement->keyspace);
    free(statement->columns);
    free(statement);
}

// --- columns ------------------------------------------------------------------------------------

static struct text copy_into(char **at, struct text text)
{
    char *copy = *at;
    if (text.size > 0) {
        memcpy(copy, text.data, text.size);
    }
    *at += text.size;
    return (struct text){copy, text.size};
}

struct cql_columns_known *cql_columns_copy(const struct cql_metadata *metadata, struct text id)
{
    size_t size = id.size + metadata->keyspace.size + metadata->table.size + metadata->columns.size;
    struct cql_columns_known *known = calloc(1, sizeof(*known) + size);
    if (known == NULL) {
        return NULL;
    }
    char *at = known->memory;
    known->id = copy_into(&at, id);
    known->metadata = *metadata;
    known->metadata.keyspace = copy_into(&at, metadata->keyspace);
    known->metadata.table = copy_into(&at, metadata->table);
    known->metadata.columns = copy_into(&at, metadata->columns);
    known->metadata.paging_state = known->metadata.new_id = (struct text){0};
    known->metadata.has_more_pages = known->metadata.changed = false;
    return known;
}

void cql_columns_set(struct cql *cql, struct cql_statement *statement,
                     struct cql_columns_known *columns)
{
    struct cql_columns_known *old = statement->columns;
    statement->columns = columns;
    if (old != NULL) { // answers to requests in flight may refer to it
        old->next_retired = cql->retired;
        cql->retired = old;
    }
}

void cql_statements_sweep(struct cql *cql)
{
    struct cql_columns_known **at = &cql->retired;
    while (*at != NULL) {
        struct cql_columns_known *known = *at;
        if (known->references == 0) {
            *at = known->next_retired;
            free(known);
        } else {
            at = &known->next_retired;
        }
    }
}

void cql_statements_free(struct cql *cql)
{
    while (cql->statements != NULL) {
        struct cql_statement *next = cql->statements->next;
        free_statement(cql->statements);
        cql->statements = next;
    }
    while (cql->retired != NULL) {
        struct cql_columns_known *next = cql->retired->next_retired;
        free(cql->retired);
        cql->retired = next;
    }
}

// --- PREPARED -----------------------------------------------------------------------------------

static void take_key(struct cql_statement *statement, const struct cql_metadata *markers)
{
    uint16_t count = markers->partition_key_count;
    statement->key_count = count <= CQL_KEY_PARTS_MAX ? count : 0;
    for (uint16_t i = 0; i < statement->key_count; i++) {
        statement->key[i] = cql_partition_key_index(markers, i);
    }
}

static struct text keyspace_of(const struct cql_metadata *markers)
{
    if (markers->global_table) {
        return markers->keyspace;
    }
    struct cql_columns columns = cql_columns(markers);
    struct cql_column column = {0};
    return cql_columns_next(&columns, &column) ? column.keyspace : (struct text){0};
}

static char *copy_text(struct text text)
{
    char *copy = malloc(text.size + 1);
    if (copy != NULL) {
        memcpy(copy, text.size > 0 ? text.data : "", text.size);
        copy[text.size] = '\0';
    }
    return copy;
}

static bool same_columns(const struct cql_statement *statement, const struct cql_prepared *prepared)
{
    const struct cql_columns_known *known = statement->columns;
    return known != NULL && text_equal(known->id, prepared->result_metadata_id) &&
           text_equal(known->metadata.columns, prepared->result.columns);
}

// Takes what a node answered; what other nodes answered before is the same, or older.
MUST_USE static enum err take_prepared(struct cql *cql, struct cql_statement *statement,
                                       const struct cql_prepared *prepared)
{
    if (!text_equal(statement->id, prepared->id)) {
        char *id = copy_text(prepared->id);
        char *keyspace = copy_text(keyspace_of(&prepared->markers));
        if (id == NULL || keyspace == NULL) {
            free(id);
            free(keyspace);
            return ERR_NO_MEMORY;
        }
        free((void *)(uintptr_t)statement->id.data);
        free(statement->keyspace);
        statement->id = (struct text){id, prepared->id.size};
        statement->keyspace = keyspace;
        statement->generation = 0;
    }
    statement->value_count = prepared->markers.column_count;
    take_key(statement, &prepared->markers);
    if (!same_columns(statement, prepared)) {
        struct cql_columns_known *columns =
            cql_columns_copy(&prepared->result, prepared->result_metadata_id);
        if (columns == NULL) {
            return ERR_NO_MEMORY;
        }
        cql_columns_set(cql, statement, columns);
    }
    return ERR_OK;
}

static bool is_prepared(const struct cql_response *response)
{
    return response != NULL && response->opcode == CQL_OPCODE_RESULT &&
           response->result_kind == CQL_RESULT_PREPARED;
}

// --- prepared again -----------------------------------------------------------------------------

static void wake_waiters(struct cql_slot *prepare, const struct cql_response *response,
                         const struct why *why)
{
    bool good = is_prepared(response);
    const struct cql_server_error *error =
        response != NULL && response->opcode == CQL_OPCODE_ERROR ? &response->error : NULL;
    for (size_t left = prepare->waiters.count; left > 0; left--) {
        struct cql_slot *slot = cql_queue_pop(&prepare->waiters);
        slot->state = CQL_SLOT_WAITING;
        if (good && slot->node->ready_count > 0) {
            cql_queue_push(&slot->node->queue, slot);
        } else if (good) {
            cql_place(slot);
        } else if (error != NULL && error->code != CQL_ERROR_UNPREPARED) {
            slot->connection = prepare->connection;
            cql_trouble(slot, CQL_TROUBLE_ERROR, error, why);
        } else {
            cql_trouble(slot, CQL_TROUBLE_NOT_SENT, NULL, why);
        }
    }
}

static void prepared_on_node(struct cql *cql, struct cql_slot *slot,
                             const struct cql_response *response, const struct why *why)
{
    if (is_prepared(response) &&
        take_prepared(cql, slot->statement, &response->prepared) != ERR_OK) {
        response = NULL; // as if there were no answer
    }
    wake_waiters(slot, response, why);
}

static struct cql_slot *find_preparing(struct cql *cql, const struct cql_connection *connection,
                                       const struct cql_statement *statement)
{
    struct cql_slot *slot = cql->preparing.first;
    while (slot != NULL && (slot->connection != connection || slot->statement != statement)) {
        slot = slot->next;
    }
    return slot;
}

void cql_statement_prepare_on(struct cql *cql, struct cql_connection *connection)
{
    for (struct cql_statement *at = cql->statements; at != NULL; at = at->next) {
        if (at->id.size > 0) { // else there is no need: an UNPREPARED would make it up
            (void)cql_ask_prepare(cql, connection, at, prepared_on_node);
        }
    }
}

// The statement that the node does not know: of a batch the one with that id.
static struct cql_statement *unprepared_of(const struct cql_slot *slot, struct text id)
{
    const struct cql_request *request = &slot->request;
    for (uint16_t i = 0; i < request->batch_count; i++) {
        if (text_equal(request->batch[i].statement->id, id)) {
            return request->batch[i].statement;
        }
    }
    return request->batch != NULL ? request->batch[0].statement : request->statement;
}

bool cql_statement_prepare_for(struct cql_slot *slot, struct cql_connection *connection,
                               const struct cql_server_error *error)
{
    struct cql_statement *statement = unprepared_of(slot, error->unprepared_id);
    if (statement == NULL) {
        return false; // a text is not prepared
    }
    struct cql_slot *prepare = find_preparing(slot->cql, connection, statement);
    if (prepare == NULL) {
        prepare = cql_ask_prepare(slot->cql, connection, statement, prepared_on_node);
    }
    if (prepare == NULL) {
        return false;
    }
    slot->state = CQL_SLOT_PREPARING;
    cql_queue_push(&prepare->waiters, slot);
    return true;
}

// --- for the caller -----------------------------------------------------------------------------

// What a PREPARE that somebody waits for has come to. One at a time.
static void prepared_for_caller(struct cql *cql, struct cql_slot *slot,
                                const struct cql_response *response, const struct why *why)
{
    struct cql_preparation *preparation = &cql->preparation;
    preparation->over = true;
    preparation->err = ERR_OK;
    preparation->node = slot->node;
    if (is_prepared(response)) {
        preparation->err = take_prepared(cql, slot->statement, &response->prepared);
        return;
    }
    preparation->err = ERR_UNAVAILABLE;
    if (response != NULL && response->opcode == CQL_OPCODE_ERROR) {
        struct cql_situation situation = {.trouble = CQL_TROUBLE_ERROR, .error = &response->error};
        preparation->err = cql_retry_decide(&situation).err;
    }
    preparation->why = *why;
}

static struct cql_connection *any_connection(struct cql *cql)
{
    size_t start = cql->local_count > 0 ? rand_below(&cql->rand, cql->local_count) : 0;
    for (size_t i = 0; i < cql->local_count; i++) {
        struct cql_connection *connection =
            cql_node_connection(cql->local[(start + i) % cql->local_count]);
        if (connection != NULL) {
            return connection;
        }
    }
    return NULL;
}

// One try on one node, or a wait for a node.
static void try_to_prepare(struct cql *cql, struct cql_statement *statement, int64_t until_ns)
{
    struct cql_preparation *preparation = &cql->preparation;
    struct cql_connection *connection = any_connection(cql);
    *preparation = (struct cql_preparation){.err = ERR_UNAVAILABLE};
    (void)why_set(&preparation->why, ERR_UNAVAILABLE, "no node is connected");
    if (connection == NULL ||
        cql_ask_prepare(cql, connection, statement, prepared_for_caller) == NULL) {
        cql_turn(cql, until_ns - cql->group.loop.now_ns);
        return;
    }
    while (!preparation->over) { // it has a timer of its own
        cql_turn(cql, NS_PER_SECOND);
    }
}

static enum err prepare_somewhere(struct cql *cql, struct cql_statement *statement, struct why *why)
{
    int64_t until_ns = cql_loop_look(&cql->group.loop) + cql->request_timeout_us * 1000;
    struct cql_preparation *preparation = &cql->preparation;
    preparation->over = false;
    cql->holding = true;
    cql_hold_done(cql);
    do {
        if (preparation->over && preparation->err != ERR_OK) {
            cql_turn(cql, TRY_AGAIN_NS);
        }
        try_to_prepare(cql, statement, until_ns);
    } while (err_class_of(preparation->err) == ERR_CLASS_RETRY &&
             cql->group.loop.now_ns < until_ns);
    cql->holding = false;
    return preparation->err == ERR_OK ? ERR_OK
                                      : why_set(why, preparation->err, "%s", preparation->why.text);
}

// Ahead of need: what was sent before its PREPARE came would only come back.
static void prepare_on_others(struct cql *cql, struct cql_statement *statement)
{
    for (size_t i = 0; i < cql->local_count; i++) {
        struct cql_connection *connection = cql_node_connection(cql->local[i]);
        if (connection != NULL && cql->local[i] != cql->preparation.node) {
            (void)cql_ask_prepare(cql, connection, statement, prepared_on_node);
        }
    }
}

enum err cql_prepare(struct cql *cql, struct text text, struct cql_statement **out_statement,
                     struct why *why)
{
    struct cql_statement *statement = find(cql, text);
    if (statement != NULL) {
        *out_statement = statement;
        return ERR_OK;
    }
    statement = create(text);
    if (statement == NULL) {
        return why_set(why, ERR_NO_MEMORY, "no memory for a statement");
    }
    enum err err = prepare_somewhere(cql, statement, why);
    if (err != ERR_OK) {
        free_statement(statement);
        return err;
    }
    statement->next = cql->statements;
    cql->statements = statement;
    prepare_on_others(cql, statement);
    *out_statement = statement;
    return ERR_OK;
}
