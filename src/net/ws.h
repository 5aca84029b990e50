/* WebSocket framing (RFC 6455 sections 5 to 8), both roles, no I/O: bytes → messages and control
 * frames, payloads → frames. Pull style: offer bytes, take one event at a time, and call again,
 * also when no bytes are left, until DR_WS_NEED_MORE or DR_WS_FAILED.
 *
 *   reading ──DR_WS_CLOSE or DR_WS_FAILED──► over: whatever comes is dropped
 *
 * A reader at rest owns nothing. What an incomplete frame or message needs is an *assembly* of a
 * pool, attached to the reader until the message is complete.
 *
 * What is refused: reserved bits, unknown opcodes, frames without mask from a client or with one
 * from a server, control frames that are fragmented or longer than 125 bytes, a length that is not
 * in its shortest form, continuations without a beginning and beginnings within a message, bad
 * close codes (1002); text that can't be UTF-8 any more, at the first such byte that has arrived
 * (1007); binary messages where they are not taken (1003); what exceeds the limits (1009). A head
 * is judged when it is there whole. */
#ifndef DR_NET_WS_H
#define DR_NET_WS_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

enum dr_ws_opcode {
    DR_WS_OPCODE_CONTINUATION = 0,
    DR_WS_OPCODE_TEXT = 1,
    DR_WS_OPCODE_BINARY = 2,
    DR_WS_OPCODE_CLOSE = 8,
    DR_WS_OPCODE_PING = 9,
    DR_WS_OPCODE_PONG = 10,
};

/* RFC 6455 section 7.4 and the registry it founded. */
enum {
    DR_WS_CLOSE_NORMAL = 1000,
    DR_WS_CLOSE_GOING_AWAY = 1001,
    DR_WS_CLOSE_PROTOCOL_ERROR = 1002,
    DR_WS_CLOSE_UNSUPPORTED = 1003,
    DR_WS_CLOSE_NONE = 1005, /* a close frame without a code; never on the wire */
    DR_WS_CLOSE_LOST = 1006, /* no close frame at all; never on the wire */
    DR_WS_CLOSE_BAD_TEXT = 1007,
    DR_WS_CLOSE_POLICY = 1008,
    DR_WS_CLOSE_TOO_LARGE = 1009,
    DR_WS_CLOSE_INTERNAL = 1011,
    DR_WS_CLOSE_RESTART = 1012,
};
/* Whether a close frame may carry `code`. */
bool dr_ws_close_code_is_valid(uint16_t code);

enum {
    DR_WS_CONTROL_BYTES_MAX = 125,
    DR_WS_REASON_BYTES_MAX = 123,
    DR_WS_HEAD_BYTES_MAX = 14, /* towards a server; 10 towards a client */
};

struct dr_ws_limits {
    uint64_t frame_bytes_max; /* of one data frame's payload */
    size_t message_bytes_max;
    uint32_t fragments_max; /* frames of one message */
    bool takes_binary;
};

/* What unfinished messages of several readers may take together. Of each message the first
 * `own_bytes` are free. */
struct dr_ws_budget {
    size_t own_bytes;
    size_t bytes_max;
    const char *reason; /* of a close with 1009 where there is no room; static storage */
    size_t bytes;       /* taken; begins at 0 */
};

/* Assemblies for the readers of one thread. Keeps at most 64 spare ones. */
struct dr_ws_pool;
/* NULL when out of memory. */
struct dr_ws_pool *dr_ws_pool_new(void);
/* Asserts that no assembly is attached. Accepts NULL. */
void dr_ws_pool_free(struct dr_ws_pool *pool);
/* Attached to readers now. */
size_t dr_ws_pool_attached_count(const struct dr_ws_pool *pool);

enum dr_ws_role {
    DR_WS_SERVER, /* reads what clients send */
    DR_WS_CLIENT,
};

enum dr_ws_progress {
    DR_WS_NEED_MORE, /* all bytes taken */
    DR_WS_MESSAGE,
    DR_WS_PING,
    DR_WS_PONG,
    DR_WS_CLOSE,  /* `code` (DR_WS_CLOSE_NONE when there was none), `bytes` is the reason */
    DR_WS_FAILED, /* `code` is to be sent, `bytes` is a sentence for it; static storage */
};

struct dr_ws_event {
    dr_slice bytes; /* lent until the next call on the reader */
    uint16_t code;
    bool is_binary;
};

struct dr_ws_assembly;

/* Embedded by its owner. */
struct dr_ws_reader {
    /* Private part. */
    struct dr_ws_pool *pool;
    const struct dr_ws_limits *limits;
    struct dr_ws_budget *budget;     /* NULL: none */
    struct dr_ws_assembly *assembly; /* NULL at rest */
    uint8_t role;                    /* enum dr_ws_role */
    bool is_over;
};

/* `pool` and `limits` are kept; limits may change between calls. */
void dr_ws_reader_init(struct dr_ws_reader *reader, struct dr_ws_pool *pool,
                       const struct dr_ws_limits *limits, enum dr_ws_role role);
/* From now on what is unfinished counts there; kept. NULL: no longer anywhere. Also from within a
 * message's delivery. */
void dr_ws_reader_set_budget(struct dr_ws_reader *reader, struct dr_ws_budget *budget);
/* No frame and no message has begun. */
bool dr_ws_reader_is_at_rest(const struct dr_ws_reader *reader);
/* Gives back what is attached; the reader is over. */
void dr_ws_reader_clear(struct dr_ws_reader *reader);
/* Takes bytes from the front of `*bytes`. */
enum dr_ws_progress dr_ws_read(struct dr_ws_reader *reader, dr_slice *bytes,
                               struct dr_ws_event *ret_event);

/* One unfragmented frame at the end of `buf`: its head and the parts, joined. `mask` is NULL in a
 * server; in a client 4 bytes that nobody can foresee, new for each frame (section 5.3). */
void dr_ws_put_frame(struct dr_buf *buf, enum dr_ws_opcode opcode, const dr_slice *parts,
                     size_t part_count, const uint8_t *mask);
/* A close frame. DR_WS_CLOSE_NONE stands for one without a code; a reason longer than 123 bytes is
 * cut at a character's border. */
void dr_ws_put_close(struct dr_buf *buf, uint16_t code, dr_slice reason, const uint8_t *mask);
/* The head of a final frame of `len` bytes; returns its length. */
size_t dr_ws_write_head(char head[DR_WS_HEAD_BYTES_MAX], enum dr_ws_opcode opcode, uint64_t len,
                        const uint8_t *mask);
/* Takes the first of whole frames that were written here without masks, and gives its payload.
 * False when there is none. */
bool dr_ws_next_written(dr_slice *frames, dr_slice *ret_payload);

#endif
