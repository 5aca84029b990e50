/* Where DeepSeek's chat completions differ from OpenAI's, of which they are a part: what is not
 * known there, and what is refused. Pure. */
#ifndef DR_SIM_CHAT_DEEPSEEK_H
#define DR_SIM_CHAT_DEEPSEEK_H

#include "sim/ask.h"

#define SIM_DEEPSEEK_FORMAT_REFUSED "This response_format type is unavailable now"
#define SIM_DEEPSEEK_THOUGHT_MISSED \
    "The reasoning_content in the thinking mode must be passed back to the API."

/* Whether a model of that name is DeepSeek's. */
bool sim_deepseek_has(dr_slice model);
/* A member that its documents do not name is not looked at. */
bool sim_deepseek_ignores(dr_slice name);
bool sim_deepseek_takes_role(dr_slice role);
/* How much is thought for `thinking` and `reasoning_effort`, each NULL where absent. False for
 * words that it does not know. */
bool sim_deepseek_read_thinking(struct sim_ask *ask, dr_json thinking, dr_json effort) DR_MUST_USE;

#endif
