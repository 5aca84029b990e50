/* Randomness: entropy from the system, bought in bulk, and a seeded generator for jitter, the
 * simulated provider and tests. Each object belongs to one thread. */
#ifndef DR_BASE_RANDOM_H
#define DR_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Unpredictable bytes; one getrandom(2) serves many asks. Start it zeroed. */
struct dr_entropy {
    uint8_t bytes[512];
    size_t left;
};
/* Aborts when the kernel has no entropy to give, which it always has after boot. Used bytes are
 * wiped. */
void dr_entropy_take(struct dr_entropy *entropy, void *bytes, size_t len);

/* xoshiro-class generator, predictable by design. */
struct dr_random {
    uint64_t state[4];
};
void dr_random_seed(struct dr_random *random, uint64_t seed);
uint64_t dr_random_u64(struct dr_random *random);
/* Uniform in 0 … bound-1, without bias; bound > 0. */
uint64_t dr_random_below(struct dr_random *random, uint64_t bound);

#endif
