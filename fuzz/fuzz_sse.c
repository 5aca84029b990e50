/* net/sse: the same bytes whole, cut in two and byte by byte must give the same events, and the
 * raws of all events together must be the stream. The first byte chooses the cut. */
#include "net/sse.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { EVENT_BYTES_MAX = 256, LINE_BYTES_MAX = 1 << 24 };

static void put_text(struct dr_buf *line, dr_slice text) {
    dr_buf_put_u64(line, text.len);
    dr_buf_put_char(line, ':');
    dr_buf_put(line, text);
}

/* `raw` gathers what the events claim to have been. */
static void note_event(const struct dr_sse_event *event, struct dr_buf *line, struct dr_buf *raw) {
    dr_assert(event->raw.len > 0 && event->raw.len <= EVENT_BYTES_MAX);
    dr_assert(event->data.len < event->raw.len || event->data.len == 0);
    dr_assert(event->has_data || event->data.len == 0);
    dr_buf_put(raw, event->raw);
    dr_buf_put_char(line, event->has_data ? 'D' : 'C');
    put_text(line, event->raw);
    put_text(line, event->data);
    put_text(line, event->name);
    put_text(line, event->id);
}

static bool feed(struct dr_sse_reader *reader, dr_slice piece, struct dr_buf *line,
                 struct dr_buf *raw) {
    char *block = dr_alloc(piece.len);
    dr_assert(block);
    if (piece.len > 0) memcpy(block, piece.data, piece.len);
    dr_slice bytes = {block, piece.len};
    struct dr_sse_event event;
    enum dr_sse_progress progress = dr_sse_read(reader, &bytes, &event);
    while (progress == DR_SSE_EVENT) {
        note_event(&event, line, raw);
        progress = dr_sse_read(reader, &bytes, &event);
    }
    if (progress == DR_SSE_TOO_LARGE) dr_buf_put(line, DR_LIT("TOO LARGE"));
    dr_free(block);
    return progress == DR_SSE_NEED_MORE;
}

static void read_cut(dr_slice input, size_t cut, size_t step, struct dr_buf *line) {
    struct dr_sse_reader *reader = dr_sse_reader_new(EVENT_BYTES_MAX);
    struct dr_buf raw;
    dr_assert(reader);
    dr_buf_init(line, LINE_BYTES_MAX);
    dr_buf_init(&raw, LINE_BYTES_MAX);
    bool goes_on = feed(reader, dr_slice_first(input, cut), line, &raw);
    for (size_t at = cut; goes_on && at < input.len; at += step) {
        goes_on = feed(reader, dr_slice_first(dr_slice_from(input, at), step), line, &raw);
    }
    if (goes_on) {
        struct dr_sse_event event;
        dr_assert(raw.len + dr_sse_reader_kept(reader) == input.len);
        if (dr_sse_read_end(reader, &event) == DR_SSE_EVENT) note_event(&event, line, &raw);
        dr_assert(dr_slice_is(dr_buf_slice(&raw), input));
    }
    dr_sse_reader_free(reader);
    dr_buf_clear(&raw);
    dr_assert(!dr_buf_status(line));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    if (len < 1 || len > 8192) return 0;
    const dr_slice input = {(const char *)bytes + 1, len - 1};
    struct dr_buf whole;
    struct dr_buf parts;
    read_cut(input, input.len, 1, &whole);
    read_cut(input, bytes[0] * input.len / 255, input.len + 1, &parts);
    dr_assert(dr_slice_is(dr_buf_slice(&whole), dr_buf_slice(&parts)));
    dr_buf_clear(&parts);
    read_cut(input, 0, 1, &parts);
    dr_assert(dr_slice_is(dr_buf_slice(&whole), dr_buf_slice(&parts)));
    dr_buf_clear(&parts);
    dr_buf_clear(&whole);
    return 0;
}
