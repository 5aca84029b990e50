/* See the header. The order of steps is what makes records count once:
 *   1. the records and their place in the segment are committed in one transaction;
 *   2. only then a finished segment's file is removed.
 * Its place stays in the store for good: the file may come back, from a backup whose journal was
 * copied before the database, or after a loss of power, and must not look new then.
 *
 * Whether a segment is finished is asked before its end is read: who holds no lock then has written
 * all it ever will. Behind a live writer's last whole record there may be part of the next one,
 * which is no damage. Syncs: what is committed is durable by the store's own sync, so journals are
 * synced only while the store can't take them. */
#include "store/intake.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/log.h"
#include "store/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BATCH_BYTES = 4 * 1024 * 1024,
    BLOCK_BYTES = 64 * 1024, /* read at once: stays in a processor's cache while it is looked at */
    PATH_BYTES = 4096,
    SEGMENTS_MAX = 65536,
};

struct segment {
    struct segment *next; /* by name: a worker's older segments come first */
    int descriptor;
    uint64_t offset; /* taken in before it */
    bool is_final;   /* the writer is gone */
    char name[NAME_MAX + 1];
};

struct intake {
    struct store *store;
    struct intake_options options;
    char folder[PATH_BYTES];
    DIR *listing; /* of the folder, open from the first pass to the end; NULL while there is none */
    struct segment *segments;
    size_t segment_count;
    size_t batch_bytes;
    char block[BLOCK_BYTES];
    struct intake_stats stats;
};

/* --- life ----------------------------------------------------------------------------------- */

enum dr_status intake_new(struct store *store, const struct intake_options *options,
                          struct intake **ret_intake, struct dr_error *error) {
    struct intake *intake = dr_alloc_zero(1, sizeof(*intake));
    if (!intake) return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    intake->store = store;
    intake->options = *options;
    intake->batch_bytes = options->batch_bytes ? options->batch_bytes : BATCH_BYTES;
    dr_assert(intake->batch_bytes >= JOURNAL_RECORD_BYTES_MAX);
    const int len =
        snprintf(intake->folder, sizeof(intake->folder), "%s/journal", store_folder(store));
    if (len < 0 || (size_t)len >= sizeof(intake->folder)) {
        intake_free(intake);
        return dr_fail(error, DR_TOO_LARGE, 0, "the path of the data folder is too long");
    }
    *ret_intake = intake;
    return DR_OK;
}

static void drop_segment(struct intake *intake, struct segment **link) {
    struct segment *segment = *link;
    *link = segment->next;
    intake->segment_count--;
    close(segment->descriptor);
    dr_free(segment);
}

void intake_free(struct intake *intake) {
    if (!intake) return;
    while (intake->segments) drop_segment(intake, &intake->segments);
    if (intake->listing) closedir(intake->listing);
    dr_free(intake);
}

/* --- finding segments ----------------------------------------------------------------------- */

static struct segment **place_of(struct intake *intake, const char *name) {
    struct segment **link = &intake->segments;
    while (*link && strcmp((*link)->name, name) < 0) link = &(*link)->next;
    return link;
}

static enum dr_status add_segment(struct intake *intake, const char *name, struct segment **link,
                                  struct dr_error *error) {
    char path[PATH_BYTES + NAME_MAX + 2];
    (void)snprintf(path, sizeof(path), "%s/%s", intake->folder, name);
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor < 0 && errno == ENOENT) return DR_OK; /* its writer removed it, being empty */
    if (descriptor < 0) {
        return dr_fail(error, DR_IO, errno, "can't open the journal %s: %s", name, strerror(errno));
    }
    struct segment *segment = dr_alloc_zero(1, sizeof(*segment));
    if (!segment) {
        close(descriptor);
        return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    }
    segment->descriptor = descriptor;
    memcpy(segment->name, name, strlen(name));
    const enum dr_status status =
        store_get_position(intake->store, dr_slice_text(segment->name), &segment->offset, error);
    if (status) {
        close(descriptor);
        dr_free(segment);
        return status;
    }
    segment->next = *link;
    *link = segment;
    intake->segment_count++;
    return DR_OK;
}

static enum dr_status scan_folder(struct intake *intake, struct dr_error *error) {
    enum dr_status status = DR_OK;
    if (!intake->listing) {
        intake->listing = opendir(intake->folder);
    } else {
        rewinddir(intake->listing);
    }
    if (!intake->listing && errno == ENOENT) return DR_OK;
    if (!intake->listing) {
        return dr_fail(error, DR_IO, errno, "can't read %s: %s", intake->folder, strerror(errno));
    }
    for (const struct dirent *file = readdir(intake->listing); file && !status;
         file = readdir(intake->listing)) {
        if (!dr_slice_ends(dr_slice_text(file->d_name), DR_LIT(".log"))) continue;
        struct segment **link = place_of(intake, file->d_name);
        if (*link && strcmp((*link)->name, file->d_name) == 0) continue;
        if (intake->segment_count == SEGMENTS_MAX) break; /* the others' turn comes */
        status = add_segment(intake, file->d_name, link, error);
    }
    return status;
}

/* Only drafts without a lock: their maker is dead. */
void intake_remove_drafts(struct intake *intake) {
    DIR *folder = opendir(intake->folder);
    if (!folder) return;
    for (const struct dirent *file = readdir(folder); file; file = readdir(folder)) {
        if (!dr_slice_ends(dr_slice_text(file->d_name), DR_LIT(".new"))) continue;
        const int descriptor = openat(dirfd(folder), file->d_name, O_RDONLY | O_CLOEXEC);
        if (descriptor < 0) continue;
        if (flock(descriptor, LOCK_SH | LOCK_NB) == 0) {
            (void)unlinkat(dirfd(folder), file->d_name, 0); /* the next start tries again */
        }
        close(descriptor);
    }
    closedir(folder);
}

/* --- taking in ------------------------------------------------------------------------------ */

static enum dr_status read_block(struct intake *intake, const struct segment *segment,
                                 uint64_t offset, dr_slice *ret_block, struct dr_error *error) {
    const size_t bytes = intake->batch_bytes < BLOCK_BYTES ? intake->batch_bytes : BLOCK_BYTES;
    size_t len = 0;
    while (len < bytes) {
        const ssize_t count =
            pread(segment->descriptor, intake->block + len, bytes - len, (off_t)(offset + len));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) {
            return dr_fail(error, DR_IO, errno, "can't read the journal %s: %s", segment->name,
                           strerror(errno));
        }
        if (count == 0) break;
        len += (size_t)count;
    }
    *ret_block = dr_slice_of(intake->block, len);
    return DR_OK;
}

static void note_step(const struct intake *intake, enum intake_step step) {
    if (intake->options.stepped) intake->options.stepped(intake->options.owner, step);
}

struct reading {
    struct intake *intake;
    const struct segment *segment;
    bool is_failed;
};

static enum dr_status read_source(void *owner, uint64_t offset, dr_slice *ret_bytes,
                                  struct dr_error *error) {
    struct reading *reading = owner;
    const enum dr_status status =
        read_block(reading->intake, reading->segment, offset, ret_bytes, error);
    reading->is_failed = status != DR_OK;
    return status;
}

/* Takes in one batch. `*ret_is_end`: nothing whole is behind it now. */
static enum dr_status take_batch(struct intake *intake, struct segment *segment, bool *ret_is_end,
                                 struct dr_error *error) {
    struct reading reading = {.intake = intake, .segment = segment};
    const struct store_source source = {.segment = dr_slice_text(segment->name),
                                        .offset = segment->offset,
                                        .bytes_max = intake->batch_bytes,
                                        .read = read_source,
                                        .owner = &reading};
    struct store_taken taken;
    const enum dr_status status = store_take_records(intake->store, &source, &taken, error);
    if (status) {
        if (!reading.is_failed) intake->stats.failures++;
        return status;
    }
    *ret_is_end = taken.is_end;
    if (taken.count == 0) return DR_OK;
    segment->offset += taken.bytes;
    intake->stats.records += taken.count;
    intake->stats.batches++;
    note_step(intake, INTAKE_COMMITTED);
    if (intake->options.committed) intake->options.committed(intake->options.owner);
    return DR_OK;
}

/* --- the end of a segment ------------------------------------------------------------------- */

/* Bytes behind the last record, up to the last one that is not zero. */
static enum dr_status measure_tail(struct intake *intake, const struct segment *segment,
                                   uint64_t *ret_len, struct dr_error *error) {
    uint64_t len = 0;
    uint64_t offset = segment->offset;
    for (;;) {
        dr_slice block;
        const enum dr_status status = read_block(intake, segment, offset, &block, error);
        if (status) return status;
        if (block.len == 0) break;
        for (size_t index = block.len; index-- > 0;) {
            if (block.data[index] == 0) continue;
            len = offset - segment->offset + index + 1;
            break;
        }
        offset += block.len;
    }
    *ret_len = len;
    return DR_OK;
}

/* Whether a whole record stands somewhere in the tail: then its beginning is not torn but
 * damaged. */
static bool has_record_behind(struct intake *intake, const struct segment *segment) {
    dr_slice block;
    if (read_block(intake, segment, segment->offset, &block, NULL))
        return true; /* better kept than lost */
    for (size_t start = 8; start < block.len; start += 8) {
        dr_slice rest = dr_slice_from(block, start);
        struct ledger_entry entry;
        if (journal_decode(&rest, &entry) == JOURNAL_RECORD) return true;
    }
    return false;
}

static enum dr_status remove_file(struct intake *intake, const struct segment *segment,
                                  bool is_damaged, struct dr_error *error) {
    char kept[NAME_MAX + 16];
    const int folder = dirfd(intake->listing);
    snprintf(kept, sizeof(kept), "%s.damaged", segment->name);
    const int result = is_damaged ? renameat(folder, segment->name, folder, kept)
                                  : unlinkat(folder, segment->name, 0);
    if (result == 0 || errno == ENOENT) return DR_OK;
    return dr_fail(error, DR_IO, errno, "can't remove the journal %s: %s", segment->name,
                   strerror(errno));
}

/* The segment's writer is gone and its last whole record is in the store. */
static enum dr_status finish_segment(struct intake *intake, struct segment **link,
                                     struct dr_error *error) {
    const struct segment *segment = *link;
    uint64_t tail_len = 0;
    enum dr_status status = measure_tail(intake, segment, &tail_len, error);
    if (status) return status;
    /* A part of one record is what a killed writer can leave torn. More means that the disk lost or
     * changed something: that is for a person to see, so the file stays under another name. */
    const bool is_damaged = tail_len >= JOURNAL_RECORD_BYTES_MAX ||
                            (tail_len > 0 && has_record_behind(intake, segment));
    status = remove_file(intake, segment, is_damaged, error);
    if (status) return status;
    if (is_damaged) {
        dr_log(DR_LOG_ERROR, "journal.damaged",
               "segment=%s offset=%" PRIu64 " bytes=%" PRIu64 " kept_as=%s.damaged", segment->name,
               segment->offset, tail_len, segment->name);
    } else if (tail_len > 0) {
        dr_log(DR_LOG_WARN, "journal.torn_tail",
               "segment=%s offset=%" PRIu64 " bytes=%" PRIu64
               " (a record whose answer had not ended)",
               segment->name, segment->offset, tail_len);
    }
    note_step(intake, INTAKE_REMOVED);
    drop_segment(intake, link);
    return DR_OK;
}

/* --- a pass --------------------------------------------------------------------------------- */

static enum dr_status take_segment(struct intake *intake, struct segment **link,
                                   struct dr_error *error) {
    struct segment *segment = *link;
    if (!segment->is_final) {
        segment->is_final = flock(segment->descriptor, LOCK_SH | LOCK_NB) == 0;
    }
    for (bool is_end = false; !is_end;) {
        const enum dr_status status = take_batch(intake, segment, &is_end, error);
        if (status) return status;
    }
    return segment->is_final ? finish_segment(intake, link, error) : DR_OK;
}

/* Counts what waits and makes it durable where it is. */
static void sync_waiting(struct intake *intake) {
    intake->stats.waiting_bytes = 0;
    for (struct segment *segment = intake->segments; segment; segment = segment->next) {
        struct stat file;
        if (fstat(segment->descriptor, &file) != 0) continue;
        if ((uint64_t)file.st_size <= segment->offset) continue;
        intake->stats.waiting_bytes += (uint64_t)file.st_size - segment->offset;
        if (fdatasync(segment->descriptor) != 0) {
            dr_log(DR_LOG_ERROR, "journal.sync_failed", "segment=%s text=\"%s\"", segment->name,
                   strerror(errno));
        }
    }
}

enum dr_status intake_run(struct intake *intake, struct dr_error *error) {
    enum dr_status status = scan_folder(intake, error);
    const uint64_t failures = intake->stats.failures;
    struct segment **link = &intake->segments;
    /* A segment that can't be read holds up itself; a store that takes nothing, all of them. */
    while (*link && intake->stats.failures == failures) {
        struct segment *segment = *link;
        const enum dr_status result = take_segment(intake, link, status ? NULL : error);
        if (!status) status = result;
        if (*link == segment) link = &segment->next;
    }
    if (status) {
        sync_waiting(intake);
    } else {
        intake->stats.waiting_bytes = 0;
    }
    return status;
}

struct intake_stats intake_stats(const struct intake *intake) {
    return intake->stats;
}
