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
/* The body: streamed, what is the gateway's own made blanks. The frame has no member twice. Its
 * others stand WS_ASK_SHIFT bytes further on in the body, so that they need not be read once more
 * (openai_read_held_prompt). In `arena`; false when it is full. */
enum { WS_ASK_SHIFT = 14 };
bool ws_ask_write_body(const struct ws_ask *ask, struct dr_arena *arena,
                       dr_slice *ret_body) DR_MUST_USE;
/* The same with `before` (messages joined by commas, not empty) put before the new messages. What
 * is the gateway's own is taken out, and nothing stands where it stood. */
bool ws_ask_write_joined(const struct ws_ask *ask, dr_slice before, struct dr_arena *arena,
                         dr_slice *ret_body) DR_MUST_USE;

#endif
