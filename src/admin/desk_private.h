/* What the desk*.c files share, and nobody else includes. */
#ifndef DR_ADMIN_DESK_PRIVATE_H
#define DR_ADMIN_DESK_PRIVATE_H

#include "admin/desk.h"
#include "gateway/refusal.h"

/* --- refusing: the first refusal of an ask stays ---------------------------------------------- */

/* `param` NULL where none applies. */
void desk_fail(struct desk_ask *ask, enum refusal_reason reason, const char *param,
               const char *format, ...) DR_PRINTF(4, 5);
/* A failure of the store: its sentence where it speaks of the question, 500 otherwise. */
void desk_fail_store(struct desk_ask *ask, const char *param, const struct dr_error *error);

/* --- the question -------------------------------------------------------------------------- */

/* A parameter of the query, decoded into the arena; DR_NONE when absent. */
dr_slice desk_query(struct desk_ask *ask, const char *name);
/* `*ret` stays when it is absent; false when it was refused. */
bool desk_query_wall(struct desk_ask *ask, const char *name, dr_wall *ret);
/* 1 to DESK_PAGE_MAX, 100 when absent; 0 when it was refused. */
size_t desk_query_limit(struct desk_ask *ask);
/* A member of the body that is a text; DR_NONE for an absent one or null. False when refused. */
bool desk_text(struct desk_ask *ask, dr_json body, const char *name, dr_slice *ret);

/* --- the answer ---------------------------------------------------------------------------- */

/* `,"name":"text"`, with the comma unless it stands first in its object. */
void desk_put_text(struct dr_buf *buf, const char *name, dr_slice text);
void desk_put_text_or_null(struct dr_buf *buf, const char *name, dr_slice text); /* null if empty */
void desk_put_wall(struct dr_buf *buf, const char *name, dr_wall wall);          /* null for ms 0 */

/* A list's page: begun, rows, ended. */
struct desk_page {
    struct desk_ask *ask;
    size_t limit;
    dr_slice after; /* DR_NONE: from the beginning */
    bool has_begun; /* the row named by `after` has been seen */
    bool has_more;
    size_t count;
    char last[64]; /* id of the last row */
    size_t last_len;
};
/* False when the query was refused. */
bool desk_page_begin(struct desk_page *page, struct desk_ask *ask);
/* Whether the row with this id is to be written; `*ret_is_over` when the walk may end. */
bool desk_page_takes(struct desk_page *page, dr_slice id, bool *ret_is_over);
bool desk_page_is_full(const struct desk_page *page);
/* The next page begins behind the last row's id. */
void desk_page_end(struct desk_page *page);
/* The same where the cursor is another. */
void desk_page_end_at(struct desk_page *page, dr_slice next);

/* --- the routes; `id` is the path's variable part, `body` an object or NULL ----------------- */

void desk_list_accounts(struct desk_ask *ask, dr_slice id, dr_json body);
void desk_create_account(struct desk_ask *ask, dr_slice id, dr_json body);
void desk_show_account(struct desk_ask *ask, dr_slice id, dr_json body);
void desk_topup_account(struct desk_ask *ask, dr_slice id, dr_json body);
void desk_list_keys(struct desk_ask *ask, dr_slice id, dr_json body);
void desk_create_key(struct desk_ask *ask, dr_slice id, dr_json body);
void desk_show_key(struct desk_ask *ask, dr_slice id, dr_json body);
void desk_revoke_key(struct desk_ask *ask, dr_slice id, dr_json body);
void desk_rotate_key(struct desk_ask *ask, dr_slice id, dr_json body);
void desk_total_usage(struct desk_ask *ask, dr_slice id, dr_json body);
void desk_list_requests(struct desk_ask *ask, dr_slice id, dr_json body);
void desk_show_receipt(struct desk_ask *ask, dr_slice id, dr_json body);

#endif
