/* When a provider wishes to be asked again. Every unit and clock in which providers say so becomes
 * whole seconds, rounded up: whoever waits a fraction less is refused again. Must not decide
 * whether anyone waits. */
#include "gateway/retry_hint.h"

#include "net/http1_parse.h"

enum { HINT_S_MAX = 3600, EPOCH_MS_MIN = 1000000000 };

static uint32_t seconds_of_ms(int64_t ms) {
    if (ms <= 0) return 0;
    return ms < (int64_t)HINT_S_MAX * 1000 ? (uint32_t)((ms + 999) / 1000) : HINT_S_MAX;
}

/* Seconds with or without a fraction, or a date of which the time until then counts (RFC 9110
 * section 10.2.3). */
static uint32_t seconds_of_retry_after(dr_slice text, dr_wall now) {
    int64_t ms;
    dr_wall then;
    if (dr_seconds_parse_ms(text, &ms)) return seconds_of_ms(ms);
    return dr_wall_parse_http(text, &then) ? seconds_of_ms(then.ms - now.ms) : 0;
}

static uint32_t seconds_asked(const struct dr_http1_head *head, dr_wall now) {
    int64_t us; /* thousandths of milliseconds */
    uint32_t seconds = 0;
    if (dr_seconds_parse_ms(dr_http1_header(head, DR_LIT("retry-after-ms")), &us)) {
        seconds = seconds_of_ms((us + 999) / 1000);
    }
    /* Azure sends `retry-after-ms: 0` beside `Retry-After: 1` (recorded). */
    if (seconds > 0) return seconds;
    return seconds_of_retry_after(dr_http1_header(head, DR_LIT("retry-after")), now);
}

/* OpenAI: "6m0s", "120ms"; Anthropic: RFC 3339; Azure: seconds; OpenRouter: milliseconds since
 * 1970. */
static uint32_t seconds_of_reset(dr_slice text, dr_wall now) {
    int64_t ms;
    uint64_t epoch_ms;
    dr_wall then;
    dr_slice rest = text;
    if (dr_duration_take_ms(&rest, &ms)) return rest.len == 0 ? seconds_of_ms(ms) : 0;
    if (dr_slice_to_u64(text, &epoch_ms) && epoch_ms >= EPOCH_MS_MIN) {
        return epoch_ms <= INT64_MAX ? seconds_of_ms((int64_t)epoch_ms - now.ms) : HINT_S_MAX;
    }
    if (dr_seconds_parse_ms(text, &ms)) return seconds_of_ms(ms);
    return dr_wall_parse(text, &then) ? seconds_of_ms(then.ms - now.ms) : 0;
}

/* Of the limits that are used up the one that is reset last: the others did not refuse. One whose
 * rest is not told counts as used up. */
static uint32_t seconds_to_reset(const struct dr_http1_head *head, dr_wall now) {
    static const struct {
        dr_slice reset;
        dr_slice remaining;
    } limits[] = {
        {{"x-ratelimit-reset-requests", 26}, {"x-ratelimit-remaining-requests", 30}},
        {{"x-ratelimit-reset-tokens", 24}, {"x-ratelimit-remaining-tokens", 28}},
        {{"x-ratelimit-reset", 17}, {"x-ratelimit-remaining", 21}},
        {{"anthropic-ratelimit-requests-reset", 34},
         {"anthropic-ratelimit-requests-remaining", 38}},
        {{"anthropic-ratelimit-tokens-reset", 32}, {"anthropic-ratelimit-tokens-remaining", 36}},
        {{"anthropic-ratelimit-input-tokens-reset", 38},
         {"anthropic-ratelimit-input-tokens-remaining", 42}},
        {{"anthropic-ratelimit-output-tokens-reset", 39},
         {"anthropic-ratelimit-output-tokens-remaining", 43}},
    };
    uint32_t latest = 0;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        const uint32_t seconds = seconds_of_reset(dr_http1_header(head, limits[i].reset), now);
        uint64_t left = 0;
        if (seconds <= latest) continue;
        (void)dr_slice_to_u64(dr_http1_header(head, limits[i].remaining), &left);
        if (left == 0) latest = seconds;
    }
    return latest;
}

struct retry_hint retry_hint_read(const struct dr_http1_head *head, dr_wall now) {
    return (struct retry_hint){
        .asked_s = seconds_asked(head, now),
        .reset_s = head->status == 429 ? seconds_to_reset(head, now) : 0,
    };
}

uint32_t retry_hint_seconds(const struct retry_hint *hint, uint32_t told_s) {
    if (hint->asked_s > 0) return hint->asked_s;
    return told_s > 0 ? told_s : hint->reset_s;
}
