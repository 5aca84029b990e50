/* Comparing, searching and reading borrowed bytes. Must not allocate or keep anything. */
#include "base/slice.h"

#include <xxhash.h>

#include <string.h>

static char fold(char byte) {
    return byte >= 'A' && byte <= 'Z' ? (char)(byte + ('a' - 'A')) : byte;
}

/* The same for eight bytes at once: a byte's top bit tells whether it is a capital. */
static uint64_t fold_eight(const char *bytes) {
    const uint64_t ones = 0x0101010101010101u;
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    const uint64_t low = word & (ones * 0x7f);
    const uint64_t from_a = low + ones * (0x80 - 'A');
    const uint64_t past_z = low + ones * (0x80 - 'Z' - 1);
    const uint64_t capitals = (from_a ^ past_z) & ~word & (ones * 0x80);
    return word | capitals >> 2;
}

bool dr_slice_is_nocase_of_equal_length(const char *a, const char *b, size_t len) {
    if (len < 8) {
        for (size_t i = 0; i < len; i++) {
            if (a[i] != b[i] && fold(a[i]) != fold(b[i])) return false;
        }
        return true;
    }
    for (size_t i = 0; i + 8 <= len; i += 8) {
        if (fold_eight(a + i) != fold_eight(b + i)) return false;
    }
    return fold_eight(a + len - 8) == fold_eight(b + len - 8);
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

size_t dr_u64_text(uint64_t value, char text[DR_U64_TEXT_BYTES]) {
    size_t len = 1;
    for (uint64_t rest = value; rest >= 10; rest /= 10) len++;
    for (size_t at = len; at > 0; value /= 10) text[--at] = (char)('0' + value % 10);
    return len;
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
