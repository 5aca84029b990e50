/* All keys, findable by digest: immutable, counted, replaced whole when a key or account changes.
 * Built by the bookkeeper's thread, read by all workers. Revoked and expired keys stay in it, so
 * that their owner is told what happened. */
#ifndef DR_STORE_KEY_TABLE_H
#define DR_STORE_KEY_TABLE_H

#include "base/digest.h"
#include "model/account.h"
#include "store/store.h"
#include "store/tally_shared.h"

struct key_table;

struct key_table_row {
    struct api_key key; /* lives as long as the table */
    struct tally_account *account;
    struct tally_key *tally;
};

/* New accounts get their balance from the store; known ones keep the live one. `tally` outlives the
 * table. On the thread that owns the store. */
enum dr_status key_table_build(struct store *store, struct tally *tally,
                               struct key_table **ret_table, struct dr_error *error) DR_MUST_USE;
struct key_table *key_table_hold(struct key_table *table); /* thread-safe */
void key_table_release(struct key_table *table);           /* thread-safe; accepts NULL */
const struct key_table_row *key_table_find(const struct key_table *table,
                                           const struct dr_sha256 *digest);
const struct key_table_row *key_table_find_by_id(const struct key_table *table, dr_slice key_id);
size_t key_table_count(const struct key_table *table);

#endif
