/* What Anthropic answers, seen as canonical events. Must not refuse what only deviates: unknown
 * events and blocks are passed over, as the reference asks ("Streaming Messages": new event types
 * may be added, and your code should handle unknown event types gracefully).
 *
 * Most of a long answer are deltas of text, always written the same way: those need no tree
 * (anthropic_delta.h). */
#include "dialect/anthropic.h"

#include "dialect/answer_builder.h"
#include "dialect/answer_failure.h"
#include "dialect/anthropic_delta.h"

/* --- usage --- */

static void note_count(dr_json usage, dr_slice name, uint64_t *count, bool *is_known) {
    if (answer_read_count(dr_json_member(usage, name), count)) *is_known = true;
}

/* Later counts replace earlier ones ("the token counts shown in the usage field of the
 * message_delta event are cumulative"); what is absent stays. */
static void note_usage(struct anthropic_stream *stream, dr_json usage) {
    bool *is_known = &stream->counts.is_known;
    const dr_json details = dr_json_member(usage, DR_LIT("output_tokens_details"));

    note_count(usage, DR_LIT("input_tokens"), &stream->counts.input, is_known);
    note_count(usage, DR_LIT("cache_creation_input_tokens"), &stream->counts.cache_write, is_known);
    note_count(usage, DR_LIT("cache_read_input_tokens"), &stream->counts.cache_read, is_known);
    note_count(usage, DR_LIT("output_tokens"), &stream->counts.output, is_known);
    note_count(details, DR_LIT("thinking_tokens"), &stream->counts.thinking, is_known);
}

/* OpenAI's prompt tokens hold what was read from and written to the cache; Anthropic's do not. */
static void add_usage(struct answer_builder *builder, struct anthropic_stream *stream) {
    if (!stream->counts.is_known) return;
    struct answer_event *event = answer_builder_add(builder, ANSWER_USAGE, 0);
    if (!event) return;

    const uint64_t prompt =
        stream->counts.input + stream->counts.cache_write + stream->counts.cache_read;
    const uint64_t completion = stream->counts.output;
    event->usage = (struct usage){
        .source = USAGE_REPORTED,
        .prompt_tokens = prompt,
        .completion_tokens = completion,
        .total_tokens = prompt + completion,
        .cached_tokens = stream->counts.cache_read,
        .cache_write_tokens = stream->counts.cache_write,
        .reasoning_tokens =
            stream->counts.thinking < completion ? stream->counts.thinking : completion,
    };
}

/* --- the end --- */

static enum answer_finish finish_of(dr_slice reason, uint32_t call_count) {
    if (dr_slice_is(reason, DR_LIT("max_tokens")) ||
        dr_slice_is(reason, DR_LIT("model_context_window_exceeded"))) {
        return ANSWER_FINISH_LENGTH;
    }
    if (dr_slice_is(reason, DR_LIT("refusal"))) return ANSWER_FINISH_CONTENT_FILTER;
    /* Clients look at the calls, whatever the word says. */
    if (call_count > 0) return ANSWER_FINISH_TOOL_CALLS;
    return ANSWER_FINISH_STOP;
}

/* `holder` has `stop_reason` and, for a refusal, `stop_details`. */
static void add_finish(struct answer_builder *builder, struct anthropic_stream *stream,
                       dr_json holder) {
    const dr_slice reason = dr_json_text(dr_json_member(holder, DR_LIT("stop_reason")));

    if (reason.len == 0 || stream->has_finish) return;
    const dr_json details = dr_json_member(holder, DR_LIT("stop_details"));
    answer_builder_add_verdict(builder, 0,
                               dr_json_text(dr_json_member(details, DR_LIT("explanation"))));
    struct answer_event *event = answer_builder_add(builder, ANSWER_FINISH, 0);
    if (!event) return;
    event->finish.reason = finish_of(reason, stream->call_count);
    event->finish.text = reason;
    stream->has_finish = true;
}

/* --- errors --- */

static dr_slice word_of(dr_json value) {
    const dr_slice word = dr_json_text(value);

    return word.len > 0 ? word : DR_NONE;
}

static void read_error(dr_json error, struct failure *failure) {
    failure->message = word_of(dr_json_member(error, DR_LIT("message")));
    failure->type = word_of(dr_json_member(error, DR_LIT("type")));
    /* "model: claude-x" ("Errors" and recorded): other things are not found, too. */
    if (dr_slice_is(failure->type, DR_LIT("not_found_error")) &&
        dr_slice_starts(failure->message, DR_LIT("model:"))) {
        failure->code = DR_LIT("model_not_found");
    }
}

/* Nothing follows an error: no message_delta, no message_stop (recorded). */
static void add_error(struct answer_builder *builder, struct anthropic_stream *stream,
                      const struct failure *failure) {
    struct answer_event *event = answer_builder_add(builder, ANSWER_ERROR, 0);

    if (!event) return;
    event->error = *failure;
    answer_failure_judge(&event->error);
    stream->is_over = true;
}

/* --- blocks --- */

static void add_call(struct answer_builder *builder, uint32_t index, dr_slice id, dr_slice name,
                     dr_slice arguments) {
    struct answer_event *event = answer_builder_add(builder, ANSWER_TOOL_CALL, 0);

    if (!event) return;
    event->tool_call.index = index;
    event->tool_call.form = ANSWER_CALL_FUNCTION;
    event->tool_call.extra_content = NULL;
    event->tool_call.id = id;
    event->tool_call.name = name;
    event->tool_call.arguments = arguments;
    builder->chunk.output_bytes += name.len + arguments.len;
}

static void add_signature(struct answer_builder *builder, enum answer_signature kind,
                          dr_slice text) {
    if (text.len == 0) return;
    struct answer_event *event = answer_builder_add(builder, ANSWER_SIGNATURE, 0);
    if (!event) return;

    event->signature.kind = kind;
    event->signature.index = 0;
    event->signature.text = text;
}

/* Only sources with an address have a place in OpenAI's answers; others point into documents that
 * the client sent. */
static void add_citation(struct answer_builder *builder, dr_json citation) {
    const dr_slice url = dr_json_text(dr_json_member(citation, DR_LIT("url")));

    if (url.len == 0) return;
    struct answer_event *event = answer_builder_add(builder, ANSWER_CITATION, 0);
    if (!event) return;
    event->citation.url = url;
    event->citation.title = dr_json_text(dr_json_member(citation, DR_LIT("title")));
}

/* What a block holds at once: everything in a whole answer, almost nothing at the start of a
 * streamed one. True for a tool call of the client's own tools; calls that the provider carries out
 * itself (server_tool_use, mcp_tool_use) and their results are no part of OpenAI's answers. */
static bool add_block(struct answer_builder *builder, struct anthropic_stream *stream,
                      dr_json block, bool is_whole, bool *ret_has_arguments) {
    const dr_slice type = dr_json_text(dr_json_member(block, DR_LIT("type")));
    struct dr_json_iter iter;

    *ret_has_arguments = false;
    if (dr_slice_is(type, DR_LIT("text"))) {
        answer_builder_add_text(builder, ANSWER_TEXT, 0,
                                dr_json_text(dr_json_member(block, DR_LIT("text"))));
        dr_json_iter_init(&iter, dr_json_member(block, DR_LIT("citations")));
        while (dr_json_iter_next(&iter)) add_citation(builder, iter.value);
    } else if (dr_slice_is(type, DR_LIT("thinking"))) {
        answer_builder_add_text(builder, ANSWER_REASONING, 0,
                                dr_json_text(dr_json_member(block, DR_LIT("thinking"))));
        add_signature(builder, ANSWER_SIGNATURE_THINKING,
                      dr_json_text(dr_json_member(block, DR_LIT("signature"))));
    } else if (dr_slice_is(type, DR_LIT("redacted_thinking"))) {
        add_signature(builder, ANSWER_SIGNATURE_REDACTED,
                      dr_json_text(dr_json_member(block, DR_LIT("data"))));
    } else if (dr_slice_is(type, DR_LIT("tool_use"))) {
        const dr_json input = dr_json_member(block, DR_LIT("input"));
        const dr_slice id = dr_json_text(dr_json_member(block, DR_LIT("id")));
        const dr_slice name = dr_json_text(dr_json_member(block, DR_LIT("name")));
        dr_slice arguments = DR_LIT("");
        if (id.len == 0 || name.len == 0) {
            const struct failure failure = {
                .message = DR_LIT("a tool call without a name or an id"),
                .type = DR_LIT("api_error"),
            };
            add_error(builder, stream, &failure); /* nobody could carry it out or answer it */
            return false;
        }
        if (dr_json_count(input) > 0) {
            arguments = answer_builder_value_text(builder, input);
            *ret_has_arguments = true;
        } else if (is_whole) {
            arguments = DR_LIT("{}");
        }
        add_call(builder, stream->call_count++, id, name, arguments);
        return true;
    }
    return false;
}

static void add_blocks(struct answer_builder *builder, struct anthropic_stream *stream,
                       dr_json blocks) {
    struct dr_json_iter iter;
    bool has_arguments;

    if (!dr_json_is(blocks, DR_JSON_ARRAY)) return;
    dr_json_iter_init(&iter, blocks);
    while (dr_json_iter_next(&iter)) {
        (void)add_block(builder, stream, iter.value, true, &has_arguments);
        stream->has_content = true;
    }
}

/* The place of the block of that number, or of a free one; blocks come one after the other, so that
 * one place would do for a server that keeps to the reference. */
static size_t find_block(const struct anthropic_stream *stream, uint32_t sent_index) {
    for (size_t i = 0; i < ANTHROPIC_BLOCKS_OPEN_MAX; i++) {
        if (stream->blocks[i].is_open && stream->blocks[i].sent_index == sent_index) return i;
    }
    return ANTHROPIC_BLOCKS_OPEN_MAX;
}

static size_t free_block(const struct anthropic_stream *stream) {
    for (size_t i = 0; i < ANTHROPIC_BLOCKS_OPEN_MAX; i++) {
        if (!stream->blocks[i].is_open) return i;
    }
    return 0;
}

static uint32_t index_of(dr_json root) {
    uint64_t index;

    return dr_json_to_u64(dr_json_member(root, DR_LIT("index")), &index) && index <= UINT32_MAX
               ? (uint32_t)index
               : 0;
}

/* A call that got no arguments has none: an empty object, not an empty string, is what clients can
 * parse. */
static void close_block(struct answer_builder *builder, struct anthropic_stream *stream,
                        size_t place) {
    if (place == ANTHROPIC_BLOCKS_OPEN_MAX) return;
    stream->blocks[place].is_open = false;
    if (stream->blocks[place].is_call && !stream->blocks[place].has_arguments &&
        !stream->blocks[place].has_pieces) {
        add_call(builder, stream->blocks[place].call_index, DR_NONE, DR_NONE, DR_LIT("{}"));
    }
}

static void close_blocks(struct answer_builder *builder, struct anthropic_stream *stream) {
    for (size_t i = 0; i < ANTHROPIC_BLOCKS_OPEN_MAX; i++) {
        if (stream->blocks[i].is_open) close_block(builder, stream, i);
    }
}

static void start_block(struct answer_builder *builder, struct anthropic_stream *stream,
                        dr_json root) {
    const uint32_t sent_index = index_of(root);
    bool has_arguments;

    close_block(builder, stream, find_block(stream, sent_index));
    const size_t place = free_block(stream);
    close_block(builder, stream, stream->blocks[place].is_open ? place : ANTHROPIC_BLOCKS_OPEN_MAX);

    const uint32_t call_index = stream->call_count;
    const bool is_call = add_block(builder, stream, dr_json_member(root, DR_LIT("content_block")),
                                   false, &has_arguments);
    stream->blocks[place].sent_index = sent_index;
    stream->blocks[place].call_index = call_index;
    stream->blocks[place].is_open = true;
    stream->blocks[place].is_call = is_call;
    stream->blocks[place].has_arguments = has_arguments;
    stream->blocks[place].has_pieces = false;
    stream->has_content = true;
}

/* Text says itself what it is, so a text whose block never began is still text. Arguments without
 * their call are nobody's. */
static void add_delta(struct answer_builder *builder, struct anthropic_stream *stream,
                      enum anthropic_delta_kind kind, uint32_t sent_index, dr_slice text) {
    stream->has_content = true;
    switch (kind) {
    case ANTHROPIC_DELTA_TEXT: answer_builder_add_text(builder, ANSWER_TEXT, 0, text); return;
    case ANTHROPIC_DELTA_THINKING:
        answer_builder_add_text(builder, ANSWER_REASONING, 0, text);
        return;
    case ANTHROPIC_DELTA_JSON: break;
    }
    const size_t place = find_block(stream, sent_index);
    if (text.len == 0 || place == ANTHROPIC_BLOCKS_OPEN_MAX || !stream->blocks[place].is_call ||
        stream->blocks[place].has_arguments) {
        return;
    }
    stream->blocks[place].has_pieces = true;
    add_call(builder, stream->blocks[place].call_index, DR_NONE, DR_NONE, text);
}

/* True when `payload` was a delta in its usual shape and has been read. */
static bool read_usual_delta(struct answer_builder *builder, struct anthropic_stream *stream,
                             dr_slice payload) {
    struct anthropic_delta delta;

    if (!anthropic_delta_read(&stream->usual, payload, &builder->mended, &delta)) return false;
    if (dr_buf_status(&builder->mended)) {
        builder->status = DR_NO_MEMORY;
        return true;
    }
    builder->chunk.is_plain = delta.is_plain;
    add_delta(builder, stream, delta.kind, delta.sent_index, delta.text);
    return true;
}

/* --- events --- */

static void read_delta(struct answer_builder *builder, struct anthropic_stream *stream,
                       dr_json root) {
    const dr_json delta = dr_json_member(root, DR_LIT("delta"));
    const dr_slice type = dr_json_text(dr_json_member(delta, DR_LIT("type")));

    if (dr_slice_is(type, DR_LIT("text_delta"))) {
        add_delta(builder, stream, ANTHROPIC_DELTA_TEXT, index_of(root),
                  dr_json_text(dr_json_member(delta, DR_LIT("text"))));
    } else if (dr_slice_is(type, DR_LIT("thinking_delta"))) {
        add_delta(builder, stream, ANTHROPIC_DELTA_THINKING, index_of(root),
                  dr_json_text(dr_json_member(delta, DR_LIT("thinking"))));
    } else if (dr_slice_is(type, DR_LIT("input_json_delta"))) {
        add_delta(builder, stream, ANTHROPIC_DELTA_JSON, index_of(root),
                  dr_json_text(dr_json_member(delta, DR_LIT("partial_json"))));
    } else if (dr_slice_is(type, DR_LIT("signature_delta"))) {
        add_signature(builder, ANSWER_SIGNATURE_THINKING,
                      dr_json_text(dr_json_member(delta, DR_LIT("signature"))));
    } else if (dr_slice_is(type, DR_LIT("citations_delta"))) {
        add_citation(builder, dr_json_member(delta, DR_LIT("citation")));
    }
}

static void start_message(struct answer_builder *builder, struct anthropic_stream *stream,
                          dr_json message) {
    const dr_slice id = dr_json_text(dr_json_member(message, DR_LIT("id")));
    const uint64_t id_hash = dr_slice_hash(id, 0);

    if (stream->is_started && stream->id_hash != id_hash && stream->has_content) {
        const struct failure failure = {
            .message = DR_LIT("another message began inside the answer"),
            .type = DR_LIT("api_error"),
        };
        add_error(builder, stream, &failure);
        return;
    }
    if (!stream->is_started) {
        struct answer_event *event = answer_builder_add(builder, ANSWER_START, 0);
        if (event) {
            event->start.id = id;
            event->start.model = dr_json_text(dr_json_member(message, DR_LIT("model")));
        }
    }
    stream->is_started = true;
    stream->id_hash = id_hash;
    /* Of a stream that is cut, this is all that is ever told of the prompt. */
    note_usage(stream, dr_json_member(message, DR_LIT("usage")));
    add_usage(builder, stream);
    /* A message that goes on with what the provider's own code asked for has its blocks here. */
    if (!stream->has_content) {
        add_blocks(builder, stream, dr_json_member(message, DR_LIT("content")));
        add_finish(builder, stream, message);
    }
}

static void finish_message(struct answer_builder *builder, struct anthropic_stream *stream) {
    close_blocks(builder, stream);
    if (!stream->has_finish) {
        struct answer_event *event = answer_builder_add(builder, ANSWER_FINISH, 0);
        if (event) {
            event->finish.reason = finish_of(DR_NONE, stream->call_count);
            event->finish.text = DR_LIT("end_turn");
        }
        stream->has_finish = true;
    }
}

/* Servers that only resemble Anthropic leave out the `event:` lines: the `type` inside decides. */
static void read_root(struct answer_builder *builder, struct anthropic_stream *stream,
                      dr_json root) {
    const dr_slice type = dr_json_text(dr_json_member(root, DR_LIT("type")));

    /* Blocks come before the reason to stop ("a series of content blocks, … one or more
     * message_delta events"); a client takes nothing behind it. */
    if (stream->has_finish && dr_slice_starts(type, DR_LIT("content_block"))) return;
    if (dr_slice_is(type, DR_LIT("content_block_delta"))) {
        read_delta(builder, stream, root);
    } else if (dr_slice_is(type, DR_LIT("content_block_start"))) {
        start_block(builder, stream, root);
    } else if (dr_slice_is(type, DR_LIT("content_block_stop"))) {
        close_block(builder, stream, find_block(stream, index_of(root)));
    } else if (dr_slice_is(type, DR_LIT("message_start"))) {
        start_message(builder, stream, dr_json_member(root, DR_LIT("message")));
    } else if (dr_slice_is(type, DR_LIT("message_delta"))) {
        close_blocks(builder, stream);
        note_usage(stream, dr_json_member(root, DR_LIT("usage")));
        add_finish(builder, stream, dr_json_member(root, DR_LIT("delta")));
        add_usage(builder, stream);
    } else if (dr_slice_is(type, DR_LIT("message_stop"))) {
        finish_message(builder, stream);
        (void)answer_builder_add(builder, ANSWER_END, 0);
        builder->chunk.is_end = true;
        stream->is_over = true;
    } else if (dr_slice_is(type, DR_LIT("error")) ||
               (type.len == 0 &&
                dr_json_is(dr_json_member(root, DR_LIT("error")), DR_JSON_OBJECT))) {
        struct failure failure = {.status = 0};
        read_error(dr_json_member(root, DR_LIT("error")), &failure);
        add_error(builder, stream, &failure);
    }
}

enum dr_status anthropic_read_event(struct answer_builder *builder, struct anthropic_stream *stream,
                                    dr_slice payload, struct answer_chunk *ret_chunk,
                                    struct dr_error *error) {
    dr_json root;

    answer_builder_start(builder);
    payload = answer_trim(payload);
    /* "[DONE]" is no part of this dialect; servers that speak several send it all the same. */
    if (payload.len == 0 || stream->is_over || dr_slice_is(payload, DR_LIT("[DONE]")) ||
        (!stream->has_finish && read_usual_delta(builder, stream, payload))) {
        return answer_builder_finish(builder, ret_chunk, error);
    }
    const enum dr_status status = answer_builder_parse(builder, payload, &root, error);
    if (status) return status;
    if (!dr_json_is(root, DR_JSON_OBJECT)) {
        return dr_fail(error, DR_INVALID, 0, "an event that is no JSON object");
    }
    read_root(builder, stream, root);
    return answer_builder_finish(builder, ret_chunk, error);
}

enum dr_status anthropic_read_answer(struct answer_builder *builder,
                                     struct anthropic_stream *stream, dr_slice body,
                                     struct answer_chunk *ret_chunk, struct dr_error *error) {
    dr_json root;

    answer_builder_start(builder);
    const enum dr_status status = answer_builder_parse(builder, body, &root, error);
    if (status) return status;
    if (dr_slice_is(dr_json_text(dr_json_member(root, DR_LIT("type"))), DR_LIT("error"))) {
        read_root(builder, stream, root);
        return answer_builder_finish(builder, ret_chunk, error);
    }
    if (!dr_json_is(dr_json_member(root, DR_LIT("content")), DR_JSON_ARRAY)) {
        return dr_fail(error, DR_INVALID, 0, "an answer that is no message");
    }
    start_message(builder, stream, root);
    finish_message(builder, stream);
    return answer_builder_finish(builder, ret_chunk, error);
}

void anthropic_read_failure(struct answer_builder *builder, uint16_t status, dr_slice body,
                            struct failure *ret_failure) {
    dr_json root;

    answer_builder_start(builder);
    *ret_failure = (struct failure){.status = status};
    body = answer_without_framing(body);
    if (answer_builder_parse(builder, body, &root, NULL)) {
        ret_failure->message = answer_plain_message(body);
    } else {
        read_error(dr_json_member(root, DR_LIT("error")), ret_failure);
    }
    answer_failure_judge(ret_failure);
}
