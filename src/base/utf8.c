/* Strict UTF-8 (RFC 3629 section 4). Must not repair anything: it only says yes or no.
 *
 * Between pieces the state packs what the next byte must be: bits 0-7 how many bytes are still
 * missing, bits 8-15 the least and bits 16-23 the greatest value of the next one. */
#include "base/utf8.h"

#include <string.h>

static const uint32_t broken = UINT32_MAX;

static uint32_t expect(uint32_t missing, uint32_t least, uint32_t greatest) {
    return missing | least << 8 | greatest << 16;
}

/* What follows the lead byte; `broken` when nothing may. Overlong forms, surrogates and what lies
 * beyond U+10FFFF are all excluded by the range of the second byte. */
static uint32_t state_after_lead(uint8_t lead) {
    if (lead < 0x80) return 0;
    if (lead < 0xC2) return broken;
    if (lead < 0xE0) return expect(1, 0x80, 0xBF);
    if (lead == 0xE0) return expect(2, 0xA0, 0xBF);
    if (lead == 0xED) return expect(2, 0x80, 0x9F);
    if (lead < 0xF0) return expect(2, 0x80, 0xBF);
    if (lead == 0xF0) return expect(3, 0x90, 0xBF);
    if (lead < 0xF4) return expect(3, 0x80, 0xBF);
    if (lead == 0xF4) return expect(3, 0x80, 0x8F);
    return broken;
}

static uint32_t state_after_next(uint32_t state, uint8_t byte) {
    if (byte < (state >> 8 & 0xFF) || byte > (state >> 16 & 0xFF)) return broken;
    const uint32_t missing = (state & 0xFF) - 1;
    return missing == 0 ? 0 : expect(missing, 0x80, 0xBF);
}

bool dr_utf8_check(struct dr_utf8 *utf8, dr_slice piece) {
    uint32_t state = utf8->state;
    if (state == broken) return false;
    size_t at = 0;
    while (at < piece.len) {
        if (state == 0) {
            /* Most text is ASCII: eight bytes at a step. */
            while (piece.len - at >= 8) {
                uint64_t eight;
                memcpy(&eight, piece.data + at, 8);
                if (eight & 0x8080808080808080u) break;
                at += 8;
            }
            if (at == piece.len) break;
            state = state_after_lead((uint8_t)piece.data[at]);
        } else {
            state = state_after_next(state, (uint8_t)piece.data[at]);
        }
        if (state == broken) {
            utf8->state = broken;
            return false;
        }
        at++;
    }
    utf8->state = state;
    return true;
}

bool dr_utf8_is_valid(dr_slice text) {
    struct dr_utf8 utf8 = {0};
    return dr_utf8_check(&utf8, text) && dr_utf8_is_complete(&utf8);
}

/* How many of eight bytes go on with a character: the top bit is set, the next one is not. */
static uint64_t count_more(uint64_t eight) {
    const uint64_t ones = 0x0101010101010101u;
    return (((eight & ~(eight << 1)) >> 7 & ones) * ones) >> 56;
}

static uint64_t eight_at(const char *bytes) {
    uint64_t eight;
    memcpy(&eight, bytes, 8);
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap64(eight) : eight;
}

uint64_t dr_utf8_count(dr_slice text) {
    uint64_t more = 0;
    size_t at = 0;
    for (; text.len - at >= 8; at += 8) more += count_more(eight_at(text.data + at));
    const size_t left = text.len - at;
    if (left > 0 && at > 0) { /* the last eight, without those that were counted */
        more += count_more(eight_at(text.data + text.len - 8) >> 8 * (8 - left));
        at = text.len;
    }
    for (; at < text.len; at++) more += ((uint8_t)text.data[at] & 0xC0) == 0x80;
    return text.len - more;
}

dr_slice dr_utf8_first(dr_slice text, size_t len) {
    if (len >= text.len) return text;
    /* A character has at most three bytes behind its first. */
    size_t end = len;
    while (end > 0 && len - end < 3 && ((uint8_t)text.data[end] & 0xC0) == 0x80) end--;
    if (((uint8_t)text.data[end] & 0xC0) == 0x80) end = len;
    return dr_slice_first(text, end);
}
