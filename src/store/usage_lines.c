/* Writes the usage log in large pieces. Knows neither the store nor the thread it runs in. */
#include "store/usage_lines.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 64 * 1024, BUF_BYTES_MAX = PIECE_BYTES + 64 * 1024 };

struct usage_lines {
    char path[PATH_MAX]; /* empty: no log */
    int descriptor;      /* -1: not open */
    bool is_failing;     /* said once */
    uint64_t lost;
    uint64_t buffered; /* lines */
    struct dr_buf buf;
};

static enum dr_status open_file(struct usage_lines *lines, struct dr_error *error) {
    lines->descriptor =
        open(lines->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
    if (lines->descriptor >= 0) return DR_OK;
    return dr_fail(error, DR_IO, errno, "can't open the usage log %s: %s", lines->path,
                   strerror(errno));
}

enum dr_status usage_lines_reopen(struct usage_lines *lines, const char *path,
                                  struct dr_error *error) {
    if (lines->descriptor >= 0) close(lines->descriptor);
    lines->descriptor = -1;
    lines->path[0] = '\0';
    if (!path) return DR_OK;
    if (!dr_slice_to_text(dr_slice_text(path), lines->path, sizeof(lines->path))) {
        return dr_fail(error, DR_TOO_LARGE, 0, "the path of the usage log is too long");
    }
    return open_file(lines, error);
}

enum dr_status usage_lines_new(const char *path, struct usage_lines **ret_lines,
                               struct dr_error *error) {
    struct usage_lines *lines = dr_alloc_zero(1, sizeof(*lines));
    if (!lines) return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    lines->descriptor = -1;
    dr_buf_init(&lines->buf, BUF_BYTES_MAX);
    const enum dr_status status = usage_lines_reopen(lines, path, error);
    if (status) {
        usage_lines_free(lines);
        return status;
    }
    *ret_lines = lines;
    return DR_OK;
}

void usage_lines_free(struct usage_lines *lines) {
    if (!lines) return;
    if (lines->descriptor >= 0) close(lines->descriptor);
    dr_buf_clear(&lines->buf);
    dr_free(lines);
}

bool usage_lines_are_on(const struct usage_lines *lines) {
    return lines->path[0] != '\0';
}

static uint64_t count_lines(dr_slice text) {
    uint64_t count = 0;
    for (size_t index = 0; index < text.len; index++) count += text.data[index] == '\n';
    return count;
}

/* How much of the text is in the file. */
static size_t write_all(int descriptor, dr_slice text, int *ret_code) {
    size_t done = 0;
    while (done < text.len) {
        const ssize_t count = write(descriptor, text.data + done, text.len - done);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) {
            *ret_code = count < 0 ? errno : ENOSPC;
            break;
        }
        done += (size_t)count;
    }
    return done;
}

/* Takes a cut line off the end again, so that the file stays one object a line. */
static void remove_cut_line(int descriptor, dr_slice written) {
    size_t cut_len = 0;
    while (cut_len < written.len && written.data[written.len - cut_len - 1] != '\n') cut_len++;
    struct stat file;
    if (cut_len == 0 || fstat(descriptor, &file) != 0) return;
    /* Not a regular file, or shorter than that: readers skip the line. */
    if (!S_ISREG(file.st_mode) || (size_t)file.st_size < cut_len) return;
    (void)!ftruncate(descriptor, file.st_size - (off_t)cut_len);
}

/* --- what a killed process left ------------------------------------------------------------ */

/* The end of the file, in `block`. False where that can't be had. */
static bool read_end(int descriptor, char *block, size_t bytes, off_t *ret_start, size_t *ret_len) {
    struct stat file;
    if (fstat(descriptor, &file) != 0 || !S_ISREG(file.st_mode)) return false;
    const off_t start = file.st_size > (off_t)bytes ? file.st_size - (off_t)bytes : 0;
    size_t len = 0;
    while (len < (size_t)(file.st_size - start)) {
        const ssize_t count = pread(descriptor, block + len, (size_t)(file.st_size - start) - len,
                                    start + (off_t)len);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        len += (size_t)count;
    }
    *ret_start = start;
    *ret_len = len;
    return true;
}

/* Where the last line that has an end begins; `*ret_end` is behind it. */
static dr_slice last_line(dr_slice text, size_t *ret_end) {
    size_t end = text.len;
    while (end > 0 && text.data[end - 1] != '\n') end--;
    *ret_end = end;
    if (end == 0) return DR_NONE;
    size_t start = end - 1;
    while (start > 0 && text.data[start - 1] != '\n') start--;
    return dr_slice_of(text.data + start, end - 1 - start);
}

/* Only what is ours is taken off: a file may end in anything before it becomes the usage log. */
static bool is_cut_line(dr_slice text) {
    const dr_slice begin = DR_LIT("{\"ts\":\"");
    if (text.len == 0) return false;
    return dr_slice_starts(text.len < begin.len ? begin : text,
                           text.len < begin.len ? text : begin);
}

void usage_lines_last_id(const struct usage_lines *lines, char *id, size_t bytes) {
    static const dr_slice name = {"\"request_id\":\"", 14};
    off_t start = 0;
    size_t len = 0;
    id[0] = '\0';
    if (lines->path[0] == '\0') return;
    const int descriptor = open(lines->path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (descriptor < 0) return;
    char *block = dr_alloc(PIECE_BYTES);
    if (block && read_end(descriptor, block, PIECE_BYTES, &start, &len)) {
        const dr_slice text = dr_slice_of(block, len);
        size_t end = 0;
        const dr_slice line = last_line(text, &end);
        const size_t at = dr_slice_find(line, name);
        dr_slice rest = at < line.len ? dr_slice_from(line, at + name.len) : DR_NONE;
        rest = dr_slice_first(rest, dr_slice_find_char(rest, '"'));
        (void)dr_slice_to_text(rest, id, bytes); /* one that does not fit is none of ours */
        if (is_cut_line(dr_slice_from(text, end)) && (end > 0 || start == 0)) {
            (void)!ftruncate(descriptor, start + (off_t)end);
        }
    }
    dr_free(block);
    close(descriptor);
}

/* --- writing -------------------------------------------------------------------------------- */

static void flush(struct usage_lines *lines) {
    const dr_slice text = dr_buf_slice(&lines->buf);
    int code = 0;
    size_t written = 0;
    if (text.len == 0 && lines->buffered == 0) return;
    if (lines->descriptor < 0) {
        struct dr_error error = {0};
        if (open_file(lines, &error)) code = error.os_code;
    }
    if (lines->descriptor >= 0) written = write_all(lines->descriptor, text, &code);
    if (written < text.len && written > 0) {
        remove_cut_line(lines->descriptor, dr_slice_first(text, written));
    }
    const uint64_t kept = count_lines(dr_slice_first(text, written));
    lines->lost += lines->buffered - kept;
    if (code != 0 && !lines->is_failing) {
        dr_log(DR_LOG_ERROR, "usage_log.failing",
               "file=%s text=\"%s\" (lines are lost; the store has them)", lines->path,
               strerror(code));
    } else if (code == 0 && lines->is_failing) {
        dr_log(DR_LOG_INFO, "usage_log.recovered", "file=%s lost=%" PRIu64, lines->path,
               lines->lost);
    }
    lines->is_failing = code != 0;
    lines->buffered = 0;
    dr_buf_reset(&lines->buf);
}

void usage_lines_put(struct usage_lines *lines, dr_slice records) {
    struct ledger_entry entry;
    if (lines->path[0] == '\0') return;
    while (journal_decode(&records, &entry) == JOURNAL_RECORD) {
        const size_t before = lines->buf.len;
        ledger_entry_put_usage_line(&lines->buf, &entry);
        dr_buf_put_char(&lines->buf, '\n');
        if (dr_buf_status(&lines->buf)) {
            /* Out of memory: what was whole is written, this line is lost. */
            lines->buf.len = before;
            lines->lost++;
            flush(lines);
            continue;
        }
        lines->buffered++;
        if (lines->buf.len >= PIECE_BYTES) flush(lines);
    }
    flush(lines);
}

uint64_t usage_lines_lost(const struct usage_lines *lines) {
    return lines->lost;
}
