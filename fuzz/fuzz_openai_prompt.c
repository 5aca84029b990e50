/* Any bytes as a chat request. What is accepted must be spliced into a body that is accepted
 * again, asks for usage exactly when it streams, and names the new model; what is refused must
 * have a sentence. */
#include "base/assert.h"
#include "dialect/openai.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_spliced(struct dr_json_reader *reader, const struct prompt *prompt) {
    dr_slice parts[OPENAI_BODY_PARTS_MAX];
    struct prompt again;
    struct prompt_fault fault;
    struct dr_buf out;
    size_t len = 0;
    const size_t count = openai_write_prompt(prompt, DR_LIT("\"new\""), true, parts, &len);

    dr_buf_init(&out, SIZE_MAX);
    for (size_t i = 0; i < count; i++) dr_buf_put(&out, parts[i]);
    dr_assert(dr_buf_status(&out) == DR_OK && out.len == len);
    dr_assert(openai_read_prompt(reader, dr_buf_slice(&out), &again, &fault) == DR_OK);
    dr_assert(dr_slice_is(again.model, DR_LIT("new")));
    dr_assert(again.is_streamed == prompt->is_streamed);
    dr_assert(again.wants_usage == prompt->is_streamed);
    dr_assert(again.message_count == prompt->message_count);
    dr_assert(again.text_bytes == prompt->text_bytes);
    dr_buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    struct dr_json_reader *reader = dr_json_reader_new();
    struct prompt prompt;
    struct prompt_fault fault = {0};

    if (!reader) return 0;
    const enum dr_status status =
        openai_read_prompt(reader, dr_slice_of((const char *)bytes, len), &prompt, &fault);
    if (status == DR_INVALID) {
        dr_assert(strlen(fault.text) > 0);
        dr_assert(strlen(fault.param) < sizeof fault.param);
    } else if (status == DR_OK) {
        dr_assert(prompt.model.len > 0 && prompt.message_count > 0);
        check_spliced(reader, &prompt);
    }
    dr_json_reader_free(reader);
    return 0;
}
