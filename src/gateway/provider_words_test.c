/* What is taken out of a provider's sentences, and what a client must be able to read in them. */
#include "gateway/provider_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_keys_and_accounts_are_masked_and_the_rest_stays(void **state) {
    static const struct {
        const char *words;
        const char *shown;
    } cases[] = {
        {"in organization org-AbCdEf1234567890 on tokens per min (TPM): Limit 30000",
         "in organization *** on tokens per min (TPM): Limit 30000"},
        {"for gpt-4o in project proj_REDACTED organization org-REDACTED on",
         "for gpt-4o in project *** organization *** on"},
        {"for your organization (8e5ad0ab-12ab-4cde-9f00-1234567890ab) of 40,000 input tokens",
         "for your organization (***) of 40,000 input tokens"},
        {"has not been used in project 123456789 before: overview?project=123456789 then",
         "has not been used in project *** before: overview?project=*** then"},
        {"for consumer 'project_number:98765'.", "for consumer 'project_number:***'."},
        {"Organization ID: acme-42 is over", "Organization ID: *** is over"},
        {"on 'projects/acme-4711/locations/us-central1/models/gemini-1.5-flash'",
         "on 'projects/***/locations/us-central1/models/gemini-1.5-flash'"},
        {"invalid x-api-key sk-ant-SECRET", "invalid x-api-key ***"},
        {"key sk-or-v1-abc. Next", "key ***. Next"},
        {"API key not valid: AIzaSECRET", "API key not valid: ***"},
        {"Bearer eyJhbGciOi.J9abcdef.x-y was", "Bearer *** was"},
        {"provided: <not-a-r****key>", "provided: <***>"},
        {"limit_rpm/meta-llama/llama-3.2-3b/e8440b11-29fb-4887-a222-eff9ba33dfbf.",
         "limit_rpm/meta-llama/llama-3.2-3b/***."},
        {"key 0123456789abcdef0123456789abcdef is", "key *** is"},
        /* Names of the client's. */
        {"prompt is too long: 213462 tokens > 200000 maximum",
         "prompt is too long: 213462 tokens > 200000 maximum"},
        {"model: claude-sonnet-4-5-20250929", "model: claude-sonnet-4-5-20250929"},
        {"toolu_01A09q90qw90lq917835lq9abcdefgh without a result",
         "toolu_01A09q90qw90lq917835lq9abcdefgh without a result"},
        {"'messages[1].content[0].type' of hf_search, sk- and key-value",
         "'messages[1].content[0].type' of hf_search, sk- and key-value"},
        {"your project. 12345 tokens", "your project. 12345 tokens"},
        {"team of 12345", "team of 12345"},
        {"é**", "é***"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dr_buf buf;
        dr_buf_init(&buf, 1024);
        provider_words_put(&buf, dr_slice_text(cases[i].words));
        if (!dr_slice_is(dr_buf_slice(&buf), dr_slice_text(cases[i].shown))) {
            fail_msg("%s: %.*s", cases[i].words, DR_FMT(dr_buf_slice(&buf)));
        }
        dr_buf_clear(&buf);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_and_accounts_are_masked_and_the_rest_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
