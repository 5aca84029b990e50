/* From the journals into the store: finds segments in DATA/journal, takes in what they hold in
 * batches, and removes those whose writer is gone and whose last record is in the store. One
 * thread; blocks. What a crash leaves between any two of its steps is finished by the next pass,
 * and no record is taken in twice, because a batch and its place are one transaction. */
#ifndef DR_STORE_INTAKE_H
#define DR_STORE_INTAKE_H

#include "base/slice.h"
#include "base/status.h"
#include "store/store.h"

struct intake;

enum intake_step { INTAKE_COMMITTED, INTAKE_REMOVED };

struct intake_options {
    /* Called after each transaction. May be NULL. */
    void (*committed)(void *owner);
    /* Tests: called between the steps, where a crash may strike. May be NULL. */
    void (*stepped)(void *owner, enum intake_step step);
    void *owner;
    size_t batch_bytes; /* of a transaction, about; 0: default; at least JOURNAL_RECORD_BYTES_MAX */
};

struct intake_stats {
    uint64_t records;
    uint64_t batches;
    uint64_t failures;
    uint64_t waiting_bytes; /* known at the last pass */
};

/* `store` is kept. */
enum dr_status intake_new(struct store *store, const struct intake_options *options,
                          struct intake **ret_intake, struct dr_error *error) DR_MUST_USE;
void intake_free(struct intake *intake);

/* Takes in everything that is whole now. A failure of the store ends the pass: the rest waits in
 * the journals, which are synced to the disk instead, and a later pass goes on with it. */
enum dr_status intake_run(struct intake *intake, struct dr_error *error) DR_MUST_USE;
/* Removes drafts of segments that a dead process left. Only while no gateway can be running. */
void intake_remove_drafts(struct intake *intake);

struct intake_stats intake_stats(const struct intake *intake);

#endif
