/* Says what the simulation says, in the bytes of Anthropic's messages. Must not decide what is
 * said, and must not share code with the gateway's dialects.
 *
 *   START ─► BLOCK_START ─► (PING, once) ─► TOKENS ─► (SEAL, of a thought) ─► BLOCK_STOP ─┐
 *                ▲                                                                        │
 *                └──────────────────────── another part ◄─────────────────────────────────┤
 *   START ─► nothing to say ─────────────────────────────► DELTA ─► STOP ─► OVER ◄────────┘ */
#include "sim/messages_answer.h"

#include "base/assert.h"
#include "sim/seal.h"

enum { CACHE_WRITE_TOKENS = 128, PADDING_MAX = 12, CALL_ID_CHARACTERS = 18 };

enum stage {
    STAGE_START,
    STAGE_BLOCK_START,
    STAGE_PING,
    STAGE_TOKENS,
    STAGE_SEAL,
    STAGE_BLOCK_STOP,
    STAGE_DELTA,
    STAGE_STOP,
    STAGE_OVER,
};

/* --- pieces of both shapes --- */

/* Of the prompt's tokens, what the cache held and what went into it: only where a mark asks. */
static uint64_t read_tokens(const struct sim_reply *reply) {
    return reply->is_cache_marked ? reply->cached_tokens : 0;
}

static uint64_t written_tokens(const struct sim_reply *reply) {
    return read_tokens(reply) > 0 ? CACHE_WRITE_TOKENS : 0;
}

static void put_count(struct dr_buf *buf, dr_slice name, uint64_t count) {
    dr_buf_put(buf, name);
    dr_buf_put_u64(buf, count);
}

/* Input leaves out what was read from the cache and written into it. */
static void put_input_usage(const struct sim_reply *reply, struct dr_buf *buf) {
    const uint64_t cached = read_tokens(reply) + written_tokens(reply);
    put_count(buf, DR_LIT("{\"input_tokens\":"), reply->prompt_tokens - cached);
    put_count(buf, DR_LIT(",\"cache_creation_input_tokens\":"), written_tokens(reply));
    put_count(buf, DR_LIT(",\"cache_read_input_tokens\":"), read_tokens(reply));
}

static void put_output_usage(const struct sim_reply *reply, struct dr_buf *buf) {
    put_count(buf, DR_LIT(",\"output_tokens\":"), reply->completion_tokens);
    if (reply->reasoning_tokens == 0) return;
    put_count(buf, DR_LIT(",\"output_tokens_details\":{\"thinking_tokens\":"),
              reply->reasoning_tokens);
    dr_buf_put_char(buf, '}');
}

static void put_cache_usage(const struct sim_reply *reply, struct dr_buf *buf) {
    put_count(buf, DR_LIT(",\"cache_creation\":{\"ephemeral_5m_input_tokens\":"),
              written_tokens(reply));
    dr_buf_put(buf, DR_LIT(",\"ephemeral_1h_input_tokens\":0}"));
}

/* The stop sequence follows the reason. */
static void put_stop(const struct sim_reply *reply, struct dr_buf *buf) {
    static const char *const reasons[] = {
        [SIM_FINISH_STOP] = "end_turn",   [SIM_FINISH_LENGTH] = "max_tokens",
        [SIM_FINISH_CALLS] = "tool_use",  [SIM_FINISH_STOP_SEQUENCE] = "stop_sequence",
        [SIM_FINISH_BLOCKED] = "refusal",
    };
    const struct sim_choice *choice = &reply->choices[0];
    const bool is_sequence = choice->finish == SIM_FINISH_STOP_SEQUENCE;
    dr_buf_put(buf, DR_LIT("\"stop_reason\":\""));
    dr_buf_put(buf, dr_slice_text(reasons[choice->finish]));
    dr_buf_put(buf, DR_LIT("\",\"stop_sequence\":"));
    dr_json_put_string_or_null(
        buf, is_sequence ? sim_reply_slice(reply, choice->stop_start, choice->stop_len) : DR_NONE);
}

/* Ids of calls differ within an answer and between answers. */
static void put_call(const struct sim_reply *reply, struct dr_buf *buf,
                     const struct sim_part *part) {
    dr_buf_put(buf, DR_LIT("{\"type\":\"tool_use\",\"id\":\"toolu_01"));
    dr_buf_put(buf, dr_slice_of(reply->id, CALL_ID_CHARACTERS));
    dr_buf_format(buf, "%04u\",\"name\":", (unsigned)(part - reply->parts));
    dr_json_put_string(buf, sim_reply_part_name(reply, part));
    dr_buf_put(buf, DR_LIT(",\"input\":"));
}

/* Nothing is said of a text that is empty. */
static bool has_block(const struct sim_part *part) {
    return part->kind != SIM_PART_TEXT || part->len > 0;
}

/* --- the whole answer --- */

static void put_block(const struct sim_reply *reply, struct dr_buf *buf,
                      const struct sim_part *part) {
    const dr_slice text = sim_reply_part_text(reply, part);
    switch (part->kind) {
    case SIM_PART_THOUGHT:
        dr_buf_put(buf, DR_LIT("{\"type\":\"thinking\",\"thinking\":"));
        dr_json_put_string(buf, text);
        dr_buf_put(buf, DR_LIT(",\"signature\":\""));
        sim_seal_put(buf, SIM_SEAL_MESSAGES, text);
        dr_buf_put(buf, DR_LIT("\"}"));
        return;
    case SIM_PART_TEXT:
        dr_buf_put(buf, DR_LIT("{\"type\":\"text\",\"text\":"));
        dr_json_put_string(buf, text);
        dr_buf_put_char(buf, '}');
        return;
    case SIM_PART_CALL:
        put_call(reply, buf, part);
        /* Half an object is none. */
        dr_buf_put(buf, part->is_cut ? DR_LIT("{}") : text);
        dr_buf_put_char(buf, '}');
        return;
    }
    dr_unreachable();
}

void sim_messages_prepare(struct sim_reply *reply, const struct sim_reply_options *options,
                          dr_slice model) {
    struct dr_buf *buf = &reply->text;
    reply->prefix_start = (uint32_t)buf->len;
    dr_buf_put(buf, DR_LIT("{\"model\":"));
    dr_json_put_string(buf, model);
    dr_buf_put(buf, DR_LIT(",\"id\":\"msg_01"));
    dr_buf_put(buf, dr_slice_of(options->id, SIM_ID_CHARACTERS));
    dr_buf_put(buf, DR_LIT("\",\"type\":\"message\",\"role\":\"assistant\",\"content\":["));
    reply->prefix_len = (uint32_t)buf->len - reply->prefix_start;
}

void sim_messages_write(const struct sim_reply *reply, struct dr_buf *buf) {
    const struct sim_choice *choice = &reply->choices[0];
    bool is_first = true;
    dr_buf_put(buf, sim_reply_slice(reply, reply->prefix_start, reply->prefix_len));
    for (uint32_t i = 0; i < choice->part_count; i++) {
        const struct sim_part *part = &reply->parts[choice->first_part + i];
        if (!has_block(part)) continue;
        if (!is_first) dr_buf_put_char(buf, ',');
        is_first = false;
        put_block(reply, buf, part);
    }
    dr_buf_put(buf, DR_LIT("],"));
    put_stop(reply, buf);
    if (reply->has_usage) {
        dr_buf_put(buf, DR_LIT(",\"usage\":"));
        put_input_usage(reply, buf);
        put_cache_usage(reply, buf);
        put_output_usage(reply, buf);
        dr_buf_put(buf, DR_LIT(",\"service_tier\":\"standard\"}"));
    }
    dr_buf_put_char(buf, '}');
}

/* --- the stream --- */

static void put_event_start(struct dr_buf *buf, const char *type) {
    dr_buf_format(buf, "event: %s\ndata: {\"type\":\"%s\"", type, type);
}

/* Anthropic pads events with blanks behind their JSON, so that their sizes tell less. */
static void put_event_end(struct dr_buf *buf) {
    dr_buf_put_char(buf, '}');
    for (size_t i = buf->len % PADDING_MAX; i > 0; i--) dr_buf_put_char(buf, ' ');
    dr_buf_put(buf, DR_LIT("\n\n"));
}

static void put_block_event_start(const struct sim_reply *reply, struct dr_buf *buf,
                                  const char *type) {
    put_event_start(buf, type);
    dr_buf_put(buf, DR_LIT(",\"index\":"));
    dr_buf_put_u64(buf, reply->choices[0].part_index);
}

static void write_start(struct sim_reply *reply, struct dr_buf *buf) {
    put_event_start(buf, "message_start");
    dr_buf_put(buf, DR_LIT(",\"message\":"));
    dr_buf_put(buf, sim_reply_slice(reply, reply->prefix_start, reply->prefix_len));
    dr_buf_put(buf, DR_LIT("],\"stop_reason\":null,\"stop_sequence\":null"));
    if (reply->has_usage) {
        dr_buf_put(buf, DR_LIT(",\"usage\":"));
        put_input_usage(reply, buf);
        put_cache_usage(reply, buf);
        dr_buf_put(buf, DR_LIT(",\"output_tokens\":1,\"service_tier\":\"standard\"}"));
    }
    dr_buf_put_char(buf, '}');
    put_event_end(buf);
    const struct sim_part *part = sim_reply_part(reply, &reply->choices[0]);
    const bool has_any = reply->is_burst || (part && has_block(part));
    reply->stage = has_any ? STAGE_BLOCK_START : STAGE_DELTA;
}

/* Of a thought that is not shown there is nothing but its signature. */
static void enter_tokens(struct sim_reply *reply) {
    const struct sim_choice *choice = &reply->choices[0];
    const bool is_sealed = sim_reply_part(reply, choice)->kind == SIM_PART_THOUGHT &&
                           sim_reply_part_is_said(reply, choice);
    reply->stage = is_sealed ? STAGE_SEAL : STAGE_TOKENS;
}

static void write_block_start(struct sim_reply *reply, struct dr_buf *buf) {
    const struct sim_choice *choice = &reply->choices[0];
    const struct sim_part *part = sim_reply_part(reply, choice);
    put_block_event_start(reply, buf, "content_block_start");
    dr_buf_put(buf, DR_LIT(",\"content_block\":"));
    switch (part->kind) {
    case SIM_PART_THOUGHT:
        dr_buf_put(buf, DR_LIT("{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"));
        break;
    case SIM_PART_TEXT: dr_buf_put(buf, DR_LIT("{\"type\":\"text\",\"text\":\"\"}")); break;
    case SIM_PART_CALL:
        put_call(reply, buf, part);
        dr_buf_put(buf, DR_LIT("{}}"));
        break;
    }
    put_event_end(buf);
    if (choice->part_index == 0) {
        reply->stage = STAGE_PING;
    } else {
        enter_tokens(reply);
    }
}

static void put_delta(const struct sim_reply *reply, struct dr_buf *buf, const char *type,
                      const char *name, dr_slice text) {
    put_block_event_start(reply, buf, "content_block_delta");
    dr_buf_format(buf, ",\"delta\":{\"type\":\"%s\",\"%s\":", type, name);
    dr_json_put_string(buf, text);
    dr_buf_put_char(buf, '}');
    put_event_end(buf);
}

/* The first piece of a call's arguments is empty. */
static void write_token(struct sim_reply *reply, struct dr_buf *buf) {
    struct sim_choice *choice = &reply->choices[0];
    const enum sim_part_kind kind = sim_reply_part(reply, choice)->kind;
    if (kind == SIM_PART_CALL && !choice->is_announced) {
        choice->is_announced = true;
        put_delta(reply, buf, "input_json_delta", "partial_json", DR_LIT(""));
    } else {
        const dr_slice token = sim_reply_take_token(reply, choice);
        switch (kind) {
        case SIM_PART_THOUGHT: put_delta(reply, buf, "thinking_delta", "thinking", token); break;
        case SIM_PART_TEXT: put_delta(reply, buf, "text_delta", "text", token); break;
        case SIM_PART_CALL: put_delta(reply, buf, "input_json_delta", "partial_json", token); break;
        }
    }
    if (!sim_reply_part_is_said(reply, choice)) return;
    reply->stage = kind == SIM_PART_THOUGHT ? STAGE_SEAL : STAGE_BLOCK_STOP;
}

static void write_seal(struct sim_reply *reply, struct dr_buf *buf) {
    const struct sim_part *part = sim_reply_part(reply, &reply->choices[0]);
    struct dr_buf seal;
    dr_buf_init(&seal, 64);
    sim_seal_put(&seal, SIM_SEAL_MESSAGES, sim_reply_part_text(reply, part));
    put_delta(reply, buf, "signature_delta", "signature", dr_buf_slice(&seal));
    dr_buf_clear(&seal);
    reply->stage = STAGE_BLOCK_STOP;
}

static void write_block_stop(struct sim_reply *reply, struct dr_buf *buf) {
    struct sim_choice *choice = &reply->choices[0];
    put_block_event_start(reply, buf, "content_block_stop");
    put_event_end(buf);
    sim_reply_leave_part(choice);
    const struct sim_part *part = sim_reply_part(reply, choice);
    reply->stage = part && has_block(part) ? STAGE_BLOCK_START : STAGE_DELTA;
}

static void write_delta(struct sim_reply *reply, struct dr_buf *buf) {
    put_event_start(buf, "message_delta");
    dr_buf_put(buf, DR_LIT(",\"delta\":{"));
    put_stop(reply, buf);
    dr_buf_put_char(buf, '}');
    if (reply->has_usage) {
        dr_buf_put(buf, DR_LIT(",\"usage\":"));
        put_input_usage(reply, buf);
        put_output_usage(reply, buf);
        dr_buf_put_char(buf, '}');
    }
    put_event_end(buf);
    reply->stage = STAGE_STOP;
}

enum sim_event sim_messages_next(const struct sim_reply *reply) {
    switch ((enum stage)reply->stage) {
    case STAGE_START:
    case STAGE_BLOCK_START:
    case STAGE_PING:
    case STAGE_SEAL:
    case STAGE_BLOCK_STOP: return SIM_EVENT_OPENING;
    case STAGE_TOKENS: return SIM_EVENT_TOKEN;
    case STAGE_DELTA: return SIM_EVENT_CLOSING;
    case STAGE_STOP:
    case STAGE_OVER: break;
    }
    return SIM_EVENT_DONE;
}

void sim_messages_write_event(struct sim_reply *reply, struct dr_buf *buf) {
    switch ((enum stage)reply->stage) {
    case STAGE_START: write_start(reply, buf); return;
    case STAGE_BLOCK_START: write_block_start(reply, buf); return;
    case STAGE_PING:
        dr_buf_put(buf, DR_LIT("event: ping\ndata: {\"type\": \"ping\"}\n\n"));
        enter_tokens(reply);
        return;
    case STAGE_TOKENS: write_token(reply, buf); return;
    case STAGE_SEAL: write_seal(reply, buf); return;
    case STAGE_BLOCK_STOP: write_block_stop(reply, buf); return;
    case STAGE_DELTA: write_delta(reply, buf); return;
    case STAGE_STOP:
        put_event_start(buf, "message_stop");
        put_event_end(buf);
        reply->stage = STAGE_OVER;
        return;
    case STAGE_OVER: break;
    }
    dr_unreachable();
}

void sim_messages_write_broken_event(struct sim_reply *reply, struct dr_buf *buf) {
    put_block_event_start(reply, buf, "content_block_delta");
    dr_buf_put(buf, DR_LIT(",\"delta\":{\"type\":\"text_delta\",\"text\":\"brok\n\n"));
}
