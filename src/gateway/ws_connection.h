/* A WebSocket connection that chats, from its handshake to its end: its key, what is under way on
 * it, and what it is told beside answers' frames. */
#ifndef DR_GATEWAY_WS_CONNECTION_H
#define DR_GATEWAY_WS_CONNECTION_H

#include "base/buf.h"
#include "gateway/refusal.h"

struct dr_sha256;
struct dr_stream;
struct dr_ws_session;
struct worker;
struct ws_answer;
struct ws_connection;

/* --- its beginning; the end comes by its session
 * ------------------------------------------------ */

/* Without a key. `sim_fault` (demo only, copied) holds for all asks. Given, to ws_visit_accept with
 * ws_connection_taken. NULL when out of memory. */
struct ws_connection *ws_connection_new(struct worker *worker, dr_slice sim_fault);
/* A key that came before frames can go: if it is bad, the refusal follows when they can. */
void ws_connection_take_handshake_key(struct ws_connection *connection, dr_slice token);
/* `owner` is the connection. */
void ws_connection_taken(void *owner, struct dr_stream *stream, dr_slice rest);

/* --- what it has, lent while it lives
 * ----------------------------------------------------------- */

struct worker *ws_connection_worker(const struct ws_connection *connection);
struct dr_ws_session *ws_connection_session(struct ws_connection *connection);
/* Empty for none. */
dr_slice ws_connection_sim_fault(const struct ws_connection *connection);
/* Of the key that was accepted last; NULL before. */
const struct dr_sha256 *ws_connection_key_digest(const struct ws_connection *connection);

/* --- its key
 * ------------------------------------------------------------------------------------ */

/* False when it is bad, with `*ret_reason`. */
bool ws_connection_take_key(struct ws_connection *connection, dr_slice token,
                            enum refusal_reason *ret_reason);
/* One error frame, then the end: what speaks here has no key. `id` as below. */
void ws_connection_refuse_key(struct ws_connection *connection, const dr_slice *id,
                              enum refusal_reason reason);

/* --- under way: asked here, or resumed here
 * ----------------------------------------------------- */

bool ws_connection_uses(struct ws_connection *connection, dr_slice id);
/* No more may be. */
bool ws_connection_is_busy(const struct ws_connection *connection);
/* Harmless where nothing has that id. */
void ws_connection_cancel(struct ws_connection *connection, dr_slice id);
/* An exchange and its answer. `id` as ws_answer_new takes it; one that is in use is not taken. NULL
 * when that has been refused for want of memory. */
struct ws_answer *ws_connection_open_answer(struct ws_connection *connection, const dr_slice *id);
/* The answer has ended, or its connection: it is the connection's no more. */
void ws_connection_drop_answer(struct ws_connection *connection, struct ws_answer *answer);
/* Keeps the text of an ask in its answer. DR_OK; DR_TOO_LARGE when all that are kept here would
 * take more than one message may; DR_NO_MEMORY. */
enum dr_status ws_connection_keep_ask(struct ws_connection *connection, struct ws_answer *answer,
                                      dr_slice text) DR_MUST_USE;
void ws_connection_drop_ask(struct ws_connection *connection, struct ws_answer *answer);
/* Resumes an answer here: see ws_follow_open. */
enum dr_status ws_connection_follow(struct ws_connection *connection, dr_slice account_id,
                                    dr_slice request_id, uint64_t after, dr_slice id) DR_MUST_USE;

/* --- frames out
 * --------------------------------------------------------------------------------- */

/* What has been written into `frame`; a reset where that failed, since a gap would go unseen. */
void ws_connection_send(struct ws_connection *connection, const struct dr_buf *frame);
/* An error that is no exchange's. `id` is NULL where no frame could be read, and DR_NONE where it
 * had none: then one is made up, as for one that is in use. */
void ws_connection_send_refusal(struct ws_connection *connection, const dr_slice *id,
                                const struct refusal *refusal);
/* The answer of that id goes on elsewhere. */
void ws_connection_send_moved(struct ws_connection *connection, dr_slice id);

#endif
