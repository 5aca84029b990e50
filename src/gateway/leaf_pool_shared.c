/* The pool of leaves. Must not know what is written on them.
 *
 * A leaf is on its sheet's uncut rest, in a spare chain, or in use. Nothing is read or written of
 * a leaf that is not about to be used: most have left every cache, and some have no memory yet. */
#include "gateway/leaf_pool_shared.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"
#include "net/mailbox.h"

enum {
    SHEET_BYTES = DR_SHEET_BYTES,
    SHEET_LEAVES = SHEET_BYTES / sizeof(struct leaf) - 1, /* the first one's place is the sheet's */
    SMALL_LEAVES = 64, /* of small pages: with more in use there is much to write */
};

struct leaf_sheet {
    struct dr_list node;
    size_t cut_count;   /* leaves that have ever been in use */
    size_t spare_count; /* while trimming */
    bool is_large;
};

struct leaf_pool {
    pthread_mutex_t mutex;
    struct leaf *spare;    /* the first leaf of the first chain */
    struct dr_list sheets; /* the newest first, from which new leaves are cut */
    size_t sheet_count;
    size_t sheet_count_max;
    void *ready; /* a large sheet; NULL: none, yet */
    struct dr_mailbox *maker;
    struct dr_message message;
    bool is_asked; /* the message is under way */
};

_Static_assert(sizeof(struct leaf) == 4096, "leaves fill a sheet");
_Static_assert(sizeof(struct leaf_sheet) <= sizeof(struct leaf), "a sheet's head is a leaf's size");

struct leaf_pool *leaf_pool_new(size_t bytes_max, struct dr_mailbox *maker) {
    struct leaf_pool *pool = dr_alloc_zero(1, sizeof *pool);
    if (!pool) return NULL;
    pthread_mutex_init(&pool->mutex, NULL);
    dr_list_init(&pool->sheets);
    pool->sheet_count_max = bytes_max / SHEET_BYTES;
    pool->maker = maker;
    return pool;
}

static struct leaf_sheet *sheet_of(struct leaf *leaf) {
    return (struct leaf_sheet *)((uintptr_t)leaf & ~(uintptr_t)(SHEET_BYTES - 1));
}

/* On the maker's thread. Others have to wait for the mutex, so that it is not held meanwhile. */
static void sheet_make(struct dr_message *message) {
    struct leaf_pool *pool = dr_list_item(message, struct leaf_pool, message);
    void *sheet = dr_alloc_large_sheet();
    pthread_mutex_lock(&pool->mutex);
    pool->is_asked = false;
    if (sheet && pool->sheet_count < pool->sheet_count_max) {
        pool->sheet_count++;
        pool->ready = sheet;
        sheet = NULL;
    }
    pthread_mutex_unlock(&pool->mutex);
    dr_free(sheet);
}

/* Under the mutex. */
static void sheet_ask(struct leaf_pool *pool) {
    if (!pool->maker || pool->ready || pool->is_asked) return;
    if (pool->sheet_count >= pool->sheet_count_max) return;
    pool->is_asked = true;
    pool->message.run = sheet_make;
    dr_mailbox_post(pool->maker, &pool->message);
}

/* Under the mutex. NULL when there are no more. */
static void *sheet_new(struct leaf_pool *pool) {
    void *sheet = pool->ready;
    pool->ready = NULL;
    if (sheet || pool->sheet_count >= pool->sheet_count_max) return sheet;
    sheet = dr_alloc_sheet();
    if (sheet) pool->sheet_count++;
    return sheet;
}

static void sheet_free(struct leaf_pool *pool, void *sheet) {
    pool->sheet_count--;
    dr_free(sheet);
}

/* Under the mutex. NULL when there are no more. The rest of a sheet of small pages is left, for
 * good, once there is a large one. */
static struct leaf_sheet *sheet_to_cut(struct leaf_pool *pool) {
    const bool has_large = pool->ready != NULL;
    if (!dr_list_is_empty(&pool->sheets)) {
        struct leaf_sheet *newest = dr_list_item(pool->sheets.next, struct leaf_sheet, node);
        if (newest->cut_count >= (newest->is_large ? SHEET_LEAVES / 2 : SMALL_LEAVES)) {
            sheet_ask(pool);
        }
        const bool is_good = newest->is_large || !has_large;
        if (is_good && newest->cut_count < SHEET_LEAVES) return newest;
    }
    struct leaf_sheet *sheet = sheet_new(pool);
    if (!sheet) return NULL;
    sheet->cut_count = 0;
    sheet->is_large = has_large;
    dr_list_put_first(&pool->sheets, &sheet->node);
    return sheet;
}

/* Under the mutex. */
static struct leaf *take(struct leaf_pool *pool) {
    struct leaf *leaf = pool->spare;
    if (leaf) {
        struct leaf *rest = leaf->next;
        if (rest) rest->chain = leaf->chain;
        pool->spare = rest ? rest : leaf->chain;
        return leaf;
    }
    struct leaf_sheet *sheet = sheet_to_cut(pool);
    return sheet ? (struct leaf *)(void *)sheet + ++sheet->cut_count : NULL;
}

struct leaf *leaf_take(struct leaf_pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    struct leaf *leaf = take(pool);
    const struct leaf *following = pool->spare;
    pthread_mutex_unlock(&pool->mutex);
    if (following) __builtin_prefetch(following, 1);
    if (leaf) leaf->next = NULL;
    return leaf;
}

void leaf_give_back(struct leaf_pool *pool, struct leaf *first) {
    if (!first) return;
    pthread_mutex_lock(&pool->mutex);
    first->chain = pool->spare;
    pool->spare = first;
    pthread_mutex_unlock(&pool->mutex);
}

/* Of the spare leaves that are not `is_gone` one chain is made. */
static void keep_spares(struct leaf_pool *pool, bool (*is_gone)(struct leaf *leaf)) {
    struct leaf *chain = pool->spare;
    struct leaf *kept = NULL;
    while (chain) {
        struct leaf *leaf = chain;
        chain = leaf->chain;
        while (leaf) {
            struct leaf *next = leaf->next;
            if (!is_gone(leaf)) {
                leaf->next = kept;
                leaf->chain = NULL;
                kept = leaf;
            }
            leaf = next;
        }
    }
    pool->spare = kept;
}

static bool count_spare(struct leaf *leaf) {
    sheet_of(leaf)->spare_count++;
    return false;
}

static bool sheet_is_whole(const struct leaf_sheet *sheet) {
    return sheet->spare_count == sheet->cut_count;
}

static bool is_on_whole_sheet(struct leaf *leaf) {
    return sheet_is_whole(sheet_of(leaf));
}

void leaf_pool_trim(struct leaf_pool *pool) {
    struct dr_list *next;
    pthread_mutex_lock(&pool->mutex);
    if (pool->ready) sheet_free(pool, pool->ready);
    pool->ready = NULL;
    for (struct dr_list *node = pool->sheets.next; node != &pool->sheets; node = node->next) {
        dr_list_item(node, struct leaf_sheet, node)->spare_count = 0;
    }
    keep_spares(pool, count_spare);
    keep_spares(pool, is_on_whole_sheet);
    for (struct dr_list *node = pool->sheets.next; node != &pool->sheets; node = next) {
        struct leaf_sheet *sheet = dr_list_item(node, struct leaf_sheet, node);
        next = node->next;
        if (!sheet_is_whole(sheet)) continue;
        dr_list_remove(&sheet->node);
        sheet_free(pool, sheet);
    }
    pthread_mutex_unlock(&pool->mutex);
}

void leaf_pool_free(struct leaf_pool *pool) {
    if (!pool) return;
    leaf_pool_trim(pool);
    dr_assert(pool->sheet_count == 0 && !pool->is_asked);
    pthread_mutex_destroy(&pool->mutex);
    dr_free(pool);
}

size_t leaf_pool_bytes(struct leaf_pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    const size_t bytes = pool->sheet_count * SHEET_BYTES;
    pthread_mutex_unlock(&pool->mutex);
    return bytes;
}
