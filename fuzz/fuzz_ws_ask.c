/* gateway/ws_ask: any frame as the ask that it might be. The body made of it must be JSON that
 * streams, holds every member of the frame but the gateway's own, once and unchanged, and, with a
 * conversation before them, all messages in order; it is then read as any body is. Frames with a
 * member given twice are refused before they come here. */
#include "gateway/ws_ask.h"

#include "base/assert.h"
#include "dialect/openai.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { DEPTH_MAX = 128, ARENA_BYTES_MAX = 1 << 20, VALUE_BYTES_MAX = 1 << 22 };

static const dr_slice before = {"{\"role\":\"user\",\"content\":\"]}\"},{\"role\":\"assistant\"}",
                                51};
enum { BEFORE_COUNT = 2 };

static bool is_own(dr_slice name) {
    static const dr_slice names[] = {
        {"type", 4}, {"id", 2}, {"session", 7}, {"api_key", 7}, {"stream", 6},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (dr_slice_is(name, names[i])) return true;
    }
    return false;
}

static bool is_same(dr_json a, dr_json b) {
    struct dr_buf texts[2];
    dr_buf_init(&texts[0], VALUE_BYTES_MAX);
    dr_buf_init(&texts[1], VALUE_BYTES_MAX);
    dr_json_put_value(&texts[0], a);
    dr_json_put_value(&texts[1], b);
    const bool same = dr_slice_is(dr_buf_slice(&texts[0]), dr_buf_slice(&texts[1]));
    dr_buf_clear(&texts[0]);
    dr_buf_clear(&texts[1]);
    return same;
}

/* `joined` are the messages kept, then those of the frame. */
static void check_joined(dr_json joined, dr_json new_messages) {
    struct dr_json_iter all;
    struct dr_json_iter added;
    dr_assert(dr_json_count(joined) == BEFORE_COUNT + dr_json_count(new_messages));
    dr_json_iter_init(&all, joined);
    for (int i = 0; i < BEFORE_COUNT; i++) dr_assert(dr_json_iter_next(&all));
    dr_json_iter_init(&added, new_messages);
    while (dr_json_iter_next(&added)) {
        dr_assert(dr_json_iter_next(&all));
        dr_assert(is_same(all.value, added.value));
    }
}

static void check_body(struct dr_json_reader *reader, dr_json frame, dr_slice body,
                       bool is_joined) {
    struct dr_json_iter members;
    dr_json root;
    size_t count = 1;
    dr_assert(dr_json_read(reader, body, DEPTH_MAX, &root, NULL) == DR_OK);
    dr_assert(dr_json_bool(dr_json_member(root, DR_LIT("stream"))));
    dr_json_iter_init(&members, frame);
    while (dr_json_iter_next(&members)) {
        const dr_slice name = dr_json_text(members.name);
        if (is_own(name)) continue;
        const dr_json same = dr_json_member(root, name);
        count++;
        if (is_joined && dr_slice_is(name, DR_LIT("messages")) &&
            dr_json_is(members.value, DR_JSON_ARRAY)) {
            check_joined(same, members.value);
        } else {
            dr_assert(same && is_same(same, members.value));
        }
    }
    dr_assert(dr_json_count(root) == count);
}

static void read_as_prompt(struct dr_json_reader *reader, dr_slice body) {
    struct prompt prompt;
    struct prompt_fault fault = {0};
    const enum dr_status status = openai_read_prompt(reader, body, &prompt, &fault);
    dr_assert(status != DR_OK || prompt.is_streamed);
}

static bool is_same_place(struct prompt_splice a, struct prompt_splice b) {
    return a.start == b.start && a.len == b.len;
}

/* What is read of the frame is what would be read of the body. */
static void check_held(const struct ws_ask *ask, struct dr_json_reader *other, dr_slice body) {
    struct prompt held = {.is_streamed = false};
    struct prompt read = {.is_streamed = false};
    struct prompt_fault held_fault = {0};
    struct prompt_fault fault = {0};
    const enum dr_status status = openai_read_prompt(other, body, &read, &fault);
    if (status == DR_NO_MEMORY) return;
    dr_assert(openai_read_held_prompt(ask->reader, ask->root, WS_ASK_SHIFT, body, &held,
                                      &held_fault) == status);
    dr_assert(held_fault.is_json == fault.is_json);
    dr_assert(strcmp(held_fault.param, fault.param) == 0);
    dr_assert(strcmp(held_fault.text, fault.text) == 0);
    if (status != DR_OK) return;
    dr_assert(held.is_streamed && read.is_streamed);
    dr_assert(dr_slice_is(held.model, read.model) && dr_slice_is(held.user, read.user));
    dr_assert(held.wants_usage == read.wants_usage && held.wants_audio == read.wants_audio);
    dr_assert(held.choice_count == read.choice_count);
    dr_assert(held.output_tokens_max == read.output_tokens_max);
    dr_assert(held.text_bytes == read.text_bytes && held.image_count == read.image_count);
    dr_assert(held.message_count == read.message_count && held.has_seals == read.has_seals);
    dr_assert(held.exceeds_deepseek == read.exceeds_deepseek);
    dr_assert(is_same_place(held.model_at, read.model_at));
    dr_assert(is_same_place(held.usage_at, read.usage_at));
    dr_assert(dr_slice_is(held.usage_text, read.usage_text));
}

static void check_ask(const struct ws_ask *ask, struct dr_json_reader *other) {
    struct dr_arena arena;
    dr_slice body;
    dr_arena_init(&arena, ARENA_BYTES_MAX, NULL);
    if (ws_ask_write_body(ask, &arena, &body)) {
        check_body(other, ask->root, body, false);
        check_held(ask, other, body);
    }
    if (ws_ask_write_joined(ask, before, &arena, &body)) {
        check_body(other, ask->root, body, true);
        read_as_prompt(other, body);
    }
    const dr_slice added = ws_ask_messages(ask);
    dr_assert(added.len == 0 || (added.data > ask->text.data &&
                                 added.data + added.len < ask->text.data + ask->text.len));
    dr_arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    struct dr_json_reader *reader = dr_json_reader_new();
    struct dr_json_reader *other = dr_json_reader_new();
    struct ws_ask ask = {.reader = reader, .text = dr_slice_of((const char *)bytes, len)};
    dr_slice name;
    if (reader && other && dr_json_read(reader, ask.text, DEPTH_MAX, &ask.root, NULL) == DR_OK &&
        dr_json_is(ask.root, DR_JSON_OBJECT) && !dr_json_has_duplicate(ask.root, &name)) {
        check_ask(&ask, other);
    }
    dr_json_reader_free(other);
    dr_json_reader_free(reader);
    return 0;
}
