/* Event lines on standard error, `key=value`, stable event name first:
 *   2026-11-24T00:17:26.123Z info exchange.settled id=req_… status=200 ms=412
 * One write(2) a line, from any thread. Never pass a prompt, an answer or a secret. The foundation,
 * net, model, dialect and policy do not log. */
#ifndef DR_BASE_LOG_H
#define DR_BASE_LOG_H

#include "base/slice.h"
#include "base/status.h"

enum dr_log_level { DR_LOG_ERROR, DR_LOG_WARN, DR_LOG_INFO, DR_LOG_DEBUG };

/* Lines above `level` are dropped. Default DR_LOG_INFO. */
void dr_log_set_level(enum dr_log_level level);
bool dr_log_is_on(enum dr_log_level level);
bool dr_log_level_parse(dr_slice text, enum dr_log_level *ret);
/* `format` gives the rest of the line ("id=%.*s status=%u"). Control characters are replaced; the
 * line is cut at 2 KiB; beyond 1,000 lines a second per level, lines are
 * counted and dropped, and a line says so. */
void dr_log(enum dr_log_level level, const char *event, const char *format, ...) DR_PRINTF(3, 4);

#endif
