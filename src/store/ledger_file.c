/* See the header. Pages are gathered and written past the system's cache (O_DIRECT), in whole
 * blocks: nearly none is ever read again, and memory for them, new to the machine each time, costs
 * more than all the rest. The block that the end lies in is written again with the next pages, its
 * front as it was.
 *
 * Where a file system knows no direct writes, the same blocks are written the usual way. */
#include "store/ledger_file.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_BYTES = 4096,
    BLOCK_BYTES = 4096, /* whole ones of any disk we know of */
    GATHER_BYTES = 256 * 1024,
};

static const uint64_t file_bytes_default = 1024 * 1024 * 1024;

struct open_file {
    uint32_t file; /* 0: none */
    int descriptor;
};

struct ledger_file {
    char folder[PATH_BYTES];
    uint64_t file_bytes_max;
    struct open_file written, read;
    bool is_new; /* the written file's name may not be on the disk yet */

    struct ledger_place end; /* of what was appended */
    char *allocation;
    char *gathered;      /* GATHER_BYTES in it, at a block's border */
    size_t gathered_len; /* the file's last bytes up to the end, from a block's border on */
    bool is_loaded;      /* `gathered` holds them */
    bool is_dirty;       /* ... and they are not in the file */
};

/* --- files ---------------------------------------------------------------------------------- */

static void name_file(const struct ledger_file *ledger, uint32_t file, char path[PATH_BYTES + 32]) {
    (void)snprintf(path, PATH_BYTES + 32, "%s/%06" PRIu32 ".records", ledger->folder, file);
}

static void close_file(struct open_file *open_file) {
    if (open_file->file != 0) close(open_file->descriptor);
    *open_file = (struct open_file){0};
}

static enum dr_status fail_write(const struct ledger_file *ledger, int code,
                                 struct dr_error *error) {
    if (code == ENOSPC || code == EDQUOT) {
        return dr_fail(error, DR_IO, code, "the disk that holds %s is full", ledger->folder);
    }
    return dr_fail(error, DR_IO, code, "can't write to %s: %s", ledger->folder, strerror(code));
}

static enum dr_status sync_folder(const char *path, struct dr_error *error) {
    const int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int code = folder < 0 || fsync(folder) != 0 ? errno : 0;
    if (folder >= 0) close(folder);
    if (code == 0) return DR_OK;
    return dr_fail(error, DR_IO, code, "can't sync %s: %s", path, strerror(code));
}

/* The folder's own name lies in the one above, which is synced for one that is there, too: who made
 * it may have died before the sync. */
static enum dr_status make_folder(const struct ledger_file *ledger, struct dr_error *error) {
    char above[PATH_BYTES + 4];
    if (mkdir(ledger->folder, 0700) != 0 && errno != EEXIST) {
        return fail_write(ledger, errno, error);
    }
    (void)snprintf(above, sizeof(above), "%s/..", ledger->folder);
    return sync_folder(above, error);
}

static enum dr_status open_written(struct ledger_file *ledger, struct dr_error *error) {
    const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    char path[PATH_BYTES + 32];
    if (ledger->written.file == ledger->end.file) return DR_OK;
    const enum dr_status status = make_folder(ledger, error);
    if (status) return status;
    name_file(ledger, ledger->end.file, path);
    int descriptor = open(path, flags | O_DIRECT, 0600);
    if (descriptor < 0 && errno == EINVAL) descriptor = open(path, flags, 0600);
    if (descriptor < 0) return fail_write(ledger, errno, error);
    close_file(&ledger->written);
    ledger->written = (struct open_file){ledger->end.file, descriptor};
    ledger->is_new = true;
    return DR_OK;
}

void ledger_file_check(const struct ledger_file *ledger, struct ledger_place end) {
    char path[PATH_BYTES + 32];
    struct stat file;
    name_file(ledger, end.file, path);
    if (stat(path, &file) == 0 && (uint64_t)file.st_size >= end.offset) return;
    dr_log(DR_LOG_ERROR, "ledger.missing",
           "file=%s (settled requests that the database counts are not there; put the file back "
           "from a backup)",
           path);
}

/* --- life ----------------------------------------------------------------------------------- */

/* A limit on files' size (ulimit -f) only makes them smaller; blocks are written whole. */
static uint64_t default_bytes_max(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur > file_bytes_default) {
        return file_bytes_default;
    }
    return limit.rlim_cur / BLOCK_BYTES * BLOCK_BYTES;
}

enum dr_status ledger_file_new(const char *data_folder, struct ledger_place end,
                               uint64_t file_bytes_max, struct ledger_file **ret_ledger,
                               struct dr_error *error) {
    struct ledger_file *ledger = dr_alloc_zero(1, sizeof(*ledger));
    if (ledger) ledger->allocation = dr_alloc(GATHER_BYTES + BLOCK_BYTES);
    if (!ledger || !ledger->allocation) {
        ledger_file_free(ledger);
        return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    }
    const size_t beyond = (uintptr_t)ledger->allocation % BLOCK_BYTES;
    ledger->gathered = ledger->allocation + (BLOCK_BYTES - beyond);
    const int len = snprintf(ledger->folder, sizeof(ledger->folder), "%s/ledger", data_folder);
    if (len < 0 || (size_t)len >= sizeof(ledger->folder)) {
        ledger_file_free(ledger);
        return dr_fail(error, DR_TOO_LARGE, 0, "the path of the data folder is too long");
    }
    ledger->file_bytes_max = file_bytes_max ? file_bytes_max : default_bytes_max();
    ledger->end = end;
    *ret_ledger = ledger;
    return DR_OK;
}

void ledger_file_free(struct ledger_file *ledger) {
    if (!ledger) return;
    close_file(&ledger->written);
    close_file(&ledger->read);
    dr_free(ledger->allocation);
    dr_free(ledger);
}

/* --- writing -------------------------------------------------------------------------------- */

/* 0, or the errno. */
static int write_blocks(int descriptor, const char *blocks, size_t len, uint64_t offset) {
    size_t done = 0;
    while (done < len) {
        const ssize_t count = pwrite(descriptor, blocks + done, len - done, (off_t)(offset + done));
        if (count > 0) {
            done += (size_t)count;
            continue;
        }
        if (count == 0) return ENOSPC;
        if (errno == EINTR) continue;
        /* Some file systems say only now that they know no direct writes. */
        const int flags = errno == EINVAL ? fcntl(descriptor, F_GETFL) : 0;
        if (flags <= 0 || !(flags & O_DIRECT)) return errno;
        if (fcntl(descriptor, F_SETFL, flags & ~O_DIRECT) != 0) return errno;
    }
    return 0;
}

/* Writes what is gathered and keeps the block that the end lies in. */
static enum dr_status flush(struct ledger_file *ledger, struct dr_error *error) {
    const size_t kept = ledger->gathered_len % BLOCK_BYTES;
    const size_t whole = ledger->gathered_len - kept;
    const size_t len = kept > 0 ? whole + BLOCK_BYTES : whole;
    if (!ledger->is_dirty) return DR_OK;
    memset(ledger->gathered + ledger->gathered_len, 0, len - ledger->gathered_len);
    const enum dr_status status = open_written(ledger, error);
    if (status) return status;
    const int code = write_blocks(ledger->written.descriptor, ledger->gathered, len,
                                  ledger->end.offset - ledger->gathered_len);
    if (code != 0) return fail_write(ledger, code, error);
    memmove(ledger->gathered, ledger->gathered + whole, kept);
    ledger->gathered_len = kept;
    ledger->is_dirty = false;
    return DR_OK;
}

static void go_to_next_file(struct ledger_file *ledger) {
    ledger->end = (struct ledger_place){ledger->end.file + 1, 0};
    ledger->gathered_len = 0;
    ledger->is_loaded = true;
}

/* The front of the block that the end lies in, or all of it. What is lost can't be written on: the
 * file may be put back. */
static enum dr_status load_end(struct ledger_file *ledger, struct dr_error *error) {
    const size_t rest = ledger->end.offset % BLOCK_BYTES;
    const size_t len = rest > 0 || ledger->end.offset == 0 ? rest : BLOCK_BYTES;
    const struct ledger_place place = {ledger->end.file, ledger->end.offset - len};
    enum dr_status status = DR_OK;
    if (ledger->end.file == 0) {
        go_to_next_file(ledger);
        return DR_OK;
    }
    status = ledger_file_read(ledger, place, ledger->gathered, len, error);
    if (status == DR_CORRUPT) {
        go_to_next_file(ledger);
        return DR_OK;
    }
    if (status) return status;
    ledger->gathered_len = rest;
    ledger->is_loaded = true;
    return DR_OK;
}

enum dr_status ledger_file_append(struct ledger_file *ledger, dr_slice page,
                                  struct ledger_place *ret_place, struct dr_error *error) {
    enum dr_status status = DR_OK;
    dr_assert(page.len <= LEDGER_PAGE_BYTES_MAX);
    if (!ledger->is_loaded) status = load_end(ledger, error);
    if (!status && ledger->gathered_len + page.len > GATHER_BYTES) status = flush(ledger, error);
    if (!status && ledger->end.offset > 0 &&
        ledger->end.offset + page.len > ledger->file_bytes_max) {
        status = ledger_file_sync(ledger, error);
        if (!status) go_to_next_file(ledger);
    }
    if (status) return status;
    memcpy(ledger->gathered + ledger->gathered_len, page.data, page.len);
    ledger->gathered_len += page.len;
    ledger->is_dirty = true;
    *ret_place = ledger->end;
    ledger->end.offset += page.len;
    return DR_OK;
}

enum dr_status ledger_file_sync(struct ledger_file *ledger, struct dr_error *error) {
    enum dr_status status = flush(ledger, error);
    if (status || ledger->written.file == 0) return status;
    if (fdatasync(ledger->written.descriptor) != 0) return fail_write(ledger, errno, error);
    if (ledger->is_new) status = sync_folder(ledger->folder, error);
    if (!status) ledger->is_new = false;
    return status;
}

struct ledger_place ledger_file_end(const struct ledger_file *ledger) {
    return ledger->end;
}

void ledger_file_rewind(struct ledger_file *ledger, struct ledger_place end) {
    ledger->end = end;
    ledger->gathered_len = 0;
    ledger->is_loaded = false;
    ledger->is_dirty = false;
}

/* --- reading -------------------------------------------------------------------------------- */

static enum dr_status fail_read(const struct ledger_file *ledger, uint32_t file,
                                struct dr_error *error) {
    return dr_fail(error, DR_CORRUPT, 0,
                   "%s/%06" PRIu32 ".records: a page of settled exchanges is missing",
                   ledger->folder, file);
}

static enum dr_status open_read(struct ledger_file *ledger, uint32_t file, struct dr_error *error) {
    char path[PATH_BYTES + 32];
    if (ledger->read.file == file) return DR_OK;
    name_file(ledger, file, path);
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor < 0 && errno == ENOENT) return fail_read(ledger, file, error);
    if (descriptor < 0) {
        return dr_fail(error, DR_IO, errno, "can't open %s: %s", path, strerror(errno));
    }
    close_file(&ledger->read);
    ledger->read = (struct open_file){file, descriptor};
    return DR_OK;
}

enum dr_status ledger_file_read(struct ledger_file *ledger, struct ledger_place place, char *bytes,
                                size_t len, struct dr_error *error) {
    const enum dr_status status = open_read(ledger, place.file, error);
    if (status) return status;
    for (size_t done = 0; done < len;) {
        const ssize_t count =
            pread(ledger->read.descriptor, bytes + done, len - done, (off_t)(place.offset + done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) {
            return dr_fail(error, DR_IO, errno, "can't read %s: %s", ledger->folder,
                           strerror(errno));
        }
        if (count == 0) return fail_read(ledger, place.file, error);
        done += (size_t)count;
    }
    return DR_OK;
}
