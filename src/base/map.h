/* Slice to pointer table: open addressing, keyed hash, capped. Keys are kept by pointer: the caller
 * keeps their bytes alive while they are in the map (usually they live inside the value). */
#ifndef DR_BASE_MAP_H
#define DR_BASE_MAP_H

#include "base/slice.h"
#include "base/status.h"

struct dr_map_slot;

struct dr_map {
    struct dr_map_slot *slots;
    size_t count;
    size_t capacity; /* power of two, or 0 */
    size_t count_max;
    uint64_t seed;
};

/* `seed` keys the hash; take it from entropy where outsiders choose the keys. Allocates nothing. */
void dr_map_init(struct dr_map *map, size_t count_max, uint64_t seed);
void dr_map_clear(struct dr_map *map);
/* NULL when absent. */
void *dr_map_find(const struct dr_map *map, dr_slice key);
/* `value` is not NULL. DR_EXISTS when the key is there already (nothing changes),
 * DR_TOO_LARGE at the cap. */
enum dr_status dr_map_put(struct dr_map *map, dr_slice key, void *value) DR_MUST_USE;
/* The removed value, NULL when absent. */
void *dr_map_take(struct dr_map *map, dr_slice key);
/* Walks all values: start with `*cursor` 0, stop at NULL. The map must not change meanwhile. */
void *dr_map_next(const struct dr_map *map, size_t *cursor);

#endif
