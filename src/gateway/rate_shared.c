/* Compare-and-swap around policy/rate_limit. Must not know requests. */
#include "gateway/rate_shared.h"

struct rate_limit_verdict rate_take(struct tally_key *key, uint32_t per_minute, dr_instant now,
                                    bool takes) {
    if (per_minute == 0) {
        return (struct rate_limit_verdict){.is_admitted = true, .remaining = RATE_UNLIMITED};
    }
    int64_t state = atomic_load_explicit(&key->rate_state_us, memory_order_relaxed);
    for (;;) {
        const struct rate_limit_verdict verdict = rate_limit_check(state, per_minute, now, takes);
        if (!takes || !verdict.is_admitted) return verdict;
        if (atomic_compare_exchange_weak_explicit(&key->rate_state_us, &state,
                                                  verdict.next_state_us, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            return verdict;
        }
    }
}
