/* Cuts an event stream into events and reads their fields. This room must not know what the data
 * means, nor change a byte of it: the raws in their order, and what is kept, are the stream.
 *
 * An event's end is found line by line in new bytes only. Events that came whole are read where
 * they lie; only one that was cut by the end of the bytes is copied into the reader. A CR may be
 * the first half of CRLF, so that the line it ends is over only with the next byte: with that
 * rule the cuts of the network can't be seen in the events. */
#include "net/sse.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"

enum {
    LINE_WINDOW = 512,             /* bytes looked at in one go for LF, then CR */
    NAME_LINE_BYTES_MAX = 48,      /* of an event's name that is read along with its data */
    KEPT_BYTES_WANTED = 64 * 1024, /* a buffer that held more is given back */
};

static const char bom[3] = {'\xef', '\xbb', '\xbf'};

struct dr_sse_reader {
    size_t event_bytes_max;
    struct dr_buf kept;   /* of the incomplete event, or lent as the last one */
    struct dr_buf joined; /* several data lines, or lent */
    size_t line_len;      /* of the current line so far */
    uint8_t bom_len;      /* of a mark seen so far, while the stream has not begun */
    bool has_begun;
    bool has_cr; /* the last byte was a CR */
    bool is_lent;
    bool is_first;                /* no event was given yet */
    enum dr_sse_progress failure; /* DR_SSE_NEED_MORE: none */
};

struct dr_sse_reader *dr_sse_reader_new(size_t event_bytes_max) {
    struct dr_sse_reader *reader = dr_alloc_zero(1, sizeof *reader);
    if (!reader) return NULL;
    reader->event_bytes_max = event_bytes_max;
    reader->is_first = true;
    reader->failure = DR_SSE_NEED_MORE;
    dr_buf_init(&reader->kept, event_bytes_max);
    dr_buf_init(&reader->joined, event_bytes_max);
    return reader;
}

void dr_sse_reader_free(struct dr_sse_reader *reader) {
    if (!reader) return;
    dr_buf_clear(&reader->kept);
    dr_buf_clear(&reader->joined);
    dr_free(reader);
}

/* --- lines ------------------------------------------------------------------------------------ */

/* Index of the first CR or LF from `at` on, or the length. Windows bound the cost of a line when
 * the next LF is far away. */
static size_t find_line_end(dr_slice bytes, size_t at) {
    while (at < bytes.len) {
        const char *start = bytes.data + at;
        size_t len = bytes.len - at < LINE_WINDOW ? bytes.len - at : LINE_WINDOW;
        const char *lf = memchr(start, '\n', len);
        if (lf) len = (size_t)(lf - start);
        const char *cr = memchr(start, '\r', len);
        if (cr) return at + (size_t)(cr - start);
        if (lf) return at + len;
        at += len;
    }
    return bytes.len;
}

/* Passes a byte order mark. False while all bytes so far could belong to one. */
static bool begin_stream(struct dr_sse_reader *reader, dr_slice bytes, size_t *ret_at) {
    size_t at = 0;
    while (at < bytes.len && reader->bom_len < sizeof bom &&
           bytes.data[at] == bom[reader->bom_len]) {
        ++at;
        ++reader->bom_len;
    }
    *ret_at = at;
    if (at == bytes.len && reader->bom_len < sizeof bom) return false;
    reader->has_begun = true;
    if (reader->bom_len < sizeof bom) reader->line_len = reader->bom_len;
    return true;
}

/* True when the event ends within the new bytes; `*ret_len` of them belong to it. */
static bool find_event_end(struct dr_sse_reader *reader, dr_slice bytes, size_t *ret_len) {
    size_t at = 0;
    if (!reader->has_begun && !begin_stream(reader, bytes, &at)) return false;
    if (reader->has_cr) {
        if (bytes.len == 0) return false;
        reader->has_cr = false;
        if (bytes.data[0] == '\n') at = 1;
        *ret_len = at;
        if (reader->line_len == 0) return true;
        reader->line_len = 0;
    }
    while (at < bytes.len) {
        const size_t end = find_line_end(bytes, at);
        reader->line_len += end - at;
        if (end == bytes.len) return false;
        at = end + 1;
        if (bytes.data[end] == '\r') {
            if (at == bytes.len) {
                reader->has_cr = true;
                return false;
            }
            if (bytes.data[at] == '\n') ++at;
        }
        *ret_len = at;
        if (reader->line_len == 0) return true;
        reader->line_len = 0;
    }
    return false;
}

/* --- fields ----------------------------------------------------------------------------------- */

static bool put_data(struct dr_sse_reader *reader, struct dr_sse_event *event, dr_slice value) {
    if (!event->has_data) {
        event->has_data = true;
        event->data = value;
        return true;
    }
    if (reader->joined.len == 0) dr_buf_put(&reader->joined, event->data);
    dr_buf_put_char(&reader->joined, '\n');
    dr_buf_put(&reader->joined, value);
    if (dr_buf_status(&reader->joined)) return false;
    event->data = dr_buf_slice(&reader->joined);
    return true;
}

/* "name", "name:value", "name: value"; a line that begins with a colon is a comment. Unknown
 * fields and `retry` pass unread. */
static bool read_line(struct dr_sse_reader *reader, struct dr_sse_event *event, dr_slice line) {
    const char *colon = memchr(line.data, ':', line.len < 6 ? line.len : 6);
    const dr_slice name = dr_slice_first(line, colon ? (size_t)(colon - line.data) : line.len);
    dr_slice value = dr_slice_from(line, colon ? name.len + 1 : line.len);
    if (value.len > 0 && value.data[0] == ' ') value = dr_slice_from(value, 1);
    if (dr_slice_is(name, DR_LIT("data"))) return put_data(reader, event, value);
    if (dr_slice_is(name, DR_LIT("event"))) event->name = value;
    if (dr_slice_is(name, DR_LIT("id")) && !memchr(value.data, '\0', value.len)) event->id = value;
    return true;
}

static enum dr_sse_progress give_event(struct dr_sse_reader *reader, dr_slice raw,
                                       struct dr_sse_event *ret_event) {
    struct dr_sse_event event = {.raw = raw};
    size_t at = 0;
    if (reader->is_first && raw.len >= sizeof bom && memcmp(raw.data, bom, sizeof bom) == 0) {
        at = sizeof bom;
    }
    while (at < raw.len) {
        const size_t end = find_line_end(raw, at);
        if (end > at && !read_line(reader, &event, dr_slice_of(raw.data + at, end - at))) {
            reader->failure = DR_SSE_NO_MEMORY;
            return DR_SSE_NO_MEMORY;
        }
        at = end + 1;
        if (end + 1 < raw.len && raw.data[end] == '\r' && raw.data[end + 1] == '\n') ++at;
    }
    reader->is_first = false;
    reader->line_len = 0;
    *ret_event = event;
    return DR_SSE_EVENT;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Takes back what the last event borrowed. */
static void end_lending(struct dr_sse_reader *reader) {
    if (reader->joined.len > 0) {
        if (reader->joined.len > KEPT_BYTES_WANTED) dr_buf_clear(&reader->joined);
        dr_buf_reset(&reader->joined);
    }
    if (!reader->is_lent) return;
    reader->is_lent = false;
    if (reader->kept.len > KEPT_BYTES_WANTED) dr_buf_clear(&reader->kept);
    dr_buf_reset(&reader->kept);
}

/* The length of a line "event: NAME" at the front, with its LF; 0 when there is none, or one that
 * has to be looked at more closely. */
static size_t name_line_len(dr_slice bytes) {
    const dr_slice line = dr_slice_first(bytes, NAME_LINE_BYTES_MAX);
    if (line.len < 8 || memcmp(line.data, "event: ", 7) != 0) return 0;
    const char *lf = memchr(line.data + 7, '\n', line.len - 7);
    if (!lf || memchr(line.data + 7, '\r', (size_t)(lf - line.data) - 7)) return 0;
    return (size_t)(lf - line.data) + 1;
}

/* The shape of nearly all events, one data line, maybe a name before it, and an empty line, read in
 * one pass. */
static bool take_plain_event(struct dr_sse_reader *reader, dr_slice *bytes,
                             struct dr_sse_event *ret_event) {
    if (reader->kept.len > 0 || !reader->has_begun || reader->line_len > 0) return false;
    const size_t name_len = name_line_len(*bytes);
    const dr_slice rest = dr_slice_from(*bytes, name_len);
    if (rest.len < 8 || memcmp(rest.data, "data: ", 6) != 0) return false;
    const char *start = rest.data + 6;
    const char *lf = memchr(start, '\n', rest.len - 7);
    if (!lf || lf[1] != '\n') return false;
    const size_t len = (size_t)(lf - start);
    const size_t raw_len = name_len + len + 8;
    if (raw_len > reader->event_bytes_max || memchr(start, '\r', len)) return false;
    *ret_event = (struct dr_sse_event){
        .raw = dr_slice_first(*bytes, raw_len),
        .data = dr_slice_of(start, len),
        .has_data = true,
    };
    if (name_len > 0) ret_event->name = dr_slice_of(bytes->data + 7, name_len - 8);
    reader->is_first = false;
    *bytes = dr_slice_from(*bytes, raw_len);
    return true;
}

static enum dr_sse_progress fail(struct dr_sse_reader *reader, enum dr_sse_progress failure) {
    reader->failure = failure;
    return failure;
}

enum dr_sse_progress dr_sse_read(struct dr_sse_reader *reader, dr_slice *bytes,
                                 struct dr_sse_event *ret_event) {
    if (reader->failure != DR_SSE_NEED_MORE) return reader->failure;
    end_lending(reader);
    if (bytes->len == 0) return DR_SSE_NEED_MORE;
    if (take_plain_event(reader, bytes, ret_event)) return DR_SSE_EVENT;
    size_t len = bytes->len;
    const bool is_whole = find_event_end(reader, *bytes, &len);
    if (!is_whole) len = bytes->len;
    dr_assert(reader->kept.len <= reader->event_bytes_max);
    if (len > reader->event_bytes_max - reader->kept.len) return fail(reader, DR_SSE_TOO_LARGE);
    dr_slice raw = dr_slice_first(*bytes, len);
    if (!is_whole || reader->kept.len > 0) {
        dr_buf_put(&reader->kept, raw);
        if (dr_buf_status(&reader->kept)) return fail(reader, DR_SSE_NO_MEMORY);
        raw = dr_buf_slice(&reader->kept);
    }
    *bytes = dr_slice_from(*bytes, len);
    if (!is_whole) return DR_SSE_NEED_MORE;
    reader->is_lent = reader->kept.len > 0;
    return give_event(reader, raw, ret_event);
}

enum dr_sse_progress dr_sse_read_end(struct dr_sse_reader *reader, struct dr_sse_event *ret_event) {
    if (reader->failure != DR_SSE_NEED_MORE) return reader->failure;
    end_lending(reader);
    if (reader->kept.len == 0) return DR_SSE_NEED_MORE;
    reader->is_lent = true;
    reader->has_cr = false;
    return give_event(reader, dr_buf_slice(&reader->kept), ret_event);
}

/* `text` without the line end that it ends in. */
static dr_slice cut_line_end(dr_slice text) {
    if (dr_slice_ends(text, DR_LIT("\r\n"))) return dr_slice_first(text, text.len - 2);
    if (dr_slice_ends(text, DR_LIT("\n")) || dr_slice_ends(text, DR_LIT("\r"))) {
        return dr_slice_first(text, text.len - 1);
    }
    return text;
}

dr_slice dr_sse_missing_end(dr_slice raw) {
    const dr_slice line = cut_line_end(raw);
    if (line.len < raw.len && cut_line_end(line).len < line.len) return DR_NONE;
    /* Behind a CR one LF would only be the second half of its line's end. */
    return dr_slice_ends(raw, DR_LIT("\n")) ? DR_LIT("\n") : DR_LIT("\n\n");
}

size_t dr_sse_reader_kept(const struct dr_sse_reader *reader) {
    return reader->is_lent ? 0 : reader->kept.len;
}
