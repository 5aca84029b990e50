/* Two sources that must not be mixed up: entropy for keys, ids and hash seeds; a seeded generator
 * (xoshiro256**, seeded by splitmix64) for jitter and tests. */
#include "base/random.h"

#include "base/assert.h"
#include "base/secret.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static void fill_from_kernel(uint8_t *bytes, size_t len) {
    while (len > 0) {
        const ssize_t got = getrandom(bytes, len, 0);
        if (got < 0) {
            /* Large asks may be cut by a signal. */
            dr_assert(errno == EINTR);
            continue;
        }
        bytes += got;
        len -= (size_t)got;
    }
}

void dr_entropy_take(struct dr_entropy *entropy, void *bytes, size_t len) {
    dr_assert(entropy->left <= sizeof(entropy->bytes));
    if (len == 0) return;
    if (len > sizeof(entropy->bytes)) {
        fill_from_kernel(bytes, len);
        return;
    }
    if (entropy->left < len) {
        fill_from_kernel(entropy->bytes, sizeof(entropy->bytes));
        entropy->left = sizeof(entropy->bytes);
    }
    uint8_t *from = entropy->bytes + (sizeof(entropy->bytes) - entropy->left);
    memcpy(bytes, from, len);
    dr_wipe(from, len);
    entropy->left -= len;
}

void dr_random_seed(struct dr_random *random, uint64_t seed) {
    for (size_t i = 0; i < 4; i++) {
        seed += 0x9E3779B97F4A7C15u;
        uint64_t mixed = seed;
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9u;
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBu;
        random->state[i] = mixed ^ mixed >> 31;
    }
}

static uint64_t rotate(uint64_t value, unsigned count) {
    return value << count | value >> (64 - count);
}

uint64_t dr_random_u64(struct dr_random *random) {
    uint64_t *state = random->state;
    const uint64_t result = rotate(state[1] * 5, 7) * 9;
    const uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate(state[3], 45);
    return result;
}

uint64_t dr_random_below(struct dr_random *random, uint64_t bound) {
    dr_assert(bound > 0);
    /* The lowest 2^64 mod bound values would make small results likelier: drawn again. */
    const uint64_t least = (0 - bound) % bound;
    uint64_t value;
    do {
        value = dr_random_u64(random);
    } while (value < least);
    return value % bound;
}
