/* DeepSeek's API is OpenAI's with less in it: what must be otherwise in its requests. One that has
 * none of that passes as the client's bytes. Pure. */
#ifndef DR_DIALECT_DEEPSEEK_PROMPT_H
#define DR_DIALECT_DEEPSEEK_PROMPT_H

#include "dialect/loss.h"
#include "model/catalog.h"

/* Whether a target is DeepSeek's: by the address, or, at whoever resells it, by the names that
 * DeepSeek itself has for its models. */
bool deepseek_serves(const struct provider *provider, dr_slice model);

/* Whether a member of a request, one of its messages or one of its tools cannot go as it is. Asked
 * while the request is read for the first time, for `prompt.exceeds_deepseek`. */
bool deepseek_changes_member(dr_slice name, dr_json value);
bool deepseek_changes_message(dr_json role, dr_json calls, dr_json reasoning,
                              dr_json function_call);
bool deepseek_changes_tool(dr_json tool);

/* Writes the body of `prompt`, which exceeds_deepseek, in DeepSeek's words, and tells in `loss`
 * what these lack. `*ret_prompt` (it may be `prompt` itself) is the prompt of what was written: its
 * slices are lent by `out`, and by `reader` until its next read. DR_OK; DR_INVALID when DeepSeek
 * cannot do what is asked, with `loss` naming it; DR_NO_MEMORY, DR_TOO_LARGE. */
enum dr_status deepseek_write_prompt(struct dr_json_reader *reader, const struct prompt *prompt,
                                     struct dr_buf *out, struct loss *loss,
                                     struct prompt *ret_prompt) DR_MUST_USE;

#endif
