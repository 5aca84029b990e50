/* Where records lie that nobody writes any more: one behind the other on large sheets, in the order
 * in which they ended. What is put there is written once, straight on, and hardly ever read, so
 * that it takes few places in a cache from what is in use. The oldest sheet goes as a whole.
 * One thread at a time. */
#ifndef DR_GATEWAY_SHELF_H
#define DR_GATEWAY_SHELF_H

#include "base/instant.h"
#include "base/list.h"
#include "base/slice.h"

struct leaf_pool;

enum { SHELF_RECORD_BYTES_MAX = 256 * 1024 };

/* Private but for its size. */
struct shelf {
    struct leaf_pool *pool; /* whose sheets these are */
    uint64_t seed;
    struct dr_list sheets; /* the oldest first; the last one is written on */
    struct dr_list spares;
    size_t sheet_count;
    size_t sheet_count_max;
};

struct shelved {
    dr_slice owner;
    dr_slice bytes;
    dr_instant due;
};

/* `pool` is kept, and bounds the sheets with its leaves; `bytes_max` bounds those alone. */
void shelf_init(struct shelf *shelf, struct leaf_pool *pool, size_t bytes_max, uint64_t seed);
/* Before its pool. */
void shelf_clear(struct shelf *shelf);
/* Room for a record's `len` bytes, to be written by the caller before anything else is asked here.
 * It is kept until `due`, unless it has to give way to later ones. NULL when it is too long, or
 * there is no memory. `name` and `owner` are copied. */
char *shelf_put(struct shelf *shelf, dr_slice name, dr_slice owner, size_t len, dr_instant due);
/* What was put there last by that name, and is not due. Lent until the next call here. */
bool shelf_find(struct shelf *shelf, dr_slice name, dr_instant now, struct shelved *ret);
/* Lets go of what is due, by whole sheets. */
void shelf_tidy(struct shelf *shelf, dr_instant now);
/* Gives a sheet back to the pool, with the oldest records if need be. False when there is none. */
bool shelf_give_way(struct shelf *shelf);
/* Gives sheets that hold nothing back to the pool. */
void shelf_trim(struct shelf *shelf);

#endif
