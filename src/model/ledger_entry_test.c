/* The two JSON objects of a settled exchange, letter by letter. */
#include "model/ledger_entry.h"

#include "base/buf.h"
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct ledger_entry full_entry(void) {
    return (struct ledger_entry){
        .request_id = DR_LIT("req_1"),
        .client_id = DR_LIT("m\"1"),
        .account_id = DR_LIT("acc_1"),
        .key_id = DR_LIT("key_1"),
        .key_name = DR_LIT("demo"),
        .user = DR_LIT("u-7"),
        .model = DR_LIT("gpt-4.1"),
        .target = DR_LIT("official"),
        .transport = TRANSPORT_WS,
        .status = 200,
        .created = {INT64_C(1700000000123)},
        .first_token_ms = 12,
        .duration_ms = 345,
        .usage = {USAGE_REPORTED, 10, 5, 15, 4, 3, 0, false, {0}},
        .price = {INT64_C(8000000000), INT64_C(8000000000), INT64_C(420000000)},
        .cost = {123000},
        .attempts = {{DR_LIT("relay"), 503, 7}, {DR_LIT("official"), 200, 330}},
        .attempt_count = 2,
    };
}

static void expect(void (*put)(struct dr_buf *buf, const struct ledger_entry *entry),
                   const struct ledger_entry *entry, const char *expected) {
    struct dr_buf buf;
    struct dr_json_reader *reader = dr_json_reader_new();
    dr_json root;

    dr_buf_init(&buf, 65536);
    put(&buf, entry);
    dr_buf_put_char(&buf, '\0');
    assert_int_equal(dr_buf_status(&buf), DR_OK);
    assert_string_equal(buf.data, expected);
    assert_int_equal(dr_json_read(reader, dr_slice_of(buf.data, buf.len - 1), 8, &root, NULL),
                     DR_OK);
    dr_json_reader_free(reader);
    dr_buf_clear(&buf);
}

static void test_usage_line_holds_every_field_of_the_log(void **state) {
    const struct ledger_entry entry = full_entry();

    (void)state;
    expect(ledger_entry_put_usage_line, &entry,
           "{\"ts\":\"2023-11-14T22:13:20.123Z\",\"request_id\":\"req_1\",\"client_id\":\"m\\\"1\","
           "\"account\":\"acc_1\",\"key\":\"demo\",\"user\":\"u-7\",\"transport\":\"ws\","
           "\"model\":\"gpt-4.1\",\"target\":\"official\",\"attempts\":2,\"status\":200,"
           "\"ttft_ms\":12,\"duration_ms\":345,\"usage\":{\"prompt_tokens\":10,"
           "\"completion_tokens\":5,\"total_tokens\":15,\"cached_tokens\":4,"
           "\"reasoning_tokens\":3},\"usage_source\":\"reported\",\"cost\":0.000123}");
}

static void test_receipt_holds_every_field_of_the_interface(void **state) {
    const struct ledger_entry entry = full_entry();

    (void)state;
    expect(ledger_entry_put_receipt, &entry,
           "{\"request_id\":\"req_1\",\"client_id\":\"m\\\"1\",\"created\":1700000000,"
           "\"model\":\"gpt-4.1\",\"target\":\"official\",\"transport\":\"ws\",\"status\":200,"
           "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15,"
           "\"cached_tokens\":4,\"reasoning_tokens\":3},\"usage_source\":\"reported\","
           "\"price\":{\"input\":8,\"output\":8,\"cached_input\":0.42},\"held\":0,"
           "\"cost\":0.000123,\"attempts\":[{\"target\":\"relay\",\"status\":503,"
           "\"duration_ms\":7},{\"target\":\"official\",\"status\":200,\"duration_ms\":330}],"
           "\"cancelled\":false}");
}

static void test_absent_texts_are_null_and_a_refused_exchange_costs_nothing(void **state) {
    const struct ledger_entry entry = {
        .request_id = DR_LIT("req_2"), .status = 402, .is_cancelled = true, .created = {999}};

    (void)state;
    expect(
        ledger_entry_put_usage_line, &entry,
        "{\"ts\":\"1970-01-01T00:00:00.999Z\",\"request_id\":\"req_2\",\"client_id\":null,"
        "\"account\":null,\"key\":null,\"user\":null,\"transport\":\"http\",\"model\":null,"
        "\"target\":null,\"attempts\":0,\"status\":402,\"ttft_ms\":0,\"duration_ms\":0,"
        "\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0,"
        "\"cached_tokens\":0,\"reasoning_tokens\":0},\"usage_source\":\"estimated\",\"cost\":0}");
    expect(ledger_entry_put_receipt, &entry,
           "{\"request_id\":\"req_2\",\"client_id\":null,\"created\":0,\"model\":null,"
           "\"target\":null,\"transport\":\"http\",\"status\":402,\"usage\":{\"prompt_tokens\":0,"
           "\"completion_tokens\":0,\"total_tokens\":0,\"cached_tokens\":0,"
           "\"reasoning_tokens\":0},\"usage_source\":\"estimated\",\"price\":{\"input\":0,"
           "\"output\":0,\"cached_input\":0},\"held\":0,\"cost\":0,\"attempts\":[],"
           "\"cancelled\":true}");
}

static void test_attempts_beyond_the_array_are_counted_but_not_shown(void **state) {
    struct ledger_entry entry = full_entry();
    struct dr_buf buf;
    struct dr_json_reader *reader = dr_json_reader_new();
    dr_json root;

    (void)state;
    entry.attempt_count = LEDGER_ATTEMPTS_MAX + 3;
    dr_buf_init(&buf, 65536);
    ledger_entry_put_receipt(&buf, &entry);
    assert_int_equal(dr_json_read(reader, dr_buf_slice(&buf), 8, &root, NULL), DR_OK);
    assert_int_equal(dr_json_count(dr_json_member(root, DR_LIT("attempts"))), LEDGER_ATTEMPTS_MAX);
    dr_json_reader_free(reader);
    dr_buf_clear(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usage_line_holds_every_field_of_the_log),
        cmocka_unit_test(test_receipt_holds_every_field_of_the_interface),
        cmocka_unit_test(test_absent_texts_are_null_and_a_refused_exchange_costs_nothing),
        cmocka_unit_test(test_attempts_beyond_the_array_are_counted_but_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
