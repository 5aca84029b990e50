/* Changes of a running gateway that begin on the store's thread: top-ups and new key tables. Must
 * not decide who may ask for them, and must not touch a worker from any thread but the server's. */
#include "gateway/control.h"

#include "base/alloc.h"
#include "gateway/server_private.h"

static void control_job_back(struct dr_message *message) {
    struct control_job *job = dr_list_item(message, struct control_job, message);
    struct server *server = job->server;
    server->round_count--;
    server_check_end(server);
    job->done(job);
}

/* On the store's thread. */
static void control_job_run(struct bookkeeper_job *queued, struct store *store) {
    struct control_job *job = dr_list_item(queued, struct control_job, job);
    job->is_stale = job->job.is_stale;
    job->run(job, store);
    job->message.run = control_job_back;
    dr_mailbox_post(job->server->mailbox, &job->message);
}

void control_submit(struct server *server, struct control_job *job) {
    job->server = server;
    job->job.run = control_job_run;
    job->job.needs_fresh_records = job->needs_fresh_records;
    server->round_count++;
    bookkeeper_submit(server->bookkeeper, &job->job);
}

enum dr_status control_topup(struct server *server, struct store *store, dr_slice account_id,
                             money amount, dr_slice reference, dr_wall now,
                             struct dr_error *error) {
    const enum dr_status status = store_topup(store, account_id, amount, reference, now, error);
    if (status) return status;
    /* An account without a live balance gets it from the store when its first key comes. */
    struct tally_account *account = tally_find_account(server->tally, account_id);
    if (account) tally_account_add(account, amount);
    return DR_OK;
}

/* --- key tables ---------------------------------------------------------------------------- */

/* Made whole on the store's thread, so that nothing can fail once the server has it. */
struct key_round {
    struct dr_message message;
    struct control_publication *publication;
    struct worker_change changes[]; /* by worker */
};

static void key_round_end(struct key_round *round) {
    struct control_publication *publication = round->publication;
    struct server *server = publication->server;
    dr_free(round);
    server->round_count--;
    server_check_end(server);
    publication->done(publication);
}

/* On the server's thread. */
static void key_change_back(struct dr_message *message) {
    struct worker_change *change = dr_list_item(message, struct worker_change, message);
    struct key_round *round = change->owner;
    if (--round->publication->waiting == 0) key_round_end(round);
}

/* On the worker's thread. */
static void key_change_done(struct worker_change *change) {
    const struct key_round *round = change->owner;
    change->message.run = key_change_back;
    dr_mailbox_post(round->publication->server->mailbox, &change->message);
}

/* On the server's thread. The count is whole before the first change leaves. */
static void key_round_begin(struct dr_message *message) {
    struct key_round *round = dr_list_item(message, struct key_round, message);
    struct control_publication *publication = round->publication;
    struct server *server = publication->server;
    struct key_table *old = server->keys;
    server->keys = publication->keys;
    publication->keys = NULL;
    key_table_release(old);

    server->round_count++;
    publication->waiting = server->live_count;
    if (publication->waiting == 0) {
        key_round_end(round);
        return;
    }
    for (size_t i = 0; i < server->worker_count; i++) {
        if (!server->workers[i]) continue;
        struct worker_change *change = &round->changes[i];
        change->keys = key_table_hold(server->keys);
        change->done = key_change_done;
        change->owner = round;
        worker_post_change(server->workers[i], change);
    }
}

enum dr_status control_publish_keys(struct server *server, struct store *store,
                                    struct control_publication *publication,
                                    struct dr_error *error) {
    struct key_round *round =
        dr_alloc_zero(1, sizeof *round + server->worker_count * sizeof(struct worker_change));
    if (!round) return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    const enum dr_status status = key_table_build(store, server->tally, &publication->keys, error);
    if (status) {
        dr_free(round);
        return status;
    }
    publication->server = server;
    publication->waiting = 0;
    round->publication = publication;
    round->message.run = key_round_begin;
    dr_mailbox_post(server->mailbox, &round->message);
    return DR_OK;
}
