/* The simulated answer to a chat request, and its bytes in OpenAI's shapes. Pure.
 *
 * What is said is decided when the answer is built; the bytes of a stream are written event by
 * event, so that ten thousand slow streams hold little but their text.
 *
 * Which call is made, if tools may be used and the newest message is no tool's result: the named
 * one, otherwise the first. Several at once when they may be parallel and the user's newest text
 * has the word "both" or "parallel": the tools in turn, at least two calls and at most four. */
#ifndef DR_SIM_CHAT_ANSWER_H
#define DR_SIM_CHAT_ANSWER_H

#include "sim/chat_ask.h"

struct sim_answer;

enum { SIM_ID_CHARACTERS = 24 };

struct sim_answer_options {
    char id[SIM_ID_CHARACTERS]; /* letters and digits */
    int64_t created_s;
    uint32_t burst_events; /* text events of a stream; 0: natural length */
    bool no_usage;
};

enum sim_event {
    SIM_EVENT_OPENING, /* role; comes without delay */
    SIM_EVENT_TOKEN,   /* text or a piece of a call: what is paced */
    SIM_EVENT_CLOSING, /* finish, usage; comes without delay */
    SIM_EVENT_DONE,    /* the stream's end, [DONE] */
};

/* Given; NULL when out of memory. Keeps nothing of `ask`. */
struct sim_answer *sim_answer_new(const struct sim_ask *ask,
                                  const struct sim_answer_options *options);
void sim_answer_free(struct sim_answer *answer);

/* The whole JSON answer. */
void sim_answer_write(struct sim_answer *answer, struct dr_buf *buf);
/* What sim_answer_write_event will write next. Nothing comes after SIM_EVENT_DONE. */
enum sim_event sim_answer_next(const struct sim_answer *answer);
/* One event with its blank line. */
void sim_answer_write_event(struct sim_answer *answer, struct dr_buf *buf);
/* Events of kind SIM_EVENT_TOKEN, all together. */
uint64_t sim_answer_token_events(const struct sim_answer *answer);
/* The next chunk, broken off within its JSON; not counted. */
void sim_answer_write_broken_event(const struct sim_answer *answer, struct dr_buf *buf);

/* OpenAI's error object, on one line. `param` and `code` NULL or empty: null. */
void sim_error_write(struct dr_buf *buf, const char *message, const char *type, const char *param,
                     const char *code);

#endif
