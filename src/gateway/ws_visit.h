/* A visit that asks for a WebSocket: the opening handshake's answer, whatever is spoken behind
 * it. */
#ifndef DR_GATEWAY_WS_VISIT_H
#define DR_GATEWAY_WS_VISIT_H

#include "base/slice.h"

struct dr_stream;
struct http_visit;

/* Answers a visit that is no WebSocket handshake (RFC 6455 section 4.2.1) with 400 or 426, and
 * then returns false. */
bool ws_visit_check(const struct http_visit *visit);
/* Answers one that was found good with 101. `protocol` is the subprotocol that is spoken, DR_NONE
 * for none; `taken` as in dr_http_call_upgrade. */
void ws_visit_accept(const struct http_visit *visit, dr_slice protocol, void *owner,
                     void (*taken)(void *owner, struct dr_stream *stream, dr_slice rest));

#endif
