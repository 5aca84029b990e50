/* What server.c, control.c and inspect.c share of a running gateway. For these three files only;
 * nobody else may look into a server. */
#ifndef DR_GATEWAY_SERVER_PRIVATE_H
#define DR_GATEWAY_SERVER_PRIVATE_H

#include "gateway/server.h"
#include "gateway/snapshot.h"
#include "gateway/worker.h"
#include "net/mailbox.h"
#include "net/places_shared.h"
#include "store/bookkeeper.h"
#include "store/key_table.h"
#include "store/store.h"
#include "store/tally_shared.h"

/* Belongs to the server's thread, except what is marked. */
struct server {
    struct dr_loop *loop;
    const char *config_path;
    struct server_given given;
    void (*ended)(void *owner);
    void *owner;

    struct snapshot *snapshot;     /* the current one; held */
    struct key_table *keys;        /* the current one; held */
    struct store *store;           /* the bookkeeper's thread alone, while there is one */
    struct tally *tally;           /* lookups: as the store */
    struct bookkeeper *bookkeeper; /* any thread */
    struct dr_mailbox *mailbox;    /* any thread */

    struct worker **workers; /* by index; NULL when not started or already joined */
    struct worker **places;  /* the same, never emptied: for a message that is with one */
    size_t worker_count;     /* places in it; constant, any thread */
    struct dr_places connection_places; /* any thread */
    struct session_table *sessions;     /* any thread */
    struct replay_table *replays;       /* any thread */
    size_t live_count;                  /* workers that are not joined */
    size_t round_count;                 /* inspections and publications that are under way */

    dr_instant started;
    uint64_t generation; /* of the configuration: 1 at the start, one more with each reload */
    uint16_t port;
    bool is_open; /* the opening has succeeded: `ended` may be called */
    bool is_draining;
    bool has_ended;
    struct dr_deferred settle_end;
    struct dr_timer tidy_timer;
};

/* Something that kept the server from ending has come to its end. */
void server_check_end(struct server *server);

#endif
