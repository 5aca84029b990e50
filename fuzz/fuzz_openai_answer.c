/* Any bytes as an event, as a whole answer and as the body of a failure. Every slice handed out is
 * read to its end, so that the sanitizer sees one that points astray. */
#include "base/assert.h"
#include "dialect/openai.h"

enum { WRITTEN_BYTES_MAX = 16 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static uint64_t touch(dr_slice text) {
    return dr_slice_hash(text, 1);
}

static uint64_t touch_failure(const struct failure *failure) {
    return touch(failure->message) ^ touch(failure->type) ^ touch(failure->code) ^
           touch(failure->param);
}

/* Every byte of it, as it would be written. */
static uint64_t touch_value(dr_json value) {
    struct dr_buf written;
    uint64_t sum = 0;

    if (!value) return 0;
    dr_buf_init(&written, WRITTEN_BYTES_MAX);
    dr_json_put_value(&written, value);
    if (dr_buf_status(&written) == DR_OK) sum = touch(dr_buf_slice(&written));
    dr_buf_clear(&written);
    return sum;
}

static uint64_t touch_event(const struct answer_event *event) {
    switch (event->kind) {
    case ANSWER_START: return touch(event->start.id) ^ touch(event->start.model);
    case ANSWER_TEXT:
    case ANSWER_REASONING:
    case ANSWER_REFUSAL: dr_assert(event->text.len > 0); return touch(event->text);
    case ANSWER_TOOL_CALL:
        return touch(event->tool_call.id) ^ touch(event->tool_call.name) ^
               touch(event->tool_call.arguments) ^ touch_value(event->tool_call.extra_content);
    case ANSWER_MEMBER: return touch(event->member.name) ^ touch_value(event->member.value);
    case ANSWER_FINISH: dr_assert(event->finish.text.len > 0); return touch(event->finish.text);
    case ANSWER_USAGE:
        dr_assert(event->usage.source == USAGE_REPORTED);
        dr_assert(event->usage.cached_tokens <= event->usage.prompt_tokens);
        return usage_output_tokens(&event->usage);
    case ANSWER_ERROR: return touch_failure(&event->error);
    case ANSWER_END: return 0;
    case ANSWER_SIGNATURE:
    case ANSWER_CITATION:
    case ANSWER_LOGPROBS: break;
    }
    dr_unreachable();
}

static uint64_t touch_chunk(struct answer_chunk *chunk) {
    struct openai_call_numbers numbers = {.count = 0};
    uint64_t sum = 0;

    openai_call_numbers_apply(&numbers, chunk);
    for (size_t i = 0; i < chunk->event_count; i++) sum ^= touch_event(&chunk->events[i]);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    const dr_slice text = dr_slice_of((const char *)bytes, len);
    struct openai_answer_reader *reader = openai_answer_reader_new();
    struct answer_chunk chunk;
    struct failure failure = {0};
    struct dr_error error = {0};
    uint64_t sum = 0;

    if (!reader) return 0;
    if (openai_read_event(reader, text, &chunk, &error) == DR_OK)
        sum += touch_chunk(&chunk);
    else
        dr_assert(strlen(error.text) > 0);
    if (openai_read_answer(reader, text, &chunk, &error) == DR_OK) sum += touch_chunk(&chunk);
    openai_read_failure(reader, (uint16_t)(len % 600), text, &failure);
    sum += touch_failure(&failure);
    openai_answer_reader_free(reader);
    /* The sum must be of use, or the reading of each slice would be optimised away. */
    return sum == UINT64_MAX ? -1 : 0;
}
