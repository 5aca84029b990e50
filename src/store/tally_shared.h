/* Counters that all workers share: balances of accounts, rate-limit states of keys. Entries are
 * found by id, created on first use, never moved or freed before the tally itself, so that
 * snapshots point at them. Atomics live here. */
#ifndef DR_STORE_TALLY_SHARED_H
#define DR_STORE_TALLY_SHARED_H

#include <stdatomic.h>

#include "base/slice.h"
#include "base/status.h"
#include "model/money.h"

struct tally;

struct tally_account {
    _Atomic int64_t balance_nanousd;
    dr_slice id; /* owned */
};
struct tally_key {
    _Atomic int64_t rate_state_us;
    dr_slice id; /* owned */
};

struct tally *tally_new(void);
void tally_free(struct tally *tally);
/* From one thread (the one that builds key tables). NULL: not there yet. */
struct tally_account *tally_find_account(struct tally *tally, dr_slice id);
/* NULL when out of memory. */
struct tally_account *tally_get_account(struct tally *tally, dr_slice id);
struct tally_key *tally_get_key(struct tally *tally, dr_slice id);

/* From any thread. */
void tally_account_add(struct tally_account *account, money amount);
money tally_account_balance(const struct tally_account *account);

#endif
