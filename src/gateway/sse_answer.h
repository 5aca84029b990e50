/* Event streams that survive a cut connection, for clients that ask with `x-drover-resumable:
 * true`: each event carries `id: N`, and `GET /v1/chat/completions/{request_id}/events` with
 * `Last-Event-ID` goes on behind it. */
#ifndef DR_GATEWAY_SSE_ANSWER_H
#define DR_GATEWAY_SSE_ANSWER_H

struct http_visit;

void route_chat_events(const struct http_visit *visit);
/* Facts of the call of a stream that goes on. */
void sse_follow_note_gone(void *follow);
void sse_follow_note_drained(void *follow);

#endif
