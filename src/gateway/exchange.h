/* One ask and its answer.
 *
 *   OPENED ─authenticate─► AUTHENTICATED ─pace─► PACED ─decode─► DECODED ─admit─► ADMITTED
 *      │                          │                │                │                │
 *      │                          │                │                │         ROUTED ◄─route
 *      │                          │                │                │             │
 *      └─── refused, failed, client gone; and from ROUTED also: answered ─────────┘
 *                                        │
 *                                        └──► SETTLING ──settle──► CLOSED
 *
 * exchange_enter() is the only writer of the stage. Facts come from the transport (body arrived,
 * client gone, drained) and from the attempt; each is stored here and followed by pipeline_run().
 * Every way out passes settle exactly once. */
#ifndef DR_GATEWAY_EXCHANGE_H
#define DR_GATEWAY_EXCHANGE_H

#include "gateway/attempt.h"
#include "gateway/downstream.h"
#include "gateway/exchange_choices.h"
#include "gateway/worker.h"
#include "model/ledger_entry.h"
#include "model/prompt.h"
#include "net/loop.h"
#include "policy/rate_limit.h"

enum exchange_stage {
    EXCHANGE_OPENED,
    EXCHANGE_AUTHENTICATED,
    EXCHANGE_PACED,
    EXCHANGE_DECODED,
    EXCHANGE_ADMITTED,
    EXCHANGE_ROUTED,
    EXCHANGE_SETTLING,
    EXCHANGE_CLOSED,
    EXCHANGE_STAGE_COUNT,
};

/* How it ended, decided once before settling. */
enum exchange_outcome {
    OUTCOME_NONE,
    OUTCOME_ANSWERED,
    OUTCOME_REFUSED,   /* `refusal` tells: ours, or a provider's failure put into words */
    OUTCOME_GONE,      /* the client left */
    OUTCOME_CANCELLED, /* the client asked to stop, and waits for the bill */
};

struct exchange {
    struct dr_list node; /* worker's running or spare list */
    struct worker *worker;
    struct edition *edition;
    struct dr_arena arena;
    enum exchange_stage stage;
    enum exchange_outcome outcome;

    /* who asks */
    dr_slice authorization; /* header value; only while authenticating */
    /* instead of it: of a key that was accepted before; only while authenticating */
    const struct dr_sha256 *key_digest;
    const struct key_table_row *key;
    /* room in the journal: from here on there is one ledger entry */
    bool has_reservation;

    /* what is asked */
    char request_id[REQUEST_ID_BYTES];
    dr_instant began;
    dr_wall created;
    bool has_json_body; /* its media type and coding are ours */
    bool has_body;
    bool is_unfit;      /* what came for a body can't be one: `refusal` tells */
    dr_slice client_id; /* the client's own name for it; empty for none */
    dr_slice body;      /* in the arena */
    /* The body as the worker's reader holds it, until that reads or trims; NULL: it does not. */
    dr_json body_root;
    size_t body_shift; /* as of openai_read_held_prompt */
    struct prompt prompt;
    dr_slice sim_fault;   /* demo only */
    dr_slice cors_origin; /* allowed origin to be named in the answer; empty for none */

    /* may they, where to */
    struct rate_limit_verdict rate; /* once PACED, or refused for it */
    bool has_rate;
    const struct catalog_model *model;
    size_t target_next;

    /* carrying it */
    struct attempt attempt;
    struct reading *reading;    /* while a target of another dialect may need it; mostly NULL */
    struct dr_timer wait_timer; /* SSE: 15 s of silence */
    struct downstream downstream;
    const struct target *target; /* who answered */
    /* what every event touches, close together: see relay_expect */
    dr_slice answer_id; /* for chunks of our own at its end */
    bool is_committed;  /* the first event has passed */
    uint64_t output_bytes;
    dr_instant first_token;
    struct exchange_choices choices;
    bool has_usage_chunk; /* the client has been shown all that was reported, by the latest chunk */
    uint64_t counted_bytes; /* of output_bytes, come by the latest report of usage */

    dr_slice answer_model; /* as answer_id */
    struct dr_buf held;    /* events without a word that came before the first with one */
    dr_slice last;         /* the end's bytes, lent by the attempt until settled */
    struct refusal refusal;

    /* what it cost */
    struct usage usage;
    money cost;
    struct ledger_attempt attempts[LEDGER_ATTEMPTS_MAX];
    uint32_t attempt_count;
};

/* Takes one from the worker's spare list. NULL when out of memory. */
struct exchange *exchange_open(struct worker *worker, const struct downstream_kind *kind,
                               struct dr_http_call *call);
/* Only pipeline_run calls it, after settle. */
void exchange_close(struct exchange *exchange);
/* Lets go of the memory that is kept for the next ones. */
void exchange_drop_spares(struct worker *worker);
/* The only setter of the stage; an arrow that is not in the table is our bug. */
void exchange_enter(struct exchange *exchange, enum exchange_stage stage);
/* Decides how it ends; the first decision stays. */
void exchange_refuse(struct exchange *exchange, const struct refusal *refusal);
void exchange_refuse_for(struct exchange *exchange, enum refusal_reason reason);
/* With the field and a sentence of its own (both are copied). */
void exchange_refuse_field(struct exchange *exchange, enum refusal_reason reason, dr_slice param,
                           dr_slice message);
/* One attempt is over: it goes into the receipt. */
void exchange_note_attempt(struct exchange *exchange, uint16_t status);
/* The usage to be charged if the answer ended here: its reports, and an estimate of what they leave
 * out. Of source USAGE_REPORTED where they leave out nothing: only then may the client be left with
 * what the provider told. Not for one that has settled. */
struct usage exchange_taken_usage(const struct exchange *exchange);
/* See exchange_choices_unfinished, and exchange_choices_missing_finish. */
uint64_t exchange_unfinished_choices(const struct exchange *exchange);
enum answer_finish exchange_missing_finish(const struct exchange *exchange, uint32_t choice_index);
/* Facts from the transport: stored, then pipeline_run. The exchange may be gone afterwards. */
void exchange_take_body(struct exchange *exchange, dr_slice body);
void exchange_note_gone(struct exchange *exchange);
void exchange_note_drained(struct exchange *exchange);
void exchange_cancel(struct exchange *exchange);

#endif
