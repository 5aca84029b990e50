/* Two clocks that do not mix: `dr_instant`, monotonic microseconds for durations and deadlines, and
 * `dr_wall`, UTC milliseconds since 1970 for records. */
#ifndef DR_BASE_INSTANT_H
#define DR_BASE_INSTANT_H

#include "base/slice.h"

typedef struct dr_instant {
    int64_t us;
} dr_instant;

typedef struct dr_wall {
    int64_t ms;
} dr_wall;

dr_instant dr_instant_now(void);
dr_wall dr_wall_now(void);

static inline dr_instant dr_instant_after_ms(dr_instant at, int64_t ms) {
    return (dr_instant){at.us + ms * 1000};
}
static inline int64_t dr_instant_us_since(dr_instant later, dr_instant earlier) {
    return later.us - earlier.us;
}

enum { DR_WALL_TEXT_BYTES = 25 };
/* "2026-11-24T00:17:26.123Z" and a NUL. */
void dr_wall_format(dr_wall wall, char text[DR_WALL_TEXT_BYTES]);
/* RFC 3339 with any fraction and offset, or a date alone (midnight UTC). */
bool dr_wall_parse(dr_slice text, dr_wall *ret);
/* A date of HTTP in any of its three forms (RFC 9110 section 5.6.7). Two digits of a year are of
 * 1970 to 2069. */
bool dr_wall_parse_http(dr_slice text, dr_wall *ret);
/* "1500ms", "5s", "10m", "2h", "30d"; a bare number is refused. */
bool dr_duration_parse_ms(dr_slice text, int64_t *ret_ms);
/* Takes what other programs write from the front of `text`: "6m0s", "34.4s", "120ms", "12 seconds".
 * Rounded up; a bare number is refused. False and `text` as it was where there is none. */
bool dr_duration_take_ms(dr_slice *text, int64_t *ret_ms);
/* Seconds as a number alone, whole or with a fraction: "12", "12.4". Rounded up. */
bool dr_seconds_parse_ms(dr_slice text, int64_t *ret_ms);

#endif
