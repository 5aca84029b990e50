/* Anthropic Messages, as we speak it to providers. Pure: bytes in, records out. Sources of each
 * rule: Anthropic's API reference (Messages, Streaming Messages, Errors), the types of its Python
 * SDK, recorded traffic under test/fixtures/anthropic. */
#ifndef DR_DIALECT_ANTHROPIC_H
#define DR_DIALECT_ANTHROPIC_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "dialect/loss.h"
#include "model/answer.h"
#include "model/conversation.h"

struct answer_builder;

/* --- requests --- */

/* Appends the body of `POST /v1/messages`. `model` is the provider's name of the model, unquoted.
 * `scratch` reads arguments of calls; it must not be the reader that lends `conversation`. DR_OK;
 * DR_INVALID when the request asks for what this
 * provider cannot do (`loss` names it); DR_NO_MEMORY, DR_TOO_LARGE. What was left out is noted in
 * `loss`. */
enum dr_status anthropic_write_prompt(const struct conversation *conversation, dr_slice model,
                                      struct dr_json_reader *scratch, struct dr_buf *out,
                                      struct loss *loss) DR_MUST_USE;

/* --- answers --- */

/* What is known of one stream from event to event: one per answer, zeroed at its start. */
enum { ANTHROPIC_BLOCKS_OPEN_MAX = 8, ANTHROPIC_HEAD_BYTES_MAX = 104 };
struct anthropic_stream {
    /* Private part. */
    struct anthropic_usual {
        char head[ANTHROPIC_HEAD_BYTES_MAX]; /* of the newest delta, up to its text */
        uint8_t head_len;
        uint8_t kind;
        uint32_t sent_index;
        uint32_t high_surrogate; /* a character cut between two deltas; 0: none */
    } usual;
    struct {
        uint64_t input;
        uint64_t cache_write;
        uint64_t cache_read;
        uint64_t output;
        uint64_t thinking;
        bool is_known;
    } counts;
    struct {
        uint32_t sent_index;
        uint32_t call_index;
        bool is_open;
        bool is_call;
        bool has_arguments; /* given whole with the block's start */
        bool has_pieces;
    } blocks[ANTHROPIC_BLOCKS_OPEN_MAX];
    uint64_t id_hash;
    uint32_t call_count;
    bool is_started;
    bool has_content;
    bool has_finish;
    bool is_over;
};

/* One `data:` payload. DR_OK; DR_INVALID when it is not JSON or no object; DR_NO_MEMORY. Unknown
 * events, unknown blocks and whatever follows the end give an empty chunk. A second message inside
 * the first, after the first has said something, is ANSWER_ERROR: its pieces cannot be told apart.
 * ANSWER_USAGE comes with the start and each `message_delta`; the last one counts. ANSWER_FINISH
 * comes once. */
enum dr_status anthropic_read_event(struct answer_builder *builder, struct anthropic_stream *stream,
                                    dr_slice payload, struct answer_chunk *ret_chunk,
                                    struct dr_error *error) DR_MUST_USE;
/* A whole unary answer. DR_INVALID also when it is neither a message nor an error. */
enum dr_status anthropic_read_answer(struct answer_builder *builder,
                                     struct anthropic_stream *stream, dr_slice body,
                                     struct answer_chunk *ret_chunk,
                                     struct dr_error *error) DR_MUST_USE;
/* The body of a status ≥ 300: fills kind, message, type and code (OpenAI's word where there is one
 * for the same thing). What is lent lives until the next read. */
void anthropic_read_failure(struct answer_builder *builder, uint16_t status, dr_slice body,
                            struct failure *ret_failure);

#endif
