/* `/debug/ws/echo`, only with `drover serve --debug-ws-echo`: every message comes back as it was,
 * over the same code as chats, so that suites from outside can test it. */
#ifndef DR_GATEWAY_WS_ECHO_H
#define DR_GATEWAY_WS_ECHO_H

#include "gateway/http_front.h"

/* Answers a visit that is no WebSocket handshake (RFC 6455 section 4.2.1) with 400 or 426, and
 * then returns false. */
bool ws_visit_check(const struct http_visit *visit);

void route_ws_echo(const struct http_visit *visit);

#endif
