/* The turn of an ask over a WebSocket: at once, or when its session is free. */
#ifndef DR_GATEWAY_WS_TURN_H
#define DR_GATEWAY_WS_TURN_H

struct ws_answer;
struct ws_ask;

enum { WS_TURN_DEPTH_MAX = 128 }; /* of an ask's JSON, as of an HTTP body */

/* Gives the answer's exchange a body, or a refusal instead. Without a session, or when that is
 * free, before it returns; otherwise later, and then pipeline_run follows. */
void ws_turn_take(struct ws_answer *answer, const struct ws_ask *ask);

#endif
