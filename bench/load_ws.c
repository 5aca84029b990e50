/* Cuts and makes frames, with code of its own, as all that the load generator reads with. Must not
 * know what frames say. */
#include "load_ws.h"

#include <string.h>

enum { SHORT_MAX = 125, TWO_BYTES = 126, EIGHT_BYTES = 127 };

static size_t head_len(const char *bytes) {
    const unsigned first = (unsigned char)bytes[1] & 0x7fU;
    return first == EIGHT_BYTES ? 10 : first == TWO_BYTES ? 4 : 2;
}

/* `bytes` holds the head. */
static uint64_t payload_len(const char *bytes) {
    const size_t head = head_len(bytes);
    uint64_t len = 0;
    if (head == 2) return (unsigned char)bytes[1] & 0x7fU;
    for (size_t i = 2; i < head; i++) {
        len = len << 8 | (unsigned char)bytes[i];
    }
    return len;
}

size_t load_ws_needed(const char *bytes, size_t len) {
    if (len < 2) return 2;
    const size_t head = head_len(bytes);
    if (len < head) return head;
    const uint64_t payload = payload_len(bytes);
    return payload < SIZE_MAX / 2 ? head + (size_t)payload : SIZE_MAX / 2;
}

bool load_ws_read(const char *bytes, size_t len, struct load_ws_frame *ret_frame) {
    const unsigned first = (unsigned char)bytes[0];
    const size_t head = head_len(bytes);
    const uint64_t payload = payload_len(bytes);
    const bool is_masked = ((unsigned char)bytes[1] & 0x80U) != 0;
    if ((first & 0xf0U) != 0x80U || is_masked || head + payload > len) return false;
    if ((head == 4 && payload <= SHORT_MAX) || (head == 10 && payload <= UINT16_MAX)) return false;
    *ret_frame =
        (struct load_ws_frame){(enum load_ws_opcode)(first & 0x0fU), bytes + head, (size_t)payload};
    return true;
}

size_t load_ws_write(char *out, enum load_ws_opcode opcode, const char *payload, size_t len,
                     uint32_t mask) {
    const unsigned bits = (unsigned)opcode | 0x80U;
    const size_t extra = len > UINT16_MAX ? 8 : len > SHORT_MAX ? 2 : 0;
    const size_t first = extra == 8 ? EIGHT_BYTES : extra == 2 ? TWO_BYTES : len;
    size_t at = 2;
    out[0] = (char)bits;
    out[1] = (char)(first | 0x80U);
    for (size_t i = extra; i > 0; i--) {
        out[at++] = (char)(len >> (8 * (i - 1)) & 0xffU);
    }
    memcpy(out + at, &mask, sizeof(mask));
    at += sizeof(mask);
    const char *key = out + at - sizeof(mask);
    for (size_t i = 0; i < len; i++) {
        out[at + i] = (char)(payload[i] ^ key[i & 3]);
    }
    return at + len;
}
