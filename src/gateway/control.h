/* The few changes that the admin API may ask of a running gateway. */
#ifndef DR_GATEWAY_CONTROL_H
#define DR_GATEWAY_CONTROL_H

#include "gateway/server.h"
#include "net/mailbox.h"
#include "store/bookkeeper.h"

/* Work for the store's thread: `run` is called there and may call the two functions below, then
 * `done` on the server's thread, which does not end before. Embedded by the caller, who sets the
 * first three. */
struct control_job {
    void (*run)(struct control_job *job, struct store *store);
    void (*done)(struct control_job *job);
    bool needs_fresh_records; /* what was settled until now is in the store when `run` is called */
    bool is_stale;            /* set for `run`: it is not, as for bookkeeper_job */
    /* Private part. */
    struct bookkeeper_job job;
    struct dr_message message;
    struct server *server;
};
/* From the server's thread. */
void control_submit(struct server *server, struct control_job *job);

/* On the store's thread: tops the account up in the store and in the live balance. As
 * store_topup. */
enum dr_status control_topup(struct server *server, struct store *store, dr_slice account_id,
                             money amount, dr_slice reference, dr_wall now,
                             struct dr_error *error) DR_MUST_USE;

/* On the store's thread, after a key or an account changed: builds the key table and hands it
 * to all workers. `done` is called on the server's thread when each of them uses it. The
 * publication is embedded by the caller and must stay until then. On failure nothing is
 * published and `done` is not called. */
struct control_publication {
    struct dr_message message;
    void (*done)(struct control_publication *publication);
    /* Private part. */
    struct server *server;
    struct key_table *keys;
    size_t waiting;
};
enum dr_status control_publish_keys(struct server *server, struct store *store,
                                    struct control_publication *publication,
                                    struct dr_error *error) DR_MUST_USE;

#endif
