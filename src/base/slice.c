/* Comparing, searching and reading borrowed bytes. Must not allocate or keep anything. */
#include "base/slice.h"

#include <xxhash.h>

#include <string.h>

static char fold(char byte) {
    return byte >= 'A' && byte <= 'Z' ? (char)(byte + ('a' - 'A')) : byte;
}

bool dr_slice_is_nocase(dr_slice a, dr_slice b) {
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++) {
        if (fold(a.data[i]) != fold(b.data[i])) return false;
    }
    return true;
}

bool dr_slice_starts(dr_slice slice, dr_slice prefix) {
    return slice.len >= prefix.len && dr_slice_is(dr_slice_first(slice, prefix.len), prefix);
}

bool dr_slice_ends(dr_slice slice, dr_slice suffix) {
    return slice.len >= suffix.len &&
           dr_slice_is(dr_slice_from(slice, slice.len - suffix.len), suffix);
}

size_t dr_slice_find(dr_slice slice, dr_slice needle) {
    if (needle.len == 0) return 0;
    if (needle.len > slice.len) return slice.len;
    const char *found = memmem(slice.data, slice.len, needle.data, needle.len);
    return found ? (size_t)(found - slice.data) : slice.len;
}

size_t dr_slice_find_char(dr_slice slice, char needle) {
    if (slice.len == 0) return 0;
    const char *found = memchr(slice.data, needle, slice.len);
    return found ? (size_t)(found - slice.data) : slice.len;
}

static bool is_blank(char byte) {
    return byte == ' ' || byte == '\t';
}

dr_slice dr_slice_trim(dr_slice slice) {
    while (slice.len > 0 && is_blank(slice.data[0])) {
        slice.data++;
        slice.len--;
    }
    while (slice.len > 0 && is_blank(slice.data[slice.len - 1])) slice.len--;
    return slice;
}

dr_slice dr_slice_split(dr_slice *rest, char separator) {
    const dr_slice whole = *rest;
    const size_t at = dr_slice_find_char(whole, separator);
    if (at == whole.len) {
        *rest = DR_NONE;
        return whole;
    }
    *rest = dr_slice_from(whole, at + 1);
    return dr_slice_first(whole, at);
}

bool dr_slice_to_u64(dr_slice slice, uint64_t *ret) {
    if (slice.len == 0) return false;
    uint64_t value = 0;
    for (size_t i = 0; i < slice.len; i++) {
        const char byte = slice.data[i];
        if (byte < '0' || byte > '9') return false;
        if (__builtin_mul_overflow(value, (uint64_t)10, &value)) return false;
        if (__builtin_add_overflow(value, (uint64_t)(byte - '0'), &value)) return false;
    }
    *ret = value;
    return true;
}

bool dr_slice_to_i64(dr_slice slice, int64_t *ret) {
    const bool is_negative = slice.len > 0 && slice.data[0] == '-';
    uint64_t size;
    if (!dr_slice_to_u64(is_negative ? dr_slice_from(slice, 1) : slice, &size)) return false;
    if (!is_negative) {
        if (size > INT64_MAX) return false;
        *ret = (int64_t)size;
        return true;
    }
    if (size > (uint64_t)INT64_MAX + 1) return false;
    /* The smallest number has no positive twin to negate. */
    *ret = size == 0 ? 0 : -(int64_t)(size - 1) - 1;
    return true;
}

bool dr_slice_to_text(dr_slice slice, char *buffer, size_t buffer_len) {
    if (slice.len >= buffer_len) return false;
    if (slice.len > 0) {
        if (memchr(slice.data, '\0', slice.len)) return false;
        memcpy(buffer, slice.data, slice.len);
    }
    buffer[slice.len] = '\0';
    return true;
}

uint64_t dr_slice_hash(dr_slice slice, uint64_t seed) {
    return XXH3_64bits_withSeed(slice.data, slice.len, seed);
}
