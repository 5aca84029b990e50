/* The answer on its way to the client: one vtable, a transport behind it. The first byte of the
 * answer commits. Back-pressure comes up as `downstream_pending`. A WebSocket's answer will be
 * a third kind that renders chunks instead of passing bytes. */
#ifndef DR_GATEWAY_DOWNSTREAM_H
#define DR_GATEWAY_DOWNSTREAM_H

#include "base/buf.h"
#include "gateway/refusal.h"
#include "model/answer.h"
#include "model/ledger_entry.h"

struct downstream;
struct dr_http_call;

/* Whose an HTTP call is, as its facts come up (see http_front). */
enum http_owner_kind { HTTP_OWNER_EXCHANGE, HTTP_OWNER_LOOKUP };
struct http_owner {
    enum http_owner_kind kind;
    void *object;
};

struct downstream_kind {
    enum transport transport;
    /* Headers of a successful answer are ready; a streaming transport sends them with its first
     * piece. */
    void (*begin)(struct downstream *downstream, dr_slice headers);
    /* A chunk of the answer as the provider sent it: `raw` is its event's bytes in the client's
     * own dialect. Lent until downstream_flush. */
    void (*put)(struct downstream *downstream, const struct answer_chunk *chunk, dr_slice raw);
    /* Everything put so far goes out now. */
    void (*flush)(struct downstream *downstream);
    /* Says that the answer is still to come. */
    void (*wait)(struct downstream *downstream);
    /* The end of a good answer: `last` are the bytes of its last piece. Nothing follows. */
    void (*end)(struct downstream *downstream, dr_slice last);
    /* The end of a failed one: as HTTP status when nothing was sent yet, in the answer's own
     * form afterwards. */
    void (*refuse)(struct downstream *downstream, const struct refusal *refusal, dr_slice headers,
                   struct dr_buf *scratch);
};

struct downstream {
    const struct downstream_kind *kind;
    struct dr_http_call *call; /* NULL when the client is gone */
    struct http_owner owner;
    dr_slice run; /* adjoining raw bytes not yet flushed */
    bool has_begun;
};

extern const struct downstream_kind downstream_json;
extern const struct downstream_kind downstream_sse;

static inline bool downstream_is_gone(const struct downstream *downstream) {
    return downstream->call == NULL;
}
/* Bytes that wait because the client does not read. */
size_t downstream_pending(const struct downstream *downstream);

#endif
