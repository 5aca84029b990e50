/* For the WebSocket tests of this folder: frames written as short texts, and what a reader makes of
 * bytes as a line.
 *
 * A script is a list of frames, each "XX:payload" or "XX*N" (N times 'x'), joined by '|'; XX is the
 * first byte in hexadecimal, so that "81:Hi|89:" is a text message and a ping. A capital "R" before
 * a frame leaves out the mask that a client's frames have, or adds one to a server's. */
#ifndef DR_NET_WS_PROBE_H
#define DR_NET_WS_PROBE_H

#include "base/assert.h"
#include "base/buf.h"
#include "base/digest.h"
#include "net/ws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define WS_PROBE_CALL static inline __attribute__((unused))

static const uint8_t ws_probe_mask[4] = {0x37, 0xfa, 0x21, 0x3d};

/* The head that dr_ws_put_frame writes, with another first byte. */
WS_PROBE_CALL void ws_probe_put_frame(struct dr_buf *out, uint8_t first, dr_slice payload,
                                      bool is_masked) {
    const size_t at = out->len;
    dr_ws_put_frame(out, DR_WS_OPCODE_TEXT, &payload, 1, is_masked ? ws_probe_mask : NULL);
    dr_assert(!dr_buf_status(out));
    out->data[at] = (char)first;
}

WS_PROBE_CALL void ws_probe_put_script(struct dr_buf *out, enum dr_ws_role reader,
                                       dr_slice script) {
    while (script.data) {
        dr_slice frame = dr_slice_split(&script, '|');
        bool is_masked = reader == DR_WS_SERVER;
        if (frame.data[0] == 'R') {
            is_masked = !is_masked;
            frame = dr_slice_from(frame, 1);
        }
        uint8_t first;
        dr_assert(frame.len >= 3 && dr_hex_read(dr_slice_first(frame, 2), &first, 1));
        dr_slice payload = dr_slice_from(frame, 3);
        if (frame.data[2] == ':') {
            ws_probe_put_frame(out, first, payload, is_masked);
            continue;
        }
        uint64_t len;
        struct dr_buf many;
        dr_assert(dr_slice_to_u64(payload, &len));
        dr_buf_init(&many, SIZE_MAX / 2);
        for (uint64_t i = 0; i < len; i++) dr_buf_put_char(&many, 'x');
        ws_probe_put_frame(out, first, dr_buf_slice(&many), is_masked);
        dr_buf_clear(&many);
    }
}

/* "T(Hello)" text, "B(..)" binary, "P(..)" ping, "Q(..)" pong, "C1000(bye)" close, "!1002" failure;
 * a payload longer than 64 bytes as its length. */
WS_PROBE_CALL void ws_probe_note(struct dr_buf *line, enum dr_ws_progress progress,
                                 const struct dr_ws_event *event) {
    const char letters[] = {[DR_WS_MESSAGE] = event->is_binary ? 'B' : 'T',
                            [DR_WS_PING] = 'P',
                            [DR_WS_PONG] = 'Q',
                            [DR_WS_CLOSE] = 'C',
                            [DR_WS_FAILED] = '!'};
    dr_buf_put_char(line, letters[progress]);
    if (progress == DR_WS_CLOSE || progress == DR_WS_FAILED) dr_buf_put_u64(line, event->code);
    if (progress == DR_WS_FAILED) return;
    dr_buf_put_char(line, '(');
    if (event->bytes.len > 64) {
        dr_buf_put_char(line, '#');
        dr_buf_put_u64(line, event->bytes.len);
    } else {
        dr_buf_put(line, event->bytes);
    }
    dr_buf_put_char(line, ')');
}

/* All that `bytes` holds; false when the reader is over. */
WS_PROBE_CALL bool ws_probe_read(struct dr_ws_reader *reader, dr_slice bytes, struct dr_buf *line) {
    for (;;) {
        struct dr_ws_event event = {.bytes = DR_NONE};
        const enum dr_ws_progress progress = dr_ws_read(reader, &bytes, &event);
        if (progress == DR_WS_NEED_MORE) {
            assert_int_equal(bytes.len, 0);
            return true;
        }
        ws_probe_note(line, progress, &event);
        if (progress == DR_WS_FAILED || progress == DR_WS_CLOSE) return false;
    }
}

WS_PROBE_CALL void ws_probe_expect(const char *name, dr_slice got, dr_slice expected) {
    if (dr_slice_is(got, expected)) return;
    fail_msg("%s: got %.*s, expected %.*s", name, DR_FMT(got), DR_FMT(expected));
}

#endif
