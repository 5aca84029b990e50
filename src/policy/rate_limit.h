/* Requests per minute as a token bucket, in its virtual-scheduling form (GCRA, ITU-T I.371): the
 * whole state is one instant, so that threads may share it by compare-and-swap. Pure: the state
 * comes in and goes out. */
#ifndef DR_POLICY_RATE_LIMIT_H
#define DR_POLICY_RATE_LIMIT_H

#include "base/instant.h"

struct rate_limit_verdict {
    bool is_admitted;
    int64_t next_state_us;  /* to be stored when admitted */
    uint32_t remaining;     /* requests that could follow at once */
    int64_t retry_after_us; /* until the next one is admitted, when refused */
    int64_t reset_us;       /* until the bucket is full again */
};

/* `state_us` 0 is a full bucket. Burst = `per_minute`. `takes` false only looks. per_minute > 0. */
struct rate_limit_verdict rate_limit_check(int64_t state_us, uint32_t per_minute, dr_instant now,
                                           bool takes);

#endif
