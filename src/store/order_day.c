// The day that an order is filed under.
#include "order_day.h"

#include "clock.h"

#include <string.h>

static uint64_t days_in_month(uint64_t year, uint64_t month)
{
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    static const uint64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && leap ? 29 : days[month - 1];
}

static bool begins_with_date(struct text text)
{
    uint64_t year = 0;
    uint64_t month = 0;
    uint64_t day = 0;
    return text.size >= ORDER_DAY_SIZE && text.data[4] == '-' && text.data[7] == '-' &&
           (text.size == ORDER_DAY_SIZE || text.data[10] == 'T' || text.data[10] == 't' ||
            text.data[10] == ' ') &&
           text_parse_u64((struct text){text.data, 4}, &year) &&
           text_parse_u64((struct text){text.data + 5, 2}, &month) &&
           text_parse_u64((struct text){text.data + 8, 2}, &day) && month >= 1 && month <= 12 &&
           day >= 1 && day <= days_in_month(year, month);
}

bool order_day_stated(struct text creation_date, char out_day[ORDER_DAY_SIZE])
{
    bool stated = begins_with_date(creation_date);
    if (stated) {
        memcpy(out_day, creation_date.data, ORDER_DAY_SIZE);
    }
    return stated;
}

void order_day(const struct event *order_event, char out_day[ORDER_DAY_SIZE])
{
    char published[CLOCK_RFC3339_SIZE];
    if (!order_day_stated(order_event->order.creation_date, out_day)) {
        clock_format_rfc3339(order_event->published_us, published);
        memcpy(out_day, published, ORDER_DAY_SIZE);
    }
}
