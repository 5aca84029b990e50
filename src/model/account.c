/* What can be read off a key: its allow-list and the shape of its text. Must not look keys up or
 * compare secrets: the digest is compared by the store's table. */
#include "model/account.h"

#include "base/assert.h"

enum { KEY_PREFIX_BYTES = 10, KEY_RANDOM_BYTES = 32, KEY_CHECKSUM_BYTES = 4 };
enum { KEY_NUMBER_BYTES = KEY_RANDOM_BYTES + KEY_CHECKSUM_BYTES };
static const char key_prefix[KEY_PREFIX_BYTES + 1] = "sk-drover-";

bool api_key_allows(const struct api_key *key, dr_slice model) {
    if (key->model_count == 0) return true;
    for (size_t i = 0; i < key->model_count; i++) {
        const dr_slice allowed = key->models[i];
        if (dr_slice_is(allowed, model)) return true;
        if (allowed.len == 0 || allowed.data[allowed.len - 1] != '*') continue;
        if (dr_slice_starts(model, dr_slice_first(allowed, allowed.len - 1))) return true;
    }
    return false;
}

static void put_checksum(uint8_t number[KEY_NUMBER_BYTES]) {
    const uint32_t crc = dr_crc32(dr_slice_of((const char *)number, KEY_RANDOM_BYTES));

    for (size_t i = 0; i < KEY_CHECKSUM_BYTES; i++) {
        number[KEY_RANDOM_BYTES + i] = (uint8_t)(crc >> (24 - 8 * i));
    }
}

void api_key_write(const uint8_t random[32], char text[API_KEY_TEXT_BYTES]) {
    uint8_t number[KEY_NUMBER_BYTES];

    memcpy(number, random, KEY_RANDOM_BYTES);
    put_checksum(number);
    memcpy(text, key_prefix, KEY_PREFIX_BYTES);
    /* 49 digits of base62 hold 291 bits, more than the 288 of the number: this always fits. */
    const bool fits = dr_base62_write(number, sizeof number, text + KEY_PREFIX_BYTES,
                                      API_KEY_TEXT_BYTES - KEY_PREFIX_BYTES);
    dr_assert(fits);
}

bool api_key_is_well_formed(dr_slice text) {
    uint8_t number[KEY_NUMBER_BYTES];
    uint8_t expected[KEY_NUMBER_BYTES];

    if (text.len != API_KEY_TEXT_BYTES) return false;
    if (!dr_slice_starts(text, dr_slice_of(key_prefix, KEY_PREFIX_BYTES))) return false;
    if (!dr_base62_read(dr_slice_from(text, KEY_PREFIX_BYTES), number, sizeof number)) return false;

    memcpy(expected, number, KEY_RANDOM_BYTES);
    put_checksum(expected);
    return memcmp(number, expected, sizeof number) == 0;
}
