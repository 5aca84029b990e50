/* What Gemini answers, seen as canonical events. Everything in its answers is optional and unknown
 * words occur: must not refuse what only deviates. Parts of built-in tools (code that Google ran,
 * files) have no place in OpenAI's answers and are passed over; the text between them is kept. */
#include "dialect/gemini.h"

#include "dialect/answer_builder.h"
#include "dialect/answer_failure.h"

#include <stdio.h>

enum { CALL_ID_BYTES = 24 };

/* --- usage --- */

/* Google's prompt holds what was cached, its candidates do not hold the thoughts; what its own
 * tools read counts as prompt. Counters of zero are left out (recorded: all of them, of a prompt
 * that was blocked). */
static void add_usage(struct answer_builder *builder, struct gemini_stream *stream,
                      dr_json object) {
    uint64_t prompt = 0;
    uint64_t tools = 0;
    uint64_t candidates = 0;
    uint64_t thoughts = 0;
    uint64_t cached = 0;
    uint64_t total = 0;

    if (!dr_json_is(object, DR_JSON_OBJECT)) return;
    const bool has_total =
        answer_read_count(dr_json_member(object, DR_LIT("totalTokenCount")), &total);
    (void)answer_read_count(dr_json_member(object, DR_LIT("promptTokenCount")), &prompt);
    (void)answer_read_count(dr_json_member(object, DR_LIT("toolUsePromptTokenCount")), &tools);
    (void)answer_read_count(dr_json_member(object, DR_LIT("candidatesTokenCount")), &candidates);
    (void)answer_read_count(dr_json_member(object, DR_LIT("thoughtsTokenCount")), &thoughts);
    (void)answer_read_count(dr_json_member(object, DR_LIT("cachedContentTokenCount")), &cached);
    prompt += tools;
    /* Vertex names the kind of traffic in each chunk, and not always the counts. */
    if (stream->has_counts && prompt + candidates + thoughts + total == 0) return;
    stream->has_counts = true;
    struct answer_event *event = answer_builder_add(builder, ANSWER_USAGE, 0);
    if (!event) return;
    event->usage = (struct usage){
        .source = USAGE_REPORTED,
        .prompt_tokens = prompt,
        .completion_tokens = candidates + thoughts,
        .total_tokens = has_total ? total : prompt + candidates + thoughts,
        .cached_tokens = cached < prompt ? cached : prompt,
        .reasoning_tokens = thoughts,
        /* A total beyond the others is of a counter that was not sent, though not zero. */
        .is_zero_told = total <= prompt + candidates + thoughts,
    };
}

/* --- errors --- */

static bool has_words(dr_slice text, dr_slice words) {
    return dr_slice_find(text, words) < text.len;
}

static dr_slice word_of(dr_json value) {
    const dr_slice word = dr_json_text(value);

    return word.len > 0 ? word : DR_NONE;
}

static void read_error(dr_json error, struct failure *failure) {
    struct dr_json_iter iter;
    dr_slice reason = DR_NONE;

    failure->message = word_of(dr_json_member(error, DR_LIT("message")));
    failure->type = word_of(dr_json_member(error, DR_LIT("status")));
    dr_json_iter_init(&iter, dr_json_member(error, DR_LIT("details")));
    while (dr_json_iter_next(&iter)) {
        const dr_slice delay = dr_json_text(dr_json_member(iter.value, DR_LIT("retryDelay")));
        const dr_slice word = dr_json_text(dr_json_member(iter.value, DR_LIT("reason")));
        /* google.rpc.RetryInfo and google.rpc.ErrorInfo */
        if (delay.len > 0) failure->retry_after_s = answer_failure_seconds(delay);
        if (word.len > 0 && !reason.data) reason = word;
    }
    if (dr_slice_is(reason, DR_LIT("API_KEY_INVALID"))) {
        failure->code = DR_LIT("invalid_api_key");
    } else if (dr_slice_is(failure->type, DR_LIT("NOT_FOUND")) &&
               (has_words(failure->message, DR_LIT("odel")) ||
                has_words(failure->message, DR_LIT("models/")))) {
        failure->code = DR_LIT("model_not_found");
    } else {
        failure->code = dr_json_number_text(dr_json_member(error, DR_LIT("code")));
    }
}

static void add_error(struct answer_builder *builder, struct gemini_stream *stream,
                      const struct failure *failure) {
    struct answer_event *event = answer_builder_add(builder, ANSWER_ERROR, 0);

    if (!event) return;
    event->error = *failure;
    stream->is_over = true;
}

/* --- parts --- */

/* Google's older models give calls no id. The one made up is another in each answer: ids of one
 * conversation must not repeat (Anthropic refuses them). */
static dr_slice make_call_id(struct answer_builder *builder, const struct gemini_stream *stream,
                             uint32_t choice_index, uint32_t call_index) {
    char *text = dr_arena_alloc(&builder->texts, CALL_ID_BYTES);

    if (!text) {
        builder->status = DR_NO_MEMORY;
        return DR_NONE;
    }
    const uint32_t place[2] = {choice_index, call_index};
    const uint64_t hash =
        dr_slice_hash(dr_slice_of((const char *)place, sizeof place), stream->id_seed);
    const int len = snprintf(text, CALL_ID_BYTES, "call_%016llx", (unsigned long long)hash);
    return dr_slice_of(text, (size_t)len);
}

static void add_call(struct answer_builder *builder, uint32_t choice_index, uint32_t index,
                     dr_slice id, dr_slice name, dr_slice arguments) {
    struct answer_event *event = answer_builder_add(builder, ANSWER_TOOL_CALL, choice_index);

    if (!event) return;
    event->tool_call.index = index;
    event->tool_call.form = ANSWER_CALL_FUNCTION;
    event->tool_call.extra_content = NULL;
    event->tool_call.id = id;
    event->tool_call.name = name;
    event->tool_call.arguments = arguments;
    builder->chunk.output_bytes += name.len + arguments.len;
}

static void add_signature(struct answer_builder *builder, uint32_t choice_index,
                          enum answer_signature kind, uint32_t index, dr_slice text) {
    if (text.len == 0) return;
    struct answer_event *event = answer_builder_add(builder, ANSWER_SIGNATURE, choice_index);
    if (!event) return;

    event->signature.kind = kind;
    event->signature.index = index;
    event->signature.text = text;
}

/* More of the arguments of the open call, or its end: an empty `functionCall`. */
static void read_more_arguments(struct answer_builder *builder, struct gemini_stream *stream,
                                uint32_t choice_index, dr_json call) {
    struct gemini_arguments *arguments = &stream->choices[choice_index].arguments;
    struct dr_json_iter iter;
    dr_slice text = DR_NONE;

    dr_buf_reset(&builder->mended);
    dr_json_iter_init(&iter, dr_json_member(call, DR_LIT("partialArgs")));
    while (dr_json_iter_next(&iter)) {
        (void)gemini_arguments_put(arguments, iter.value, &builder->mended);
    }
    if (!dr_json_bool(dr_json_member(call, DR_LIT("willContinue")))) {
        gemini_arguments_end(arguments, &builder->mended);
        stream->choices[choice_index].is_call_open = false;
    }
    if (dr_buf_status(&builder->mended) ||
        !dr_arena_copy(&builder->texts, dr_buf_slice(&builder->mended), &text)) {
        builder->status = DR_NO_MEMORY;
        return;
    }
    if (text.len == 0) return;
    add_call(builder, choice_index, stream->choices[choice_index].call_count - 1, DR_NONE, DR_NONE,
             text);
}

static void read_call(struct answer_builder *builder, struct gemini_stream *stream,
                      uint32_t choice_index, dr_json call, dr_slice signature) {
    const dr_slice name = dr_json_text(dr_json_member(call, DR_LIT("name")));
    const dr_json input = dr_json_member(call, DR_LIT("args"));
    const bool will_continue = dr_json_bool(dr_json_member(call, DR_LIT("willContinue")));
    dr_slice id = dr_json_text(dr_json_member(call, DR_LIT("id")));

    if (name.len == 0) {
        if (stream->choices[choice_index].is_call_open) {
            read_more_arguments(builder, stream, choice_index, call);
        }
        return;
    }
    if (stream->choices[choice_index].is_call_open) {
        /* The call before this one was never ended. */
        read_more_arguments(builder, stream, choice_index, NULL);
    }
    const uint32_t index = stream->choices[choice_index].call_count++;
    if (id.len == 0) id = make_call_id(builder, stream, choice_index, index);
    dr_slice arguments = DR_LIT("{}");
    if (dr_json_count(input) > 0) {
        arguments = answer_builder_value_text(builder, input);
    } else if (will_continue) {
        arguments = DR_LIT("");
        stream->choices[choice_index].is_call_open = true;
    }
    add_call(builder, choice_index, index, id, name, arguments);
    add_signature(builder, choice_index, ANSWER_SIGNATURE_CALL, index, signature);
}

/* The signature may come on any part, also on one of empty text at the end. */
static void read_part(struct answer_builder *builder, struct gemini_stream *stream,
                      uint32_t choice_index, dr_json part) {
    const dr_json call = dr_json_member(part, DR_LIT("functionCall"));
    const dr_slice signature = dr_json_text(dr_json_member(part, DR_LIT("thoughtSignature")));
    const dr_slice text = dr_json_text(dr_json_member(part, DR_LIT("text")));

    if (dr_json_is(call, DR_JSON_OBJECT)) {
        read_call(builder, stream, choice_index, call, signature);
        stream->choices[choice_index].has_said = true;
        return;
    }
    const bool is_thought = dr_json_bool(dr_json_member(part, DR_LIT("thought")));
    answer_builder_add_text(builder, is_thought ? ANSWER_REASONING : ANSWER_TEXT, choice_index,
                            text);
    if (text.data) {
        add_signature(builder, choice_index, ANSWER_SIGNATURE_TEXT, 0, signature);
    }
    if (text.len > 0 && !is_thought) stream->choices[choice_index].has_said = true;
}

/* --- sources and probabilities --- */

/* The lists are whole in each chunk that has one: those told already are counted off. */
static void read_sources(struct answer_builder *builder, uint32_t choice_index, dr_json list,
                         bool is_grounding, uint32_t *told_count) {
    struct dr_json_iter iter;
    uint32_t place = 0;

    dr_json_iter_init(&iter, list);
    for (; dr_json_iter_next(&iter); place++) {
        if (place < *told_count) continue;
        const dr_json source =
            is_grounding ? dr_json_member(iter.value, DR_LIT("web")) : iter.value;
        const dr_slice url = dr_json_text(dr_json_member(source, DR_LIT("uri")));
        if (url.len == 0) continue;
        struct answer_event *event = answer_builder_add(builder, ANSWER_CITATION, choice_index);
        if (!event) return;
        event->citation.url = url;
        event->citation.title = dr_json_text(dr_json_member(source, DR_LIT("title")));
    }
    if (place > *told_count) *told_count = place;
}

/* OpenAI's value for a token that is as good as impossible (reference of `logprobs`); Google's, in
 * JSON of protocol buffers, is the string "-Infinity". Zeros are left out by Google. */
static dr_slice logprob_of(dr_json probability) {
    if (dr_json_is(probability, DR_JSON_NUMBER)) return dr_json_number_text(probability);
    return dr_json_is(probability, DR_JSON_STRING) ? DR_LIT("-9999.0") : DR_LIT("0");
}

static void put_token(struct dr_buf *out, dr_json token) {
    dr_buf_put(out, DR_LIT("{\"token\":"));
    dr_json_put_string(out, dr_json_text(dr_json_member(token, DR_LIT("token"))));
    dr_buf_put(out, DR_LIT(",\"logprob\":"));
    dr_buf_put(out, logprob_of(dr_json_member(token, DR_LIT("logProbability"))));
    dr_buf_put(out, DR_LIT(",\"bytes\":null"));
}

static void read_logprobs(struct answer_builder *builder, uint32_t choice_index, dr_json result) {
    struct dr_json_iter chosen;
    struct dr_json_iter tops;
    struct dr_json_iter iter;
    bool is_first = true;
    dr_slice text;

    dr_json_iter_init(&chosen, dr_json_member(result, DR_LIT("chosenCandidates")));
    dr_json_iter_init(&tops, dr_json_member(result, DR_LIT("topCandidates")));
    dr_buf_reset(&builder->mended);
    while (dr_json_iter_next(&chosen)) {
        dr_buf_put_char(&builder->mended, is_first ? '[' : ',');
        is_first = false;
        put_token(&builder->mended, chosen.value);
        dr_buf_put(&builder->mended, DR_LIT(",\"top_logprobs\":["));
        if (dr_json_iter_next(&tops)) {
            bool is_first_top = true;
            dr_json_iter_init(&iter, dr_json_member(tops.value, DR_LIT("candidates")));
            while (dr_json_iter_next(&iter)) {
                if (!is_first_top) dr_buf_put_char(&builder->mended, ',');
                is_first_top = false;
                put_token(&builder->mended, iter.value);
                dr_buf_put_char(&builder->mended, '}');
            }
        }
        dr_buf_put(&builder->mended, DR_LIT("]}"));
    }
    if (is_first) return;
    dr_buf_put_char(&builder->mended, ']');
    if (dr_buf_status(&builder->mended) ||
        !dr_arena_copy(&builder->texts, dr_buf_slice(&builder->mended), &text)) {
        builder->status = DR_NO_MEMORY;
        return;
    }
    struct answer_event *event = answer_builder_add(builder, ANSWER_LOGPROBS, choice_index);
    if (event) event->text = text;
}

/* --- chunks --- */

static void note_reason(struct gemini_stream *stream, uint32_t choice_index, dr_slice reason) {
    if (reason.len == 0) return;
    reason = dr_slice_first(reason, GEMINI_REASON_BYTES_MAX);
    memcpy(stream->choices[choice_index].reason, reason.data, reason.len);
    stream->choices[choice_index].reason_len = reason.len;
}

/* Reasons that speak of the model's own mistake. */
static bool is_mistake(dr_slice reason) {
    static const dr_slice mistakes[] = {
        {"MALFORMED_FUNCTION_CALL", 23},   {"UNEXPECTED_TOOL_CALL", 20},
        {"TOO_MANY_TOOL_CALLS", 19},       {"MALFORMED_RESPONSE", 18},
        {"MISSING_THOUGHT_SIGNATURE", 25},
    };

    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        if (dr_slice_is(reason, mistakes[i])) return true;
    }
    return false;
}

static void read_candidate(struct answer_builder *builder, struct gemini_stream *stream,
                           dr_json candidate, uint32_t place) {
    struct dr_json_iter iter;
    uint64_t index = place;

    (void)dr_json_to_u64(dr_json_member(candidate, DR_LIT("index")), &index);
    if (index >= GEMINI_CHOICES_MAX) return;
    const uint32_t choice_index = (uint32_t)index;
    const dr_json content = dr_json_member(candidate, DR_LIT("content"));
    const dr_slice reason = dr_json_text(dr_json_member(candidate, DR_LIT("finishReason")));

    stream->choices[choice_index].has_begun = true;
    dr_json_iter_init(&iter, dr_json_member(content, DR_LIT("parts")));
    while (dr_json_iter_next(&iter)) read_part(builder, stream, choice_index, iter.value);
    const dr_json citations = dr_json_member(candidate, DR_LIT("citationMetadata"));
    const dr_json sources = dr_json_member(citations, DR_LIT("citationSources"));
    read_sources(builder, choice_index,
                 sources ? sources : dr_json_member(citations, DR_LIT("citations")), false,
                 &stream->choices[choice_index].citation_count);
    read_sources(builder, choice_index,
                 dr_json_member(dr_json_member(candidate, DR_LIT("groundingMetadata")),
                                DR_LIT("groundingChunks")),
                 true, &stream->choices[choice_index].grounding_count);
    read_logprobs(builder, choice_index, dr_json_member(candidate, DR_LIT("logprobsResult")));
    note_reason(stream, choice_index, reason);
}

static dr_slice reason_of(const struct gemini_stream *stream, uint32_t choice_index) {
    return dr_slice_of(stream->choices[choice_index].reason,
                       stream->choices[choice_index].reason_len);
}

/* DR_NONE when the model made none, or said something in spite of it: that is the answer. Where no
 * choice said anything, the client had better ask again than read an empty one. Thoughts are none.
 */
static dr_slice find_mistake(const struct gemini_stream *stream) {
    dr_slice mistake = DR_NONE;

    for (uint32_t i = 0; i < GEMINI_CHOICES_MAX; i++) {
        if (stream->choices[i].has_said) return DR_NONE;
        if (!mistake.data && is_mistake(reason_of(stream, i))) mistake = reason_of(stream, i);
    }
    return mistake;
}

/* Google's sentence quotes the model, so that no cause is read from it. */
static void add_mistake(struct answer_builder *builder, struct gemini_stream *stream,
                        dr_slice mistake, dr_slice message) {
    const struct failure failure = {
        .kind = FAILURE_IN_STREAM,
        .type = mistake,
        .message = message.len > 0 ? message : DR_LIT("the model called a tool wrongly"),
    };

    add_error(builder, stream, &failure);
}

/* Once each choice that was asked for has ended. */
static void read_mistake(struct answer_builder *builder, struct gemini_stream *stream,
                         dr_json candidates) {
    const dr_slice mistake = find_mistake(stream);
    dr_slice message = DR_NONE;
    struct dr_json_iter iter;
    uint32_t ended_count = 0;

    for (uint32_t i = 0; i < GEMINI_CHOICES_MAX; i++) {
        if (reason_of(stream, i).len > 0) ended_count++;
    }
    if (!mistake.data || ended_count < stream->choice_count) return;
    dr_json_iter_init(&iter, candidates);
    while (message.len == 0 && dr_json_iter_next(&iter)) {
        message = dr_json_text(dr_json_member(iter.value, DR_LIT("finishMessage")));
    }
    add_mistake(builder, stream, mistake, message);
}

static void start_answer(struct answer_builder *builder, struct gemini_stream *stream,
                         dr_json root) {
    if (stream->is_started) return;
    stream->is_started = true;
    struct answer_event *event = answer_builder_add(builder, ANSWER_START, 0);
    if (!event) return;
    event->start.id = dr_json_text(dr_json_member(root, DR_LIT("responseId")));
    event->start.model = dr_json_text(dr_json_member(root, DR_LIT("modelVersion")));
}

/* Whether it has anything of an answer: what has not is another API's, or news to us. */
static bool is_answer(dr_json root) {
    return dr_json_member(root, DR_LIT("candidates")) ||
           dr_json_member(root, DR_LIT("promptFeedback")) ||
           dr_json_member(root, DR_LIT("usageMetadata")) ||
           dr_json_is(dr_json_member(root, DR_LIT("error")), DR_JSON_OBJECT);
}

static void read_root(struct answer_builder *builder, struct gemini_stream *stream, dr_json root) {
    const dr_json error = dr_json_member(root, DR_LIT("error"));
    const dr_json feedback = dr_json_member(root, DR_LIT("promptFeedback"));
    const dr_json candidates = dr_json_member(root, DR_LIT("candidates"));
    const dr_slice block = dr_json_text(dr_json_member(feedback, DR_LIT("blockReason")));
    struct dr_json_iter iter;
    uint32_t place = 0;

    if (stream->is_over || !is_answer(root)) return;
    if (dr_json_is(error, DR_JSON_OBJECT)) {
        struct failure failure = {.status = 0};
        read_error(error, &failure);
        answer_failure_judge(&failure);
        add_error(builder, stream, &failure);
        return;
    }
    start_answer(builder, stream, root);
    /* Counts so far, with each chunk: of a stream that is cut, the latest are all there is. */
    add_usage(builder, stream, dr_json_member(root, DR_LIT("usageMetadata")));
    dr_json_iter_init(&iter, candidates);
    for (; dr_json_iter_next(&iter); place++) {
        read_candidate(builder, stream, iter.value, place);
    }
    read_mistake(builder, stream, candidates);
    const dr_slice words = dr_json_text(dr_json_member(feedback, DR_LIT("blockReasonMessage")));
    if (block.len > 0 || words.len > 0) {
        /* The prompt itself was blocked: there are no candidates, and HTTP says 200. */
        answer_builder_add_verdict(builder, 0, words);
        note_reason(stream, 0, DR_LIT("SAFETY"));
    }
}

static enum answer_finish finish_of(dr_slice reason, uint32_t call_count) {
    static const dr_slice filters[] = {
        {"SAFETY", 6},       {"RECITATION", 10},   {"LANGUAGE", 8},
        {"BLOCKLIST", 9},    {"SPII", 4},          {"PROHIBITED_CONTENT", 18},
        {"MODEL_ARMOR", 11}, {"IMAGE_SAFETY", 12}, {"IMAGE_PROHIBITED_CONTENT", 24},
        {"NO_IMAGE", 8},     {"IMAGE_OTHER", 11},  {"IMAGE_RECITATION", 16},
    };

    if (dr_slice_is(reason, DR_LIT("MAX_TOKENS"))) return ANSWER_FINISH_LENGTH;
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        if (dr_slice_is(reason, filters[i])) return ANSWER_FINISH_CONTENT_FILTER;
    }
    /* There is no word for calls: they finish with STOP (recorded without an exception). */
    if (call_count > 0) return ANSWER_FINISH_TOOL_CALLS;
    if (dr_slice_is(reason, DR_LIT("STOP"))) return ANSWER_FINISH_STOP;
    return ANSWER_FINISH_OTHER;
}

/* A choice that began and never said why it ended was cut, and the answer with it. */
static bool is_whole(const struct gemini_stream *stream) {
    bool has_reason = false;

    for (uint32_t i = 0; i < GEMINI_CHOICES_MAX; i++) {
        if (reason_of(stream, i).len > 0) {
            has_reason = true;
        } else if (stream->choices[i].has_begun) {
            return false;
        }
    }
    return has_reason;
}

/* False when the answer is not whole. */
static bool finish_answer(struct answer_builder *builder, struct gemini_stream *stream) {
    if (!is_whole(stream)) return false;
    const dr_slice mistake = find_mistake(stream);
    if (mistake.data) {
        add_mistake(builder, stream, mistake, DR_NONE);
        return true;
    }
    for (uint32_t i = 0; i < GEMINI_CHOICES_MAX; i++) {
        const dr_slice reason = reason_of(stream, i);
        if (stream->choices[i].is_call_open) read_more_arguments(builder, stream, i, NULL);
        if (reason.len == 0) continue;
        struct answer_event *event = answer_builder_add(builder, ANSWER_FINISH, i);
        if (!event) return false;
        event->finish.reason = finish_of(reason, stream->choices[i].call_count);
        event->finish.text = reason;
    }
    return true;
}

enum dr_status gemini_read_event(struct answer_builder *builder, struct gemini_stream *stream,
                                 dr_slice payload, struct answer_chunk *ret_chunk,
                                 struct dr_error *error) {
    dr_json root;

    answer_builder_start(builder);
    payload = answer_trim(payload);
    if (payload.len == 0 || stream->is_over || payload.data[0] == ':') {
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

static bool keep_bare(struct gemini_stream *stream, dr_slice text) {
    if (text.len > sizeof stream->bare - stream->bare_len) return false;
    memcpy(stream->bare + stream->bare_len, text.data, text.len);
    stream->bare_len += text.len;
    return true;
}

enum dr_status gemini_read_bare(struct answer_builder *builder, struct gemini_stream *stream,
                                dr_slice raw, struct answer_chunk *ret_chunk,
                                struct dr_error *error) {
    const dr_slice text = answer_trim(raw);
    const bool has_begun = stream->bare_len > 0;
    const bool is_comment = text.len == 0 || text.data[0] == ':';

    if (is_comment || (!has_begun && text.data[0] != '{')) {
        return gemini_read_event(builder, stream, DR_NONE, ret_chunk, error);
    }
    const bool is_kept = keep_bare(stream, text);
    const dr_slice whole = has_begun ? dr_slice_of(stream->bare, stream->bare_len) : text;
    const enum dr_status status = gemini_read_event(builder, stream, whole, ret_chunk, error);
    if (status != DR_INVALID || !is_kept) {
        stream->bare_len = 0;
        return status;
    }
    answer_builder_start(builder);
    return answer_builder_finish(builder, ret_chunk, error);
}

enum dr_status gemini_read_end(struct answer_builder *builder, struct gemini_stream *stream,
                               struct answer_chunk *ret_chunk, struct dr_error *error) {
    answer_builder_start(builder);
    if (stream->bare_len > 0) {
        return dr_fail(error, DR_INVALID, 0, "an event that is no JSON object");
    }
    if (!stream->is_over && finish_answer(builder, stream) && !stream->is_over) {
        (void)answer_builder_add(builder, ANSWER_END, 0);
        builder->chunk.is_end = true;
        stream->is_over = true;
    }
    return answer_builder_finish(builder, ret_chunk, error);
}

enum dr_status gemini_read_answer(struct answer_builder *builder, struct gemini_stream *stream,
                                  dr_slice body, struct answer_chunk *ret_chunk,
                                  struct dr_error *error) {
    struct dr_json_iter iter;
    dr_json root;

    answer_builder_start(builder);
    const enum dr_status status = answer_builder_parse(builder, body, &root, error);
    if (status) return status;
    if (dr_json_is(root, DR_JSON_ARRAY) && dr_json_count(root) > 0) {
        dr_json_iter_init(&iter, root);
        while (dr_json_iter_next(&iter)) read_root(builder, stream, iter.value);
    } else if (is_answer(root)) {
        read_root(builder, stream, root);
        /* "If no candidates were returned, the prompt was blocked": not always with a reason. */
        if (dr_json_count(dr_json_member(root, DR_LIT("candidates"))) == 0 &&
            dr_json_member(root, DR_LIT("promptFeedback"))) {
            note_reason(stream, 0, DR_LIT("SAFETY"));
        }
    }
    /* As where a stream ends without one: it was cut, or is no answer at all. */
    if (!stream->is_over && !finish_answer(builder, stream)) {
        return dr_fail(error, DR_INVALID, 0, "an answer without a reason for its end");
    }
    return answer_builder_finish(builder, ret_chunk, error);
}

static dr_json first_item(dr_json array) {
    struct dr_json_iter iter;

    dr_json_iter_init(&iter, array);
    return dr_json_iter_next(&iter) ? iter.value : NULL;
}

void gemini_read_failure(struct answer_builder *builder, uint16_t status, dr_slice body,
                         struct failure *ret_failure) {
    dr_json root;

    answer_builder_start(builder);
    *ret_failure = (struct failure){.status = status};
    body = answer_without_framing(body);
    if (answer_builder_parse(builder, body, &root, NULL)) {
        ret_failure->message = answer_plain_message(body);
    } else {
        if (dr_json_is(root, DR_JSON_ARRAY)) root = first_item(root);
        read_error(dr_json_member(root, DR_LIT("error")), ret_failure);
    }
    answer_failure_judge(ret_failure);
}
