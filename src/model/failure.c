/* Names and kinds of what goes wrong upstream. Must not decide what is done about it: that is
 * policy's. */
#include "model/failure.h"

#include "base/assert.h"

enum failure_kind failure_kind_of_status(uint16_t status) {
    switch (status) {
    case 400:
    case 404:
    case 413:
    case 422: return FAILURE_REJECTED;
    case 401:
    case 403: return FAILURE_KEY_REFUSED;
    case 402: return FAILURE_OUT_OF_CREDIT;
    case 429: return FAILURE_RATE_LIMITED;
    case 503:
    case 529: return FAILURE_OVERLOADED;
    case 504: return FAILURE_TIMED_OUT;
    default: break;
    }
    /* Other 4xx are of the server's moment (408, 409, 425, 499) or of how we ask (405, 415): not of
     * what the client asks. */
    if (status >= 400) return FAILURE_SERVER;
    /* A redirect, or a number that is no final status at all, is not the dialect: we never follow
     * it. */
    return FAILURE_GARBAGE;
}

const char *failure_kind_name(enum failure_kind kind) {
    switch (kind) {
    case FAILURE_NONE: return "none";
    case FAILURE_CONNECT: return "connect";
    case FAILURE_TIMED_OUT: return "timed_out";
    case FAILURE_CUT: return "cut";
    case FAILURE_GARBAGE: return "garbage";
    case FAILURE_TOO_LARGE: return "too_large";
    case FAILURE_REJECTED: return "rejected";
    case FAILURE_KEY_REFUSED: return "key_refused";
    case FAILURE_OUT_OF_CREDIT: return "out_of_credit";
    case FAILURE_RATE_LIMITED: return "rate_limited";
    case FAILURE_SERVER: return "server";
    case FAILURE_OVERLOADED: return "overloaded";
    case FAILURE_IN_STREAM: return "in_stream";
    case FAILURE_OUT_OF_MEMORY: return "out_of_memory";
    }
    dr_unreachable();
}
