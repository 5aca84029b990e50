/* GCRA: the state is the instant at which the bucket would be full again (the "theoretical arrival
 * time"). Each request moves it one interval further, and may not move it beyond a whole window
 * from now. Must not keep state, read a clock or wait. */
#include "policy/rate_limit.h"

#include "base/assert.h"

#define MINUTE_US INT64_C(60000000)

struct rate_limit_verdict rate_limit_check(int64_t state_us, uint32_t per_minute, dr_instant now,
                                           bool takes) {
    dr_assert(per_minute > 0);

    /* Rounded up, so that a rate that does not divide the minute is never exceeded. */
    const int64_t interval_us = (MINUTE_US + per_minute - 1) / per_minute;
    const int64_t window_us = interval_us * per_minute;
    int64_t backlog_us = state_us > now.us ? state_us - now.us : 0;
    struct rate_limit_verdict verdict = {0};

    /* A state beyond a full window was written under another limit: empty is the worst. */
    if (backlog_us > window_us) backlog_us = window_us;
    verdict.is_admitted = backlog_us + interval_us <= window_us;
    if (!verdict.is_admitted) {
        verdict.retry_after_us = backlog_us + interval_us - window_us;
    } else if (takes) {
        backlog_us += interval_us;
    }
    verdict.next_state_us = now.us + backlog_us;
    verdict.remaining = (uint32_t)((window_us - backlog_us) / interval_us);
    verdict.reset_us = backlog_us;
    return verdict;
}
