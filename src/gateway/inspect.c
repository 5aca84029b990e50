/* Collects the numbers of all workers: one message goes to each in turn, by way of the server's
 * thread, which alone knows who still lives. Must not change anything it looks at, except the
 * loop's longest turn, which begins anew. */
#include "gateway/inspect.h"

#include "base/random.h"
#include "gateway/server_private.h"

static void inspection_step(struct dr_message *message);

/* On the worker's thread. The worker is not joined before this message is through, but its place
 * in `workers` may be emptied meanwhile; the one in `places` is not. */
static void inspection_visit(struct dr_message *message) {
    struct inspection *inspection = dr_list_item(message, struct inspection, message);
    struct server *server = inspection->server;
    const size_t index = inspection->next++;
    const struct worker *worker = server->places[index];
    if (!counters_add(&inspection->counters, &worker->counters)) inspection->is_short = true;

    struct inspection_worker *seen = &inspection->workers[index];
    seen->pool = dr_http_pool_stats(worker->pool);
    seen->loop = dr_loop_take_stats(worker->loop);
    seen->journal = journal_stats(worker->journal);
    seen->connections = dr_http_server_connection_count(worker->http);
    for (size_t i = 0; i < TRANSPORT_COUNT; i++) {
        seen->exchanges += (size_t)worker->counters.in_flight[i];
    }
    inspection->message.run = inspection_step;
    dr_mailbox_post(server->mailbox, &inspection->message);
}

static void inspection_end(struct inspection *inspection) {
    struct server *server = inspection->server;
    /* None when the server's closing runs what was left in its mailbox. */
    if (server->bookkeeper) inspection->bookkeeper = bookkeeper_stats(server->bookkeeper);
    inspection->is_draining = server->is_draining;
    inspection->key_count = key_table_count(server->keys);
    inspection->session_count = session_table_count(server->sessions);
    inspection->resume_bytes = replay_table_bytes(server->replays);
    inspection->generation = server->generation;
    inspection->uptime_ms = dr_instant_us_since(dr_instant_now(), server->started) / 1000;
    server->round_count--;
    server_check_end(server);
    inspection->done(inspection);
}

/* On the server's thread. */
static void inspection_step(struct dr_message *message) {
    struct inspection *inspection = dr_list_item(message, struct inspection, message);
    struct server *server = inspection->server;
    while (inspection->next < inspection->worker_count && !server->workers[inspection->next]) {
        inspection->next++;
    }
    if (inspection->next == inspection->worker_count) {
        inspection_end(inspection);
        return;
    }
    inspection->message.run = inspection_visit;
    worker_post(server->workers[inspection->next], &inspection->message);
}

void inspect(struct server *server, struct inspection *inspection,
             void (*done)(struct inspection *inspection), void *owner) {
    struct dr_entropy entropy = {0};
    uint64_t seed;
    dr_entropy_take(&entropy, &seed, sizeof seed);
    memset(inspection, 0, sizeof *inspection);
    counters_init(&inspection->counters, seed);
    inspection->server = server;
    inspection->worker_count = server->worker_count < INSPECTION_WORKERS_MAX
                                   ? server->worker_count
                                   : INSPECTION_WORKERS_MAX;
    inspection->done = done;
    inspection->owner = owner;
    server->round_count++;
    /* By the mailbox, so that `done` never comes from within this call. */
    inspection->message.run = inspection_step;
    dr_mailbox_post(server->mailbox, &inspection->message);
}

void inspection_clear(struct inspection *inspection) {
    counters_clear(&inspection->counters);
}
