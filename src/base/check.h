/* Checked arithmetic for numbers that come from outside. Each returns false on overflow and then
 * leaves `*ret` alone. */
#ifndef DR_BASE_CHECK_H
#define DR_BASE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool dr_add_size(size_t a, size_t b, size_t *ret) {
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum)) return false;
    *ret = sum;
    return true;
}

static inline bool dr_mul_size(size_t a, size_t b, size_t *ret) {
    size_t product;
    if (__builtin_mul_overflow(a, b, &product)) return false;
    *ret = product;
    return true;
}

static inline bool dr_add_u64(uint64_t a, uint64_t b, uint64_t *ret) {
    uint64_t sum;
    if (__builtin_add_overflow(a, b, &sum)) return false;
    *ret = sum;
    return true;
}

static inline bool dr_add_i64(int64_t a, int64_t b, int64_t *ret) {
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum)) return false;
    *ret = sum;
    return true;
}

static inline bool dr_narrow_u32(uint64_t value, uint32_t *ret) {
    if (value > UINT32_MAX) return false;
    *ret = (uint32_t)value;
    return true;
}

#endif
