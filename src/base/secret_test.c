/* A secret's life, and that its memory is wiped. */
#include "base/secret.h"

#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_secret_holds_a_copy_until_cleared(void **state) {
    (void)state;
    struct dr_secret secret = {0};
    char text[] = "sk-1234";
    assert_int_equal(dr_secret_set(&secret, (dr_slice){text, 7}), DR_OK);
    memset(text, 'x', 7);
    assert_true(dr_slice_is(dr_secret_reveal(&secret), DR_LIT("sk-1234")));
    assert_true(dr_secret_is(&secret, DR_LIT("sk-1234")));
    assert_false(dr_secret_is(&secret, DR_LIT("sk-1235")));
    assert_false(dr_secret_is(&secret, DR_LIT("sk-123")));
    dr_secret_clear(&secret);
    assert_int_equal(dr_secret_reveal(&secret).len, 0);
    dr_secret_clear(&secret);
}

static void test_setting_again_may_take_its_own_text(void **state) {
    (void)state;
    struct dr_secret secret = {0};
    assert_int_equal(dr_secret_set(&secret, DR_LIT("abcdef")), DR_OK);
    assert_int_equal(dr_secret_set(&secret, dr_slice_from(dr_secret_reveal(&secret), 3)), DR_OK);
    assert_true(dr_secret_is(&secret, DR_LIT("def")));
    dr_secret_clear(&secret);
}

static void test_unset_or_empty_secret_opens_nothing(void **state) {
    (void)state;
    struct dr_secret secret = {0};
    assert_false(dr_secret_is(&secret, DR_NONE));
    assert_false(dr_secret_is(&secret, DR_LIT("")));
    assert_int_equal(dr_secret_set(&secret, DR_NONE), DR_OK);
    assert_false(dr_secret_is(&secret, DR_LIT("")));
    dr_secret_clear(&secret);
}

static void test_failed_set_keeps_the_old_secret(void **state) {
    (void)state;
    struct dr_secret secret = {0};
    assert_int_equal(dr_secret_set(&secret, DR_LIT("old")), DR_OK);
    dr_alloc_fail_at(1);
    assert_int_equal(dr_secret_set(&secret, DR_LIT("new")), DR_NO_MEMORY);
    assert_true(dr_secret_is(&secret, DR_LIT("old")));
    dr_secret_clear(&secret);
}

static void test_wipe_leaves_zeros(void **state) {
    (void)state;
    char bytes[] = "secret";
    dr_wipe(bytes, 6);
    for (size_t i = 0; i < 6; i++) assert_int_equal(bytes[i], 0);
    dr_wipe(NULL, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret_holds_a_copy_until_cleared),
        cmocka_unit_test(test_setting_again_may_take_its_own_text),
        cmocka_unit_test(test_unset_or_empty_secret_opens_nothing),
        cmocka_unit_test(test_failed_set_keeps_the_old_secret),
        cmocka_unit_test(test_wipe_leaves_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
