/* Event lines on standard error. Must not block beyond its one write, allocate, or take a lock.
 *
 * The sink is the one piece of file-scope state the style allows: the level, and for each level
 * the current second (upper half) with the lines asked for in it (lower half), in one atomic. The
 * thread that opens a new second also reports what the last one dropped. */
#include "base/log.h"

#include "base/instant.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { LEVEL_COUNT = 4, LINE_BYTES_MAX = 2048, LINES_PER_SECOND_MAX = 1000 };

static const char *const level_names[LEVEL_COUNT] = {
    [DR_LOG_ERROR] = "error",
    [DR_LOG_WARN] = "warn",
    [DR_LOG_INFO] = "info",
    [DR_LOG_DEBUG] = "debug",
};

static _Atomic int level_max = DR_LOG_INFO;
static _Atomic uint64_t lines_in_second[LEVEL_COUNT];

void dr_log_set_level(enum dr_log_level level) {
    atomic_store_explicit(&level_max, (int)level, memory_order_relaxed);
}

bool dr_log_is_on(enum dr_log_level level) {
    return (int)level <= atomic_load_explicit(&level_max, memory_order_relaxed);
}

bool dr_log_level_parse(dr_slice text, enum dr_log_level *ret) {
    for (int i = 0; i < LEVEL_COUNT; i++) {
        if (dr_slice_is(text, dr_slice_text(level_names[i]))) {
            *ret = (enum dr_log_level)i;
            return true;
        }
    }
    return false;
}

/* Whether one more line may go out; `*ret_dropped` is what to report of an earlier second. */
static bool may_write(enum dr_log_level level, uint32_t *ret_dropped) {
    const uint64_t second = (uint64_t)(dr_instant_now().us / 1000000) & UINT32_MAX;
    _Atomic uint64_t *lines = &lines_in_second[level];
    uint64_t old = atomic_load_explicit(lines, memory_order_relaxed);
    uint64_t new;
    do {
        new = old >> 32 == second ? old : second << 32;
        if ((new &UINT32_MAX) < UINT32_MAX) new ++;
    } while (!atomic_compare_exchange_weak_explicit(lines, &old, new, memory_order_relaxed,
                                                    memory_order_relaxed));
    *ret_dropped = 0;
    if (old >> 32 != second && (old & UINT32_MAX) > LINES_PER_SECOND_MAX) {
        *ret_dropped = (uint32_t)(old & UINT32_MAX) - LINES_PER_SECOND_MAX;
    }
    return (new &UINT32_MAX) <= LINES_PER_SECOND_MAX;
}

/* Nothing an outsider named may move a terminal's cursor or begin a line of its own. */
static void redact(char *line, size_t len) {
    const bool is_utf8 = dr_utf8_is_valid((dr_slice){line, len});
    for (size_t i = 0; i < len; i++) {
        const uint8_t byte = (uint8_t)line[i];
        if (byte < 0x20 || byte == 0x7F || (byte >= 0x80 && !is_utf8)) {
            line[i] = '?';
        } else if (byte == 0xC2 && i + 1 < len && (uint8_t)line[i + 1] < 0xA0) {
            /* U+0080 to U+009F are controls too. */
            line[i] = '?';
            line[i + 1] = '?';
        }
    }
}

__attribute__((format(printf, 3, 0))) static void write_line(enum dr_log_level level,
                                                             const char *event, const char *format,
                                                             va_list arguments) {
    char line[LINE_BYTES_MAX + 1];
    char wall[DR_WALL_TEXT_BYTES];
    dr_wall_format(dr_wall_now(), wall);
    const int head = snprintf(line, LINE_BYTES_MAX, "%s %s %s", wall, level_names[level], event);
    if (head < 0) return;
    size_t len = (size_t)head < LINE_BYTES_MAX ? (size_t)head : LINE_BYTES_MAX - 1;
    if (format[0] != '\0' && len + 1 < LINE_BYTES_MAX) {
        line[len++] = ' ';
        const int rest = vsnprintf(line + len, LINE_BYTES_MAX - len, format, arguments);
        if (rest <= 0) {
            len--; /* nothing follows the blank */
        } else {
            const size_t room = LINE_BYTES_MAX - 1 - len;
            len += (size_t)rest < room ? (size_t)rest : room;
            if ((size_t)rest > room) {
                /* The cut may have gone through a character: ask one byte further on. */
                line[len] = (char)0x80;
                len = dr_utf8_first((dr_slice){line, len + 1}, len).len;
            }
        }
    }
    redact(line, len);
    line[len++] = '\n';
    /* A full pipe or a closed standard error loses the line: there is nobody left to tell. */
    ssize_t written;
    do {
        written = write(STDERR_FILENO, line, len);
    } while (written < 0 && errno == EINTR);
}

DR_PRINTF(3, 4)
static void write_format(enum dr_log_level level, const char *event, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    write_line(level, event, format, arguments);
    va_end(arguments);
}

void dr_log(enum dr_log_level level, const char *event, const char *format, ...) {
    if (!dr_log_is_on(level)) return;
    /* Callers log what failed and may look at errno afterwards. */
    const int saved = errno;
    uint32_t dropped;
    const bool is_allowed = may_write(level, &dropped);
    if (dropped > 0) {
        write_format(level, "log.dropped", "level=%s lines=%u", level_names[level], dropped);
    }
    if (is_allowed) {
        va_list arguments;
        va_start(arguments, format);
        write_line(level, event, format, arguments);
        va_end(arguments);
    }
    errno = saved;
}
