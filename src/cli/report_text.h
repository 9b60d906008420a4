// The conservation report as text for people.
#ifndef TILL_REPORT_TEXT_H
#define TILL_REPORT_TEXT_H

#include "buf.h"
#include "report.h"

void report_add_text(const struct report *report, struct buf *out);

// A sum in minor units of a currency as exact decimal text with thousands marked: 12,345.67.
void report_add_money(struct buf *out, __int128 minor, struct currency currency);
void report_add_count(struct buf *out, uint64_t count); // 12,345

#endif
