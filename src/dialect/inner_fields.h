/* Private to the dialects: what stands inside the fields that the other dialects carry or adapt. */
#ifndef DR_DIALECT_INNER_FIELDS_H
#define DR_DIALECT_INNER_FIELDS_H

#include "dialect/loss.h"
#include "model/catalog.h"
#include "model/conversation.h"

/* Notes each member that nobody reads by its path, "messages.content.prefix"; false for values that
 * no provider of another dialect has a meaning for. */
bool inner_fields_check(enum dialect dialect, const struct conversation *conversation,
                        struct loss *loss);

#endif
