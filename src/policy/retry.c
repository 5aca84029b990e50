/* Which failures the next target may heal. Must not count attempts or know targets. */
#include "policy/retry.h"

#include "base/assert.h"

bool retry_may_fall_back(const struct failure *failure) {
    switch (failure->kind) {
    case FAILURE_CONNECT:
    case FAILURE_TIMED_OUT:
    case FAILURE_CUT:
    case FAILURE_GARBAGE:
    case FAILURE_TOO_LARGE:
    case FAILURE_KEY_REFUSED:
    case FAILURE_OUT_OF_CREDIT:
    case FAILURE_RATE_LIMITED:
    case FAILURE_SERVER:
    case FAILURE_OVERLOADED:
    case FAILURE_IN_STREAM: return true;
    /* The client's own request would be rejected elsewhere too; our own lack of memory gets worse
     * by trying. */
    case FAILURE_NONE:
    case FAILURE_REJECTED:
    case FAILURE_OUT_OF_MEMORY: return false;
    }
    dr_unreachable();
}
