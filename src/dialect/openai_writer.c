/* Canonical events in OpenAI's words. Must not keep what it wrote: a stream may be of any length.
 * The rules that clients break on are in each function; their source is OpenAI's reference of the
 * chunk object and what its SDKs do with it. */
#include "dialect/openai_writer.h"

#include "base/assert.h"
#include "base/json.h"
#include "base/utf8.h"

#define FIRST_DELTA "{\"index\":0,\"delta\":{"
#define TEXT_NAME "\"content\":"
#define DELTA_END "},\"logprobs\":null,\"finish_reason\":null}"
#define CHUNK_END "]}\n\n"
#define CHUNK_END_WITH_USAGE "],\"usage\":null}\n\n"
#define ANTHROPIC_FORMAT "\"format\":\"anthropic-claude-v1\""
#define GEMINI_FORMAT "\"format\":\"google-gemini-v1\""

void openai_writer_init(struct openai_writer *writer, struct dr_arena *arena,
                        const struct openai_writer_options *options) {
    *writer = (struct openai_writer){.options = *options, .arena = arena};
}

dr_slice openai_finish_word(enum answer_finish reason) {
    switch (reason) {
    case ANSWER_FINISH_STOP: return DR_LIT("stop");
    case ANSWER_FINISH_LENGTH: return DR_LIT("length");
    case ANSWER_FINISH_TOOL_CALLS: return DR_LIT("tool_calls");
    case ANSWER_FINISH_CONTENT_FILTER: return DR_LIT("content_filter");
    case ANSWER_FINISH_FUNCTION_CALL: return DR_LIT("function_call");
    case ANSWER_FINISH_OTHER: return DR_NONE;
    }
    dr_unreachable();
}

/* As this writer's client knows it. */
static dr_slice finish_word(enum answer_finish reason, bool is_legacy) {
    if (reason == ANSWER_FINISH_OTHER) return openai_finish_word(ANSWER_FINISH_STOP);
    const bool is_call = reason == ANSWER_FINISH_TOOL_CALLS && is_legacy;
    return openai_finish_word(is_call ? ANSWER_FINISH_FUNCTION_CALL : reason);
}

/* What few have: not told, it is none. */
static void put_count(struct dr_buf *out, dr_slice name, uint64_t count) {
    if (count == 0) return;
    dr_buf_put(out, DR_LIT(",\""));
    dr_buf_put(out, name);
    dr_buf_put(out, DR_LIT("\":"));
    dr_buf_put_u64(out, count);
}

static void put_details(struct dr_buf *out, enum usage_detail first, enum usage_detail end,
                        const struct usage *usage) {
    for (enum usage_detail i = first; i < end; i++) {
        put_count(out, usage_detail_name(i), usage->details[i]);
    }
}

void openai_put_usage(struct dr_buf *out, const struct usage *usage) {
    dr_buf_put(out, DR_LIT("{\"prompt_tokens\":"));
    dr_buf_put_u64(out, usage->prompt_tokens);
    dr_buf_put(out, DR_LIT(",\"completion_tokens\":"));
    dr_buf_put_u64(out, usage->completion_tokens);
    dr_buf_put(out, DR_LIT(",\"total_tokens\":"));
    dr_buf_put_u64(out, usage->total_tokens);
    dr_buf_put(out, DR_LIT(",\"prompt_tokens_details\":{\"cached_tokens\":"));
    dr_buf_put_u64(out, usage->cached_tokens);
    put_count(out, DR_LIT("cache_write_tokens"), usage->cache_write_tokens);
    put_details(out, 0, USAGE_PROMPT_DETAIL_COUNT, usage);
    dr_buf_put(out, DR_LIT("},\"completion_tokens_details\":{\"reasoning_tokens\":"));
    dr_buf_put_u64(out, usage->reasoning_tokens);
    put_details(out, USAGE_PROMPT_DETAIL_COUNT, USAGE_DETAIL_COUNT, usage);
    dr_buf_put(out, DR_LIT("}}"));
}

/* --- beginning --- */

static void put_identity(struct dr_buf *out, const struct openai_writer *writer, dr_slice object) {
    dr_buf_put(out, DR_LIT("{\"id\":"));
    dr_json_put_string(out, writer->id);
    dr_buf_put(out, DR_LIT(",\"object\":\""));
    dr_buf_put(out, object);
    dr_buf_put(out, DR_LIT("\",\"created\":"));
    dr_buf_put_i64(out, writer->options.created);
    dr_buf_put(out, DR_LIT(",\"model\":"));
    dr_json_put_string(out, writer->model);
}

static void note_identity(struct openai_writer *writer, const struct answer_event *start) {
    writer->id = start && start->start.id.len > 0 ? start->start.id : writer->options.id;
    writer->model =
        start && start->start.model.len > 0 ? start->start.model : writer->options.model;
}

/* Written once, for it is the same in every chunk ("each chunk has the same id, … timestamp"). */
static bool make_head(struct openai_writer *writer, const struct answer_event *start,
                      struct dr_buf *out) {
    const size_t before = out->len;

    note_identity(writer, start);
    dr_buf_put(out, DR_LIT("data: "));
    put_identity(out, writer, DR_LIT("chat.completion.chunk"));
    dr_buf_put(out, DR_LIT(",\"choices\":[" FIRST_DELTA TEXT_NAME));
    if (dr_buf_status(out)) return true; /* the caller asks the buffer */
    const dr_slice written = dr_slice_of(out->data + before, out->len - before);
    out->len = before;
    if (!dr_arena_copy(writer->arena, written, &writer->text_head)) return false;
    const size_t delta_len = written.len - DR_LIT(TEXT_NAME).len;
    writer->delta_head = dr_slice_first(writer->text_head, delta_len);
    writer->head = dr_slice_first(writer->text_head, delta_len - DR_LIT(FIRST_DELTA).len);
    return true;
}

/* --- chunks of a stream --- */

static void open_chunk(struct openai_writer *writer, uint32_t choice_index, struct dr_buf *out) {
    if (choice_index == 0) {
        dr_buf_put(out, writer->delta_head);
        return;
    }
    dr_buf_put(out, writer->head);
    dr_buf_put(out, DR_LIT("{\"index\":"));
    dr_buf_put_u64(out, choice_index);
    dr_buf_put(out, DR_LIT(",\"delta\":{"));
}

static void end_chunk(const struct openai_writer *writer, struct dr_buf *out) {
    dr_buf_put(out, writer->options.wants_usage ? DR_LIT(CHUNK_END_WITH_USAGE) : DR_LIT(CHUNK_END));
}

static dr_slice end_of_delta(const struct openai_writer *writer) {
    return writer->options.wants_usage ? DR_LIT(DELTA_END CHUNK_END_WITH_USAGE)
                                       : DR_LIT(DELTA_END CHUNK_END);
}

static void close_chunk(const struct openai_writer *writer, struct dr_buf *out) {
    dr_buf_put(out, end_of_delta(writer));
}

/* The role comes with each choice's first delta, and only there. */
static void put_role(struct openai_writer *writer, uint32_t choice_index, struct dr_buf *out) {
    if (writer->choices[choice_index].has_role) return;
    writer->choices[choice_index].has_role = true;
    open_chunk(writer, choice_index, out);
    dr_buf_put(out, DR_LIT("\"role\":\"assistant\",\"content\":\"\",\"refusal\":null"));
    close_chunk(writer, out);
}

static void put_reasoning(struct openai_writer *writer, const struct answer_event *event,
                          struct dr_buf *out) {
    dr_buf_put(out, DR_LIT("\"reasoning_content\":"));
    dr_json_put_string(out, event->text);
    writer->choices[event->choice_index].has_words = true;
    if (!writer->options.signs_thinking) return;
    dr_buf_put(out, DR_LIT(",\"reasoning_details\":["));
    openai_put_thought(out, event->text, writer->choices[event->choice_index].thought_count);
    dr_buf_put_char(out, ']');
}

void openai_put_thought(struct dr_buf *out, dr_slice text, uint32_t index) {
    dr_buf_put(out, DR_LIT("{\"type\":\"reasoning.text\",\"text\":"));
    dr_json_put_string(out, text);
    dr_buf_put(out, DR_LIT("," ANTHROPIC_FORMAT ",\"index\":"));
    dr_buf_put_u64(out, index);
    dr_buf_put_char(out, '}');
}

void openai_put_signature(struct dr_buf *out, const struct answer_event *event, dr_slice text,
                          uint32_t index) {
    const bool is_thinking = event->signature.kind == ANSWER_SIGNATURE_THINKING;

    dr_buf_put(out, is_thinking ? DR_LIT("{\"type\":\"reasoning.text\"")
                                : DR_LIT("{\"type\":\"reasoning.encrypted\""));
    if (is_thinking && text.data) {
        dr_buf_put(out, DR_LIT(",\"text\":"));
        dr_json_put_string(out, text);
    }
    dr_buf_put(out, is_thinking ? DR_LIT(",\"signature\":") : DR_LIT(",\"data\":"));
    dr_json_put_string(out, event->signature.text);
    dr_buf_put(out, event->signature.kind == ANSWER_SIGNATURE_TEXT
                        ? DR_LIT("," GEMINI_FORMAT ",\"index\":")
                        : DR_LIT("," ANTHROPIC_FORMAT ",\"index\":"));
    dr_buf_put_u64(out, index);
    dr_buf_put_char(out, '}');
}

void openai_put_signature_of_call(struct dr_buf *out, dr_slice signature) {
    dr_buf_put(out, DR_LIT(",\"extra_content\":{\"google\":{\"thought_signature\":"));
    dr_json_put_string(out, signature);
    dr_buf_put(out, DR_LIT("}}"));
}

static void put_signature(struct openai_writer *writer, const struct answer_event *event,
                          struct dr_buf *out) {
    if (event->signature.kind == ANSWER_SIGNATURE_CALL) {
        dr_buf_put(out, DR_LIT("\"tool_calls\":[{\"index\":"));
        dr_buf_put_u64(out, event->signature.index);
        dr_buf_put(out, DR_LIT(",\"function\":{\"arguments\":\"\"}"));
        openai_put_signature_of_call(out, event->signature.text);
        dr_buf_put(out, DR_LIT("}]"));
        return;
    }
    const uint32_t choice = event->choice_index;
    dr_buf_put(out, DR_LIT("\"reasoning_details\":["));
    openai_put_signature(out, event, writer->choices[choice].has_words ? DR_NONE : DR_LIT(""),
                         writer->choices[choice].thought_count++);
    dr_buf_put_char(out, ']');
    writer->choices[choice].has_words = false;
}

/* {"name":…,"arguments":…}: the name only where the call begins. */
static void put_function(struct dr_buf *out, dr_slice name, dr_slice arguments) {
    dr_buf_put_char(out, '{');
    if (name.len > 0) {
        dr_buf_put(out, DR_LIT("\"name\":"));
        dr_json_put_string(out, name);
        dr_buf_put_char(out, ',');
    }
    dr_buf_put(out, DR_LIT("\"arguments\":"));
    dr_json_put_string(out, arguments);
    dr_buf_put_char(out, '}');
}

/* `signature` is the event behind, where it is of the same call: Google's endpoint puts both into
 * one delta. */
static void put_call(const struct openai_writer *writer, const struct answer_event *event,
                     const struct answer_event *signature, struct dr_buf *out) {
    if (writer->options.is_legacy) {
        dr_buf_put(out, DR_LIT("\"function_call\":"));
        put_function(out, event->tool_call.name, event->tool_call.arguments);
        return;
    }
    dr_buf_put(out, DR_LIT("\"tool_calls\":[{\"index\":"));
    dr_buf_put_u64(out, event->tool_call.index);
    if (event->tool_call.name.len > 0) {
        dr_buf_put(out, DR_LIT(",\"id\":"));
        dr_json_put_string(out, event->tool_call.id);
        dr_buf_put(out, DR_LIT(",\"type\":\"function\""));
    }
    dr_buf_put(out, DR_LIT(",\"function\":"));
    put_function(out, event->tool_call.name, event->tool_call.arguments);
    if (signature) openai_put_signature_of_call(out, signature->signature.text);
    dr_buf_put(out, DR_LIT("}]"));
}

void openai_put_citation(const struct answer_event *event, uint64_t place, struct dr_buf *out) {
    dr_buf_put(out, DR_LIT("{\"type\":\"url_citation\",\"url_citation\":{\"url\":"));
    dr_json_put_string(out, event->citation.url);
    dr_buf_put(out, DR_LIT(",\"title\":"));
    dr_json_put_string(out, event->citation.title);
    dr_buf_put(out, DR_LIT(",\"start_index\":"));
    dr_buf_put_u64(out, place);
    dr_buf_put(out, DR_LIT(",\"end_index\":"));
    dr_buf_put_u64(out, place);
    dr_buf_put(out, DR_LIT("}}"));
}

static void write_finish(struct openai_writer *writer, uint32_t choice_index,
                         enum answer_finish reason, struct dr_buf *out) {
    open_chunk(writer, choice_index, out);
    dr_buf_put(out, DR_LIT("},\"logprobs\":null,\"finish_reason\":\""));
    dr_buf_put(out, finish_word(reason, writer->options.is_legacy));
    dr_buf_put(out, DR_LIT("\"}"));
    end_chunk(writer, out);
}

static void put_finish(struct openai_writer *writer, uint32_t choice_index,
                       enum answer_finish reason, struct dr_buf *out) {
    if (writer->choices[choice_index].has_finish) return;
    writer->choices[choice_index].has_finish = true;
    write_finish(writer, choice_index, reason, out);
}

static void put_logprobs(struct openai_writer *writer, const struct answer_event *event,
                         struct dr_buf *out) {
    open_chunk(writer, event->choice_index, out);
    dr_buf_put(out, DR_LIT("},\"logprobs\":{\"content\":"));
    dr_buf_put(out, event->text);
    dr_buf_put(out, DR_LIT(",\"refusal\":null},\"finish_reason\":null}"));
    end_chunk(writer, out);
}

bool openai_put_finish(struct openai_writer *writer, uint32_t choice_index,
                       enum answer_finish reason, struct dr_buf *out) {
    if (!writer->head.data && !make_head(writer, NULL, out)) return false;
    write_finish(writer, choice_index, reason, out);
    return true;
}

/* A choice that began and was never finished ends here: OpenAI's SDK for Node throws without. */
bool openai_put_end(struct openai_writer *writer, const struct usage *usage, struct dr_buf *out) {
    if (!writer->head.data && !make_head(writer, NULL, out)) return false;
    for (uint32_t i = 0; i < OPENAI_WRITER_CHOICES_MAX; i++) {
        if (writer->choices[i].has_role) put_finish(writer, i, ANSWER_FINISH_STOP, out);
    }
    if (!writer->options.wants_usage || usage->source == USAGE_NONE) return true;
    dr_buf_put(out, writer->head);
    dr_buf_put(out, DR_LIT("],\"usage\":"));
    openai_put_usage(out, usage);
    dr_buf_put(out, DR_LIT("}\n\n"));
    return true;
}

/* Most events of most answers: a text of the first choice, behind others, that needs no escape. */
static bool is_usual(const struct openai_writer *writer, const struct answer_chunk *chunk) {
    return chunk->is_plain && chunk->event_count == 1 && chunk->events[0].kind == ANSWER_TEXT &&
           chunk->events[0].choice_index == 0 && writer->choices[0].has_role;
}

/* What put_text writes. */
static void put_usual(struct openai_writer *writer, dr_slice text, struct dr_buf *out) {
    const dr_slice head = writer->text_head;
    const dr_slice end = end_of_delta(writer);
    const size_t len = head.len + text.len + end.len + 2;
    char *room = dr_buf_reserve(out, len);

    if (!room) return;
    memcpy(room, head.data, head.len);
    room[head.len] = '"';
    memcpy(room + head.len + 1, text.data, text.len);
    room[head.len + 1 + text.len] = '"';
    memcpy(room + len - end.len, end.data, end.len);
    dr_buf_commit(out, len);
    writer->choices[0].character_count += dr_utf8_count(text);
}

static void put_text(struct openai_writer *writer, const struct answer_event *event,
                     struct dr_buf *out) {
    const uint32_t choice = event->choice_index;

    if (choice == 0) {
        dr_buf_put(out, writer->text_head);
    } else {
        open_chunk(writer, choice, out);
        dr_buf_put(out, DR_LIT(TEXT_NAME));
    }
    dr_json_put_string(out, event->text);
    writer->choices[choice].character_count += dr_utf8_count(event->text);
    close_chunk(writer, out);
}

/* An event that becomes one delta. */
static void put_delta(struct openai_writer *writer, const struct answer_event *event,
                      const struct answer_event *signature, struct dr_buf *out) {
    open_chunk(writer, event->choice_index, out);
    switch (event->kind) {
    case ANSWER_REASONING: put_reasoning(writer, event, out); break;
    case ANSWER_REFUSAL:
        dr_buf_put(out, DR_LIT("\"refusal\":"));
        dr_json_put_string(out, event->text);
        break;
    case ANSWER_TOOL_CALL: put_call(writer, event, signature, out); break;
    case ANSWER_SIGNATURE: put_signature(writer, event, out); break;
    case ANSWER_CITATION:
        dr_buf_put(out, DR_LIT("\"annotations\":["));
        openai_put_citation(event, writer->choices[event->choice_index].character_count, out);
        dr_buf_put_char(out, ']');
        break;
    case ANSWER_START:
    case ANSWER_TEXT:
    case ANSWER_FINISH:
    case ANSWER_USAGE:
    case ANSWER_ERROR:
    case ANSWER_END:
    case ANSWER_MEMBER:
    case ANSWER_LOGPROBS: dr_unreachable();
    }
    close_chunk(writer, out);
}

static const struct answer_event *signature_behind(const struct openai_writer *writer,
                                                   const struct answer_chunk *chunk, size_t place) {
    if (writer->options.is_legacy || place + 1 >= chunk->event_count) return NULL;
    const struct answer_event *call = &chunk->events[place];
    const struct answer_event *event = &chunk->events[place + 1];
    const bool is_its = call->kind == ANSWER_TOOL_CALL && event->kind == ANSWER_SIGNATURE &&
                        event->signature.kind == ANSWER_SIGNATURE_CALL &&
                        event->signature.index == call->tool_call.index &&
                        event->choice_index == call->choice_index;

    return is_its ? event : NULL;
}

/* The older shape has room for one call and for no signature of it. */
static bool fits_function_call(const struct answer_event *event) {
    switch (event->kind) {
    case ANSWER_TOOL_CALL: return event->tool_call.index == 0;
    case ANSWER_SIGNATURE: return event->signature.kind != ANSWER_SIGNATURE_CALL;
    case ANSWER_START:
    case ANSWER_TEXT:
    case ANSWER_REASONING:
    case ANSWER_REFUSAL:
    case ANSWER_FINISH:
    case ANSWER_USAGE:
    case ANSWER_ERROR:
    case ANSWER_END:
    case ANSWER_CITATION:
    case ANSWER_MEMBER:
    case ANSWER_LOGPROBS: break;
    }
    return true;
}

bool openai_put_events(struct openai_writer *writer, const struct answer_chunk *chunk,
                       struct dr_buf *out) {
    if (is_usual(writer, chunk)) {
        put_usual(writer, chunk->events[0].text, out);
        return true;
    }
    for (size_t i = 0; i < chunk->event_count; i++) {
        const struct answer_event *event = &chunk->events[i];
        if (event->choice_index >= OPENAI_WRITER_CHOICES_MAX) continue;
        if (writer->options.is_legacy && !fits_function_call(event)) continue;
        if (!writer->head.data &&
            !make_head(writer, event->kind == ANSWER_START ? event : NULL, out)) {
            return false;
        }
        const struct answer_event *signature = signature_behind(writer, chunk, i);
        switch (event->kind) {
        case ANSWER_START: put_role(writer, 0, out); break;
        case ANSWER_USAGE:
        case ANSWER_ERROR:
        case ANSWER_MEMBER: /* only of OpenAI's own, which pass as they came */
        case ANSWER_END: break;
        case ANSWER_FINISH:
            put_role(writer, event->choice_index, out);
            put_finish(writer, event->choice_index, event->finish.reason, out);
            break;
        case ANSWER_LOGPROBS:
            put_role(writer, event->choice_index, out);
            put_logprobs(writer, event, out);
            break;
        case ANSWER_TEXT:
            put_role(writer, event->choice_index, out);
            put_text(writer, event, out);
            break;
        case ANSWER_REASONING:
        case ANSWER_REFUSAL:
        case ANSWER_TOOL_CALL:
        case ANSWER_SIGNATURE:
        case ANSWER_CITATION:
            put_role(writer, event->choice_index, out);
            put_delta(writer, event, signature, out);
            break;
        }
        if (signature) i++;
    }
    return true;
}

/* --- a whole answer --- */

/* What of an event belongs to one string of the answer. */
struct wanted {
    enum answer_event_kind kind;
    uint32_t choice_index;
    uint32_t call_index;
    size_t from; /* events before it are not looked at */
    size_t end;
};

static dr_slice piece_of(const struct answer_event *event, const struct wanted *wanted) {
    if (event->kind != wanted->kind || event->choice_index != wanted->choice_index) return DR_NONE;
    if (event->kind != ANSWER_TOOL_CALL) return event->text;
    return event->tool_call.index == wanted->call_index ? event->tool_call.arguments : DR_NONE;
}

/* The pieces in one; DR_NONE when there are none. */
static bool join(struct openai_writer *writer, const struct answer_chunk *chunk,
                 const struct wanted *wanted, dr_slice *ret) {
    size_t len = 0;
    size_t count = 0;
    size_t at = 0;

    *ret = DR_NONE;
    for (size_t i = wanted->from; i < wanted->end; i++) {
        const dr_slice piece = piece_of(&chunk->events[i], wanted);
        if (!piece.data) continue;
        *ret = piece;
        len += piece.len;
        count++;
    }
    if (count <= 1) return true;
    char *text = dr_arena_alloc(writer->arena, len > 0 ? len : 1);
    if (!text) return false;
    for (size_t i = wanted->from; i < wanted->end; i++) {
        const dr_slice piece = piece_of(&chunk->events[i], wanted);
        if (piece.len > 0) memcpy(text + at, piece.data, piece.len);
        at += piece.len;
    }
    *ret = dr_slice_of(text, len);
    return true;
}

static bool put_whole_text(struct openai_writer *writer, const struct answer_chunk *chunk,
                           uint32_t choice_index, struct dr_buf *out) {
    struct wanted wanted = {ANSWER_TEXT, choice_index, 0, 0, chunk->event_count};
    dr_slice text;
    dr_slice refusal;
    dr_slice reasoning;
    bool has_call = false;

    if (!join(writer, chunk, &wanted, &text)) return false;
    wanted.kind = ANSWER_REFUSAL;
    if (!join(writer, chunk, &wanted, &refusal)) return false;
    wanted.kind = ANSWER_REASONING;
    if (!join(writer, chunk, &wanted, &reasoning)) return false;
    for (size_t i = 0; i < chunk->event_count; i++) {
        if (chunk->events[i].kind == ANSWER_TOOL_CALL &&
            chunk->events[i].choice_index == choice_index) {
            has_call = true;
        }
    }
    /* Null belongs to calls and refusals; an answer of nothing is the empty string. */
    if (!text.data && !has_call && !refusal.data) text = DR_LIT("");
    dr_buf_put(out, DR_LIT("{\"role\":\"assistant\",\"content\":"));
    dr_json_put_string_or_null(out, text);
    dr_buf_put(out, DR_LIT(",\"refusal\":"));
    dr_json_put_string_or_null(out, refusal);
    if (reasoning.data) {
        dr_buf_put(out, DR_LIT(",\"reasoning_content\":"));
        dr_json_put_string(out, reasoning);
    }
    return true;
}

/* A signature stands with the words of its block: those since the one before. */
static bool put_whole_details(struct openai_writer *writer, const struct answer_chunk *chunk,
                              uint32_t choice_index, struct dr_buf *out) {
    uint32_t count = 0;
    size_t from = 0;

    for (size_t i = 0; i < chunk->event_count; i++) {
        const struct answer_event *event = &chunk->events[i];
        if (event->kind != ANSWER_SIGNATURE || event->choice_index != choice_index ||
            event->signature.kind == ANSWER_SIGNATURE_CALL) {
            continue;
        }
        const struct wanted wanted = {ANSWER_REASONING, choice_index, 0, from, i};
        dr_slice text = DR_NONE;
        if (event->signature.kind == ANSWER_SIGNATURE_THINKING) {
            if (!join(writer, chunk, &wanted, &text)) return false;
            if (!text.data) text = DR_LIT("");
            from = i;
        }
        dr_buf_put(out, count == 0 ? DR_LIT(",\"reasoning_details\":[") : DR_LIT(","));
        openai_put_signature(out, event, text, count++);
    }
    if (count > 0) dr_buf_put_char(out, ']');
    return true;
}

static dr_slice signature_of(const struct answer_chunk *chunk, uint32_t choice_index,
                             uint32_t call_index, size_t from) {
    for (size_t i = from; i < chunk->event_count; i++) {
        const struct answer_event *event = &chunk->events[i];
        if (event->kind == ANSWER_TOOL_CALL && i > from && event->tool_call.name.len > 0) break;
        if (event->kind == ANSWER_SIGNATURE && event->choice_index == choice_index &&
            event->signature.kind == ANSWER_SIGNATURE_CALL &&
            event->signature.index == call_index) {
            return event->signature.text;
        }
    }
    return DR_NONE;
}

/* Where the next call begins: pieces of this one stand before it. */
static size_t end_of_call(const struct answer_chunk *chunk, size_t from) {
    size_t end = from + 1;

    while (end < chunk->event_count && (chunk->events[end].kind != ANSWER_TOOL_CALL ||
                                        chunk->events[end].tool_call.name.len == 0)) {
        end++;
    }
    return end;
}

static bool put_whole_calls(struct openai_writer *writer, const struct answer_chunk *chunk,
                            uint32_t choice_index, struct dr_buf *out) {
    uint32_t count = 0;

    for (size_t i = 0; i < chunk->event_count; i++) {
        const struct answer_event *event = &chunk->events[i];
        if (event->kind != ANSWER_TOOL_CALL || event->choice_index != choice_index ||
            event->tool_call.name.len == 0) {
            continue;
        }
        const uint32_t index = event->tool_call.index;
        const struct wanted wanted = {ANSWER_TOOL_CALL, choice_index, index, i,
                                      end_of_call(chunk, i)};
        dr_slice arguments;
        if (!join(writer, chunk, &wanted, &arguments)) return false;
        if (writer->options.is_legacy) {
            if (count++ > 0) continue;
            dr_buf_put(out, DR_LIT(",\"function_call\":"));
            put_function(out, event->tool_call.name, arguments);
            continue;
        }
        dr_buf_put(out, count++ == 0 ? DR_LIT(",\"tool_calls\":[{\"id\":") : DR_LIT(",{\"id\":"));
        dr_json_put_string(out, event->tool_call.id);
        dr_buf_put(out, DR_LIT(",\"type\":\"function\",\"function\":"));
        put_function(out, event->tool_call.name, arguments);
        const dr_slice signature = signature_of(chunk, choice_index, index, i);
        if (signature.data) openai_put_signature_of_call(out, signature);
        dr_buf_put_char(out, '}');
    }
    if (count > 0 && !writer->options.is_legacy) dr_buf_put_char(out, ']');
    return true;
}

static void put_whole_citations(const struct answer_chunk *chunk, uint32_t choice_index,
                                struct dr_buf *out) {
    uint64_t characters = 0;
    size_t count = 0;

    for (size_t i = 0; i < chunk->event_count; i++) {
        const struct answer_event *event = &chunk->events[i];
        if (event->choice_index != choice_index) continue;
        if (event->kind == ANSWER_TEXT) characters += dr_utf8_count(event->text);
        if (event->kind != ANSWER_CITATION) continue;
        dr_buf_put(out, count++ == 0 ? DR_LIT(",\"annotations\":[") : DR_LIT(","));
        openai_put_citation(event, characters, out);
    }
    if (count > 0) dr_buf_put_char(out, ']');
}

static bool put_choice(struct openai_writer *writer, const struct answer_chunk *chunk,
                       uint32_t choice_index, struct dr_buf *out) {
    enum answer_finish reason = ANSWER_FINISH_STOP;
    dr_slice logprobs = DR_NONE;

    dr_buf_put(out, DR_LIT("{\"index\":"));
    dr_buf_put_u64(out, choice_index);
    dr_buf_put(out, DR_LIT(",\"message\":"));
    if (!put_whole_text(writer, chunk, choice_index, out) ||
        !put_whole_details(writer, chunk, choice_index, out) ||
        !put_whole_calls(writer, chunk, choice_index, out)) {
        return false;
    }
    put_whole_citations(chunk, choice_index, out);
    for (size_t i = 0; i < chunk->event_count; i++) {
        const struct answer_event *event = &chunk->events[i];
        if (event->choice_index != choice_index) continue;
        if (event->kind == ANSWER_FINISH) reason = event->finish.reason;
        if (event->kind == ANSWER_LOGPROBS) logprobs = event->text;
    }
    dr_buf_put(out, DR_LIT("},\"logprobs\":"));
    if (logprobs.data) {
        dr_buf_put(out, DR_LIT("{\"content\":"));
        dr_buf_put(out, logprobs);
        dr_buf_put(out, DR_LIT(",\"refusal\":null}"));
    } else {
        dr_buf_put(out, DR_LIT("null"));
    }
    dr_buf_put(out, DR_LIT(",\"finish_reason\":\""));
    dr_buf_put(out, finish_word(reason, writer->options.is_legacy));
    dr_buf_put(out, DR_LIT("\"}"));
    return true;
}

bool openai_put_answer(struct openai_writer *writer, const struct answer_chunk *chunk,
                       struct dr_buf *out) {
    const struct answer_event *start = NULL;
    const struct usage *usage = NULL;
    uint32_t choice_count = 1;

    for (size_t i = 0; i < chunk->event_count; i++) {
        const struct answer_event *event = &chunk->events[i];
        if (event->kind == ANSWER_START && !start) start = event;
        if (event->kind == ANSWER_USAGE) usage = &event->usage;
        if (event->choice_index >= choice_count &&
            event->choice_index < OPENAI_WRITER_CHOICES_MAX) {
            choice_count = event->choice_index + 1;
        }
    }
    note_identity(writer, start);
    put_identity(out, writer, DR_LIT("chat.completion"));
    dr_buf_put(out, DR_LIT(",\"choices\":["));
    for (uint32_t i = 0; i < choice_count; i++) {
        if (i > 0) dr_buf_put_char(out, ',');
        if (!put_choice(writer, chunk, i, out)) return false;
    }
    dr_buf_put_char(out, ']');
    if (usage) {
        dr_buf_put(out, DR_LIT(",\"usage\":"));
        openai_put_usage(out, usage);
    }
    dr_buf_put_char(out, '}');
    return true;
}
