// Sentences for steps.
#include "story.h"

#define LINE_MAX_SIZE 1024u

static void add_process(const struct model *model, unsigned p, struct buf *line)
{
    const struct program *program = &model->programs[p];
    switch (program->kind) {
    case PROCESS_CONSUMER:
        buf_add_fmt(line, "consumer %u of", p + 1);
        for (unsigned i = 0; i < model->universe->message_count; i++) {
            if (has_bit(program->messages, i)) {
                buf_add_fmt(line, " %s", model->world->messages[i].name);
            }
        }
        break;
    case PROCESS_SWEEPER:
        buf_add_fmt(line, "sweeper %u", p + 1);
        break;
    case PROCESS_DEAD_LETTERS:
        buf_add_fmt(line, "dead-letter consumer %u", p + 1);
        break;
    }
    buf_add_str(line, ": ");
}

static void add_replicas(unsigned replicas, struct buf *line)
{
    for (unsigned r = 0; r < REPLICAS; r++) {
        if (has_bit(replicas, r)) {
            buf_add_fmt(line, " %c", (char)('A' + r));
        }
    }
}

static void add_letters(const struct model *model, uint64_t letters, struct buf *line)
{
    for (unsigned i = 0; i < model->universe->letter_count; i++) {
        if (has_bit(letters, i)) {
            const struct letter *letter = &model->universe->letters[i];
            buf_add_fmt(line, " %.*s(payment %lld)", TEXT_PRINT(reason_name(letter->reason)),
                        (long long)letter->payment_id);
        }
    }
}

static void add_call(const struct model *model, const struct call *call, struct buf *line)
{
    static const char *const reads[] = {[READ_EVENTS] = "read of the partition",
                                        [READ_CLOSED] = "read of CLOSED",
                                        [READ_ENTRIES] = "read of the bucket",
                                        [READ_DUE] = "read of the due buckets"};
    switch ((enum call_kind)call->kind) {
    case CALL_END:
        buf_add_str(line, "end");
        break;
    case CALL_WRITE:
        buf_add_str(line, "write of");
        universe_print_word(model->universe, call->mask, line);
        break;
    case CALL_READ:
        buf_add_str(line, reads[call->read]);
        break;
    case CALL_PROJECT:
        buf_add_str(line, "projection of");
        universe_print_word(model->universe, model->universe->projections[call->number].rows, line);
        break;
    case CALL_PUBLISH:
        buf_add_str(line, "publish of");
        add_letters(model, call->mask, line);
        break;
    case CALL_ACK:
        buf_add_str(line, "ack");
        break;
    case CALL_ACK_LETTER:
        buf_add_str(line, "ack of the letter");
        break;
    }
}

static void add_sample(const struct model *model, const struct move *move, struct buf *line)
{
    if (move->arrived != 0) {
        buf_add_str(line, "(a copy of");
        universe_print_word(model->universe, move->arrived, line);
        buf_add_str(line, " reaches");
        add_replicas(move->replicas, line);
        buf_add_str(line, ") ");
    }
    add_call(model, &move->call, line);
    buf_add_str(line, " at");
    add_replicas(move->replicas, line);
    buf_add_str(line, " finds");
    universe_print_word(model->universe, move->bits, line);
    buf_add_str(line, move->again ? ": they differ, again" : "");
}

static void add_move(const struct model *model, const struct move *move, struct buf *line)
{
    switch (move->kind) {
    case MOVE_ARRIVE:
        add_call(model, &move->call, line);
        buf_add_str(line, move->replicas == 0 ? " acknowledged" : " reaches");
        add_replicas(move->replicas, line);
        buf_add_str(line, move->replicas == 0 ? "" : ", acknowledged");
        break;
    case MOVE_SAMPLE:
        add_sample(model, move, line);
        break;
    case MOVE_GO_ON:
        add_call(model, &move->call, line);
        break;
    case MOVE_TIMEOUT:
    case MOVE_CRASH:
        buf_add_str(line, move->kind == MOVE_CRASH ? "DIES in: " : "TIMES OUT in: ");
        add_call(model, &move->call, line);
        buf_add_str(line, move->done ? " (done)" : "");
        break;
    case MOVE_TAKE:
        buf_add_str(line, "takes");
        add_letters(model, move->bits, line);
        break;
    case MOVE_FORGET:
        buf_add_str(line, "replica");
        add_replicas(move->replicas, line);
        buf_add_str(line, " FORGETS");
        universe_print_word(model->universe, move->bits, line);
        break;
    }
}

void story_tell(const struct model *model, size_t step, const struct move *move,
                const struct state *after, FILE *out)
{
    char memory[LINE_MAX_SIZE];
    struct buf line;
    buf_init_fixed(&line, memory, sizeof(memory));
    if (move->kind != MOVE_FORGET) {
        add_process(model, move->process, &line);
    }
    add_move(model, move, &line);
    fprintf(out, "  %3zu  %.*s\n", step, (int)line.size, line.data);
    struct process process = state_process(after, move->process);
    if (move->kind != MOVE_FORGET && process.local != LOCAL_NONE && process.sampled == 0) {
        buf_reset(&line);
        add_call(model, locals_pending(model->locals, process.local), &line);
        fprintf(out, "         -> now: %.*s\n", (int)line.size, line.data);
    }
}
