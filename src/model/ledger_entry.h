/* One settled exchange: what the journal, the store, receipts, the usage log and `drover usage`
 * speak of. */
#ifndef DR_MODEL_LEDGER_ENTRY_H
#define DR_MODEL_LEDGER_ENTRY_H

#include "base/instant.h"
#include "base/slice.h"
#include "model/money.h"
#include "model/usage.h"

enum transport { TRANSPORT_HTTP, TRANSPORT_SSE, TRANSPORT_WS };
enum { TRANSPORT_COUNT = 3, LEDGER_ATTEMPTS_MAX = 8, LEDGER_TEXT_BYTES_MAX = 256 };

struct ledger_attempt {
    dr_slice target;
    uint16_t status; /* HTTP status towards us, 0 where none came */
    uint32_t duration_ms;
};

struct ledger_entry {
    dr_slice request_id;
    dr_slice client_id; /* a WebSocket's `id`; empty otherwise */
    dr_slice account_id;
    dr_slice key_id;
    dr_slice key_name;
    dr_slice user;
    dr_slice model;        /* as asked */
    bool is_model_unknown; /* nothing is known to be served under that name */
    dr_slice target;       /* who answered; empty when nobody did */
    enum transport transport;
    uint16_t status;         /* as the client saw it */
    bool is_cancelled;       /* the client left or cancelled before the end */
    dr_wall created;         /* when the exchange began */
    uint32_t first_token_ms; /* 0 when none came */
    uint32_t duration_ms;
    struct usage usage;
    struct price price;
    money cost;
    struct ledger_attempt attempts[LEDGER_ATTEMPTS_MAX];
    uint32_t attempt_count; /* may exceed the array: only the first ones are kept */
};

/* "http", "sse", "ws". */
const char *transport_name(enum transport transport);
/* The object of INTERFACE section 7, one line without the line end. */
struct dr_buf;
void ledger_entry_put_usage_line(struct dr_buf *buf, const struct ledger_entry *entry);
/* The object of GET /v1/receipts/{request_id}. */
void ledger_entry_put_receipt(struct dr_buf *buf, const struct ledger_entry *entry);

#endif
