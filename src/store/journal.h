/* The truth about money: append-only, checksummed records, one journal per worker, written
 * before an answer's end leaves the gateway in a way that survives the death of the process: a
 * store into a shared mapping, or write(2). Another thread syncs them to the disk and brings them
 * into the store; segments that are wholly there are removed.
 *
 * Folder: DATA/journal/NAME.log with NAME unique for ever (start time, process id, worker, random
 * bits, sequence). A segment is preallocated (blocks reserved, size kept), so that a full disk is
 * met at reservation, never at a charge. Its writer holds a lock on it (flock) as long as it
 * lives.
 *
 * Record: u32 magic, u32 payload length, u32 CRC-32C of the payload, u32 CRC-32C of the 12 bytes
 * before; payload: encoded ledger_entry; padded to 8 bytes. A torn tail (process killed within a
 * write) fails its checksum and ends the segment: its answer's end has not left. */
#ifndef DR_STORE_JOURNAL_H
#define DR_STORE_JOURNAL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/ledger_entry.h"

struct journal;

enum { JOURNAL_RECORD_BYTES_MAX = 4096, JOURNAL_SEGMENT_BYTES = 4 * 1024 * 1024 };

/* Opens a fresh segment in `folder`, which is DATA/journal, where the bookkeeper of the store in
 * DATA looks for it (created when absent; DATA must exist). `segment_bytes` 0 means the default;
 * smaller ones are for tests. DR_IO with ENOSPC is reported as a sentence about the disk. */
enum dr_status journal_open(const char *folder, uint32_t worker_index, size_t segment_bytes,
                            struct journal **ret_journal, struct dr_error *error) DR_MUST_USE;
/* Asserts that no reservation is open. Truncates the segment to its content. */
void journal_close(struct journal *journal);

/* Space for one record of the largest size, promised until it is used by append or given back.
 * False when the disk has no room (then it is tried again with later calls, at most every 200 ms):
 * the caller refuses new work with `storage_full`. Costs no system call while the segment has
 * room. */
bool journal_reserve(struct journal *journal, dr_instant now);
void journal_release(struct journal *journal);
bool journal_has_room(const struct journal *journal);
/* At most one write(2). Uses up one reservation. Failure (an I/O error of the disk) is logged by
 * the caller: the charge must then not be shown to the client as made; the journal moves to
 * another segment for what follows. Texts beyond LEDGER_TEXT_BYTES_MAX are cut. */
enum dr_status journal_append(struct journal *journal, const struct ledger_entry *entry,
                              struct dr_error *error) DR_MUST_USE;

struct journal_stats {
    uint64_t records;
    uint64_t bytes;
    uint64_t failures;
    size_t segments; /* in use */
    size_t segments_mapped;
    size_t reserved; /* records that running exchanges may still write */
    size_t room;     /* records beyond these that fit without asking the disk */
    bool is_full;    /* the disk had no room when last asked */
};
struct journal_stats journal_stats(const struct journal *journal);

/* --- reading: the bookkeeper, the start after a crash, tests, fuzzing
 * ------------------------------------ */

/* A whole record with its head. */
void journal_encode(struct dr_buf *buf, const struct ledger_entry *entry);

enum journal_read {
    JOURNAL_RECORD,
    JOURNAL_END,  /* nothing (whole) behind this place, yet */
    JOURNAL_TORN, /* bytes that are no record: an interrupted write or damage */
};
/* Takes one record from the front of `*bytes`. The entry's slices point into the bytes; attempts
 * into the entry. */
enum journal_read journal_decode(dr_slice *bytes, struct ledger_entry *ret_entry);

#endif
