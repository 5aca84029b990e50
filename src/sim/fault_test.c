/* Fault words: what must be understood, and which words must be refused with which sentence. */
#include "sim/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_every_word_sets_its_field(void **state) {
    (void)state;
    struct sim_fault fault;
    const dr_slice words = DR_LIT("status=503, retry_after=2,slow=100,times=3,refuse,stall,"
                                  "stall_mid,cut,cut_mid,close_idle,garbage,bad_json,error_event,"
                                  "dribble,no_usage,split_utf8,huge");
    assert_int_equal(sim_fault_parse(words, &fault, NULL), DR_OK);
    assert_int_equal(fault.status, 503);
    assert_int_equal(fault.retry_after_s, 2);
    assert_int_equal(fault.slow_bytes_per_s, 100);
    assert_int_equal(fault.times, 3);
    assert_true(fault.refuse && fault.stall && fault.stall_mid && fault.cut && fault.cut_mid);
    assert_true(fault.close_idle && fault.garbage && fault.bad_json && fault.error_event);
    assert_true(fault.dribble && fault.no_usage && fault.split_utf8 && fault.huge);
}

static void test_no_words_are_no_fault(void **state) {
    (void)state;
    static const struct sim_fault none;
    static const char *const texts[] = {"", "  "};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct sim_fault fault = {.status = 1};
        assert_int_equal(sim_fault_parse(dr_slice_text(texts[i]), &fault, NULL), DR_OK);
        assert_int_equal(fault.status, none.status);
        assert_false(fault.stall);
    }
    struct sim_fault fault;
    assert_int_equal(sim_fault_parse(DR_NONE, &fault, NULL), DR_OK);
}

static void test_one_word_sets_nothing_else(void **state) {
    (void)state;
    struct sim_fault fault;
    assert_int_equal(sim_fault_parse(DR_LIT("stall_mid,times=2"), &fault, NULL), DR_OK);
    assert_true(fault.stall_mid);
    assert_false(fault.stall);
    assert_int_equal(fault.times, 2);
    assert_int_equal(fault.status, 0);
}

static void test_wrong_words_are_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *words;
        const char *said;
    } cases[] = {
        {"nonsense", "nonsense"},
        {"stall,nonsense", "nonsense"},
        {"Stall", "Stall"},
        {",", "unknown"},
        {"stall,", "unknown"},
        {"stall,,cut", "unknown"},
        {"status", "status"},
        {"status=", "300 to 599"},
        {"status=200", "300 to 599"},
        {"status=1000", "300 to 599"},
        {"status=4x9", "4x9"},
        {"retry_after=-1", "-1"},
        {"slow=0", "slow"},
        {"times=0", "times"},
        {"times=4294967296", "times"},
        {"stall=1", "stall"},
        {"=5", "unknown"},
        {"status=429=1", "429=1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sim_fault fault = {.status = 77};
        struct dr_error error;
        const dr_slice words = dr_slice_text(cases[i].words);
        if (sim_fault_parse(words, &fault, &error) != DR_INVALID) fail_msg("%s", cases[i].words);
        if (!strstr(error.text, cases[i].said)) fail_msg("%s: %s", cases[i].words, error.text);
        assert_int_equal(fault.status, 77);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_word_sets_its_field),
        cmocka_unit_test(test_no_words_are_no_fault),
        cmocka_unit_test(test_one_word_sets_nothing_else),
        cmocka_unit_test(test_wrong_words_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
