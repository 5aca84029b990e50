/* Reads the body of Anthropic's POST /v1/messages as strictly as Anthropic does: members that it
 * does not know are refused. Pure. */
#ifndef DR_SIM_MESSAGES_ASK_H
#define DR_SIM_MESSAGES_ASK_H

#include "sim/ask.h"

/* DR_OK or DR_INVALID with the complaint filled in. `root` is the body's value; `ask` has been
 * initialised. */
enum dr_status sim_messages_read(dr_json root, struct sim_ask *ask, struct sim_scratch *scratch,
                                 struct sim_complaint *complaint) DR_MUST_USE;

#endif
