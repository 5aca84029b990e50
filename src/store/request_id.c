/* Request ids: unguessable, and telling when they were made, so that a receipt is found by time.
 * Written once per exchange on the hot path: two divisions' worth of work, no allocation. */
#include "store/store.h"

#include "base/assert.h"

enum { PREFIX_BYTES = 4, TIME_BYTES = 9, HALF_BYTES = 11 };

static const char prefix[] = "req_";
static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* One more than a digit's value; 0 for what is no digit. */
static const uint8_t digit_ranks[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
    ['G'] = 17, ['H'] = 18, ['I'] = 19, ['J'] = 20, ['K'] = 21, ['L'] = 22, ['M'] = 23, ['N'] = 24,
    ['O'] = 25, ['P'] = 26, ['Q'] = 27, ['R'] = 28, ['S'] = 29, ['T'] = 30, ['U'] = 31, ['V'] = 32,
    ['W'] = 33, ['X'] = 34, ['Y'] = 35, ['Z'] = 36, ['a'] = 37, ['b'] = 38, ['c'] = 39, ['d'] = 40,
    ['e'] = 41, ['f'] = 42, ['g'] = 43, ['h'] = 44, ['i'] = 45, ['j'] = 46, ['k'] = 47, ['l'] = 48,
    ['m'] = 49, ['n'] = 50, ['o'] = 51, ['p'] = 52, ['q'] = 53, ['r'] = 54, ['s'] = 55, ['t'] = 56,
    ['u'] = 57, ['v'] = 58, ['w'] = 59, ['x'] = 60, ['y'] = 61, ['z'] = 62,
};

/* 62^11 exceeds 2^64, so each half of the random bits has its own eleven characters. */
_Static_assert(PREFIX_BYTES + TIME_BYTES + 2 * HALF_BYTES == REQUEST_ID_BYTES,
               "the parts make up the whole");

static void write_number(uint64_t value, char *text, size_t len) {
    for (size_t index = len; index-- > 0; value /= 62) text[index] = digits[value % 62];
    dr_assert(value == 0);
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
        const uint8_t rank = digit_ranks[(unsigned char)text.data[index]];
        if (rank == 0) return false;
        if (index < PREFIX_BYTES + TIME_BYTES) ms = ms * 62 + rank - 1;
    }
    *ret_created = (dr_wall){ms};
    return true;
}
