/* The messages of a request made at random: all roles, parts of all kinds, calls whose results come
 * in any order, thoughts with their seals. */
#include "dialect/sample_parts.h"

#include "base/json.h"

#include <stdio.h>

enum { CALLS_MAX = 3, RESULTS_MAX = 2 * CALLS_MAX, STEPS_MAX = 6 };

static void open_message(struct sample_making *making, const char *role) {
    dr_buf_format(&making->sample->messages, ",{\"role\":\"%s\"", role);
    making->sample->message_count++;
}

static void close_message(struct sample_making *making) {
    dr_buf_put_char(&making->sample->messages, '}');
    dr_buf_clear(&making->words);
}

/* Members that no provider takes. */
static void put_odd(struct sample_making *making) {
    if (sample_chance(making->sample, 10)) {
        dr_buf_put(&making->sample->messages, DR_LIT(",\"name\":\"bob\""));
        sample_tell(making->sample, "messages.name");
    }
    if (sample_chance(making->sample, 20)) {
        dr_buf_put(&making->sample->messages, DR_LIT(",\"prefix\":true,\"odd\":null"));
        sample_tell(making->sample, "messages.prefix");
    }
}

static void make_user(struct sample_request *sample) {
    struct sample_making making = sample_making_begin(sample, "user", &sample->said);

    open_message(&making, "user");
    put_odd(&making);
    sample_put_content(&making, false);
    close_message(&making);
}

/* Something that is not empty. */
static void make_words(struct sample_request *sample, const char *role) {
    struct sample_making making = sample_making_begin(sample, "user", &sample->said);

    open_message(&making, role);
    sample_put_words(sample, &making.words);
    dr_buf_put(&sample->messages, DR_LIT(",\"content\":"));
    dr_json_put_string(&sample->messages, dr_buf_slice(&making.words));
    sample_put_fact_text(&making, dr_buf_slice(&making.words));
    close_message(&making);
}

static void make_system(struct sample_request *sample, const char *role, struct dr_buf *facts) {
    struct sample_making making = sample_making_begin(sample, role, facts);

    open_message(&making, sample_chance(sample, 2) ? "system" : "developer");
    put_odd(&making);
    sample_put_content(&making, true);
    close_message(&making);
}

/* --- assistants --- */

static void end_user_turn(struct sample_request *sample) {
    struct dr_buf *const turn[] = {&sample->results, &sample->behind, &sample->said};

    for (size_t i = 0; i < sizeof turn / sizeof turn[0]; i++) {
        dr_buf_put(&sample->facts.talk, dr_buf_slice(turn[i]));
        dr_buf_reset(turn[i]);
    }
}

/* Facts of Google's seals stand behind the parts, those of Anthropic's thoughts before them. */
static void put_thought(struct sample_making *making, uint64_t number, struct dr_buf *seals) {
    struct sample_request *sample = making->sample;
    const bool is_gemini = sample_is_gemini(sample);
    struct dr_buf *out = &sample->messages;
    const unsigned seal = (unsigned)sample_below(sample, 10000);

    switch (sample_below(sample, 6)) {
    case 0: /* whole, or in pieces as they were streamed */
    case 1:
        sample_put_words(sample, &making->words);
        dr_buf_format(out, "{\"type\":\"reasoning.text\",\"index\":%llu,\"text\":",
                      (unsigned long long)number);
        dr_json_put_string(out, dr_buf_slice(&making->words));
        if (sample_chance(sample, 2)) {
            dr_buf_format(out, "},{\"type\":\"reasoning.text\",\"index\":%llu",
                          (unsigned long long)number);
        }
        dr_buf_format(out, ",\"signature\":\"S%u+/=\",\"format\":\"anthropic-claude-v1\"}", seal);
        if (is_gemini) break;
        dr_buf_put(making->facts, DR_LIT("-|thought "));
        dr_json_put_string(making->facts, dr_buf_slice(&making->words));
        dr_buf_format(making->facts, " S%u+/=\n", seal);
        return;
    case 2:
        dr_buf_format(out,
                      "{\"type\":\"reasoning.encrypted\",\"data\":\"D%u==\","
                      "\"format\":\"anthropic-claude-v1\"}",
                      seal);
        if (is_gemini) break;
        dr_buf_format(making->facts, "-|redacted D%u==\n", seal);
        return;
    case 3:
    case 4:
        dr_buf_format(out,
                      "{\"type\":\"reasoning.encrypted\",\"data\":\"G%u==\","
                      "\"format\":\"google-gemini-v1\"}",
                      seal);
        if (!is_gemini) break;
        dr_buf_format(seals, "-|seal G%u==\n", seal);
        return;
    default:
        dr_buf_put(out, DR_LIT("{\"type\":\"reasoning.summary\",\"summary\":\"s\","
                               "\"format\":\"openai-responses-v1\"}"));
        break;
    }
    sample_tell(sample, "messages.reasoning_details");
}

static void put_thoughts(struct sample_making *making, struct dr_buf *seals) {
    struct sample_request *sample = making->sample;
    const uint64_t count = sample_chance(sample, 2) ? 1 + sample_below(sample, 3) : 0;

    if (count > 0) dr_buf_put(&sample->messages, DR_LIT(",\"reasoning_details\":["));
    for (uint64_t i = 0; i < count; i++) {
        if (i > 0) dr_buf_put_char(&sample->messages, ',');
        put_thought(making, i, seals);
    }
    if (count > 0) {
        dr_buf_put_char(&sample->messages, ']');
    } else if (sample_chance(sample, 6)) {
        dr_buf_put(&sample->messages, DR_LIT(",\"reasoning_content\":\"hm\""));
        sample_tell(sample, "messages.reasoning_content");
    }
}

/* What a model was asked to call with, as the client tells it and as it must arrive. */
static void put_arguments(struct sample_making *making, uint32_t number, struct dr_buf *input) {
    struct sample_request *sample = making->sample;

    dr_buf_reset(&making->words);
    dr_buf_reset(input);
    switch (sample_below(sample, 5)) {
    case 0: dr_buf_put(input, DR_LIT("{}")); break;
    case 1:
        dr_buf_put(&making->words, DR_LIT("{\"n\": 1"));
        dr_buf_put(input, DR_LIT("{\"raw_arguments\":\"{\\\"n\\\": 1\"}"));
        break;
    case 2:
        dr_buf_put(&making->words, DR_LIT("[1]"));
        dr_buf_put(input, DR_LIT("{\"raw_arguments\":\"[1]\"}"));
        break;
    default:
        dr_buf_format(&making->words, "{\"n\": %u.0, \"big\":12345678901234567890123, \"a\":[{}]}",
                      number);
        dr_buf_format(input, "{\"n\":%u.0,\"big\":12345678901234567890123,\"a\":[{}]}", number);
        break;
    }
}

struct call {
    uint32_t number;
    char id[32];
    char name[16];
};

static void note_called(struct sample_request *sample, const char *name) {
    if (sample_has_line(&sample->names, dr_slice_text(name))) return;
    dr_buf_format(&sample->names, "%s\n", name);
}

/* Ids repeat from turn to turn; within one only where the server gave all calls the same. */
static void put_call(struct sample_making *making, struct call *call, size_t place, bool is_first,
                     struct dr_buf *calls) {
    static const char *const styles[] = {"call_", "call.x/", "own-"};
    struct sample_request *sample = making->sample;
    struct dr_buf *out = &sample->messages;
    const uint64_t style = sample->has_same_ids ? 0 : sample_below(sample, 3);
    const bool is_custom = !sample->is_legacy && sample_chance(sample, 8);
    const bool is_signed = !sample->is_legacy && sample_chance(sample, 4);
    const bool is_third = sample_is_gemini(sample) && sample->model.generation >= 30;
    const bool has_mark = !sample->is_legacy && sample_chance(sample, 12);
    struct dr_buf input;

    call->number = sample->call_count++;
    (void)snprintf(call->id, sizeof call->id, "%s%u", styles[style],
                   sample->has_same_ids ? 0 : (unsigned)place);
    (void)snprintf(call->name, sizeof call->name, "f%u", (unsigned)sample_below(sample, 4));
    note_called(sample, call->name);
    dr_buf_init(&input, SAMPLE_BYTES_MAX);
    put_arguments(making, call->number, &input);
    if (is_custom) {
        sample_put_words(sample, &making->words);
        dr_buf_reset(&input);
        dr_buf_put(&input, DR_LIT("{\"raw_arguments\":"));
        dr_json_put_string(&input, dr_buf_slice(&making->words));
        dr_buf_put_char(&input, '}');
    }
    if (sample->is_legacy) {
        dr_buf_format(out, ",\"function_call\":{\"name\":\"%s\",\"arguments\":", call->name);
        (void)snprintf(call->id, sizeof call->id, "%s", call->name);
    } else {
        dr_buf_format(out, "%s{\"id\":\"%s\",\"type\":\"%s\",\"%s\":{\"name\":\"%s\",\"%s\":",
                      is_first ? ",\"tool_calls\":[" : ",", call->id,
                      is_custom ? "custom" : "function", is_custom ? "custom" : "function",
                      call->name, is_custom ? "input" : "arguments");
    }
    dr_json_put_string(out, dr_buf_slice(&making->words));
    dr_buf_put_char(out, '}');
    if (is_signed) {
        dr_buf_format(out, ",\"extra_content\":{\"google\":{\"thought_signature\":\"C%u==\"}}",
                      call->number);
    }
    if (has_mark) dr_buf_put(out, DR_LIT(",\"cache_control\":{\"type\":\"ephemeral\"}"));
    if (!sample->is_legacy) dr_buf_put_char(out, '}');
    dr_buf_format(calls, "-|call %u %s %.*s", call->number, call->name,
                  DR_FMT(dr_buf_slice(&input)));
    if (is_third && style > 0 && !sample->is_legacy) dr_buf_format(calls, " id %s", call->id);
    if (is_signed && sample_is_gemini(sample)) {
        dr_buf_format(calls, " seal C%u==", call->number);
    } else if (is_signed) {
        sample_tell(sample, "messages.tool_calls.extra_content");
    } else if (is_third && is_first) {
        dr_buf_put(calls, DR_LIT(" seal skip_thought_signature_validator"));
    }
    if (has_mark && sample_is_gemini(sample))
        sample_tell(sample, "messages.cache_control");
    else if (has_mark)
        dr_buf_put(calls, DR_LIT(" marked"));
    dr_buf_put_char(calls, '\n');
    dr_buf_clear(&input);
}

/* Its calls are put behind those in `calls`; how many it has is returned. */
static size_t make_assistant(struct sample_request *sample, struct call *calls, size_t call_count,
                             size_t more) {
    struct sample_making making = sample_making_begin(sample, "assistant", &sample->facts.talk);
    struct dr_buf seals;
    struct dr_buf facts;

    end_user_turn(sample);
    dr_buf_init(&seals, SAMPLE_BYTES_MAX);
    dr_buf_init(&facts, SAMPLE_BYTES_MAX);
    open_message(&making, "assistant");
    put_odd(&making);
    put_thoughts(&making, &seals);
    if (more > 0 && sample_chance(sample, 2)) {
        dr_buf_put(&sample->messages, DR_LIT(",\"content\":null"));
    } else {
        sample_put_content(&making, true);
        dr_buf_put(&sample->messages, DR_LIT(",\"refusal\":"));
        sample_put_words(sample, &making.words);
        if (more == 0 || sample_chance(sample, 2)) {
            dr_json_put_string(&sample->messages, dr_buf_slice(&making.words));
            sample_put_fact_text(&making, dr_buf_slice(&making.words));
        } else {
            dr_buf_put(&sample->messages, DR_LIT("null"));
        }
    }
    for (size_t i = 0; i < more; i++) {
        put_call(&making, &calls[call_count + i], call_count + i, i == 0, &facts);
    }
    if (more > 0 && !sample->is_legacy) dr_buf_put_char(&sample->messages, ']');
    dr_buf_put(&sample->facts.talk, dr_buf_slice(&seals));
    dr_buf_put(&sample->facts.talk, dr_buf_slice(&facts));
    close_message(&making);
    dr_buf_clear(&seals);
    dr_buf_clear(&facts);
    return more;
}

/* --- results --- */

/* The fact goes to `fact`: a text that is a JSON object says the same however it is laid out. */
static void put_result(struct sample_request *sample, const struct call *call,
                       struct dr_buf *fact) {
    struct dr_buf pictures;
    struct sample_making making = sample_making_begin(sample, "result", fact);
    char standard[SAMPLE_BASE64_BYTES_MAX];
    const bool is_gemini = sample_is_gemini(sample);

    dr_buf_init(&pictures, SAMPLE_BYTES_MAX);
    open_message(&making, sample->is_legacy ? "function" : "tool");
    dr_buf_format(&sample->messages,
                  ",\"%s\":\"%s\",\"content\":", sample->is_legacy ? "name" : "tool_call_id",
                  call->id);
    dr_buf_format(fact, "-|result %u ", call->number);
    switch (sample_below(sample, 4)) {
    case 0:
        dr_buf_put(&sample->messages, DR_LIT("\"{\\\"a\\\": 1.0}\""));
        dr_buf_put(fact, DR_LIT("{\"a\":1.0}\n"));
        break;
    case 1:
        sample_put_words(sample, &making.words);
        dr_buf_put(&sample->messages, DR_LIT("[{\"type\":\"text\",\"text\":\"one \"},"
                                             "{\"type\":\"text\",\"text\":"));
        dr_json_put_string(&sample->messages, dr_buf_slice(&making.words));
        dr_buf_put(fact, DR_LIT("\"one "));
        struct dr_buf rest;
        dr_buf_init(&rest, SAMPLE_BYTES_MAX);
        dr_json_put_string(&rest, dr_buf_slice(&making.words));
        dr_buf_put(fact, dr_slice_from(dr_buf_slice(&rest), 1));
        dr_buf_put_char(fact, '\n');
        dr_buf_clear(&rest);
        sample_make_base64(sample, "iVBORw0KGgoA", standard, &making.words);
        dr_buf_format(&sample->messages,
                      "},{\"type\":\"image_url\",\"image_url\":{\"url\":"
                      "\"data:image/png;base64,%.*s\"}}]",
                      DR_FMT(dr_buf_slice(&making.words)));
        dr_buf_format(is_gemini ? &sample->behind : &pictures, "-|%s data image/png %s\n",
                      is_gemini ? "user" : "result", standard);
        break;
    case 2:
        dr_buf_put(&sample->messages, DR_LIT("\"\""));
        dr_buf_put(fact, DR_LIT("\"\"\n"));
        break;
    default:
        sample_put_words(sample, &making.words);
        dr_json_put_string(&sample->messages, dr_buf_slice(&making.words));
        dr_json_put_string(fact, dr_buf_slice(&making.words));
        dr_buf_put_char(fact, '\n');
        if (sample_chance(sample, 6)) sample_put_mark(&making);
        break;
    }
    dr_buf_put(fact, dr_buf_slice(&pictures));
    close_message(&making);
    dr_buf_clear(&pictures);
}

/* One or two assistants' messages with calls, then all results in any order, perhaps with the user
 * speaking in between. */
static void make_calls(struct sample_request *sample) {
    struct call calls[RESULTS_MAX];
    struct dr_buf facts[RESULTS_MAX];
    size_t order[RESULTS_MAX];
    size_t count = 0;

    sample->has_same_ids = sample_chance(sample, 10);
    const uint64_t messages = sample->is_legacy ? 1 : 1 + sample_below(sample, 2);
    for (uint64_t i = 0; i < messages; i++) {
        const size_t more = sample->is_legacy ? 1 : 1 + (size_t)sample_below(sample, CALLS_MAX);
        count += make_assistant(sample, calls, count, more);
    }
    for (size_t i = 0; i < count; i++) {
        const size_t other = sample->has_same_ids ? i : (size_t)sample_below(sample, i + 1);
        if (other < i) order[i] = order[other];
        order[other] = i;
        dr_buf_init(&facts[i], SAMPLE_BYTES_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        put_result(sample, &calls[order[i]], &facts[order[i]]);
        if (sample_chance(sample, 8)) make_user(sample);
    }
    for (size_t i = 0; i < count; i++) {
        dr_buf_put(&sample->results, dr_buf_slice(&facts[i]));
        dr_buf_clear(&facts[i]);
    }
}

/* --- the whole --- */

/* A beginning of the answer, at which Anthropic takes no blanks. */
static void make_beginning(struct sample_request *sample) {
    end_user_turn(sample);
    dr_buf_put(&sample->messages, DR_LIT(",{\"role\":\"assistant\",\"content\":\"so \\n\"}"));
    sample->message_count++;
    dr_buf_put(&sample->facts.talk, sample_is_gemini(sample)
                                        ? DR_LIT("-|assistant text \"so \\n\"\n")
                                        : DR_LIT("-|assistant text \"so\"\n"));
}

void sample_make_talk(struct sample_request *sample) {
    const uint64_t steps = sample_below(sample, STEPS_MAX);
    const bool is_answer_first = sample_chance(sample, 6);

    if (sample_chance(sample, 20)) {
        /* Nobody asks anything. */
        for (uint64_t i = 0; i < steps; i++) make_system(sample, "user", &sample->said);
        make_words(sample, "system");
        end_user_turn(sample);
        return;
    }
    if (sample_chance(sample, 2)) make_system(sample, "system", &sample->facts.system);
    if (is_answer_first) {
        dr_buf_put(&sample->facts.talk, DR_LIT("-|user text \"...\"\n"));
        (void)make_assistant(sample, NULL, 0, 0);
    } else {
        make_words(sample, "user");
    }
    for (uint64_t i = 0; i < steps; i++) {
        switch (sample_below(sample, 6)) {
        case 0: make_system(sample, "system", &sample->facts.system); break;
        case 1: make_user(sample); break;
        case 2: (void)make_assistant(sample, NULL, 0, 0); break;
        default: make_calls(sample); break;
        }
    }
    if (sample_chance(sample, 4)) {
        make_beginning(sample);
    } else {
        make_words(sample, "user");
        end_user_turn(sample);
    }
}
