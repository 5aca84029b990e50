/* What outlives us: accounts, keys, top-ups, settled exchanges, totals. One SQLite database,
 * DATA/drover.db, and the files of DATA/ledger, used by one thread at a time (the bookkeeper's
 * while a gateway runs, a command's own otherwise). Calls block. Nothing here decides anything.
 *
 * Settled exchanges are kept in pages, many encoded records in one piece of a file, because a row
 * each costs as much CPU as relaying the request (see docs/adr); the database has a row for each
 * page, which says where it lies. A request id carries its time, so that a receipt is found by the
 * pages of that time. A page's row and the journal position change in one transaction. Totals by
 * day, account, key, model and the balances are kept beside; they follow the pages by a few
 * seconds, in one transaction with the number of the page they have come to, and are brought up to
 * date before any call here reads them. So each record counts exactly once, everywhere. */
#ifndef DR_STORE_STORE_H
#define DR_STORE_STORE_H

#include "base/arena.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/account.h"
#include "model/ledger_entry.h"

struct store;

/* Opens (and creates, migrates) DATA/drover.db and takes the lock on DATA/lock, so that no second
 * gateway or command shares the folder: DR_EXISTS says who holds it (pid). The folder is created
 * when absent, mode 0700; its parent must exist. */
enum dr_status store_open(const char *folder, struct store **ret_store,
                          struct dr_error *error) DR_MUST_USE;
void store_close(struct store *store); /* accepts NULL */
const char *store_folder(const struct store *store);

/* --- accounts and keys; returned records live in `arena` ------------------------------------- */

/* DR_INVALID: the name is empty, longer than ACCOUNT_NAME_BYTES_MAX, not UTF-8 or has a control
 * character. Names need not be unique. */
enum dr_status store_create_account(struct store *store, dr_slice name, dr_wall now,
                                    struct dr_arena *arena, struct account *ret_account,
                                    struct dr_error *error) DR_MUST_USE;
/* DR_NOT_FOUND when there is none. */
enum dr_status store_find_account(struct store *store, dr_slice id, struct dr_arena *arena,
                                  struct account *ret_account, struct dr_error *error) DR_MUST_USE;
/* `visit` returns false to stop. Records are lent for the call. */
enum dr_status store_each_account(struct store *store,
                                  bool (*visit)(void *owner, const struct account *account),
                                  void *owner, struct dr_error *error) DR_MUST_USE;
/* Adds `amount` (> 0) once per `reference` (empty: no check): a reference that was used before, for
 * any account, is DR_EXISTS. Durable when it returns. */
enum dr_status store_topup(struct store *store, dr_slice account_id, money amount,
                           dr_slice reference, dr_wall now, struct dr_error *error) DR_MUST_USE;
/* The top-up that used this reference; DR_NOT_FOUND. */
enum dr_status store_find_topup(struct store *store, dr_slice reference, struct dr_arena *arena,
                                dr_slice *ret_account_id, money *ret_amount,
                                struct dr_error *error) DR_MUST_USE;

/* What a new key gets; `digest` and `hint` are of the text that the caller made. `key->id` empty:
 * made here. The name may be empty, else as an account's. DR_NOT_FOUND: no such account;
 * DR_EXISTS: this digest or id is there already; DR_INVALID: a text breaks its rule. */
enum dr_status store_create_key(struct store *store, const struct api_key *key,
                                struct dr_arena *arena, struct api_key *ret_key,
                                struct dr_error *error) DR_MUST_USE;
enum dr_status store_find_key(struct store *store, dr_slice id, struct dr_arena *arena,
                              struct api_key *ret_key, struct dr_error *error) DR_MUST_USE;
/* `account_id` empty: all. */
enum dr_status store_each_key(struct store *store, dr_slice account_id,
                              bool (*visit)(void *owner, const struct api_key *key), void *owner,
                              struct dr_error *error) DR_MUST_USE;
/* Idempotent: the first time stays. DR_NOT_FOUND. */
enum dr_status store_revoke_key(struct store *store, dr_slice id, dr_wall now,
                                struct dr_error *error) DR_MUST_USE;

/* --- settled exchanges ----------------------------------------------------------------------- */

/* A journal segment as store_take_records reads it. */
struct store_source {
    dr_slice segment;   /* its name */
    uint64_t offset;    /* how far it was taken in before */
    uint64_t bytes_max; /* of one batch, about */
    /* Bytes from `offset` on, lent until the next call; as many as a record of the largest size
     * has, or all there are. */
    enum dr_status (*read)(void *owner, uint64_t offset, dr_slice *ret_bytes,
                           struct dr_error *error);
    void *owner;
};
struct store_taken {
    uint64_t bytes;
    uint64_t count;
    bool is_end; /* nothing whole is behind them now */
};
/* How far a segment was taken in, also when its file is long gone; 0 for an unknown one. */
enum dr_status store_get_position(struct store *store, dr_slice segment, uint64_t *ret_offset,
                                  struct dr_error *error) DR_MUST_USE;
/* Takes in a batch of whole records (journal_encode) as they stand, in one durable transaction with
 * the place they end at. DR_EXISTS: the segment was taken in further than to `offset`; nothing
 * changes on failure. */
enum dr_status store_take_records(struct store *store, const struct store_source *source,
                                  struct store_taken *ret_taken,
                                  struct dr_error *error) DR_MUST_USE;

/* Which records have their line in the usage log. Says that all which are in the store now have
 * theirs or need none; durable with the next batch, or when it is saved. */
void store_note_lines(struct store *store);
enum dr_status store_save_lines(struct store *store, struct dr_error *error) DR_MUST_USE;
/* The records of which this is not known for certain, in order; whole records, lent. After a crash
 * these are the last batch and what was taken in without a usage log. */
enum dr_status store_each_unlined(struct store *store, bool (*visit)(void *owner, dr_slice records),
                                  void *owner, struct dr_error *error) DR_MUST_USE;

/* DR_NOT_FOUND also when it belongs to another account (`account_id` empty: any), and for an id
 * that request_id_read refuses. The entry's slices live in `arena`. */
enum dr_status store_find_entry(struct store *store, dr_slice request_id, dr_slice account_id,
                                struct dr_arena *arena, struct ledger_entry *ret_entry,
                                struct dr_error *error) DR_MUST_USE;

struct store_filter {
    dr_slice account_id; /* empty: all */
    dr_slice key_id;
    dr_slice model;
    dr_wall from; /* by `created`; ms 0: from the beginning */
    dr_wall to;   /* exclusive; ms 0: without end */
};
/* In the order they were taken in: as settled, of several workers batch by batch. */
enum dr_status store_each_entry(struct store *store, const struct store_filter *filter,
                                bool (*visit)(void *owner, const struct ledger_entry *entry),
                                void *owner, struct dr_error *error) DR_MUST_USE;

/* A place in the order of store_each_entry: behind so many entries of a page. Zero is the
 * beginning. Places stay valid for ever. */
struct store_place {
    int64_t page;
    uint32_t count;
};
/* The same from `*place` on and over at most `pages_max` pages, so that a walk through any number
 * of entries can be done in short turns. `*place` moves behind the last entry that was looked at,
 * wanted or not; `*ret_is_over` when none was left. */
enum dr_status store_walk_entries(struct store *store, const struct store_filter *filter,
                                  struct store_place *place, size_t pages_max,
                                  bool (*visit)(void *owner, const struct ledger_entry *entry),
                                  void *owner, bool *ret_is_over,
                                  struct dr_error *error) DR_MUST_USE;

enum store_group { STORE_BY_ACCOUNT = 1, STORE_BY_KEY = 2, STORE_BY_MODEL = 4, STORE_BY_DAY = 8 };
struct store_total {
    dr_slice account_id, account_name, key_id, key_name; /* empty unless grouped by it */
    dr_slice model; /* also empty of requests that named none, or one that was unknown then */
    char day[11];   /* "2026-11-24", empty unless grouped by day; UTC */
    uint64_t requests;
    uint64_t prompt_tokens, completion_tokens, total_tokens, cached_tokens;
    money cost;
};
/* Totals by day granularity: the whole UTC days that `filter.from` to `.to` touches. `groups` is
 * a set of enum store_group; with 0 there is exactly one total. Ordered by day, account, key,
 * model. */
enum dr_status store_each_total(struct store *store, const struct store_filter *filter,
                                unsigned groups,
                                bool (*visit)(void *owner, const struct store_total *total),
                                void *owner, struct dr_error *error) DR_MUST_USE;

/* A request id: "req_", 9 characters of base62 for the UTC milliseconds, 22 for 128 random bits. */
enum { REQUEST_ID_BYTES = 4 + 9 + 22 };
void request_id_write(dr_wall now, const uint8_t random[16], char text[REQUEST_ID_BYTES]);
bool request_id_read(dr_slice text, dr_wall *ret_created);

#endif
