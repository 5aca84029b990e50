/* The text of /metrics from made-up numbers, and the page that explains it. Called with --print
 * the program prints docs/metrics.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/metrics.h"
#include "base/alloc.h"
#include "gateway/inspect.h"

#include <stdio.h>

enum { TEXT_BYTES_MAX = 1 << 20 };

static bool has_line(dr_slice text, const char *line) {
    while (text.data) {
        if (dr_slice_is(dr_slice_split(&text, '\n'), dr_slice_text(line))) return true;
    }
    return false;
}

static void test_samples_are_cumulative_escaped_and_exact(void **state) {
    (void)state;
    static const char *const lines[] = {
        "drover_requests_total{model=\"a\\\"b\\\\c\\nd\",target=\"t\",transport=\"sse\","
        "status=\"200\"} 3",
        "drover_request_duration_seconds_bucket{model=\"a\\\"b\\\\c\\nd\",target=\"t\","
        "transport=\"sse\",status=\"200\",le=\"0.001\"} 1",
        "drover_request_duration_seconds_bucket{model=\"a\\\"b\\\\c\\nd\",target=\"t\","
        "transport=\"sse\",status=\"200\",le=\"0.0025\"} 2",
        "drover_request_duration_seconds_bucket{model=\"a\\\"b\\\\c\\nd\",target=\"t\","
        "transport=\"sse\",status=\"200\",le=\"+Inf\"} 3",
        "drover_request_duration_seconds_sum{model=\"a\\\"b\\\\c\\nd\",target=\"t\","
        "transport=\"sse\",status=\"200\"} 400.002500",
        "drover_request_duration_seconds_count{model=\"a\\\"b\\\\c\\nd\",target=\"t\","
        "transport=\"sse\",status=\"200\"} 3",
        "drover_tokens_total{model=\"a\\\"b\\\\c\\nd\",target=\"t\",transport=\"sse\","
        "status=\"200\",kind=\"completion\"} 7",
        "drover_charged_usd_total{model=\"a\\\"b\\\\c\\nd\",target=\"t\",transport=\"sse\","
        "status=\"200\"} 0.000000001",
        "drover_requests_in_flight{transport=\"ws\"} 9",
        /* Two reasons share this code. */
        "drover_refusals_total{code=\"invalid_api_key\"} 3",
        "drover_refusals_total{code=\"storage_full\"} 0",
        "drover_loop_lag_seconds{worker=\"1\"} 0.012345",
        "drover_journal_full{worker=\"1\"} 1",
        "drover_journal_full{worker=\"0\"} 0",
        "drover_draining 1",
    };
    struct inspection *inspection = dr_alloc_zero(1, sizeof *inspection);
    struct dr_buf buf;
    assert_non_null(inspection);
    dr_buf_init(&buf, TEXT_BYTES_MAX);
    counters_init(&inspection->counters, 1);
    const struct series_key key = {.model = DR_LIT("a\"b\\c\nd"),
                                   .target = DR_LIT("t"),
                                   .transport = TRANSPORT_SSE,
                                   .status = 200};
    struct series *series = counters_series(&inspection->counters, &key);
    assert_non_null(series);
    series->requests = 3;
    series->completion_tokens = 7;
    series->cost_nanousd = 1;
    histogram_note(&series->duration, 1000);
    histogram_note(&series->duration, 1500);
    histogram_note(&series->duration, 400000000);
    inspection->counters.in_flight[TRANSPORT_WS] = 9;
    inspection->counters.refusals[REFUSAL_INVALID_API_KEY] = 1;
    inspection->counters.refusals[REFUSAL_ADMIN_KEY] = 2;
    inspection->worker_count = 2;
    inspection->workers[1].loop.busy_us_max = 12345;
    inspection->workers[1].journal.is_full = true;
    inspection->is_draining = true;

    metrics_put(&buf, inspection);
    assert_int_equal(dr_buf_status(&buf), DR_OK);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (!has_line(dr_buf_slice(&buf), lines[i])) {
            fail_msg("no line %s in\n%.*s", lines[i], DR_FMT(dr_buf_slice(&buf)));
        }
    }
    /* No first token came: no series, so that no average is made of nothing. */
    assert_int_equal(
        dr_slice_find(dr_buf_slice(&buf), DR_LIT("drover_time_to_first_token_seconds_count")),
        buf.len);
    dr_buf_clear(&buf);
    counters_clear(&inspection->counters);
    dr_free(inspection);
}

static void test_the_page_in_docs_is_what_the_table_says(void **state) {
    (void)state;
    struct dr_buf expected;
    struct dr_buf found;
    dr_buf_init(&expected, TEXT_BYTES_MAX);
    dr_buf_init(&found, TEXT_BYTES_MAX);
    metrics_put_markdown(&expected);
    FILE *file = fopen(DR_DOCS "/metrics.md", "rb");
    assert_non_null(file);
    for (int byte = fgetc(file); byte != EOF; byte = fgetc(file)) {
        dr_buf_put_char(&found, (char)byte);
    }
    (void)fclose(file);
    if (!dr_slice_is(dr_buf_slice(&found), dr_buf_slice(&expected))) {
        fail_msg("docs/metrics.md is out of date: write it anew with metrics_test --print");
    }
    dr_buf_clear(&expected);
    dr_buf_clear(&found);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples_are_cumulative_escaped_and_exact),
        cmocka_unit_test(test_the_page_in_docs_is_what_the_table_says),
    };
    if (argc > 1 && dr_slice_is(dr_slice_text(argv[1]), DR_LIT("--print"))) {
        struct dr_buf buf;
        dr_buf_init(&buf, TEXT_BYTES_MAX);
        metrics_put_markdown(&buf);
        (void)fwrite(buf.data, 1, buf.len, stdout);
        dr_buf_clear(&buf);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
