/* When a provider wishes to be asked again, in each way that providers say so. */
#include "gateway/retry_hint.h"

#include "net/http1_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { FIELDS = 4 };

static void test_each_way_of_saying_it_becomes_whole_seconds(void **state) {
    static const struct {
        uint16_t status;
        const char *fields[FIELDS * 2];
        uint32_t told_s; /* by the body */
        uint32_t expected_s;
    } cases[] = {
        {429, {NULL}, 0, 0},
        {429, {"retry-after", "7"}, 0, 7},
        {429, {"Retry-After", "12.4"}, 0, 13},
        {429, {"retry-after", "0.2"}, 0, 1},
        {503, {"retry-after", "Thu, 01 Jan 2026 00:00:20 GMT"}, 0, 20},
        {503, {"retry-after", "Wed, 31 Dec 2025 23:59:59 GMT"}, 0, 0},
        {429, {"retry-after", "86400"}, 0, 3600},
        {429, {"retry-after", "99999999999999999999"}, 0, 3600},
        {429, {"retry-after", "soon"}, 9, 9},
        {429, {"retry-after", "-3"}, 0, 0},
        {429, {"retry-after-ms", "20500"}, 0, 21},
        {429, {"retry-after-ms", "20000.5", "retry-after", "3"}, 0, 21},
        {429, {"retry-after-ms", "0", "retry-after", "1"}, 0, 1},
        {429, {"retry-after", "3"}, 9, 3},
        {429, {"x-ratelimit-reset-requests", "6m0s"}, 0, 360},
        {429, {"x-ratelimit-reset-requests", "6m0s"}, 9, 9},
        {429, {"x-ratelimit-reset-tokens", "120ms"}, 0, 1},
        {429, {"x-ratelimit-reset-tokens", "10"}, 0, 10},
        {429, {"x-ratelimit-reset-tokens", "10s or so"}, 0, 0},
        {429,
         {"x-ratelimit-reset-requests", "6m0s", "x-ratelimit-remaining-requests", "3",
          "x-ratelimit-reset-tokens", "8s", "x-ratelimit-remaining-tokens", "0"},
         0,
         8},
        {429, {"x-ratelimit-reset-requests", "6m0s", "x-ratelimit-remaining-requests", "3"}, 0, 0},
        {429, {"x-ratelimit-reset", "1767225660000", "x-ratelimit-remaining", "0"}, 0, 60},
        {429, {"x-ratelimit-reset", "1754667660000"}, 0, 0},
        {429, {"x-ratelimit-reset", "18446744073709551615"}, 0, 3600},
        {429,
         {"anthropic-ratelimit-requests-reset", "2026-01-01T00:00:31.5Z",
          "anthropic-ratelimit-requests-remaining", "0", "anthropic-ratelimit-tokens-reset",
          "2026-01-01T00:01:00Z", "anthropic-ratelimit-tokens-remaining", "900"},
         0,
         32},
        {429,
         {"anthropic-ratelimit-input-tokens-reset", "2026-01-01T00:00:05Z",
          "anthropic-ratelimit-output-tokens-reset", "2026-01-01T00:00:09Z"},
         0,
         9},
        {429, {"anthropic-ratelimit-tokens-reset", "2099-01-01T00:00:00Z"}, 0, 3600},
        /* Only a 429 speaks of limits. */
        {503, {"x-ratelimit-reset-requests", "6m0s"}, 0, 0},
    };
    const dr_wall now = {1767225600000}; /* 2026-01-01T00:00:00Z */

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dr_http1_header headers[FIELDS];
        struct dr_http1_head head = {.headers = headers, .status = cases[i].status};
        for (size_t j = 0; j < FIELDS && cases[i].fields[j * 2]; j++) {
            headers[head.header_count++] = (struct dr_http1_header){
                .name = dr_slice_text(cases[i].fields[j * 2]),
                .value = dr_slice_text(cases[i].fields[j * 2 + 1]),
            };
        }
        const struct retry_hint hint = retry_hint_read(&head, now);
        const uint32_t seconds = retry_hint_seconds(&hint, cases[i].told_s);
        if (seconds != cases[i].expected_s) {
            fail_msg("%zu %s: %u", i, cases[i].fields[1] ? cases[i].fields[1] : "", seconds);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_way_of_saying_it_becomes_whole_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
