/* One try at one target: ask, head, then a stream of events or one whole body.
 *
 *   IDLE ─attempt_open─► ASKING ──200, stream──► STREAMING ──ended, failed──► OVER
 *    ▲                     ├──200, one body────► COLLECTING ──answered──► OVER
 *    │                     ├──other status─────► COLLECTING ──failed────► OVER
 *    └──attempt_close──────┴── no answer ──failed──► OVER
 *
 * Facts go to the events of who opened it; each may close the attempt. */
#ifndef DR_GATEWAY_ATTEMPT_H
#define DR_GATEWAY_ATTEMPT_H

#include "base/arena.h"
#include "base/buf.h"
#include "dialect/openai.h"
#include "gateway/burst.h"
#include "gateway/retry_hint.h"
#include "model/answer.h"
#include "model/catalog.h"
#include "model/failure.h"
#include "model/prompt.h"
#include "net/http_client.h"

struct edition;
struct worker;
struct dr_sse_reader;
struct loss;
struct reading;
struct translator;

enum attempt_state {
    ATTEMPT_IDLE,
    ATTEMPT_ASKING,
    ATTEMPT_STREAMING,
    ATTEMPT_COLLECTING,
    ATTEMPT_OVER,
};

struct attempt_events {
    /* One event of the stream: `raw` is its bytes in the client's dialect, whichever the provider
     * speaks; empty where the ask takes_events and they would have to be written, and at the end
     * of what is translated (attempt_end). It stays until the piece ends when `is_lasting`,
     * otherwise for this call only. All slices are lent. Returns false when the attempt was closed
     * meanwhile (then its memory may be gone). */
    bool (*event)(void *owner, const struct answer_chunk *chunk, dr_slice raw, bool is_lasting);
    /* What was given so far is no longer lent afterwards: everything that arrived at once, or a
     * part of it. */
    void (*piece_end)(void *owner);
    /* The stream's connection has ended well, before the dialect's own end. */
    void (*ended)(void *owner);
    /* A whole body of status 200 for an ask without stream, in the client's dialect; lent for the
     * call. */
    void (*answered)(void *owner, const struct answer_chunk *chunk, dr_slice body);
    /* `failure` is lent for the call. Never after `event` returned false. */
    void (*failed)(void *owner, const struct failure *failure);
};

struct attempt_ask {
    struct worker *worker;
    struct edition *edition;
    const struct target *target;
    const struct prompt *prompt;
    /* The owner's: filled when the first target of another dialect needs it (reading.h). */
    struct reading **reading;
    struct dr_arena *arena; /* lives longer than the attempt */
    dr_slice request_id;    /* for answers that have none of their own; lives as long */
    int64_t created_s;      /* of the answer, where it must be said anew */
    bool takes_events;      /* of a stream, and no bytes: what is translated need not be written */
    dr_slice sim_fault;     /* header of the demo; empty for none */
};

enum { ATTEMPT_PARTS_MAX = OPENAI_BODY_PARTS_MAX + 2 };

struct attempt {
    enum attempt_state state;
    const struct attempt_events *events;
    void *owner;
    struct worker *worker;
    struct dr_arena *arena;
    const struct target *target;
    struct dr_http_ask *ask;
    dr_instant began;
    struct burst burst;
    bool is_streamed;  /* a stream was asked for */
    bool takes_events; /* as the ask has it */
    bool has_given;    /* something of the present piece, where it is translated */
    uint16_t status;
    struct retry_hint hint;
    struct translator *translator; /* NULL where the provider speaks the client's dialect */
    struct dr_sse_reader *sse;
    struct dr_buf body;      /* collected */
    struct dr_buf plain_ask; /* the client's body, where it was not sent as it came */
    struct loss *plain_loss; /* what was left out of it; NULL: it was sent as it came */
    dr_slice parts[ATTEMPT_PARTS_MAX];
};

/* From IDLE. No event comes from inside this call. DR_INVALID: the target cannot do what is asked,
 * and nothing was sent; attempt_loss names it until the attempt is closed. DR_TOO_LARGE: so is the
 * ask in the provider's dialect. DR_NO_MEMORY. */
enum dr_status attempt_open(struct attempt *attempt, const struct attempt_ask *ask,
                            const struct attempt_events *events, void *owner) DR_MUST_USE;
/* Back to IDLE: an unfinished ask is dropped at once, a finished one leaves its connection to
 * the pool. Harmless when idle. */
void attempt_close(struct attempt *attempt);
/* What could not be carried into the provider's dialect; NULL where the bytes passed as they came.
 */
const struct loss *attempt_loss(const struct attempt *attempt);
/* Its answer is translated for a client that asked with `functions`, not tools. */
bool attempt_is_legacy(const struct attempt *attempt);
/* The names of what was left out, "seed, user": empty where nothing was. */
dr_slice attempt_dropped(const struct attempt *attempt);
/* What a stream ends with when its last event, of bytes `last`, has come: of one that is translated
 * all of it, with the usage that it came to. Lent until the attempt is closed. */
dr_slice attempt_end(struct attempt *attempt, const struct usage *usage, dr_slice last);
void attempt_pause(struct attempt *attempt);
void attempt_resume(struct attempt *attempt);
/* What the owner touches at each event (see dr_stream_expect), beside the attempt itself. */
enum { ATTEMPT_PLACES = DR_HTTP_ASK_PLACES - 2 };
void attempt_expect(struct attempt *attempt, const void *const places[ATTEMPT_PLACES]);
/* Instead of the last of them. */
void attempt_expect_last(struct attempt *attempt, const void *place);

#endif
