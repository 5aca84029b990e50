/* The table of keys as it was at one moment. Filled by one thread, then only read; the count of its
 * holders is the one thing that changes. Decides nothing about a key: expired and revoked ones are
 * found like others. */
#include "store/key_table.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/map.h"
#include "base/random.h"

#include <stdatomic.h>

enum { KEYS_MAX = 16 * 1024 * 1024, TEXT_BYTES_MAX = 1 << 30 };

struct key_table {
    atomic_size_t holders;
    struct dr_arena rows; /* the rows and their texts */
    struct dr_map by_digest;
    struct dr_map by_id;
};

/* What the walks over accounts and keys share; a visit that fails stops the walk. */
struct build {
    struct key_table *table;
    struct tally *tally;
    enum dr_status status;
    struct dr_error *error;
};

static bool fail_build(struct build *build, enum dr_status status, const char *sentence) {
    build->status = dr_fail(build->error, status, 0, "%s", sentence);
    return false;
}

static bool visit_account(void *owner, const struct account *account) {
    struct build *build = owner;
    if (tally_find_account(build->tally, account->id)) return true; /* the live balance stays */
    struct tally_account *live = tally_get_account(build->tally, account->id);
    if (!live) return fail_build(build, DR_NO_MEMORY, "out of memory");
    tally_account_add(live, account->balance);
    return true;
}

static bool copy_models(struct dr_arena *arena, struct api_key *key) {
    if (key->model_count == 0) return true;
    dr_slice *models = dr_arena_alloc(arena, key->model_count * sizeof(*models));
    if (!models) return false;
    for (size_t index = 0; index < key->model_count; index++) {
        if (!dr_arena_copy(arena, key->models[index], &models[index])) return false;
    }
    key->models = models;
    return true;
}

static bool copy_key(struct dr_arena *arena, struct api_key *key) {
    return dr_arena_copy(arena, key->id, &key->id) &&
           dr_arena_copy(arena, key->account_id, &key->account_id) &&
           dr_arena_copy(arena, key->name, &key->name) &&
           dr_arena_copy(arena, key->hint, &key->hint) && copy_models(arena, key);
}

static dr_slice digest_slice(const struct dr_sha256 *digest) {
    return dr_slice_of((const char *)digest->bytes, sizeof(digest->bytes));
}

static bool visit_key(void *owner, const struct api_key *key) {
    struct build *build = owner;
    struct key_table *table = build->table;
    struct key_table_row *row = dr_arena_alloc_zero(&table->rows, sizeof(*row));
    if (!row) return fail_build(build, DR_NO_MEMORY, "out of memory");
    row->key = *key;
    if (!copy_key(&table->rows, &row->key)) {
        return fail_build(build, DR_NO_MEMORY, "out of memory");
    }
    row->account = tally_find_account(build->tally, row->key.account_id);
    if (!row->account) return fail_build(build, DR_CORRUPT, "a key belongs to no account");
    row->tally = tally_get_key(build->tally, row->key.id);
    if (!row->tally || dr_map_put(&table->by_digest, digest_slice(&row->key.digest), row) ||
        dr_map_put(&table->by_id, row->key.id, row)) {
        return fail_build(build, DR_NO_MEMORY, "out of memory");
    }
    return true;
}

static void free_table(struct key_table *table) {
    dr_map_clear(&table->by_digest);
    dr_map_clear(&table->by_id);
    dr_arena_clear(&table->rows);
    dr_free(table);
}

enum dr_status key_table_build(struct store *store, struct tally *tally,
                               struct key_table **ret_table, struct dr_error *error) {
    struct key_table *table = dr_alloc_zero(1, sizeof(*table));
    if (!table) return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    struct dr_entropy entropy = {0};
    uint64_t seeds[2];
    dr_entropy_take(&entropy, seeds, sizeof(seeds));
    atomic_init(&table->holders, 1);
    dr_arena_init(&table->rows, TEXT_BYTES_MAX, NULL);
    dr_map_init(&table->by_digest, KEYS_MAX, seeds[0]);
    dr_map_init(&table->by_id, KEYS_MAX, seeds[1]);
    struct build build = {.table = table, .tally = tally, .error = error};
    enum dr_status status = store_each_account(store, visit_account, &build, error);
    if (!status) status = build.status;
    if (!status) status = store_each_key(store, DR_NONE, visit_key, &build, error);
    if (!status) status = build.status;
    if (status) {
        free_table(table);
        return status;
    }
    *ret_table = table;
    return DR_OK;
}

struct key_table *key_table_hold(struct key_table *table) {
    const size_t before = atomic_fetch_add_explicit(&table->holders, 1, memory_order_relaxed);
    dr_assert(before > 0);
    return table;
}

void key_table_release(struct key_table *table) {
    if (!table) return;
    const size_t before = atomic_fetch_sub_explicit(&table->holders, 1, memory_order_acq_rel);
    dr_assert(before > 0);
    if (before == 1) free_table(table);
}

const struct key_table_row *key_table_find(const struct key_table *table,
                                           const struct dr_sha256 *digest) {
    return dr_map_find(&table->by_digest, digest_slice(digest));
}

const struct key_table_row *key_table_find_by_id(const struct key_table *table, dr_slice key_id) {
    return dr_map_find(&table->by_id, key_id);
}

size_t key_table_count(const struct key_table *table) {
    return table->by_digest.count;
}
