/* The life of a gateway as a whole: what is opened in which order, reload, drain, end. Must not
 * know what workers do with a request, nor what the admin API asks. */
#include "gateway/server.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/log.h"
#include "gateway/server_private.h"
#include "net/address.h"
#include "net/listener.h"

#include <limits.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum {
    LISTEN_BYTES_MAX = 300,
    UNDO_WAIT_MS = 100,
    TIDY_MS = 10000,
};

static enum dr_status no_memory(struct dr_error *error) {
    return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
}

static void given_apply(const struct server_given *given, struct config *config) {
    if (given->listen) config->listen = dr_slice_text(given->listen);
    if (given->admin_listen) config->admin_listen = dr_slice_text(given->admin_listen);
    if (given->data) config->data = given->data;
}

/* --- opening ------------------------------------------------------------------------------- */

static enum dr_status open_books(struct server *server, struct dr_error *error) {
    const struct config *config = server->snapshot->config;
    enum dr_status status = store_open(config->data, &server->store, error);
    if (status) return status;
    uint64_t count = 0;
    status = bookkeeper_replay(server->store, &count, error);
    if (status) return status;
    if (count > 0) {
        dr_log(DR_LOG_INFO, "server.replayed", "records=%llu", (unsigned long long)count);
    }
    server->tally = tally_new();
    if (!server->tally) return no_memory(error);
    return key_table_build(server->store, server->tally, &server->keys, error);
}

static uint16_t port_of(int fd) {
    struct sockaddr_storage storage = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof storage;
    if (getsockname(fd, (struct sockaddr *)&storage, &len)) return 0;
    if (storage.ss_family == AF_INET6) {
        return ntohs(((const struct sockaddr_in6 *)(const void *)&storage)->sin6_port);
    }
    return ntohs(((const struct sockaddr_in *)(const void *)&storage)->sin_port);
}

/* The configured address with the port in use, so that all workers share one. */
static enum dr_status listen_write(const struct server *server, char text[LISTEN_BYTES_MAX],
                                   struct dr_error *error) {
    const dr_slice listen = server->snapshot->config->listen;
    dr_slice host;
    uint16_t port;
    if (!dr_address_split(listen, &host, &port) || server->port == 0 ||
        host.len > LISTEN_BYTES_MAX - 16) {
        return dr_fail(error, DR_INVALID, 0, "cannot listen on %.*s", DR_FMT(listen));
    }
    const bool is_bracketed = dr_slice_find_char(host, ':') < host.len;
    (void)snprintf(text, LISTEN_BYTES_MAX, "%s%.*s%s:%u", is_bracketed ? "[" : "", (int)host.len,
                   host.len > 0 ? host.data : "", is_bracketed ? "]" : "", (unsigned)server->port);
    return DR_OK;
}

static void server_worker_idle(struct worker *worker, void *owner) {
    struct server *server = owner;
    dr_assert(server->workers[worker->index] == worker);
    server->workers[worker->index] = NULL;
    worker_join(worker);
    server->live_count--;
    server_check_end(server);
}

/* What nobody comes back to takes no room until somebody else comes. */
static void server_tidy(void *owner) {
    struct server *server = owner;
    const dr_instant now = dr_loop_now(server->loop);
    session_table_tidy(server->sessions, now);
    replay_table_tidy(server->replays, now);
    dr_timer_start(&server->tidy_timer, server->loop, TIDY_MS);
}

static enum dr_status start_workers(struct server *server, struct dr_error *error) {
    char listen[LISTEN_BYTES_MAX];
    char folder[PATH_MAX];
    const enum dr_status status = listen_write(server, listen, error);
    if (status) return status;
    const int len = snprintf(folder, sizeof folder, "%s/journal", store_folder(server->store));
    if (len < 0 || (size_t)len >= sizeof folder) {
        return dr_fail(error, DR_TOO_LARGE, 0, "the path of the data folder is too long");
    }
    struct dr_entropy entropy = {0};
    uint64_t seed;
    dr_entropy_take(&entropy, &seed, sizeof seed);
    server->sessions = session_table_new(seed, SESSION_BYTES_OF_ALL);
    server->replays =
        replay_table_new(seed, server->snapshot->config->resume_bytes_max, server->mailbox);
    if (!server->sessions || !server->replays) return no_memory(error);
    dr_timer_start(&server->tidy_timer, server->loop, TIDY_MS);
    dr_places_init(&server->connection_places, server->snapshot->config->connections_max);
    for (size_t i = 0; i < server->worker_count; i++) {
        const struct worker_options options = {
            .index = (uint32_t)i,
            .snapshot = server->snapshot,
            .keys = server->keys,
            .bookkeeper = server->bookkeeper,
            .listen = dr_slice_text(listen),
            .places = &server->connection_places,
            .sessions = server->sessions,
            .replays = server->replays,
            .journal_folder = folder,
            .server_mailbox = server->mailbox,
            .idle = server_worker_idle,
            .owner = server,
        };
        const enum dr_status started = worker_start(&options, &server->workers[i], error);
        if (started) return started;
        server->places[i] = server->workers[i];
        server->live_count++;
    }
    return DR_OK;
}

/* The claim is held until all listen: no second gateway slips in between. */
static enum dr_status open_threads(struct server *server, struct dr_error *error) {
    const struct config *config = server->snapshot->config;
    int claim = -1;
    enum dr_status status = dr_listener_claim(config->listen, &claim, error);
    if (status) return status;
    server->port = port_of(claim);
    const struct bookkeeper_options options = {.usage_log = config->usage_log};
    status = bookkeeper_start(server->store, &options, &server->bookkeeper, error);
    if (!status) status = dr_mailbox_open(server->loop, &server->mailbox, error);
    if (!status) status = start_workers(server, error);
    dr_listener_unclaim(claim);
    return status;
}

/* The store's last jobs may have posted to the mailbox, whose closing runs what is in it: that is
 * why all they need goes later. */
static void server_release(struct server *server) {
    dr_assert(server->live_count == 0);
    bookkeeper_stop(server->bookkeeper);
    server->bookkeeper = NULL;
    dr_mailbox_close(server->mailbox);
    dr_deferred_cancel(&server->settle_end);
    dr_timer_stop(&server->tidy_timer);
    key_table_release(server->keys);
    snapshot_release(server->snapshot);
    session_table_free(server->sessions);
    replay_table_free(server->replays);
    tally_free(server->tally);
    store_close(server->store);
    dr_free(server->workers);
    dr_free(server);
}

static void server_undo(struct server *server) {
    for (size_t i = 0; i < server->worker_count; i++) {
        if (server->workers[i]) worker_post_drain(server->workers[i], 0);
    }
    while (server->live_count > 0) dr_loop_run_once(server->loop, UNDO_WAIT_MS);
    server_release(server);
}

static void server_end(void *owner) {
    struct server *server = owner;
    /* An inspection may have begun since this was queued. */
    if (server->has_ended || server->round_count > 0) return;
    server->has_ended = true;
    server->ended(server->owner);
}

/* `ended` comes at the end of the turn, when no message of the mailbox is on the stack: the owner
 * may close the server from within. */
void server_check_end(struct server *server) {
    if (!server->is_open || !server->is_draining || server->has_ended) return;
    if (server->live_count > 0 || server->round_count > 0) return;
    dr_deferred_queue(&server->settle_end, server->loop);
}

enum dr_status server_open(struct dr_loop *loop, const struct server_options *options,
                           struct server **ret_server, struct dr_error *error) {
    dr_assert(options->ended);
    struct server *server = dr_alloc_zero(1, sizeof *server);
    if (!server) {
        config_free(options->config);
        return no_memory(error);
    }
    server->loop = loop;
    server->config_path = options->config_path;
    server->given = options->given;
    server->ended = options->ended;
    server->owner = options->owner;
    server->started = dr_instant_now();
    server->generation = 1;
    dr_deferred_init(&server->settle_end, server, server_end);
    dr_timer_init(&server->tidy_timer, server, server_tidy);

    given_apply(&server->given, options->config);
    enum dr_status status = snapshot_new(options->config, &server->snapshot, error);
    if (!status) {
        const size_t count = server->snapshot->config->workers;
        server->workers = dr_alloc_zero(2 * count, sizeof(struct worker *));
        if (server->workers) {
            server->worker_count = count;
            server->places = server->workers + count;
        }
        status = server->workers ? DR_OK : no_memory(error);
    }
    if (!status) status = open_books(server, error);
    if (!status) status = open_threads(server, error);
    if (status) {
        server_undo(server);
        return status;
    }
    server->is_open = true;
    *ret_server = server;
    return DR_OK;
}

/* --- reload -------------------------------------------------------------------------------- */

/* Options that hold from the start to the end. */
enum { START_OPTIONS = 6 };

struct ignored {
    const char *options[START_OPTIONS];
    size_t count;
};

static void ignore(struct ignored *ignored, const char *option) {
    ignored->options[ignored->count++] = option;
}

/* `now` is what is in use: the new configuration says so too, so that what the file wants is
 * compared with that at each reload, and no reader takes a wish for the fact. */
static bool keep_text(struct ignored *ignored, const char *option, dr_slice now,
                      struct config *config, dr_slice *wanted) {
    if (dr_slice_is(now, *wanted)) return true;
    ignore(ignored, option);
    return dr_arena_copy(&config->arena, now, wanted);
}

static enum dr_status keep_start_options(const struct config *now, struct config *config,
                                         struct ignored *ignored, struct dr_error *error) {
    const dr_slice data = dr_slice_text(now->data);
    if (!keep_text(ignored, "listen", now->listen, config, &config->listen) ||
        !keep_text(ignored, "admin.listen", now->admin_listen, config, &config->admin_listen)) {
        return no_memory(error);
    }
    if (!dr_slice_is(data, dr_slice_text(config->data))) {
        ignore(ignored, "data");
        config->data = dr_arena_text(&config->arena, data);
        if (!config->data) return no_memory(error);
    }
    if (config->workers != now->workers) {
        ignore(ignored, "workers");
        config->workers = now->workers;
    }
    if (config->connections_max != now->connections_max) {
        ignore(ignored, "limits.connections");
        config->connections_max = now->connections_max;
    }
    if (config->resume_bytes_max != now->resume_bytes_max) {
        ignore(ignored, "limits.resume_bytes");
        config->resume_bytes_max = now->resume_bytes_max;
    }
    return DR_OK;
}

static void warn_ignored(const struct ignored *ignored) {
    for (size_t i = 0; i < ignored->count; i++) {
        dr_log(DR_LOG_WARN, "server.reload_ignored",
               "option=%s reason=\"the change needs a restart; the old value stays\"",
               ignored->options[i]);
    }
}

/* On a worker's thread. */
static void reload_done(struct worker_change *change) {
    dr_free(change);
}

static void free_chain(struct worker_change *first) {
    while (first) {
        struct worker_change *next = first->owner;
        dr_free(first);
        first = next;
    }
}

/* All changes are made before one is posted: all workers get the new snapshot or none. */
static enum dr_status hand_out_snapshot(struct server *server, struct snapshot *snapshot,
                                        struct dr_error *error) {
    struct worker_change *first = NULL;
    for (size_t i = 0; i < server->live_count; i++) {
        struct worker_change *change = dr_alloc_zero(1, sizeof *change);
        if (!change) {
            free_chain(first);
            return no_memory(error);
        }
        change->owner = first;
        first = change;
    }
    for (size_t i = 0; i < server->worker_count; i++) {
        if (!server->workers[i]) continue;
        struct worker_change *change = first;
        first = change->owner;
        change->owner = NULL;
        change->snapshot = snapshot_hold(snapshot);
        change->done = reload_done;
        worker_post_change(server->workers[i], change);
    }
    return DR_OK;
}

static enum dr_status reload(struct server *server, struct dr_error *error) {
    const struct config *old = server->snapshot->config;
    struct config *config = NULL;
    struct snapshot *snapshot = NULL;
    if (!server->config_path) {
        return dr_fail(error, DR_UNSUPPORTED, 0, "there is no configuration file to read again");
    }
    enum dr_status status = config_read_file(server->config_path, &config, error);
    if (status) return status;
    config->is_demo = old->is_demo;
    config->has_ws_echo = old->has_ws_echo;
    config->allows_loopback_origins = old->allows_loopback_origins;
    given_apply(&server->given, config);
    struct ignored ignored = {.count = 0};
    status = keep_start_options(old, config, &ignored, error);
    if (status) {
        config_free(config);
        return status;
    }
    status = snapshot_new(config, &snapshot, error);
    if (status) return status;
    status = hand_out_snapshot(server, snapshot, error);
    if (status) {
        snapshot_release(snapshot);
        return status;
    }
    const struct config *now = snapshot->config;
    warn_ignored(&ignored);
    if (old->log_level != now->log_level) dr_log_set_level(now->log_level);
    bookkeeper_reopen_log(server->bookkeeper, now->usage_log);
    snapshot_release(server->snapshot);
    server->snapshot = snapshot;
    server->generation++;
    return DR_OK;
}

enum dr_status server_reload(struct server *server, struct dr_error *error) {
    struct dr_error own = {0};
    const enum dr_status status = reload(server, &own);
    if (status) {
        dr_log(DR_LOG_ERROR, "server.reload_failed", "reason=\"%s; the old configuration stays\"",
               own.text);
        if (error) *error = own;
        return status;
    }
    dr_log(DR_LOG_INFO, "server.reloaded", "file=\"%s\"", server->config_path);
    return DR_OK;
}

/* --- drain and end ------------------------------------------------------------------------- */

void server_drain(struct server *server) {
    const int64_t drain_ms = server->is_draining ? 0 : server->snapshot->config->drain_ms;
    dr_log(DR_LOG_INFO, "gateway.draining", "seconds=%lld", (long long)drain_ms / 1000);
    server->is_draining = true;
    for (size_t i = 0; i < server->worker_count; i++) {
        if (server->workers[i]) worker_post_drain(server->workers[i], drain_ms);
    }
    server_check_end(server);
}

bool server_is_draining(const struct server *server) {
    return server->is_draining;
}

void server_close(struct server *server) {
    if (!server) return;
    server_release(server);
}

uint16_t server_port(const struct server *server) {
    return server->port;
}

const char *server_config_path(const struct server *server) {
    return server->config_path;
}

uint64_t server_generation(const struct server *server) {
    return server->generation;
}

const struct config *server_config(const struct server *server) {
    return server->snapshot->config;
}
