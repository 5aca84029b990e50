/* Memory for what is written frame by frame and kept for a while: leaves of one size, taken and
 * given back by any thread. They are cut from sheets, so that a rush of them asks the system
 * seldom; sheets go back when nobody is in a hurry. Bounded.
 *
 * Where there is much to write, sheets are large pages, made ready by another thread, ahead: of
 * thousands of small pages each costs its way through the page tables whenever it is touched, in a
 * virtual machine some of them a hundred microseconds, and a large page's first touch costs
 * milliseconds there. What is taken before one is ready comes from a sheet of small pages. */
#ifndef DR_GATEWAY_LEAF_POOL_SHARED_H
#define DR_GATEWAY_LEAF_POOL_SHARED_H

#include <stddef.h>

struct dr_mailbox;
struct leaf_pool;

/* A multiple of 8, for the words of a record. With what stands before them 4 KiB, so that a leaf is
 * one page of memory: each one that is new to the processor costs it as much as many frames do. */
enum { LEAF_BYTES = 4096 - 16 };

struct leaf {
    struct leaf *next;  /* the taker's: what is given back is a chain */
    struct leaf *chain; /* the pool's: the next chain */
    char bytes[LEAF_BYTES];
};

/* NULL when out of memory. At most `bytes_max` of the system's are held, in whole sheets. `maker`
 * is of the thread that makes large ones ready; NULL: there are none. */
struct leaf_pool *leaf_pool_new(size_t bytes_max, struct dr_mailbox *maker);
/* All leaves have been given back, and the maker's mailbox is closed. Accepts NULL. */
void leaf_pool_free(struct leaf_pool *pool);
/* A chain of one; its bytes are whatever they were. NULL when out of memory, or at the bound. */
struct leaf *leaf_take(struct leaf_pool *pool);
/* A whole chain: takes no longer than one leaf. Accepts NULL. */
void leaf_give_back(struct leaf_pool *pool, struct leaf *first);
/* Gives sheets back to the system none of whose leaves is in use. Looks at each leaf that is not:
 * for idle times. */
void leaf_pool_trim(struct leaf_pool *pool);
/* What the pool holds of the system's memory. */
size_t leaf_pool_bytes(struct leaf_pool *pool);

#endif
