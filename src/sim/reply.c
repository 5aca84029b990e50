/* Decides what the simulation says to a request. Must not know sockets, clocks, faults or the bytes
 * of any dialect. */
#include "sim/reply.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "sim/schema_sample.h"
#include "sim/sim_dialect.h"

enum { CALLS_MAX = 4, TEXT_BYTES_MAX = 16 * 1024 * 1024 };

/* --- what is said --- */

static bool has_word(dr_slice text, dr_slice word) {
    for (size_t i = 0; i + word.len <= text.len; i++) {
        if (dr_slice_is_nocase(dr_slice_first(dr_slice_from(text, i), word.len), word)) return true;
    }
    return false;
}

static size_t call_count(const struct sim_ask *ask) {
    const dr_slice text = ask->talk.user_text;
    if (ask->tool_use == SIM_TOOL_USE_NONE || ask->tool_count == 0) return 0;
    if (ask->talk.tool_text.data || sim_script_is_blocked(&ask->talk)) return 0;
    if (ask->tool_use == SIM_TOOL_USE_NAMED || !ask->is_parallel) return 1;
    if (!has_word(text, DR_LIT("both")) && !has_word(text, DR_LIT("parallel"))) return 1;
    if (ask->tool_count < 2) return 2;
    return ask->tool_count > CALLS_MAX ? CALLS_MAX : ask->tool_count;
}

/* The tools in turn, from the named one or the first. */
static void put_call_part(struct sim_reply *reply, const struct sim_ask *ask, struct sim_part *part,
                          uint32_t choice, size_t index) {
    const struct sim_tool *tool = &ask->tools[(ask->first_tool + index) % ask->tool_count];
    part->kind = SIM_PART_CALL;
    part->name_start = (uint32_t)reply->text.len;
    part->name_len = (uint32_t)tool->name.len;
    dr_buf_put(&reply->text, tool->name);
    part->start = (uint32_t)reply->text.len;
    if (dr_json_is(tool->schema, DR_JSON_OBJECT)) {
        sim_schema_sample(&reply->text, tool->schema, reply->seed + choice + index);
    } else {
        dr_buf_put(&reply->text, DR_LIT("{}"));
    }
}

static void put_content_part(struct sim_reply *reply, const struct sim_ask *ask,
                             struct sim_part *part, uint32_t choice) {
    part->kind = SIM_PART_TEXT;
    part->start = (uint32_t)reply->text.len;
    if (sim_script_is_blocked(&ask->talk)) return;
    if (ask->format == SIM_FORMAT_SCHEMA) {
        sim_schema_sample(&reply->text, ask->schema, reply->seed + choice);
    } else if (ask->format == SIM_FORMAT_JSON) {
        dr_buf_put(&reply->text, DR_LIT("{\"simulation\":true,\"words\":[\""));
        dr_buf_put(&reply->text, sim_script_word(reply->seed + choice));
        dr_buf_put(&reply->text, DR_LIT("\",\"xin chào\",\"世界\",\"🚀\"]}"));
    } else {
        sim_script_write(&reply->text, &ask->talk, choice);
    }
}

/* Ends the text before the first stop sequence. */
static void cut_at_stops(struct sim_reply *reply, const struct sim_ask *ask,
                         struct sim_choice *choice, struct sim_part *part) {
    const dr_slice text = sim_reply_part_text(reply, part);
    dr_slice stop = DR_NONE;
    for (size_t i = 0; i < ask->stop_count; i++) {
        if (ask->stops[i].len == 0) continue;
        const size_t at = dr_slice_find(text, ask->stops[i]);
        if (at >= part->len) continue;
        part->len = (uint32_t)at;
        stop = ask->stops[i];
    }
    if (!stop.data) return;
    choice->finish = SIM_FINISH_STOP_SEQUENCE;
    choice->stop_start = (uint32_t)reply->text.len;
    choice->stop_len = (uint32_t)stop.len;
    dr_buf_put(&reply->text, stop);
}

/* Takes the tokens of the parts from what is allowed, and cuts where that ends. Thoughts have been
 * paid for. */
static uint64_t cut_at_tokens(const struct sim_reply *reply, struct sim_choice *choice,
                              uint64_t allowed) {
    uint64_t used = 0;
    for (uint32_t i = 0; i < choice->part_count; i++) {
        struct sim_part *part = &reply->parts[choice->first_part + i];
        if (part->kind == SIM_PART_THOUGHT) continue;
        const dr_slice text = sim_reply_part_text(reply, part);
        const dr_slice kept = sim_script_first_tokens(text, allowed - used);
        used += sim_script_token_count(kept);
        if (kept.len == text.len) continue;
        part->len = (uint32_t)kept.len;
        part->is_cut = true;
        choice->finish = SIM_FINISH_LENGTH;
        /* Half a call is none where calls are given whole. */
        const bool is_void = part->kind == SIM_PART_CALL && reply->dialect->gives_calls_whole;
        choice->part_count = is_void ? i : i + 1;
        break;
    }
    return used;
}

static bool has_thought(const struct sim_ask *ask) {
    return ask->thoughts != SIM_THOUGHTS_HIDDEN && ask->reasoning_tokens > 0;
}

static uint32_t part_count(const struct sim_ask *ask, size_t calls) {
    return (has_thought(ask) ? 1 : 0) + (calls > 0 ? (uint32_t)calls : 1);
}

static void put_thought_part(struct sim_reply *reply, const struct sim_ask *ask,
                             struct sim_part *part, uint32_t choice, uint64_t tokens) {
    part->kind = SIM_PART_THOUGHT;
    part->start = (uint32_t)reply->text.len;
    if (ask->thoughts != SIM_THOUGHTS_SHOWN) return;
    sim_script_write_thought(&reply->text, &ask->talk, choice, tokens);
}

static void build_choice(struct sim_reply *reply, const struct sim_ask *ask, uint32_t index,
                         size_t calls) {
    struct sim_choice *choice = &reply->choices[index];
    const uint64_t reasoning =
        ask->reasoning_tokens < ask->tokens_max ? ask->reasoning_tokens : ask->tokens_max;
    choice->part_count = part_count(ask, calls);
    choice->first_part = index * choice->part_count;
    choice->finish = calls > 0 ? SIM_FINISH_CALLS : SIM_FINISH_STOP;
    if (sim_script_is_blocked(&ask->talk)) choice->finish = SIM_FINISH_BLOCKED;
    size_t calls_put = 0;
    for (uint32_t i = 0; i < choice->part_count; i++) {
        struct sim_part *part = &reply->parts[choice->first_part + i];
        if (i == 0 && has_thought(ask)) {
            put_thought_part(reply, ask, part, index, reasoning);
        } else if (calls > 0) {
            put_call_part(reply, ask, part, index, calls_put++);
        } else {
            put_content_part(reply, ask, part, index);
        }
        part->len = (uint32_t)reply->text.len - part->start;
        if (dr_buf_status(&reply->text)) return;
        if (part->kind == SIM_PART_TEXT) cut_at_stops(reply, ask, choice, part);
    }
    const uint64_t used = cut_at_tokens(reply, choice, ask->tokens_max - reasoning);
    reply->reasoning_tokens += reasoning;
    reply->completion_tokens += reasoning + used;
}

/* How many events of a stream are paced: one for each token, and one to announce a call, which some
 * dialects give whole. */
static uint64_t count_token_events(const struct sim_reply *reply) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < reply->choice_count; i++) {
        const struct sim_choice *choice = &reply->choices[i];
        for (uint32_t k = 0; k < choice->part_count; k++) {
            const struct sim_part *part = &reply->parts[choice->first_part + k];
            const bool is_call = part->kind == SIM_PART_CALL;
            if (is_call) count++;
            if (is_call && reply->dialect->gives_calls_whole) continue;
            count += sim_script_token_count(sim_reply_part_text(reply, part));
        }
    }
    return count;
}

/* --- life --- */

static struct sim_reply *reply_alloc(uint32_t choices, size_t parts) {
    /* One block: the reply, its choices, its parts. All are made of words of at most eight bytes.
     */
    _Static_assert(sizeof(struct sim_reply) % _Alignof(struct sim_choice) == 0, "choices follow");
    _Static_assert(sizeof(struct sim_choice) % _Alignof(struct sim_part) == 0, "parts follow");
    struct sim_reply *reply = dr_alloc_zero(1, sizeof *reply + choices * sizeof(struct sim_choice) +
                                                   choices * parts * sizeof(struct sim_part));
    if (!reply) return NULL;
    reply->choices = (struct sim_choice *)(void *)(reply + 1);
    reply->parts = (struct sim_part *)(void *)(reply->choices + choices);
    return reply;
}

static void build_burst(struct sim_reply *reply, uint32_t events) {
    reply->choices[0] = (struct sim_choice){.part_count = 1};
    reply->parts[0] = (struct sim_part){.kind = SIM_PART_TEXT};
    reply->burst_count = events;
    reply->completion_tokens = events;
    reply->token_events = events;
}

static void keep_wishes(struct sim_reply *reply, const struct sim_ask *ask,
                        const struct sim_reply_options *options) {
    memcpy(reply->id, options->id, SIM_ID_CHARACTERS);
    reply->is_streamed = ask->is_streamed;
    reply->is_listed = ask->is_listed;
    reply->has_usage = !options->no_usage;
    reply->includes_usage = ask->includes_usage && !options->no_usage;
    reply->is_cache_marked = ask->is_cache_marked;
    reply->is_named_call = ask->tool_use == SIM_TOOL_USE_NAMED;
    reply->wants_logprobs = ask->wants_logprobs && !reply->is_burst && !reply->has_calls;
    reply->top_logprobs = ask->top_logprobs;
    reply->prompt_tokens = ask->talk.prompt_tokens;
    reply->cached_tokens = sim_talk_cached_tokens(&ask->talk);
    reply->seed = sim_talk_seed(&ask->talk);
}

struct sim_reply *sim_reply_new(const struct sim_dialect *dialect, const struct sim_ask *ask,
                                const struct sim_reply_options *options) {
    const bool is_burst = ask->is_streamed && options->burst_events > 0;
    const size_t calls = is_burst ? 0 : call_count(ask);
    const uint32_t choices = is_burst ? 1 : ask->choice_count;
    struct sim_reply *reply = reply_alloc(choices, part_count(ask, calls));
    if (!reply) return NULL;
    dr_buf_init(&reply->text, TEXT_BYTES_MAX);
    reply->dialect = dialect;
    reply->choice_count = choices;
    reply->has_calls = calls > 0;
    reply->is_burst = is_burst;
    keep_wishes(reply, ask, options);
    if (is_burst) {
        build_burst(reply, options->burst_events);
    } else {
        for (uint32_t i = 0; i < choices; i++) build_choice(reply, ask, i, calls);
    }
    dialect->prepare(reply, options, ask->model);
    if (dr_buf_status(&reply->text)) {
        sim_reply_free(reply);
        return NULL;
    }
    if (!is_burst) reply->token_events = count_token_events(reply);
    return reply;
}

void sim_reply_free(struct sim_reply *reply) {
    if (!reply) return;
    dr_buf_clear(&reply->text);
    dr_free(reply);
}

/* --- for the dialects' writers --- */

dr_slice sim_reply_part_text(const struct sim_reply *reply, const struct sim_part *part) {
    return sim_reply_slice(reply, part->start, part->len);
}

dr_slice sim_reply_part_name(const struct sim_reply *reply, const struct sim_part *part) {
    return sim_reply_slice(reply, part->name_start, part->name_len);
}

const struct sim_part *sim_reply_part(const struct sim_reply *reply,
                                      const struct sim_choice *choice) {
    if (choice->part_index >= choice->part_count) return NULL;
    return &reply->parts[choice->first_part + choice->part_index];
}

bool sim_reply_part_is_said(const struct sim_reply *reply, const struct sim_choice *choice) {
    if (reply->is_burst) return reply->burst_index == reply->burst_count;
    const struct sim_part *part = sim_reply_part(reply, choice);
    return !part || choice->offset >= part->len;
}

dr_slice sim_reply_take_token(struct sim_reply *reply, struct sim_choice *choice) {
    dr_assert(!sim_reply_part_is_said(reply, choice));
    const struct sim_part *part = sim_reply_part(reply, choice);
    if (part->kind != SIM_PART_THOUGHT) reply->spoken_tokens++;
    if (reply->is_burst) return sim_script_burst_token(reply->seed, reply->burst_index++);
    const dr_slice text = sim_reply_part_text(reply, part);
    const dr_slice token = sim_script_token(dr_slice_from(text, choice->offset));
    choice->offset += (uint32_t)token.len;
    return token;
}

dr_slice sim_reply_take_part(struct sim_reply *reply, struct sim_choice *choice) {
    const struct sim_part *part = sim_reply_part(reply, choice);
    dr_assert(part);
    const dr_slice rest = dr_slice_from(sim_reply_part_text(reply, part), choice->offset);
    reply->spoken_tokens += sim_script_token_count(rest);
    choice->offset = part->len;
    return rest;
}

void sim_reply_leave_part(struct sim_choice *choice) {
    choice->part_index++;
    choice->offset = 0;
    choice->is_announced = false;
}

static bool choice_is_over(const struct sim_reply *reply, const struct sim_choice *choice) {
    const struct sim_part *part = sim_reply_part(reply, choice);
    if (!part) return true;
    const bool is_announced = part->kind != SIM_PART_CALL || choice->is_announced;
    return is_announced && sim_reply_part_is_said(reply, choice) &&
           choice->part_index + 1 == choice->part_count;
}

bool sim_reply_find_speaker(struct sim_reply *reply) {
    for (uint32_t i = 0; i < reply->choice_count; i++) {
        if (!choice_is_over(reply, &reply->choices[reply->turn])) return true;
        reply->turn = (reply->turn + 1) % reply->choice_count;
    }
    return false;
}

void sim_reply_put_logprob(struct dr_buf *buf, dr_slice token, uint64_t rank) {
    const uint64_t depth = 1 + rank * 1000 + dr_slice_hash(token, rank) % 900;
    dr_buf_format(buf, "-%u.%04u", (unsigned)(depth / 10000), (unsigned)(depth % 10000));
}

dr_slice sim_reply_alternative(const struct sim_reply *reply, dr_slice token, uint64_t rank) {
    return rank == 0 ? token : sim_script_burst_token(reply->seed, rank);
}
