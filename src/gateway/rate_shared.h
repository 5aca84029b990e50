/* Takes requests from a key's bucket, which all workers share. */
#ifndef DR_GATEWAY_RATE_SHARED_H
#define DR_GATEWAY_RATE_SHARED_H

#include "policy/rate_limit.h"
#include "store/tally_shared.h"

/* What a key without a limit shows. */
enum { RATE_UNLIMITED = 1000000000 };

/* `per_minute` 0: no limit. `takes` false only looks. Any thread; never waits. */
struct rate_limit_verdict rate_take(struct tally_key *key, uint32_t per_minute, dr_instant now,
                                    bool takes);

#endif
