/* An answer that was resumed on a connection: its frames come from the record that its writer
 * keeps, maybe on another thread. */
#ifndef DR_GATEWAY_WS_FOLLOW_H
#define DR_GATEWAY_WS_FOLLOW_H

#include "base/list.h"
#include "gateway/replay_shared.h"
#include "gateway/worker.h"

struct ws_connection;

struct ws_follow {
    struct replay_follower follower; /* first: its memory is this object's */
    struct dr_list node;             /* of the connection */
    struct worker_follow follow;
    struct ws_connection *connection;
    struct worker *worker;
    dr_slice id;
    dr_slice begin; /* of every frame: `{"id":…` */
    dr_slice request_id;
    uint64_t seq; /* of the latest frame */
    char texts[];
};

/* Follows from behind frame `after` on under `id`; the first frames leave at once. DR_OK,
 * DR_NO_MEMORY, or as replay_follow. */
enum dr_status ws_follow_open(struct ws_connection *connection, struct dr_list *follows,
                              dr_slice account_id, dr_slice request_id, uint64_t after,
                              dr_slice id) DR_MUST_USE;
/* The connection takes more, or there is more: nothing is taken while it is full. The follow may be
 * gone afterwards. */
void ws_follow_pump(struct ws_follow *follow);
void ws_follow_cancel(struct ws_follow *follow);
void ws_follow_close(struct ws_follow *follow);

#endif
