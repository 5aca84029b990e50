/* Whose fault each recorded error is: every recording with a status of 400 and more has its row. */
#include "fixture.h"

#include "dialect/dialect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
    const char *folder;
    const char *name;
    enum failure_kind kind;
    const char *code;
} errors[] = {
    {"anthropic", "dd.anthropic-completion-error.400", FAILURE_REJECTED, NULL},
    {"anthropic", "dd.anthropic-completion-invalid-api-key.401", FAILURE_KEY_REFUSED,
     "invalid_api_key"},
    {"anthropic", "quoted.anthropic-sdk-typescript-issue-616.529", FAILURE_OVERLOADED,
     "overloaded"},
    {"anthropic", "quoted.claude-code-issue-71634.429", FAILURE_RATE_LIMITED,
     "rate_limit_exceeded"},
    {"anthropic", "pai.model-name-suggestion-anthropic.404", FAILURE_REJECTED, "model_not_found"},
    {"deepseek", "quoted.aider-issue-4851.402", FAILURE_OUT_OF_CREDIT, "insufficient_quota"},
    {"deepseek", "quoted.opencode-issue-24083.400", FAILURE_REJECTED, "invalid_request_error"},
    {"deepseek", "rubyllm.error-handling-with-raises-appropriate-auth-error.401",
     FAILURE_KEY_REFUSED, "invalid_api_key"},
    {"gemini", "fb.googleai-streaming-failure-image-rejected.400", FAILURE_REJECTED, NULL},
    {"gemini", "fb.googleai-unary-failure-generativelanguage-api-not-enabled.403",
     FAILURE_KEY_REFUSED, NULL},
    {"gemini", "fb.vertexai-unary-failure-context-cache-not-found.404", FAILURE_REJECTED, NULL},
    {"gemini", "fb.vertexai-unary-failure-http-error.400", FAILURE_KEY_REFUSED, NULL},
    {"gemini", "fb.vertexai-unary-failure-iam-permission-denied.403", FAILURE_KEY_REFUSED, NULL},
    {"gemini", "fb.vertexai-unary-failure-invalid-context-cache-id.400", FAILURE_REJECTED, NULL},
    {"gemini", "fb.vertexai-unary-failure-quota-exceeded.429", FAILURE_RATE_LIMITED,
     "rate_limit_exceeded"},
    {"gemini", "fb.vertexai-unary-failure-unsupported-user-location.400", FAILURE_KEY_REFUSED,
     NULL},
    {"gemini", "composed.err-503-overloaded.503", FAILURE_OVERLOADED, "overloaded"},
    {"gemini", "crew.agentmultimodalgemini--video-file-gemini-gemini-2-0-flash.429",
     FAILURE_RATE_LIMITED, "rate_limit_exceeded"},
    {"gemini", "crew.crewmultimodalgemini--image-file-gemini-gemini-1-5-flash.404",
     FAILURE_REJECTED, "model_not_found"},
    {"gemini", "rubyllm.error-handling-with-raises-appropriate-auth-error.400", FAILURE_KEY_REFUSED,
     "invalid_api_key"},
    {"gemini", "rubyllm.real-error-scenarios-vertexai-gemini-2-5-flash-handles-context-l.1.400",
     FAILURE_REJECTED, "context_length_exceeded"},
    {"gemini", "pai.model-name-suggestion-google.404", FAILURE_REJECTED, "model_not_found"},
    {"openai-chat", "dd.completion-error.401", FAILURE_KEY_REFUSED, "invalid_api_key"},
    {"openai-chat", "quoted.continue-issue-11472.429", FAILURE_RATE_LIMITED, "rate_limit_exceeded"},
    {"openai-chat", "crew.custom-llm-within-crew.400", FAILURE_REJECTED,
     "missing_required_parameter"},
    {"openai-chat", "crew.llm-call-when-stop-is-unsupported.400", FAILURE_REJECTED,
     "unsupported_parameter"},
    {"openai-chat", "otel.async-chat-completion-404.404", FAILURE_REJECTED, "model_not_found"},
    {"openai-chat", "pai.openai-o1-mini-system-role-developer.400", FAILURE_REJECTED,
     "unsupported_value"},
    {"openai-chat", "pai.openai-o1-mini-system-role-system.400", FAILURE_REJECTED,
     "unsupported_value"},
    {"openai-compat", "composed.vllm-validation-error.400", FAILURE_REJECTED,
     "context_length_exceeded"},
    {"openai-compat", "crew.openrouter-agent-knowledege-with-crewai-knowledge.2.401",
     FAILURE_KEY_REFUSED, NULL},
    {"openai-compat", "crew.azure-openai-is-default-provider-without-explicit-llm-set-on-age.404",
     FAILURE_REJECTED, NULL},
    {"openai-compat",
     "rubyllm.error-handling-with-azure-grok-4-1-fast-non-reasoning-raises-app.401",
     FAILURE_KEY_REFUSED, NULL},
    {"openai-compat", "rubyllm.error-handling-with-mistral-mistral-small-la-raises-appropriate.401",
     FAILURE_KEY_REFUSED, NULL},
    {"openai-compat",
     "rubyllm.error-handling-with-ollama-cloud-gpt-oss-120b-raises-appropriate.401",
     FAILURE_KEY_REFUSED, NULL},
    {"openai-compat",
     "rubyllm.pplx-error-handling-with-perplexity-sonar-raises-appropriate-aut.401",
     FAILURE_KEY_REFUSED, "invalid_api_key"},
    {"openai-compat",
     "rubyllm.real-error-scenarios-azure-grok-4-1-fast-non-reasoning-handles-c.429",
     FAILURE_RATE_LIMITED, "rate_limit_exceeded"},
    {"openai-compat",
     "rubyllm.real-error-scenarios-ollama-cloud-gpt-oss-120b-handles-context-l.400",
     FAILURE_REJECTED, "context_length_exceeded"},
    {"openai-compat",
     "rubyllm.real-error-scenarios-openrouter-claude-haiku-4-5-handles-context.400",
     FAILURE_REJECTED, "context_length_exceeded"},
    {"openai-compat",
     "rubyllm.pplx-real-error-scenarios-perplexity-sonar-handles-context-lengt.400",
     FAILURE_REJECTED, "context_length_exceeded"},
    {"openai-compat", "pai.groq-tool-regular-error.404", FAILURE_REJECTED, "model_not_found"},
    {"openai-compat", "pai.groq-tool-use-failed-error-with-text.400", FAILURE_REJECTED,
     "tool_use_failed"},
    {"openai-compat", "lcgo.openrouterstreaming.1.429", FAILURE_RATE_LIMITED, NULL},
    {"openai-compat", "otl.azure-chat-reasoning.1.404", FAILURE_REJECTED, "DeploymentNotFound"},
    {"openai-responses", "dd.response-create-error.400", FAILURE_REJECTED, "model_not_found"},
    {"openai-responses", "dd.response-error.401", FAILURE_KEY_REFUSED, "invalid_api_key"},
    {"openai-responses", "pai.deepseek-responses-rejects-interleaved-function-calls.400",
     FAILURE_REJECTED, "invalid_request_error"},
    {"openai-responses", "pai.openai-responses-model-http-error.400", FAILURE_REJECTED,
     "decimal_below_min_value"},
    {"openai-responses", "vai.openai-error-1.429", FAILURE_OUT_OF_CREDIT, "insufficient_quota"},
    {"openai-responses", "vai.reasoning-model-temperature-error.400", FAILURE_REJECTED, NULL},
};

enum { ERRORS = sizeof errors / sizeof errors[0] };

struct visit {
    enum dialect dialect;
    struct dialect_reader *reader;
    size_t found;
};

static size_t row_of(const char *folder, dr_slice name) {
    for (size_t i = 0; i < ERRORS; i++) {
        if (dr_slice_is(dr_slice_text(errors[i].folder), dr_slice_text(folder)) &&
            dr_slice_is(dr_slice_text(errors[i].name), name)) {
            return i;
        }
    }
    fail_msg("%s/%.*s has no row", folder, DR_FMT(name));
    return 0;
}

static void check_error(const char *folder, dr_json entry, void *owner) {
    struct visit *visit = owner;
    struct failure failure;
    int64_t status = 0;

    assert_true(dr_json_to_i64(dr_json_member(entry, DR_LIT("status")), &status));
    if (status < 400) return;
    const dr_slice name = fixture_text(entry, "name");
    const size_t row = row_of(folder, name);
    struct dr_buf body = fixture_read(folder, fixture_text(entry, "response"));

    dialect_read_failure(visit->dialect, visit->reader, (uint16_t)status, dr_buf_slice(&body),
                         &failure);
    if (failure.kind != errors[row].kind) {
        fail_msg("%s: %s", errors[row].name, failure_kind_name(failure.kind));
    }
    if (!dr_slice_is(failure.code, dr_slice_text(errors[row].code))) {
        fail_msg("%s: %.*s", errors[row].name, DR_FMT(failure.code));
    }
    assert_int_equal(failure.status, status);
    assert_true(failure.message.len > 0);
    visit->found++;
    dr_buf_clear(&body);
}

static void test_each_recorded_error_is_somebodys_fault(void **state) {
    static const struct {
        const char *name;
        enum dialect dialect;
    } folders[] = {
        {"anthropic", DIALECT_ANTHROPIC},  {"deepseek", DIALECT_OPENAI},
        {"gemini", DIALECT_GEMINI},        {"openai-chat", DIALECT_OPENAI},
        {"openai-compat", DIALECT_OPENAI}, {"openai-responses", DIALECT_OPENAI},
    };
    struct visit visit = {.reader = dialect_reader_new()};

    (void)state;
    assert_non_null(visit.reader);
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        visit.dialect = folders[i].dialect;
        (void)fixture_visit(folders[i].name, check_error, &visit);
    }
    assert_int_equal(visit.found, ERRORS);
    dialect_reader_free(visit.reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_recorded_error_is_somebodys_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
