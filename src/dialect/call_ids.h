/* Private to the dialects: ids of calls for a provider that wants them of letters, digits, '_' and
 * '-', and none twice in a conversation. An id that is so already stays; another becomes
 * "drover_call_" and the number of its call. */
#ifndef DR_DIALECT_CALL_IDS_H
#define DR_DIALECT_CALL_IDS_H

#include "dialect/json_writer.h"
#include "model/conversation.h"

#include "base/status.h"

struct call_ids {
    /* Private part. */
    dr_slice *kept; /* by the number of the call; DR_NONE for one that is renamed */
    size_t count;
};

/* Borrows `conversation`, which lends the ids that stay. DR_NO_MEMORY; it may be cleared then. */
enum dr_status call_ids_init(struct call_ids *ids,
                             const struct conversation *conversation) DR_MUST_USE;
void call_ids_clear(struct call_ids *ids);
/* A member `name` with the id of the `number`-th call of the conversation, from 0. */
void call_ids_put(const struct call_ids *ids, struct json_writer *json, dr_slice name,
                  size_t number);

#endif
