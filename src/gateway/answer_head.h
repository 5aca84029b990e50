/* The headers of answers, composed in the worker's scratch buffer: lent until the next
 * composition. */
#ifndef DR_GATEWAY_ANSWER_HEAD_H
#define DR_GATEWAY_ANSWER_HEAD_H

#include "base/slice.h"
#include "gateway/refusal.h"

struct exchange;
struct worker;

dr_slice answer_head_stream(struct exchange *exchange);
/* Before it is known who answers. */
dr_slice answer_head_waiting(struct exchange *exchange);
/* Tells the cost. */
dr_slice answer_head_json(struct exchange *exchange);
dr_slice answer_head_refusal(struct exchange *exchange, const struct refusal *refusal);
/* For routes without an exchange: a JSON body, and what CORS asks for. */
dr_slice answer_head_plain(struct worker *worker, dr_slice cors_origin, uint32_t retry_after_s);
/* The same under an id that was made before. */
dr_slice answer_head_lookup(struct worker *worker, dr_slice request_id, dr_slice cors_origin,
                            uint32_t retry_after_s);
void answer_head_put_cors(struct dr_buf *head, dr_slice origin);
/* A fresh x-request-id, for what is answered without an exchange; lent until more is put. */
dr_slice answer_head_put_request_id(struct dr_buf *head, struct worker *worker);

#endif
