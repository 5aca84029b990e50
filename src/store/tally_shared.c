/* The numbers all workers share. One thread adds entries; any thread reads and changes those it has
 * a pointer to. Entries are blocks of their own, never moved, so that a pointer is good until the
 * tally ends. Decides nothing: what a balance permits is policy. */
#include "store/tally_shared.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/map.h"
#include "base/random.h"

struct tally {
    struct dr_map accounts;
    struct dr_map keys;
};

enum { ENTRIES_MAX = 64 * 1024 * 1024 };

struct tally *tally_new(void) {
    struct tally *tally = dr_alloc_zero(1, sizeof(*tally));
    if (!tally) return NULL;
    struct dr_entropy entropy = {0};
    uint64_t seeds[2];
    dr_entropy_take(&entropy, seeds, sizeof(seeds));
    dr_map_init(&tally->accounts, ENTRIES_MAX, seeds[0]);
    dr_map_init(&tally->keys, ENTRIES_MAX, seeds[1]);
    return tally;
}

static void free_entries(struct dr_map *map) {
    size_t cursor = 0;
    for (void *entry = dr_map_next(map, &cursor); entry; entry = dr_map_next(map, &cursor)) {
        dr_free(entry);
    }
    dr_map_clear(map);
}

void tally_free(struct tally *tally) {
    if (!tally) return;
    free_entries(&tally->accounts);
    free_entries(&tally->keys);
    dr_free(tally);
}

/* A zeroed block of `size` bytes with a copy of `id` behind, and where that copy is. */
static void *new_entry(size_t size, dr_slice id, dr_slice *ret_id) {
    char *entry = dr_alloc_zero(1, size + id.len);
    if (!entry) return NULL;
    if (id.len > 0) memcpy(entry + size, id.data, id.len);
    *ret_id = dr_slice_of(entry + size, id.len);
    return entry;
}

struct tally_account *tally_find_account(struct tally *tally, dr_slice id) {
    return dr_map_find(&tally->accounts, id);
}

struct tally_account *tally_get_account(struct tally *tally, dr_slice id) {
    struct tally_account *account = dr_map_find(&tally->accounts, id);
    if (account) return account;
    dr_slice copy;
    account = new_entry(sizeof(*account), id, &copy);
    if (!account) return NULL;
    account->id = copy;
    if (dr_map_put(&tally->accounts, account->id, account) != DR_OK) {
        dr_free(account);
        return NULL;
    }
    return account;
}

struct tally_key *tally_get_key(struct tally *tally, dr_slice id) {
    struct tally_key *key = dr_map_find(&tally->keys, id);
    if (key) return key;
    dr_slice copy;
    key = new_entry(sizeof(*key), id, &copy);
    if (!key) return NULL;
    key->id = copy;
    if (dr_map_put(&tally->keys, key->id, key) != DR_OK) {
        dr_free(key);
        return NULL;
    }
    return key;
}

void tally_account_add(struct tally_account *account, money amount) {
    /* Relaxed: the balance orders nothing else, it only must not lose a change. Sums stop at the
     * ends of int64 as the store's do: a balance that wrapped would lock a rich account out. */
    int64_t before = atomic_load_explicit(&account->balance_nanousd, memory_order_relaxed);
    int64_t after;
    do {
        if (!dr_add_i64(before, amount.nanousd, &after)) {
            after = amount.nanousd > 0 ? INT64_MAX : INT64_MIN;
        }
    } while (!atomic_compare_exchange_weak_explicit(&account->balance_nanousd, &before, after,
                                                    memory_order_relaxed, memory_order_relaxed));
}

money tally_account_balance(const struct tally_account *account) {
    return (money){atomic_load_explicit(&account->balance_nanousd, memory_order_relaxed)};
}
