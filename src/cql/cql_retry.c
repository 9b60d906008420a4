// The table of what to try again. Each cause has a line or a function; everything that is not known ends in
// a report with the outcome open.
#include "cql_retry.h"

#include <assert.h>

static struct cql_decision report(enum err err, enum cql_outcome outcome)
{
    return (struct cql_decision){.action = CQL_ACTION_REPORT, .err = err, .outcome = outcome};
}

static struct cql_decision again(enum cql_action action, enum err err, enum cql_outcome outcome)
{
    return (struct cql_decision){.action = action, .err = err, .outcome = outcome};
}

// Again if that may be and was not done too often already; else a report.
static struct cql_decision once(const struct cql_situation *situation, bool allowed,
                                enum cql_action action, enum err err, enum cql_outcome outcome)
{
    struct cql_decision decision = report(err, outcome);
    if (allowed && situation->retries < CQL_RETRIES_MAX) {
        decision.action = action;
        decision.counts = true;
    }
    return decision;
}

static bool is_serial(enum cql_consistency consistency)
{
    return consistency == CQL_SERIAL || consistency == CQL_LOCAL_SERIAL;
}

// A write of which parts may have gone through when it is conditional: others finish what was begun.
static bool is_conditional(const struct cql_situation *situation)
{
    return situation->conditional ||
           (is_serial(situation->error->consistency) && !situation->idempotent);
}

// Nothing was written, for there were too few replicas; but a conditional write has more than one phase.
static struct cql_decision on_unavailable(const struct cql_situation *situation)
{
    const bool conditional = is_conditional(situation);
    return once(situation, !conditional, CQL_ACTION_RETRY_NEXT, ERR_UNAVAILABLE,
                conditional ? CQL_UNKNOWN : CQL_NOT_DONE);
}

// The coordinator may have sent to some replicas before it refused.
static struct cql_decision on_overloaded(const struct cql_situation *situation)
{
    struct cql_decision decision = situation->idempotent
                                       ? again(CQL_ACTION_RETRY_NEXT, ERR_BUSY, CQL_UNKNOWN)
                                       : report(ERR_BUSY, CQL_UNKNOWN);
    decision.overloaded = true;
    return decision;
}

static struct cql_decision on_write_timeout(const struct cql_situation *situation)
{
    const bool repeatable = situation->idempotent && !is_conditional(situation);
    switch (situation->error->write_type) {
    case CQL_WRITE_SIMPLE:
    case CQL_WRITE_UNLOGGED_BATCH:
    case CQL_WRITE_BATCH_LOG:
        return once(situation, repeatable, CQL_ACTION_RETRY_SAME, ERR_TIMEOUT, CQL_UNKNOWN);
    case CQL_WRITE_BATCH:
        return report(ERR_TIMEOUT, CQL_DONE); // its log is written, and will be played
    case CQL_WRITE_OTHER:
    case CQL_WRITE_COUNTER:
    case CQL_WRITE_CAS:
    case CQL_WRITE_VIEW:
    case CQL_WRITE_CDC:
        break;
    }
    return report(ERR_TIMEOUT, CQL_UNKNOWN);
}

// Enough replicas answered, only the one that was asked for the data did not: the next try asks another.
static struct cql_decision on_read_timeout(const struct cql_situation *situation)
{
    const struct cql_server_error *error = situation->error;
    const bool conditional = is_conditional(situation);
    const bool worth_it = error->received >= error->required && !error->data_present;
    return once(situation, worth_it && !conditional, CQL_ACTION_RETRY_SAME, ERR_TIMEOUT,
                conditional ? CQL_UNKNOWN : CQL_NOT_DONE);
}

static struct cql_decision on_unprepared(const struct cql_situation *situation)
{
    return situation->reprepares < CQL_REPREPARES_MAX
               ? again(CQL_ACTION_PREPARE_AGAIN, ERR_UNAVAILABLE, CQL_NOT_DONE)
               : report(ERR_UNAVAILABLE, CQL_NOT_DONE);
}

static struct cql_decision on_protocol_error(void)
{
    struct cql_decision decision = report(ERR_INTERNAL, CQL_NOT_DONE);
    decision.close = true;
    return decision;
}

static struct cql_decision on_error(const struct cql_situation *situation)
{
    switch (situation->error->code) {
    case CQL_ERROR_UNAVAILABLE:
        return on_unavailable(situation);
    case CQL_ERROR_OVERLOADED:
        return on_overloaded(situation);
    case CQL_ERROR_IS_BOOTSTRAPPING:
        return again(CQL_ACTION_RETRY_NEXT, ERR_UNAVAILABLE, CQL_NOT_DONE);
    case CQL_ERROR_SERVER:
    case CQL_ERROR_TRUNCATE:
        return once(situation, situation->idempotent, CQL_ACTION_RETRY_NEXT, ERR_UNAVAILABLE,
                    CQL_UNKNOWN);
    case CQL_ERROR_WRITE_TIMEOUT:
        return on_write_timeout(situation);
    case CQL_ERROR_READ_TIMEOUT:
        return on_read_timeout(situation);
    case CQL_ERROR_READ_FAILURE:
        return report(ERR_UNAVAILABLE, is_conditional(situation) ? CQL_UNKNOWN : CQL_NOT_DONE);
    case CQL_ERROR_WRITE_FAILURE:
        return report(ERR_UNAVAILABLE, CQL_UNKNOWN);
    case CQL_ERROR_CDC_WRITE_FAILURE:
        return report(ERR_FULL, CQL_UNKNOWN);
    case CQL_ERROR_CAS_WRITE_UNKNOWN:
        return report(ERR_TIMEOUT, CQL_UNKNOWN);
    case CQL_ERROR_UNPREPARED:
        return on_unprepared(situation);
    case CQL_ERROR_PROTOCOL:
        return on_protocol_error();
    case CQL_ERROR_AUTHENTICATION:
    case CQL_ERROR_UNAUTHORIZED:
        return report(ERR_PERMISSION, CQL_NOT_DONE);
    case CQL_ERROR_SYNTAX:
    case CQL_ERROR_INVALID:
    case CQL_ERROR_CONFIG:
    case CQL_ERROR_FUNCTION_FAILURE:
        return report(ERR_INVALID, CQL_NOT_DONE);
    case CQL_ERROR_ALREADY_EXISTS:
        return report(ERR_EXISTS, CQL_NOT_DONE);
    default:
        return report(ERR_UNAVAILABLE, CQL_UNKNOWN);
    }
}

struct cql_decision cql_retry_decide(const struct cql_situation *situation)
{
    switch (situation->trouble) {
    case CQL_TROUBLE_NOT_SENT:
        return again(CQL_ACTION_RETRY_NEXT, ERR_UNAVAILABLE, CQL_NOT_DONE);
    case CQL_TROUBLE_CONNECTION_LOST:
        return situation->idempotent ? again(CQL_ACTION_RETRY_NEXT, ERR_UNAVAILABLE, CQL_UNKNOWN)
                                     : report(ERR_UNAVAILABLE, CQL_UNKNOWN);
    case CQL_TROUBLE_TIMEOUT:
        return report(ERR_TIMEOUT, CQL_UNKNOWN);
    case CQL_TROUBLE_ERROR:
        break;
    }
    assert(situation->error != NULL);
    return on_error(situation);
}
