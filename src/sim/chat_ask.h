/* Reads the body of OpenAI's POST /v1/chat/completions as strictly as OpenAI does. Pure.
 *
 * Fields that it does not know are ignored, as most compatible servers do. */
#ifndef DR_SIM_CHAT_ASK_H
#define DR_SIM_CHAT_ASK_H

#include "sim/ask.h"

/* DR_OK or DR_INVALID with the complaint filled in. `root` is the body's value; `ask` has been
 * initialised. */
enum dr_status sim_chat_read(dr_json root, struct sim_ask *ask, struct sim_scratch *scratch,
                             struct sim_complaint *complaint) DR_MUST_USE;

#endif
