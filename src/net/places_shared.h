/* Places for connections that several listeners share, on as many threads: one cap over all. */
#ifndef DR_NET_PLACES_SHARED_H
#define DR_NET_PLACES_SHARED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct dr_places {
    _Atomic uint32_t taken;
    uint32_t count; /* constant */
};

/* Before anybody else knows it. */
void dr_places_init(struct dr_places *places, uint32_t count);
/* From any thread. False when there is none: try again later, nobody tells when. */
bool dr_places_take(struct dr_places *places) __attribute__((warn_unused_result));
void dr_places_give_back(struct dr_places *places);
uint32_t dr_places_taken(const struct dr_places *places);

#endif
