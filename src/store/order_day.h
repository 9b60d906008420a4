// The day under which an order is filed in the tables by day. Pure.
#ifndef TILL_ORDER_DAY_H
#define TILL_ORDER_DAY_H

#include "event.h"

// YYYY-MM-DD, without a zero at the end.
#define ORDER_DAY_SIZE 10

// The day that a creation date names by beginning with YYYY-MM-DD; false when it names none.
bool order_day_stated(struct text creation_date, char out_day[ORDER_DAY_SIZE]);
// Its creation date when that starts with a date, else the day (UTC) on which it was published.
void order_day(const struct event *order_event, char out_day[ORDER_DAY_SIZE]);

#endif
