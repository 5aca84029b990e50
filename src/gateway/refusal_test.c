/* What a client is told of each failure of a provider. */
#include "gateway/refusal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TEXT(text) \
    { text, sizeof text - 1 }

static const struct {
    struct failure failure;
    uint16_t status;
    const char *code;
    uint32_t retry_after_s;
    const char *message;
} cases[] = {
    {{.kind = FAILURE_REJECTED, .status = 422, .code = TEXT("c"), .message = TEXT("m")},
     422,
     "c",
     0,
     "Provider p refused the request (HTTP 422): m"},
    {{.kind = FAILURE_REJECTED, .status = 400},
     400,
     "invalid_request",
     0,
     "Provider p refused the request (HTTP 400)."},
    {{.kind = FAILURE_REJECTED, .status = 404},
     404,
     "not_found",
     0,
     "Provider p refused the request (HTTP 404)."},
    {{.kind = FAILURE_REJECTED, .status = 413},
     413,
     "request_too_large",
     0,
     "Provider p refused the request (HTTP 413)."},
    /* Inside an answer that HTTP called good. */
    {{.kind = FAILURE_REJECTED, .status = 200, .code = TEXT("context_length_exceeded")},
     400,
     "context_length_exceeded",
     0,
     "Provider p refused the request (HTTP 200)."},
    {{.kind = FAILURE_REJECTED, .status = 200, .code = TEXT("model_not_found")},
     404,
     "model_not_found",
     0,
     "Provider p refused the request (HTTP 200)."},
    {{.kind = FAILURE_REJECTED, .status = 200, .code = TEXT("request_too_large")},
     413,
     "request_too_large",
     0,
     "Provider p refused the request (HTTP 200)."},
    /* What speaks of our account is told without its words. */
    {{.kind = FAILURE_KEY_REFUSED,
      .status = 400,
      .message = TEXT("key sk-1234"),
      .code = TEXT("invalid_api_key")},
     502,
     "upstream_error",
     0,
     "Provider p refused the gateway's own key or account; the operator must check it (HTTP "
     "400)."},
    {{.kind = FAILURE_OUT_OF_CREDIT,
      .status = 429,
      .message = TEXT("of org-1234"),
      .code = TEXT("insufficient_quota"),
      .retry_after_s = 9},
     429,
     "upstream_rate_limited",
     9,
     "Provider p has no credit left for the gateway's own account; the operator must top it up "
     "(HTTP 429)."},
    {{.kind = FAILURE_RATE_LIMITED, .status = 429, .message = TEXT("in org-1234 at 5 a minute")},
     429,
     "upstream_rate_limited",
     1,
     "Provider p is rate limited (HTTP 429): in *** at 5 a minute"},
    {{.kind = FAILURE_RATE_LIMITED, .status = 200, .retry_after_s = 35},
     429,
     "upstream_rate_limited",
     35,
     "Provider p is rate limited (HTTP 200)."},
    {{.kind = FAILURE_OVERLOADED, .status = 529, .retry_after_s = 7},
     503,
     "no_healthy_upstream",
     7,
     "Provider p is overloaded (HTTP 529)."},
    {{.kind = FAILURE_TIMED_OUT, .status = 504},
     504,
     "upstream_timeout",
     0,
     "Provider p did not answer in time (HTTP 504)."},
    {{.kind = FAILURE_SERVER, .status = 499},
     502,
     "upstream_error",
     0,
     "Provider p failed (HTTP 499)."},
    {{.kind = FAILURE_IN_STREAM, .status = 200, .message = TEXT("m")},
     502,
     "upstream_error",
     0,
     "Provider p reported an error within its answer (HTTP 200): m"},
};

static void test_each_failure_has_its_status_and_sentence(void **state) {
    const struct provider provider = {.name = DR_LIT("p")};
    const struct target target = {.provider = &provider};
    struct dr_arena arena;

    (void)state;
    dr_arena_init(&arena, 64 * 1024, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct refusal refusal = refusal_of_failure(&cases[i].failure, &target, &arena);
        if (refusal.status != cases[i].status ||
            !dr_slice_is(refusal.code, dr_slice_text(cases[i].code)) ||
            refusal.retry_after_s != cases[i].retry_after_s ||
            !dr_slice_is(refusal.message, dr_slice_text(cases[i].message))) {
            fail_msg("%zu: %u %.*s %u %.*s", i, refusal.status, DR_FMT(refusal.code),
                     refusal.retry_after_s, DR_FMT(refusal.message));
        }
    }
    dr_arena_clear(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_failure_has_its_status_and_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
