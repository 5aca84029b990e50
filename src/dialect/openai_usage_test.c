/* Token counts that are put into an answer: once, and nothing else changes. */
#include "dialect/openai.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define USAGE "{\"total_tokens\":3}"

static void test_usage_takes_the_place_of_what_stood_there_or_comes_last(void **state) {
    static const struct {
        const char *body;
        const char *expected;
    } cases[] = {
        {"{\"a\":1}", "{\"a\":1,\"usage\":" USAGE "}"},
        {"{}", "{\"usage\":" USAGE "}"},
        {" [ {\"a\":1 } ]\n", " [ {\"a\":1 ,\"usage\":" USAGE "} ]\n"},
        {"{\"usage\":null}", "{\"usage\":" USAGE "}"},
        {"{\"usage\" :\n null , \"a\":1}\n", "{\"usage\" :\n " USAGE " , \"a\":1}\n"},
        {"{\"a\":\"usage\",\"usage\":{\"x\":[\"}\\\"\",{}]},\"b\":2}",
         "{\"a\":\"usage\",\"usage\":" USAGE ",\"b\":2}"},
        {"{\"choices\":[{\"usage\":null}],\"usage\":\"\"}",
         "{\"choices\":[{\"usage\":null}],\"usage\":" USAGE "}"},
        {"{\"a\":\"\\\\\",\"b\":\"\\\"usage\\\":null\",\"usage\":0}",
         "{\"a\":\"\\\\\",\"b\":\"\\\"usage\\\":null\",\"usage\":" USAGE "}"},
        {"{\"a\":{\"usage\":null}}", "{\"a\":{\"usage\":null},\"usage\":" USAGE "}"},
        {"7", "7"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dr_buf buf;
        dr_buf_init(&buf, 4096);
        openai_splice_usage(&buf, dr_slice_text(cases[i].body), DR_LIT(USAGE));
        assert_int_equal(dr_buf_status(&buf), DR_OK);
        if (!dr_slice_is(dr_buf_slice(&buf), dr_slice_text(cases[i].expected))) {
            fail_msg("%s\n%.*s", cases[i].body, DR_FMT(dr_buf_slice(&buf)));
        }
        dr_buf_clear(&buf);
    }
}

/* Only whole objects are given in, but a reader of bytes ends wherever they do. */
static void test_a_body_that_ends_anywhere_is_left_as_it_is(void **state) {
    static const char body[] = " [{\"a\":\"\\\"x\",\"b\":[{\"c\":null}],\"usages\":1,\"d\":7}]";

    (void)state;
    for (size_t len = 0; len + 2 < sizeof body; len++) {
        struct dr_buf buf;
        char *cut = test_malloc(len + 1);
        memcpy(cut, body, len);
        dr_buf_init(&buf, 4096);
        openai_splice_usage(&buf, dr_slice_of(cut, len), DR_LIT(USAGE));
        assert_int_equal(dr_buf_status(&buf), DR_OK);
        assert_true(dr_slice_is(dr_buf_slice(&buf), dr_slice_of(cut, len)));
        dr_buf_clear(&buf);
        test_free(cut);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usage_takes_the_place_of_what_stood_there_or_comes_last),
        cmocka_unit_test(test_a_body_that_ends_anywhere_is_left_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
