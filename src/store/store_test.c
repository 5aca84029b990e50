/* The store as its callers see it: accounts, keys, top-ups, settled exchanges, totals. */
#include "store/store.h"

#include "base/buf.h"
#include "store/journal.h"
#include "store/sample_books.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char folder[SAMPLE_PATH_BYTES];
    struct store *store;
    struct dr_arena arena;
    struct dr_error error;
};

static void open_again(struct fixture *fixture) {
    store_close(fixture->store);
    fixture->store = NULL;
    fixture->error.text[0] = '\0';
    const enum dr_status status = store_open(fixture->folder, &fixture->store, &fixture->error);
    assert_string_equal(fixture->error.text, "");
    assert_int_equal(status, DR_OK);
}

static int set_up(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){0};
    dr_arena_init(&fixture.arena, 64 << 20, NULL);
    sample_folder_make(fixture.folder);
    open_again(&fixture);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    store_close(fixture->store);
    dr_arena_clear(&fixture->arena);
    sample_folder_remove(fixture->folder);
    return 0;
}

static dr_slice make_account(struct fixture *fixture) {
    static char id[ACCOUNT_ID_BYTES];
    sample_account_make(fixture->store, id);
    return dr_slice_of(id, sizeof(id));
}

static int64_t balance_of(struct fixture *fixture, dr_slice id) {
    struct account account;
    assert_int_equal(
        store_find_account(fixture->store, id, &fixture->arena, &account, &fixture->error), DR_OK);
    return account.balance.nanousd;
}

/* --- opening -------------------------------------------------------------------------------- */

static void test_a_folder_opens_once_and_says_who_holds_it(void **state) {
    struct fixture *fixture = *state;
    struct store *second = NULL;
    char process[32];
    assert_int_equal(store_open(fixture->folder, &second, &fixture->error), DR_EXISTS);
    snprintf(process, sizeof(process), "process %ld ", (long)getpid());
    assert_non_null(strstr(fixture->error.text, process));
    assert_non_null(strstr(fixture->error.text, "--admin"));
    open_again(fixture);
}

static void test_what_is_made_is_for_its_owner_only(void **state) {
    struct fixture *fixture = *state;
    static const char *const names[] = {"drover.db", "drover.db-wal", "lock"};
    make_account(fixture);
    for (size_t index = 0; index < sizeof(names) / sizeof(names[0]); index++) {
        char path[2 * SAMPLE_PATH_BYTES];
        struct stat file;
        snprintf(path, sizeof(path), "%s/%s", fixture->folder, names[index]);
        assert_int_equal(stat(path, &file), 0);
        assert_int_equal(file.st_mode & 0777, 0600);
    }
}

static void test_a_database_of_something_else_is_refused_in_words(void **state) {
    struct fixture *fixture = *state;
    char path[2 * SAMPLE_PATH_BYTES];
    struct store *store = NULL;
    store_close(fixture->store);
    fixture->store = NULL;
    snprintf(path, sizeof(path), "%s/drover.db", fixture->folder);
    FILE *file = fopen(path, "w");
    for (unsigned index = 0; index < 1000; index++) fputs("this is no database\n", file);
    fclose(file);
    assert_int_equal(store_open(fixture->folder, &store, &fixture->error), DR_CORRUPT);
    assert_non_null(strstr(fixture->error.text, "drover.db"));
    assert_int_equal(store_open("/dev/null/x", &store, &fixture->error), DR_IO);
}

/* --- accounts and top-ups ------------------------------------------------------------------- */

static void test_names_follow_their_rule(void **state) {
    struct fixture *fixture = *state;
    static const struct {
        const char *name;
        const char *sentence; /* NULL: allowed */
    } cases[] = {
        {"Ada", NULL},
        {"Müller & Söhne 会社", NULL},
        {"", "is empty"},
        {"a\nb", "control character"},
        {"a\x7f", "control character"},
        {"a\xc2\x85", "control character"},
        {"\xff", "not UTF-8"},
        {"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
         "89012345678901234567890123456789012345678",
         "at most 128"},
    };
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        struct account account;
        fixture->error.text[0] = '\0';
        const enum dr_status status =
            store_create_account(fixture->store, dr_slice_text(cases[index].name), (dr_wall){5},
                                 &fixture->arena, &account, &fixture->error);
        assert_int_equal(status, cases[index].sentence ? DR_INVALID : DR_OK);
        if (cases[index].sentence) {
            assert_non_null(strstr(fixture->error.text, cases[index].sentence));
        }
    }
}

static bool count_account(void *owner, const struct account *account) {
    size_t *count = owner;
    assert_true(account->id.len == ACCOUNT_ID_BYTES);
    return ++*count < 2;
}

static void test_accounts_are_found_listed_and_survive(void **state) {
    struct fixture *fixture = *state;
    struct account made, found;
    size_t count = 0;
    assert_int_equal(store_create_account(fixture->store, DR_LIT("Ada"), (dr_wall){77},
                                          &fixture->arena, &made, &fixture->error),
                     DR_OK);
    assert_true(dr_slice_starts(made.id, DR_LIT("acc_")));
    open_again(fixture);
    assert_int_equal(
        store_find_account(fixture->store, made.id, &fixture->arena, &found, &fixture->error),
        DR_OK);
    assert_true(dr_slice_is(found.name, DR_LIT("Ada")));
    assert_int_equal(found.created.ms, 77);
    assert_int_equal(found.balance.nanousd, 0);
    assert_int_equal(store_find_account(fixture->store, DR_LIT("acc_x"), &fixture->arena, &found,
                                        &fixture->error),
                     DR_NOT_FOUND);
    make_account(fixture);
    make_account(fixture);
    assert_int_equal(store_each_account(fixture->store, count_account, &count, &fixture->error),
                     DR_OK);
    assert_int_equal(count, 2);
}

static void test_a_top_up_counts_once_per_reference(void **state) {
    struct fixture *fixture = *state;
    const dr_slice id = make_account(fixture);
    const struct {
        dr_slice account_id;
        int64_t amount;
        dr_slice reference;
        enum dr_status status;
        int64_t balance;
    } cases[] = {
        {id, 5, DR_NONE, DR_OK, 5},
        {id, 5, DR_NONE, DR_OK, 10},
        {id, 7, DR_LIT("bill-1"), DR_OK, 17},
        {id, 7, DR_LIT("bill-1"), DR_EXISTS, 17},
        {id, 7, DR_LIT("bill-2"), DR_OK, 24},
        {id, 0, DR_NONE, DR_INVALID, 24},
        {id, -1, DR_NONE, DR_INVALID, 24},
        {id, INT64_MAX, DR_NONE, DR_TOO_LARGE, 24},
        {DR_LIT("acc_none"), 1, DR_NONE, DR_NOT_FOUND, 24},
        {id, 1, DR_LIT("a\nb"), DR_INVALID, 24},
    };
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        const enum dr_status status =
            store_topup(fixture->store, cases[index].account_id, (money){cases[index].amount},
                        cases[index].reference, (dr_wall){9}, &fixture->error);
        assert_int_equal(status, cases[index].status);
        assert_int_equal(balance_of(fixture, id), cases[index].balance);
    }
    open_again(fixture);
    assert_int_equal(balance_of(fixture, id), 24);

    dr_slice found = DR_NONE;
    money amount = {0};
    assert_int_equal(store_find_topup(fixture->store, DR_LIT("bill-2"), &fixture->arena, &found,
                                      &amount, &fixture->error),
                     DR_OK);
    assert_true(dr_slice_is(found, id));
    assert_int_equal(amount.nanousd, 7);
    assert_int_equal(store_find_topup(fixture->store, DR_LIT("bill-3"), &fixture->arena, &found,
                                      &amount, &fixture->error),
                     DR_NOT_FOUND);
}

/* --- keys ----------------------------------------------------------------------------------- */

static struct api_key sample_key(dr_slice account_id, uint8_t seed) {
    static const dr_slice models[] = {{"gpt-4.1", 7}, {"claude-*", 8}};
    struct api_key key = {
        .account_id = account_id,
        .name = DR_LIT("production"),
        .hint = DR_LIT("Zx9Q"),
        .created = {11},
        .expires = {22},
        .requests_per_minute = 60,
        .models = models,
        .model_count = 2,
    };
    memset(key.digest.bytes, seed, sizeof(key.digest.bytes));
    return key;
}

static void compare_keys(const struct api_key *key, const struct api_key *other) {
    assert_true(dr_slice_is(key->id, other->id));
    assert_true(dr_slice_is(key->account_id, other->account_id));
    assert_true(dr_slice_is(key->name, other->name));
    assert_true(dr_slice_is(key->hint, other->hint));
    assert_memory_equal(&key->digest, &other->digest, sizeof(key->digest));
    assert_int_equal(key->created.ms, other->created.ms);
    assert_int_equal(key->expires.ms, other->expires.ms);
    assert_int_equal(key->revoked.ms, other->revoked.ms);
    assert_int_equal(key->requests_per_minute, other->requests_per_minute);
    assert_int_equal(key->model_count, other->model_count);
    for (size_t index = 0; index < key->model_count; index++) {
        assert_true(dr_slice_is(key->models[index], other->models[index]));
    }
}

static void test_keys_come_back_as_they_were_made(void **state) {
    struct fixture *fixture = *state;
    const struct api_key asked = sample_key(make_account(fixture), 1);
    struct api_key made, found;
    assert_int_equal(
        store_create_key(fixture->store, &asked, &fixture->arena, &made, &fixture->error), DR_OK);
    assert_true(dr_slice_starts(made.id, DR_LIT("key_")));
    open_again(fixture);
    assert_int_equal(
        store_find_key(fixture->store, made.id, &fixture->arena, &found, &fixture->error), DR_OK);
    compare_keys(&made, &found);
    assert_int_equal(found.model_count, 2);
    struct api_key free_for_all = sample_key(asked.account_id, 2);
    free_for_all.model_count = 0;
    free_for_all.id = DR_LIT("key_demo");
    assert_int_equal(
        store_create_key(fixture->store, &free_for_all, &fixture->arena, &made, &fixture->error),
        DR_OK);
    assert_true(dr_slice_is(made.id, DR_LIT("key_demo")));
    assert_int_equal(made.model_count, 0);
}

static void test_keys_that_cannot_be_are_refused(void **state) {
    struct fixture *fixture = *state;
    struct api_key key = sample_key(make_account(fixture), 1);
    struct api_key made;
    assert_int_equal(
        store_create_key(fixture->store, &key, &fixture->arena, &made, &fixture->error), DR_OK);
    assert_int_equal(
        store_create_key(fixture->store, &key, &fixture->arena, &made, &fixture->error), DR_EXISTS);
    key = sample_key(DR_LIT("acc_none"), 2);
    assert_int_equal(
        store_create_key(fixture->store, &key, &fixture->arena, &made, &fixture->error),
        DR_NOT_FOUND);
    key = sample_key(key.account_id, 3);
    key.name = DR_LIT("a\tb");
    assert_int_equal(
        store_create_key(fixture->store, &key, &fixture->arena, &made, &fixture->error),
        DR_INVALID);
    const dr_slice empty = DR_LIT("");
    key = sample_key(key.account_id, 3);
    key.models = &empty;
    key.model_count = 1;
    assert_int_equal(
        store_create_key(fixture->store, &key, &fixture->arena, &made, &fixture->error),
        DR_INVALID);
    assert_int_equal(
        store_find_key(fixture->store, DR_LIT("key_none"), &fixture->arena, &made, &fixture->error),
        DR_NOT_FOUND);
}

static void test_the_first_revocation_stays(void **state) {
    struct fixture *fixture = *state;
    const struct api_key asked = sample_key(make_account(fixture), 1);
    struct api_key key;
    assert_int_equal(
        store_create_key(fixture->store, &asked, &fixture->arena, &key, &fixture->error), DR_OK);
    for (int64_t at = 100; at < 103; at++) {
        assert_int_equal(store_revoke_key(fixture->store, key.id, (dr_wall){at}, &fixture->error),
                         DR_OK);
    }
    assert_int_equal(store_find_key(fixture->store, key.id, &fixture->arena, &key, &fixture->error),
                     DR_OK);
    assert_int_equal(key.revoked.ms, 100);
    assert_int_equal(
        store_revoke_key(fixture->store, DR_LIT("key_none"), (dr_wall){1}, &fixture->error),
        DR_NOT_FOUND);
}

static bool count_key(void *owner, const struct api_key *key) {
    size_t *count = owner;
    assert_int_equal(key->model_count, 2);
    ++*count;
    return true;
}

static void test_keys_are_listed_by_account(void **state) {
    struct fixture *fixture = *state;
    char first[ACCOUNT_ID_BYTES], second[ACCOUNT_ID_BYTES];
    struct api_key made;
    size_t of_first = 0, of_all = 0;
    sample_account_make(fixture->store, first);
    sample_account_make(fixture->store, second);
    for (uint8_t seed = 0; seed < 5; seed++) {
        const struct api_key key =
            sample_key(dr_slice_of(seed < 2 ? first : second, ACCOUNT_ID_BYTES), seed);
        assert_int_equal(
            store_create_key(fixture->store, &key, &fixture->arena, &made, &fixture->error), DR_OK);
    }
    assert_int_equal(store_each_key(fixture->store, dr_slice_of(first, sizeof(first)), count_key,
                                    &of_first, &fixture->error),
                     DR_OK);
    assert_int_equal(store_each_key(fixture->store, DR_NONE, count_key, &of_all, &fixture->error),
                     DR_OK);
    assert_int_equal(of_first, 2);
    assert_int_equal(of_all, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        STORE_TEST(test_a_folder_opens_once_and_says_who_holds_it),
        STORE_TEST(test_what_is_made_is_for_its_owner_only),
        STORE_TEST(test_a_database_of_something_else_is_refused_in_words),
        STORE_TEST(test_names_follow_their_rule),
        STORE_TEST(test_accounts_are_found_listed_and_survive),
        STORE_TEST(test_a_top_up_counts_once_per_reference),
        STORE_TEST(test_keys_come_back_as_they_were_made),
        STORE_TEST(test_keys_that_cannot_be_are_refused),
        STORE_TEST(test_the_first_revocation_stays),
        STORE_TEST(test_keys_are_listed_by_account),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
