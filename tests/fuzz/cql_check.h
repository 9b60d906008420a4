// What the fuzz targets of the Cassandra client share.
#ifndef TILL_CQL_CHECK_H
#define TILL_CQL_CHECK_H

#include "cql_response.h"

// Walks over all that an accepted answer holds; whatever it says must lie within its body.
void cql_check_response(const struct cql_response *response, struct text body);
// Reads a cell as its type, and as every other.
void cql_check_cell(struct cql_cell cell, struct cql_type type);

#endif
