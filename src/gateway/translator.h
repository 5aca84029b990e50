/* What an attempt at a provider of another dialect has beside it: the ask in that dialect's words,
 * and the answer in those of the client. Everything behind the attempt sees OpenAI's bytes and
 * canonical events, whoever answers.
 *
 *   open ─► ask sent ─► begin_piece ─► read_event, render … ─► begin_piece … ─► close
 *
 * What is rendered lies in a buffer of the worker's, from begin_piece to the next one of any
 * translator: a piece is passed on before the next is read. */
#ifndef DR_GATEWAY_TRANSLATOR_H
#define DR_GATEWAY_TRANSLATOR_H

#include "dialect/loss.h"
#include "model/answer.h"
#include "model/failure.h"

struct attempt_ask;
struct translator;

/* Writes the ask. DR_OK; DR_INVALID: this provider cannot do what is asked (translator_loss names
 * it); DR_NO_MEMORY; DR_TOO_LARGE. With the first two `*ret_translator` is given, in the ask's
 * arena. The ask's texts are kept. */
enum dr_status translator_open(const struct attempt_ask *ask,
                               struct translator **ret_translator) DR_MUST_USE;
/* Gives back what is not the arena's. Accepts NULL. */
void translator_close(struct translator *translator);

/* What the translation could not carry; also what it refused. */
const struct loss *translator_loss(const struct translator *translator);
/* The client asked with `functions`, not tools. */
bool translator_is_legacy(const struct translator *translator);
/* "POST /v1/messages": what stands before " HTTP/1.1". Lent until close, as is the body. */
dr_slice translator_request_line(const struct translator *translator);
dr_slice translator_body(const struct translator *translator);

/* As dialect_read_event and its kin (dialect/dialect.h). Chunks are lent until the worker reads the
 * next. */
enum dr_status translator_read_event(struct translator *translator, dr_slice data, dr_slice raw,
                                     struct answer_chunk *ret_chunk,
                                     struct dr_error *error) DR_MUST_USE;
enum dr_status translator_read_end(struct translator *translator, struct answer_chunk *ret_chunk,
                                   struct dr_error *error) DR_MUST_USE;
enum dr_status translator_read_answer(struct translator *translator, dr_slice body,
                                      struct answer_chunk *ret_chunk,
                                      struct dr_error *error) DR_MUST_USE;
void translator_read_failure(struct translator *translator, uint16_t status, dr_slice body,
                             struct failure *ret_failure);

/* All that was rendered before is done with. */
void translator_begin_piece(struct translator *translator);
/* Whether the chunk fits behind what this piece has rendered so far. When it does not, that must be
 * passed on and the piece begun anew: rendering would move it. */
bool translator_has_room(const struct translator *translator, const struct answer_chunk *chunk);
/* Whether this piece has rendered anything. */
bool translator_has_rendered(const struct translator *translator);
/* The chunk's events as the client's stream shows them, none for a ping, usage and the end. False
 * when out of memory. */
bool translator_render(struct translator *translator, const struct answer_chunk *chunk,
                       dr_slice *ret_raw) DR_MUST_USE;
/* How the stream ends, with the usage that it came to. False when out of memory. */
bool translator_render_end(struct translator *translator, const struct usage *usage,
                           dr_slice *ret_raw) DR_MUST_USE;
/* A whole answer as one body. False when out of memory. */
bool translator_render_answer(struct translator *translator, const struct answer_chunk *chunk,
                              dr_slice *ret_body) DR_MUST_USE;

#endif
