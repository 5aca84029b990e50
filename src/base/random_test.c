/* That entropy differs and is wiped, and that the seeded generator is the published one. */
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void test_entropy_differs_from_ask_to_ask(void **state) {
    (void)state;
    struct dr_entropy entropy = {.left = 0};
    uint8_t taken[200][16];
    for (size_t i = 0; i < 200; i++) dr_entropy_take(&entropy, taken[i], 16);
    for (size_t a = 0; a < 200; a++) {
        for (size_t b = 0; b < a; b++) assert_memory_not_equal(taken[a], taken[b], 16);
    }
}

static void test_taken_entropy_is_wiped_from_the_store(void **state) {
    (void)state;
    struct dr_entropy entropy = {.left = 0};
    uint8_t taken[100];
    dr_entropy_take(&entropy, taken, sizeof(taken));
    assert_int_equal(entropy.left, sizeof(entropy.bytes) - sizeof(taken));
    for (size_t i = 0; i < sizeof(taken); i++) assert_int_equal(entropy.bytes[i], 0);
}

static void test_large_and_empty_asks_leave_the_store_alone(void **state) {
    (void)state;
    struct dr_entropy entropy = {.left = 0};
    uint8_t large[2000] = {0};
    dr_entropy_take(&entropy, large, sizeof(large));
    dr_entropy_take(&entropy, NULL, 0);
    assert_int_equal(entropy.left, 0);
    size_t zeros = 0;
    for (size_t i = 0; i < sizeof(large); i++) zeros += large[i] == 0;
    assert_true(zeros < 100);
}

static void test_generator_gives_the_published_sequence(void **state) {
    (void)state;
    /* From the authors' reference code with the state {1, 2, 3, 4}. */
    struct dr_random random = {{1, 2, 3, 4}};
    static const uint64_t expected[] = {
        11520, 0, 1509978240, 1215971899390074240, 1216172134540287360,
    };
    for (size_t i = 0; i < 5; i++) assert_true(dr_random_u64(&random) == expected[i]);
    /* splitmix64 from the seed 0. */
    dr_random_seed(&random, 0);
    assert_true(random.state[0] == 0xE220A8397B1DCDAFu);
    assert_true(random.state[1] == 0x6E789E6AA1B965F4u);
}

static void test_same_seed_gives_the_same_numbers(void **state) {
    (void)state;
    struct dr_random first;
    struct dr_random second;
    dr_random_seed(&first, 99);
    dr_random_seed(&second, 99);
    for (int i = 0; i < 100; i++) {
        assert_true(dr_random_u64(&first) == dr_random_u64(&second));
    }
}

static void test_bounded_numbers_are_below_and_even(void **state) {
    (void)state;
    struct dr_random random;
    dr_random_seed(&random, 5);
    size_t counts[6] = {0};
    for (int i = 0; i < 60000; i++) counts[dr_random_below(&random, 6)]++;
    for (size_t i = 0; i < 6; i++) assert_in_range(counts[i], 9500, 10500);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(dr_random_below(&random, 1), 0);
        assert_true(dr_random_below(&random, UINT64_MAX / 2 + 2) <= UINT64_MAX / 2 + 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entropy_differs_from_ask_to_ask),
        cmocka_unit_test(test_taken_entropy_is_wiped_from_the_store),
        cmocka_unit_test(test_large_and_empty_asks_leave_the_store_alone),
        cmocka_unit_test(test_generator_gives_the_published_sequence),
        cmocka_unit_test(test_same_seed_gives_the_same_numbers),
        cmocka_unit_test(test_bounded_numbers_are_below_and_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
