/* The usage log's file: one JSON line per settled exchange, appended after the exchange is in
 * the store. A line that can't be written is counted and not tried again, since the store has
 * it.
 *
 * A process that is killed may have written some of its last batch's lines. The next one reads
 * which line is the last (`usage_lines_last_id`) and goes on behind it, so that the file has
 * each line once. Where the file can't be read back (a pipe), or was moved away without a reload
 * in the last moment before the crash, the lines of that batch come again: readers that must be
 * exact take `request_id` as key. Lines are not synced: a machine that dies may lose the last
 * ones. */
#ifndef DR_STORE_USAGE_LINES_H
#define DR_STORE_USAGE_LINES_H

#include "base/slice.h"
#include "base/status.h"

struct usage_lines;

/* `path` NULL: no log; then putting is a no-op. The path is copied. */
enum dr_status usage_lines_new(const char *path, struct usage_lines **ret_lines,
                               struct dr_error *error) DR_MUST_USE;
void usage_lines_free(struct usage_lines *lines);
/* Closes the file and opens `path` (NULL: none). On failure lines are lost until it works; each
 * put tries again. */
enum dr_status usage_lines_reopen(struct usage_lines *lines, const char *path,
                                  struct dr_error *error) DR_MUST_USE;
/* Whether there is a log, be it one that can't be written to. */
bool usage_lines_are_on(const struct usage_lines *lines);
/* The request id of the file's last whole line, cut to `bytes`; a line that a killed process left
 * without its end is taken off first. Empty when there is no such line or the file can't tell. */
void usage_lines_last_id(const struct usage_lines *lines, char *id, size_t bytes);
/* `records` are whole journal records. */
void usage_lines_put(struct usage_lines *lines, dr_slice records);
uint64_t usage_lines_lost(const struct usage_lines *lines);

#endif
