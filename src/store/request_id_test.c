/* Request ids tell their time and nothing else is taken for one. */
#include "store/store.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

static void test_an_id_carries_its_time(void **state) {
    (void)state;
    static const int64_t times[] = {0, 1, 61, 62, 1795000000000, 253402300799999};
    for (size_t index = 0; index < sizeof(times) / sizeof(times[0]); index++) {
        char text[REQUEST_ID_BYTES];
        uint8_t random[16];
        dr_wall made = {-1};
        memset(random, index == 1 ? 0xff : (int)index, sizeof(random));
        request_id_write((dr_wall){times[index]}, random, text);
        assert_true(request_id_read(dr_slice_of(text, sizeof(text)), &made));
        assert_int_equal(made.ms, times[index]);
    }
}

static void test_ids_sort_by_time_and_differ_by_their_random_bits(void **state) {
    (void)state;
    char early[REQUEST_ID_BYTES], late[REQUEST_ID_BYTES], other[REQUEST_ID_BYTES];
    uint8_t random[16] = {1};
    request_id_write((dr_wall){1000}, random, early);
    request_id_write((dr_wall){1001}, random, late);
    assert_true(memcmp(early, late, sizeof(early)) < 0);
    random[15] = 1;
    request_id_write((dr_wall){1000}, random, other);
    assert_memory_not_equal(early, other, sizeof(early));
}

static void test_texts_of_another_shape_are_no_ids(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "req_",
        "req_0000000000000000000000000000000",
        "res_0000000000000000000000000000000",
        "req_00000000000000000000000000000000",
        "req_000000000000000000000000000000-",
        "req_000000000000000000000000000000",
    };
    for (size_t index = 0; index < sizeof(texts) / sizeof(texts[0]); index++) {
        dr_wall made;
        assert_int_equal(request_id_read(dr_slice_text(texts[index]), &made), index == 2);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_id_carries_its_time),
        cmocka_unit_test(test_ids_sort_by_time_and_differ_by_their_random_bits),
        cmocka_unit_test(test_texts_of_another_shape_are_no_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
