/* `/debug/ws/echo`, only with `drover serve --debug-ws-echo`: every message comes back as it was,
 * over the same code as chats, so that suites from outside can test it. */
#ifndef DR_GATEWAY_WS_ECHO_H
#define DR_GATEWAY_WS_ECHO_H

struct http_visit;

void route_ws_echo(const struct http_visit *visit);

#endif
