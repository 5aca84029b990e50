/* A read-only picture of the running gateway, for metrics and the admin API. */
#ifndef DR_GATEWAY_INSPECT_H
#define DR_GATEWAY_INSPECT_H

#include "gateway/counters.h"
#include "gateway/server.h"
#include "net/http_client.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "store/bookkeeper.h"
#include "store/journal.h"

struct inspection_worker {
    struct dr_http_pool_stats pool;
    struct dr_loop_stats loop;
    struct journal_stats journal;
    size_t connections;
    size_t exchanges;
};

enum { INSPECTION_WORKERS_MAX = 256 };

struct inspection {
    struct counters counters; /* summed over workers */
    struct inspection_worker workers[INSPECTION_WORKERS_MAX];
    size_t worker_count;
    struct bookkeeper_stats bookkeeper;
    bool is_draining;
    size_t key_count;
    size_t session_count;
    size_t resume_bytes;
    uint64_t generation; /* of the configuration */
    int64_t uptime_ms;
    /* Private part. */
    struct dr_message message;
    struct server *server;
    size_t next;
    bool is_short; /* memory ran out: the sum is not whole */
    void (*done)(struct inspection *inspection);
    void *owner;
};

/* From the server's thread: goes round the workers, each adds its own on its own thread, then
 * `done` is called on the server's thread. */
void inspect(struct server *server, struct inspection *inspection,
             void (*done)(struct inspection *inspection), void *owner);
void inspection_clear(struct inspection *inspection);

#endif
