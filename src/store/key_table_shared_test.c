/* The key table: every key of the store is in it, live balances stay, and it lives as long as its
 * last holder. */
#include "store/key_table.h"

#include "base/alloc.h"
#include "store/sample_books.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>

enum { KEYS = 60 };

struct fixture {
    char folder[SAMPLE_PATH_BYTES];
    char account[ACCOUNT_ID_BYTES];
    struct store *store;
    struct tally *tally;
};

static struct dr_sha256 digest_of(size_t index) {
    char text[32];
    const int len = snprintf(text, sizeof(text), "key %zu", index);
    return dr_sha256(dr_slice_of(text, (size_t)len));
}

static void add_key(struct fixture *fixture, size_t index) {
    static const dr_slice models[] = {{"gpt-4.1", 7}, {"claude-*", 8}};
    struct dr_arena arena;
    struct api_key made;
    char id[32];
    const int len = snprintf(id, sizeof(id), "key_%zu", index);
    const struct api_key key = {
        .id = dr_slice_of(id, (size_t)len),
        .account_id = dr_slice_of(fixture->account, ACCOUNT_ID_BYTES),
        .digest = digest_of(index),
        .models = models,
        .model_count = index % 3,
    };
    dr_arena_init(&arena, 65536, NULL);
    assert_int_equal(store_create_key(fixture->store, &key, &arena, &made, NULL), DR_OK);
    dr_arena_clear(&arena);
}

static int set_up(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){0};
    sample_folder_make(fixture.folder);
    assert_int_equal(store_open(fixture.folder, &fixture.store, NULL), DR_OK);
    sample_account_make(fixture.store, fixture.account);
    assert_int_equal(store_topup(fixture.store, dr_slice_of(fixture.account, ACCOUNT_ID_BYTES),
                                 (money){500}, DR_NONE, (dr_wall){1}, NULL),
                     DR_OK);
    for (size_t index = 0; index < KEYS; index++) add_key(&fixture, index);
    fixture.tally = tally_new();
    assert_non_null(fixture.tally);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    tally_free(fixture->tally);
    store_close(fixture->store);
    sample_folder_remove(fixture->folder);
    return 0;
}

static struct key_table *build(struct fixture *fixture) {
    struct key_table *table = NULL;
    struct dr_error error = {0};
    assert_int_equal(key_table_build(fixture->store, fixture->tally, &table, &error), DR_OK);
    return table;
}

static void test_every_key_is_found_by_digest_and_by_id(void **state) {
    struct fixture *fixture = *state;
    struct key_table *table = build(fixture);
    assert_int_equal(key_table_count(table), KEYS);
    for (size_t index = 0; index < KEYS; index++) {
        const struct dr_sha256 digest = digest_of(index);
        const struct key_table_row *row = key_table_find(table, &digest);
        assert_non_null(row);
        assert_ptr_equal(key_table_find_by_id(table, row->key.id), row);
        assert_int_equal(row->key.model_count, index % 3);
        assert_true(api_key_allows(&row->key, DR_LIT("gpt-4.1")));
        assert_int_equal(api_key_allows(&row->key, DR_LIT("other")), index % 3 == 0);
        assert_true(dr_slice_is(row->account->id, row->key.account_id));
    }
    const struct dr_sha256 unknown = digest_of(KEYS);
    assert_null(key_table_find(table, &unknown));
    assert_null(key_table_find_by_id(table, DR_LIT("key_none")));
    key_table_release(table);
    key_table_release(NULL);
}

static void test_live_balances_and_new_keys_survive_a_rebuild(void **state) {
    struct fixture *fixture = *state;
    struct key_table *first = build(fixture);
    const struct key_table_row *row = key_table_find_by_id(first, DR_LIT("key_0"));
    assert_int_equal(tally_account_balance(row->account).nanousd, 500);
    tally_account_add(row->account, (money){-123});
    assert_int_equal(store_revoke_key(fixture->store, row->key.id, (dr_wall){9}, NULL), DR_OK);
    add_key(fixture, KEYS);
    struct key_table *second = build(fixture);
    const struct key_table_row *again = key_table_find_by_id(second, DR_LIT("key_0"));
    assert_ptr_equal(again->account, row->account);
    assert_ptr_equal(again->tally, row->tally);
    assert_int_equal(tally_account_balance(again->account).nanousd, 377);
    assert_int_equal(row->key.revoked.ms, 0);
    assert_int_equal(again->key.revoked.ms, 9);
    assert_int_equal(key_table_count(second), KEYS + 1);
    key_table_release(first);
    key_table_release(second);
}

static void *hold_and_release(void *owner) {
    struct key_table *table = owner;
    for (unsigned index = 0; index < 10000; index++) {
        key_table_release(key_table_hold(table));
    }
    key_table_release(table);
    return NULL;
}

static void test_the_last_holder_of_any_thread_ends_it(void **state) {
    struct fixture *fixture = *state;
    struct key_table *table = build(fixture);
    pthread_t threads[3];
    for (size_t index = 0; index < 3; index++) {
        assert_int_equal(
            pthread_create(&threads[index], NULL, hold_and_release, key_table_hold(table)), 0);
    }
    key_table_release(table);
    for (size_t index = 0; index < 3; index++) pthread_join(threads[index], NULL);
}

static void test_without_memory_there_is_no_table_and_no_leak(void **state) {
    struct fixture *fixture = *state;
    struct key_table *table = NULL;
    enum dr_status status = DR_NO_MEMORY;
    for (uint64_t nth = 1; status == DR_NO_MEMORY; nth += 1 + nth / 16) {
        struct dr_error error = {0};
        dr_alloc_fail_at(nth);
        status = key_table_build(fixture->store, fixture->tally, &table, &error);
        dr_alloc_fail_at(0);
        if (status) assert_string_equal(error.text, "out of memory");
    }
    assert_int_equal(status, DR_OK);
    assert_int_equal(
        tally_account_balance(
            tally_find_account(fixture->tally, dr_slice_of(fixture->account, ACCOUNT_ID_BYTES)))
            .nanousd,
        500);
    key_table_release(table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TABLE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TABLE_TEST(test_every_key_is_found_by_digest_and_by_id),
        TABLE_TEST(test_live_balances_and_new_keys_survive_a_rebuild),
        TABLE_TEST(test_the_last_holder_of_any_thread_ends_it),
        TABLE_TEST(test_without_memory_there_is_no_table_and_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
