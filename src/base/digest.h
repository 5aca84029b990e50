/* SHA-256, SHA-1, CRC-32, CRC-32C, base62, base64 and hexadecimal. */
#ifndef DR_BASE_DIGEST_H
#define DR_BASE_DIGEST_H

#include "base/slice.h"
#include "base/status.h"

struct dr_sha256 {
    uint8_t bytes[32];
};

/* Thread-safe; about 0.3 us for a key. */
struct dr_sha256 dr_sha256(dr_slice bytes);
/* Only where a protocol names it (the WebSocket handshake): it protects nothing. */
struct dr_sha1 {
    uint8_t bytes[20];
};
struct dr_sha1 dr_sha1(dr_slice bytes);
/* CRC-32 (IEEE 802.3, as zlib), used in key checksums. */
uint32_t dr_crc32(dr_slice bytes);
/* CRC-32C (Castagnoli), used in journal records: continue with the previous value, start with 0. */
uint32_t dr_crc32c(uint32_t crc, dr_slice bytes);

/* Fixed-length big-endian base62 (0-9A-Za-z) of a byte string read as one number: `text_len`
 * characters, left-padded with '0'. At most 128 bytes. False when it does not fit, and then `text`
 * holds garbage. */
bool dr_base62_write(const uint8_t *bytes, size_t bytes_len, char *text, size_t text_len);
/* The same backwards; false for any other character, an empty text, or a number beyond `bytes_len`
 * bytes, and then `bytes` is left alone. */
bool dr_base62_read(dr_slice text, uint8_t *bytes, size_t bytes_len);
/* Base64 with padding (RFC 4648 section 4): `text` holds dr_base64_len(bytes.len) characters, no
 * NUL. */
static inline size_t dr_base64_len(size_t bytes_len) {
    return (bytes_len + 2) / 3 * 4;
}
void dr_base64_write(dr_slice bytes, char *text);
/* The same backwards; false unless `text` is the one spelling of exactly `bytes_len` bytes; then
 * `bytes` may be half written. */
bool dr_base64_read(dr_slice text, uint8_t *bytes, size_t bytes_len);
/* Lower-case; `text` holds 2 * len characters, no NUL. */
void dr_hex_write(dr_slice bytes, char *text);
/* Either case. False unless `text` is 2 * `bytes_len` hexadecimal digits; then `bytes` may be half
 * written. */
bool dr_hex_read(dr_slice text, uint8_t *bytes, size_t bytes_len);
/* Constant time in the content. */
bool dr_equal_constant_time(dr_slice a, dr_slice b);

#endif
