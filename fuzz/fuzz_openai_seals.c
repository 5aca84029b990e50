/* Any bytes as a client's request, of which the thoughts that others sealed are taken out on the
 * way to a provider of the same dialect. What is left must be a request that says the same, from
 * which nothing more can be taken; where both are taken nothing is. */
#include "base/assert.h"
#include "dialect/openai_seals.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { ROOM_BYTES = 64 * 1024 };

static void check_same(const struct prompt *prompt, const struct prompt *plain) {
    dr_assert(plain->message_count == prompt->message_count);
    dr_assert(plain->text_bytes == prompt->text_bytes);
    dr_assert(plain->image_count == prompt->image_count);
    dr_assert(plain->is_streamed == prompt->is_streamed);
    dr_assert(plain->wants_usage == prompt->wants_usage);
    dr_assert(plain->choice_count == prompt->choice_count);
    dr_assert(plain->output_tokens_max == prompt->output_tokens_max);
    dr_assert(plain->model.len == prompt->model.len);
}

static void strip(struct dr_json_reader *reader, const struct prompt *prompt, dr_slice host) {
    struct loss loss = {.is_refused = false};
    struct loss again = {.is_refused = false};
    struct prompt plain;
    struct prompt twice;
    struct dr_buf out;
    struct dr_buf rest;

    dr_buf_init(&out, 6 * prompt->body.len + ROOM_BYTES);
    dr_buf_init(&rest, 6 * prompt->body.len + ROOM_BYTES);
    dr_assert(openai_strip_seals(reader, prompt, host, &out, &loss, &plain) == DR_OK);
    check_same(prompt, &plain);
    if (out.len == 0) {
        dr_assert(plain.body.data == prompt->body.data && plain.body.len == prompt->body.len);
        dr_assert(loss_dropped(&loss).len == 0);
    } else {
        dr_assert(plain.body.data == out.data && plain.body.len == out.len);
        dr_assert(openai_strip_seals(reader, &plain, host, &rest, &again, &twice) == DR_OK);
        dr_assert(rest.len == 0 && loss_dropped(&again).len == 0);
    }
    dr_buf_clear(&out);
    dr_buf_clear(&rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    static const dr_slice hosts[] = {
        {"api.openai.com", 14},
        {"openrouter.ai", 13},
        {"generativelanguage.googleapis.com", 33},
    };
    struct dr_json_reader *reader = dr_json_reader_new();
    struct prompt_fault fault = {0};
    struct prompt prompt;

    dr_assert(reader);
    const dr_slice body = dr_slice_of((const char *)bytes, len);
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        if (openai_read_prompt(reader, body, &prompt, &fault)) break;
        if (prompt.has_seals) strip(reader, &prompt, hosts[i]);
    }
    dr_json_reader_free(reader);
    return 0;
}
