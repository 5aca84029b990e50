/* WebSocket framing as a client sees it, on complete frames only: what a server sends is short
 * enough to wait for. */
#ifndef DR_BENCH_LOAD_WS_H
#define DR_BENCH_LOAD_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOAD_WS_HEAD_BYTES_MAX = 14 };

enum load_ws_opcode {
    LOAD_WS_TEXT = 1,
    LOAD_WS_CLOSE = 8,
    LOAD_WS_PING = 9,
    LOAD_WS_PONG = 10,
};

/* How many bytes the frame at the front of `bytes` takes; when its head is not there whole, how
 * many are needed to go on. */
size_t load_ws_needed(const char *bytes, size_t len);

struct load_ws_frame {
    enum load_ws_opcode opcode;
    const char *payload;
    size_t len;
};
/* False for what a server may not send, or no server of ours does: a fragment, a mask, a reserved
 * bit, a length that is not in its shortest form. `len` is at least load_ws_needed. */
bool load_ws_read(const char *bytes, size_t len, struct load_ws_frame *ret_frame);

/* Writes a masked frame to `out`, which holds LOAD_WS_HEAD_BYTES_MAX more than `len`. Returns its
 * length. */
size_t load_ws_write(char *out, enum load_ws_opcode opcode, const char *payload, size_t len,
                     uint32_t mask);

#endif
