/* One door to the dialects of providers: what to send where, what came back. Pure. A provider of
 * the client's own dialect (DIALECT_OPENAI) gets the client's bytes with a few changes
 * (openai_write_prompt) and its answer's bytes pass; for the others a body is written
 * (dialect_write_prompt) and the answer's events are written anew (openai_writer.h). */
#ifndef DR_DIALECT_DIALECT_H
#define DR_DIALECT_DIALECT_H

#include "dialect/anthropic.h"
#include "dialect/gemini.h"
#include "dialect/openai.h"
#include "model/catalog.h"

static inline bool dialect_passes_bytes(enum dialect dialect) {
    return dialect == DIALECT_OPENAI;
}

/* --- asking --- */

/* The request's target, without host. `base_path` is the provider's, without a trailing '/':
 * "" and ".../v1" both lead to ".../v1/messages" (Anthropic) and so on; Gemini's version is added
 * when `base_path` is empty. `model` is percent-encoded where it stands in a path. */
void dialect_put_path(enum dialect dialect, struct dr_buf *out, dr_slice base_path, dr_slice model,
                      bool is_streamed);
/* The header lines that carry the key (none for an empty one) and the dialect's version, each with
 * its CRLF. `host` tells Vertex from the public API. The key must have been checked for line ends
 * by whoever read it. */
void dialect_put_headers(enum dialect dialect, struct dr_buf *out, dr_slice host, dr_slice key);

/* The body, for every dialect but the client's own. See anthropic_write_prompt. `out` should hold
 * twice the client's body and 64 KiB. */
enum dr_status dialect_write_prompt(enum dialect dialect, const struct conversation *conversation,
                                    dr_slice model, struct dr_json_reader *scratch,
                                    struct dr_buf *out, struct loss *loss) DR_MUST_USE;

/* --- reading answers --- */

/* What reading takes, whatever the dialect; one per worker. Events are lent until its next use. */
struct dialect_reader;
struct dialect_reader *dialect_reader_new(void); /* given; NULL when out of memory */
void dialect_reader_free(struct dialect_reader *reader);
/* Its reader of OpenAI's answers, for bytes that pass and are only looked at. Lent. */
struct openai_answer_reader *dialect_reader_openai(struct dialect_reader *reader);

/* What is known of one answer from event to event: one per attempt. */
struct dialect_stream {
    union {
        struct openai_call_numbers openai;
        struct anthropic_stream anthropic;
        struct gemini_stream gemini;
    };
};

/* `answer_id` is the gateway's own, another for each answer; so are the ids that are made up from
 * it for tool calls that have none. `choice_count` is what was asked for. */
void dialect_stream_init(enum dialect dialect, struct dialect_stream *stream, dr_slice answer_id,
                         uint32_t choice_count);
/* One event of the stream as net/sse gives it: `data`, and `raw` for what came without data lines
 * (comments give an empty chunk). Tool calls are numbered densely from 0. As openai_read_event. */
enum dr_status dialect_read_event(enum dialect dialect, struct dialect_reader *reader,
                                  struct dialect_stream *stream, dr_slice data, dr_slice raw,
                                  struct answer_chunk *ret_chunk,
                                  struct dr_error *error) DR_MUST_USE;
/* At the end of the body: what the dialect says by ending. The stream was cut unless ANSWER_END has
 * come by then (openai: see there). */
enum dr_status dialect_read_end(enum dialect dialect, struct dialect_reader *reader,
                                struct dialect_stream *stream, struct answer_chunk *ret_chunk,
                                struct dr_error *error) DR_MUST_USE;
/* A whole answer, instead of events. */
enum dr_status dialect_read_answer(enum dialect dialect, struct dialect_reader *reader,
                                   struct dialect_stream *stream, dr_slice body,
                                   struct answer_chunk *ret_chunk,
                                   struct dr_error *error) DR_MUST_USE;
/* The body of a status ≥ 300: all of `ret_failure`, its kind by status and body. */
void dialect_read_failure(enum dialect dialect, struct dialect_reader *reader, uint16_t status,
                          dr_slice body, struct failure *ret_failure);

#endif
