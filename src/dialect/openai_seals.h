/* What an assistant's message brings back for the provider that sealed it (openai_writer.h): to any
 * other one it is an unknown parameter, which strict servers refuse. Pure. */
#ifndef DR_DIALECT_OPENAI_SEALS_H
#define DR_DIALECT_OPENAI_SEALS_H

#include "dialect/loss.h"

/* Writes the body of `prompt`, which has_seals, without those that the provider at `host` does not
 * take, and tells them in `loss`. `*ret_prompt` is the prompt of what was written: its slices are
 * lent by `out`, and by `reader` until its next read. When all are taken nothing is written, and
 * it is `prompt` itself. DR_OK, DR_NO_MEMORY, DR_TOO_LARGE. */
enum dr_status openai_strip_seals(struct dr_json_reader *reader, const struct prompt *prompt,
                                  dr_slice host, struct dr_buf *out, struct loss *loss,
                                  struct prompt *ret_prompt) DR_MUST_USE;

#endif
