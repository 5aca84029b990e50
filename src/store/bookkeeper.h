/* The one store thread: brings the journals into the store in large batches, makes them durable
 * within a second (by the store's own sync, or theirs while the store can't take them), writes the
 * usage log, and runs everybody's store jobs. It alone touches the store while a gateway runs. */
#ifndef DR_STORE_BOOKKEEPER_H
#define DR_STORE_BOOKKEEPER_H

#include "base/status.h"
#include "store/store.h"

struct bookkeeper;

struct bookkeeper_options {
    const char *usage_log; /* file to append usage lines to, NULL for none; copied */
    int64_t batch_ms;      /* how long records may wait: 0 for 250, at most 1000 */
};

/* Takes in what journals of an earlier process left (also after a crash), in this thread, then
 * removes those files. For the start, before a journal is opened, and for commands that work on
 * the data itself. `*ret_count` records were missing in the store. Writes no usage lines: the next
 * bookkeeper_start does. */
enum dr_status bookkeeper_replay(struct store *store, uint64_t *ret_count,
                                 struct dr_error *error) DR_MUST_USE;

/* Writes the usage lines that an earlier process owes (see usage_lines.h: each record gets its line
 * once, whatever moment the process was killed at), then starts the thread. `store` is kept; only
 * the thread uses it until bookkeeper_stop. */
enum dr_status bookkeeper_start(struct store *store, const struct bookkeeper_options *options,
                                struct bookkeeper **ret_bookkeeper,
                                struct dr_error *error) DR_MUST_USE;
/* Runs queued jobs, takes in what is left (journals closed before are then removed), ends the
 * thread. Accepts NULL. */
void bookkeeper_stop(struct bookkeeper *bookkeeper);

/* A job on the store thread; embedded by its maker, who owns it again once `run` begins (so `run`
 * may post it elsewhere by mailbox). */
struct bookkeeper_job {
    struct bookkeeper_job *next;
    void (*run)(struct bookkeeper_job *job, struct store *store);
    bool needs_fresh_records; /* take in the journals as they stand now before running */
    bool is_stale;            /* set for `run`: that was asked for and failed, so some may lack */
};
/* From any thread; never blocks. */
void bookkeeper_submit(struct bookkeeper *bookkeeper, struct bookkeeper_job *job);

struct bookkeeper_stats {
    uint64_t records; /* taken in since start */
    uint64_t batches;
    uint64_t failures;      /* transactions that failed and are tried again (disk full) */
    uint64_t waiting_bytes; /* of journals not yet taken in */
    uint64_t usage_lines_lost;
};
/* From any thread; as of the last pass. */
struct bookkeeper_stats bookkeeper_stats(const struct bookkeeper *bookkeeper);
/* The thread reopens the usage log (after rotation or a reload with another name). NULL: none. The
 * path is copied; from any thread. */
void bookkeeper_reopen_log(struct bookkeeper *bookkeeper, const char *usage_log);

#endif
