/* An answer on its way over a WebSocket: the frames of INTERFACE section 4. A frame is
 * `{"id":…,"seq":N` and a *tail* that depends on neither. */
#ifndef DR_GATEWAY_WS_ANSWER_H
#define DR_GATEWAY_WS_ANSWER_H

#include "base/list.h"
#include "dialect/openai.h"
#include "gateway/chat_turn.h"
#include "gateway/refusal.h"

struct exchange;
struct worker;
struct ws_connection;

enum { WS_FINISH_BYTES_MAX = 64, WS_MODEL_BYTES_MAX = 256 };

/* In its exchange's arena. */
struct ws_answer {
    struct dr_list node; /* the connection's running answers */
    struct ws_connection *connection;
    struct exchange *exchange;
    dr_slice id;      /* as the client wrote it, or one made up */
    dr_slice id_json; /* with quotes */
    dr_slice request_id;
    struct chat_turn *turn; /* NULL without a session */
    dr_slice frame;         /* the ask's, while its session's turn is awaited; in the arena */
    uint64_t seq;           /* of the latest frame */
    struct openai_call_numbers calls;
    uint8_t finish_len;
    uint16_t model_len;
    char finish[WS_FINISH_BYTES_MAX];
    char model[WS_MODEL_BYTES_MAX];
};

/* The answer has ended, or its connection: it is the connection's no more. */
void ws_connection_drop_answer(struct ws_connection *connection, struct ws_answer *answer);
/* Gives its session back, if it has one. */
void ws_answer_end_turn(struct ws_answer *answer, enum chat_turn_end end);
struct dr_ws_session *ws_connection_session(struct ws_connection *connection);

/* The tail of an answer that failed; `request_id` is empty where there is none. */
void ws_put_refusal_tail(struct dr_buf *tail, const struct refusal *refusal, dr_slice request_id);

#endif
