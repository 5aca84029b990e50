/* What the targets of requests share: any bytes as a client's request, written for a provider under
 * the name that the client gives the model. What is written must be JSON of turns that alternate
 * and hold something each; what is refused must name a parameter; what is dropped must be fit for
 * a header. */
#ifndef DR_FUZZ_PROMPT_CHECK_H
#define DR_FUZZ_PROMPT_CHECK_H

#include "base/assert.h"
#include "dialect/dialect.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { CHECK_ARENA_BYTES_MAX = 256 * 1024 * 1024, CHECK_ROOM_BYTES = 64 * 1024 };

/* Where a dialect has its turns, and what it calls its own. */
struct prompt_words {
    enum dialect dialect;
    dr_slice turns;
    dr_slice parts;
    dr_slice assistant;
};

static inline void check_turns(const struct prompt_words *words, dr_json root) {
    const dr_json turns = dr_json_member(root, words->turns);
    struct dr_json_iter iter;
    bool was_assistant = true;

    dr_assert(dr_json_count(turns) > 0);
    dr_json_iter_init(&iter, turns);
    while (dr_json_iter_next(&iter)) {
        const dr_slice role = dr_json_text(dr_json_member(iter.value, DR_LIT("role")));
        const bool is_assistant = dr_slice_is(role, words->assistant);
        dr_assert(is_assistant || dr_slice_is(role, DR_LIT("user")));
        dr_assert(is_assistant != was_assistant);
        was_assistant = is_assistant;
        dr_assert(dr_json_count(dr_json_member(iter.value, words->parts)) > 0);
    }
}

static inline void check_dropped(dr_slice dropped) {
    for (size_t i = 0; i < dropped.len; i++) {
        dr_assert(dropped.data[i] >= ' ' && dropped.data[i] < 127);
    }
}

static inline void check_written_prompt(const struct prompt_words *words,
                                        const struct conversation *conversation, dr_slice model,
                                        size_t body_len) {
    struct dr_json_reader *scratch = dr_json_reader_new();
    struct loss loss = {.is_refused = false};
    struct dr_buf out;
    dr_json root;

    dr_assert(scratch);
    dr_buf_init(&out, 2 * body_len + CHECK_ROOM_BYTES);
    const enum dr_status status =
        dialect_write_prompt(words->dialect, conversation, model, scratch, &out, &loss);
    dr_assert(status == DR_OK || status == DR_INVALID);
    dr_assert(loss.is_refused == (status == DR_INVALID));
    check_dropped(loss_dropped(&loss));
    if (status == DR_INVALID) {
        dr_assert(loss.fault.param[0] != '\0' && loss.fault.text[0] != '\0');
    } else {
        dr_assert(dr_json_read(scratch, dr_buf_slice(&out), 512, &root, NULL) == DR_OK);
        check_turns(words, root);
    }
    dr_buf_clear(&out);
    dr_json_reader_free(scratch);
}

static inline void check_prompt(const struct prompt_words *words, dr_slice body) {
    struct dr_json_reader *reader = dr_json_reader_new();
    struct conversation conversation;
    struct prompt_fault fault = {0};
    struct prompt prompt;
    struct dr_arena arena;
    char model[256];

    dr_assert(reader);
    dr_arena_init(&arena, CHECK_ARENA_BYTES_MAX, NULL);
    if (openai_read_prompt(reader, body, &prompt, &fault) == DR_OK) {
        const size_t model_len = prompt.model.len;
        dr_assert(model_len <= sizeof model);
        memcpy(model, prompt.model.data, model_len);
        dr_assert(openai_read_conversation(reader, &prompt, &arena, &conversation) == DR_OK);
        dr_assert(conversation.message_count == prompt.message_count);
        check_written_prompt(words, &conversation, dr_slice_of(model, model_len), body.len);
    }
    dr_arena_clear(&arena);
    dr_json_reader_free(reader);
}

#endif
