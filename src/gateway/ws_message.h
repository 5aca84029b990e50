/* A message of a client over a WebSocket that chats (INTERFACE section 4): an ask, or what its
 * `type` says. */
#ifndef DR_GATEWAY_WS_MESSAGE_H
#define DR_GATEWAY_WS_MESSAGE_H

#include "base/slice.h"

struct ws_connection;

/* Does what it asks for, or says why not. `text` is borrowed. */
void ws_message_take(struct ws_connection *connection, dr_slice text);

#endif
