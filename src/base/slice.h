/* Borrowed bytes: a pointer and a length, immutable, passed by value, not NUL-terminated. */
#ifndef DR_BASE_SLICE_H
#define DR_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct dr_slice {
    const char *data;
    size_t len;
} dr_slice;

#define DR_LIT(text) ((dr_slice){"" text, sizeof(text) - 1})
#define DR_NONE ((dr_slice){NULL, 0})
/* For printf: `"%.*s", DR_FMT(slice)`. Lengths beyond INT_MAX never reach a log. */
#define DR_FMT(slice) (int)(slice).len, (slice).data

static inline dr_slice dr_slice_of(const char *data, size_t len) {
    return (dr_slice){data, len};
}
/* `text` NULL gives the empty slice. */
static inline dr_slice dr_slice_text(const char *text) {
    return (dr_slice){text, text ? strlen(text) : 0};
}
static inline bool dr_slice_is(dr_slice a, dr_slice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}
/* From `start` to the end; `start` is clamped to the length. */
static inline dr_slice dr_slice_from(dr_slice slice, size_t start) {
    if (start > slice.len) start = slice.len;
    return (dr_slice){slice.data ? slice.data + start : NULL, slice.len - start};
}
/* The first `len` bytes, clamped. */
static inline dr_slice dr_slice_first(dr_slice slice, size_t len) {
    return (dr_slice){slice.data, len < slice.len ? len : slice.len};
}

/* ASCII case folded (header names, tokens). */
bool dr_slice_is_nocase_of_equal_length(const char *a, const char *b, size_t len);
static inline bool dr_slice_is_nocase(dr_slice a, dr_slice b) {
    return a.len == b.len && dr_slice_is_nocase_of_equal_length(a.data, b.data, a.len);
}
bool dr_slice_starts(dr_slice slice, dr_slice prefix);
bool dr_slice_ends(dr_slice slice, dr_slice suffix);
/* Index of the first match, or `slice.len` when there is none. */
size_t dr_slice_find(dr_slice slice, dr_slice needle);
size_t dr_slice_find_char(dr_slice slice, char needle);
/* Without leading and trailing blanks and tabs (RFC 9110 OWS). */
dr_slice dr_slice_trim(dr_slice slice);
/* Cuts off and returns what precedes `separator`; `*rest` goes behind it. Without one, the whole
 * is returned and `*rest` becomes empty with data NULL. */
dr_slice dr_slice_split(dr_slice *rest, char separator);
/* Whole slice as a decimal number; false on any other byte, emptiness, overflow. The first takes no
 * sign, the second an optional minus. */
bool dr_slice_to_u64(dr_slice slice, uint64_t *ret);
bool dr_slice_to_i64(dr_slice slice, int64_t *ret);
/* Writes decimal digits, without a NUL; returns how many. */
enum { DR_U64_TEXT_BYTES = 20 };
size_t dr_u64_text(uint64_t value, char text[DR_U64_TEXT_BYTES]);
/* Copies into `buffer` with a NUL; false when it does not fit or holds a NUL. */
bool dr_slice_to_text(dr_slice slice, char *buffer, size_t buffer_len);
/* Keyed 64-bit hash (XXH3). */
uint64_t dr_slice_hash(dr_slice slice, uint64_t seed);

#endif
