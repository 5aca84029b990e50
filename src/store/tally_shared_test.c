/* Shared numbers: found again, never moved, and no change is lost between threads. */
#include "store/tally_shared.h"

#include "base/alloc.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>

enum { THREADS = 4, CHANGES = 20000, ACCOUNTS = 1000 };

static void test_entries_are_found_again_and_never_moved(void **state) {
    (void)state;
    struct tally *tally = tally_new();
    struct tally_account *accounts[ACCOUNTS];
    for (size_t index = 0; index < ACCOUNTS; index++) {
        char id[16];
        const int len = snprintf(id, sizeof(id), "acc_%zu", index);
        assert_null(tally_find_account(tally, dr_slice_of(id, (size_t)len)));
        accounts[index] = tally_get_account(tally, dr_slice_of(id, (size_t)len));
        assert_true(dr_slice_is(accounts[index]->id, dr_slice_of(id, (size_t)len)));
        assert_int_equal(tally_account_balance(accounts[index]).nanousd, 0);
    }
    assert_ptr_equal(tally_get_account(tally, DR_LIT("acc_17")), accounts[17]);
    assert_ptr_equal(tally_find_account(tally, DR_LIT("acc_17")), accounts[17]);
    struct tally_key *key = tally_get_key(tally, DR_LIT("acc_17"));
    assert_ptr_not_equal(key, accounts[17]);
    assert_ptr_equal(tally_get_key(tally, DR_LIT("acc_17")), key);
    tally_free(tally);
    tally_free(NULL);
}

static void *change_balance(void *owner) {
    struct tally_account *account = owner;
    for (int64_t change = 0; change < CHANGES; change++) {
        tally_account_add(account, (money){change % 2 ? -1 : 3});
    }
    return NULL;
}

static void test_no_change_is_lost_between_threads(void **state) {
    (void)state;
    struct tally *tally = tally_new();
    struct tally_account *account = tally_get_account(tally, DR_LIT("acc"));
    pthread_t threads[THREADS];
    for (size_t index = 0; index < THREADS; index++) {
        assert_int_equal(pthread_create(&threads[index], NULL, change_balance, account), 0);
    }
    for (size_t index = 0; index < THREADS; index++) pthread_join(threads[index], NULL);
    assert_int_equal(tally_account_balance(account).nanousd, THREADS * CHANGES);
    tally_free(tally);
}

static void test_balances_stop_at_the_ends_of_their_range(void **state) {
    (void)state;
    struct tally *tally = tally_new();
    struct tally_account *account = tally_get_account(tally, DR_LIT("acc"));
    tally_account_add(account, (money){INT64_MAX - 5});
    tally_account_add(account, (money){6});
    assert_int_equal(tally_account_balance(account).nanousd, INT64_MAX);
    tally_account_add(account, (money){-INT64_MAX});
    assert_int_equal(tally_account_balance(account).nanousd, 0);
    tally_account_add(account, (money){INT64_MIN});
    tally_account_add(account, (money){-1});
    assert_int_equal(tally_account_balance(account).nanousd, INT64_MIN);
    tally_free(tally);
}

static void test_without_memory_there_is_no_entry_and_no_leak(void **state) {
    (void)state;
    struct tally *tally = NULL;
    struct tally_account *account = NULL;
    struct tally_key *key = NULL;
    for (uint64_t nth = 1; !account || !key; nth++) {
        tally_free(tally);
        dr_alloc_fail_at(nth);
        tally = tally_new();
        account = tally ? tally_get_account(tally, DR_LIT("acc")) : NULL;
        key = tally ? tally_get_key(tally, DR_LIT("key")) : NULL;
        dr_alloc_fail_at(0);
        assert_true(nth < 100);
    }
    tally_free(tally);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries_are_found_again_and_never_moved),
        cmocka_unit_test(test_no_change_is_lost_between_threads),
        cmocka_unit_test(test_balances_stop_at_the_ends_of_their_range),
        cmocka_unit_test(test_without_memory_there_is_no_entry_and_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
