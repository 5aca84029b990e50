/* Private to the dialects: whose fault an error is, told by its status and its words. */
#ifndef DR_DIALECT_ANSWER_FAILURE_H
#define DR_DIALECT_ANSWER_FAILURE_H

#include "model/failure.h"

/* `failure` has its HTTP status (below 300: an error inside an answer that HTTP called good) and
 * the provider's message, type and code as they came. Sets the kind; the code to OpenAI's where it
 * has one for that, and to DR_NONE where it is but a status (400 to 599); and the time to wait
 * where none is known and the message tells it. */
void answer_failure_judge(struct failure *failure);
/* "34.4s", "6m0s": whole seconds, rounded up; 0 where it is no duration. */
uint32_t answer_failure_seconds(dr_slice duration);

#endif
