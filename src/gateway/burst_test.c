/* Pieces as they come, and which of them are followed by a wait. */
#include "gateway/burst.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

static void test_words_are_gathered_behind_the_first_ones_only(void **state) {
    static const struct {
        int64_t after_us; /* the piece before */
        bool has_words;
        bool is_gathered; /* what follows */
    } pieces[] = {
        {1000000, false, false}, /* the role */
        {5, false, false},       /* a comment */
        {5, true, true},         /* the first words, which did not wait */
        {DR_LOOP_GATHER_US, true, true},
        {BURST_US - 1, true, true},
        {BURST_US, true, false}, /* a usual pace */
        {20000, true, false},
        {20000, true, false},
        {5, true, true}, /* a burst in the middle */
        {DR_LOOP_GATHER_US + 20, true, true},
        {20000, true, false},
    };
    struct burst burst = {0};
    dr_instant now = {0};
    (void)state;
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        now.us += pieces[i].after_us;
        burst.has_words = pieces[i].has_words;
        if (burst_note(&burst, now) != pieces[i].is_gathered) {
            fail_msg("piece %zu", i);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_are_gathered_behind_the_first_ones_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
