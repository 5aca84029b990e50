/* One count of connections for all listeners. Must not know who waits for a place: whoever got none
 * asks again. */
#include "net/places_shared.h"

#include "base/assert.h"

void dr_places_init(struct dr_places *places, uint32_t count) {
    atomic_init(&places->taken, 0);
    places->count = count;
}

/* By exchange, not by adding and taking back: no other thread ever sees a place taken that is not
 * there. */
bool dr_places_take(struct dr_places *places) {
    uint32_t taken = atomic_load_explicit(&places->taken, memory_order_relaxed);
    while (taken < places->count) {
        if (atomic_compare_exchange_weak_explicit(&places->taken, &taken, taken + 1,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

void dr_places_give_back(struct dr_places *places) {
    const uint32_t before = atomic_fetch_sub_explicit(&places->taken, 1, memory_order_relaxed);
    dr_assert(before > 0);
}

uint32_t dr_places_taken(const struct dr_places *places) {
    return atomic_load_explicit(&places->taken, memory_order_relaxed);
}
