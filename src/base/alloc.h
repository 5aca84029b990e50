/* The only door to malloc. Counts what is asked for, and can be told to fail, so that the path of
 * an exhausted memory is walked in tests. Thread-safe; count and failure plan are per thread. */
#ifndef DR_BASE_ALLOC_H
#define DR_BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

/* What the processor fetches at once. Blocks need not begin where a line does. */
enum { DR_CACHE_LINE_BYTES = 64 };

/* NULL when out of memory. `size` 0 is allowed and gives a pointer that may be freed. */
void *dr_alloc(size_t size) __attribute__((malloc, warn_unused_result));
void *dr_alloc_zero(size_t count, size_t size) __attribute__((malloc, warn_unused_result));
/* On failure the old block stays valid. */
void *dr_realloc(void *block, size_t size) __attribute__((warn_unused_result));
/* DR_SHEET_BYTES at a multiple of as many, to be cut up. */
enum { DR_SHEET_BYTES = 2 * 1024 * 1024 };
/* Most of it has no memory until it is touched. */
void *dr_alloc_sheet(void) __attribute__((malloc, warn_unused_result));
/* One page of the processor's large kind where the system has such, with all its memory, which
 * takes up to some milliseconds: not for a loop that carries traffic. */
void *dr_alloc_large_sheet(void) __attribute__((malloc, warn_unused_result));
/* Accepts NULL. */
void dr_free(void *block);

/* For a process that lives long: what a large block took is the system's again once it is freed.
 * Before the first thread. */
void dr_alloc_start(void);
/* Gives what is free back to the system. Takes milliseconds where much is: for idle times. */
void dr_alloc_trim(void);

/* Tests: the `nth` next allocation of this thread fails (1 = the very next), 0 switches it off. */
void dr_alloc_fail_at(uint64_t nth);
/* Tests: allocations made by this thread so far. */
uint64_t dr_alloc_count(void);

#endif
