/* Outcomes of foundation calls. Failure is a small closed set; the detail for humans goes into
 * a `struct dr_error` that the one who first knows fills in. */
#ifndef DR_BASE_STATUS_H
#define DR_BASE_STATUS_H

#define DR_MUST_USE __attribute__((warn_unused_result))
#define DR_PRINTF(format_index, first_index) \
    __attribute__((format(printf, format_index, first_index)))

enum dr_status {
    DR_OK = 0,
    DR_NO_MEMORY, /* allocation failed, or an arena's cap is reached */
    DR_TOO_LARGE, /* a stated limit is exceeded */
    DR_INVALID,   /* outside bytes that break their rule */
    DR_NOT_FOUND,
    DR_EXISTS, /* a name or place that is taken */
    DR_IO,     /* the system refused; `os_code` holds errno */
    DR_TIMED_OUT,
    DR_CLOSED, /* the other side is gone */
    DR_UNSUPPORTED,
    DR_CORRUPT, /* stored data that fails its checksum */
};

struct dr_error {
    enum dr_status status;
    int os_code;    /* errno, 0 where none applies */
    char text[256]; /* a sentence without a final period, NUL-terminated */
};

/* A short English word for `status`, static storage. */
const char *dr_status_name(enum dr_status status);

/* Fills `error` (may be NULL) and returns `status`, so that callers write
 * `return dr_fail(error, DR_INVALID, 0, "...")`. Text is cut at the end of the field. */
enum dr_status dr_fail(struct dr_error *error, enum dr_status status, int os_code,
                       const char *format, ...) DR_PRINTF(4, 5);

#endif
