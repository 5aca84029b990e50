/* `GET /v1/ws/chat`: a WebSocket connection as a source of exchanges (INTERFACE section 4). */
#ifndef DR_GATEWAY_WS_FRONT_H
#define DR_GATEWAY_WS_FRONT_H

struct http_visit;

void route_ws_chat(const struct http_visit *visit);

#endif
