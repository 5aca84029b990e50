/* Says what the simulation says, in the bytes of Gemini's generateContent. Must not decide what is
 * said, and must not share code with the gateway's dialects.
 *
 * Each event of a stream is a whole response that holds a piece; events end in CRLF. Without
 * `alt=sse` they are the elements of one array. */
#include "sim/generate_answer.h"

#include "base/assert.h"
#include "sim/seal.h"

enum { CALL_ID_CHARACTERS = 8, ID_CHARACTERS = 22 };

enum stage { STAGE_TOKENS, STAGE_FINISHES, STAGE_END, STAGE_OVER };

/* What the prefix ends with when calls bear ids. */
static const dr_slice third_mark = SIM_TEXT("gemini-3");

/* --- pieces of both shapes --- */

static void put_count(struct dr_buf *buf, dr_slice name, uint64_t count) {
    if (count == 0) return; /* Google leaves zeros out */
    dr_buf_put(buf, name);
    dr_buf_put_u64(buf, count);
}

/* Candidates leave out thoughts; `spoken` have come so far. */
static void put_usage(const struct sim_reply *reply, struct dr_buf *buf, uint64_t spoken) {
    if (!reply->has_usage) return;
    dr_buf_put(buf, DR_LIT(",\"usageMetadata\":{\"promptTokenCount\":"));
    dr_buf_put_u64(buf, reply->prompt_tokens);
    put_count(buf, DR_LIT(",\"candidatesTokenCount\":"), spoken);
    put_count(buf, DR_LIT(",\"totalTokenCount\":"),
              reply->prompt_tokens + spoken + reply->reasoning_tokens);
    put_count(buf, DR_LIT(",\"cachedContentTokenCount\":"), reply->cached_tokens);
    dr_buf_put(buf, DR_LIT(",\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":"));
    dr_buf_put_u64(buf, reply->prompt_tokens);
    dr_buf_put(buf, DR_LIT("}]"));
    put_count(buf, DR_LIT(",\"thoughtsTokenCount\":"), reply->reasoning_tokens);
    dr_buf_put_char(buf, '}');
}

/* What ends every response. */
static void put_identity(const struct sim_reply *reply, struct dr_buf *buf) {
    dr_buf_put(buf, sim_reply_slice(reply, reply->prefix_start, reply->prefix_len));
}

static bool is_third(const struct sim_reply *reply) {
    const dr_slice identity = sim_reply_slice(reply, reply->prefix_start, reply->prefix_len);
    return dr_slice_starts(dr_slice_from(identity, sizeof(",\"modelVersion\":\"") - 1), third_mark);
}

static void put_seal(struct dr_buf *buf, dr_slice what) {
    dr_buf_put(buf, DR_LIT(",\"thoughtSignature\":\""));
    sim_seal_put(buf, SIM_SEAL_GENERATE, what);
    dr_buf_put_char(buf, '"');
}

/* The first call of an answer bears the signature. Only models from Gemini 3 on give ids. */
static void put_call(const struct sim_reply *reply, struct dr_buf *buf,
                     const struct sim_choice *choice, const struct sim_part *part) {
    const uint32_t index = (uint32_t)(part - reply->parts);
    const uint32_t in_choice = index - choice->first_part;
    const bool is_first = in_choice == 0 || part[-1].kind == SIM_PART_THOUGHT;
    dr_buf_put(buf, DR_LIT("{\"functionCall\":{\"name\":"));
    dr_json_put_string(buf, sim_reply_part_name(reply, part));
    dr_buf_put(buf, DR_LIT(",\"args\":"));
    dr_buf_put(buf, sim_reply_part_text(reply, part));
    if (is_third(reply)) {
        dr_buf_put(buf, DR_LIT(",\"id\":\""));
        dr_buf_put(buf, dr_slice_of(reply->id, CALL_ID_CHARACTERS));
        dr_buf_format(buf, "%u\"", (unsigned)index);
    }
    dr_buf_put_char(buf, '}');
    if (is_first) put_seal(buf, sim_reply_part_name(reply, part));
    dr_buf_put_char(buf, '}');
}

static void put_text(struct dr_buf *buf, dr_slice text, bool is_thought, bool is_sealed) {
    dr_buf_put(buf, DR_LIT("{\"text\":"));
    dr_json_put_string(buf, text);
    if (is_thought) dr_buf_put(buf, DR_LIT(",\"thought\":true"));
    if (is_sealed) put_seal(buf, DR_LIT(""));
    dr_buf_put_char(buf, '}');
}

static bool has_thought(const struct sim_reply *reply, const struct sim_choice *choice) {
    return choice->part_count > 0 && reply->parts[choice->first_part].kind == SIM_PART_THOUGHT &&
           !reply->is_burst;
}

static void put_finish(const struct sim_choice *choice, struct dr_buf *buf) {
    const bool is_length = choice->finish == SIM_FINISH_LENGTH;
    dr_buf_put(buf, is_length ? DR_LIT(",\"finishReason\":\"MAX_TOKENS\"")
                              : DR_LIT(",\"finishReason\":\"STOP\""));
    if (choice->finish == SIM_FINISH_CALLS) {
        dr_buf_put(buf, DR_LIT(",\"finishMessage\":\"Model generated function call(s).\""));
    }
}

static void put_logprob(struct dr_buf *buf, dr_slice token, uint64_t rank) {
    dr_buf_put(buf, DR_LIT("{\"token\":"));
    dr_json_put_string(buf, token);
    dr_buf_format(
        buf, ",\"tokenId\":%u,\"logProbability\":", (unsigned)(dr_slice_hash(token, 0) % 250000));
    sim_reply_put_logprob(buf, token, rank);
    dr_buf_put_char(buf, '}');
}

static void put_logprobs(const struct sim_reply *reply, struct dr_buf *buf, dr_slice text) {
    if (!reply->wants_logprobs || text.len == 0) return;
    dr_buf_put(buf, DR_LIT(",\"logprobsResult\":{\"chosenCandidates\":["));
    for (dr_slice rest = text; rest.len > 0;) {
        const dr_slice token = sim_script_token(rest);
        if (rest.len < text.len) dr_buf_put_char(buf, ',');
        put_logprob(buf, token, 0);
        rest = dr_slice_from(rest, token.len);
    }
    dr_buf_put_char(buf, ']');
    if (reply->top_logprobs > 0) dr_buf_put(buf, DR_LIT(",\"topCandidates\":["));
    for (dr_slice rest = text; reply->top_logprobs > 0 && rest.len > 0;) {
        const dr_slice token = sim_script_token(rest);
        if (rest.len < text.len) dr_buf_put_char(buf, ',');
        dr_buf_put(buf, DR_LIT("{\"candidates\":["));
        for (uint32_t i = 0; i < reply->top_logprobs; i++) {
            if (i > 0) dr_buf_put_char(buf, ',');
            put_logprob(buf, sim_reply_alternative(reply, token, i), i);
        }
        dr_buf_put(buf, DR_LIT("]}"));
        rest = dr_slice_from(rest, token.len);
    }
    if (reply->top_logprobs > 0) dr_buf_put_char(buf, ']');
    dr_buf_put_char(buf, '}');
}

/* A prompt that is not answered has no candidates; the status is 200 all the same. */
static bool is_blocked(const struct sim_reply *reply) {
    return !reply->is_burst && reply->choices[0].finish == SIM_FINISH_BLOCKED;
}

static void put_block(const struct sim_reply *reply, struct dr_buf *buf) {
    dr_buf_put(buf, DR_LIT("{\"promptFeedback\":{\"blockReason\":\"PROHIBITED_CONTENT\"}"));
    put_usage(reply, buf, 0);
    put_identity(reply, buf);
}

/* To the choice that has something to say, or to the end. */
static void leave_tokens(struct sim_reply *reply) {
    if (sim_reply_find_speaker(reply)) return;
    reply->stage = STAGE_FINISHES;
    reply->turn = 0;
}

void sim_generate_prepare(struct sim_reply *reply, const struct sim_reply_options *options,
                          dr_slice model) {
    struct dr_buf *buf = &reply->text;
    reply->prefix_start = (uint32_t)buf->len;
    dr_buf_put(buf, DR_LIT(",\"modelVersion\":"));
    dr_json_put_string(buf, model);
    dr_buf_put(buf, DR_LIT(",\"responseId\":\""));
    dr_buf_put(buf, dr_slice_of(options->id, ID_CHARACTERS));
    dr_buf_put(buf, DR_LIT("\"}"));
    reply->prefix_len = (uint32_t)buf->len - reply->prefix_start;
    leave_tokens(reply);
}

/* --- the whole answer --- */

/* An empty text is no part. */
static void put_parts(const struct sim_reply *reply, struct dr_buf *buf,
                      const struct sim_choice *choice) {
    bool is_first = true;
    for (uint32_t i = 0; i < choice->part_count; i++) {
        const struct sim_part *part = &reply->parts[choice->first_part + i];
        const bool is_thought = part->kind == SIM_PART_THOUGHT;
        if (part->len == 0) continue;
        dr_buf_put(buf, is_first ? DR_LIT("\"parts\":[") : DR_LIT(","));
        is_first = false;
        if (part->kind == SIM_PART_CALL) {
            put_call(reply, buf, choice, part);
        } else {
            put_text(buf, sim_reply_part_text(reply, part), is_thought,
                     !is_thought && has_thought(reply, choice));
        }
    }
    if (!is_first) dr_buf_put(buf, DR_LIT("],"));
}

/* What is said beside thoughts and calls. */
static dr_slice content_of(const struct sim_reply *reply, const struct sim_choice *choice) {
    if (choice->part_count == 0) return DR_NONE;
    const struct sim_part *last = &reply->parts[choice->first_part + choice->part_count - 1];
    return last->kind == SIM_PART_TEXT ? sim_reply_part_text(reply, last) : DR_NONE;
}

void sim_generate_write(const struct sim_reply *reply, struct dr_buf *buf) {
    if (is_blocked(reply)) {
        put_block(reply, buf);
        return;
    }
    dr_buf_put(buf, DR_LIT("{\"candidates\":["));
    for (uint32_t i = 0; i < reply->choice_count; i++) {
        const struct sim_choice *choice = &reply->choices[i];
        dr_buf_put(buf, i > 0 ? DR_LIT(",{\"content\":{") : DR_LIT("{\"content\":{"));
        put_parts(reply, buf, choice);
        dr_buf_put(buf, DR_LIT("\"role\":\"model\"}"));
        put_finish(choice, buf);
        put_logprobs(reply, buf, content_of(reply, choice));
        dr_buf_put(buf, DR_LIT(",\"index\":"));
        dr_buf_put_u64(buf, i);
        dr_buf_put_char(buf, '}');
    }
    dr_buf_put_char(buf, ']');
    put_usage(reply, buf, reply->completion_tokens - reply->reasoning_tokens);
    put_identity(reply, buf);
}

/* --- the stream --- */

static void put_event_start(struct sim_reply *reply, struct dr_buf *buf) {
    if (!reply->is_listed) {
        dr_buf_put(buf, DR_LIT("data: "));
        return;
    }
    dr_buf_put(buf, reply->has_begun ? DR_LIT(",\r\n") : DR_LIT("["));
    reply->has_begun = true;
}

static void put_event_end(const struct sim_reply *reply, struct dr_buf *buf) {
    if (!reply->is_listed) dr_buf_put(buf, DR_LIT("\r\n\r\n"));
}

static void put_candidate_start(struct sim_reply *reply, struct dr_buf *buf) {
    put_event_start(reply, buf);
    dr_buf_put(buf, DR_LIT("{\"candidates\":[{\"content\":{\"parts\":["));
}

static void put_candidate_end(struct sim_reply *reply, struct dr_buf *buf, uint32_t index) {
    dr_buf_put(buf, DR_LIT(",\"index\":"));
    dr_buf_put_u64(buf, index);
    dr_buf_put(buf, DR_LIT("}]"));
    put_usage(reply, buf, reply->spoken_tokens);
    put_identity(reply, buf);
    put_event_end(reply, buf);
}

static void write_token(struct sim_reply *reply, struct dr_buf *buf) {
    const uint32_t index = reply->turn;
    struct sim_choice *choice = &reply->choices[index];
    const struct sim_part *part = sim_reply_part(reply, choice);
    dr_slice token = DR_NONE;
    put_candidate_start(reply, buf);
    if (part->kind == SIM_PART_CALL) {
        choice->is_announced = true;
        (void)sim_reply_take_part(reply, choice); /* its text stands in the call */
        put_call(reply, buf, choice, part);
    } else {
        token = sim_reply_take_token(reply, choice);
        put_text(buf, token, part->kind == SIM_PART_THOUGHT, false);
    }
    dr_buf_put(buf, DR_LIT("],\"role\":\"model\"}"));
    put_logprobs(reply, buf, part->kind == SIM_PART_TEXT ? token : DR_NONE);
    put_candidate_end(reply, buf, index);
    if (sim_reply_part_is_said(reply, choice) && choice->part_index + 1 < choice->part_count) {
        sim_reply_leave_part(choice);
    }
    reply->turn = (reply->turn + 1) % reply->choice_count;
    leave_tokens(reply);
}

/* The signature of a text comes last, on an empty piece of it. */
static void write_finish(struct sim_reply *reply, struct dr_buf *buf) {
    const uint32_t index = reply->turn;
    const struct sim_choice *choice = &reply->choices[index];
    put_candidate_start(reply, buf);
    put_text(buf, DR_LIT(""), false, has_thought(reply, choice) && !reply->has_calls);
    dr_buf_put(buf, DR_LIT("],\"role\":\"model\"}"));
    put_finish(choice, buf);
    if (index + 1 == reply->choice_count) {
        reply->spoken_tokens = reply->completion_tokens - reply->reasoning_tokens;
    }
    put_candidate_end(reply, buf, index);
    if (++reply->turn == reply->choice_count) reply->stage = STAGE_END;
}

enum sim_event sim_generate_next(const struct sim_reply *reply) {
    switch ((enum stage)reply->stage) {
    case STAGE_TOKENS: return SIM_EVENT_TOKEN;
    case STAGE_FINISHES: return SIM_EVENT_CLOSING;
    case STAGE_END:
    case STAGE_OVER: break;
    }
    return SIM_EVENT_DONE;
}

void sim_generate_write_event(struct sim_reply *reply, struct dr_buf *buf) {
    if (is_blocked(reply) && reply->stage == STAGE_FINISHES) {
        put_event_start(reply, buf);
        put_block(reply, buf);
        put_event_end(reply, buf);
        reply->stage = STAGE_END;
        return;
    }
    switch ((enum stage)reply->stage) {
    case STAGE_TOKENS: write_token(reply, buf); return;
    case STAGE_FINISHES: write_finish(reply, buf); return;
    case STAGE_END:
        if (reply->is_listed) dr_buf_put(buf, DR_LIT("]"));
        reply->stage = STAGE_OVER;
        return;
    case STAGE_OVER: break;
    }
    dr_unreachable();
}

void sim_generate_write_broken_event(struct sim_reply *reply, struct dr_buf *buf) {
    put_event_start(reply, buf);
    dr_buf_put(buf, DR_LIT("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"brok\r\n\r\n"));
}
