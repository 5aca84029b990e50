/* Allow-lists and the text of keys. The two texts were made by Python's zlib and integers. */
#include "model/account.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_allow_list_takes_names_and_prefixes(void **state) {
    static const dr_slice models[] = {{"gpt-4.1", 7}, {"claude-*", 8}};
    static const struct {
        const char *model;
        bool is_allowed;
    } cases[] = {
        {"gpt-4.1", true},  {"gpt-4.1-mini", false}, {"gpt-4", false}, {"claude-", true},
        {"claude-x", true}, {"claude", false},       {"", false},      {"CLAUDE-x", false},
    };
    const struct api_key key = {.models = models, .model_count = 2};
    const struct api_key open_key = {.model_count = 0};
    static const dr_slice star[] = {{"*", 1}};
    const struct api_key star_key = {.models = star, .model_count = 1};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (api_key_allows(&key, dr_slice_text(cases[i].model)) != cases[i].is_allowed) {
            fail_msg("'%s'", cases[i].model);
        }
        assert_true(api_key_allows(&open_key, dr_slice_text(cases[i].model)));
        assert_true(api_key_allows(&star_key, dr_slice_text(cases[i].model)));
    }
}

static void test_key_text_is_random_bytes_and_their_checksum(void **state) {
    static const char *const expected[] = {
        "sk-drover-4aayPrHErxRw4RlpBrwySYBqld0KYBESq8ER8ckHOABzg71pb",
        "sk-drover-000Gp5uvDxgLTOpvmZxMbHDMkmqwsB6acXk71hwVCsCeXHxjm",
    };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint8_t random[32];
        char text[API_KEY_TEXT_BYTES];
        for (size_t k = 0; k < sizeof random; k++) random[k] = i == 0 ? 0xff : (uint8_t)k;
        api_key_write(random, text);
        assert_memory_equal(text, expected[i], API_KEY_TEXT_BYTES);
        assert_true(api_key_is_well_formed(dr_slice_of(text, sizeof text)));
    }
}

static void test_one_wrong_character_anywhere_is_malformed(void **state) {
    uint8_t random[32] = {1, 2, 3};
    char text[API_KEY_TEXT_BYTES];

    (void)state;
    api_key_write(random, text);
    for (size_t i = 0; i < sizeof text; i++) {
        const char right = text[i];
        text[i] = right == 'x' ? 'y' : 'x';
        assert_false(api_key_is_well_formed(dr_slice_of(text, sizeof text)));
        text[i] = '!';
        assert_false(api_key_is_well_formed(dr_slice_of(text, sizeof text)));
        text[i] = right;
        assert_false(api_key_is_well_formed(dr_slice_of(text, i)));
    }
    assert_true(api_key_is_well_formed(dr_slice_of(text, sizeof text)));
    assert_false(api_key_is_well_formed(DR_NONE));
    assert_false(api_key_is_well_formed(DR_LIT("sk-drover-demo")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allow_list_takes_names_and_prefixes),
        cmocka_unit_test(test_key_text_is_random_bytes_and_their_checksum),
        cmocka_unit_test(test_one_wrong_character_anywhere_is_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
