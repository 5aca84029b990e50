/* The operator's desk: everything that may be asked of the books, as a method, a path behind
 * /admin/v1/, a query and a JSON body, answered by a status and a JSON body. The admin API asks
 * here on the store's thread of a running gateway; the commands ask here on data that no gateway
 * holds. So both say the same in the same words. docs/admin-api.md is its manual. */
#ifndef DR_ADMIN_DESK_H
#define DR_ADMIN_DESK_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/slice.h"
#include "store/store.h"

enum { DESK_GET = 1, DESK_POST = 2 };
enum {
    DESK_BODY_BYTES_MAX = 64 * 1024,         /* of a request */
    DESK_ANSWER_BYTES_MAX = 4 * 1024 * 1024, /* a page ends long before */
    DESK_ARENA_BYTES_MAX = 1024 * 1024,
    DESK_PAGE_MAX = 1000, /* rows of an answer */
};

/* Dollars for one unit of a currency beside USD. */
struct desk_rate {
    dr_slice currency;
    money usd_per_unit;
};

struct desk_ask {
    /* The question; all slices are kept until the answer is there. */
    unsigned method; /* DESK_GET or DESK_POST */
    dr_slice path;   /* "accounts", "keys/key_…/revoke" */
    dr_slice query;  /* without '?' */
    dr_slice body;
    dr_wall now;
    const struct desk_rate *rates;
    size_t rate_count;
    struct store *store;
    bool is_stale; /* the store lacks what was settled last: what depends on that is refused */
    struct dr_json_reader *json;
    /* How credits are added, as store_topup: a running gateway has live balances. */
    enum dr_status (*topup)(void *owner, struct store *store, dr_slice account_id, money amount,
                            dr_slice reference, dr_wall now, struct dr_error *error);
    void *owner;
    struct dr_arena arena; /* initialised and cleared by the asker */

    /* The answer. */
    struct dr_buf *answer; /* the body; may hold a new key's text, to be wiped */
    uint16_t status;
    uint32_t retry_after_s; /* 0: no Retry-After */
    bool has_changed_keys;  /* also when the status tells of a failure */
};

/* Which methods the path takes; 0 when there is nothing. No I/O, any thread. */
unsigned desk_methods(dr_slice path);
/* Blocks for the store. The method must be one that the path takes. */
void desk_answer(struct desk_ask *ask);
/* Replaces the answer. */
struct refusal;
void desk_refuse(struct desk_ask *ask, const struct refusal *refusal);

/* A time to come, or a duration from `now`. */
bool desk_read_expires(dr_slice text, dr_wall now, dr_wall *ret_expires);

/* For the manual's test: "GET accounts", "POST keys/{id}/revoke", …; false behind the last. */
enum { DESK_ROUTE_TEXT_BYTES = 64 };
bool desk_route_text(size_t index, char text[DESK_ROUTE_TEXT_BYTES]);

#endif
