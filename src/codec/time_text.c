// Times as text, read by a sticky reader: after the first mismatch nothing more is taken.
#include "time_text.h"

#include "clock.h"

#define DATE_SIZE       10 // YYYY-MM-DD
#define FRACTION_DIGITS 6  // of a second: microseconds

struct time_reader {
    struct text text;
    size_t offset;
    bool failed;
};

static char peek(const struct time_reader *reader)
{
    return reader->offset < reader->text.size ? reader->text.data[reader->offset] : '\0';
}

static bool next_is_digit(const struct time_reader *reader)
{
    return peek(reader) >= '0' && peek(reader) <= '9';
}

// One of two characters: RFC 3339 allows T and Z in both cases.
static void take(struct time_reader *reader, char c, char or_c)
{
    reader->failed = reader->failed || (peek(reader) != c && peek(reader) != or_c);
    reader->offset++;
}

static int take_number(struct time_reader *reader, unsigned digits, int min, int max)
{
    int value = 0;
    for (unsigned i = 0; i < digits; i++) {
        if (!next_is_digit(reader)) {
            reader->failed = true;
            return min;
        }
        value = value * 10 + (peek(reader) - '0');
        reader->offset++;
    }
    reader->failed = reader->failed || value < min || value > max;
    return value;
}

static bool is_leap_year(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap_year(year) ? 29 : days[month - 1];
}

// Days before 1 January of a year, counted from 1 January of the year 0, which is a leap year.
static int64_t days_before_year(int64_t year)
{
    return year * 365 + (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
}

// Days since 1970-01-01.
static int64_t take_date(struct time_reader *reader)
{
    const int year = take_number(reader, 4, 0, 9999);
    take(reader, '-', '-');
    const int month = take_number(reader, 2, 1, 12);
    take(reader, '-', '-');
    const int day = take_number(reader, 2, 1, 31);
    if (reader->failed || day > days_of_month(year, month)) {
        reader->failed = true;
        return 0;
    }
    int64_t days = days_before_year(year) - days_before_year(1970) + day - 1;
    for (int before = 1; before < month; before++) {
        days += days_of_month(year, before);
    }
    return days;
}

static int64_t take_seconds_of_day(struct time_reader *reader)
{
    const int hour = take_number(reader, 2, 0, 23);
    take(reader, ':', ':');
    const int minute = take_number(reader, 2, 0, 59);
    take(reader, ':', ':');
    const int second = take_number(reader, 2, 0, 60);
    return hour * 3600 + minute * 60 + second;
}

static int64_t take_fraction_us(struct time_reader *reader)
{
    if (reader->failed || peek(reader) != '.') {
        return 0;
    }
    reader->offset++;
    reader->failed = !next_is_digit(reader);
    int64_t us = 0;
    unsigned digits = 0;
    for (; next_is_digit(reader); reader->offset++) {
        if (digits < FRACTION_DIGITS) {
            us = us * 10 + (peek(reader) - '0');
            digits++;
        }
    }
    for (; digits < FRACTION_DIGITS; digits++) {
        us *= 10;
    }
    return us;
}

static int64_t take_offset_seconds(struct time_reader *reader)
{
    const char sign = peek(reader);
    if (sign != '+' && sign != '-') {
        take(reader, 'Z', 'z');
        return 0;
    }
    reader->offset++;
    const int hours = take_number(reader, 2, 0, 23);
    take(reader, ':', ':');
    const int minutes = take_number(reader, 2, 0, 59);
    const int64_t seconds = hours * 3600 + minutes * 60;
    return sign == '-' ? -seconds : seconds;
}

bool time_text_is_date(struct text text)
{
    struct time_reader reader = {.text = text};
    take_date(&reader);
    return !reader.failed && text.size == DATE_SIZE;
}

bool time_text_parse_rfc3339(struct text text, int64_t *out_us)
{
    struct time_reader reader = {.text = text};
    const int64_t days = take_date(&reader);
    take(&reader, 'T', 't');
    const int64_t seconds = take_seconds_of_day(&reader);
    const int64_t us = take_fraction_us(&reader);
    const int64_t offset_seconds = take_offset_seconds(&reader);
    if (reader.failed || reader.offset != text.size) {
        return false;
    }
    *out_us = (days * 86400 + seconds - offset_seconds) * US_PER_SECOND + us;
    return true;
}
