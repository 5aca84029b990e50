/* Bytes that grow up to a cap. Must not hold more than it was allowed, or forget its first failure.
 *
 * The block has one byte more than `capacity`, for the NUL that vsnprintf insists on: text that
 * fills the cap to the last byte can still be formatted in place. */
#include "base/buf.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>

enum { CAPACITY_MIN = 256 };

void dr_buf_init(struct dr_buf *buf, size_t cap) {
    *buf = (struct dr_buf){.cap = cap};
}

void dr_buf_clear(struct dr_buf *buf) {
    dr_free(buf->data);
    dr_buf_init(buf, buf->cap);
}

void dr_buf_trim(struct dr_buf *buf) {
    if (buf->len == 0) {
        dr_free(buf->data);
        buf->data = NULL;
        buf->capacity = 0;
        return;
    }
    if (buf->len == buf->capacity) return;
    char *block = dr_realloc(buf->data, buf->len + 1);
    if (!block) return;
    buf->data = block;
    buf->capacity = buf->len;
}

void dr_buf_reset(struct dr_buf *buf) {
    buf->len = 0;
    buf->status = DR_OK;
}

static bool grow(struct dr_buf *buf, size_t needed) {
    size_t capacity = buf->capacity < CAPACITY_MIN / 2 ? CAPACITY_MIN : buf->capacity;
    if (capacity == buf->capacity && !dr_mul_size(capacity, 2, &capacity)) capacity = buf->cap;
    if (capacity < needed) capacity = needed;
    if (capacity > buf->cap) capacity = buf->cap;
    size_t block_bytes;
    char *block =
        dr_add_size(capacity, 1, &block_bytes) ? dr_realloc(buf->data, block_bytes) : NULL;
    if (!block) {
        buf->status = DR_NO_MEMORY;
        return false;
    }
    buf->data = block;
    buf->capacity = capacity;
    return true;
}

char *dr_buf_reserve_growing(struct dr_buf *buf, size_t len) {
    if (buf->status) return NULL;
    dr_assert(buf->len <= buf->capacity);
    if (len > buf->capacity - buf->len || !buf->data) {
        if (len > buf->cap - buf->len) {
            buf->status = DR_TOO_LARGE;
            return NULL;
        }
        if (!grow(buf, buf->len + len)) return NULL;
    }
    return buf->data + buf->len;
}

void dr_buf_commit(struct dr_buf *buf, size_t len) {
    dr_assert(len <= buf->capacity - buf->len);
    buf->len += len;
}

void dr_buf_put_growing(struct dr_buf *buf, dr_slice bytes) {
    if (bytes.len == 0) return;
    char *room = dr_buf_reserve_growing(buf, bytes.len);
    if (!room) return;
    memcpy(room, bytes.data, bytes.len);
    buf->len += bytes.len;
}

void dr_buf_put_char(struct dr_buf *buf, char byte) {
    char *room = dr_buf_reserve(buf, 1);
    if (!room) return;
    *room = byte;
    buf->len++;
}

void dr_buf_put_u64(struct dr_buf *buf, uint64_t value) {
    char digits[DR_U64_TEXT_BYTES];
    const size_t len = dr_u64_text(value, digits);
    dr_buf_put(buf, (dr_slice){digits, len});
}

void dr_buf_put_i64(struct dr_buf *buf, int64_t value) {
    if (value >= 0) {
        dr_buf_put_u64(buf, (uint64_t)value);
        return;
    }
    /* Sign and digits in one piece: a failure leaves no lonely sign behind. */
    char text[21];
    size_t at = sizeof(text);
    uint64_t left = 0 - (uint64_t)value;
    do {
        text[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    text[--at] = '-';
    dr_buf_put(buf, (dr_slice){text + at, sizeof(text) - at});
}

void dr_buf_put_hex(struct dr_buf *buf, uint64_t value) {
    char digits[16];
    size_t at = sizeof(digits);
    do {
        digits[--at] = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value > 0);
    dr_buf_put(buf, (dr_slice){digits + at, sizeof(digits) - at});
}

void dr_buf_format(struct dr_buf *buf, const char *format, ...) {
    char *room = dr_buf_reserve(buf, 0);
    if (!room) return;
    va_list arguments;
    va_start(arguments, format);
    const size_t room_len = buf->capacity - buf->len;
    const int written = vsnprintf(room, room_len + 1, format, arguments);
    va_end(arguments);
    if (written < 0) {
        buf->status = DR_INVALID;
        return;
    }
    const size_t len = (size_t)written;
    if (len > room_len) {
        room = dr_buf_reserve(buf, len);
        if (!room) return;
        va_start(arguments, format);
        (void)vsnprintf(room, len + 1, format, arguments);
        va_end(arguments);
    }
    buf->len += len;
}

void dr_buf_consume(struct dr_buf *buf, size_t len) {
    dr_assert(len <= buf->len);
    if (len == 0) return;
    buf->len -= len;
    if (buf->len > 0) memmove(buf->data, buf->data + len, buf->len);
}

enum dr_status dr_buf_status(const struct dr_buf *buf) {
    return buf->status;
}
