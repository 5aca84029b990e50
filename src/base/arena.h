/* Capped bump allocator: one lifetime, one free. Blocks come from the owner's `dr_block_pool`,
 * so that a request in the steady state never calls malloc. Not thread-safe: one thread each. */
#ifndef DR_BASE_ARENA_H
#define DR_BASE_ARENA_H

#include "base/slice.h"
#include "base/status.h"

struct dr_arena_block;

/* A worker's free list of equal blocks. */
struct dr_block_pool {
    struct dr_arena_block *free_list;
    size_t block_bytes; /* of each block, its head included */
    size_t free_count;
    size_t free_count_max; /* more than that goes back to malloc */
};

void dr_block_pool_init(struct dr_block_pool *pool, size_t block_bytes, size_t free_count_max);
void dr_block_pool_clear(struct dr_block_pool *pool);

struct dr_arena {
    struct dr_arena_block *blocks;
    char *at;
    char *end;
    size_t used; /* bytes taken from the pool or malloc */
    size_t cap;
    struct dr_block_pool *pool;
};

/* `pool` is kept until `dr_arena_clear`; NULL means blocks of 4 KiB from malloc. Allocates
 * nothing. */
void dr_arena_init(struct dr_arena *arena, size_t cap, struct dr_block_pool *pool);
/* Gives all back; the arena can be used again. */
void dr_arena_clear(struct dr_arena *arena);
/* 16-byte aligned, not zeroed, lives until clear. NULL when over cap or out of memory. An ask
 * larger than a block gets a block of its own. */
void *dr_arena_alloc(struct dr_arena *arena, size_t size) DR_MUST_USE;
void *dr_arena_alloc_zero(struct dr_arena *arena, size_t size) DR_MUST_USE;
/* Copies; a failed copy returns false and leaves `*ret` alone. */
bool dr_arena_copy(struct dr_arena *arena, dr_slice bytes, dr_slice *ret) DR_MUST_USE;
/* NUL-terminated copy, NULL on failure. */
char *dr_arena_text(struct dr_arena *arena, dr_slice bytes) DR_MUST_USE;

#endif
