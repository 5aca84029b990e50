/* Says what the simulation says, in the bytes of OpenAI's chat completions. Must not decide what is
 * said, and must not share code with the gateway's dialects. */
#include "sim/chat_answer.h"

#include "base/assert.h"

enum { BURST_ID_CHARACTERS = 12 };

enum stage { STAGE_ROLES, STAGE_TOKENS, STAGE_FINISHES, STAGE_USAGE, STAGE_END, STAGE_OVER };

/* --- prepared bytes --- */

static void put_identity(struct dr_buf *buf, const struct sim_reply_options *options, size_t id_len,
                         dr_slice object) {
    dr_buf_put(buf, DR_LIT("{\"id\":\"chatcmpl-"));
    dr_buf_put(buf, dr_slice_of(options->id, id_len));
    dr_buf_put(buf, DR_LIT("\",\"object\":\""));
    dr_buf_put(buf, object);
    dr_buf_put(buf, DR_LIT("\",\"created\":"));
    dr_buf_put_i64(buf, options->created_s);
    dr_buf_put(buf, DR_LIT(",\"model\":"));
}

void sim_chat_prepare(struct sim_reply *reply, const struct sim_reply_options *options,
                      dr_slice model) {
    struct dr_buf *buf = &reply->text;
    const uint32_t start = (uint32_t)buf->len;
    if (reply->is_streamed) {
        dr_buf_put(buf, DR_LIT("data: "));
        put_identity(buf, options, reply->is_burst ? BURST_ID_CHARACTERS : SIM_ID_CHARACTERS,
                     DR_LIT("chat.completion.chunk"));
    } else {
        put_identity(buf, options, SIM_ID_CHARACTERS, DR_LIT("chat.completion"));
    }
    dr_json_put_string(buf, model);
    if (reply->is_streamed && !reply->is_burst) {
        dr_buf_put(buf, DR_LIT(",\"service_tier\":\"default\",\"system_fingerprint\":null"));
    }
    dr_buf_put(buf, DR_LIT(",\"choices\":["));
    reply->prefix_start = start;
    reply->prefix_len = (uint32_t)buf->len - start;
}

/* --- common pieces of both shapes --- */

static dr_slice prefix(const struct sim_reply *reply) {
    return sim_reply_slice(reply, reply->prefix_start, reply->prefix_len);
}

/* A call that was named ends in "stop", and so does a text at a stop sequence. */
static dr_slice finish_word(const struct sim_reply *reply, const struct sim_choice *choice) {
    switch (choice->finish) {
    case SIM_FINISH_CALLS: return reply->is_named_call ? DR_LIT("stop") : DR_LIT("tool_calls");
    case SIM_FINISH_LENGTH: return DR_LIT("length");
    case SIM_FINISH_BLOCKED: return DR_LIT("content_filter");
    case SIM_FINISH_STOP:
    case SIM_FINISH_STOP_SEQUENCE: break;
    }
    return DR_LIT("stop");
}

static void put_usage(const struct sim_reply *reply, struct dr_buf *buf) {
    dr_buf_put(buf, DR_LIT("{\"prompt_tokens\":"));
    dr_buf_put_u64(buf, reply->prompt_tokens);
    dr_buf_put(buf, DR_LIT(",\"completion_tokens\":"));
    dr_buf_put_u64(buf, reply->completion_tokens);
    dr_buf_put(buf, DR_LIT(",\"total_tokens\":"));
    dr_buf_put_u64(buf, reply->prompt_tokens + reply->completion_tokens);
    dr_buf_put(buf, DR_LIT(",\"prompt_tokens_details\":{\"cached_tokens\":"));
    dr_buf_put_u64(buf, reply->cached_tokens);
    dr_buf_put(buf,
               DR_LIT(",\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":"));
    dr_buf_put_u64(buf, reply->reasoning_tokens);
    dr_buf_put(buf, DR_LIT(",\"audio_tokens\":0,\"accepted_prediction_tokens\":0,"
                           "\"rejected_prediction_tokens\":0}}"));
}

/* Token, logarithm and bytes, without the closing brace. */
static void put_logprob(struct dr_buf *buf, dr_slice token, uint64_t rank) {
    dr_buf_put(buf, DR_LIT("{\"token\":"));
    dr_json_put_string(buf, token);
    dr_buf_put(buf, DR_LIT(",\"logprob\":"));
    sim_reply_put_logprob(buf, token, rank);
    dr_buf_put(buf, DR_LIT(",\"bytes\":["));
    for (size_t i = 0; i < token.len; i++) {
        if (i > 0) dr_buf_put_char(buf, ',');
        dr_buf_put_u64(buf, (unsigned char)token.data[i]);
    }
    dr_buf_put_char(buf, ']');
}

static void put_logprob_entry(const struct sim_reply *reply, struct dr_buf *buf, dr_slice token) {
    put_logprob(buf, token, 0);
    dr_buf_put(buf, DR_LIT(",\"top_logprobs\":["));
    for (uint32_t i = 0; i < reply->top_logprobs; i++) {
        if (i > 0) dr_buf_put_char(buf, ',');
        put_logprob(buf, sim_reply_alternative(reply, token, i), i);
        dr_buf_put_char(buf, '}');
    }
    dr_buf_put(buf, DR_LIT("]}"));
}

static void put_logprobs(const struct sim_reply *reply, struct dr_buf *buf, dr_slice text) {
    if (!reply->wants_logprobs) {
        dr_buf_put(buf, DR_LIT("null"));
        return;
    }
    dr_buf_put(buf, DR_LIT("{\"content\":["));
    for (dr_slice rest = text; rest.len > 0;) {
        const dr_slice token = sim_script_token(rest);
        if (rest.len < text.len) dr_buf_put_char(buf, ',');
        put_logprob_entry(reply, buf, token);
        rest = dr_slice_from(rest, token.len);
    }
    dr_buf_put(buf, DR_LIT("],\"refusal\":null}"));
}

/* Ids of calls differ within an answer and between answers. */
static void put_call_id(const struct sim_reply *reply, struct dr_buf *buf, uint32_t part) {
    dr_buf_put(buf, DR_LIT("\"call_"));
    dr_buf_put(buf, dr_slice_of(reply->id, SIM_ID_CHARACTERS - 4));
    dr_buf_format(buf, "%04u\"", (unsigned)part);
}

/* --- the whole answer --- */

static void put_message(const struct sim_reply *reply, struct dr_buf *buf,
                        const struct sim_choice *choice) {
    dr_buf_put(buf, DR_LIT("{\"role\":\"assistant\",\"content\":"));
    if (!reply->has_calls) {
        dr_json_put_string(buf, sim_reply_part_text(reply, &reply->parts[choice->first_part]));
        dr_buf_put(buf, DR_LIT(",\"refusal\":null,\"annotations\":[]}"));
        return;
    }
    dr_buf_put(buf, DR_LIT("null,\"tool_calls\":["));
    for (uint32_t i = 0; i < choice->part_count; i++) {
        const uint32_t index = choice->first_part + i;
        const struct sim_part *part = &reply->parts[index];
        dr_buf_put(buf, i > 0 ? DR_LIT(",{\"id\":") : DR_LIT("{\"id\":"));
        put_call_id(reply, buf, index);
        dr_buf_put(buf, DR_LIT(",\"type\":\"function\",\"function\":{\"name\":"));
        dr_json_put_string(buf, sim_reply_part_name(reply, part));
        dr_buf_put(buf, DR_LIT(",\"arguments\":"));
        dr_json_put_string(buf, sim_reply_part_text(reply, part));
        dr_buf_put(buf, DR_LIT("}}"));
    }
    dr_buf_put(buf, DR_LIT("],\"refusal\":null,\"annotations\":[]}"));
}

void sim_chat_write(const struct sim_reply *reply, struct dr_buf *buf) {
    dr_buf_put(buf, prefix(reply));
    for (uint32_t i = 0; i < reply->choice_count; i++) {
        const struct sim_choice *choice = &reply->choices[i];
        dr_buf_put(buf, i > 0 ? DR_LIT(",{\"index\":") : DR_LIT("{\"index\":"));
        dr_buf_put_u64(buf, i);
        dr_buf_put(buf, DR_LIT(",\"message\":"));
        put_message(reply, buf, choice);
        dr_buf_put(buf, DR_LIT(",\"logprobs\":"));
        put_logprobs(reply, buf, sim_reply_part_text(reply, &reply->parts[choice->first_part]));
        dr_buf_put(buf, DR_LIT(",\"finish_reason\":\""));
        dr_buf_put(buf, finish_word(reply, choice));
        dr_buf_put(buf, DR_LIT("\"}"));
    }
    dr_buf_put_char(buf, ']');
    if (reply->has_usage) {
        dr_buf_put(buf, DR_LIT(",\"usage\":"));
        put_usage(reply, buf);
    }
    dr_buf_put(buf, DR_LIT(",\"service_tier\":\"default\",\"system_fingerprint\":null}"));
}

/* --- the stream --- */

static void put_chunk_start(const struct sim_reply *reply, struct dr_buf *buf, uint32_t choice) {
    dr_buf_put(buf, prefix(reply));
    dr_buf_put(buf, DR_LIT("{\"index\":"));
    dr_buf_put_u64(buf, choice);
    dr_buf_put(buf, DR_LIT(",\"delta\":"));
}

static void put_chunk_end(const struct sim_reply *reply, struct dr_buf *buf, dr_slice token,
                          dr_slice finish) {
    if (token.len > 0 && reply->wants_logprobs) {
        dr_buf_put(buf, DR_LIT(",\"logprobs\":"));
        put_logprobs(reply, buf, token);
    } else if (!reply->is_burst) {
        /* Load tests leave out what may be left out, to come to events of about 190 bytes. */
        dr_buf_put(buf, DR_LIT(",\"logprobs\":null"));
    }
    if (finish.data) {
        dr_buf_put(buf, DR_LIT(",\"finish_reason\":\""));
        dr_buf_put(buf, finish);
        dr_buf_put(buf, DR_LIT("\"}]"));
    } else {
        dr_buf_put(buf, DR_LIT(",\"finish_reason\":null}]"));
    }
    dr_buf_put(buf, reply->includes_usage ? DR_LIT(",\"usage\":null}\n\n") : DR_LIT("}\n\n"));
}

static void leave_tokens(struct sim_reply *reply) {
    if (sim_reply_find_speaker(reply)) return;
    reply->stage = STAGE_FINISHES;
    reply->turn = 0;
}

static void write_role(struct sim_reply *reply, struct dr_buf *buf) {
    put_chunk_start(reply, buf, reply->turn);
    dr_buf_put(buf, reply->has_calls
                        ? DR_LIT("{\"role\":\"assistant\",\"content\":null,\"refusal\":null}")
                        : DR_LIT("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}"));
    put_chunk_end(reply, buf, DR_NONE, DR_NONE);
    if (++reply->turn < reply->choice_count) return;
    reply->stage = STAGE_TOKENS;
    reply->turn = 0;
    leave_tokens(reply);
}

static void put_content_delta(struct dr_buf *buf, dr_slice token) {
    dr_buf_put(buf, DR_LIT("{\"content\":"));
    dr_json_put_string(buf, token);
    dr_buf_put_char(buf, '}');
}

/* A call is announced with its id and name; its arguments follow in pieces. */
static void write_call_delta(struct sim_reply *reply, struct dr_buf *buf, struct sim_choice *choice,
                             const struct sim_part *part) {
    dr_buf_put(buf, DR_LIT("{\"tool_calls\":[{\"index\":"));
    dr_buf_put_u64(buf, choice->part_index);
    if (!choice->is_announced) {
        choice->is_announced = true;
        dr_buf_put(buf, DR_LIT(",\"id\":"));
        put_call_id(reply, buf, choice->first_part + choice->part_index);
        dr_buf_put(buf, DR_LIT(",\"type\":\"function\",\"function\":{\"name\":"));
        dr_json_put_string(buf, sim_reply_part_name(reply, part));
        dr_buf_put(buf, DR_LIT(",\"arguments\":\"\"}}]}"));
        return;
    }
    dr_buf_put(buf, DR_LIT(",\"function\":{\"arguments\":"));
    dr_json_put_string(buf, sim_reply_take_token(reply, choice));
    dr_buf_put(buf, DR_LIT("}}]}"));
}

static void write_token(struct sim_reply *reply, struct dr_buf *buf) {
    struct sim_choice *choice = &reply->choices[reply->turn];
    put_chunk_start(reply, buf, reply->turn);
    if (reply->is_burst) {
        put_content_delta(buf, sim_reply_take_token(reply, choice));
        put_chunk_end(reply, buf, DR_NONE, DR_NONE);
        leave_tokens(reply);
        return;
    }
    const struct sim_part *part = &reply->parts[choice->first_part + choice->part_index];
    dr_slice token = DR_NONE;
    if (reply->has_calls) {
        write_call_delta(reply, buf, choice, part);
    } else {
        token = sim_reply_take_token(reply, choice);
        put_content_delta(buf, token);
    }
    put_chunk_end(reply, buf, token, DR_NONE);
    if (choice->offset >= part->len && choice->part_index + 1 < choice->part_count) {
        sim_reply_leave_part(choice);
    }
    reply->turn = (reply->turn + 1) % reply->choice_count;
    leave_tokens(reply);
}

static void write_finish(struct sim_reply *reply, struct dr_buf *buf) {
    put_chunk_start(reply, buf, reply->turn);
    dr_buf_put(buf, DR_LIT("{}"));
    put_chunk_end(reply, buf, DR_NONE, finish_word(reply, &reply->choices[reply->turn]));
    if (++reply->turn < reply->choice_count) return;
    reply->stage = reply->includes_usage ? STAGE_USAGE : STAGE_END;
}

enum sim_event sim_chat_next(const struct sim_reply *reply) {
    switch ((enum stage)reply->stage) {
    case STAGE_ROLES: return SIM_EVENT_OPENING;
    case STAGE_TOKENS: return SIM_EVENT_TOKEN;
    case STAGE_FINISHES:
    case STAGE_USAGE: return SIM_EVENT_CLOSING;
    case STAGE_END:
    case STAGE_OVER: break;
    }
    return SIM_EVENT_DONE;
}

void sim_chat_write_event(struct sim_reply *reply, struct dr_buf *buf) {
    switch ((enum stage)reply->stage) {
    case STAGE_ROLES: write_role(reply, buf); return;
    case STAGE_TOKENS: write_token(reply, buf); return;
    case STAGE_FINISHES: write_finish(reply, buf); return;
    case STAGE_USAGE:
        dr_buf_put(buf, prefix(reply));
        dr_buf_put(buf, DR_LIT("],\"usage\":"));
        put_usage(reply, buf);
        dr_buf_put(buf, DR_LIT("}\n\n"));
        reply->stage = STAGE_END;
        return;
    case STAGE_END:
        dr_buf_put(buf, DR_LIT("data: [DONE]\n\n"));
        reply->stage = STAGE_OVER;
        return;
    case STAGE_OVER: break;
    }
    dr_unreachable();
}

void sim_chat_write_broken_event(struct sim_reply *reply, struct dr_buf *buf) {
    put_chunk_start(reply, buf, 0);
    dr_buf_put(buf, DR_LIT("{\"content\":\"brok\n\n"));
}
