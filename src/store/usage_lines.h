/* The usage log's file: one JSON line per settled exchange, appended after the exchange is in the
 * store. A line that can't be written is counted and not tried again, since the store has it. */
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
/* `records` are whole journal records. */
void usage_lines_put(struct usage_lines *lines, dr_slice records);
uint64_t usage_lines_lost(const struct usage_lines *lines);

#endif
