/* Reads the body of Gemini's generateContent as strictly as Gemini does: members that it does not
 * know are refused, in either spelling. Pure. */
#ifndef DR_SIM_GENERATE_ASK_H
#define DR_SIM_GENERATE_ASK_H

#include "sim/ask.h"

/* DR_OK or DR_INVALID with the complaint filled in. `root` is the body's value; `ask` has been
 * initialised and holds the model. */
enum dr_status sim_generate_read(dr_json root, struct sim_ask *ask, struct sim_scratch *scratch,
                                 struct sim_complaint *complaint) DR_MUST_USE;

#endif
