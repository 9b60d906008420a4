// What the files of cql_response.h share: each reads one part of a body off a sticky reader.
#ifndef TILL_CQL_RESPONSE_INTERNAL_H
#define TILL_CQL_RESPONSE_INTERNAL_H

#include "cql_response.h"

void cql_read_server_error(struct cql_reader *reader, int version, struct cql_server_error *out);
void cql_read_event(struct cql_reader *reader, struct cql_event *out);
void cql_read_schema_change(struct cql_reader *reader, struct cql_schema_change *out);
void cql_read_rows(struct cql_reader *reader, struct cql_rows *out);
void cql_read_prepared(struct cql_reader *reader, int version, struct cql_prepared *out);

#endif
