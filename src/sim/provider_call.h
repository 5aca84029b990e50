/* What provider.c (the server, routes, faults' texts) and provider_call.c (one request's answer,
 * its timing and misbehaviour) share. Private to the two.
 *
 *   READING ──body──► HOLDING ──first token due──► PLAYING ──► over
 *      └── refused ──► over  └─ stall ─► STALLED ◄─┤ stall_mid
 *                                                  └ cut, close_idle ─► LINGERING ──► over
 *
 * `gone` ends a call in every state. */
#ifndef DR_SIM_PROVIDER_CALL_H
#define DR_SIM_PROVIDER_CALL_H

#include "base/buf.h"
#include "base/json.h"
#include "base/map.h"
#include "base/random.h"
#include "net/http_server.h"
#include "net/loop.h"
#include "sim/fault.h"
#include "sim/provider.h"
#include "sim/reply.h"
#include "sim/sim_dialect.h"

struct dr_listener;

enum { SIM_FREE_CALLS_MAX = 1024 };

enum sim_call_state {
    SIM_CALL_READING,
    SIM_CALL_HOLDING,
    SIM_CALL_PLAYING,
    SIM_CALL_STALLED,
    SIM_CALL_LINGERING, /* all that will be said is said; the connection is about to close */
};

/* Where the answer's bytes come from. */
enum sim_source {
    SIM_SOURCE_WHOLE,  /* `whole`, at once */
    SIM_SOURCE_EVENTS, /* `reply`, event by event */
    SIM_SOURCE_HUGE,   /* made up as they leave */
};

/* How they leave. */
enum sim_sink {
    SIM_SINK_PLAIN,   /* piece by piece as they come */
    SIM_SINK_DRIBBLE, /* a byte a write, head and framing included */
    SIM_SINK_SPLIT,   /* writes end within characters of more than one byte */
    SIM_SINK_CUTS,    /* writes end at given offsets of the body */
    SIM_SINK_SLOW,    /* so many bytes a second */
};

/* What follows the last byte that the source gives. */
enum sim_ending {
    SIM_ENDING_NONE, /* the source is not at its end */
    SIM_ENDING_WHOLE,
    SIM_ENDING_STALL,
    SIM_ENDING_CUT,
};

struct sim_call {
    struct sim_provider *provider;
    struct sim_call *next_free;
    struct dr_http_call *http;
    const struct sim_dialect *dialect;
    struct dr_timer timer;
    struct dr_deferred step;
    struct sim_fault fault;
    struct sim_reply *reply;
    struct dr_buf model; /* as the target names it, where it does */
    struct dr_buf body;  /* of a unary answer that waits */
    struct dr_buf out;   /* bytes of cutting sinks on their way, from `out_start` */
    size_t out_start;
    dr_slice whole; /* in `body`, or the provider's replay */
    uint64_t *cuts; /* ascending offsets, `cut_count` of them */
    size_t cut_count;
    size_t cut_index;
    uint64_t played_bytes; /* of the body, for cuts and pace */
    uint64_t played_tokens;
    uint64_t mid_token; /* faults in mid-stream strike before this token */
    dr_instant start;
    dr_instant slow_start;
    int64_t first_token_ms;
    int64_t token_ms;
    uint32_t burst_events;
    uint64_t huge_bytes; /* written so far */
    uint16_t status;
    enum sim_route_found route;
    enum sim_call_state state;
    enum sim_source source;
    enum sim_sink sink;
    enum sim_ending ending;
    bool is_stream;    /* chunked framing, events one by one */
    bool is_listed;    /* a stream that is one JSON array */
    bool is_raw;       /* head and framing are written here, past the HTTP server */
    bool has_finished; /* our FIN is out */
    bool is_gathering; /* the next portion waits for a turn of its own */
    bool has_begun;
    bool is_mid_over; /* the fault in mid-stream has struck */
};

struct sim_provider {
    struct dr_loop *loop;
    struct dr_listener *listener; /* NULL where the fault refuse holds */
    struct dr_http_server *server;
    struct dr_json_reader *reader;
    struct sim_scratch scratch;
    struct sim_call *free_calls;
    size_t free_call_count;
    struct dr_map counts; /* fault text → how often it came */
    struct dr_random random;
    struct dr_buf headers; /* composed here, handed on, forgotten */
    struct dr_buf piece;
    struct dr_buf fault_text; /* copies of the options' slices */
    struct dr_buf replay;
    struct dr_buf replay_type;
    struct sim_fault fault;
    struct dr_deferred freeing;
    int64_t first_token_ms;
    int64_t token_ms;
    uint32_t burst_events;
    uint16_t replay_status;
    uint16_t port;
    int held_fd; /* of the fault refuse; -1 where none */
    bool is_closing;
};

/* --- provider.c ----------------------------------------------------------------------------------
 */

/* Takes the faults named by `words` into the call's, unless their `times` are used up. */
enum dr_status sim_provider_add_fault(struct sim_provider *provider, struct sim_call *call,
                                      dr_slice words, struct dr_error *error) DR_MUST_USE;
/* Back to the free list; the HTTP call must be over. */
void sim_call_release(struct sim_call *call);

/* --- provider_call.c -----------------------------------------------------------------------------
 */

/* The request is whole: answers now or later. */
void sim_call_answer(struct sim_call *call, dr_slice body);
/* The client takes bytes again. */
void sim_call_drained(struct sim_call *call);
/* Answers with an error in the dialect's words. The HTTP call is over then. */
void sim_provider_refuse(struct sim_provider *provider, const struct sim_dialect *dialect,
                         struct dr_http_call *http, const struct sim_error *error);
/* For the call's timer and deferred step. */
void sim_call_resumed(void *owner);

#endif
