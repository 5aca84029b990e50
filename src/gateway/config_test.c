/* Configurations as users write them, right and wrong. */
#include "gateway/config.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MINIMAL_PROVIDERS "providers:\n  p: {base_url: \"http://127.0.0.1:9/v1/\"}\n"
#define MINIMAL_MODELS "models:\n  m: {price: {input: 1, output: 2}, targets: [{provider: p}]}\n"
#define MINIMAL MINIMAL_PROVIDERS MINIMAL_MODELS

static const char sample[] =
    "listen: 127.0.0.1:8080\n"
    "tls: {cert: server.pem, key: server.key}      # optional\n"
    "admin: {listen: 127.0.0.1:8081, key: \"${DROVER_ADMIN_KEY}\"}\n"
    "workers: auto\n"
    "data: drover-data\n"
    "store: sqlite\n"
    "timeouts: {connect: 5s, first_byte: 300s, between_bytes: 120s, answer: 3600s, "
    "request_head: 10s, request_body: 60s, idle: 75s}\n"
    "limits: {head_bytes: 32KiB, headers: 100, body_bytes: 32MiB, answer_bytes: 32MiB, "
    "event_bytes: 1MiB, connections: 10000,\n"
    "         ws_message_bytes: 32MiB, ws_requests: 64, ws_send_bytes: 1MiB}\n"
    "sessions: {per_account: 1000, bytes: 1MiB, idle: 60m}\n"
    "resume_seconds: 60\n"
    "drain_seconds: 30\n"
    "cors: {origins: []}\n"
    "logs: {level: info, usage: usage.jsonl}\n"
    "\n"
    "providers:\n"
    "  openai:    {dialect: openai,    base_url: \"https://api.openai.com/v1\", "
    "api_keys: [\"${OPENAI_API_KEY}\"]}\n"
    "  anthropic: {dialect: anthropic, base_url: \"https://api.anthropic.com\"}\n"
    "  google:    {dialect: gemini,    base_url: "
    "\"https://generativelanguage.googleapis.com\"}\n"
    "  relay:     {dialect: openai,    base_url: \"https://relay.example/v1\",    "
    "api_keys: [\"$$${RELAY_KEY}\"], ca_file: extra-ca.pem, stream_usage: false}\n"
    "\n"
    "models:\n"
    "  gpt-4.1:\n"
    "    price: {input: 8.00, output: 8.00}\n"
    "    targets:\n"
    "      - {name: official, provider: openai, model: gpt-4.1, "
    "list_price: {input: 60.00, output: 60.00}}\n"
    "      - {name: relay, provider: relay, model: gpt-4.1}\n"
    "    rollout: {primary: official, candidate: relay, percent: 10, sticky: user}\n";

static struct config *read_good(const char *text) {
    struct config *config = NULL;
    struct dr_error error = {0};
    if (config_read_text("drover.yaml", dr_slice_text(text), &config, &error)) {
        fail_msg("refused: %s", error.text);
    }
    return config;
}

static void assert_text(dr_slice slice, const char *expected) {
    if (!dr_slice_is(slice, dr_slice_text(expected))) {
        fail_msg("'%.*s' is not '%s'", DR_FMT(slice), expected);
    }
}

static void test_the_sample_of_the_manual_is_read(void **state) {
    (void)state;
    setenv("DROVER_ADMIN_KEY", "admin-secret", 1);
    setenv("OPENAI_API_KEY", "sk-openai", 1);
    setenv("RELAY_KEY", "sk-relay", 1);
    struct config *config = read_good(sample);
    assert_text(config->admin_key, "admin-secret");
    assert_string_equal(config->tls_cert, "server.pem");
    assert_true(config->workers >= 1);
    assert_int_equal(config->answer_ms, 3600000);
    assert_int_equal(config->drain_ms, 30000);
    assert_int_equal(config->body_bytes_max, 32 * 1024 * 1024);
    assert_string_equal(config->usage_log, "usage.jsonl");

    const struct catalog_model *model = catalog_find(&config->catalog, DR_LIT("gpt-4.1"));
    assert_non_null(model);
    assert_int_equal(model->price.input, INT64_C(8000000000));
    assert_int_equal(model->price.cached_input, INT64_C(8000000000));
    assert_int_equal(model->target_count, 2);
    assert_text(model->targets[0].name, "official");
    assert_text(model->targets[0].model_json, "\"gpt-4.1\"");
    assert_int_equal(model->targets[0].list_price.output, INT64_C(60000000000));
    const struct provider *relay = model->targets[1].provider;
    assert_string_equal(relay->host.data, "relay.example");
    assert_int_equal(relay->port, 443);
    assert_true(relay->is_https);
    assert_text(relay->path, "/v1");
    assert_text(relay->api_keys[0], "$sk-relay");
    assert_false(relay->asks_usage);
    assert_int_equal(relay->index, 3);
    const struct provider *providers = config->catalog.providers;
    assert_int_equal(providers[0].dialect, DIALECT_OPENAI);
    assert_int_equal(providers[1].dialect, DIALECT_ANTHROPIC);
    assert_int_equal(providers[1].path.len, 0);
    assert_int_equal(providers[2].dialect, DIALECT_GEMINI);

    /* rollout */
    assert_int_equal(config->warning_count, 1);
    assert_text(config->warnings[0],
                "drover.yaml:28: 'models.gpt-4.1.rollout' has no effect in this version");
    config_free(config);
}

static void test_what_is_absent_has_its_default(void **state) {
    (void)state;
    struct config *config = read_good(MINIMAL "  'x-*': {price: {input: 1, output: 2, "
                                              "cached_input: 0.5}, targets: [{provider: p}]}\n");
    assert_text(config->listen, "127.0.0.1:8080");
    assert_text(config->admin_listen, "127.0.0.1:8081");
    assert_int_equal(config->admin_key.len, 0);
    assert_string_equal(config->data, "drover-data");
    assert_null(config->tls_cert);
    assert_int_equal(config->connect_ms, 5000);
    assert_int_equal(config->head_bytes_max, 32768);
    assert_int_equal(config->event_bytes_max, 1048576);
    assert_int_equal(config->connections_max, 10000);
    assert_int_equal(config->log_level, DR_LOG_INFO);
    assert_int_equal(config->rate_count, 1);
    assert_int_equal(config->warning_count, 0);

    const struct catalog_model *model = catalog_find(&config->catalog, DR_LIT("m"));
    assert_text(model->targets[0].name, "p");
    assert_text(model->targets[0].model, "m");
    assert_true(model->targets[0].provider->asks_usage);
    assert_int_equal(model->targets[0].provider->api_key_count, 0);
    model = catalog_find(&config->catalog, DR_LIT("x-1"));
    assert_text(model->targets[0].model, "*");
    assert_int_equal(model->targets[0].model_json.len, 0);
    assert_int_equal(model->price.cached_input, 500000000);
    config_free(config);
}

static void test_wrong_files_are_refused_with_place_and_reason(void **state) {
    static const struct {
        const char *text;
        const char *place;
        const char *words;
    } cases[] = {
        {MINIMAL "lisen: 127.0.0.1:1\n", "f:5:1: ", "unknown key 'lisen'"},
        {"timeouts: {conect: 5s}\n" MINIMAL, "f:1:12: ", "unknown key 'conect'; expected one of"},
        {"timeouts: {connect: 5}\n" MINIMAL, "f:1:21: ", "'timeouts.connect' has a wrong value"},
        {"timeouts: {connect: 0s}\n" MINIMAL, "f:1:21: ", "out of range; expected 1 to 3600000"},
        {"limits: {body_bytes: 2TiB}\n" MINIMAL, "f:1:22: ", "expected a size"},
        {"limits: {ws_send_bytes: 63KiB}\n" MINIMAL, "f:1:25: ", "expected 65536 to"},
        {"limits:\n  headers: many\n" MINIMAL, "f:2:12: ", "expected a whole number"},
        {"limits: 5\n" MINIMAL, "f:1:9: ", "'limits' has a wrong value; expected a map"},
        {"workers: 0\n" MINIMAL, "f:1:10: ", "out of range"},
        {"listen: [a]\n" MINIMAL, "f:1:9: ", "expected a single value"},
        {"listen: localhost\n" MINIMAL, "f:1:9: ", "expected HOST:PORT"},
        {"store: postgresql://db\n" MINIMAL, "f:1:8: ", "not available in this version"},
        {"logs: {level: loud}\n" MINIMAL, "f:1:15: ", "expected error, warn, info or debug"},
        {"tls: {cert: a.pem}\n" MINIMAL, "f:1:6: ", "expected cert and key"},
        {"cors: {origins: [\"https://a.example/x\"]}\n" MINIMAL, "f:1:18: ", "expected origins"},
        {"admin: {key: \"${DROVER_NO_SUCH}\"}\n" MINIMAL,
         "f:1:14: ", "the variable DROVER_NO_SUCH is not set"},
        {"admin: {key: a$b}\n" MINIMAL, "f:1:14: ", "a '$' stands alone"},
        {"data: a\ndata: b\n" MINIMAL, "f:2:1: ", "the key 'data' is there twice"},
        {"data: &a x\nlisten: *a\n" MINIMAL, "f:1:7: ", "anchors and aliases are not taken"},
        {"data: !!str x\n" MINIMAL, "f:1:7: ", "tags are not taken"},
        {"data: [[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]\n", "f:1:22: ", "nested too deep"},
        {"data: [\n", "f:2:1: ", "expected valid YAML"},
        {MINIMAL "---\nlisten: x\n", "f:5:1: ", "a second document begins"},
        {MINIMAL_MODELS, "f:1:1: ", "'providers' is missing"},
        {"", "f:1:1: ", "'providers' is missing"},
        {"providers: {p: {dialect: cohere, base_url: \"https://a.example\"}}\n" MINIMAL_MODELS,
         "f:1:26: ", "expected openai, anthropic or gemini"},
        {"providers: {p: {base_url: \"ftp://a\"}}\n" MINIMAL_MODELS,
         "f:1:27: ", "expected https://"},
        {"providers: {p: {base_url: \"http://a\", api_keys: [\"a b\"]}}\n" MINIMAL_MODELS,
         "f:1:50: ", "visible ASCII"},
        {"providers: {p: {base_url: \"http://a\", stream_usage: yes}}\n" MINIMAL_MODELS,
         "f:1:53: ", "expected true or false"},
        {MINIMAL_PROVIDERS "models: {m: {targets: [{provider: p}]}}\n",
         "f:3:13: ", "'models.m.price' is missing"},
        {MINIMAL_PROVIDERS "models: {m: {price: {input: 1, output: -1}, targets: []}}\n",
         "f:3:40: ", "USD per million tokens"},
        {MINIMAL_PROVIDERS "models: {m: {price: {input: 1, output: 1}, targets: []}}\n",
         "f:3:53: ", "at least one target"},
        {MINIMAL_PROVIDERS
         "models: {m: {price: {input: 1, output: 1}, targets: [{provider: q}]}}\n",
         "f:3:65: ", "unknown provider"},
        {MINIMAL_PROVIDERS "models: {m: {price: {input: 1, output: 1}, targets: [{provider: p}, "
                           "{provider: p}]}}\n",
         "f:3:69: ", "two targets of one name"},
        {"billing: {rates: {EUR: 0}}\n" MINIMAL, "f:1:24: ", "dollars above 0"},
        {"listen: 127.0.0.1:8081\nadmin: {key: x}\n" MINIMAL,
         "f:2:8: ", "'admin.listen' has a wrong value; expected another address"},
        {MINIMAL_PROVIDERS "models: {\"a\\nb\": {price: {input: 1, output: 1}, "
                           "targets: [{provider: p}]}}\n",
         "f:3:10: ", "a name in 'models' has a control character"},
        {MINIMAL_PROVIDERS "models: {m: {price: {input: 1, output: 1}, "
                           "targets: [{name: \"x\\r\\nSet-Cookie: y\", provider: p}]}}\n",
         "f:3:54: ", "a target's name of ASCII"},
        {MINIMAL_PROVIDERS "models: {m: {price: {input: 1, output: 1}, "
                           "targets: [{name: \"\\u00e9\", provider: p}]}}\n",
         "f:3:54: ", "a target's name of ASCII"},
    };

    (void)state;
    unsetenv("DROVER_NO_SUCH");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config *config = NULL;
        struct dr_error error = {0};
        const enum dr_status status =
            config_read_text("f", dr_slice_text(cases[i].text), &config, &error);
        if (!status || config) fail_msg("case %zu is taken: %s", i, cases[i].text);
        if (strncmp(error.text, cases[i].place, strlen(cases[i].place)) != 0 ||
            !strstr(error.text, cases[i].words) || !strstr(error.text, "; expected ")) {
            fail_msg("case %zu gives '%s'", i, error.text);
        }
    }
}

static void test_a_byte_order_mark_is_skipped_and_counts_in_no_place(void **state) {
    (void)state;
    struct config *config = NULL;
    struct dr_error error = {0};
    config_free(read_good("\xef\xbb\xbf" MINIMAL));
    assert_int_equal(config_read_text("f",
                                      DR_LIT("\xef\xbb\xbf"
                                             "lisen: x\n"),
                                      &config, &error),
                     DR_INVALID);
    assert_non_null(strstr(error.text, "f:1:1: unknown key 'lisen'"));
    assert_int_equal(
        config_read_text("f", DR_LIT("\xef\xbb\xbf\xef\xbb\xbf" MINIMAL), &config, &error),
        DR_INVALID);
    assert_null(config);
}

static void test_a_missing_file_is_an_error(void **state) {
    (void)state;
    struct config *config = NULL;
    struct dr_error error = {0};
    assert_int_equal(config_read_file("/nonexistent/drover.yaml", &config, &error), DR_IO);
    assert_non_null(strstr(error.text, "/nonexistent/drover.yaml"));
}

static void test_the_printed_sample_is_read_back(void **state) {
    (void)state;
    setenv("OPENAI_API_KEY", "sk-openai", 1);
    struct dr_buf buf;
    dr_buf_init(&buf, 65536);
    config_put_sample(&buf);
    dr_buf_put_char(&buf, '\0');
    assert_int_equal(dr_buf_status(&buf), DR_OK);
    struct config *config = read_good(buf.data);
    assert_int_equal(config->warning_count, 0);
    config_free(config);
    dr_buf_reset(&buf);
    config_put_markdown(&buf);
    assert_int_equal(dr_buf_status(&buf), DR_OK);
    assert_true(
        dr_slice_find(dr_buf_slice(&buf),
                      DR_LIT("`timeouts.connect` | duration, 1ms to 1h | `5s` | reload |")) <
        buf.len);
    dr_buf_clear(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_sample_of_the_manual_is_read),
        cmocka_unit_test(test_what_is_absent_has_its_default),
        cmocka_unit_test(test_wrong_files_are_refused_with_place_and_reason),
        cmocka_unit_test(test_a_byte_order_mark_is_skipped_and_counts_in_no_place),
        cmocka_unit_test(test_a_missing_file_is_an_error),
        cmocka_unit_test(test_the_printed_sample_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
