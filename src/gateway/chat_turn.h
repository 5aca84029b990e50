/* One turn of a kept conversation: the messages that were asked, and the answer as far as it was
 * delivered, as a client that keeps the conversation itself would send it back. */
#ifndef DR_GATEWAY_CHAT_TURN_H
#define DR_GATEWAY_CHAT_TURN_H

#include "base/arena.h"
#include "base/buf.h"
#include "dialect/openai_details.h"
#include "gateway/session_shared.h"
#include "model/answer.h"

enum { CHAT_CALLS_MAX = 1024 }; /* as many as a turn may have for other dialects */

/* A tool call, put together from its deltas. */
struct chat_call {
    dr_slice id, name; /* in the arena */
    enum answer_call form;
    struct dr_buf arguments;
    struct dr_buf extra; /* the member `extra_content`, with a comma before it; empty for none */
};

/* In its exchange's arena. */
struct chat_turn {
    struct dr_arena *arena;
    struct session_turn *hold;
    dr_slice asked; /* the new messages, joined by commas; in the arena */
    struct dr_buf text;
    struct dr_buf refusal;
    struct dr_buf reasoning;
    struct dr_buf extra; /* as a call's, of the message */
    bool signs_thinking; /* the provider wants its thinking back, signed */
    bool has_lost_calls; /* there was no room for them */
    struct openai_details details;
    struct chat_call *calls; /* NULL until the first */
    uint32_t call_count;
    uint32_t call_capacity;
};

/* Of zeroed memory. What is kept of each kind is at most `bytes_max`. */
void chat_turn_init(struct chat_turn *turn, struct dr_arena *arena, size_t bytes_max);
/* Of the answer's first choice; tool calls are numbered densely. */
void chat_turn_note(struct chat_turn *turn, const struct answer_event *event);
enum chat_turn_end {
    CHAT_TURN_ANSWERED,
    CHAT_TURN_CUT, /* cancelled, or the client left: what was delivered is kept */
    CHAT_TURN_FAILED,
};
/* Gives the session back, with what is to be kept. `scratch` is overwritten. */
void chat_turn_end(struct chat_turn *turn, enum chat_turn_end end, struct dr_buf *scratch,
                   dr_instant now);

#endif
