/* The only caller of malloc. Must not cache or pool: the C library does that, and the arenas. */
#include "base/alloc.h"

#include "base/check.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { LARGE_BLOCK_BYTES = 1024 * 1024 };

/* The plan of failures belongs to tests; one per thread, so that it never touches another's. */
static _Thread_local uint64_t fail_in;
static _Thread_local uint64_t made_count;

static bool may_allocate(void) {
    if (fail_in > 0) {
        fail_in--;
        if (fail_in == 0) return false;
    }
    made_count++;
    return true;
}

void *dr_alloc(size_t size) {
    if (!may_allocate()) return NULL;
    /* malloc(0) may be NULL elsewhere, which would look like a failure. */
    return malloc(size ? size : 1);
}

void *dr_alloc_zero(size_t count, size_t size) {
    size_t bytes;
    if (!dr_mul_size(count, size, &bytes)) return NULL;
    if (!may_allocate()) return NULL;
    return calloc(1, bytes ? bytes : 1);
}

void *dr_realloc(void *block, size_t size) {
    if (!may_allocate()) return NULL;
    return realloc(block, size ? size : 1);
}

void *dr_alloc_sheet(void) {
    if (!may_allocate()) return NULL;
    return aligned_alloc(DR_SHEET_BYTES, DR_SHEET_BYTES);
}

void *dr_alloc_large_sheet(void) {
    char *sheet = dr_alloc_sheet();
    if (!sheet) return NULL;
#ifdef MADV_HUGEPAGE
    (void)madvise(sheet, DR_SHEET_BYTES, MADV_HUGEPAGE); /* a wish */
#endif
    memset(sheet, 0, DR_SHEET_BYTES);
    return sheet;
}

void dr_free(void *block) {
    free(block);
}

void dr_alloc_fail_at(uint64_t nth) {
    fail_in = nth;
}

uint64_t dr_alloc_count(void) {
    return made_count;
}

/* The C library would learn from the first large block to take such ones from its heaps, which do
 * not shrink: a few bodies of images then stay resident for ever. */
void dr_alloc_start(void) {
#ifdef __GLIBC__
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES);
#endif
}

void dr_alloc_trim(void) {
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}
