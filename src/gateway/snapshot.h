/* One edition of everything configured: immutable, counted, swapped whole on reload. */
#ifndef DR_GATEWAY_SNAPSHOT_H
#define DR_GATEWAY_SNAPSHOT_H

#include "gateway/config.h"
#include "net/http_server.h"
#include "net/tls.h"

/* What is made once for each provider. */
struct snapshot_provider {
    struct dr_tls_client *tls; /* NULL for http */
    /* For each key (one entry without a key): the request's head up to "Content-Length: ". From its
     * first byte where the client's bytes pass; of other dialects from " HTTP/1.1" on, for what
     * stands before it may name the model. */
    const dr_slice *chat_heads;
    size_t chat_head_count;
};

struct snapshot {
    const struct config *config;
    const struct snapshot_provider *providers; /* by provider index */
    struct dr_tls_server *tls;                 /* NULL: plain */
    struct dr_http_server_options http;
    int64_t created_s; /* for GET /v1/models */
};

/* Takes `config` (also on failure). Reads certificate files. */
enum dr_status snapshot_new(struct config *config, struct snapshot **ret_snapshot,
                            struct dr_error *error) DR_MUST_USE;
struct snapshot *snapshot_hold(struct snapshot *snapshot); /* thread-safe */
void snapshot_release(struct snapshot *snapshot);          /* thread-safe; accepts NULL */

#endif
