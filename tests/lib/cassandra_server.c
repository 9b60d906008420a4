// Each call is a run of the script, whose output goes to files without a name. The folder of a cluster
// lies in /tmp, whose paths are short enough for every use.
#include "cassandra_server.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_SKIPPED  77
#define ARGUMENTS_MAX 40
#define FOLDER_PREFIX "/tmp/till-cassandra-"

struct cassandra_server {
    char folder[256];
    char addresses[96];
    uint16_t port;
    unsigned nodes;
    bool is_shared;
};

static _Noreturn void give_up(const char *what, const char *said)
{
    (void)fprintf(stderr, "Cassandra: %s: %s\n", what, said);
    abort();
}

// --- running the script --------------------------------------------------------------------------

struct command {
    const char *arguments[ARGUMENTS_MAX + 1]; // the script first, NULL last
    unsigned argument_count;
    const char *input; // NULL: none
    const char *user;
    const char *password;
};

struct outcome {
    int exit_code;
    char *output;
    char *errors;
};

static void add_argument(struct command *command, const char *argument)
{
    assert(command->argument_count < ARGUMENTS_MAX);
    command->arguments[command->argument_count++] = argument;
}

static struct command command_of(const char *name, const struct cassandra_server *server)
{
    struct command command = {0};
    add_argument(&command, TILL_CASSANDRA_SCRIPT);
    add_argument(&command, name);
    if (server != NULL) {
        add_argument(&command, "--dir");
        add_argument(&command, server->folder);
    }
    return command;
}

static int nameless_file(const char *content)
{
    size_t size = content != NULL ? strlen(content) : 0;
    int fd = memfd_create("cassandra_server", MFD_CLOEXEC);
    if (fd < 0 || (size > 0 && pwrite(fd, content, size, 0) != (ssize_t)size)) {
        give_up("no file in memory", content != NULL ? content : "");
    }
    return fd;
}

// Closes the file.
static char *take_content(int fd)
{
    struct stat status;
    char *content = NULL;
    if (fstat(fd, &status) == 0) {
        content = calloc(1, (size_t)status.st_size + 1);
    }
    if (content == NULL || pread(fd, content, (size_t)status.st_size, 0) != status.st_size) {
        give_up("what the script said cannot be read", "");
    }
    (void)close(fd);
    return content;
}

// In the child.
static _Noreturn void become_script(const struct command *command, int input, int output,
                                    int errors)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if ((command->user != NULL && setenv("CQL_USER", command->user, 1) != 0) ||
        (command->password != NULL && setenv("CQL_PASSWORD", command->password, 1) != 0) ||
        dup2(input, 0) != 0 || dup2(output, 1) != 1 || dup2(errors, 2) != 2) {
        _exit(126);
    }
    (void)execv(command->arguments[0], (char *const *)(uintptr_t)command->arguments);
    _exit(127);
}

static struct outcome run(const struct command *command)
{
    int input = nameless_file(command->input);
    int output = nameless_file(NULL);
    int errors = nameless_file(NULL);
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        become_script(command, input, output, errors);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        give_up("the script cannot be run", command->arguments[0]);
    }
    (void)close(input);
    return (struct outcome){.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                            .output = take_content(output),
                            .errors = take_content(errors)};
}

static void free_outcome(struct outcome *outcome)
{
    free(outcome->output);
    free(outcome->errors);
}

// The output, for the caller to free.
static char *must_run(const struct command *command)
{
    struct outcome outcome = run(command);
    if (outcome.exit_code != 0) {
        give_up(command->arguments[1], outcome.errors);
    }
    free(outcome.errors);
    return outcome.output;
}

// --- being there ---------------------------------------------------------------------------------

void cassandra_server_require(void)
{
    const char *ci = getenv("CI");
    struct command command = command_of("fetch", NULL);
    struct outcome outcome = run(&command);
    bool can_run = outcome.exit_code == 0;
    bool fails = ci != NULL && strcmp(ci, "true") == 0;
    if (!can_run) {
        (void)fprintf(stderr, "%s: %s", fails ? "failed" : "skipped", outcome.errors);
    }
    free_outcome(&outcome);
    if (!can_run) {
        exit(fails ? EXIT_FAILURE : EXIT_SKIPPED);
    }
}

// --- a cluster -----------------------------------------------------------------------------------

static struct cassandra_server *create(unsigned nodes)
{
    struct cassandra_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        give_up("start", "out of memory");
    }
    server->nodes = nodes;
    return server;
}

static void make_folder(struct cassandra_server *server)
{
    (void)snprintf(server->folder, sizeof server->folder, FOLDER_PREFIX "XXXXXX");
    if (mkdtemp(server->folder) == NULL) {
        give_up("no folder", server->folder);
    }
}

static void start(struct cassandra_server *server, struct command *command, const char *owner)
{
    add_argument(command, "--owner");
    add_argument(command, owner);
    char *addresses = must_run(command);
    addresses[strcspn(addresses, "\n")] = '\0';
    (void)snprintf(server->addresses, sizeof server->addresses, "%s", addresses);
    const char *port = strrchr(addresses, ':');
    server->port = port != NULL ? (uint16_t)strtoul(port + 1, NULL, 10) : 0;
    if (server->port == 0) {
        give_up("start gives no address", addresses);
    }
    free(addresses);
}

static void add_each(struct command *command, const char *option, const char *const values[4])
{
    for (unsigned i = 0; i < 4 && values[i] != NULL; i++) {
        add_argument(command, option);
        add_argument(command, values[i]);
    }
}

static const char *own_pid(char text[16])
{
    (void)snprintf(text, 16, "%d", (int)getpid());
    return text;
}

struct cassandra_server *cassandra_server_start(const struct cassandra_server_options *options)
{
    static const struct cassandra_server_options defaults;
    static const char *const tls_names[] = {"none", "server", "mutual"};
    char heap[16];
    char owner[16];
    options = options != NULL ? options : &defaults;
    struct cassandra_server *server = create(options->nodes != 0 ? options->nodes : 1);
    make_folder(server);
    struct command command = command_of("start", server);
    (void)snprintf(heap, sizeof heap, "%um", options->heap_mib != 0 ? options->heap_mib : 512);
    add_argument(&command, "--heap");
    add_argument(&command, heap);
    add_argument(&command, "--nodes");
    add_argument(&command, server->nodes == 1 ? "1" : "3");
    assert(server->nodes == 1 || server->nodes == 3);
    add_argument(&command, "--tls");
    add_argument(&command, tls_names[options->tls]);
    add_argument(&command, "--commitlog");
    add_argument(&command, options->commitlog_is_periodic ? "periodic" : "batch");
    if (options->auth) {
        add_argument(&command, "--auth");
    }
    add_each(&command, "--yaml", options->yaml);
    add_each(&command, "--java", options->java);
    start(server, &command, own_pid(owner));
    return server;
}

struct cassandra_server *cassandra_server_shared(void)
{
    const char *folder = getenv("TILL_TEST_CASSANDRA_DIR");
    const char *owner = getenv("TILL_TEST_CASSANDRA_OWNER");
    if (folder == NULL || owner == NULL) {
        return cassandra_server_start(NULL);
    }
    struct cassandra_server *server = create(1);
    server->is_shared = true;
    int size = snprintf(server->folder, sizeof server->folder, "%s", folder);
    assert(size > 0 && (size_t)size < sizeof server->folder);
    struct command command = command_of("start", server);
    start(server, &command, owner);
    return server;
}

void cassandra_server_stop(struct cassandra_server **server_pointer)
{
    struct cassandra_server *server = *server_pointer;
    *server_pointer = NULL;
    if (server == NULL) {
        return;
    }
    if (!server->is_shared) {
        struct command command = command_of("remove", server);
        free(must_run(&command));
    }
    free(server);
}

const char *cassandra_server_addresses(const struct cassandra_server *server)
{
    return server->addresses;
}

uint16_t cassandra_server_port(const struct cassandra_server *server)
{
    return server->port;
}

void cassandra_server_path(const struct cassandra_server *server, const char *name,
                           char out_path[PATH_MAX])
{
    int size = snprintf(out_path, PATH_MAX, "%s/%s", server->folder, name);
    assert(size > 0 && size < PATH_MAX);
}

// --- statements ----------------------------------------------------------------------------------

bool cassandra_server_try_cql(struct cassandra_server *server,
                              const struct cassandra_cql_options *options, const char *statements,
                              char **out_text)
{
    char node[16];
    struct command command = command_of("cql", server);
    command.input = statements;
    command.user = options->user;
    command.password = options->password;
    if (options->node != 0) {
        (void)snprintf(node, sizeof node, "%u", options->node);
        add_argument(&command, "--node");
        add_argument(&command, node);
    }
    if (options->consistency != NULL) {
        add_argument(&command, "--consistency");
        add_argument(&command, options->consistency);
    }
    add_argument(&command, "-");
    struct outcome outcome = run(&command);
    bool is_done = outcome.exit_code == 0;
    *out_text = is_done ? outcome.output : outcome.errors;
    free(is_done ? outcome.errors : outcome.output);
    return is_done;
}

char *cassandra_server_cql(struct cassandra_server *server, const char *statements)
{
    char *text;
    if (!cassandra_server_try_cql(server, &(struct cassandra_cql_options){0}, statements, &text)) {
        give_up("cql", text);
    }
    return text;
}

void cassandra_server_keyspace(struct cassandra_server *server,
                               char out_name[CASSANDRA_KEYSPACE_SIZE])
{
    static unsigned made_count;
    char statement[256];
    unsigned number = __atomic_add_fetch(&made_count, 1, __ATOMIC_RELAXED);
    (void)snprintf(out_name, CASSANDRA_KEYSPACE_SIZE, "test_%d_%u", (int)getpid(), number);
    (void)snprintf(statement, sizeof statement,
                   "CREATE KEYSPACE %s WITH replication = "
                   "{'class': 'SimpleStrategy', 'replication_factor': %u};",
                   out_name, server->nodes);
    free(cassandra_server_cql(server, statement));
}

// --- a node --------------------------------------------------------------------------------------

static void command_node(struct cassandra_server *server, const char *name, unsigned node)
{
    char number[16];
    assert(!server->is_shared && node >= 1 && node <= server->nodes);
    (void)snprintf(number, sizeof number, "%u", node);
    struct command command = command_of(name, server);
    add_argument(&command, number);
    free(must_run(&command));
}

void cassandra_server_kill(struct cassandra_server *server, unsigned node)
{
    command_node(server, "kill", node);
}

void cassandra_server_pause(struct cassandra_server *server, unsigned node)
{
    command_node(server, "pause", node);
}

void cassandra_server_resume(struct cassandra_server *server, unsigned node)
{
    command_node(server, "resume", node);
}

void cassandra_server_restart(struct cassandra_server *server, unsigned node)
{
    command_node(server, "restart", node);
}
