/* The writing end of one worker's journal: segments with their blocks reserved in advance, records
 * stored into a shared mapping of the file (or, where a mapping could fail under our feet, by one
 * pwrite(2) each), promises of room that cost no system call. Must not sync, read back, know the
 * store, or log: the caller knows what a failed append means.
 *
 * Room is counted in promises: a segment holds as many as records of the largest size fit behind
 * what is written. An append takes at most one of them, so as long as there are no fewer promises
 * than open reservations, every reservation can be honoured.
 *
 * A segment is made under a name of its own (NAME.new), locked, and only then named NAME.log: who
 * sees a NAME.log without the lock may rely on its writer being gone.
 *
 * Files are opened by open(2), not openat(2): the thread sanitizer knows only the former as the
 * birth of a descriptor, and libuv closes sockets where it does not look. */
#include "store/journal.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/random.h"
#include "store/journal_record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    SEGMENTS_MAX = 256, /* prepared at once: 1 GiB, 262,144 open reservations */
    RETRY_MS = 200,
    NAME_BYTES = 128,
    PATH_BYTES = 4096,
    GROWTH_BYTES =
        128 * 1024, /* of a mapped file: what a reader may find as zeros behind the end */
};

struct segment {
    int descriptor;
    size_t written;
    size_t file_bytes; /* with a mapping: what of it the file covers */
    char *mapping;     /* NULL: records are written by pwrite(2) */
    char name[NAME_BYTES];
};

struct journal {
    int folder; /* descriptor */
    char path[PATH_BYTES];
    uint32_t worker_index;
    uint32_t sequence;
    size_t segment_bytes;
    int64_t started_ms;
    uint64_t unique;
    struct segment segments[SEGMENTS_MAX]; /* the first is written to, the others wait */
    size_t segment_count;
    size_t promises; /* of all segments */
    size_t open;     /* reservations */
    bool is_full;    /* the last preparation failed */
    dr_instant retry_at;
    struct journal_stats stats;
    char record[JOURNAL_RECORD_BYTES_MAX];
};

/* --- segments ------------------------------------------------------------------------------- */

static size_t promises_of(const struct journal *journal, const struct segment *segment) {
    return (journal->segment_bytes - segment->written) / JOURNAL_RECORD_BYTES_MAX;
}

/* 0, or the errno. Readers know zeros. */
static int write_zeros(int descriptor, size_t start, size_t end) {
    static const char zeros[16384];
    for (size_t offset = start; offset < end;) {
        const size_t ask = end - offset < sizeof(zeros) ? end - offset : sizeof(zeros);
        const ssize_t count = pwrite(descriptor, zeros, ask, (off_t)offset);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return errno;
        if (count == 0) return ENOSPC;
        offset += (size_t)count;
    }
    return 0;
}

static int reserve_blocks(int descriptor, size_t len) {
    for (;;) {
        if (fallocate(descriptor, FALLOC_FL_KEEP_SIZE, 0, (off_t)len) == 0) return 0;
        if (errno == EINTR) continue;
        if (errno == EOPNOTSUPP || errno == ENOSYS) {
            return write_zeros(descriptor, 0, len); /* the blocks are taken by writing */
        }
        return errno;
    }
}

/* A store into a mapping survives the death of the process as a write(2) does, and costs no system
 * call. It must find its block reserved, or it would be answered by SIGBUS: only file systems are
 * trusted that write into reserved blocks in place. */
static bool may_be_mapped(int descriptor) {
    enum { XFS_MAGIC = 0x58465342 };
    struct statfs file_system;
    if (fstatfs(descriptor, &file_system) != 0) return false;
    return file_system.f_type == EXT4_SUPER_MAGIC || file_system.f_type == XFS_MAGIC ||
           file_system.f_type == TMPFS_MAGIC;
}

static void map_segment(struct segment *segment, size_t len) {
    struct stat file;
    if (!may_be_mapped(segment->descriptor)) return;
    /* Where zeros took the blocks the file has its length already: to cover a mapping bit by bit
     * would cut them off again. */
    if (fstat(segment->descriptor, &file) != 0 || file.st_size != 0) return;
    void *mapping = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, segment->descriptor, 0);
    if (mapping != MAP_FAILED) segment->mapping = mapping;
}

/* Blocks behind a file's end are not held against the limit on files' size (ulimit -f): it would be
 * met at a charge. */
static bool is_within_limit(size_t len) {
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur >= len;
}

static enum dr_status fail_to_prepare(int code, struct dr_error *error) {
    if (code == ENOSPC || code == EDQUOT) {
        return dr_fail(error, DR_IO, code, "the disk is full: no room for a journal segment");
    }
    if (code == EFBIG) {
        return dr_fail(error, DR_IO, code,
                       "the limit on files' size (ulimit -f) is less than a journal segment");
    }
    return dr_fail(error, DR_IO, code, "can't prepare a journal segment: %s", strerror(code));
}

/* Adds a fresh segment behind the others. */
static enum dr_status prepare_segment(struct journal *journal, struct dr_error *error) {
    if (journal->segment_count == SEGMENTS_MAX) {
        return dr_fail(error, DR_TOO_LARGE, 0, "%d journal segments are in use", SEGMENTS_MAX);
    }
    struct segment *segment = &journal->segments[journal->segment_count];
    char draft[NAME_BYTES];
    *segment = (struct segment){0};
    const int prefix_len = snprintf(
        draft, sizeof(draft), "%013" PRId64 "-%ld-%u-%016" PRIx64 "-%06u.new", journal->started_ms,
        (long)getpid(), journal->worker_index, journal->unique, journal->sequence++);
    dr_assert(prefix_len > 4 && prefix_len < NAME_BYTES);
    memcpy(segment->name, draft, sizeof(draft));
    memcpy(segment->name + prefix_len - 4, ".log", 4);
    char path[PATH_BYTES + NAME_BYTES];
    (void)snprintf(path, sizeof(path), "%s/%s", journal->path, draft);
    segment->descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (segment->descriptor < 0) return fail_to_prepare(errno, error);
    int code = flock(segment->descriptor, LOCK_EX | LOCK_NB) != 0 ? errno : 0;
    if (code == 0 && !is_within_limit(journal->segment_bytes)) code = EFBIG;
    if (code == 0) code = reserve_blocks(segment->descriptor, journal->segment_bytes);
    if (code == 0 && renameat(journal->folder, draft, journal->folder, segment->name) != 0) {
        code = errno;
    }
    if (code != 0) {
        (void)unlinkat(journal->folder, draft, 0); /* a leftover is removed at the next start */
        close(segment->descriptor);
        return fail_to_prepare(code, error);
    }
    map_segment(segment, journal->segment_bytes);
    journal->segment_count++;
    journal->promises += promises_of(journal, segment);
    return DR_OK;
}

/* Gives the segment to the reader: its length is its content, its lock is gone. */
static void retire_first(struct journal *journal) {
    struct segment *segment = &journal->segments[0];
    dr_assert(journal->segment_count > 0);
    journal->promises -= promises_of(journal, segment);
    if (segment->written == 0) (void)unlinkat(journal->folder, segment->name, 0); /* or later */
    if (segment->mapping) (void)munmap(segment->mapping, journal->segment_bytes);
    /* A failure leaves zeros or a torn record behind the content; readers end there. */
    (void)!ftruncate(segment->descriptor, (off_t)segment->written);
    close(segment->descriptor);
    journal->segment_count--;
    memmove(&journal->segments[0], &journal->segments[1],
            journal->segment_count * sizeof(journal->segments[0]));
}

/* --- life ----------------------------------------------------------------------------------- */

enum dr_status journal_open(const char *folder, uint32_t worker_index, size_t segment_bytes,
                            struct journal **ret_journal, struct dr_error *error) {
    if (segment_bytes == 0) segment_bytes = JOURNAL_SEGMENT_BYTES;
    dr_assert(segment_bytes >= JOURNAL_RECORD_BYTES_MAX);
    struct journal *journal = dr_alloc_zero(1, sizeof(*journal));
    if (!journal) return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    enum dr_status status = DR_OK;
    struct dr_entropy entropy = {0};
    dr_entropy_take(&entropy, &journal->unique, sizeof(journal->unique));
    journal->worker_index = worker_index;
    journal->segment_bytes = segment_bytes;
    journal->started_ms = dr_wall_now().ms;
    if (strlen(folder) >= sizeof(journal->path)) {
        dr_free(journal);
        return dr_fail(error, DR_TOO_LARGE, 0, "the path of the data folder is too long");
    }
    memcpy(journal->path, folder, strlen(folder) + 1);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        status = dr_fail(error, DR_IO, errno, "can't create %s: %s", folder, strerror(errno));
        dr_free(journal);
        return status;
    }
    journal->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (journal->folder < 0) {
        status = dr_fail(error, DR_IO, errno, "can't open %s: %s", folder, strerror(errno));
        dr_free(journal);
        return status;
    }
    status = prepare_segment(journal, error);
    if (status) {
        close(journal->folder);
        dr_free(journal);
        return status;
    }
    *ret_journal = journal;
    return DR_OK;
}

void journal_close(struct journal *journal) {
    if (!journal) return;
    dr_assert(journal->open == 0);
    while (journal->segment_count > 0) retire_first(journal);
    close(journal->folder);
    dr_free(journal);
}

/* --- reservations --------------------------------------------------------------------------- */

bool journal_reserve(struct journal *journal, dr_instant now) {
    if (journal->promises <= journal->open) {
        if (journal->is_full && now.us < journal->retry_at.us) return false;
        journal->is_full = prepare_segment(journal, NULL) != DR_OK;
        if (journal->is_full) {
            journal->retry_at = dr_instant_after_ms(now, RETRY_MS);
            return false;
        }
    }
    journal->open++;
    return true;
}

void journal_release(struct journal *journal) {
    dr_assert(journal->open > 0);
    journal->open--;
}

bool journal_has_room(const struct journal *journal) {
    return journal->promises > journal->open || !journal->is_full;
}

/* --- appending ------------------------------------------------------------------------------ */

/* The file ends a little behind the last record, so that its readers need not pass over megabytes
 * of zeros. 0, or the errno. */
static int cover_mapping(struct segment *segment, size_t end, size_t segment_bytes) {
    while (segment->file_bytes < end) {
        size_t bytes = segment->file_bytes + GROWTH_BYTES;
        if (bytes > segment_bytes) bytes = segment_bytes;
        /* Written rather than lengthened: the system then makes its pages in one go. */
        const int code = write_zeros(segment->descriptor, segment->file_bytes, bytes);
        if (code != 0) return code;
        /* One call for many pages costs less than a fault for each of them. Where the system does
         * not know it (before Linux 5.14), they fault. */
        (void)madvise(segment->mapping + segment->file_bytes, bytes - segment->file_bytes,
                      MADV_POPULATE_WRITE);
        segment->file_bytes = bytes;
    }
    return 0;
}

/* 0, or the errno. */
static int write_record(const struct segment *segment, const char *record, size_t len) {
    size_t done = 0;
    while (done < len) {
        const ssize_t count = pwrite(segment->descriptor, record + done, len - done,
                                     (off_t)(segment->written + done));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return count < 0 ? errno : ENOSPC;
        done += (size_t)count;
    }
    return 0;
}

/* 0, or the errno; then nothing whole of the record is left in the file. */
static int put_record(const struct journal *journal, struct segment *segment, size_t len) {
    if (!segment->mapping) return write_record(segment, journal->record, len);
    const int code = cover_mapping(segment, segment->written + len, journal->segment_bytes);
    if (code == 0) memcpy(segment->mapping + segment->written, journal->record, len);
    return code;
}

enum dr_status journal_append(struct journal *journal, const struct ledger_entry *entry,
                              struct dr_error *error) {
    dr_assert(journal->open > 0);
    journal->open--;
    const size_t len = journal_record_write(journal->record, entry);
    while (journal->segment_count > 0 && promises_of(journal, &journal->segments[0]) == 0) {
        retire_first(journal);
    }
    /* Only after a segment was given up for an I/O error can a promise be without its room. */
    if (journal->segment_count == 0) {
        const enum dr_status status = prepare_segment(journal, error);
        if (status) {
            journal->is_full = true;
            journal->stats.failures++;
            return status;
        }
    }
    struct segment *segment = &journal->segments[0];
    const int code = put_record(journal, segment, len);
    if (code != 0) {
        journal->stats.failures++;
        retire_first(journal);
        return dr_fail(error, DR_IO, code, "can't write to the journal: %s", strerror(code));
    }
    journal->promises -= promises_of(journal, segment);
    segment->written += len;
    journal->promises += promises_of(journal, segment);
    journal->stats.records++;
    journal->stats.bytes += len;
    return DR_OK;
}

struct journal_stats journal_stats(const struct journal *journal) {
    struct journal_stats stats = journal->stats;
    stats.segments = journal->segment_count;
    for (size_t i = 0; i < journal->segment_count; i++) {
        if (journal->segments[i].mapping) stats.segments_mapped++;
    }
    stats.reserved = journal->open;
    stats.room = journal->promises > journal->open ? journal->promises - journal->open : 0;
    stats.is_full = journal->is_full;
    return stats;
}
