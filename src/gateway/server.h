/* A running gateway: the store, its bookkeeper, the workers. Lives on the main thread's loop
 * together with the admin listener. */
#ifndef DR_GATEWAY_SERVER_H
#define DR_GATEWAY_SERVER_H

#include "base/status.h"
#include "gateway/config.h"
#include "net/loop.h"

struct server;

/* What was said at the start of the process and so holds, whatever the file says, now and after
 * each reload. NULL: not given. Kept. */
struct server_given {
    const char *listen;
    const char *admin_listen;
    const char *data;
};

struct server_options {
    struct config *config; /* taken, also on failure */
    struct server_given given;
    /* read again by server_reload; NULL: it can't be reloaded. Kept */
    const char *config_path;
    /* On the loop's thread, after a drain, when the last worker has ended: the server may be
     * closed. */
    void (*ended)(void *owner);
    void *owner;
};

/* Locks and opens the data, takes in what journals hold, starts the threads, listens. The error
 * says which step failed and why. */
enum dr_status server_open(struct dr_loop *loop, const struct server_options *options,
                           struct server **ret_server, struct dr_error *error) DR_MUST_USE;
/* Reads the file again and swaps; a bad file leaves the old one running and says why in the log
 * and in `error`. Exchanges under way keep the old one. Options that can't change in a running
 * gateway (listen, admin.listen, data, workers, limits.connections) stay as they are in use, and
 * the log names those which the file wants otherwise. */
enum dr_status server_reload(struct server *server, struct dr_error *error);
/* Stops listening; running exchanges have `drain_seconds`. A second call ends them at once. */
void server_drain(struct server *server);
bool server_is_draining(const struct server *server);
/* After `ended`: stops the bookkeeper, closes the data, frees. */
void server_close(struct server *server);
/* The port in use. */
uint16_t server_port(const struct server *server);
/* Lent until the next reload. */
const struct config *server_config(const struct server *server);
const char *server_config_path(const struct server *server); /* NULL: none */
/* Of the configuration: 1 at the start, one more with each reload. */
uint64_t server_generation(const struct server *server);

#endif
