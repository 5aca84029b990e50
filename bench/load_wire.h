/* What goes over the wire, made once and patched in place: the request, the answer in one piece,
 * the lines of a streamed answer. Every text has fixed places for its numbers, so that a reader
 * can compare whole lines byte by byte.
 *
 * Each request has a number at the end of its body. The provider repeats it in the answer and in
 * each event, and counts the events: an answer that reaches the wrong client, or an event that is
 * lost, doubled or moved, cannot pass. */
#ifndef DR_BENCH_LOAD_WIRE_H
#define DR_BENCH_LOAD_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LOAD_TEXT_BYTES = 4096,
    LOAD_NUMBER_DIGITS = 10,
    LOAD_INDEX_DIGITS = 6,
    LOAD_TIME_DIGITS = 16, /* nanoseconds since boot: good for 115 days */
    LOAD_REQUEST_ID_BYTES_MAX = 64,
};

/* A text with holes: `at` is where the digits of each begin, 0 where there is no such hole. */
struct load_text {
    char bytes[LOAD_TEXT_BYTES];
    size_t len;
    size_t payload_at; /* of an HTTP chunk: where its size ends */
    size_t number_at;
    size_t index_at;
    size_t due_at;
    size_t sent_at;
};

struct load_wire {
    struct load_text ask_json; /* the request, head and body */
    struct load_text ask_stream;
    struct load_text ask_resumable; /* a stream whose events are numbered, and kept */
    struct load_text answer;        /* the provider's answer, head and body */
    size_t answer_head_len;
    struct load_text stream_head;
    bool speaks_anthropic;   /* streams are Anthropic's Messages */
    struct load_text begin;  /* one HTTP chunk with what precedes the events */
    struct load_text event;  /* one HTTP chunk with one event */
    struct load_text finish; /* one HTTP chunk with the finish; Anthropic: it is in `usage` */
    struct load_text usage;  /* one HTTP chunk with what ends every stream */
    struct load_text done;   /* the end of the body, OpenAI: behind [DONE] */
    size_t begin_line_len;   /* OpenAI: "data:" up to the end of its line, without it */
    size_t event_line_len;
    size_t finish_line_len;
    size_t usage_line_len;
    /* Over a WebSocket. Frames begin with `ws_head` and the frame's own number, which has as many
     * digits as it needs; behind it stands one of the others. */
    struct load_text ws_handshake;
    struct load_text ws_ask; /* with the client's id at `index_at`, as wide as a number */
    struct load_text ws_head;
    struct load_text ws_accepted; /* the beginning; the request's id, a quote and a brace follow */
    struct load_text ws_event;
    struct load_text ws_done; /* the beginning, up to where the cost stands */
};
/* What a server that has read `ws_handshake` has to say in its answer. */
extern const char load_ws_accept[];

void load_wire_init(struct load_wire *wire, const char *key, const char *model,
                    bool speaks_anthropic);
/* Writes `value` with leading zeros over `digits` bytes. */
void load_digits_put(char *place, size_t digits, uint64_t value);
/* False unless all are digits. */
bool load_digits_read(const char *place, size_t digits, uint64_t *ret);
/* Fills the hole for the request's number, where there is one. */
void load_text_number(struct load_text *text, uint64_t number);

/* What a message's head says of its body. */
struct load_head {
    size_t len; /* with the empty line */
    size_t body_len;
    unsigned status; /* of an answer */
    bool is_chunked;
    bool will_close;
};
enum load_head_outcome { LOAD_HEAD_PART, LOAD_HEAD_WHOLE, LOAD_HEAD_WRONG };
enum load_head_outcome load_head_read(const char *bytes, size_t len, struct load_head *ret_head);

/* Takes chunked framing off. Zeroed is the beginning of a body. */
enum load_chunk_stage {
    LOAD_CHUNK_SIZE,
    LOAD_CHUNK_SIZE_END,
    LOAD_CHUNK_BYTES,
    LOAD_CHUNK_END,
    LOAD_CHUNK_LAST,
    LOAD_CHUNK_DONE,
    LOAD_CHUNK_WRONG,
};
struct load_chunks {
    enum load_chunk_stage stage;
    size_t left;
};
/* Moves on over framing. Returns how many bytes of `bytes` it took; then, when the stage is
 * LOAD_CHUNK_BYTES, up to `left` bytes of the body follow, which the caller takes off `left`. */
size_t load_chunks_skip(struct load_chunks *chunks, const char *bytes, size_t len);

#endif
