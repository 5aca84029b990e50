/* Open addressing with linear probing; a removal shifts its followers back, so that there are no
 * gravestones and a search ends at the first empty slot. Must not own keys or values. */
#include "base/map.h"

#include "base/alloc.h"
#include "base/assert.h"

enum { CAPACITY_MIN = 16 };

struct dr_map_slot {
    dr_slice key;
    uint64_t hash;
    void *value; /* NULL: the slot is empty */
};

void dr_map_init(struct dr_map *map, size_t count_max, uint64_t seed) {
    *map = (struct dr_map){.count_max = count_max, .seed = seed};
}

void dr_map_clear(struct dr_map *map) {
    dr_free(map->slots);
    dr_map_init(map, map->count_max, map->seed);
}

/* The slot of `key`, or the empty slot where it would go. There is always an empty one. */
static struct dr_map_slot *slot_of(const struct dr_map *map, dr_slice key, uint64_t hash) {
    const size_t mask = map->capacity - 1;
    size_t at = (size_t)hash & mask;
    for (;;) {
        struct dr_map_slot *slot = &map->slots[at];
        if (!slot->value) return slot;
        if (slot->hash == hash && dr_slice_is(slot->key, key)) return slot;
        at = (at + 1) & mask;
    }
}

void *dr_map_find(const struct dr_map *map, dr_slice key) {
    if (map->count == 0) return NULL;
    return slot_of(map, key, dr_slice_hash(key, map->seed))->value;
}

static bool grow(struct dr_map *map) {
    const size_t capacity = map->capacity ? map->capacity * 2 : CAPACITY_MIN;
    if (capacity < map->capacity) return false;
    struct dr_map_slot *slots = dr_alloc_zero(capacity, sizeof(*slots));
    if (!slots) return false;
    const size_t mask = capacity - 1;
    for (size_t i = 0; i < map->capacity; i++) {
        const struct dr_map_slot *old = &map->slots[i];
        if (!old->value) continue;
        size_t at = (size_t)old->hash & mask;
        while (slots[at].value) at = (at + 1) & mask;
        slots[at] = *old;
    }
    dr_free(map->slots);
    map->slots = slots;
    map->capacity = capacity;
    return true;
}

enum dr_status dr_map_put(struct dr_map *map, dr_slice key, void *value) {
    dr_assert(value != NULL);
    const uint64_t hash = dr_slice_hash(key, map->seed);
    if (map->count > 0 && slot_of(map, key, hash)->value) return DR_EXISTS;
    if (map->count >= map->count_max) return DR_TOO_LARGE;
    /* At most three quarters full: probes stay short and an empty slot always exists. */
    if (map->count >= map->capacity / 4 * 3 && !grow(map)) return DR_NO_MEMORY;
    *slot_of(map, key, hash) = (struct dr_map_slot){key, hash, value};
    map->count++;
    return DR_OK;
}

void *dr_map_take(struct dr_map *map, dr_slice key) {
    if (map->count == 0) return NULL;
    struct dr_map_slot *slot = slot_of(map, key, dr_slice_hash(key, map->seed));
    void *value = slot->value;
    if (!value) return NULL;

    const size_t mask = map->capacity - 1;
    size_t hole = (size_t)(slot - map->slots);
    size_t at = hole;
    for (;;) {
        at = (at + 1) & mask;
        const struct dr_map_slot *follower = &map->slots[at];
        if (!follower->value) break;
        /* It may move into the hole unless its home lies between the hole and itself. */
        const size_t home = (size_t)follower->hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = *follower;
            hole = at;
        }
    }
    map->slots[hole] = (struct dr_map_slot){.value = NULL};
    map->count--;
    return value;
}

void *dr_map_next(const struct dr_map *map, size_t *cursor) {
    while (*cursor < map->capacity) {
        void *value = map->slots[(*cursor)++].value;
        if (value) return value;
    }
    return NULL;
}
