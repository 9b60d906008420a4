// Clocks, and points in time as text.
#include "clock.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

int64_t clock_wall_us(const struct clock *clock)
{
    return clock->wall_us(clock->context);
}

int64_t clock_mono_ns(const struct clock *clock)
{
    return clock->mono_ns(clock->context);
}

void clock_pause_us(const struct clock *clock, int64_t us)
{
    if (clock->pause_us != NULL) {
        clock->pause_us(clock->context, us);
        return;
    }
    struct timespec time = {us / US_PER_SECOND, (long)(us % US_PER_SECOND) * 1000L};
    (void)nanosleep(&time, NULL); // an early return only means to look again
}

static struct timespec read_system_clock(clockid_t id)
{
    struct timespec now = {0};
    int result = clock_gettime(id, &now);
    assert(result == 0); // both clocks exist on every Linux
    return now;
}

static int64_t real_wall_us(void *context)
{
    (void)context;
    struct timespec now = read_system_clock(CLOCK_REALTIME);
    return now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000;
}

static int64_t real_mono_ns(void *context)
{
    (void)context;
    struct timespec now = read_system_clock(CLOCK_MONOTONIC);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

struct clock clock_real(void)
{
    return (struct clock){.wall_us = real_wall_us, .mono_ns = real_mono_ns};
}

static int64_t virtual_wall_us(void *context)
{
    return ((const struct virtual_time *)context)->wall_us;
}

static int64_t virtual_mono_ns(void *context)
{
    return ((const struct virtual_time *)context)->mono_ns;
}

struct clock clock_virtual(struct virtual_time *time)
{
    assert(time != NULL);
    return (struct clock){.wall_us = virtual_wall_us, .mono_ns = virtual_mono_ns, .context = time};
}

void virtual_time_advance(struct virtual_time *time, int64_t us)
{
    assert(us >= 0);
    time->wall_us += us;
    time->mono_ns += us * 1000;
}

struct date {
    int64_t year;
    int month; // 1 ... 12
    int day;   // 1 ... 31
};

// Gregorian date of a day count since 1970-01-01. Years are counted from 1 March, so that the leap
// day is the last of its year, in cycles of 400 years (146,097 days) that begin on 0000-03-01.
static struct date date_of_days(int64_t days)
{
    int64_t since_march_0000 = days + 719468;
    int64_t cycle = since_march_0000 / 146097;
    int64_t day_of_cycle = since_march_0000 % 146097;
    if (day_of_cycle < 0) {
        day_of_cycle += 146097;
        cycle--;
    }
    int64_t leap_free_days =
        day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36524 - day_of_cycle / 146096;
    int64_t year_of_cycle = leap_free_days / 365;
    int64_t day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    return (struct date){
        .year = cycle * 400 + year_of_cycle + (month <= 2 ? 1 : 0),
        .month = month,
        .day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1),
    };
}

void clock_format_rfc3339(int64_t wall_us, char out[CLOCK_RFC3339_SIZE])
{
    int64_t us_per_day = 86400 * US_PER_SECOND;
    int64_t days = wall_us / us_per_day;
    int64_t us = wall_us % us_per_day;
    if (us < 0) {
        us += us_per_day;
        days--;
    }
    struct date date = date_of_days(days);
    int second_of_day = (int)(us / US_PER_SECOND);
    int size = snprintf(out, CLOCK_RFC3339_SIZE, "%04lld-%02d-%02dT%02d:%02d:%02d.%06dZ",
                        (long long)date.year, date.month, date.day, second_of_day / 3600,
                        second_of_day / 60 % 60, second_of_day % 60, (int)(us % US_PER_SECOND));
    assert(size > 0 && size < CLOCK_RFC3339_SIZE);
}
