/* Bump allocation over blocks, for things that die together. Must not free single pieces.
 *
 * `arena->blocks` lists all blocks held; the first is the one being bumped. A block with a piece
 * larger than the pool's blocks goes behind it, so that the open block stays open. */
#include "base/arena.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/check.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DR_POISONS 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define DR_POISONS 1
#endif
#ifdef DR_POISONS
#include <sanitizer/asan_interface.h>
#endif

enum { ALIGNMENT = 16, DEFAULT_BLOCK_BYTES = 4096 };

struct dr_arena_block {
    _Alignas(16) struct dr_arena_block *next;
    size_t bytes;   /* head included */
    bool is_pooled; /* of the pool's size, and may go back to it */
};
_Static_assert(sizeof(struct dr_arena_block) % ALIGNMENT == 0, "what follows the head is aligned");

/* A block in a pool's free list is nobody's: under the sanitizer, any use of what an earlier owner
 * still points to is found. */
#ifdef DR_POISONS
static void block_hide(struct dr_arena_block *block) {
    ASAN_POISON_MEMORY_REGION(block + 1, block->bytes - sizeof(*block));
}
static void block_show(struct dr_arena_block *block) {
    ASAN_UNPOISON_MEMORY_REGION(block + 1, block->bytes - sizeof(*block));
}
#else
static void block_hide(struct dr_arena_block *block) {
    (void)block;
}
static void block_show(struct dr_arena_block *block) {
    (void)block;
}
#endif

/* --- pool --- */

void dr_block_pool_init(struct dr_block_pool *pool, size_t block_bytes, size_t free_count_max) {
    dr_assert(block_bytes >= sizeof(struct dr_arena_block) + ALIGNMENT);
    *pool = (struct dr_block_pool){
        .block_bytes = block_bytes,
        .free_count_max = free_count_max,
    };
}

void dr_block_pool_clear(struct dr_block_pool *pool) {
    while (pool->free_list) {
        struct dr_arena_block *block = pool->free_list;
        pool->free_list = block->next;
        block_show(block);
        dr_free(block);
    }
    pool->free_count = 0;
}

static struct dr_arena_block *pool_take(struct dr_block_pool *pool) {
    struct dr_arena_block *block = pool->free_list;
    if (!block) return NULL;
    dr_assert(pool->free_count > 0);
    pool->free_list = block->next;
    pool->free_count--;
    block_show(block);
    return block;
}

static void pool_put(struct dr_block_pool *pool, struct dr_arena_block *block) {
    block->next = pool->free_list;
    pool->free_list = block;
    pool->free_count++;
    block_hide(block);
}

/* --- arena --- */

void dr_arena_init(struct dr_arena *arena, size_t cap, struct dr_block_pool *pool) {
    *arena = (struct dr_arena){.cap = cap, .pool = pool};
}

void dr_arena_clear(struct dr_arena *arena) {
    struct dr_block_pool *pool = arena->pool;
    struct dr_arena_block *block = arena->blocks;
    while (block) {
        struct dr_arena_block *next = block->next;
        if (block->is_pooled && pool && pool->free_count < pool->free_count_max) {
            pool_put(pool, block);
        } else {
            dr_free(block);
        }
        block = next;
    }
    dr_arena_init(arena, arena->cap, pool);
}

static struct dr_arena_block *block_new(size_t bytes, bool is_pooled) {
    struct dr_arena_block *block = dr_alloc(bytes);
    if (!block) return NULL;
    block->next = NULL;
    block->bytes = bytes;
    block->is_pooled = is_pooled;
    return block;
}

/* A block for one piece, also used when the cap has no room for a whole common block. */
static void *alloc_alone(struct dr_arena *arena, size_t size) {
    size_t bytes;
    if (!dr_add_size(size, sizeof(struct dr_arena_block), &bytes)) return NULL;
    if (bytes > arena->cap - arena->used) return NULL;
    struct dr_arena_block *block = block_new(bytes, false);
    if (!block) return NULL;
    arena->used += bytes;
    if (arena->blocks) {
        block->next = arena->blocks->next;
        arena->blocks->next = block;
    } else {
        arena->blocks = block;
    }
    return block + 1;
}

void *dr_arena_alloc(struct dr_arena *arena, size_t size) {
    dr_assert(arena->used <= arena->cap);
    if (size > SIZE_MAX - ALIGNMENT) return NULL;
    /* A piece of nothing still gets an address of its own. */
    size = (size + (size == 0) + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (arena->at && size <= (size_t)(arena->end - arena->at)) {
        void *piece = arena->at;
        arena->at += size;
        return piece;
    }

    const size_t block_bytes = arena->pool ? arena->pool->block_bytes : DEFAULT_BLOCK_BYTES;
    if (size > block_bytes - sizeof(struct dr_arena_block) ||
        block_bytes > arena->cap - arena->used) {
        return alloc_alone(arena, size);
    }
    struct dr_arena_block *block = arena->pool ? pool_take(arena->pool) : NULL;
    if (!block) block = block_new(block_bytes, arena->pool != NULL);
    if (!block) return NULL;
    arena->used += block_bytes;
    block->next = arena->blocks;
    arena->blocks = block;
    char *piece = (char *)(block + 1);
    arena->at = piece + size;
    arena->end = (char *)block + block_bytes;
    return piece;
}

void *dr_arena_alloc_zero(struct dr_arena *arena, size_t size) {
    void *piece = dr_arena_alloc(arena, size);
    if (piece) memset(piece, 0, size);
    return piece;
}

bool dr_arena_copy(struct dr_arena *arena, dr_slice bytes, dr_slice *ret) {
    char *copy = dr_arena_alloc(arena, bytes.len);
    if (!copy) return false;
    if (bytes.len > 0) memcpy(copy, bytes.data, bytes.len);
    *ret = (dr_slice){copy, bytes.len};
    return true;
}

char *dr_arena_text(struct dr_arena *arena, dr_slice bytes) {
    size_t size;
    if (!dr_add_size(bytes.len, 1, &size)) return NULL;
    char *copy = dr_arena_alloc(arena, size);
    if (!copy) return NULL;
    if (bytes.len > 0) memcpy(copy, bytes.data, bytes.len);
    copy[bytes.len] = '\0';
    return copy;
}
