/* Who may ask what. */
#include "policy/access.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_revoked_goes_before_expired_and_expired_before_the_allow_list(void **state) {
    static const dr_slice models[] = {{"gpt-4.1", 7}};
    static const struct {
        const char *name;
        int64_t revoked_ms;
        int64_t expires_ms;
        const char *model;
        enum access_verdict expected;
    } cases[] = {
        {"good", 0, 0, "gpt-4.1", ACCESS_GRANTED},
        {"key alone", 0, 0, NULL, ACCESS_GRANTED},
        {"other model", 0, 0, "o3", ACCESS_MODEL_NOT_ALLOWED},
        {"empty model", 0, 0, "", ACCESS_MODEL_NOT_ALLOWED},
        {"expires later", 0, 1001, "gpt-4.1", ACCESS_GRANTED},
        {"expires now", 0, 1000, "gpt-4.1", ACCESS_EXPIRED},
        {"expired", 0, 999, NULL, ACCESS_EXPIRED},
        {"expired, other model", 0, 999, "o3", ACCESS_EXPIRED},
        {"revoked", 500, 0, "gpt-4.1", ACCESS_REVOKED},
        {"revoked and expired", 500, 999, "gpt-4.1", ACCESS_REVOKED},
        {"revoked by a clock ahead of ours", 5000, 0, NULL, ACCESS_REVOKED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct api_key key = {.models = models,
                                    .model_count = 1,
                                    .revoked = {cases[i].revoked_ms},
                                    .expires = {cases[i].expires_ms}};
        const enum access_verdict verdict =
            access_check(&key, dr_slice_text(cases[i].model), (dr_wall){1000});
        if (verdict != cases[i].expected) fail_msg("%s: %d", cases[i].name, (int)verdict);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_revoked_goes_before_expired_and_expired_before_the_allow_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
