/* Gemini's generateContent, as we speak it to providers (the public API and Vertex). Pure: bytes
 * in, records out. Sources of each rule: Google's reference of GenerateContent, its pages on
 * function calling and thought signatures, the types of its Python SDK, recorded traffic under
 * test/fixtures/gemini. */
#ifndef DR_DIALECT_GEMINI_H
#define DR_DIALECT_GEMINI_H

#include "base/buf.h"
#include "base/status.h"
#include "dialect/loss.h"
#include "model/answer.h"
#include "model/conversation.h"

struct answer_builder;

/* --- requests --- */

/* Appends the body of `:generateContent` and `:streamGenerateContent`. As `anthropic_write_prompt`;
 * the model is in the path, but decides what may be asked. */
enum dr_status gemini_write_prompt(const struct conversation *conversation, dr_slice model,
                                   struct dr_json_reader *scratch, struct dr_buf *out,
                                   struct loss *loss) DR_MUST_USE;

/* --- answers --- */

enum {
    GEMINI_CHOICES_MAX = 8,
    GEMINI_PATH_BYTES_MAX = 192,
    GEMINI_PATH_DEPTH_MAX = 16,
    GEMINI_REASON_BYTES_MAX = 40,
    GEMINI_BARE_BYTES_MAX = 2048,
};
/* Arguments that come piece by piece, each with its place ("$.user.names[2]"). */
struct gemini_arguments {
    /* Private part. */
    char path[GEMINI_PATH_BYTES_MAX]; /* of the latest piece */
    size_t path_len;                  /* 0: none yet */
    bool is_in_string;
};

/* What is known of one answer from chunk to chunk: zeroed at its start but for the first two. */
struct gemini_stream {
    uint64_t id_seed;      /* of ids for calls that have none: another for each answer */
    uint32_t choice_count; /* that were asked for */
    /* Private part. */
    struct {
        char reason[GEMINI_REASON_BYTES_MAX];
        size_t reason_len;
        uint32_t call_count;
        uint32_t citation_count;
        uint32_t grounding_count;
        bool is_call_open; /* more of its arguments will come */
        bool has_begun;
        bool has_said; /* more than thoughts */
        struct gemini_arguments arguments;
    } choices[GEMINI_CHOICES_MAX];
    bool is_started;
    bool is_over;
    bool has_counts;
    char bare[GEMINI_BARE_BYTES_MAX]; /* of an object that came without `data:`, so far */
    size_t bare_len;
};

/* One `data:` payload. DR_OK; DR_INVALID when it is not JSON or no object; DR_NO_MEMORY. */
enum dr_status gemini_read_event(struct answer_builder *builder, struct gemini_stream *stream,
                                 dr_slice payload, struct answer_chunk *ret_chunk,
                                 struct dr_error *error) DR_MUST_USE;
/* The bytes of an event without `data:`: a stream that fails may turn into a bare error object
 * (recorded). An empty line in it ends an event, so that it may come in pieces. As above. */
enum dr_status gemini_read_bare(struct answer_builder *builder, struct gemini_stream *stream,
                                dr_slice raw, struct answer_chunk *ret_chunk,
                                struct dr_error *error) DR_MUST_USE;
/* At the end of the body, which is the end of the stream in this dialect: the finish of each choice
 * and ANSWER_END, or ANSWER_ERROR where the model's own mistake is all there is; nothing when a
 * choice has no finish, for then the stream was cut. Old models give a finish with every chunk, so
 * that it counts only here. */
enum dr_status gemini_read_end(struct answer_builder *builder, struct gemini_stream *stream,
                               struct answer_chunk *ret_chunk, struct dr_error *error) DR_MUST_USE;
/* A whole unary answer, or the array of chunks that a stream asked for without `alt=sse` is.
 * DR_INVALID also when it says neither why each choice ended nor that the prompt was blocked. */
enum dr_status gemini_read_answer(struct answer_builder *builder, struct gemini_stream *stream,
                                  dr_slice body, struct answer_chunk *ret_chunk,
                                  struct dr_error *error) DR_MUST_USE;
/* The body of a status ≥ 300: kind, message, type (Google's status), code (OpenAI's word where
 * there is one), and the delay that Google asks for in the body instead of a header. */
void gemini_read_failure(struct answer_builder *builder, uint16_t status, dr_slice body,
                         struct failure *ret_failure);

/* Private to the dialect: a piece of arguments as JSON text that continues what was written, and
 * the text that ends it. False when the piece has no place that could be followed. */
bool gemini_arguments_put(struct gemini_arguments *arguments, dr_json piece, struct dr_buf *out);
void gemini_arguments_end(struct gemini_arguments *arguments, struct dr_buf *out);

#endif
