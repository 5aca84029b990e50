/* The ask in a frame of a WebSocket: the body that it would be over HTTP. */
#ifndef DR_GATEWAY_WS_ASK_H
#define DR_GATEWAY_WS_ASK_H

#include "base/arena.h"
#include "base/json.h"

/* The frame: `text` is the JSON of `root`, an object that `reader` holds. */
struct ws_ask {
    const struct dr_json_reader *reader;
    dr_json root;
    dr_slice text;
};

/* The new messages as they stand, joined by commas; DR_NONE when there is no array of them. */
dr_slice ws_ask_messages(const struct ws_ask *ask);
/* The body: what is the gateway's own taken out, streamed, `before` (messages joined by commas, may
 * be empty) put before the new messages. Slices live in `arena`. False when it is full. */
bool ws_ask_write_body(const struct ws_ask *ask, dr_slice before, struct dr_arena *arena,
                       dr_slice *ret_body) DR_MUST_USE;

#endif
