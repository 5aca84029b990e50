/* What went wrong upstream, in kinds that fallback and the client's answer understand. */
#ifndef DR_MODEL_FAILURE_H
#define DR_MODEL_FAILURE_H

#include "base/slice.h"

enum failure_kind {
    FAILURE_NONE,
    FAILURE_CONNECT,       /* no address, refused, TLS */
    FAILURE_TIMED_OUT,     /* connect, first byte, between bytes, whole */
    FAILURE_CUT,           /* connection ended before the answer did */
    FAILURE_GARBAGE,       /* not HTTP, not JSON, not the dialect */
    FAILURE_TOO_LARGE,     /* answer or event beyond our limits */
    FAILURE_REJECTED,      /* 400, 404, 413, 422: speaks of the client's request */
    FAILURE_KEY_REFUSED,   /* 401, 403: speaks of our key or account */
    FAILURE_OUT_OF_CREDIT, /* 402: speaks of our account's money */
    FAILURE_RATE_LIMITED,  /* 429 */
    FAILURE_SERVER,        /* 500, other 5xx and 4xx */
    FAILURE_OVERLOADED,    /* 503, 529 */
    FAILURE_IN_STREAM,     /* an error event after HTTP 200 */
    FAILURE_OUT_OF_MEMORY, /* ours */
};

struct failure {
    enum failure_kind kind;
    uint16_t status;        /* the provider's HTTP status, 0 where none came */
    uint32_t retry_after_s; /* the provider's, 0 where none was given */
    /* The provider's own words, lent by whoever made the failure; DR_NONE where absent. */
    dr_slice message;
    dr_slice type;
    dr_slice code;
    dr_slice param;
};

/* Kind for an HTTP status ≥ 300 of a provider. */
enum failure_kind failure_kind_of_status(uint16_t status);
/* "connect", "timed_out", …: for logs and metrics. Static storage. */
const char *failure_kind_name(enum failure_kind kind);

#endif
