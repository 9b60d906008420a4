// The commands, in the order in which help lists them.
#include "command.h"

#include <assert.h>

#define OPTIONS(...) ((const uint8_t[]){__VA_ARGS__, OPTION_COUNT})
// Of every command that may touch Pub/Sub.
#define BUS_OPTIONS                                                                                \
    OPTION_bus_kind, OPTION_pubsub_project, OPTION_pubsub_endpoint, OPTION_allow_emulator
#define STORE_OPTIONS OPTION_store_kind, OPTION_cassandra_contact_points
#define EXAMPLES(...) ((const struct command_example[]){__VA_ARGS__, {NULL, NULL}})

static_assert(OPTION_COUNT <= UINT8_MAX, "option ids fit the rows' lists");

static const char *const produced_topics[] = {"orders", "payments", NULL};
static const char *const consumed_topics[] = {"orders", "payments", "dlq", "all", NULL};

static const struct command commands[] = {
    {
        .name = "run",
        .summary = "take in orders and payments and match them, all in one process",
        .description = "Runs broker, consumers, sweeper and dead-letter consumer on one data "
                       "directory. Sources are files, standard input or made-up messages; without "
                       "one it works on what is in the directory and on what `till produce` sends. "
                       "With --bus pubsub sources are published there, and all is received from "
                       "there. "
                       "With --once it ends when everything is settled, and prints the report.",
        .options =
            OPTIONS(OPTION_data_dir, STORE_OPTIONS, OPTION_orders, OPTION_payments, OPTION_from,
                    OPTION_generate, OPTION_seed, OPTION_rate, OPTION_once, OPTION_match_grace,
                    OPTION_late, OPTION_early, OPTION_orphan, OPTION_duplicate, OPTION_conflict,
                    OPTION_corrupt, OPTION_partial, OPTION_overpay, OPTION_refund,
                    OPTION_chargeback, OPTION_failed_retry, OPTION_wrong_currency, OPTION_idle,
                    BUS_OPTIONS, OPTION_run_drain_timeout, OPTION_quiet, OPTION_config, OPTION_set),
        .examples = EXAMPLES(
            {"till run --generate 100000 --once", "see it work"},
            {"till run --orders orders.jsonl --payments payments.jsonl --once", "match two files"},
            {"tail -f events.jsonl | till run --from -", "take in a stream"}),
        .reads_config = true,
        .run = cmd_run,
    },
    {
        .name = "setup",
        .summary = "make what a run needs: topics and subscriptions on Pub/Sub",
        .description =
            "Creates what is missing, and shows field by field what is there and differs. "
            "Ends with exit code 3 when something differs and was left as found. Deletes "
            "nothing. With the embedded broker nothing needs to be set up.",
        .options = OPTIONS(OPTION_dry_run, OPTION_apply, BUS_OPTIONS, OPTION_data_dir,
                           STORE_OPTIONS, OPTION_output, OPTION_quiet, OPTION_config, OPTION_set),
        .examples = EXAMPLES({"till setup --bus pubsub --dry-run", "what would be done?"},
                             {"till setup --bus pubsub --apply", "also change what differs"}),
        .reads_config = true,
        .run = cmd_setup,
    },
    {
        .name = "produce",
        .summary = "publish messages from files",
        .description = "Publishes one message a line. Where till runs on the data directory, the "
                       "messages go to it; else they wait in the directory for the next consumer. "
                       "On Pub/Sub no directory is needed. Ends when every message is durable.",
        .options = OPTIONS(OPTION_data_dir, OPTION_from, OPTION_rate, BUS_OPTIONS,
                           OPTION_run_drain_timeout, OPTION_quiet, OPTION_config, OPTION_set),
        .positional = {"orders|payments", "the topic", produced_topics, 1, 1},
        .examples = EXAMPLES(
            {"till produce orders --from orders.jsonl", "publish a file"},
            {"make-payments | till produce payments --from -", "publish what a program prints"}),
        .reads_config = true,
        .run = cmd_produce,
    },
    {
        .name = "consume",
        .summary = "apply what was published",
        .description =
            "Takes messages from their subscriptions and applies them. `all` also "
            "declares payments unmatched whose grace time has passed, and records dead "
            "letters. On Pub/Sub a subscription counts as empty when it gave nothing for "
            "--idle.",
        .options =
            OPTIONS(OPTION_data_dir, STORE_OPTIONS, OPTION_once, OPTION_idle, OPTION_match_grace,
                    BUS_OPTIONS, OPTION_run_drain_timeout, OPTION_quiet, OPTION_config, OPTION_set),
        .positional = {"orders|payments|dlq|all", "what to consume", consumed_topics, 1, 1},
        .examples = EXAMPLES({"till consume all --once", "settle what lies there, then end"}),
        .reads_config = true,
        .run = cmd_consume,
    },
    {
        .name = "sweep",
        .summary = "declare payments unmatched whose grace time has passed",
        .description = "Does only what `till consume all` does beside consuming: publishes a dead "
                       "letter for each payment whose order has not come. Payments are held back "
                       "while the orders that were applied are older than they are, at most for "
                       "match.max_hold. With --once it ends when nothing is due.",
        .options =
            OPTIONS(OPTION_data_dir, STORE_OPTIONS, OPTION_once, OPTION_match_grace, BUS_OPTIONS,
                    OPTION_run_drain_timeout, OPTION_quiet, OPTION_config, OPTION_set),
        .examples = EXAMPLES({"till sweep --once", "declare what is due, then end"}),
        .reads_config = true,
        .run = cmd_sweep,
    },
    {
        .group = "dlq",
        .name = "list",
        .summary = "list dead letters with their reasons",
        .options = OPTIONS(OPTION_data_dir, STORE_OPTIONS, OPTION_reason, OPTION_limit,
                           OPTION_output, OPTION_quiet, OPTION_config, OPTION_set),
        .examples =
            EXAMPLES({"till dlq list --reason E_UNMATCHED", "payments whose order has not come"},
                     {"till dlq list --output csv", "for a spreadsheet"}),
        .reads_config = true,
        .run = cmd_dlq_list,
    },
    {
        .group = "dlq",
        .name = "show",
        .summary = "show one dead letter whole, with the message as it came",
        .options = OPTIONS(OPTION_data_dir, STORE_OPTIONS, OPTION_quiet, OPTION_config, OPTION_set),
        .positional = {"ID", "as `till dlq list` shows it; its first digits do", NULL, 1, 1},
        .examples = EXAMPLES({"till dlq show 3f9a12", "what was wrong with it?"}),
        .reads_config = true,
        .run = cmd_dlq_show,
    },
    {
        .name = "query",
        .summary = "show rows of the fact table",
        .options = OPTIONS(OPTION_data_dir, STORE_OPTIONS, OPTION_order, OPTION_customer,
                           OPTION_day, OPTION_status, OPTION_limit, OPTION_output, OPTION_quiet,
                           OPTION_config, OPTION_set),
        .examples = EXAMPLES({"till query --order 42", "one order and its payments"},
                             {"till query --status UNPAID --output csv", "for a spreadsheet"}),
        .reads_config = true,
        .run = cmd_query,
    },
    {
        .name = "report",
        .summary = "show where every message and every cent stands, and whether it balances",
        .description = "Holds two independent counts against each other: what each transaction "
                       "noted, and what the tables hold. Ends with exit code 3 when they differ.",
        .options = OPTIONS(OPTION_data_dir, STORE_OPTIONS, OPTION_bus_kind, OPTION_quiet,
                           OPTION_config, OPTION_set),
        .examples = EXAMPLES({"till report", "is everything there?"}),
        .reads_config = true,
        .run = cmd_report,
    },
    {
        .name = "doctor",
        .summary = "check all that a run depends on, and say what to do about it",
        .description = "Ends with exit code 3 when something failed. Reads every page of facts.db, "
                       "which takes seconds a gigabyte.",
        .options = OPTIONS(OPTION_data_dir, STORE_OPTIONS, BUS_OPTIONS, OPTION_output, OPTION_quiet,
                           OPTION_config, OPTION_set),
        .examples = EXAMPLES({"till doctor", "before the first run, or when something is odd"}),
        .reads_config = true,
        .run = cmd_doctor,
    },
    {
        .name = "bench",
        .summary = "measure this machine and this disk",
        .description = "Works in a directory of its own inside the present one and removes it "
                       "afterwards. The pipeline and a raw SQLite loop take turns, five rounds; "
                       "medians and their ratio are printed.",
        .options = OPTIONS(OPTION_pairs, OPTION_latency, OPTION_grow, OPTION_json, OPTION_quiet),
        .examples = EXAMPLES({"till bench --pairs 200000", "a short run"},
                             {"till bench --latency", "from publish to durable fact"},
                             {"till bench --grow --pairs 10000000", "as the store grows"}),
        .run = cmd_bench,
    },
    {
        .group = "config",
        .name = "show",
        .summary = "show every setting as it would be used",
        .options = OPTIONS(OPTION_origin, OPTION_output, OPTION_config, OPTION_set),
        .examples = EXAMPLES({"till config show --origin", "and where each value comes from"},
                             {"TILL_MATCH_GRACE=15m till config show --output json",
                              "for programs, with a value from the environment"}),
        .reads_config = true,
        .run = cmd_config_show,
    },
    {
        .group = "config",
        .name = "lint",
        .summary = "check settings without using them, and list all that is wrong",
        .description = "Without FILE, checks what the other commands would read: "
                       "/etc/till/till.yaml, ./till.yaml, --config and the TILL_ variables. "
                       "With FILE, checks each file alone.",
        .options = OPTIONS(OPTION_config),
        .positional = {"FILE", "files to check", NULL, 0, 1000},
        .examples =
            EXAMPLES({"till config lint", "check what is in force here"},
                     {"till config lint deploy/*.yaml", "check files before they are installed"}),
        .run = cmd_config_lint,
    },
    {
        .name = "version",
        .summary = "print the version and those of the libraries in use",
        .options = OPTIONS(OPTION_output),
        .examples = EXAMPLES({"till version", "for a bug report"}),
        .run = cmd_version,
    },
};

struct command_table command_table(void)
{
    return (struct command_table){commands, sizeof commands / sizeof commands[0]};
}
