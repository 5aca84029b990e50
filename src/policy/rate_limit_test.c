/* The bucket at its edges. */
#include "policy/rate_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)

static void test_five_a_minute_admits_five_and_refuses_the_sixth_for_twelve_seconds(void **state) {
    const dr_instant now = {1000 * SECOND};
    int64_t bucket = 0;

    (void)state;
    for (uint32_t i = 0; i < 5; i++) {
        const struct rate_limit_verdict verdict = rate_limit_check(bucket, 5, now, true);
        assert_true(verdict.is_admitted);
        assert_int_equal(verdict.remaining, 4 - i);
        assert_int_equal(verdict.retry_after_us, 0);
        assert_int_equal(verdict.reset_us, (i + 1) * 12 * SECOND);
        bucket = verdict.next_state_us;
    }
    const struct rate_limit_verdict sixth = rate_limit_check(bucket, 5, now, true);
    assert_false(sixth.is_admitted);
    assert_int_equal(sixth.remaining, 0);
    assert_int_equal(sixth.retry_after_us, 12 * SECOND);
    assert_int_equal(sixth.reset_us, 60 * SECOND);

    const dr_instant too_soon = {now.us + 12 * SECOND - 1};
    assert_int_equal(rate_limit_check(bucket, 5, too_soon, true).retry_after_us, 1);
    const dr_instant in_time = {now.us + 12 * SECOND};
    assert_true(rate_limit_check(bucket, 5, in_time, true).is_admitted);
}

static void test_looking_takes_nothing(void **state) {
    const dr_instant now = {77 * SECOND};
    const struct rate_limit_verdict full = rate_limit_check(0, 60, now, false);
    const struct rate_limit_verdict used = rate_limit_check(now.us + SECOND, 60, now, false);

    (void)state;
    assert_true(full.is_admitted);
    assert_int_equal(full.remaining, 60);
    assert_int_equal(full.reset_us, 0);
    assert_int_equal(used.remaining, 59);
    assert_int_equal(used.next_state_us, now.us + SECOND);
}

static void test_a_bucket_is_full_again_after_a_quiet_minute(void **state) {
    const dr_instant now = {500 * SECOND};
    const int64_t empty = now.us + 60 * SECOND;
    const dr_instant later = {now.us + 60 * SECOND};

    (void)state;
    assert_int_equal(rate_limit_check(empty, 30, now, false).remaining, 0);
    assert_int_equal(rate_limit_check(empty, 30, later, false).remaining, 30);
}

static void test_a_state_of_a_stricter_limit_is_an_empty_bucket_at_worst(void **state) {
    const dr_instant now = {10 * SECOND};
    const struct rate_limit_verdict verdict =
        rate_limit_check(now.us + 9999 * SECOND, 60, now, true);

    (void)state;
    assert_false(verdict.is_admitted);
    assert_int_equal(verdict.retry_after_us, SECOND);
}

/* A burst of a whole minute, then the rate: never more, and hardly less. */
static void test_any_rate_is_kept_over_minutes(void **state) {
    static const uint32_t rates[] = {1, 2, 7, 59, 60, 61, 1000, 99999};

    (void)state;
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        const int64_t step = 60 * SECOND / rates[i] / 3 + 1;
        int64_t bucket = 0;
        uint64_t admitted = 0;
        for (int64_t at = SECOND; at < SECOND + 180 * SECOND; at += step) {
            const struct rate_limit_verdict verdict =
                rate_limit_check(bucket, rates[i], (dr_instant){at}, true);
            if (!verdict.is_admitted) continue;
            bucket = verdict.next_state_us;
            admitted++;
        }
        assert_true(admitted <= 4 * (uint64_t)rates[i]);
        assert_true(admitted + rates[i] / 100 + 1 >= 4 * (uint64_t)rates[i]);
    }
}

static void test_the_largest_rate_does_not_overflow(void **state) {
    const struct rate_limit_verdict verdict =
        rate_limit_check(0, UINT32_MAX, (dr_instant){SECOND}, true);

    (void)state;
    assert_true(verdict.is_admitted);
    assert_int_equal(verdict.remaining, UINT32_MAX - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_five_a_minute_admits_five_and_refuses_the_sixth_for_twelve_seconds),
        cmocka_unit_test(test_looking_takes_nothing),
        cmocka_unit_test(test_a_bucket_is_full_again_after_a_quiet_minute),
        cmocka_unit_test(test_a_state_of_a_stricter_limit_is_an_empty_bucket_at_worst),
        cmocka_unit_test(test_any_rate_is_kept_over_minutes),
        cmocka_unit_test(test_the_largest_rate_does_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
