/* The conversation of one ask, read from the client's body once for all the targets of other
 * dialects that may be tried. Readers and their memory come from a list that each worker keeps. */
#ifndef DR_GATEWAY_READING_H
#define DR_GATEWAY_READING_H

#include "base/status.h"
#include "model/conversation.h"
#include "model/prompt.h"

struct reading;
struct worker;

/* The prompt was accepted before, and its body is copied. DR_OK; DR_NO_MEMORY. `*ret_reading` is
 * given. */
enum dr_status reading_open(struct worker *worker, const struct prompt *prompt,
                            struct reading **ret_reading) DR_MUST_USE;
/* Back to the worker's list. Accepts NULL. */
void reading_close(struct reading *reading);
/* Lent until close. */
const struct conversation *reading_conversation(const struct reading *reading);

/* Whether it may stay while a provider is waited for: a body that was written to become much memory
 * is rather read again than held by each of its asks for minutes. */
enum { READING_KEPT_BYTES_MAX = 8 * 1024 * 1024 };
bool reading_may_stay(const struct reading *reading);

/* Lets go of the memory that is kept for the next ones. */
void reading_drop_spares(struct worker *worker);

#endif
