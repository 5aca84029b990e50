/* WebSocket frames, cut and unmasked by wslay, judged and joined here. This room must not know of
 * streams, time or JSON.
 *
 * Of wslay only the frame layer is used: it knows heads, lengths and masks. Its event layer
 * allocates what a head declares, has no limit on fragments and refuses close codes that were
 * registered later. A frame context has no reset, so one that stopped within a frame is freed,
 * never reused.
 *
 * `unread` counts the bytes that wslay has taken from us and has not told of yet; at a frame's
 * border with `unread` 0 its context is as new. It tells of a head with the first payload byte,
 * which may never come: a head that waits for it is judged by what `latest` keeps of it. */
#include "net/ws.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/check.h"
#include "base/utf8.h"

#include <wslay/wslay.h>

enum {
    SPARE_ASSEMBLIES_MAX = 64,
    MESSAGE_BYTES_KEPT = 16 * 1024, /* a spare assembly's buffer */
};

struct dr_ws_assembly {
    struct dr_ws_assembly *next_spare;
    wslay_frame_context_ptr frames;
    dr_slice offered;      /* within dr_ws_read: not taken by wslay yet */
    struct dr_buf message; /* of one that comes in more than one piece */
    size_t unread;
    uint64_t frame_left;  /* payload bytes of the frame under way */
    uint64_t message_len; /* announced by the message's frames so far */
    uint32_t fragments;   /* of the message so far */
    struct dr_utf8 utf8;
    uint8_t opcode; /* of the message under way; 0 between messages */
    bool is_in_frame;
    bool is_lent; /* `message` is in the owner's hands until the next call */
    uint8_t control_len;
    char latest[DR_WS_HEAD_BYTES_MAX]; /* bytes that wslay has taken, up to the very last */
    struct dr_ws_budget *budget;       /* where `charged` is counted */
    size_t charged;
    char control[DR_WS_CONTROL_BYTES_MAX];
};

struct dr_ws_pool {
    struct dr_ws_assembly *spares;
    size_t spare_count;
    size_t attached_count;
};

bool dr_ws_close_code_is_valid(uint16_t code) {
    if (code >= 3000 && code <= 4999) return true;
    return code >= 1000 && code <= 1014 && code != 1004 && code != DR_WS_CLOSE_NONE &&
           code != DR_WS_CLOSE_LOST;
}

/* --- the pool --------------------------------------------------------------------------------- */

struct dr_ws_pool *dr_ws_pool_new(void) {
    return dr_alloc_zero(1, sizeof(struct dr_ws_pool));
}

static void assembly_free(struct dr_ws_assembly *assembly) {
    if (assembly->frames) wslay_frame_context_free(assembly->frames);
    dr_buf_clear(&assembly->message);
    dr_free(assembly);
}

void dr_ws_pool_free(struct dr_ws_pool *pool) {
    if (!pool) return;
    dr_assert(pool->attached_count == 0);
    while (pool->spares) {
        struct dr_ws_assembly *assembly = pool->spares;
        pool->spares = assembly->next_spare;
        assembly_free(assembly);
    }
    dr_free(pool);
}

size_t dr_ws_pool_attached_count(const struct dr_ws_pool *pool) {
    return pool->attached_count;
}

static void assembly_note_latest(struct dr_ws_assembly *assembly, dr_slice bytes) {
    char *latest = assembly->latest;
    const size_t room = sizeof assembly->latest;
    if (bytes.len > room) bytes = dr_slice_from(bytes, bytes.len - room);
    memmove(latest, latest + bytes.len, room - bytes.len);
    memcpy(latest + room - bytes.len, bytes.data, bytes.len);
}

/* Hands wslay what is there, at most the 4 KiB it has room for. */
static ssize_t bytes_taken(uint8_t *bytes, size_t len, int flags, void *owner) {
    struct dr_ws_assembly *assembly = owner;
    (void)flags;
    if (len > assembly->offered.len) len = assembly->offered.len;
    if (len == 0) return -1; /* nothing at hand: wslay calls it WANT_READ */
    memcpy(bytes, assembly->offered.data, len);
    assembly_note_latest(assembly, dr_slice_first(assembly->offered, len));
    assembly->offered = dr_slice_from(assembly->offered, len);
    assembly->unread += len;
    return (ssize_t)len;
}

static struct dr_ws_assembly *pool_take(struct dr_ws_pool *pool) {
    static const struct wslay_frame_callbacks callbacks = {.recv_callback = bytes_taken};
    struct dr_ws_assembly *assembly = pool->spares;
    if (assembly) {
        pool->spares = assembly->next_spare;
        pool->spare_count--;
    } else {
        assembly = dr_alloc_zero(1, sizeof *assembly);
        if (!assembly) return NULL;
        /* The limits bound what is kept, before a byte of it comes. */
        dr_buf_init(&assembly->message, SIZE_MAX / 2);
        if (wslay_frame_context_init(&assembly->frames, &callbacks, assembly)) {
            assembly->frames = NULL;
            assembly_free(assembly);
            return NULL;
        }
    }
    pool->attached_count++;
    return assembly;
}

static bool assembly_is_between_frames(const struct dr_ws_assembly *assembly) {
    return !assembly->is_in_frame && assembly->unread == 0;
}

static void assembly_discharge(struct dr_ws_assembly *assembly) {
    if (assembly->charged > 0) assembly->budget->bytes -= assembly->charged;
    assembly->charged = 0;
}

/* False when there is no room for `len` bytes more of the message. */
static bool assembly_charge(struct dr_ws_assembly *assembly, struct dr_ws_budget *budget,
                            size_t len) {
    const size_t whole = assembly->message.len + len;
    if (!budget || whole <= budget->own_bytes) return true;
    const size_t more = whole - budget->own_bytes - assembly->charged;
    if (budget->bytes > budget->bytes_max || more > budget->bytes_max - budget->bytes) return false;
    budget->bytes += more;
    assembly->charged += more;
    assembly->budget = budget;
    return true;
}

static void assembly_forget_message(struct dr_ws_assembly *assembly) {
    assembly_discharge(assembly);
    if (assembly->message.capacity > MESSAGE_BYTES_KEPT) {
        dr_buf_clear(&assembly->message);
    } else {
        dr_buf_reset(&assembly->message);
    }
    assembly->is_lent = false;
    assembly->opcode = 0;
}

/* `is_reusable`: wslay is between two frames. */
static void reader_detach(struct dr_ws_reader *reader, bool is_reusable) {
    struct dr_ws_assembly *assembly = reader->assembly;
    struct dr_ws_pool *pool = reader->pool;
    if (!assembly) return;
    reader->assembly = NULL;
    pool->attached_count--;
    assembly_discharge(assembly);
    if (!is_reusable || pool->spare_count >= SPARE_ASSEMBLIES_MAX) {
        assembly_free(assembly);
        return;
    }
    assembly_forget_message(assembly);
    assembly->control_len = 0;
    assembly->next_spare = pool->spares;
    pool->spares = assembly;
    pool->spare_count++;
}

/* --- reading ---------------------------------------------------------------------------------- */

void dr_ws_reader_init(struct dr_ws_reader *reader, struct dr_ws_pool *pool,
                       const struct dr_ws_limits *limits, enum dr_ws_role role) {
    *reader = (struct dr_ws_reader){.pool = pool, .limits = limits, .role = (uint8_t)role};
}

void dr_ws_reader_set_budget(struct dr_ws_reader *reader, struct dr_ws_budget *budget) {
    if (reader->assembly) assembly_discharge(reader->assembly);
    reader->budget = budget;
}

bool dr_ws_reader_is_at_rest(const struct dr_ws_reader *reader) {
    return !reader->assembly;
}

void dr_ws_reader_clear(struct dr_ws_reader *reader) {
    if (reader->assembly) {
        reader_detach(reader, assembly_is_between_frames(reader->assembly));
    }
    reader->is_over = true;
}

static enum dr_ws_progress reader_fail(struct dr_ws_reader *reader, uint16_t code, dr_slice text,
                                       struct dr_ws_event *event) {
    reader_detach(reader, false);
    reader->is_over = true;
    *event = (struct dr_ws_event){.bytes = text, .code = code};
    return DR_WS_FAILED;
}

/* How many bytes the head of a frame took on the wire: wslay has refused every longer form. */
static size_t head_len(const struct wslay_frame_iocb *piece) {
    size_t len = 2;
    if (piece->payload_length > 125) len += piece->payload_length > 65535 ? 8 : 2;
    return piece->mask ? len + 4 : len;
}

/* What a data frame does to its message. */
static enum dr_ws_progress data_begin(struct dr_ws_reader *reader,
                                      const struct wslay_frame_iocb *piece,
                                      struct dr_ws_event *event) {
    struct dr_ws_assembly *assembly = reader->assembly;
    const struct dr_ws_limits *limits = reader->limits;
    if (piece->opcode == WSLAY_CONTINUATION_FRAME) {
        if (assembly->opcode == 0) {
            return reader_fail(reader, DR_WS_CLOSE_PROTOCOL_ERROR,
                               DR_LIT("continuation without a message"), event);
        }
    } else {
        if (assembly->opcode != 0) {
            return reader_fail(reader, DR_WS_CLOSE_PROTOCOL_ERROR,
                               DR_LIT("new message within a message"), event);
        }
        if (piece->opcode == WSLAY_BINARY_FRAME && !limits->takes_binary) {
            return reader_fail(reader, DR_WS_CLOSE_UNSUPPORTED,
                               DR_LIT("binary messages are not taken"), event);
        }
        assembly->opcode = piece->opcode;
        assembly->message_len = 0;
        assembly->fragments = 0;
        assembly->utf8 = (struct dr_utf8){0};
    }
    if (piece->payload_length > limits->frame_bytes_max) {
        return reader_fail(reader, DR_WS_CLOSE_TOO_LARGE, DR_LIT("frame too large"), event);
    }
    if (!dr_add_u64(assembly->message_len, piece->payload_length, &assembly->message_len) ||
        assembly->message_len > limits->message_bytes_max) {
        return reader_fail(reader, DR_WS_CLOSE_TOO_LARGE, DR_LIT("message too large"), event);
    }
    if (++assembly->fragments > limits->fragments_max) {
        return reader_fail(reader, DR_WS_CLOSE_TOO_LARGE, DR_LIT("too many fragments"), event);
    }
    return DR_WS_NEED_MORE;
}

/* The head of a frame, seen with its first piece. */
static enum dr_ws_progress frame_begin(struct dr_ws_reader *reader,
                                       const struct wslay_frame_iocb *piece,
                                       struct dr_ws_event *event) {
    struct dr_ws_assembly *assembly = reader->assembly;
    dr_assert(assembly->unread >= head_len(piece));
    assembly->unread -= head_len(piece);
    assembly->is_in_frame = true;
    assembly->frame_left = piece->payload_length;
    if (piece->rsv != 0) {
        return reader_fail(reader, DR_WS_CLOSE_PROTOCOL_ERROR, DR_LIT("reserved bit set"), event);
    }
    if ((piece->mask != 0) != (reader->role == DR_WS_SERVER)) {
        return reader_fail(reader, DR_WS_CLOSE_PROTOCOL_ERROR,
                           reader->role == DR_WS_SERVER ? DR_LIT("frame without a mask")
                                                        : DR_LIT("masked frame from a server"),
                           event);
    }
    switch (piece->opcode) {
    case WSLAY_CONTINUATION_FRAME:
    case WSLAY_TEXT_FRAME:
    case WSLAY_BINARY_FRAME: return data_begin(reader, piece, event);
    case WSLAY_CONNECTION_CLOSE:
    case WSLAY_PING:
    case WSLAY_PONG: assembly->control_len = 0; return DR_WS_NEED_MORE;
    default:
        return reader_fail(reader, DR_WS_CLOSE_PROTOCOL_ERROR, DR_LIT("unknown opcode"), event);
    }
}

static enum dr_ws_progress close_end(struct dr_ws_reader *reader, struct dr_ws_event *event) {
    const struct dr_ws_assembly *assembly = reader->assembly;
    const dr_slice payload = dr_slice_of(assembly->control, assembly->control_len);
    *event = (struct dr_ws_event){.code = DR_WS_CLOSE_NONE};
    if (payload.len == 1) {
        return reader_fail(reader, DR_WS_CLOSE_PROTOCOL_ERROR,
                           DR_LIT("close frame with half a code"), event);
    }
    if (payload.len >= 2) {
        const unsigned high = (uint8_t)payload.data[0];
        const unsigned low = (uint8_t)payload.data[1];
        event->code = (uint16_t)(high << 8 | low);
        event->bytes = dr_slice_from(payload, 2);
        if (!dr_ws_close_code_is_valid(event->code)) {
            return reader_fail(reader, DR_WS_CLOSE_PROTOCOL_ERROR, DR_LIT("bad close code"), event);
        }
        if (!dr_utf8_is_valid(event->bytes)) {
            return reader_fail(reader, DR_WS_CLOSE_BAD_TEXT,
                               DR_LIT("the close reason is not UTF-8"), event);
        }
    }
    reader->is_over = true;
    return DR_WS_CLOSE;
}

static enum dr_ws_progress control_take(struct dr_ws_reader *reader,
                                        const struct wslay_frame_iocb *piece,
                                        struct dr_ws_event *event) {
    struct dr_ws_assembly *assembly = reader->assembly;
    dr_assert(piece->data_length <= sizeof assembly->control - assembly->control_len);
    if (piece->data_length > 0) {
        memcpy(assembly->control + assembly->control_len, piece->data, piece->data_length);
    }
    assembly->control_len = (uint8_t)(assembly->control_len + piece->data_length);
    if (assembly->frame_left > 0) return DR_WS_NEED_MORE;
    assembly->is_in_frame = false;
    if (piece->opcode == WSLAY_CONNECTION_CLOSE) return close_end(reader, event);
    *event = (struct dr_ws_event){
        .bytes = dr_slice_of(assembly->control, assembly->control_len),
    };
    return piece->opcode == WSLAY_PING ? DR_WS_PING : DR_WS_PONG;
}

static enum dr_ws_progress data_take(struct dr_ws_reader *reader,
                                     const struct wslay_frame_iocb *piece,
                                     struct dr_ws_event *event) {
    struct dr_ws_assembly *assembly = reader->assembly;
    const dr_slice bytes = dr_slice_of((const char *)piece->data, piece->data_length);
    const bool is_end = piece->fin && assembly->frame_left == 0;
    const bool is_text = assembly->opcode == WSLAY_TEXT_FRAME;
    if (assembly->frame_left == 0) assembly->is_in_frame = false;
    if (is_text && (!dr_utf8_check(&assembly->utf8, bytes) ||
                    (is_end && !dr_utf8_is_complete(&assembly->utf8)))) {
        return reader_fail(reader, DR_WS_CLOSE_BAD_TEXT, DR_LIT("the text is not UTF-8"), event);
    }
    *event = (struct dr_ws_event){.bytes = bytes, .is_binary = !is_text};
    if (is_end && assembly->message.len == 0) {
        assembly->opcode = 0;
        return DR_WS_MESSAGE;
    }
    if (!assembly_charge(assembly, reader->budget, bytes.len)) {
        return reader_fail(reader, DR_WS_CLOSE_TOO_LARGE, dr_slice_text(reader->budget->reason),
                           event);
    }
    dr_buf_put(&assembly->message, bytes);
    if (dr_buf_status(&assembly->message)) {
        return reader_fail(reader, DR_WS_CLOSE_INTERNAL, DR_LIT("no memory for the message"),
                           event);
    }
    if (!is_end) return DR_WS_NEED_MORE;
    event->bytes = dr_buf_slice(&assembly->message);
    assembly->is_lent = true;
    return DR_WS_MESSAGE;
}

static enum dr_ws_progress piece_take(struct dr_ws_reader *reader,
                                      const struct wslay_frame_iocb *piece,
                                      struct dr_ws_event *event) {
    struct dr_ws_assembly *assembly = reader->assembly;
    if (!assembly->is_in_frame) {
        const enum dr_ws_progress progress = frame_begin(reader, piece, event);
        if (progress != DR_WS_NEED_MORE) return progress;
    }
    dr_assert(piece->data_length <= assembly->unread);
    dr_assert(piece->data_length <= assembly->frame_left);
    assembly->unread -= piece->data_length;
    assembly->frame_left -= piece->data_length;
    if (wslay_is_ctrl_frame(piece->opcode)) return control_take(reader, piece, event);
    return data_take(reader, piece, event);
}

/* Judges a head that wslay has taken and not told of, once it is whole: what is wrong with its form
 * wslay has refused then. */
static enum dr_ws_progress head_take(struct dr_ws_reader *reader, struct dr_ws_event *event) {
    const struct dr_ws_assembly *assembly = reader->assembly;
    const size_t unread = assembly->unread;
    dr_assert(unread <= sizeof assembly->latest);
    const uint8_t *head = (const uint8_t *)assembly->latest + sizeof assembly->latest - unread;
    if (unread < 2) return DR_WS_NEED_MORE;
    struct wslay_frame_iocb piece = {
        .fin = head[0] >> 7,
        .rsv = head[0] >> 4 & 7,
        .opcode = head[0] & 15,
        .mask = head[1] >> 7,
        .payload_length = head[1] & 127,
    };
    const size_t extension = piece.payload_length == 127 ? 8 : piece.payload_length == 126 ? 2 : 0;
    if (unread < 2 + extension + (piece.mask ? 4 : 0)) return DR_WS_NEED_MORE;
    if (extension > 0) piece.payload_length = 0;
    for (size_t i = 0; i < extension; i++) {
        piece.payload_length = piece.payload_length << 8 | head[2 + i];
    }
    return frame_begin(reader, &piece, event);
}

/* All bytes are taken: an assembly that nothing needs goes back. */
static enum dr_ws_progress reader_rest(struct dr_ws_reader *reader, struct dr_ws_event *event) {
    const struct dr_ws_assembly *assembly = reader->assembly;
    if (!assembly_is_between_frames(assembly)) {
        return assembly->is_in_frame ? DR_WS_NEED_MORE : head_take(reader, event);
    }
    if (assembly->opcode == 0) reader_detach(reader, true);
    return DR_WS_NEED_MORE;
}

bool dr_ws_next_written(dr_slice *frames, dr_slice *ret_payload) {
    if (frames->len == 0) return false;
    const uint8_t *head = (const uint8_t *)frames->data;
    dr_assert(frames->len >= 2 && head[1] < 128);
    const size_t extension = head[1] == 127 ? 8 : head[1] == 126 ? 2 : 0;
    dr_assert(frames->len >= 2 + extension);
    uint64_t len = extension > 0 ? 0 : head[1];
    for (size_t i = 0; i < extension; i++) len = len << 8 | head[2 + i];
    const dr_slice rest = dr_slice_from(*frames, 2 + extension);
    dr_assert(rest.len >= len);
    *ret_payload = dr_slice_first(rest, (size_t)len);
    *frames = dr_slice_from(rest, (size_t)len);
    return true;
}

static void apply_mask(char *bytes, size_t len, const uint8_t mask[4]);

/* A short text from a client in one frame that has come whole, between two messages: as nearly all
 * are. It is unmasked a word at a time, where wslay goes byte by byte. False, and nothing has been
 * taken, when it is anything else, or anything is wrong with it: then it is wslay's. */
static bool whole_text_take(struct dr_ws_reader *reader, dr_slice *bytes,
                            struct dr_ws_event *event) {
    enum { SHORT_HEAD = 6, LONG_HEAD = 8 }; /* with the mask */
    struct dr_ws_assembly *assembly = reader->assembly;
    const struct dr_ws_limits *limits = reader->limits;
    const uint8_t *head = (const uint8_t *)bytes->data;
    if (reader->role != DR_WS_SERVER || assembly->opcode != 0) return false;
    if (!assembly_is_between_frames(assembly) || bytes->len < LONG_HEAD) return false;
    if (head[0] != (0x80 | DR_WS_OPCODE_TEXT) || head[1] < 0x80 || head[1] == 0xFF) return false;
    const bool is_short = head[1] != 0xFE;
    const size_t head_bytes = is_short ? SHORT_HEAD : LONG_HEAD;
    const size_t len = is_short ? head[1] & 0x7Fu : (size_t)head[2] << 8 | head[3];
    if ((!is_short && len < 126) || bytes->len < head_bytes + len) return false;
    if (len > limits->frame_bytes_max || len > limits->message_bytes_max) return false;
    if (limits->fragments_max == 0) return false;
    char *text = dr_buf_reserve(&assembly->message, len);
    if (!text) return false;
    memcpy(text, bytes->data + head_bytes, len);
    apply_mask(text, len, head + head_bytes - 4);
    if (!dr_utf8_is_valid(dr_slice_of(text, len))) return false;
    dr_buf_commit(&assembly->message, len);
    assembly->is_lent = true;
    *bytes = dr_slice_from(*bytes, head_bytes + len);
    *event = (struct dr_ws_event){.bytes = dr_slice_of(text, len)};
    return true;
}

enum dr_ws_progress dr_ws_read(struct dr_ws_reader *reader, dr_slice *bytes,
                               struct dr_ws_event *ret_event) {
    if (reader->is_over) {
        dr_ws_reader_clear(reader);
        *bytes = dr_slice_from(*bytes, bytes->len);
        return DR_WS_NEED_MORE;
    }
    if (!reader->assembly) {
        if (bytes->len == 0) return DR_WS_NEED_MORE;
        reader->assembly = pool_take(reader->pool);
        if (!reader->assembly) {
            return reader_fail(reader, DR_WS_CLOSE_INTERNAL, DR_LIT("no memory for a frame"),
                               ret_event);
        }
    }
    struct dr_ws_assembly *assembly = reader->assembly;
    if (assembly->is_lent) assembly_forget_message(assembly);
    if (whole_text_take(reader, bytes, ret_event)) return DR_WS_MESSAGE;
    assembly->offered = *bytes;
    enum dr_ws_progress progress = DR_WS_NEED_MORE;
    while (progress == DR_WS_NEED_MORE) {
        struct wslay_frame_iocb piece;
        memset(&piece, 0, sizeof piece);
        const ssize_t got = wslay_frame_recv(assembly->frames, &piece);
        *bytes = assembly->offered;
        if (got == WSLAY_ERR_WANT_READ) return reader_rest(reader, ret_event);
        if (got < 0) {
            return reader_fail(reader, DR_WS_CLOSE_PROTOCOL_ERROR, DR_LIT("malformed frame head"),
                               ret_event);
        }
        progress = piece_take(reader, &piece, ret_event);
    }
    return progress;
}

/* --- writing ---------------------------------------------------------------------------------- */

size_t dr_ws_write_head(char head[DR_WS_HEAD_BYTES_MAX], enum dr_ws_opcode opcode, uint64_t len,
                        const uint8_t *mask) {
    size_t at = 2;
    head[0] = (char)(0x80 | (unsigned)opcode);
    unsigned short_len = (unsigned)len;
    size_t extension = 0;
    if (len > 125) {
        extension = len > 65535 ? 8 : 2;
        short_len = len > 65535 ? 127 : 126;
    }
    head[1] = (char)(short_len | (mask ? 0x80u : 0u));
    for (size_t i = extension; i > 0; i--) head[at++] = (char)(len >> (8 * (i - 1)) & 0xFF);
    if (mask) {
        memcpy(head + at, mask, 4);
        at += 4;
    }
    return at;
}

static void apply_mask(char *bytes, size_t len, const uint8_t mask[4]) {
    uint64_t eight;
    memcpy(&eight, mask, 4);
    memcpy((char *)&eight + 4, mask, 4);
    size_t at = 0;
    for (; len - at >= 8; at += 8) {
        uint64_t part;
        memcpy(&part, bytes + at, 8);
        part ^= eight;
        memcpy(bytes + at, &part, 8);
    }
    for (; at < len; at++) bytes[at] = (char)((uint8_t)bytes[at] ^ mask[at & 3]);
}

void dr_ws_put_frame(struct dr_buf *buf, enum dr_ws_opcode opcode, const dr_slice *parts,
                     size_t part_count, const uint8_t *mask) {
    size_t len = 0;
    for (size_t i = 0; i < part_count; i++) len += parts[i].len;
    dr_assert(opcode < DR_WS_OPCODE_CLOSE || len <= DR_WS_CONTROL_BYTES_MAX);
    char *frame = dr_buf_reserve(buf, DR_WS_HEAD_BYTES_MAX + len);
    if (!frame) return;
    char *payload = frame + dr_ws_write_head(frame, opcode, len, mask);
    char *at = payload;
    for (size_t i = 0; i < part_count; i++) {
        if (parts[i].len > 0) memcpy(at, parts[i].data, parts[i].len);
        at += parts[i].len;
    }
    if (mask) apply_mask(payload, len, mask);
    dr_buf_commit(buf, (size_t)(at - frame));
}

void dr_ws_put_close(struct dr_buf *buf, uint16_t code, dr_slice reason, const uint8_t *mask) {
    if (code == DR_WS_CLOSE_NONE) {
        dr_ws_put_frame(buf, DR_WS_OPCODE_CLOSE, NULL, 0, mask);
        return;
    }
    dr_assert(dr_ws_close_code_is_valid(code));
    const char number[2] = {(char)(code >> 8), (char)(code & 0xFF)};
    const dr_slice parts[2] = {
        dr_slice_of(number, sizeof number),
        dr_utf8_first(reason, DR_WS_REASON_BYTES_MAX),
    };
    dr_ws_put_frame(buf, DR_WS_OPCODE_CLOSE, parts, 2, mask);
}
