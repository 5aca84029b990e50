/* UTF-8 (RFC 3629): strict validation, also across the borders of pieces. */
#ifndef DR_BASE_UTF8_H
#define DR_BASE_UTF8_H

#include "base/slice.h"

struct dr_utf8 {
    uint32_t state; /* 0 between characters */
};

/* False at the first byte that can't be UTF-8; a piece may end inside a character. */
bool dr_utf8_check(struct dr_utf8 *utf8, dr_slice piece);
/* Whether the bytes so far end at a character's border. */
static inline bool dr_utf8_is_complete(const struct dr_utf8 *utf8) {
    return utf8->state == 0;
}
bool dr_utf8_is_valid(dr_slice text);
/* How many characters valid text has. */
uint64_t dr_utf8_count(dr_slice text);
/* The longest prefix of at most `len` bytes that does not cut a character of valid text. */
dr_slice dr_utf8_first(dr_slice text, size_t len);

#endif
