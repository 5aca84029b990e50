/* What a request made at random has beside its messages: tools and the choice among them, the
 * format, numbers and words. */
#include "dialect/sample_request.h"

#include "base/json.h"

#include <stdio.h>

enum { TOOLS_MAX = 4 };

/* --- tools --- */

/* Its facts; false for parameters that Gemini is not told of. */
static void put_parameters(struct sample_request *sample, bool is_strict, struct dr_buf *expected) {
    const bool is_closed = is_strict && !sample_is_gemini(sample) && sample->model.generation >= 45;
    const char *const none =
        sample_is_gemini(sample) ? "-"
        : is_closed ? "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}"
                    : "{\"type\":\"object\",\"properties\":{}}";

    switch (sample_below(sample, 4)) {
    case 0: dr_buf_put(expected, dr_slice_text(none)); return;
    case 1:
        dr_buf_put(&sample->body,
                   DR_LIT(",\"parameters\":{\"type\":\"object\",\"properties\":{}}"));
        dr_buf_put(expected, dr_slice_text(none));
        return;
    default: break;
    }
    dr_buf_put(&sample->body, DR_LIT(",\"parameters\":"));
    if (sample_put_schema(sample, is_closed ? SAMPLE_SCHEMA_CLOSED : SAMPLE_SCHEMA_VERBATIM,
                          &sample->body, expected)) {
        sample_tell(sample, "tools.function.parameters");
    }
}

/* A tool that is not sent leaves no facts. */
static void put_tool(struct sample_request *sample, uint32_t number, bool is_sent) {
    const bool is_gemini = sample_is_gemini(sample);
    const bool is_strict = !sample->is_legacy && is_sent && sample_chance(sample, 3);
    const bool has_mark = !sample->is_legacy && is_sent && sample_chance(sample, 6);
    const bool has_words = sample_chance(sample, 2);
    struct dr_buf schema;

    dr_buf_init(&schema, SAMPLE_BYTES_MAX);
    if (number > 0) dr_buf_put_char(&sample->body, ',');
    if (!sample->is_legacy)
        dr_buf_put(&sample->body, DR_LIT("{\"type\":\"function\",\"function\":"));
    dr_buf_format(&sample->body, "{\"name\":\"f%u\"", number);
    if (has_words) dr_buf_put(&sample->body, DR_LIT(",\"description\":\"do \\\"f\\\"\\n\""));
    put_parameters(sample, is_strict, &schema);
    if (is_strict) dr_buf_put(&sample->body, DR_LIT(",\"strict\":true"));
    dr_buf_put_char(&sample->body, '}');
    if (has_mark) dr_buf_put(&sample->body, DR_LIT(",\"cache_control\":{\"type\":\"ephemeral\"}"));
    if (!sample->is_legacy) dr_buf_put_char(&sample->body, '}');
    if (is_sent) {
        const bool keeps_strict = is_strict && !is_gemini && sample->model.generation >= 45;
        if (is_strict && !keeps_strict) sample_tell(sample, "tools.function.strict");
        if (has_mark && is_gemini) sample_tell(sample, "tools.cache_control");
        dr_buf_format(&sample->facts.rest, "-|tool f%u %s %.*s%s%s\n", number,
                      has_words ? "\"do \\\"f\\\"\\n\"" : "\"\"", DR_FMT(dr_buf_slice(&schema)),
                      keeps_strict ? " strict" : "", has_mark && !is_gemini ? " marked" : "");
    }
    dr_buf_clear(&schema);
}

enum choice {
    CHOICE_DEFAULT,
    CHOICE_AUTO,
    CHOICE_NONE,
    CHOICE_REQUIRED,
    CHOICE_NAMED,
    CHOICE_SOME
};

static const char *put_choice(struct sample_request *sample, enum choice choice, bool is_required) {
    struct dr_buf *body = &sample->body;

    dr_buf_put(body,
               sample->is_legacy ? DR_LIT(",\"function_call\":") : DR_LIT(",\"tool_choice\":"));
    switch (choice) {
    case CHOICE_NONE: dr_buf_put(body, DR_LIT("\"none\"")); return "none";
    case CHOICE_REQUIRED: dr_buf_put(body, DR_LIT("\"required\"")); return "must";
    case CHOICE_NAMED:
        dr_buf_put(body, sample->is_legacy
                             ? DR_LIT("{\"name\":\"f0\"}")
                             : DR_LIT("{\"type\":\"function\",\"function\":{\"name\":\"f0\"}}"));
        return sample->tool_count > 1 ? "must f0" : "must";
    case CHOICE_SOME:
        dr_buf_format(body,
                      "{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"%s\",\"tools\":"
                      "[{\"type\":\"function\",\"function\":{\"name\":\"f0\"}}]}}",
                      is_required ? "required" : "auto");
        return is_required ? "must" : "may";
    case CHOICE_DEFAULT:
    case CHOICE_AUTO: break;
    }
    dr_buf_put(body, DR_LIT("\"auto\""));
    return "may";
}

/* Anthropic demands tools where a history has calls: they are offered, not to be called. */
static void put_past_tools(struct sample_request *sample) {
    dr_slice rest = dr_buf_slice(&sample->names);

    if (sample_is_gemini(sample) || rest.len == 0) return;
    while (rest.len > 0) {
        const dr_slice name = dr_slice_split(&rest, '\n');
        if (name.len == 0) continue;
        dr_buf_format(&sample->facts.rest,
                      "-|tool %.*s \"\" {\"type\":\"object\",\"properties\":{}}\n", DR_FMT(name));
    }
    dr_buf_put(&sample->facts.rest, DR_LIT("-|choice none\n"));
}

void sample_make_tools(struct sample_request *sample) {
    enum choice choice = (enum choice)sample_below(sample, 6);
    const bool is_required = sample_chance(sample, 2);

    sample->tool_count = (uint32_t)sample_below(sample, TOOLS_MAX);
    if (sample->tool_count == 0) {
        put_past_tools(sample);
        return;
    }
    if (sample->is_legacy && (choice == CHOICE_REQUIRED || choice == CHOICE_SOME)) {
        choice = CHOICE_AUTO;
    }
    dr_buf_put(&sample->body,
               sample->is_legacy ? DR_LIT(",\"functions\":[") : DR_LIT(",\"tools\":["));
    for (uint32_t i = 0; i < sample->tool_count; i++) {
        put_tool(sample, i, i == 0 || choice != CHOICE_SOME);
    }
    dr_buf_put_char(&sample->body, ']');
    const char *fact = choice == CHOICE_DEFAULT ? "may" : put_choice(sample, choice, is_required);
    dr_buf_format(&sample->facts.rest, "-|choice %s\n", fact);
    if (sample->is_legacy) {
        /* The older interface has no place for a second call. */
        if (!sample_is_gemini(sample) && choice != CHOICE_NONE) {
            dr_buf_put(&sample->facts.rest, DR_LIT("-|one call at a time\n"));
        }
        return;
    }
    if (!sample_chance(sample, 4)) return;
    dr_buf_put(&sample->body, DR_LIT(",\"parallel_tool_calls\":false"));
    if (sample_is_gemini(sample))
        sample_tell(sample, "parallel_tool_calls");
    else if (choice != CHOICE_NONE)
        dr_buf_put(&sample->facts.rest, DR_LIT("-|one call at a time\n"));
}

/* --- the format --- */

static void put_schema_format(struct sample_request *sample, bool is_told) {
    const enum sample_flavour flavour = is_told                    ? SAMPLE_SCHEMA_VERBATIM
                                        : sample_is_gemini(sample) ? SAMPLE_SCHEMA_GEMINI
                                                                   : SAMPLE_SCHEMA_CLOSED;
    struct dr_buf expected;

    dr_buf_init(&expected, SAMPLE_BYTES_MAX);
    dr_buf_put(&sample->body,
               DR_LIT(",\"response_format\":{\"type\":\"json_schema\","
                      "\"json_schema\":{\"name\":\"s\",\"strict\":true,\"schema\":"));
    if (sample_put_schema(sample, flavour, &sample->body, &expected)) {
        sample_tell(sample, "response_format.json_schema.schema");
    }
    if (is_told) sample_tell(sample, "response_format.json_schema.strict");
    dr_buf_put(&sample->body, DR_LIT("}}"));
    dr_buf_format(&sample->facts.rest, "-|format %.*s\n", DR_FMT(dr_buf_slice(&expected)));
    dr_buf_clear(&expected);
}

static void make_format(struct sample_request *sample) {
    /* In words, where there is no format or none beside tools. */
    const bool is_told = sample_is_gemini(sample)
                             ? sample->tool_count > 0 && sample->model.generation < 30
                             : sample->model.generation < 45;

    switch (sample_below(sample, 5)) {
    case 0:
        dr_buf_put(&sample->body, DR_LIT(",\"response_format\":{\"type\":\"json_object\"}"));
        dr_buf_put(&sample->facts.rest, DR_LIT("-|format json\n"));
        return;
    case 1: put_schema_format(sample, is_told); return;
    case 2: dr_buf_put(&sample->body, DR_LIT(",\"response_format\":{\"type\":\"text\"}")); return;
    default: return;
    }
}

/* --- numbers --- */

static void put_fact(struct sample_request *sample, const char *field, const char *name,
                     const char *value) {
    dr_buf_format(&sample->facts.rest, "%s|%s %s\n", field, name, value);
}

static void make_limit(struct sample_request *sample) {
    const uint64_t limit = 1 + sample_below(sample, 40000);

    switch (sample_below(sample, 4)) {
    case 0:
        dr_buf_format(&sample->body, ",\"max_tokens\":7,\"max_completion_tokens\":%llu",
                      (unsigned long long)limit);
        break;
    case 1: dr_buf_format(&sample->body, ",\"max_tokens\":%llu", (unsigned long long)limit); break;
    case 2:
        dr_buf_format(&sample->body, ",\"max_completion_tokens\":%llu", (unsigned long long)limit);
        break;
    default:
        if (sample_is_gemini(sample)) return;
        put_fact(sample, "-", "limit", sample->model.generation < 37 ? "8192" : "32000");
        return;
    }
    dr_buf_format(&sample->facts.rest, "-|limit %llu\n", (unsigned long long)limit);
}

/* What Anthropic's models think of hangs on what else is asked: then a loss may be told. */
static void make_thinking(struct sample_request *sample) {
    static const struct {
        const char *members;
        const char *name;
        uint64_t budget;
        bool is_off;
    } asked[] = {
        {"\"reasoning_effort\":\"minimal\"", "reasoning_effort", 1024, false},
        {"\"reasoning_effort\":\"low\"", "reasoning_effort", 1024, false},
        {"\"reasoning_effort\":\"medium\"", "reasoning_effort", 8192, false},
        {"\"reasoning\":{\"effort\":\"high\"}", "reasoning", 24576, false},
        {"\"reasoning\":{\"enabled\":true}", "reasoning", 8192, false},
        {"\"reasoning\":{\"max_tokens\":3000}", "reasoning", 3000, false},
        {"\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":20000}", "thinking", 20000, false},
        {"\"reasoning_effort\":\"none\"", "reasoning_effort", 0, true},
        {"\"reasoning\":{\"enabled\":false}", "reasoning", 0, true},
        {"\"thinking\":{\"type\":\"disabled\"}", "thinking", 0, true},
    };
    const uint32_t generation = sample->model.generation;

    if (!sample_chance(sample, 2)) return;
    const size_t i = (size_t)sample_below(sample, sizeof asked / sizeof asked[0]);
    dr_buf_format(&sample->body, ",%s", asked[i].members);
    sample->thinking = asked[i].name;
    sample->budget = asked[i].budget;
    if (sample_is_gemini(sample)) {
        if (generation < 25 ? !asked[i].is_off
                            : asked[i].is_off && (generation >= 30 || sample->model.is_pro)) {
            sample_tell(sample, asked[i].name);
        } else if (generation >= 25) {
            put_fact(sample, asked[i].name, "thinking", asked[i].is_off ? "off" : "on");
        }
    } else if (!asked[i].is_off) {
        if (generation < 37)
            sample_tell(sample, asked[i].name);
        else
            put_fact(sample, asked[i].name, "thinking", "on");
        if (generation >= 37 && generation < 46) sample_tell_perhaps(sample, asked[i].name);
        sample_tell_perhaps(sample, "temperature");
        sample_tell_perhaps(sample, "top_p");
    }
}

/* Anthropic takes one of the two, none where thinking or the model forbids it, and none above 1. */
static void make_sampling(struct sample_request *sample) {
    static const char *const temperatures[] = {"0", "0.30", "0.5", "1.5"};
    const uint32_t generation = sample->model.generation;
    const bool has_temperature = sample_chance(sample, 2);

    if (has_temperature) {
        const char *value = temperatures[sample_below(sample, 4)];
        dr_buf_format(&sample->body, ",\"temperature\":%s", value);
        put_fact(sample, "temperature", "temperature", value);
        if (!sample_is_gemini(sample) && (generation >= 47 || value[0] == '1')) {
            sample_tell(sample, "temperature");
        }
    }
    if (sample_chance(sample, 3)) {
        dr_buf_put(&sample->body, DR_LIT(",\"top_p\":0.90"));
        put_fact(sample, "top_p", "top_p", "0.90");
        if (!sample_is_gemini(sample) &&
            (generation >= 47 || (has_temperature && generation >= 41))) {
            sample_tell(sample, "top_p");
        }
    }
}

static void make_stops(struct sample_request *sample) {
    switch (sample_below(sample, 5)) {
    case 0:
        dr_buf_put(&sample->body, DR_LIT(",\"stop\":\"\\n\\nHuman:\""));
        put_fact(sample, "-", "stop", "\"\\n\\nHuman:\"");
        return;
    case 1:
        dr_buf_put(&sample->body, DR_LIT(",\"stop\":[\"a\",\" \\n\",\"b\\\"\",\"\"]"));
        put_fact(sample, "-", "stop", "\"a\"");
        if (sample_is_gemini(sample)) put_fact(sample, "-", "stop", "\" \\n\"");
        put_fact(sample, "-", "stop", "\"b\\\"\"");
        sample_tell(sample, "stop");
        return;
    default: return;
    }
}

enum fate { FATE_TOLD, FATE_SENT, FATE_NOTHING };

/* A field that one provider takes as it is and another not at all. */
static void make_plain_fields(struct sample_request *sample) {
    const bool is_gemini = sample_is_gemini(sample);
    const bool takes_penalties = is_gemini && sample->model.generation < 25;
    const struct {
        const char *name;
        const char *value;
        const char *fact; /* its name */
        const char *sent;
        enum fate anthropic;
        enum fate gemini;
    } fields[] = {
        {"seed", "7", "seed", "7", FATE_TOLD, FATE_SENT},
        {"seed", "4294967296", "seed", "", FATE_TOLD, FATE_TOLD},
        {"frequency_penalty", "0.50", "frequency_penalty", "0.50", FATE_TOLD,
         takes_penalties ? FATE_SENT : FATE_TOLD},
        {"presence_penalty", "-1", "presence_penalty", "-1", FATE_TOLD,
         takes_penalties ? FATE_SENT : FATE_TOLD},
        {"presence_penalty", "null", "presence_penalty", "", FATE_NOTHING, FATE_NOTHING},
        {"user", "\"u-17\"", "user", "\"u-17\"", FATE_SENT, FATE_TOLD},
        {"safety_identifier", "\"s-17\"", "user", "\"s-17\"", FATE_SENT, FATE_TOLD},
        {"user", "\"bob@example.com\"", "user", "", FATE_TOLD, FATE_TOLD},
        {"metadata", "{\"a\":\"b\"}", "", "", FATE_TOLD, FATE_TOLD},
        {"service_tier", "\"default\"", "service_tier", "\"standard_only\"", FATE_SENT, FATE_TOLD},
        {"service_tier", "\"flex\"", "", "", FATE_TOLD, FATE_TOLD},
        {"service_tier", "\"auto\"", "service_tier", "\"auto\"", FATE_SENT, FATE_NOTHING},
        {"cache_control", "{\"type\":\"ephemeral\"}", "cache_control", "{\"type\":\"ephemeral\"}",
         FATE_SENT, FATE_TOLD},
        {"store", "true", "", "", FATE_TOLD, FATE_TOLD},
        {"store", "false", "", "", FATE_NOTHING, FATE_NOTHING},
        {"verbosity", "\"low\"", "", "", FATE_TOLD, FATE_TOLD},
        {"logit_bias", "{\"1\":2}", "", "", FATE_TOLD, FATE_TOLD},
        {"prompt_cache_key", "\"k\"", "", "", FATE_TOLD, FATE_TOLD},
        {"odd_field", "[]", "", "", FATE_NOTHING, FATE_NOTHING},
        {"odd_field", "1", "", "", FATE_TOLD, FATE_TOLD},
        {"stream", "true", "stream", "true", FATE_SENT, FATE_NOTHING},
    };
    const char *last = "";
    bool has_user = false;

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const enum fate fate = is_gemini ? fields[i].gemini : fields[i].anthropic;
        const bool is_user = strcmp(fields[i].fact, "user") == 0;
        if (strcmp(last, fields[i].name) == 0 || !sample_chance(sample, 5)) continue;
        if (is_user && has_user) continue;
        has_user = has_user || is_user;
        last = fields[i].name;
        dr_buf_format(&sample->body, ",\"%s\":%s", fields[i].name, fields[i].value);
        if (fate == FATE_TOLD) sample_tell(sample, fields[i].name);
        if (fate == FATE_SENT) put_fact(sample, "-", fields[i].fact, fields[i].sent);
    }
}

static void make_choices(struct sample_request *sample) {
    if (!sample_is_gemini(sample)) {
        if (sample_chance(sample, 6)) {
            dr_buf_put(&sample->body, DR_LIT(",\"top_logprobs\":null"));
        }
        return;
    }
    if (sample_chance(sample, 6)) {
        dr_buf_put(&sample->body, DR_LIT(",\"n\":3"));
        put_fact(sample, "-", "choices", "3");
    }
    if (sample_chance(sample, 6)) {
        dr_buf_put(&sample->body, DR_LIT(",\"logprobs\":true,\"top_logprobs\":3"));
        put_fact(sample, "-", "logprobs", "3");
    }
}

void sample_make_numbers(struct sample_request *sample) {
    make_format(sample);
    make_limit(sample);
    make_thinking(sample);
    make_sampling(sample);
    make_stops(sample);
    make_choices(sample);
    make_plain_fields(sample);
}
