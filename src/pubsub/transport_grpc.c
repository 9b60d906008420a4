// The transport on gRPC core: its loop, its connections and its identity. grpc_calls.c has the calls.
#include "grpc_core.h"

#include "clock.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CORE_FAMILY       "29."              // gRPC core of the 1.51 releases
#define MESSAGE_SIZE_MAX  (20 * 1024 * 1024) // bytes, received
#define CA_FILE_SIZE_MAX  (8u * 1024u * 1024u)
#define RECONNECT_MIN_MS  1000
#define RECONNECT_MAX_MS  5000
#define CONNECT_WAIT_MS   20000
#define KEEPALIVE_WAIT_MS 20000
#define CONNECTIONS_MAX   64u

static const char *const paths[RPC_METHOD_COUNT] = {
#define X(name, path) [name] = path,
    RPC_METHODS(X)
#undef X
};

// --- the loop -----------------------------------------------------------------------------------

static gpr_timespec deadline_of(int64_t timeout_ns)
{
    return timeout_ns == INT64_MAX ? gpr_inf_future(GPR_CLOCK_MONOTONIC)
                                   : grpc_core_deadline((timeout_ns + 999) / 1000);
}

// The wait may end early, for a look at the connections.
static int64_t shortened(struct transport_grpc *self, const struct clock *clock, int64_t timeout_ns)
{
    int64_t due_ns = grpc_watch_due_ns(self);
    if (due_ns == INT64_MAX) {
        return timeout_ns;
    }
    int64_t left_ns = due_ns - clock_mono_ns(clock);
    left_ns = left_ns > 0 ? left_ns : 0;
    return left_ns < timeout_ns ? left_ns : timeout_ns;
}

static void wait_for_event(struct transport *transport, int64_t timeout_ns)
{
    struct transport_grpc *self = transport_grpc_of(transport);
    struct clock clock = clock_real();
    gpr_timespec deadline = deadline_of(shortened(self, &clock, timeout_ns));
    grpc_event event = grpc_completion_queue_next(self->queue, deadline, NULL);
    if (event.type == GRPC_OP_COMPLETE) {
        const struct tag *tag = event.tag;
        if (tag->kind == TAG_WAKE) {
            atomic_store(&self->wake_pending, false);
        } else {
            grpc_call_event(self, tag, event.success != 0);
        }
    }
    grpc_watch_look(self);
}

static void wake(struct transport *transport)
{
    struct transport_grpc *self = transport_grpc_of(transport);
    if (!atomic_exchange(&self->wake_pending, true)) {
        grpc_call_error error =
            grpc_call_start_batch(self->wake_call, NULL, 0, &self->wake_tag, NULL);
        assert(error == GRPC_CALL_OK);
    }
}

// --- connections --------------------------------------------------------------------------------

static grpc_arg arg_of(const char *key, int value)
{
    return (grpc_arg){
        .type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = value};
}

void grpc_core_connect(struct transport_grpc *self, struct connection *connection)
{
    grpc_arg args[] = {
        arg_of(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, MESSAGE_SIZE_MAX),
        arg_of(GRPC_ARG_KEEPALIVE_TIME_MS, self->keepalive_ms),
        arg_of(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_WAIT_MS),
        arg_of(GRPC_ARG_ENABLE_RETRIES, 0), // we retry ourselves
        // Else channels with equal arguments share one connection.
        arg_of(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
        arg_of(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, RECONNECT_MIN_MS),
        // Also the patience for one attempt to connect, the TLS handshake included.
        arg_of(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, CONNECT_WAIT_MS),
        arg_of(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, RECONNECT_MAX_MS),
    };
    grpc_channel_args all = {.num_args = sizeof(args) / sizeof(args[0]), .args = args};
    connection->channel = grpc_channel_create(self->endpoint, self->credentials, &all);
    for (int i = 0; i < RPC_METHOD_COUNT; i++) {
        connection->methods[i] =
            grpc_channel_register_call(connection->channel, paths[i], NULL, NULL);
    }
}

static void reconnect(struct transport *transport, uint32_t connection)
{
    struct transport_grpc *self = transport_grpc_of(transport);
    pthread_mutex_lock(&self->lock);
    grpc_watch_replace(self, &self->connections[connection % self->connection_count]);
    pthread_mutex_unlock(&self->lock);
}

// Ends what is left, which can only be calls of our own.
static void drain_queue(struct transport_grpc *self)
{
    gpr_timespec never = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    grpc_event event;
    for (uint32_t i = 0; i < self->connection_count; i++) {
        transport_call_cancel(&self->transport, &self->connections[i].probe);
    }
    grpc_completion_queue_shutdown(self->queue);
    while ((event = grpc_completion_queue_next(self->queue, never, NULL)).type !=
           GRPC_QUEUE_SHUTDOWN) {
        const struct tag *tag = event.tag;
        if (tag->kind != TAG_WAKE) {
            grpc_call_event(self, tag, event.success != 0);
        }
    }
    grpc_completion_queue_destroy(self->queue);
}

static void close_transport(struct transport *transport)
{
    struct transport_grpc *self = transport_grpc_of(transport);
    if (self->queue != NULL) {
        grpc_call_unref(self->wake_call);
        grpc_channel_destroy(self->wake_channel);
        drain_queue(self);
    }
    for (uint32_t i = 0; self->connections != NULL && i < self->connection_count; i++) {
        if (self->connections[i].channel != NULL) {
            grpc_channel_destroy(self->connections[i].channel);
        }
    }
    grpc_channel_credentials_release(self->credentials);
    grpc_shutdown();
    pthread_mutex_destroy(&self->lock);
    payload_release(&self->probe_request);
    free(self->connections);
    free(self->endpoint);
    free(self->quota_project);
    free(self);
}

static const struct transport_ops grpc_ops = {
    .call = grpc_call_begin,
    .call_cancel = grpc_call_stop,
    .stream_open = grpc_stream_open,
    .stream_read = grpc_stream_read,
    .stream_write = grpc_stream_write,
    .stream_finish = grpc_stream_finish,
    .stream_cancel = grpc_stream_cancel,
    .reconnect = reconnect,
    .wait = wait_for_event,
    .wake = wake,
    .close = close_transport,
};

// --- identity -----------------------------------------------------------------------------------

// The file's text, zero-terminated, on the heap.
static enum err read_roots(const char *path, char **out_pem, struct why *why)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return why_set(why, ERR_CONFIG, "the CA file %s cannot be opened: %m", path);
    }
    char *pem = calloc(1, CA_FILE_SIZE_MAX);
    size_t size = pem != NULL ? fread(pem, 1, CA_FILE_SIZE_MAX, file) : 0;
    bool is_pem = pem != NULL && size < CA_FILE_SIZE_MAX && strstr(pem, "BEGIN CERT") != NULL;
    (void)fclose(file);
    if (!is_pem) {
        free(pem);
        return why_set(why, ERR_CONFIG,
                       "the CA file %s holds no certificate in PEM form (BEGIN CERTIFICATE)", path);
    }
    *out_pem = pem;
    return ERR_OK;
}

// gRPC asks for the roots of Google's credentials through a callback without a context.
static char *google_roots;

static grpc_ssl_roots_override_result give_google_roots(char **out_pem)
{
    *out_pem = google_roots != NULL ? gpr_strdup(google_roots) : NULL;
    return google_roots != NULL ? GRPC_SSL_ROOTS_OVERRIDE_OK : GRPC_SSL_ROOTS_OVERRIDE_FAIL;
}

static enum err create_tls(struct transport_grpc *self, const char *ca_file, struct why *why)
{
    char *pem = NULL;
    enum err err = ca_file != NULL ? read_roots(ca_file, &pem, why) : ERR_OK;
    if (err == ERR_OK) {
        self->credentials = grpc_ssl_credentials_create_ex(pem, NULL, NULL, NULL);
        free(pem);
        if (self->credentials == NULL) {
            err =
                why_set(why, ERR_CONFIG, "gRPC made no TLS credentials%s%s",
                        ca_file != NULL ? " of the CA file " : "", ca_file != NULL ? ca_file : "");
        }
    }
    return err;
}

static enum err create_google(struct transport_grpc *self, const char *ca_file, struct why *why)
{
    if (ca_file != NULL) {
        char *pem = NULL;
        enum err err = read_roots(ca_file, &pem, why);
        if (err != ERR_OK) {
            return err;
        }
        free(google_roots);
        google_roots = pem;
        grpc_set_ssl_roots_override_callback(give_google_roots);
    }
    self->credentials = grpc_google_default_credentials_create(NULL);
    if (self->credentials != NULL) {
        return ERR_OK;
    }
    const char *file = getenv("GOOGLE_APPLICATION_CREDENTIALS");
    if (file != NULL) {
        return why_set(
            why, ERR_CONFIG,
            "GOOGLE_APPLICATION_CREDENTIALS names %s, which cannot be read or is of a kind "
            "that is not supported (supported: service_account, authorized_user, "
            "external_account)",
            file);
    }
    return why_set(
        why, ERR_CONFIG,
        "no Google credentials found: run `gcloud auth application-default login`, or set "
        "GOOGLE_APPLICATION_CREDENTIALS to a key file, or run on a machine of Google Cloud "
        "that has a service account; for the emulator set PUBSUB_EMULATOR_HOST");
}

static enum err create_credentials(struct transport_grpc *self,
                                   const struct transport_grpc_options *options, struct why *why)
{
    switch (options->security) {
    case TRANSPORT_PLAINTEXT:
        self->credentials = grpc_insecure_credentials_create();
        return ERR_OK;
    case TRANSPORT_TLS:
        return create_tls(self, options->ca_file, why);
    case TRANSPORT_GOOGLE:
        return create_google(self, options->ca_file, why);
    }
    return why_set(why, ERR_INTERNAL, "no such transport security");
}

// --- opening ------------------------------------------------------------------------------------

static enum err check_family(struct why *why)
{
    const char *version = grpc_version_string();
    if (strncmp(version, CORE_FAMILY, strlen(CORE_FAMILY)) != 0) {
        return why_set(why, ERR_CONFIG,
                       "the installed gRPC core library has version %s; this program was written "
                       "for " CORE_FAMILY "x (package libgrpc29 of Debian 12)",
                       version);
    }
    return ERR_OK;
}

static enum err check_quota_project(const char *quota_project, struct why *why)
{
    grpc_slice value = grpc_slice_from_static_string(quota_project);
    return grpc_header_nonbin_value_is_legal(value)
               ? ERR_OK
               : why_set(why, ERR_CONFIG,
                         "the quota project has characters that no header may have");
}

static void ignore_log(gpr_log_func_args *args)
{
    (void)args; // what matters comes back as a status
}

static enum err copy_options(struct transport_grpc *self,
                             const struct transport_grpc_options *options, struct why *why)
{
    assert(options->connections >= 1 && options->connections <= CONNECTIONS_MAX);
    assert(options->keepalive_us >= 1000);
    assert(options->silence_us >= 4);
    self->silence_us = options->silence_us;
    self->keepalive_ms = (int)(options->keepalive_us / 1000);
    self->connection_count = options->connections;
    self->connections = calloc(options->connections, sizeof(self->connections[0]));
    self->endpoint = strdup(options->endpoint);
    if (options->quota_project != NULL) {
        self->quota_project = strdup(options->quota_project);
    }
    bool copied = self->connections != NULL && self->endpoint != NULL &&
                  (options->quota_project == NULL || self->quota_project != NULL);
    return copied ? ERR_OK : why_set(why, ERR_NO_MEMORY, "no memory to connect");
}

static void create_queue(struct transport_grpc *self)
{
    self->queue = grpc_completion_queue_create_for_next(NULL);
    self->wake_channel = grpc_lame_client_channel_create("wake", GRPC_STATUS_UNAVAILABLE, "");
    self->wake_call = grpc_channel_create_call(self->wake_channel, NULL, GRPC_PROPAGATE_DEFAULTS,
                                               self->queue, grpc_slice_from_static_string("/wake"),
                                               NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    self->wake_tag = (struct tag){.kind = TAG_WAKE};
    for (uint32_t i = 0; i < self->connection_count; i++) {
        self->connections[i].transport = self;
        grpc_core_connect(self, &self->connections[i]);
    }
}

enum err transport_grpc_open(const struct transport_grpc_options *options,
                             struct transport **out_transport, struct why *why)
{
    struct transport_grpc *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return why_set(why, ERR_NO_MEMORY, "no memory to connect");
    }
    self->transport.ops = &grpc_ops;
    pthread_mutex_init(&self->lock, NULL);
    if (getenv("GRPC_VERBOSITY") == NULL) {
        gpr_set_log_function(ignore_log);
    }
    grpc_init();
    enum err err = check_family(why);
    if (err == ERR_OK && options->quota_project != NULL) {
        err = check_quota_project(options->quota_project, why);
    }
    if (err == ERR_OK) {
        err = copy_options(self, options, why);
    }
    if (err == ERR_OK) {
        err = grpc_watch_init(self, options->project, why);
    }
    if (err == ERR_OK) {
        err = create_credentials(self, options, why);
    }
    if (err != ERR_OK) {
        close_transport(&self->transport);
        return err;
    }
    create_queue(self);
    *out_transport = &self->transport;
    return ERR_OK;
}
