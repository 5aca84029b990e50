/* One table for everything that a client is told when it gets no answer: reason → HTTP status,
 * type, code, sentence. Transports only render it. */
#ifndef DR_GATEWAY_REFUSAL_H
#define DR_GATEWAY_REFUSAL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/slice.h"
#include "model/catalog.h"
#include "model/failure.h"

struct prompt_fault;

enum refusal_reason {
    REFUSAL_INVALID_JSON,
    REFUSAL_INVALID_REQUEST,
    REFUSAL_MISSING_API_KEY,
    REFUSAL_MALFORMED_API_KEY,
    REFUSAL_INVALID_API_KEY,
    REFUSAL_EXPIRED_API_KEY,
    REFUSAL_REVOKED_API_KEY,
    REFUSAL_ADMIN_KEY,
    REFUSAL_ADMIN_OFF,
    REFUSAL_INSUFFICIENT_CREDITS,
    REFUSAL_MODEL_NOT_ALLOWED,
    REFUSAL_ORIGIN_NOT_ALLOWED,
    REFUSAL_MODEL_NOT_FOUND,
    REFUSAL_NOT_FOUND,
    REFUSAL_RECEIPT_NOT_FOUND,
    REFUSAL_NOT_RESUMABLE,
    REFUSAL_EXISTS,
    REFUSAL_METHOD_NOT_ALLOWED,
    REFUSAL_REQUEST_TIMEOUT,
    REFUSAL_REQUEST_TOO_LARGE,
    REFUSAL_UNSUPPORTED_MEDIA_TYPE,
    REFUSAL_HEADERS_TOO_LARGE,
    REFUSAL_RATE_LIMIT_EXCEEDED,
    REFUSAL_UPSTREAM_RATE_LIMITED,
    /* the provider's 4xx about the client's request: status and code are the provider's */
    REFUSAL_UPSTREAM_REJECTED,
    REFUSAL_INTERNAL_ERROR,
    REFUSAL_UPSTREAM_ERROR,
    REFUSAL_UPSTREAM_OVERLOADED,
    REFUSAL_UPSTREAM_TIMEOUT,
    REFUSAL_DRAINING,
    REFUSAL_STORAGE_FULL,
    REFUSAL_REASON_COUNT,
};

struct refusal {
    enum refusal_reason reason;
    uint16_t status;
    dr_slice type;
    dr_slice code;
    dr_slice param; /* DR_NONE where none applies */
    dr_slice message;
    uint32_t retry_after_s; /* 0: no Retry-After */
};

/* The table's row, with its own sentence. */
struct refusal refusal_of(enum refusal_reason reason);
/* With the field, DR_NONE for none, and a sentence of its own. */
struct refusal refusal_saying(enum refusal_reason reason, dr_slice param, dr_slice message);
/* Of an answer that was resumed and the rest of which is missing. */
struct refusal refusal_of_lost(void);
/* Of a look into books that could not be brought up to date. */
struct refusal refusal_of_stale_books(void);
/* Of a look into the books that failed. */
struct refusal refusal_of_failed_books(const struct dr_error *error);
/* The row for an HTTP-level refusal (400, 408, 413, 431, 501, 503, 505) with the sentence given. */
struct refusal refusal_of_status(uint16_t status, dr_slice message);
/* What a client is told of a provider's failure. The sentence is made in `arena`, all slices
 * live there or are static. */
struct refusal refusal_of_failure(const struct failure *failure, const struct target *target,
                                  struct dr_arena *arena);
/* What a target cannot do of what is asked; made in `arena` too. */
struct refusal refusal_of_fault(const struct prompt_fault *fault, struct dr_arena *arena);
/* OpenAI's error object. */
void refusal_put_json(struct dr_buf *buf, const struct refusal *refusal);

#endif
