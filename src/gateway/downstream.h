/* The answer on its way to the client: one vtable, a transport behind it. The first byte of the
 * answer commits. Back-pressure comes up as `downstream_pending`. JSON and SSE pass the bytes of
 * the client's own dialect; a WebSocket's answer renders the events. */
#ifndef DR_GATEWAY_DOWNSTREAM_H
#define DR_GATEWAY_DOWNSTREAM_H

#include "base/buf.h"
#include "gateway/refusal.h"
#include "model/answer.h"
#include "model/ledger_entry.h"

struct downstream;
struct dr_http_call;
struct sse_answer;
struct ws_answer;

/* Whose an HTTP call is, as its facts come up (see http_front). */
enum http_owner_kind { HTTP_OWNER_EXCHANGE, HTTP_OWNER_LOOKUP, HTTP_OWNER_FOLLOW };
struct http_owner {
    enum http_owner_kind kind;
    void *object;
};

/* What a good or cancelled answer's end tells beside its last bytes. */
struct downstream_close {
    const struct usage *usage;
    money cost;
    dr_slice model;   /* as asked */
    dr_slice dropped; /* parameters that the target could not take: "seed, user" */
    bool is_cancelled;
};

enum { DOWNSTREAM_PLACES = 4 };

struct downstream_kind {
    enum transport transport;
    /* Puts an answer's events and looks at no bytes of them (attempt.h). */
    bool takes_events;
    /* Its client can be told of sounds. */
    bool takes_audio;
    /* The kind for an ask that wants a stream. */
    const struct downstream_kind *streamed;
    /* Bytes that wait because the client does not read. */
    size_t (*pending)(const struct downstream *downstream);
    /* What passing an event on will touch: see dr_stream_expect. False when there is nothing to be
     * named; NULL likewise. */
    bool (*places)(const struct downstream *downstream, const void *places[DOWNSTREAM_PLACES]);
    /* The last of these places, as it is behind each piece of the answer. NULL: it stays. */
    const void *(*next_place)(const struct downstream *downstream);
    /* The exchange has been admitted. May be NULL. */
    void (*admitted)(struct downstream *downstream);
    /* The client of the HTTP call has left: whether the answer goes on all the same. NULL is
     * false. */
    bool (*lost)(struct downstream *downstream);
    /* Headers of a successful answer are ready; a streaming transport sends them with its first
     * piece. */
    void (*begin)(struct downstream *downstream, dr_slice headers);
    /* A chunk of the answer as the provider sent it: `raw` is its event's bytes in the client's
     * own dialect. Lent until downstream_flush. */
    void (*put)(struct downstream *downstream, const struct answer_chunk *chunk, dr_slice raw);
    /* Everything put so far goes out now. */
    void (*flush)(struct downstream *downstream);
    /* Says that the answer is still to come. NULL: nothing has to be said. */
    void (*wait)(struct downstream *downstream);
    /* The end of a good answer: `last` are the bytes of its last piece. Nothing follows. */
    void (*end)(struct downstream *downstream, dr_slice last, const struct downstream_close *close);
    /* The end of a failed one: as HTTP status when nothing was sent yet, in the answer's own
     * form afterwards. */
    void (*refuse)(struct downstream *downstream, const struct refusal *refusal, dr_slice headers,
                   struct dr_buf *scratch);
};

struct downstream {
    const struct downstream_kind *kind;
    /* one of them, by kind; NULL when the client is gone */
    struct dr_http_call *call;
    struct ws_answer *answer;
    struct sse_answer *kept; /* beside a call, which may come and go */
    struct http_owner owner;
    dr_slice run; /* adjoining raw bytes not yet flushed */
    bool has_begun;
};

extern const struct downstream_kind downstream_json;
extern const struct downstream_kind downstream_sse;
extern const struct downstream_kind downstream_ws;
/* As JSON and SSE, but that a stream can be resumed. */
extern const struct downstream_kind downstream_json_kept;
extern const struct downstream_kind downstream_sse_kept;

static inline bool downstream_is_gone(const struct downstream *downstream) {
    return !downstream->call && !downstream->answer && !downstream->kept;
}
static inline size_t downstream_pending(const struct downstream *downstream) {
    return downstream->kind->pending(downstream);
}
/* `pending` of both kinds that answer an HTTP call. */
size_t downstream_call_pending(const struct downstream *downstream);
/* `places` of those that stream. */
bool downstream_call_places(const struct downstream *downstream,
                            const void *places[DOWNSTREAM_PLACES]);

#endif
