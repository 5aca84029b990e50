/* One table: each field of a chat request × each provider: carried, adapted (how), refused or
 * dropped. The writers of other dialects go by it, and docs/translation.md is its print. */
#ifndef DR_DIALECT_TRANSLATION_H
#define DR_DIALECT_TRANSLATION_H

#include "base/buf.h"
#include "dialect/loss.h"
#include "model/catalog.h"
#include "model/conversation.h"

enum translation_fate { FATE_CARRIED, FATE_ADAPTED, FATE_REFUSED, FATE_DROPPED, FATE_COUNT };

/* Goes through the fields of the request that `dialect` cannot carry: notes what is dropped, false
 * for what is refused. Fields at the value that changes nothing pass without a word. */
bool translation_check(enum dialect dialect, const struct conversation *conversation,
                       struct loss *loss);
/* What becomes of one member of the request at DeepSeek; of those that do not come as they are
 * `*ret_how` is static. */
enum translation_fate translation_of_deepseek(dr_slice name, dr_json value, const char **ret_how);
/* The whole of docs/translation.md. */
void dialect_put_translation_markdown(struct dr_buf *out);

#endif
