/* Frames of a WebSocket that chats (INTERFACE section 4), as they are sent. One of an answer is
 * `{"id":…,"seq":N` and a *tail* that depends on neither. */
#ifndef DR_GATEWAY_WS_FRAME_H
#define DR_GATEWAY_WS_FRAME_H

#include "base/buf.h"

struct answer_event;
struct downstream_close;
struct refusal;
struct ws_answer;

/* --- as text, at the end of `json`
 * -------------------------------------------------------------- */

/* What each begins with, `{"id":…`; DR_NONE is null. */
void ws_frame_put_id(struct dr_buf *json, dr_slice id);
/* The same as far as its number: `{"id":…,"seq":`. */
void ws_frame_put_begin(struct dr_buf *json, dr_slice id);
/* The answer goes on elsewhere. */
void ws_frame_put_moved(struct dr_buf *json, dr_slice id);
/* The end of an answer that failed; `request_id` is empty where there is none. */
void ws_frame_put_refusal(struct dr_buf *json, dr_slice id, uint64_t seq,
                          const struct refusal *refusal, dr_slice request_id);

/* --- of an answer, with its WebSocket head
 * ------------------------------------------------------ */

/* Each is put behind those that wait in its worker's `frames`; they leave together, and stand in
 * the answer's record as one row. */
void ws_frame_tell_accepted(struct ws_answer *answer);
/* What the first of these events of a chunk says, and those behind it that go into the same frame;
 * returns how many that were. Only for what can be told before the end: words, calls, and what
 * belongs to them. */
size_t ws_frame_tell_events(struct ws_answer *answer, const struct answer_event *events,
                            size_t count);
/* The same for words that have nothing beside them, and are not counted. */
void ws_frame_tell_words(struct ws_answer *answer, const struct answer_event *words);
/* The same for words of the first choice that stand in JSON as they are: nearly all are such. */
void ws_frame_tell_plain_words(struct ws_answer *answer, dr_slice words);
void ws_frame_tell_end(struct ws_answer *answer, const struct downstream_close *close);
void ws_frame_tell_refusal(struct ws_answer *answer, const struct refusal *refusal);
/* The next frame of a row, whose answer has an id, and what stands in it behind that. False when
 * there is none. */
bool ws_frame_next(dr_slice *row, dr_slice *ret_rest);

#endif
