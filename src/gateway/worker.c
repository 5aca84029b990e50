/* The life of a worker's thread: start, change of edition, drain, end. Must not know the
 * pipeline's steps. */
#include "gateway/worker.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/log.h"
#include "gateway/exchange.h"
#include "gateway/http_front.h"
#include "gateway/pipeline.h"
#include "gateway/reading.h"
#include "net/address.h"

enum {
    TRIM_MS = 1000,    /* after the last exchange has ended */
    TRIM_RUNNING = 32, /* fewer at once leave nothing worth giving back */
    FOLLOW_MS = 250,   /* for the ends of answers that were cut, maybe by another worker */
};

struct worker_drain {
    struct dr_message message;
    struct worker *worker;
    int64_t ms;
};

/* What only the thread's life needs. */
struct worker_thread {
    struct worker worker;
    struct worker_options options;
    char *listen;
    char *journal_folder;
    pthread_t pthread;
    pthread_mutex_t mutex;
    pthread_cond_t started;
    bool has_started;
    enum dr_status status;
    struct dr_error error;
    struct worker_drain drains[2];
    size_t drain_count;
    struct dr_timer drain_timer;
    struct dr_timer follow_timer;
    struct dr_timer trim_timer;
    struct dr_deferred settle_idle;
    bool is_cut;
    bool is_idle;
    struct dr_message idle_message;
    struct dr_message stop_message;
};

/* --- change of edition
 * -------------------------------------------------------------------------- */

static void worker_take_change(struct dr_message *message) {
    struct worker_change *change = dr_list_item(message, struct worker_change, message);
    struct worker *worker = change->worker;
    struct edition *old = worker->edition;
    struct snapshot *snapshot = change->snapshot ? change->snapshot : snapshot_hold(old->snapshot);
    struct key_table *keys = change->keys ? change->keys : key_table_hold(old->keys);
    struct edition *edition = edition_new(worker, snapshot, keys);
    change->snapshot = NULL;
    change->keys = NULL;
    if (edition) {
        worker->edition = edition;
        dr_http_server_set_options(worker->http, &edition->snapshot->http);
        if (worker->is_listening) dr_listener_set_tls(worker->listener, edition->snapshot->tls);
        edition_release(old);
    } else {
        dr_log(DR_LOG_ERROR, "worker.change_failed",
               "worker=%u reason=\"out of memory; the old configuration and keys stay\"",
               worker->index);
    }
    if (change->done) change->done(change);
}

void worker_post_change(struct worker *worker, struct worker_change *change) {
    change->worker = worker;
    change->message.run = worker_take_change;
    dr_mailbox_post(worker->mailbox, &change->message);
}

void worker_post(struct worker *worker, struct dr_message *message) {
    dr_mailbox_post(worker->mailbox, message);
}

uint16_t worker_port(const struct worker *worker) {
    return dr_listener_port(worker->listener);
}

/* --- draining
 * ----------------------------------------------------------------------------------- */

static void worker_tell_idle(struct dr_message *message) {
    struct worker_thread *thread = dr_list_item(message, struct worker_thread, idle_message);
    thread->options.idle(&thread->worker, thread->options.owner);
}

/* Runs at the end of a turn, when nobody is inside an exchange any more. */
static void worker_check_idle(void *owner) {
    struct worker_thread *thread = owner;
    struct worker *worker = &thread->worker;
    if (!worker->is_draining || thread->is_idle) return;
    if (!dr_list_is_empty(&worker->exchanges) || !dr_list_is_empty(&worker->follows)) return;
    if (worker->lookup_count > 0) return;
    if (worker->is_listening) {
        worker->is_listening = false;
        dr_listener_close(worker->listener);
        /* Everything has been answered: they are told to come back, to another gateway. */
        dr_ws_hub_close_all(worker->ws, DR_WS_CLOSE_RESTART, DR_LIT("restarting"));
    }
    /* Answers that their clients have yet to take go on until the cut. */
    if (thread->is_cut) dr_http_server_close_all(worker->http);
    if (dr_http_server_connection_count(worker->http) > 0) return;
    if (dr_ws_hub_session_count(worker->ws) > 0) return;
    thread->is_idle = true;
    dr_timer_stop(&thread->drain_timer);
    dr_timer_stop(&thread->follow_timer);
    thread->idle_message.run = worker_tell_idle;
    dr_mailbox_post(thread->options.server_mailbox, &thread->idle_message);
}

static bool may_trim(const struct worker *worker) {
    return worker->running == 0 && worker->running_peak > TRIM_RUNNING && !worker->is_draining;
}

/* What a rush took is the system's again once nothing runs: heaps do not shrink by themselves while
 * connections that outlive the rush lie scattered over them. */
static void worker_trim(void *owner) {
    struct worker *worker = &((struct worker_thread *)owner)->worker;
    if (!may_trim(worker)) return;
    worker->running_peak = 0;
    exchange_drop_spares(worker);
    reading_drop_spares(worker);
    dr_buf_clear(&worker->written);
    dr_block_pool_clear(&worker->blocks);
    dr_http_pool_trim(worker->pool);
    dr_http_server_trim(worker->http);
    replay_table_trim(worker->replays);
    dr_alloc_trim();
}

void worker_take_request_id(struct worker *worker, char text[REQUEST_ID_BYTES]) {
    uint8_t random[16];
    dr_entropy_take(&worker->entropy, random, sizeof random);
    request_id_write(dr_loop_wall(worker->loop), random, text);
}

void worker_note_idle(struct worker *worker) {
    if (may_trim(worker)) dr_timer_start(&worker->thread->trim_timer, worker->loop, TRIM_MS);
    if (!worker->is_draining) return;
    dr_deferred_queue(&worker->thread->settle_idle, worker->loop);
}

void worker_add_follow(struct worker *worker, struct worker_follow *follow) {
    dr_list_put_last(&worker->follows, &follow->node);
}

void worker_drop_follow(struct worker *worker, struct worker_follow *follow) {
    dr_list_remove(&follow->node);
    worker_note_idle(worker);
}

/* Their answers have ended: who has not taken the end by now does not read. */
static void worker_cut_follows(void *owner) {
    struct worker *worker = &((struct worker_thread *)owner)->worker;
    while (!dr_list_is_empty(&worker->follows)) {
        struct worker_follow *follow =
            dr_list_item(worker->follows.next, struct worker_follow, node);
        follow->cut(follow->owner);
    }
}

static void worker_cut(void *owner) {
    struct worker_thread *thread = owner;
    struct worker *worker = &thread->worker;
    /* Each exchange leaves the list as it settles; those that arrive meanwhile are refused. */
    while (!dr_list_is_empty(&worker->exchanges)) {
        struct exchange *exchange = dr_list_item(worker->exchanges.next, struct exchange, node);
        if (exchange->attempt.state != ATTEMPT_IDLE) {
            exchange_note_attempt(exchange, exchange->attempt.status);
        }
        exchange_refuse_for(exchange, REFUSAL_DRAINING);
        pipeline_run(exchange);
    }
    thread->is_cut = true;
    dr_timer_start(&thread->follow_timer, worker->loop, FOLLOW_MS);
    dr_http_server_drain(worker->http);
    dr_deferred_queue(&thread->settle_idle, worker->loop);
}

/* It listens on while exchanges run: who comes is told to go elsewhere, and a balancer that asks
 * for readiness learns why. */
static void worker_take_drain(struct dr_message *message) {
    struct worker_drain *drain = dr_list_item(message, struct worker_drain, message);
    struct worker_thread *thread = drain->worker->thread;
    struct worker *worker = &thread->worker;
    if (thread->is_idle) return;
    worker->is_draining = true;
    dr_http_server_drain(worker->http);
    dr_timer_start(&thread->drain_timer, worker->loop, drain->ms);
    dr_deferred_queue(&thread->settle_idle, worker->loop);
}

void worker_post_drain(struct worker *worker, int64_t drain_ms) {
    struct worker_thread *thread = worker->thread;
    if (thread->drain_count == 2) return;
    struct worker_drain *drain = &thread->drains[thread->drain_count++];
    *drain = (struct worker_drain){
        .message = {.run = worker_take_drain},
        .worker = worker,
        .ms = drain_ms,
    };
    dr_mailbox_post(worker->mailbox, &drain->message);
}

/* --- the thread
 * --------------------------------------------------------------------------------- */

static enum dr_status worker_open_net(struct worker_thread *thread, struct dr_error *error) {
    struct worker *worker = &thread->worker;
    struct snapshot *snapshot = thread->options.snapshot;
    enum dr_status status = dr_loop_new(&worker->loop, error);
    if (status) return status;
    status = dr_mailbox_open(worker->loop, &worker->mailbox, error);
    if (status) return status;
    status = dr_resolver_open(worker->loop, thread->options.dns_servers, &worker->resolver, error);
    if (status) return status;
    const struct dr_http_pool_options pool_options = {
        .idle_per_origin_max = 1024,
        .idle_ms = 60000,
        .response_head_bytes_max = 64 * 1024,
    };
    worker->pool = dr_http_pool_new(worker->loop, worker->resolver, &pool_options);
    if (!worker->pool) return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    worker->edition =
        edition_new(worker, snapshot_hold(snapshot), key_table_hold(thread->options.keys));
    if (!worker->edition) return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    status = dr_http_server_new(worker->loop, &http_front_service, worker, &snapshot->http,
                                &worker->http, error);
    if (status) return status;
    status = dr_ws_hub_new(worker->loop, &worker->ws, error);
    if (status) return status;
    return journal_open(thread->journal_folder, worker->index, 0, &worker->journal, error);
}

static void worker_accepted(void *owner, struct dr_stream *stream) {
    struct worker *worker = owner;
    worker->counters.connections++;
    dr_http_server_take(worker->http, stream);
}

static enum dr_status worker_open(struct worker_thread *thread, struct dr_error *error) {
    struct worker *worker = &thread->worker;
    worker->index = thread->options.index;
    worker->bookkeeper = thread->options.bookkeeper;
    worker->sessions = thread->options.sessions;
    worker->replays = thread->options.replays;
    worker->thread = thread;
    dr_timer_init(&thread->drain_timer, thread, worker_cut);
    dr_timer_init(&thread->follow_timer, thread, worker_cut_follows);
    dr_timer_init(&thread->trim_timer, thread, worker_trim);
    dr_deferred_init(&thread->settle_idle, thread, worker_check_idle);
    enum dr_status status = worker_memory_init(worker, error);
    if (!status) status = worker_open_net(thread, error);
    if (status) return status;
    const struct dr_listener_options listener_options = {
        .address = dr_slice_text(thread->listen),
        .is_shared = true,
        .connections_max = thread->options.snapshot->config->connections_max,
        .places = thread->options.places,
        .accepted = worker_accepted,
        .owner = worker,
    };
    const enum dr_status listening = dr_listener_open(
        worker->loop, &listener_options, thread->options.snapshot->tls, &worker->listener, error);
    worker->is_listening = listening == DR_OK;
    return listening;
}

static void worker_clear(struct worker_thread *thread) {
    struct worker *worker = &thread->worker;
    dr_timer_stop(&thread->trim_timer);
    if (worker->is_listening) dr_listener_close(worker->listener);
    edition_release(worker->edition);
    if (worker->pool) dr_http_pool_close(worker->pool);
    if (worker->resolver) dr_resolver_close(worker->resolver);
    if (worker->mailbox) dr_mailbox_close(worker->mailbox);
    if (worker->loop) dr_loop_run(worker->loop); /* until everything has closed */
    if (worker->http) dr_http_server_free(worker->http);
    dr_ws_hub_free(worker->ws);
    if (worker->journal) journal_close(worker->journal);
    dr_loop_free(worker->loop);
    worker_memory_clear(worker);
}

static void *worker_run(void *argument) {
    struct worker_thread *thread = argument;
    const enum dr_status status = worker_open(thread, &thread->error);
    pthread_mutex_lock(&thread->mutex);
    thread->has_started = true;
    thread->status = status;
    pthread_cond_signal(&thread->started);
    pthread_mutex_unlock(&thread->mutex);
    if (status == DR_OK) dr_loop_run(thread->worker.loop);
    worker_clear(thread);
    return NULL;
}

static void worker_thread_free(struct worker_thread *thread) {
    pthread_cond_destroy(&thread->started);
    pthread_mutex_destroy(&thread->mutex);
    key_table_release(thread->options.keys);
    snapshot_release(thread->options.snapshot);
    dr_free(thread->listen);
    dr_free(thread->journal_folder);
    dr_free(thread);
}

static char *copy_text(const char *text, size_t len) {
    char *copy = dr_alloc(len + 1);
    if (!copy) return NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

enum dr_status worker_start(const struct worker_options *options, struct worker **ret_worker,
                            struct dr_error *error) {
    struct worker_thread *thread = dr_alloc_zero(1, sizeof *thread);
    if (!thread) return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    pthread_mutex_init(&thread->mutex, NULL);
    pthread_cond_init(&thread->started, NULL);
    thread->options = *options;
    thread->options.snapshot = snapshot_hold(options->snapshot);
    thread->options.keys = key_table_hold(options->keys);
    thread->listen = copy_text(options->listen.data, options->listen.len);
    thread->journal_folder = copy_text(options->journal_folder, strlen(options->journal_folder));
    enum dr_status status = DR_NO_MEMORY;
    if (thread->listen && thread->journal_folder) {
        const int code = pthread_create(&thread->pthread, NULL, worker_run, thread);
        status = code == 0 ? DR_OK : DR_IO;
    }
    if (status != DR_OK) {
        worker_thread_free(thread);
        return dr_fail(error, status, 0, "cannot start a worker thread");
    }
    pthread_mutex_lock(&thread->mutex);
    while (!thread->has_started) pthread_cond_wait(&thread->started, &thread->mutex);
    pthread_mutex_unlock(&thread->mutex);
    if (thread->status != DR_OK) {
        status = thread->status;
        if (error) *error = thread->error;
        (void)pthread_join(thread->pthread, NULL);
        worker_thread_free(thread);
        return status;
    }
    *ret_worker = &thread->worker;
    return DR_OK;
}

static void worker_stop(struct dr_message *message) {
    struct worker_thread *thread = dr_list_item(message, struct worker_thread, stop_message);
    dr_loop_stop(thread->worker.loop);
}

void worker_join(struct worker *worker) {
    struct worker_thread *thread = worker->thread;
    thread->stop_message.run = worker_stop;
    dr_mailbox_post(worker->mailbox, &thread->stop_message);
    (void)pthread_join(thread->pthread, NULL);
    worker_thread_free(thread);
}
