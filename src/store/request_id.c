/* Request ids: unguessable, and telling when they were made, so that a receipt is found by time.
 * Written once per exchange on the hot path: two divisions' worth of work, no allocation. */
#include "store/store.h"

#include "base/assert.h"

#include <limits.h>

enum { PREFIX_BYTES = 4, TIME_BYTES = 9, HALF_BYTES = 11 };

static const char prefix[] = "req_";
static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* 62^11 exceeds 2^64, so each half of the random bits has its own eleven characters. */
_Static_assert(PREFIX_BYTES + TIME_BYTES + 2 * HALF_BYTES == REQUEST_ID_BYTES,
               "the parts make up the whole");

static void write_number(uint64_t value, char *text, size_t len) {
    for (size_t index = len; index-- > 0; value /= 62) text[index] = digits[value % 62];
    dr_assert(value == 0);
}

static int digit_value(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'A' && digit <= 'Z') return digit - 'A' + 10;
    if (digit >= 'a' && digit <= 'z') return digit - 'a' + 36;
    return -1;
}

void request_id_write(dr_wall now, const uint8_t random[16], char text[REQUEST_ID_BYTES]) {
    dr_assert(now.ms >= 0);
    uint64_t halves[2];
    memcpy(halves, random, sizeof(halves));
    memcpy(text, prefix, PREFIX_BYTES);
    write_number((uint64_t)now.ms, text + PREFIX_BYTES, TIME_BYTES);
    write_number(halves[0], text + PREFIX_BYTES + TIME_BYTES, HALF_BYTES);
    write_number(halves[1], text + PREFIX_BYTES + TIME_BYTES + HALF_BYTES, HALF_BYTES);
}

bool request_id_read(dr_slice text, dr_wall *ret_created) {
    if (text.len != REQUEST_ID_BYTES || memcmp(text.data, prefix, PREFIX_BYTES) != 0) return false;
    int64_t ms = 0;
    for (size_t index = PREFIX_BYTES; index < REQUEST_ID_BYTES; index++) {
        const int value = digit_value(text.data[index]);
        if (value < 0) return false;
        if (index < PREFIX_BYTES + TIME_BYTES) ms = ms * 62 + value;
    }
    *ret_created = (dr_wall){ms};
    return true;
}
