/* Places that threads share. */
#include "net/places_shared.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

static void test_no_more_places_are_taken_than_there_are(void **state) {
    (void)state;
    struct dr_places places;
    dr_places_init(&places, 2);
    assert_true(dr_places_take(&places));
    assert_true(dr_places_take(&places));
    assert_false(dr_places_take(&places));
    dr_places_give_back(&places);
    assert_int_equal(dr_places_taken(&places), 1);
    assert_true(dr_places_take(&places));
    assert_false(dr_places_take(&places));
}

enum { THREADS = 4, ROUNDS = 20000, PLACES = 3 };

struct crowd {
    struct dr_places places;
    _Atomic uint32_t too_many;
};

static void *come_and_go(void *owner) {
    struct crowd *crowd = owner;
    for (int i = 0; i < ROUNDS; i++) {
        if (!dr_places_take(&crowd->places)) continue;
        if (dr_places_taken(&crowd->places) > PLACES) atomic_fetch_add(&crowd->too_many, 1);
        dr_places_give_back(&crowd->places);
    }
    return NULL;
}

static void test_threads_together_take_no_more_either(void **state) {
    (void)state;
    struct crowd crowd = {.too_many = 0};
    pthread_t threads[THREADS];
    dr_places_init(&crowd.places, PLACES);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &crowd), 0);
    }
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(crowd.too_many, 0);
    assert_int_equal(dr_places_taken(&crowd.places), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_more_places_are_taken_than_there_are),
        cmocka_unit_test(test_threads_together_take_no_more_either),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
