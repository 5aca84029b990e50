/* The simulated answer to a chat request, in no dialect's words: what is said is decided when it is
 * built; the bytes of a stream are written event by event, so that ten thousand slow streams hold
 * little but their text. Pure.
 *
 * Which call is made, if tools may be used and the newest message is no tool's result: the named
 * one, otherwise the first. Several at once when they may be parallel and the user's newest text
 * has the word "both" or "parallel": the tools in turn, at least two calls and at most four. */
#ifndef DR_SIM_REPLY_H
#define DR_SIM_REPLY_H

#include "sim/ask.h"

struct sim_dialect;

enum { SIM_ID_CHARACTERS = 24 };

struct sim_reply_options {
    char id[SIM_ID_CHARACTERS]; /* letters and digits */
    int64_t created_s;
    uint32_t burst_events; /* text events of a stream; 0: natural length */
    bool no_usage;
};

enum sim_event {
    SIM_EVENT_OPENING, /* what frames tokens; comes without delay */
    SIM_EVENT_TOKEN,   /* text or a piece of a call: what is paced */
    SIM_EVENT_CLOSING, /* finish, usage; comes without delay */
    SIM_EVENT_DONE,    /* the stream's end */
};

enum sim_part_kind { SIM_PART_THOUGHT, SIM_PART_TEXT, SIM_PART_CALL };

/* One text of a choice: what it thinks, its content, or the arguments of one call. Offsets into the
 * reply's `text`. */
struct sim_part {
    enum sim_part_kind kind;
    bool is_cut; /* by the limit of tokens */
    uint32_t start;
    uint32_t len;
    uint32_t name_start;
    uint32_t name_len;
};

enum sim_finish {
    SIM_FINISH_STOP,
    SIM_FINISH_LENGTH,
    SIM_FINISH_CALLS,
    SIM_FINISH_STOP_SEQUENCE, /* which one: `stop_start`, `stop_len` */
    SIM_FINISH_BLOCKED,
};

struct sim_choice {
    uint32_t first_part;
    uint32_t part_count;
    enum sim_finish finish;
    uint32_t stop_start;
    uint32_t stop_len;
    /* The stream's position. */
    uint32_t part_index;
    uint32_t offset;
    bool is_announced; /* the present part's beginning has been told */
};

/* Read by the dialects' writers, which move nothing but `stage`, `turn`, `spoken_tokens` and the
 * positions of the choices. */
struct sim_reply {
    const struct sim_dialect *dialect;
    struct dr_buf text; /* all parts, names, what the dialect prepares */
    struct sim_choice *choices;
    struct sim_part *parts;
    uint32_t choice_count;
    bool has_calls;
    bool is_named_call; /* the only tool that might be called was named */
    bool is_burst;
    bool is_streamed;
    bool is_listed;
    bool has_usage;
    bool includes_usage;
    bool is_cache_marked;
    bool wants_logprobs;
    uint32_t top_logprobs;
    uint32_t prefix_start; /* prepared by the dialect, for each event or for the whole */
    uint32_t prefix_len;
    uint64_t prompt_tokens;
    uint64_t cached_tokens;
    uint64_t completion_tokens; /* reasoning included */
    uint64_t reasoning_tokens;
    uint64_t seed;
    uint64_t burst_count;
    uint64_t burst_index;
    uint64_t token_events;  /* of kind SIM_EVENT_TOKEN */
    uint64_t spoken_tokens; /* of texts and calls, so far */
    char id[SIM_ID_CHARACTERS];
    uint32_t stage; /* the dialect's own */
    bool has_begun; /* an element of a list has been written */
    uint32_t turn;  /* choice whose turn it is */
};

/* Given; NULL when out of memory. Keeps nothing of `ask`. */
struct sim_reply *sim_reply_new(const struct sim_dialect *dialect, const struct sim_ask *ask,
                                const struct sim_reply_options *options);
void sim_reply_free(struct sim_reply *reply);

/* --- for the dialects' writers --- */

static inline dr_slice sim_reply_slice(const struct sim_reply *reply, uint32_t start,
                                       uint32_t len) {
    return dr_slice_first(dr_slice_from(dr_buf_slice(&reply->text), start), len);
}
dr_slice sim_reply_part_text(const struct sim_reply *reply, const struct sim_part *part);
dr_slice sim_reply_part_name(const struct sim_reply *reply, const struct sim_part *part);
/* The part whose turn it is; NULL when all have been said. */
const struct sim_part *sim_reply_part(const struct sim_reply *reply,
                                      const struct sim_choice *choice);
/* True when nothing is left of the present part. */
bool sim_reply_part_is_said(const struct sim_reply *reply, const struct sim_choice *choice);
/* The next token of the present part (something must be left), counted as spoken. */
dr_slice sim_reply_take_token(struct sim_reply *reply, struct sim_choice *choice);
/* The same for all that is left of it. */
dr_slice sim_reply_take_part(struct sim_reply *reply, struct sim_choice *choice);
/* On to the next part. */
void sim_reply_leave_part(struct sim_choice *choice);
/* Moves `turn` to the next choice that has something to say; false when none has. */
bool sim_reply_find_speaker(struct sim_reply *reply);
/* A made-up logarithm of a token's probability, always the same, such as -0.0042. */
void sim_reply_put_logprob(struct dr_buf *buf, dr_slice token, uint64_t rank);
/* The token that might have been said instead; rank 0 is the one that was. */
dr_slice sim_reply_alternative(const struct sim_reply *reply, dr_slice token, uint64_t rank);

#endif
