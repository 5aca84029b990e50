/* Token estimates from bytes, for answers whose provider reports none. Pure. A token is taken as
 * four bytes of text, rounded up; a message costs four more (the chat format's frame), an image 85
 * (OpenAI's price of one in low detail). */
#ifndef DR_POLICY_ESTIMATE_H
#define DR_POLICY_ESTIMATE_H

#include "model/prompt.h"
#include "model/usage.h"

/* Usage of an answer of `output_bytes`, marked USAGE_ESTIMATED. */
struct usage estimate_usage(const struct prompt *prompt, uint64_t output_bytes);

#endif
