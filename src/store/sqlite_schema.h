// Tables and views of facts.db. Internal to the folder.
#ifndef TILL_SQLITE_SCHEMA_H
#define TILL_SQLITE_SCHEMA_H

#include "errors.h"

#include <sqlite3.h>

#define FACTS_APPLICATION_ID 0x7411fac7 // as a signed 32-bit number in the file's header
#define FACTS_SCHEMA_VERSION 1

// Creates everything in an empty file; checks the version of one that is there, and only then makes
// the connection one that writes. ERR_SCHEMA when the file is not ours or of another version: it is
// left as it is.
MUST_USE enum err sqlite_schema_ensure(sqlite3 *db, struct why *why);
// The check alone, for readers.
MUST_USE enum err sqlite_schema_check(sqlite3 *db, struct why *why);

#endif
