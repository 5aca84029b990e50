/* Names of outcomes and the filling of errors. Must not log: it only words what others know. */
#include "base/status.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

const char *dr_status_name(enum dr_status status) {
    switch (status) {
    case DR_OK: return "ok";
    case DR_NO_MEMORY: return "no memory";
    case DR_TOO_LARGE: return "too large";
    case DR_INVALID: return "invalid";
    case DR_NOT_FOUND: return "not found";
    case DR_EXISTS: return "exists";
    case DR_IO: return "input/output";
    case DR_TIMED_OUT: return "timed out";
    case DR_CLOSED: return "closed";
    case DR_UNSUPPORTED: return "unsupported";
    case DR_CORRUPT: return "corrupt";
    }
    return "unknown";
}

enum dr_status dr_fail(struct dr_error *error, enum dr_status status, int os_code,
                       const char *format, ...) {
    if (!error) return status;
    error->status = status;
    error->os_code = os_code;
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(error->text, sizeof(error->text), format, arguments) < 0) error->text[0] = '\0';
    va_end(arguments);
    return status;
}
