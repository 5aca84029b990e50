/* net/ws: the same bytes whole, cut in two and byte by byte must give the same events, in either
 * role, and what is written again from them must be read as the same. The first byte chooses role
 * and cut. */
#include "net/ws.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { MESSAGE_BYTES_MAX = 600, LINE_BYTES_MAX = 1 << 24 };

static const struct dr_ws_limits limits = {
    .frame_bytes_max = 400,
    .message_bytes_max = MESSAGE_BYTES_MAX,
    .fragments_max = 6,
    .takes_binary = true,
};

static void note_event(struct dr_buf *line, enum dr_ws_progress progress,
                       const struct dr_ws_event *event) {
    dr_buf_put_u64(line, (uint64_t)progress);
    dr_buf_put_char(line, event->is_binary ? 'B' : 'T');
    dr_buf_put_u64(line, event->code);
    dr_buf_put_char(line, ':');
    dr_buf_put_u64(line, event->bytes.len);
    dr_buf_put_char(line, ':');
    dr_buf_put(line, event->bytes);
}

static void check_event(enum dr_ws_progress progress, const struct dr_ws_event *event) {
    switch (progress) {
    case DR_WS_MESSAGE:
        dr_assert(event->bytes.len <= MESSAGE_BYTES_MAX);
        dr_assert(event->is_binary || dr_utf8_is_valid(event->bytes));
        return;
    case DR_WS_PING:
    case DR_WS_PONG: dr_assert(event->bytes.len <= DR_WS_CONTROL_BYTES_MAX); return;
    case DR_WS_CLOSE:
        dr_assert(event->code == DR_WS_CLOSE_NONE || dr_ws_close_code_is_valid(event->code));
        dr_assert(dr_utf8_is_valid(event->bytes));
        return;
    case DR_WS_FAILED:
        dr_assert(dr_ws_close_code_is_valid(event->code));
        dr_assert(event->bytes.len > 0 && event->bytes.len <= DR_WS_REASON_BYTES_MAX);
        return;
    case DR_WS_NEED_MORE: return;
    }
}

/* The frames of the other role that say the same; failures say nothing. */
static void write_event(struct dr_buf *frames, enum dr_ws_progress progress,
                        const struct dr_ws_event *event, const uint8_t *mask) {
    switch (progress) {
    case DR_WS_MESSAGE:
        dr_ws_put_frame(frames, event->is_binary ? DR_WS_OPCODE_BINARY : DR_WS_OPCODE_TEXT,
                        &event->bytes, 1, mask);
        return;
    case DR_WS_PING: dr_ws_put_frame(frames, DR_WS_OPCODE_PING, &event->bytes, 1, mask); return;
    case DR_WS_PONG: dr_ws_put_frame(frames, DR_WS_OPCODE_PONG, &event->bytes, 1, mask); return;
    case DR_WS_CLOSE: dr_ws_put_close(frames, event->code, event->bytes, mask); return;
    case DR_WS_FAILED:
    case DR_WS_NEED_MORE: return;
    }
}

struct feeding {
    struct dr_ws_reader reader;
    struct dr_buf *line;
    struct dr_buf *frames; /* NULL: nothing is written again */
    const uint8_t *mask;
};

static bool feed(struct feeding *feeding, dr_slice piece) {
    char *block = dr_alloc(piece.len);
    dr_assert(block);
    if (piece.len > 0) memcpy(block, piece.data, piece.len);
    dr_slice bytes = {block, piece.len};
    enum dr_ws_progress progress = DR_WS_PING;
    bool goes_on = true;
    while (goes_on && progress != DR_WS_NEED_MORE) {
        struct dr_ws_event event = {.bytes = DR_NONE};
        progress = dr_ws_read(&feeding->reader, &bytes, &event);
        if (progress == DR_WS_NEED_MORE) break;
        check_event(progress, &event);
        if (progress != DR_WS_FAILED) note_event(feeding->line, progress, &event);
        if (feeding->frames) write_event(feeding->frames, progress, &event, feeding->mask);
        goes_on = progress != DR_WS_CLOSE && progress != DR_WS_FAILED;
    }
    dr_assert(!goes_on || bytes.len == 0);
    dr_free(block);
    return goes_on;
}

static void read_cut(dr_slice input, enum dr_ws_role role, size_t cut, size_t step,
                     struct dr_buf *line, struct dr_buf *frames) {
    static const uint8_t mask[4] = {1, 2, 3, 250};
    struct dr_ws_pool *pool = dr_ws_pool_new();
    struct feeding feeding = {.line = line, .frames = frames};
    dr_assert(pool);
    if (role == DR_WS_SERVER) feeding.mask = mask;
    dr_buf_init(line, LINE_BYTES_MAX);
    dr_ws_reader_init(&feeding.reader, pool, &limits, role);
    bool goes_on = feed(&feeding, dr_slice_first(input, cut));
    for (size_t at = cut; goes_on && at < input.len; at += step) {
        goes_on = feed(&feeding, dr_slice_first(dr_slice_from(input, at), step));
    }
    dr_ws_reader_clear(&feeding.reader);
    dr_ws_pool_free(pool);
    dr_assert(!dr_buf_status(line));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    if (len < 1 || len > 8192) return 0;
    const dr_slice input = {(const char *)bytes + 1, len - 1};
    const enum dr_ws_role role = bytes[0] % 2 ? DR_WS_CLIENT : DR_WS_SERVER;
    struct dr_buf whole;
    struct dr_buf other;
    struct dr_buf frames;
    dr_buf_init(&frames, LINE_BYTES_MAX);
    read_cut(input, role, input.len, 1, &whole, &frames);
    read_cut(input, role, bytes[0] * input.len / 255, input.len + 1, &other, NULL);
    dr_assert(dr_slice_is(dr_buf_slice(&whole), dr_buf_slice(&other)));
    dr_buf_clear(&other);
    read_cut(input, role, 0, 1, &other, NULL);
    dr_assert(dr_slice_is(dr_buf_slice(&whole), dr_buf_slice(&other)));
    dr_buf_clear(&other);
    /* Messages longer than a frame may be were fragmented: written whole they are refused. */
    if (frames.len > 0 && whole.len < limits.frame_bytes_max) {
        read_cut(dr_buf_slice(&frames), role, frames.len, 1, &other, NULL);
        dr_assert(dr_slice_is(dr_buf_slice(&whole), dr_buf_slice(&other)));
        dr_buf_clear(&other);
    }
    dr_buf_clear(&whole);
    dr_buf_clear(&frames);
    return 0;
}
