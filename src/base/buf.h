/* Owned, growing bytes with a cap and a sticky failure: append freely, ask once at the end. */
#ifndef DR_BASE_BUF_H
#define DR_BASE_BUF_H

#include "base/slice.h"
#include "base/status.h"

struct dr_buf {
    char *data;
    size_t len;
    /* Private part. */
    size_t capacity;
    size_t cap;            /* most bytes it may ever hold */
    enum dr_status status; /* first failure */
};

/* Allocates nothing yet. */
void dr_buf_init(struct dr_buf *buf, size_t cap);
/* Frees the memory; leaves an empty, reusable buffer with the same cap. Accepts a zeroed one. */
void dr_buf_clear(struct dr_buf *buf);
/* Gives back what it holds no bytes in. Failing to is no failure. */
void dr_buf_trim(struct dr_buf *buf);
/* Empties and forgets a failure, keeps the memory. */
void dr_buf_reset(struct dr_buf *buf);

/* Each append is a no-op after the first failure. */
void dr_buf_put_growing(struct dr_buf *buf, dr_slice bytes); /* what dr_buf_put does without room */
static inline void dr_buf_put(struct dr_buf *buf, dr_slice bytes) {
    if (bytes.len > buf->capacity - buf->len || buf->status || bytes.len == 0) {
        dr_buf_put_growing(buf, bytes);
        return;
    }
    memcpy(buf->data + buf->len, bytes.data, bytes.len);
    buf->len += bytes.len;
}
void dr_buf_put_char(struct dr_buf *buf, char byte);
void dr_buf_put_u64(struct dr_buf *buf, uint64_t value);
void dr_buf_put_i64(struct dr_buf *buf, int64_t value);
/* Lower-case hexadecimal without leading zeros (chunk sizes). */
void dr_buf_put_hex(struct dr_buf *buf, uint64_t value);
void dr_buf_format(struct dr_buf *buf, const char *format, ...) DR_PRINTF(2, 3);

/* What dr_buf_reserve does with little room left, or none. */
char *dr_buf_reserve_growing(struct dr_buf *buf, size_t len);
/* Room for `len` more bytes at the end, to be written by the caller and then added with
 * `dr_buf_commit`. NULL on failure (which sticks). Lent until the next call. */
static inline char *dr_buf_reserve(struct dr_buf *buf, size_t len)
    __attribute__((always_inline)); /* small as it is, gcc would not: 22 instructions a frame */
static inline char *dr_buf_reserve(struct dr_buf *buf, size_t len) {
    if (len >= buf->capacity - buf->len || buf->status) return dr_buf_reserve_growing(buf, len);
    return buf->data + buf->len;
}
void dr_buf_commit(struct dr_buf *buf, size_t len);
/* Drops `len` bytes from the front, moving the rest. */
void dr_buf_consume(struct dr_buf *buf, size_t len);

/* DR_OK, DR_TOO_LARGE or DR_NO_MEMORY; DR_INVALID when a format itself could not be carried
 * out. */
enum dr_status dr_buf_status(const struct dr_buf *buf) DR_MUST_USE;
/* Lent until the next append. */
static inline dr_slice dr_buf_slice(const struct dr_buf *buf) {
    return (dr_slice){buf->data, buf->len};
}

#endif
