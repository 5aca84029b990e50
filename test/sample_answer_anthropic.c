/* Answers in the words of Anthropic's Messages: whole, and as a stream. */
#include "sample_answer.h"

#include <stdio.h>

struct writing {
    struct sample_answer *answer;
    struct dr_buf *out;
    struct dr_buf event; /* the one being written */
    uint32_t index;      /* of the present block */
};

static void put_string(struct writing *writing, dr_slice text) {
    sample_answer_put_string(writing->answer, &writing->event, text);
}

static void put_usage(struct writing *writing, bool is_end) {
    const struct usage *usage = &writing->answer->usage;
    struct dr_buf *out = &writing->event;

    dr_buf_format(out, "\"usage\":{\"input_tokens\":%llu,",
                  (unsigned long long)(usage->prompt_tokens - usage->cached_tokens -
                                       usage->cache_write_tokens));
    if (usage->cache_write_tokens > 0 || sample_answer_chance(writing->answer, 2)) {
        dr_buf_format(out, "\"cache_creation_input_tokens\":%llu,",
                      (unsigned long long)usage->cache_write_tokens);
    }
    dr_buf_format(out, "\"cache_read_input_tokens\":%llu,\"output_tokens\":%llu",
                  (unsigned long long)usage->cached_tokens,
                  (unsigned long long)(is_end ? usage->completion_tokens : 1));
    if (is_end && usage->reasoning_tokens > 0) {
        dr_buf_format(out, ",\"output_tokens_details\":{\"thinking_tokens\":%llu}",
                      (unsigned long long)usage->reasoning_tokens);
    }
    dr_buf_put_char(out, '}');
}

static void put_stop(struct writing *writing) {
    const struct sample_answer *answer = writing->answer;

    dr_buf_format(&writing->event, "\"stop_reason\":\"%s\",\"stop_sequence\":null",
                  answer->choices[0].finish);
    if (answer->refusal.len == 0) return;
    dr_buf_put(&writing->event, DR_LIT(",\"stop_details\":{\"type\":\"refusal\",\"explanation\":"));
    put_string(writing, dr_buf_slice(&answer->refusal));
    dr_buf_put_char(&writing->event, '}');
}

/* --- whole --- */

static void put_citation(struct writing *writing, const struct sample_piece *piece) {
    dr_buf_format(&writing->event,
                  "{\"type\":\"web_search_result_location\",\"url\":\"%s\",\"title\":", piece->id);
    put_string(writing, dr_buf_slice(&piece->text));
    dr_buf_put_char(&writing->event, '}');
}

static void put_block(struct writing *writing, const struct sample_piece *piece) {
    struct dr_buf *out = &writing->event;
    const dr_slice text = dr_buf_slice(&piece->text);

    switch (piece->kind) {
    case SAMPLE_TEXT:
        dr_buf_put(out, DR_LIT("{\"type\":\"text\",\"text\":"));
        put_string(writing, text);
        break;
    case SAMPLE_THINKING:
        dr_buf_put(out, DR_LIT("{\"type\":\"thinking\",\"thinking\":"));
        put_string(writing, text);
        dr_buf_format(out, ",\"signature\":\"%s\"", piece->seal);
        break;
    case SAMPLE_REDACTED:
        dr_buf_format(out, "{\"type\":\"redacted_thinking\",\"data\":\"%s\"", piece->seal);
        break;
    case SAMPLE_CALL:
        dr_buf_format(out, "{\"type\":\"tool_use\",\"id\":\"%s\",\"name\":\"%s\",\"input\":%.*s",
                      piece->id, piece->name, DR_FMT(text));
        break;
    case SAMPLE_SOURCE:
        dr_buf_put(out, DR_LIT("{\"type\":\"text\",\"text\":\"\",\"citations\":["));
        put_citation(writing, piece);
        dr_buf_put_char(out, ']');
        break;
    }
    dr_buf_put_char(out, '}');
}

static void put_head(struct writing *writing) {
    dr_buf_put(&writing->event, DR_LIT("{\"id\":\"msg_1\",\"type\":\"message\",\"role\":"
                                       "\"assistant\",\"model\":\"claude-x\",\"content\":["));
}

static void write_whole(struct writing *writing) {
    const struct sample_choice *choice = &writing->answer->choices[0];

    put_head(writing);
    for (size_t i = 0; i < choice->piece_count; i++) {
        if (i > 0) dr_buf_put_char(&writing->event, ',');
        put_block(writing, &choice->pieces[i]);
    }
    dr_buf_put(&writing->event, DR_LIT("],"));
    put_stop(writing);
    dr_buf_put_char(&writing->event, ',');
    put_usage(writing, true);
    dr_buf_put_char(&writing->event, '}');
    dr_buf_put(writing->out, dr_buf_slice(&writing->event));
}

/* --- streamed --- */

static void end_event(struct writing *writing, const char *name) {
    dr_buf_format(writing->out, "event: %s\ndata: {\"type\":\"%s\"%.*s}\n\n", name, name,
                  DR_FMT(dr_buf_slice(&writing->event)));
    dr_buf_reset(&writing->event);
    if (sample_answer_chance(writing->answer, 12)) {
        dr_buf_put(writing->out, DR_LIT("event: ping\ndata: {\"type\": \"ping\"}\n\n"));
    }
}

static void start_block(struct writing *writing, const char *block) {
    dr_buf_format(&writing->event, ",\"index\":%u,\"content_block\":%s", writing->index, block);
    end_event(writing, "content_block_start");
}

static void begin_delta(struct writing *writing, const char *type, const char *member) {
    dr_buf_format(&writing->event,
                  ",\"index\":%u,\"delta\":{\"type\":\"%s\",\"%s\":", writing->index, type, member);
}

static void end_delta(struct writing *writing) {
    dr_buf_put_char(&writing->event, '}');
    end_event(writing, "content_block_delta");
}

static void put_deltas(struct writing *writing, const char *type, const char *member,
                       dr_slice text) {
    while (text.len > 0) {
        begin_delta(writing, type, member);
        put_string(writing, sample_answer_cut(writing->answer, &text));
        end_delta(writing);
    }
}

static void put_seal(struct writing *writing, const struct sample_piece *piece) {
    if (piece->seal[0] == '\0') return;
    begin_delta(writing, "signature_delta", "signature");
    dr_buf_format(&writing->event, "\"%s\"", piece->seal);
    end_delta(writing);
}

/* A call without arguments has no deltas, or one that is empty. */
static void put_input(struct writing *writing, dr_slice text) {
    if (dr_slice_is(text, DR_LIT("{}")) && sample_answer_chance(writing->answer, 2)) return;
    if (sample_answer_chance(writing->answer, 2)) {
        begin_delta(writing, "input_json_delta", "partial_json");
        dr_buf_put(&writing->event, DR_LIT("\"\""));
        end_delta(writing);
    }
    put_deltas(writing, "input_json_delta", "partial_json", text);
}

static void stream_block(struct writing *writing, const struct sample_piece *piece) {
    const dr_slice text = dr_buf_slice(&piece->text);
    char block[128];

    switch (piece->kind) {
    case SAMPLE_TEXT:
        start_block(writing, "{\"type\":\"text\",\"text\":\"\"}");
        put_deltas(writing, "text_delta", "text", text);
        break;
    case SAMPLE_THINKING:
        start_block(writing, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}");
        put_deltas(writing, "thinking_delta", "thinking", text);
        put_seal(writing, piece);
        break;
    case SAMPLE_REDACTED:
        (void)snprintf(block, sizeof block, "{\"type\":\"redacted_thinking\",\"data\":\"%s\"}",
                       piece->seal);
        start_block(writing, block);
        break;
    case SAMPLE_CALL:
        (void)snprintf(block, sizeof block,
                       "{\"type\":\"tool_use\",\"id\":\"%s\",\"name\":\"%s\",\"input\":{}}",
                       piece->id, piece->name);
        start_block(writing, block);
        put_input(writing, text);
        break;
    case SAMPLE_SOURCE:
        start_block(writing, "{\"type\":\"text\",\"text\":\"\",\"citations\":[]}");
        begin_delta(writing, "citations_delta", "citation");
        put_citation(writing, piece);
        end_delta(writing);
        break;
    }
    dr_buf_format(&writing->event, ",\"index\":%u", writing->index++);
    end_event(writing, "content_block_stop");
}

static void write_stream(struct writing *writing) {
    const struct sample_choice *choice = &writing->answer->choices[0];

    dr_buf_put(&writing->event, DR_LIT(",\"message\":"));
    put_head(writing);
    dr_buf_put(&writing->event, DR_LIT("],\"stop_reason\":null,\"stop_sequence\":null,"));
    put_usage(writing, false);
    dr_buf_put_char(&writing->event, '}');
    end_event(writing, "message_start");
    for (size_t i = 0; i < choice->piece_count; i++) stream_block(writing, &choice->pieces[i]);
    dr_buf_put(&writing->event, DR_LIT(",\"delta\":{"));
    put_stop(writing);
    dr_buf_put(&writing->event, DR_LIT("},"));
    put_usage(writing, true);
    end_event(writing, "message_delta");
    end_event(writing, "message_stop");
}

void sample_answer_write_anthropic(struct sample_answer *answer, bool is_streamed,
                                   struct dr_buf *out) {
    struct writing writing = {.answer = answer, .out = out};

    dr_buf_init(&writing.event, SAMPLE_ANSWER_BYTES_MAX);
    if (is_streamed)
        write_stream(&writing);
    else
        write_whole(&writing);
    dr_buf_clear(&writing.event);
}
