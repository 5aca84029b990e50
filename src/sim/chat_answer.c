/* Says what the simulation says, in the bytes of OpenAI's chat completions. Must not know sockets,
 * clocks or faults, and must not share code with the gateway's dialects. */
#include "sim/chat_answer.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "sim/schema_sample.h"

enum {
    CALLS_MAX = 4,
    TEXT_BYTES_MAX = 16 * 1024 * 1024,
    BURST_ID_CHARACTERS = 12,
};

/* One text of a choice: its content, or the arguments of one call. Offsets into `text`. */
struct part {
    uint32_t start;
    uint32_t len;
    uint32_t name_start;
    uint32_t name_len;
};

struct choice {
    uint32_t first_part;
    uint32_t part_count;
    const char *finish;
    /* The stream's position. */
    uint32_t part_index;
    uint32_t offset;
    bool is_call_announced;
};

enum stage { STAGE_ROLES, STAGE_TOKENS, STAGE_FINISHES, STAGE_USAGE, STAGE_END, STAGE_OVER };

struct sim_answer {
    struct dr_buf text; /* all parts, names, the prefix of each chunk, the model */
    struct choice *choices;
    struct part *parts;
    uint32_t choice_count;
    bool has_calls;
    bool is_burst;
    bool has_usage;
    bool includes_usage;
    bool wants_logprobs;
    uint32_t top_logprobs;
    uint32_t prefix_start;
    uint32_t prefix_len;
    uint32_t head_start; /* of the unary answer, up to its choices */
    uint32_t head_len;
    uint64_t prompt_tokens;
    uint64_t cached_tokens;
    uint64_t completion_tokens;
    uint64_t reasoning_tokens;
    uint64_t seed;
    uint64_t burst_count;
    uint64_t burst_index;
    uint64_t token_events;
    char id[SIM_ID_CHARACTERS];
    enum stage stage;
    uint32_t stage_index; /* choice whose turn it is */
};

/* --- what is said --- */

static bool has_word(dr_slice text, dr_slice word) {
    for (size_t i = 0; i + word.len <= text.len; i++) {
        if (dr_slice_is_nocase(dr_slice_first(dr_slice_from(text, i), word.len), word)) return true;
    }
    return false;
}

static bool makes_calls(const struct sim_ask *ask) {
    return ask->tool_use != SIM_TOOL_USE_NONE && !ask->talk.tool_text.data;
}

static size_t call_count(const struct sim_ask *ask) {
    const dr_slice text = ask->talk.user_text;
    if (!makes_calls(ask)) return 0;
    if (ask->tool_use == SIM_TOOL_USE_NAMED || !ask->is_parallel) return 1;
    if (!has_word(text, DR_LIT("both")) && !has_word(text, DR_LIT("parallel"))) return 1;
    const size_t tools = dr_json_count(ask->tools);
    return tools < 2 ? 2 : tools > CALLS_MAX ? CALLS_MAX : tools;
}

static dr_json function_of(dr_json tool) {
    return dr_json_member(tool, DR_LIT("function"));
}

/* The `index`-th of the tools in turn, from the named one or the first. */
static dr_json tool_at(const struct sim_ask *ask, size_t index) {
    const size_t count = dr_json_count(ask->tools);
    size_t first = 0;
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, ask->tools);
    for (size_t i = 0; ask->tool_name.data && dr_json_iter_next(&iter); i++) {
        dr_json name = dr_json_member(function_of(iter.value), DR_LIT("name"));
        if (!dr_slice_is(dr_json_text(name), ask->tool_name)) continue;
        first = i;
        break;
    }
    const size_t wanted = (first + index) % count;
    dr_json_iter_init(&iter, ask->tools);
    for (size_t i = 0; dr_json_iter_next(&iter); i++) {
        if (i == wanted) return function_of(iter.value);
    }
    dr_unreachable();
}

static void put_call_part(struct sim_answer *answer, const struct sim_ask *ask, struct part *part,
                          uint32_t choice, size_t index) {
    dr_json function = tool_at(ask, index);
    dr_json parameters = dr_json_member(function, DR_LIT("parameters"));
    const dr_slice name = dr_json_text(dr_json_member(function, DR_LIT("name")));
    part->name_start = (uint32_t)answer->text.len;
    part->name_len = (uint32_t)name.len;
    dr_buf_put(&answer->text, name);
    part->start = (uint32_t)answer->text.len;
    if (dr_json_is(parameters, DR_JSON_OBJECT)) {
        sim_schema_sample(&answer->text, parameters, answer->seed + choice + index);
    } else {
        dr_buf_put(&answer->text, DR_LIT("{}"));
    }
}

static void put_content_part(struct sim_answer *answer, const struct sim_ask *ask,
                             struct part *part, uint32_t choice) {
    part->start = (uint32_t)answer->text.len;
    if (ask->format == SIM_FORMAT_SCHEMA) {
        sim_schema_sample(&answer->text, ask->schema, answer->seed + choice);
    } else if (ask->format == SIM_FORMAT_JSON) {
        dr_buf_put(&answer->text, DR_LIT("{\"simulation\":true,\"words\":[\""));
        dr_buf_put(&answer->text, sim_script_word(answer->seed + choice));
        dr_buf_put(&answer->text, DR_LIT("\",\"xin chào\",\"世界\",\"🚀\"]}"));
    } else {
        sim_script_write(&answer->text, &ask->talk, choice);
    }
}

static dr_slice part_text(const struct sim_answer *answer, const struct part *part) {
    return dr_slice_of(answer->text.data + part->start, part->len);
}

/* Ends the text before the first stop sequence. OpenAI's finish reason stays "stop". */
static void cut_at_stops(const struct sim_answer *answer, const struct sim_ask *ask,
                         struct part *part) {
    const dr_slice text = part_text(answer, part);
    for (size_t i = 0; i < ask->stop_count; i++) {
        if (ask->stops[i].len == 0) continue;
        const size_t at = dr_slice_find(text, ask->stops[i]);
        if (at < part->len) part->len = (uint32_t)at;
    }
}

/* Takes the tokens of the parts from what is allowed, and cuts where that ends. */
static uint64_t cut_at_tokens(const struct sim_answer *answer, struct choice *choice,
                              uint64_t allowed) {
    uint64_t used = 0;
    for (uint32_t i = 0; i < choice->part_count; i++) {
        struct part *part = &answer->parts[choice->first_part + i];
        const dr_slice text = part_text(answer, part);
        const dr_slice kept = sim_script_first_tokens(text, allowed - used);
        used += sim_script_token_count(kept);
        if (kept.len == text.len) continue;
        part->len = (uint32_t)kept.len;
        choice->part_count = i + 1;
        choice->finish = "length";
        break;
    }
    return used;
}

static void build_choice(struct sim_answer *answer, const struct sim_ask *ask, uint32_t index,
                         size_t calls) {
    struct choice *choice = &answer->choices[index];
    choice->part_count = calls > 0 ? (uint32_t)calls : 1;
    choice->first_part = index * choice->part_count;
    const bool is_named = ask->tool_use == SIM_TOOL_USE_NAMED;
    choice->finish = calls > 0 && !is_named ? "tool_calls" : "stop";
    for (uint32_t i = 0; i < choice->part_count; i++) {
        struct part *part = &answer->parts[choice->first_part + i];
        if (calls > 0) {
            put_call_part(answer, ask, part, index, i);
        } else {
            put_content_part(answer, ask, part, index);
        }
        part->len = (uint32_t)answer->text.len - part->start;
        if (dr_buf_status(&answer->text)) return;
        if (calls == 0) cut_at_stops(answer, ask, part);
    }
    const uint64_t reasoning =
        ask->reasoning_tokens < ask->tokens_max ? ask->reasoning_tokens : ask->tokens_max;
    const uint64_t used = cut_at_tokens(answer, choice, ask->tokens_max - reasoning);
    answer->reasoning_tokens += reasoning;
    answer->completion_tokens += reasoning + used;
    answer->token_events += used + (calls > 0 ? choice->part_count : 0);
}

/* --- prepared bytes --- */

static dr_slice lent(const struct sim_answer *answer, uint32_t start, uint32_t len) {
    return dr_slice_of(answer->text.data + start, len);
}

static void put_identity(struct dr_buf *buf, const struct sim_answer_options *options,
                         size_t id_len, dr_slice object, dr_slice model) {
    dr_buf_put(buf, DR_LIT("{\"id\":\"chatcmpl-"));
    dr_buf_put(buf, dr_slice_of(options->id, id_len));
    dr_buf_put(buf, DR_LIT("\",\"object\":\""));
    dr_buf_put(buf, object);
    dr_buf_put(buf, DR_LIT("\",\"created\":"));
    dr_buf_put_i64(buf, options->created_s);
    dr_buf_put(buf, DR_LIT(",\"model\":"));
    dr_json_put_string(buf, model);
}

static void prepare_bytes(struct sim_answer *answer, const struct sim_ask *ask,
                          const struct sim_answer_options *options) {
    struct dr_buf *buf = &answer->text;
    if (ask->is_streamed) {
        answer->prefix_start = (uint32_t)buf->len;
        dr_buf_put(buf, DR_LIT("data: "));
        put_identity(buf, options, answer->is_burst ? BURST_ID_CHARACTERS : SIM_ID_CHARACTERS,
                     DR_LIT("chat.completion.chunk"), ask->model);
        if (!answer->is_burst) {
            dr_buf_put(buf, DR_LIT(",\"service_tier\":\"default\",\"system_fingerprint\":null"));
        }
        dr_buf_put(buf, DR_LIT(",\"choices\":["));
        answer->prefix_len = (uint32_t)buf->len - answer->prefix_start;
        return;
    }
    answer->head_start = (uint32_t)buf->len;
    put_identity(buf, options, SIM_ID_CHARACTERS, DR_LIT("chat.completion"), ask->model);
    dr_buf_put(buf, DR_LIT(",\"choices\":["));
    answer->head_len = (uint32_t)buf->len - answer->head_start;
}

static struct sim_answer *answer_alloc(uint32_t choices, size_t parts) {
    /* One block: the answer, its choices, its parts. All are made of words of at most eight bytes.
     */
    _Static_assert(sizeof(struct sim_answer) % _Alignof(struct choice) == 0, "choices follow");
    _Static_assert(sizeof(struct choice) % _Alignof(struct part) == 0, "parts follow");
    struct sim_answer *answer = dr_alloc_zero(1, sizeof *answer + choices * sizeof(struct choice) +
                                                     choices * parts * sizeof(struct part));
    if (!answer) return NULL;
    answer->choices = (struct choice *)(void *)(answer + 1);
    answer->parts = (struct part *)(void *)(answer->choices + choices);
    return answer;
}

struct sim_answer *sim_answer_new(const struct sim_ask *ask,
                                  const struct sim_answer_options *options) {
    const bool is_burst = ask->is_streamed && options->burst_events > 0;
    const size_t calls = is_burst ? 0 : call_count(ask);
    const uint32_t choices = is_burst ? 1 : ask->choice_count;
    struct sim_answer *answer = answer_alloc(choices, calls > 0 ? calls : 1);
    if (!answer) return NULL;
    dr_buf_init(&answer->text, TEXT_BYTES_MAX);
    memcpy(answer->id, options->id, SIM_ID_CHARACTERS);
    answer->choice_count = choices;
    answer->has_calls = calls > 0;
    answer->is_burst = is_burst;
    answer->has_usage = !options->no_usage;
    answer->includes_usage = ask->includes_usage && !options->no_usage;
    answer->wants_logprobs = ask->wants_logprobs && !is_burst && calls == 0;
    answer->top_logprobs = ask->top_logprobs;
    answer->prompt_tokens = ask->talk.prompt_tokens;
    answer->cached_tokens = sim_talk_cached_tokens(&ask->talk);
    answer->seed = sim_talk_seed(&ask->talk);
    if (is_burst) {
        answer->choices[0] = (struct choice){.part_count = 1, .finish = "stop"};
        answer->burst_count = options->burst_events;
        answer->completion_tokens = options->burst_events;
        answer->token_events = options->burst_events;
    } else {
        for (uint32_t i = 0; i < choices; i++) build_choice(answer, ask, i, calls);
    }
    prepare_bytes(answer, ask, options);
    if (dr_buf_status(&answer->text)) {
        sim_answer_free(answer);
        return NULL;
    }
    return answer;
}

void sim_answer_free(struct sim_answer *answer) {
    if (!answer) return;
    dr_buf_clear(&answer->text);
    dr_free(answer);
}

/* --- common pieces of both shapes --- */

static void put_usage(const struct sim_answer *answer, struct dr_buf *buf) {
    dr_buf_put(buf, DR_LIT("{\"prompt_tokens\":"));
    dr_buf_put_u64(buf, answer->prompt_tokens);
    dr_buf_put(buf, DR_LIT(",\"completion_tokens\":"));
    dr_buf_put_u64(buf, answer->completion_tokens);
    dr_buf_put(buf, DR_LIT(",\"total_tokens\":"));
    dr_buf_put_u64(buf, answer->prompt_tokens + answer->completion_tokens);
    dr_buf_put(buf, DR_LIT(",\"prompt_tokens_details\":{\"cached_tokens\":"));
    dr_buf_put_u64(buf, answer->cached_tokens);
    dr_buf_put(buf,
               DR_LIT(",\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":"));
    dr_buf_put_u64(buf, answer->reasoning_tokens);
    dr_buf_put(buf, DR_LIT(",\"audio_tokens\":0,\"accepted_prediction_tokens\":0,"
                           "\"rejected_prediction_tokens\":0}}"));
}

/* Token, logarithm and bytes, without the closing brace. Numbers are made up, but always the same.
 */
static void put_logprob(struct dr_buf *buf, dr_slice token, uint64_t rank) {
    const uint64_t depth = 1 + rank * 1000 + dr_slice_hash(token, rank) % 900;
    dr_buf_put(buf, DR_LIT("{\"token\":"));
    dr_json_put_string(buf, token);
    dr_buf_format(buf, ",\"logprob\":-%u.%04u,\"bytes\":[", (unsigned)(depth / 10000),
                  (unsigned)(depth % 10000));
    for (size_t i = 0; i < token.len; i++) {
        if (i > 0) dr_buf_put_char(buf, ',');
        dr_buf_put_u64(buf, (unsigned char)token.data[i]);
    }
    dr_buf_put_char(buf, ']');
}

static void put_logprob_entry(const struct sim_answer *answer, struct dr_buf *buf, dr_slice token) {
    put_logprob(buf, token, 0);
    dr_buf_put(buf, DR_LIT(",\"top_logprobs\":["));
    for (uint32_t i = 0; i < answer->top_logprobs; i++) {
        if (i > 0) dr_buf_put_char(buf, ',');
        put_logprob(buf, i == 0 ? token : sim_script_burst_token(answer->seed, i), i);
        dr_buf_put_char(buf, '}');
    }
    dr_buf_put(buf, DR_LIT("]}"));
}

static void put_logprobs(const struct sim_answer *answer, struct dr_buf *buf, dr_slice text) {
    if (!answer->wants_logprobs) {
        dr_buf_put(buf, DR_LIT("null"));
        return;
    }
    dr_buf_put(buf, DR_LIT("{\"content\":["));
    for (dr_slice rest = text; rest.len > 0;) {
        const dr_slice token = sim_script_token(rest);
        if (rest.len < text.len) dr_buf_put_char(buf, ',');
        put_logprob_entry(answer, buf, token);
        rest = dr_slice_from(rest, token.len);
    }
    dr_buf_put(buf, DR_LIT("],\"refusal\":null}"));
}

/* Ids of calls differ within an answer and between answers. */
static void put_call_id(const struct sim_answer *answer, struct dr_buf *buf, uint32_t part) {
    dr_buf_put(buf, DR_LIT("\"call_"));
    dr_buf_put(buf, dr_slice_of(answer->id, SIM_ID_CHARACTERS - 4));
    dr_buf_format(buf, "%04u\"", (unsigned)part);
}

/* --- the whole answer --- */

static void put_message(const struct sim_answer *answer, struct dr_buf *buf,
                        const struct choice *choice) {
    dr_buf_put(buf, DR_LIT("{\"role\":\"assistant\",\"content\":"));
    if (!answer->has_calls) {
        dr_json_put_string(buf, part_text(answer, &answer->parts[choice->first_part]));
        dr_buf_put(buf, DR_LIT(",\"refusal\":null,\"annotations\":[]}"));
        return;
    }
    dr_buf_put(buf, DR_LIT("null,\"tool_calls\":["));
    for (uint32_t i = 0; i < choice->part_count; i++) {
        const uint32_t index = choice->first_part + i;
        const struct part *part = &answer->parts[index];
        dr_buf_put(buf, i > 0 ? DR_LIT(",{\"id\":") : DR_LIT("{\"id\":"));
        put_call_id(answer, buf, index);
        dr_buf_put(buf, DR_LIT(",\"type\":\"function\",\"function\":{\"name\":"));
        dr_json_put_string(buf, lent(answer, part->name_start, part->name_len));
        dr_buf_put(buf, DR_LIT(",\"arguments\":"));
        dr_json_put_string(buf, part_text(answer, part));
        dr_buf_put(buf, DR_LIT("}}"));
    }
    dr_buf_put(buf, DR_LIT("],\"refusal\":null,\"annotations\":[]}"));
}

void sim_answer_write(struct sim_answer *answer, struct dr_buf *buf) {
    dr_buf_put(buf, lent(answer, answer->head_start, answer->head_len));
    for (uint32_t i = 0; i < answer->choice_count; i++) {
        const struct choice *choice = &answer->choices[i];
        dr_buf_put(buf, i > 0 ? DR_LIT(",{\"index\":") : DR_LIT("{\"index\":"));
        dr_buf_put_u64(buf, i);
        dr_buf_put(buf, DR_LIT(",\"message\":"));
        put_message(answer, buf, choice);
        dr_buf_put(buf, DR_LIT(",\"logprobs\":"));
        put_logprobs(answer, buf, part_text(answer, &answer->parts[choice->first_part]));
        dr_buf_put(buf, DR_LIT(",\"finish_reason\":\""));
        dr_buf_put(buf, dr_slice_text(choice->finish));
        dr_buf_put(buf, DR_LIT("\"}"));
    }
    dr_buf_put_char(buf, ']');
    if (answer->has_usage) {
        dr_buf_put(buf, DR_LIT(",\"usage\":"));
        put_usage(answer, buf);
    }
    dr_buf_put(buf, DR_LIT(",\"service_tier\":\"default\",\"system_fingerprint\":null}"));
}

/* --- the stream --- */

static void put_chunk_start(const struct sim_answer *answer, struct dr_buf *buf, uint32_t choice) {
    dr_buf_put(buf, lent(answer, answer->prefix_start, answer->prefix_len));
    dr_buf_put(buf, DR_LIT("{\"index\":"));
    dr_buf_put_u64(buf, choice);
    dr_buf_put(buf, DR_LIT(",\"delta\":"));
}

static void put_chunk_end(const struct sim_answer *answer, struct dr_buf *buf, dr_slice token,
                          const char *finish) {
    if (token.len > 0 && answer->wants_logprobs) {
        dr_buf_put(buf, DR_LIT(",\"logprobs\":"));
        put_logprobs(answer, buf, token);
    } else if (!answer->is_burst) {
        /* Load tests leave out what may be left out, to come to events of about 190 bytes. */
        dr_buf_put(buf, DR_LIT(",\"logprobs\":null"));
    }
    if (finish) {
        dr_buf_put(buf, DR_LIT(",\"finish_reason\":\""));
        dr_buf_put(buf, dr_slice_text(finish));
        dr_buf_put(buf, DR_LIT("\"}]"));
    } else {
        dr_buf_put(buf, DR_LIT(",\"finish_reason\":null}]"));
    }
    dr_buf_put(buf, answer->includes_usage ? DR_LIT(",\"usage\":null}\n\n") : DR_LIT("}\n\n"));
}

static bool is_choice_over(const struct sim_answer *answer, const struct choice *choice) {
    if (answer->is_burst) return answer->burst_index == answer->burst_count;
    if (choice->part_index >= choice->part_count) return true;
    const struct part *part = &answer->parts[choice->first_part + choice->part_index];
    const bool is_announced = !answer->has_calls || choice->is_call_announced;
    return is_announced && choice->offset >= part->len &&
           choice->part_index + 1 == choice->part_count;
}

/* The next choice that has something to say, in turn; false when none has. */
static bool find_speaker(struct sim_answer *answer) {
    for (uint32_t i = 0; i < answer->choice_count; i++) {
        if (!is_choice_over(answer, &answer->choices[answer->stage_index])) return true;
        answer->stage_index = (answer->stage_index + 1) % answer->choice_count;
    }
    return false;
}

static void leave_tokens(struct sim_answer *answer) {
    if (find_speaker(answer)) return;
    answer->stage = STAGE_FINISHES;
    answer->stage_index = 0;
}

static void write_role(struct sim_answer *answer, struct dr_buf *buf) {
    put_chunk_start(answer, buf, answer->stage_index);
    dr_buf_put(buf, answer->has_calls
                        ? DR_LIT("{\"role\":\"assistant\",\"content\":null,\"refusal\":null}")
                        : DR_LIT("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}"));
    put_chunk_end(answer, buf, DR_NONE, NULL);
    if (++answer->stage_index < answer->choice_count) return;
    answer->stage = STAGE_TOKENS;
    answer->stage_index = 0;
    leave_tokens(answer);
}

static void put_content_delta(struct dr_buf *buf, dr_slice token) {
    dr_buf_put(buf, DR_LIT("{\"content\":"));
    dr_json_put_string(buf, token);
    dr_buf_put_char(buf, '}');
}

/* A call is announced with its id and name; its arguments follow in pieces. */
static void write_call_delta(struct sim_answer *answer, struct dr_buf *buf, struct choice *choice,
                             const struct part *part) {
    dr_buf_put(buf, DR_LIT("{\"tool_calls\":[{\"index\":"));
    dr_buf_put_u64(buf, choice->part_index);
    if (!choice->is_call_announced) {
        choice->is_call_announced = true;
        dr_buf_put(buf, DR_LIT(",\"id\":"));
        put_call_id(answer, buf, choice->first_part + choice->part_index);
        dr_buf_put(buf, DR_LIT(",\"type\":\"function\",\"function\":{\"name\":"));
        dr_json_put_string(buf, lent(answer, part->name_start, part->name_len));
        dr_buf_put(buf, DR_LIT(",\"arguments\":\"\"}}]}"));
        return;
    }
    const dr_slice token = sim_script_token(dr_slice_from(part_text(answer, part), choice->offset));
    choice->offset += (uint32_t)token.len;
    dr_buf_put(buf, DR_LIT(",\"function\":{\"arguments\":"));
    dr_json_put_string(buf, token);
    dr_buf_put(buf, DR_LIT("}}]}"));
}

static void write_token(struct sim_answer *answer, struct dr_buf *buf) {
    struct choice *choice = &answer->choices[answer->stage_index];
    put_chunk_start(answer, buf, answer->stage_index);
    if (answer->is_burst) {
        put_content_delta(buf, sim_script_burst_token(answer->seed, answer->burst_index++));
        put_chunk_end(answer, buf, DR_NONE, NULL);
        leave_tokens(answer);
        return;
    }
    const struct part *part = &answer->parts[choice->first_part + choice->part_index];
    dr_slice token = DR_NONE;
    if (answer->has_calls) {
        write_call_delta(answer, buf, choice, part);
    } else {
        token = sim_script_token(dr_slice_from(part_text(answer, part), choice->offset));
        choice->offset += (uint32_t)token.len;
        put_content_delta(buf, token);
    }
    put_chunk_end(answer, buf, token, NULL);
    if (choice->offset >= part->len && choice->part_index + 1 < choice->part_count) {
        choice->part_index++;
        choice->offset = 0;
        choice->is_call_announced = false;
    }
    answer->stage_index = (answer->stage_index + 1) % answer->choice_count;
    leave_tokens(answer);
}

static void write_finish(struct sim_answer *answer, struct dr_buf *buf) {
    put_chunk_start(answer, buf, answer->stage_index);
    dr_buf_put(buf, DR_LIT("{}"));
    put_chunk_end(answer, buf, DR_NONE, answer->choices[answer->stage_index].finish);
    if (++answer->stage_index < answer->choice_count) return;
    answer->stage = answer->includes_usage ? STAGE_USAGE : STAGE_END;
}

enum sim_event sim_answer_next(const struct sim_answer *answer) {
    switch (answer->stage) {
    case STAGE_ROLES: return SIM_EVENT_OPENING;
    case STAGE_TOKENS: return SIM_EVENT_TOKEN;
    case STAGE_FINISHES:
    case STAGE_USAGE: return SIM_EVENT_CLOSING;
    case STAGE_END:
    case STAGE_OVER: break;
    }
    return SIM_EVENT_DONE;
}

void sim_answer_write_event(struct sim_answer *answer, struct dr_buf *buf) {
    switch (answer->stage) {
    case STAGE_ROLES: write_role(answer, buf); return;
    case STAGE_TOKENS: write_token(answer, buf); return;
    case STAGE_FINISHES: write_finish(answer, buf); return;
    case STAGE_USAGE:
        dr_buf_put(buf, lent(answer, answer->prefix_start, answer->prefix_len));
        dr_buf_put(buf, DR_LIT("],\"usage\":"));
        put_usage(answer, buf);
        dr_buf_put(buf, DR_LIT("}\n\n"));
        answer->stage = STAGE_END;
        return;
    case STAGE_END:
        dr_buf_put(buf, DR_LIT("data: [DONE]\n\n"));
        answer->stage = STAGE_OVER;
        return;
    case STAGE_OVER: break;
    }
    dr_unreachable();
}

uint64_t sim_answer_token_events(const struct sim_answer *answer) {
    return answer->token_events;
}

void sim_answer_write_broken_event(const struct sim_answer *answer, struct dr_buf *buf) {
    put_chunk_start(answer, buf, 0);
    dr_buf_put(buf, DR_LIT("{\"content\":\"brok\n\n"));
}

/* --- errors --- */

static void put_error_field(struct dr_buf *buf, dr_slice name, const char *text) {
    const bool is_null = !text || text[0] == 0;
    dr_buf_put(buf, name);
    dr_json_put_string_or_null(buf, is_null ? DR_NONE : dr_slice_text(text));
}

void sim_error_write(struct dr_buf *buf, const char *message, const char *type, const char *param,
                     const char *code) {
    put_error_field(buf, DR_LIT("{\"error\":{\"message\":"), message);
    put_error_field(buf, DR_LIT(",\"type\":"), type);
    put_error_field(buf, DR_LIT(",\"param\":"), param);
    put_error_field(buf, DR_LIT(",\"code\":"), code);
    dr_buf_put(buf, DR_LIT("}}"));
}
