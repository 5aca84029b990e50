/* Reading both clocks; dates and durations as text. Must not know time zones: all is UTC. */
#include "base/instant.h"

#include "base/assert.h"

#include <time.h>

enum { MS_PER_SECOND = 1000, SECONDS_PER_DAY = 86400 };

dr_instant dr_instant_now(void) {
    struct timespec at;
    const int failed = clock_gettime(CLOCK_MONOTONIC, &at);
    dr_assert(!failed);
    return (dr_instant){(int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000};
}

dr_wall dr_wall_now(void) {
    struct timespec at;
    const int failed = clock_gettime(CLOCK_REALTIME, &at);
    dr_assert(!failed);
    return (dr_wall){(int64_t)at.tv_sec * MS_PER_SECOND + at.tv_nsec / 1000000};
}

/* --- the calendar --- */

/* Days since 1970-01-01 in the Gregorian calendar, also before its time. Years are counted from
 * March, so that the leap day is the last of its year. */
static int64_t days_of_date(int64_t year, int64_t month, int64_t day) {
    const int64_t shifted = month <= 2 ? year - 1 : year;
    const int64_t era = (shifted >= 0 ? shifted : shifted - 399) / 400;
    const int64_t year_of_era = shifted - era * 400;
    const int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    const int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void date_of_days(int64_t days, int64_t *ret_year, int64_t *ret_month, int64_t *ret_day) {
    const int64_t since = days + 719468;
    const int64_t era = (since >= 0 ? since : since - 146096) / 146097;
    const int64_t day_of_era = since - era * 146097;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t shifted_month = (5 * day_of_year + 2) / 153;
    *ret_day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    *ret_month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    *ret_year = year_of_era + era * 400 + (*ret_month <= 2);
}

static int64_t days_in_month(int64_t year, int64_t month) {
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && is_leap);
}

/* --- writing --- */

static char *put_digits(char *at, int64_t value, int count) {
    for (int i = count - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + count;
}

void dr_wall_format(dr_wall wall, char text[DR_WALL_TEXT_BYTES]) {
    /* The form has four digits for the year: what lies outside is shown as the nearest moment. */
    const int64_t ms_least = -62167219200000;
    const int64_t ms_greatest = 253402300799999;
    int64_t ms = wall.ms;
    if (ms < ms_least) ms = ms_least;
    if (ms > ms_greatest) ms = ms_greatest;

    const int64_t ms_per_day = (int64_t)SECONDS_PER_DAY * MS_PER_SECOND;
    const int64_t days = (ms >= 0 ? ms : ms - (ms_per_day - 1)) / ms_per_day;
    const int64_t ms_of_day = ms - days * ms_per_day;
    const int64_t seconds = ms_of_day / MS_PER_SECOND;
    int64_t year;
    int64_t month;
    int64_t day;
    date_of_days(days, &year, &month, &day);

    char *at = put_digits(text, year, 4);
    *at++ = '-';
    at = put_digits(at, month, 2);
    *at++ = '-';
    at = put_digits(at, day, 2);
    *at++ = 'T';
    at = put_digits(at, seconds / 3600, 2);
    *at++ = ':';
    at = put_digits(at, seconds / 60 % 60, 2);
    *at++ = ':';
    at = put_digits(at, seconds % 60, 2);
    *at++ = '.';
    at = put_digits(at, ms_of_day % MS_PER_SECOND, 3);
    *at++ = 'Z';
    *at++ = '\0';
    dr_assert(at == text + DR_WALL_TEXT_BYTES);
}

/* --- reading --- */

/* Exactly `count` digits off the front of `*rest`, with a value in `least` … `greatest`. */
static bool take_number(dr_slice *rest, size_t count, int64_t least, int64_t greatest,
                        int64_t *ret) {
    uint64_t value;
    if (rest->len < count) return false;
    if (!dr_slice_to_u64(dr_slice_first(*rest, count), &value)) return false;
    if ((int64_t)value < least || (int64_t)value > greatest) return false;
    *rest = dr_slice_from(*rest, count);
    *ret = (int64_t)value;
    return true;
}

static bool take_char(dr_slice *rest, char byte) {
    if (rest->len == 0 || rest->data[0] != byte) return false;
    *rest = dr_slice_from(*rest, 1);
    return true;
}

/* Optional; finer than milliseconds is cut. */
static bool take_fraction_ms(dr_slice *rest, int64_t *ret) {
    *ret = 0;
    if (!take_char(rest, '.')) return true;
    int64_t weight = 100;
    size_t count = 0;
    while (count < rest->len && rest->data[count] >= '0' && rest->data[count] <= '9') {
        *ret += (rest->data[count] - '0') * weight;
        weight /= 10;
        count++;
    }
    *rest = dr_slice_from(*rest, count);
    return count > 0;
}

static bool take_offset_minutes(dr_slice *rest, int64_t *ret) {
    *ret = 0;
    if (take_char(rest, 'Z') || take_char(rest, 'z')) return true;
    const bool is_west = take_char(rest, '-');
    if (!is_west && !take_char(rest, '+')) return false;
    int64_t hours;
    int64_t minutes;
    if (!take_number(rest, 2, 0, 23, &hours)) return false;
    if (!take_char(rest, ':')) return false;
    if (!take_number(rest, 2, 0, 59, &minutes)) return false;
    *ret = (hours * 60 + minutes) * (is_west ? -1 : 1);
    return true;
}

/* "08:49:37". A leap second counts as the first of the next minute, as POSIX has it. */
static bool take_time(dr_slice *rest, int64_t *ret_seconds) {
    int64_t hour;
    int64_t minute;
    int64_t second;
    if (!take_number(rest, 2, 0, 23, &hour) || !take_char(rest, ':')) return false;
    if (!take_number(rest, 2, 0, 59, &minute) || !take_char(rest, ':')) return false;
    if (!take_number(rest, 2, 0, 60, &second)) return false;
    *ret_seconds = hour * 3600 + minute * 60 + second;
    return true;
}

bool dr_wall_parse(dr_slice text, dr_wall *ret) {
    int64_t year;
    int64_t month;
    int64_t day;
    if (!take_number(&text, 4, 0, 9999, &year) || !take_char(&text, '-')) return false;
    if (!take_number(&text, 2, 1, 12, &month) || !take_char(&text, '-')) return false;
    if (!take_number(&text, 2, 1, days_in_month(year, month), &day)) return false;
    int64_t seconds = days_of_date(year, month, day) * SECONDS_PER_DAY;
    if (text.len == 0) {
        ret->ms = seconds * MS_PER_SECOND;
        return true;
    }

    /* RFC 3339 section 5.6: lower case and a blank in place of the T are allowed. */
    if (!take_char(&text, 'T') && !take_char(&text, 't') && !take_char(&text, ' ')) return false;
    int64_t time;
    int64_t ms;
    int64_t offset_minutes;
    if (!take_time(&text, &time)) return false;
    if (!take_fraction_ms(&text, &ms) || !take_offset_minutes(&text, &offset_minutes)) return false;
    if (text.len != 0) return false;
    seconds += time - offset_minutes * 60;
    ret->ms = seconds * MS_PER_SECOND + ms;
    return true;
}

static bool take_month(dr_slice *rest, int64_t *ret) {
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (size_t i = 0; i < 12; i++) {
        if (!dr_slice_is(dr_slice_first(*rest, 3), dr_slice_of(names + i * 3, 3))) continue;
        *rest = dr_slice_from(*rest, 3);
        *ret = (int64_t)i + 1;
        return true;
    }
    return false;
}

/* The day's name is not compared with the date. */
static bool take_weekday(dr_slice *rest) {
    size_t len = 0;
    while (len < rest->len && ((unsigned char)rest->data[len] | 32) >= 'a' &&
           ((unsigned char)rest->data[len] | 32) <= 'z') {
        len++;
    }
    *rest = dr_slice_from(*rest, len);
    return len >= 3;
}

/* "06 Nov 1994 08:49:37 GMT" or "06-Nov-94 08:49:37 GMT". */
static bool take_dated_first(dr_slice *rest, int64_t date[3], int64_t *ret_time) {
    if (!take_number(rest, 2, 1, 31, &date[2])) return false;
    const bool is_short = take_char(rest, '-');
    if (!is_short && !take_char(rest, ' ')) return false;
    if (!take_month(rest, &date[1]) || !take_char(rest, is_short ? '-' : ' ')) return false;
    if (!take_number(rest, is_short ? 2 : 4, 0, 9999, &date[0])) return false;
    if (is_short) date[0] += date[0] < 70 ? 2000 : 1900;
    if (!take_char(rest, ' ') || !take_time(rest, ret_time)) return false;
    const bool is_utc = dr_slice_is(*rest, DR_LIT(" GMT"));
    *rest = DR_NONE;
    return is_utc;
}

/* "Nov  6 08:49:37 1994", as the C library's asctime writes it. */
static bool take_dated_last(dr_slice *rest, int64_t date[3], int64_t *ret_time) {
    if (!take_month(rest, &date[1]) || !take_char(rest, ' ')) return false;
    if (!take_number(rest, take_char(rest, ' ') ? 1 : 2, 1, 31, &date[2])) return false;
    if (!take_char(rest, ' ') || !take_time(rest, ret_time)) return false;
    return take_char(rest, ' ') && take_number(rest, 4, 0, 9999, &date[0]);
}

bool dr_wall_parse_http(dr_slice text, dr_wall *ret) {
    int64_t date[3]; /* year, month, day */
    int64_t time;
    if (!take_weekday(&text)) return false;
    const bool has_comma = take_char(&text, ',');
    if (!take_char(&text, ' ')) return false;
    const bool is_date =
        has_comma ? take_dated_first(&text, date, &time) : take_dated_last(&text, date, &time);
    if (!is_date || text.len != 0 || date[2] > days_in_month(date[0], date[1])) return false;
    const int64_t seconds = days_of_date(date[0], date[1], date[2]) * SECONDS_PER_DAY + time;
    ret->ms = seconds * MS_PER_SECOND;
    return true;
}

bool dr_duration_parse_ms(dr_slice text, int64_t *ret_ms) {
    static const struct {
        dr_slice name;
        int64_t ms;
    } units[] = {
        {{"ms", 2}, 1},      {{"s", 1}, 1000},     {{"m", 1}, 60000},
        {{"h", 1}, 3600000}, {{"d", 1}, 86400000},
    };
    size_t digits = 0;
    while (digits < text.len && text.data[digits] >= '0' && text.data[digits] <= '9') digits++;
    int64_t count;
    if (!dr_slice_to_i64(dr_slice_first(text, digits), &count)) return false;
    const dr_slice unit = dr_slice_from(text, digits);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (!dr_slice_is(unit, units[i].name)) continue;
        int64_t ms;
        if (__builtin_mul_overflow(count, units[i].ms, &ms)) return false;
        *ret_ms = ms;
        return true;
    }
    return false;
}

/* --- durations of others --- */

enum { NUMBER_MAX = 1000000000 };

/* Digits with or without a fraction, in thousandths rounded up; what is larger than anyone means is
 * cut down to NUMBER_MAX. */
static bool take_thousandths(dr_slice *text, int64_t *ret) {
    int64_t whole = 0;
    int64_t thousandths = 0;
    int64_t place = 100;
    size_t at = 0;
    for (; at < text->len && text->data[at] >= '0' && text->data[at] <= '9'; at++) {
        if (whole < NUMBER_MAX) whole = whole * 10 + (text->data[at] - '0');
    }
    if (at == 0) return false;
    if (whole > NUMBER_MAX) whole = NUMBER_MAX;
    bool is_beyond = false;
    if (at + 1 < text->len && text->data[at] == '.' && text->data[at + 1] >= '0' &&
        text->data[at + 1] <= '9') {
        for (at++; at < text->len && text->data[at] >= '0' && text->data[at] <= '9'; at++) {
            if (place == 0 && text->data[at] > '0') is_beyond = true;
            thousandths += place * (text->data[at] - '0');
            place /= 10;
        }
    }
    *text = dr_slice_from(*text, at);
    *ret = whole * 1000 + thousandths + (is_beyond ? 1 : 0);
    return true;
}

/* The unit that `text` begins with; 0 where it begins with none. */
static int64_t take_unit_ms(dr_slice *text) {
    static const struct {
        dr_slice name;
        int64_t ms;
    } units[] = {
        {{"h", 1}, 3600000}, {{"hour", 4}, 3600000}, {{"hours", 5}, 3600000},
        {{"m", 1}, 60000},   {{"minute", 6}, 60000}, {{"minutes", 7}, 60000},
        {{"s", 1}, 1000},    {{"second", 6}, 1000},  {{"seconds", 7}, 1000},
        {{"ms", 2}, 1},
    };
    dr_slice rest = *text;
    if (dr_slice_starts(rest, DR_LIT(" "))) rest = dr_slice_from(rest, 1);
    size_t len = 0;
    while (len < rest.len && rest.data[len] >= 'a' && rest.data[len] <= 'z') len++;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (!dr_slice_is(dr_slice_first(rest, len), units[i].name)) continue;
        *text = dr_slice_from(rest, len);
        return units[i].ms;
    }
    return 0;
}

bool dr_duration_take_ms(dr_slice *text, int64_t *ret_ms) {
    dr_slice rest = *text;
    int64_t us = 0;
    int64_t number;
    bool has_part = false;
    while (take_thousandths(&rest, &number)) {
        const int64_t unit_ms = take_unit_ms(&rest);
        if (unit_ms == 0) break;
        if (__builtin_add_overflow(us, number * unit_ms, &us)) return false;
        has_part = true;
        *text = rest;
    }
    if (has_part) *ret_ms = us / 1000 + (us % 1000 > 0 ? 1 : 0);
    return has_part;
}

bool dr_seconds_parse_ms(dr_slice text, int64_t *ret_ms) {
    return take_thousandths(&text, ret_ms) && text.len == 0;
}
