/* The store's thread: sleeps until the next batch is due or a job comes, takes in the journals,
 * runs the jobs. What other threads touch (jobs, wishes, published numbers) is under one mutex,
 * held for a few instructions and never during a call of the store. */
#include "store/bookkeeper.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/instant.h"
#include "base/log.h"
#include "store/intake.h"
#include "store/journal.h"
#include "store/usage_lines.h"

#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>

/* Records must be durable within a second, so no batch waits longer; a store that failed is tried
 * again at the same pace. */
enum { BATCH_MS = 250, BATCH_MS_MAX = 1000, RETRY_MS = 1000 };

struct bookkeeper {
    /* Only the thread's. */
    struct store *store;
    struct intake *intake;
    struct usage_lines *lines;
    int64_t batch_ms;
    bool is_failing;
    dr_instant next_pass;

    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;

    /* Under the mutex. */
    struct bookkeeper_job *first_job;
    struct bookkeeper_job *last_job;
    bool is_stopping;
    bool must_reopen;
    bool has_log;
    char usage_log[PATH_MAX];
    struct bookkeeper_stats stats;
};

/* --- replay --------------------------------------------------------------------------------- */

enum dr_status bookkeeper_replay(struct store *store, uint64_t *ret_count, struct dr_error *error) {
    struct intake *intake = NULL;
    enum dr_status status = intake_new(store, &(struct intake_options){0}, &intake, error);
    if (status) return status;
    intake_remove_drafts(intake);
    status = intake_run(intake, error);
    if (!status) *ret_count = intake_stats(intake).records;
    intake_free(intake);
    return status;
}

/* --- the thread ----------------------------------------------------------------------------- */

static void publish_stats(struct bookkeeper *bookkeeper) {
    const struct intake_stats taken = intake_stats(bookkeeper->intake);
    pthread_mutex_lock(&bookkeeper->mutex);
    bookkeeper->stats = (struct bookkeeper_stats){
        .records = taken.records,
        .batches = taken.batches,
        .failures = taken.failures,
        .waiting_bytes = taken.waiting_bytes,
        .usage_lines_lost = usage_lines_lost(bookkeeper->lines),
    };
    pthread_mutex_unlock(&bookkeeper->mutex);
}

/* Whether the store has now every record that the journals had. */
static bool run_pass(struct bookkeeper *bookkeeper) {
    struct dr_error error = {0};
    const enum dr_status status = intake_run(bookkeeper->intake, &error);
    if (status && !bookkeeper->is_failing) {
        dr_log(DR_LOG_ERROR, "store.failing",
               "text=\"%s\" (settled exchanges wait in the journal and are tried again)",
               error.text);
    } else if (!status && bookkeeper->is_failing) {
        dr_log(DR_LOG_INFO, "store.recovered", "records=%" PRIu64,
               intake_stats(bookkeeper->intake).records);
    }
    bookkeeper->is_failing = status != DR_OK;
    bookkeeper->next_pass =
        dr_instant_after_ms(dr_instant_now(), status ? RETRY_MS : bookkeeper->batch_ms);
    publish_stats(bookkeeper);
    return !bookkeeper->is_failing;
}

static void run_jobs(struct bookkeeper *bookkeeper, struct bookkeeper_job *job) {
    bool has_passed = false; /* once is enough for all of them */
    bool is_fresh = false;
    while (job) {
        /* Read before it runs: then it belongs to its maker again. */
        struct bookkeeper_job *next = job->next;
        if (job->needs_fresh_records && !has_passed) {
            is_fresh = run_pass(bookkeeper);
            has_passed = true;
        }
        job->is_stale = job->needs_fresh_records && !is_fresh;
        job->run(job, bookkeeper->store);
        job = next;
    }
}

/* What can't be saved now is saved with a later batch, or shows as lines to be looked at again by
 * the next start. */
static void save_lines(struct bookkeeper *bookkeeper) {
    struct dr_error error = {0};
    if (store_save_lines(bookkeeper->store, &error)) {
        dr_log(DR_LOG_WARN, "store.mark_failed", "text=\"%s\"", error.text);
    }
}

static void say_lost(const struct dr_error *error) {
    dr_log(DR_LOG_ERROR, "usage_log.failing", "text=\"%s\" (lines are lost; the store has them)",
           error->text);
}

static void reopen_log(struct bookkeeper *bookkeeper) {
    char path[PATH_MAX];
    struct dr_error error = {0};
    save_lines(bookkeeper); /* the next start may not find these lines in another file */
    pthread_mutex_lock(&bookkeeper->mutex);
    const bool has_log = bookkeeper->has_log;
    memcpy(path, bookkeeper->usage_log, sizeof(path));
    pthread_mutex_unlock(&bookkeeper->mutex);
    if (usage_lines_reopen(bookkeeper->lines, has_log ? path : NULL, &error)) say_lost(&error);
}

static struct timespec timespec_of(dr_instant at) {
    return (struct timespec){.tv_sec = (time_t)(at.us / 1000000),
                             .tv_nsec = (long)(at.us % 1000000) * 1000};
}

/* Sleeps until something is to do. The jobs to run, given. */
static struct bookkeeper_job *wait_for_work(struct bookkeeper *bookkeeper, bool *ret_must_reopen,
                                            bool *ret_is_stopping) {
    const struct timespec due = timespec_of(bookkeeper->next_pass);
    int code = 0;
    pthread_mutex_lock(&bookkeeper->mutex);
    while (!bookkeeper->first_job && !bookkeeper->is_stopping && !bookkeeper->must_reopen &&
           code == 0) {
        code = pthread_cond_timedwait(&bookkeeper->wake, &bookkeeper->mutex, &due);
    }
    struct bookkeeper_job *jobs = bookkeeper->first_job;
    bookkeeper->first_job = NULL;
    bookkeeper->last_job = NULL;
    *ret_must_reopen = bookkeeper->must_reopen;
    bookkeeper->must_reopen = false;
    *ret_is_stopping = bookkeeper->is_stopping;
    pthread_mutex_unlock(&bookkeeper->mutex);
    return jobs;
}

static void *run_thread(void *owner) {
    struct bookkeeper *bookkeeper = owner;
    bool is_stopping = false;
    while (!is_stopping) {
        bool must_reopen = false;
        struct bookkeeper_job *jobs = wait_for_work(bookkeeper, &must_reopen, &is_stopping);
        if (must_reopen) reopen_log(bookkeeper);
        run_jobs(bookkeeper, jobs);
        if (is_stopping || dr_instant_now().us >= bookkeeper->next_pass.us) {
            (void)run_pass(bookkeeper);
        }
    }
    save_lines(bookkeeper);
    return NULL;
}

/* --- usage lines ---------------------------------------------------------------------------- */

static bool put_lines(void *owner, dr_slice records) {
    const struct bookkeeper *bookkeeper = owner;
    usage_lines_put(bookkeeper->lines, records);
    return true;
}

/* Of the batch that is in the store now. What can't be read back there has no line: trying again
 * would write those before it twice. */
static void write_lines(void *owner) {
    struct bookkeeper *bookkeeper = owner;
    struct dr_error error = {0};
    if (usage_lines_are_on(bookkeeper->lines) &&
        store_each_unlined(bookkeeper->store, put_lines, bookkeeper, &error)) {
        say_lost(&error);
    }
    store_note_lines(bookkeeper->store);
}

/* Lines that an earlier process owes: those behind the last one in the file. */
struct owed {
    struct usage_lines *lines;
    char last_id[REQUEST_ID_BYTES + 1];
    uint64_t count;
    uint64_t written; /* so many of them stand in the file */
};

static bool find_last(void *owner, dr_slice records) {
    struct owed *owed = owner;
    struct ledger_entry entry;
    while (journal_decode(&records, &entry) == JOURNAL_RECORD) {
        owed->count++;
        if (dr_slice_is(entry.request_id, dr_slice_text(owed->last_id))) {
            owed->written = owed->count;
        }
    }
    return true;
}

static bool write_owed(void *owner, dr_slice records) {
    struct owed *owed = owner;
    struct ledger_entry entry;
    while (owed->written > 0 && journal_decode(&records, &entry) == JOURNAL_RECORD) {
        owed->written--;
    }
    usage_lines_put(owed->lines, records);
    return true;
}

static enum dr_status catch_up_lines(struct bookkeeper *bookkeeper, bool has_log,
                                     struct dr_error *error) {
    struct store *store = bookkeeper->store;
    struct owed owed = {.lines = bookkeeper->lines};
    struct dr_error lost = {0};
    enum dr_status status = DR_OK;
    if (has_log) {
        usage_lines_last_id(owed.lines, owed.last_id, sizeof(owed.last_id));
        status = store_each_unlined(store, find_last, &owed, &lost);
        const uint64_t count = owed.count - owed.written;
        if (!status) status = store_each_unlined(store, write_owed, &owed, &lost);
        if (!status && count > 0) {
            dr_log(DR_LOG_INFO, "usage_log.caught_up", "lines=%" PRIu64, count);
        }
    }
    /* A part of the ledger that is gone takes its lines along, not the gateway. */
    if (status == DR_CORRUPT) {
        say_lost(&lost);
        status = DR_OK;
    }
    if (status) return dr_fail(error, status, lost.os_code, "%s", lost.text);
    store_note_lines(store); /* without a log none are owed */
    return store_save_lines(store, error);
}

/* --- from other threads --------------------------------------------------------------------- */

static enum dr_status start_thread(struct bookkeeper *bookkeeper, struct dr_error *error) {
    pthread_condattr_t attributes;
    sigset_t all, before;
    pthread_mutex_init(&bookkeeper->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&bookkeeper->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    /* Signals are for the thread that knows what to do with them. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int code = pthread_create(&bookkeeper->thread, NULL, run_thread, bookkeeper);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code == 0) return DR_OK;
    pthread_cond_destroy(&bookkeeper->wake);
    pthread_mutex_destroy(&bookkeeper->mutex);
    return dr_fail(error, DR_IO, code, "can't start the store's thread: %s", strerror(code));
}

static void free_parts(struct bookkeeper *bookkeeper) {
    intake_free(bookkeeper->intake);
    usage_lines_free(bookkeeper->lines);
    dr_free(bookkeeper);
}

enum dr_status bookkeeper_start(struct store *store, const struct bookkeeper_options *options,
                                struct bookkeeper **ret_bookkeeper, struct dr_error *error) {
    struct bookkeeper *bookkeeper = dr_alloc_zero(1, sizeof(*bookkeeper));
    if (!bookkeeper) return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    bookkeeper->store = store;
    bookkeeper->batch_ms = options->batch_ms > 0 ? options->batch_ms : BATCH_MS;
    if (bookkeeper->batch_ms > BATCH_MS_MAX) bookkeeper->batch_ms = BATCH_MS_MAX;
    const struct intake_options intake = {.committed = write_lines, .owner = bookkeeper};
    enum dr_status status = usage_lines_new(options->usage_log, &bookkeeper->lines, error);
    if (!status) status = catch_up_lines(bookkeeper, options->usage_log != NULL, error);
    if (!status) status = intake_new(store, &intake, &bookkeeper->intake, error);
    if (!status) status = start_thread(bookkeeper, error);
    if (status) {
        free_parts(bookkeeper);
        return status;
    }
    *ret_bookkeeper = bookkeeper;
    return DR_OK;
}

void bookkeeper_stop(struct bookkeeper *bookkeeper) {
    if (!bookkeeper) return;
    pthread_mutex_lock(&bookkeeper->mutex);
    bookkeeper->is_stopping = true;
    pthread_cond_signal(&bookkeeper->wake);
    pthread_mutex_unlock(&bookkeeper->mutex);
    pthread_join(bookkeeper->thread, NULL);
    dr_assert(!bookkeeper->first_job); /* nobody submits to one that is being stopped */
    pthread_cond_destroy(&bookkeeper->wake);
    pthread_mutex_destroy(&bookkeeper->mutex);
    free_parts(bookkeeper);
}

void bookkeeper_submit(struct bookkeeper *bookkeeper, struct bookkeeper_job *job) {
    dr_assert(job->run);
    job->next = NULL;
    pthread_mutex_lock(&bookkeeper->mutex);
    if (bookkeeper->last_job) {
        bookkeeper->last_job->next = job;
    } else {
        bookkeeper->first_job = job;
    }
    bookkeeper->last_job = job;
    pthread_cond_signal(&bookkeeper->wake);
    pthread_mutex_unlock(&bookkeeper->mutex);
}

struct bookkeeper_stats bookkeeper_stats(const struct bookkeeper *bookkeeper) {
    /* The lock changes, the bookkeeper as its caller knows it does not. */
    struct bookkeeper *locked = (struct bookkeeper *)(uintptr_t)bookkeeper;
    pthread_mutex_lock(&locked->mutex);
    const struct bookkeeper_stats stats = locked->stats;
    pthread_mutex_unlock(&locked->mutex);
    return stats;
}

void bookkeeper_reopen_log(struct bookkeeper *bookkeeper, const char *usage_log) {
    pthread_mutex_lock(&bookkeeper->mutex);
    const dr_slice path = dr_slice_text(usage_log);
    bookkeeper->has_log =
        usage_log && dr_slice_to_text(path, bookkeeper->usage_log, sizeof(bookkeeper->usage_log));
    bookkeeper->must_reopen = true;
    pthread_cond_signal(&bookkeeper->wake);
    pthread_mutex_unlock(&bookkeeper->mutex);
}
