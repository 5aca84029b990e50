/* A request of Gemini's generateContent, read as its reference describes it. */
#include "dialect/sample_sent.h"

static void read_call(struct sample_sent *sent, dr_json part) {
    struct dr_buf *out = &sent->facts.talk;
    const dr_json call = sample_sent_member(part, "functionCall");
    const dr_slice id = sample_sent_text(call, "id");
    const dr_slice seal = sample_sent_text(part, "thoughtSignature");

    sample_sent_only(sent, part, " functionCall thoughtSignature ");
    sample_sent_only(sent, call, " name args id ");
    (void)sample_sent_must(sent, dr_json_is(sample_sent_member(call, "args"), DR_JSON_OBJECT),
                           "args that are an object");
    if (!sample_sent_must(sent, sent->call_count < SAMPLE_CALLS_MAX, "fewer calls")) return;
    dr_buf_format(out, "-|call %u %.*s ", sent->calls_before + sent->call_count,
                  DR_FMT(sample_sent_text(call, "name")));
    dr_json_put_value(out, sample_sent_member(call, "args"));
    if (id.len > 0) dr_buf_format(out, " id %.*s", DR_FMT(id));
    if (seal.len > 0) dr_buf_format(out, " seal %.*s", DR_FMT(seal));
    dr_buf_put_char(out, '\n');
    sent->calls[sent->call_count++] = call;
}

/* Told by its place among the results alone; name and id are those of the call there. */
static void read_result(struct sample_sent *sent, dr_json part) {
    const dr_json result = sample_sent_member(part, "functionResponse");
    const dr_json response = sample_sent_member(result, "response");
    const dr_json text = sample_sent_member(response, "result");

    sample_sent_only(sent, part, " functionResponse ");
    sample_sent_only(sent, result, " name response id ");
    if (!sample_sent_must(sent, sent->result_count < sent->call_count, "a call")) return;
    const dr_json call = sent->calls[sent->result_count];
    (void)sample_sent_must(
        sent, dr_slice_is(sample_sent_text(call, "name"), sample_sent_text(result, "name")),
        "the name of its call");
    (void)sample_sent_must(
        sent, dr_slice_is(sample_sent_text(call, "id"), sample_sent_text(result, "id")),
        "the id of its call");
    const uint32_t number = sent->calls_before + sent->result_count++;
    (void)sample_sent_must(sent, dr_json_is(response, DR_JSON_OBJECT),
                           "a response that is an object");
    if (dr_json_count(response) == 1 && dr_json_is(text, DR_JSON_STRING)) {
        sample_sent_put_result(sent, number, dr_json_text(text));
    } else {
        dr_buf_format(&sent->facts.talk, "-|result %u ", number);
        sample_sent_put_value(&sent->facts.talk, "", response);
    }
}

static void read_inline(struct sample_sent *sent, const char *role, dr_json data) {
    sample_sent_only(sent, data, " mimeType data ");
    dr_buf_format(&sent->facts.talk, "-|%s data %.*s %.*s\n", role,
                  DR_FMT(sample_sent_text(data, "mimeType")),
                  DR_FMT(sample_sent_text(data, "data")));
}

static void read_text(struct sample_sent *sent, const char *role, dr_json part) {
    struct dr_buf *out = &sent->facts.talk;
    const dr_slice text = sample_sent_text(part, "text");
    const dr_slice seal = sample_sent_text(part, "thoughtSignature");

    sample_sent_only(sent, part, " text thoughtSignature ");
    (void)sample_sent_must(sent, text.len > 0 || seal.len > 0, "a text or a signature");
    if (text.len > 0) {
        dr_buf_format(out, "-|%s text ", role);
        sample_sent_put_text(out, "", text);
    }
    if (seal.len > 0) dr_buf_format(out, "-|seal %.*s\n", DR_FMT(seal));
}

static void read_part(struct sample_sent *sent, dr_json part, bool is_model) {
    struct dr_buf *out = &sent->facts.talk;
    const char *role = is_model ? "assistant" : "user";
    const dr_json file = sample_sent_member(part, "fileData");

    if (sample_sent_member(part, "functionCall")) {
        (void)sample_sent_must(sent, is_model, "a call of the model's");
        read_call(sent, part);
    } else if (sample_sent_member(part, "functionResponse")) {
        (void)sample_sent_must(sent, !is_model, "the other side\'s part");
        read_result(sent, part);
    } else if (sample_sent_member(part, "inlineData")) {
        sample_sent_only(sent, part, " inlineData ");
        read_inline(sent, role, sample_sent_member(part, "inlineData"));
    } else if (file) {
        sample_sent_only(sent, part, " fileData ");
        sample_sent_only(sent, file, " mimeType fileUri ");
        dr_buf_format(out, "-|%s address %.*s\n", role, DR_FMT(sample_sent_text(file, "fileUri")));
    } else {
        read_text(sent, role, part);
    }
}

/* Turns alternate, begin with the user's, and the turn behind calls has as many results. */
static void read_contents(struct sample_sent *sent, dr_json contents) {
    struct dr_json_iter iter;
    struct dr_json_iter parts;
    bool was_model = true;

    dr_json_iter_init(&iter, contents);
    while (dr_json_iter_next(&iter)) {
        const dr_slice role = sample_sent_text(iter.value, "role");
        const bool is_model = dr_slice_is(role, DR_LIT("model"));
        const dr_json list = sample_sent_member(iter.value, "parts");
        sample_sent_only(sent, iter.value, " role parts ");
        (void)sample_sent_must(sent, is_model || dr_slice_is(role, DR_LIT("user")), "a role");
        (void)sample_sent_must(sent, is_model != was_model, "turns that alternate");
        (void)sample_sent_must(sent, dr_json_count(list) > 0, "a turn that holds something");
        was_model = is_model;
        sent->result_count = 0;
        if (is_model) {
            sent->calls_before += sent->call_count;
            sent->call_count = 0;
        }
        dr_json_iter_init(&parts, list);
        while (dr_json_iter_next(&parts)) read_part(sent, parts.value, is_model);
        if (!is_model)
            (void)sample_sent_must(sent, sent->result_count == sent->call_count,
                                   "a result for each call");
    }
}

static void read_system(struct sample_sent *sent, dr_json system, struct dr_buf *format) {
    struct dr_json_iter iter;

    if (!system) return;
    sample_sent_only(sent, system, " parts ");
    dr_json_iter_init(&iter, sample_sent_member(system, "parts"));
    while (dr_json_iter_next(&iter)) {
        const dr_slice text = sample_sent_text(iter.value, "text");
        sample_sent_only(sent, iter.value, " text ");
        (void)sample_sent_must(sent, text.len > 0, "a text that is not empty");
        if (sample_sent_is_instruction(sent, text, format)) continue;
        sample_sent_put_text(&sent->facts.system, "-|system text ", text);
    }
}

static void read_tools(struct sample_sent *sent, dr_json tools) {
    struct dr_buf *out = &sent->facts.rest;
    struct dr_json_iter lists;
    struct dr_json_iter iter;

    dr_json_iter_init(&lists, tools);
    while (dr_json_iter_next(&lists)) {
        sample_sent_only(sent, lists.value, " functionDeclarations ");
        dr_json_iter_init(&iter, sample_sent_member(lists.value, "functionDeclarations"));
        while (dr_json_iter_next(&iter)) {
            const dr_json schema = sample_sent_member(iter.value, "parametersJsonSchema");
            sample_sent_only(sent, iter.value, " name description parametersJsonSchema ");
            dr_buf_format(out, "-|tool %.*s ", DR_FMT(sample_sent_text(iter.value, "name")));
            dr_json_put_string(out, sample_sent_text(iter.value, "description"));
            dr_buf_put_char(out, ' ');
            if (schema)
                dr_json_put_value(out, schema);
            else
                dr_buf_put_char(out, '-');
            dr_buf_put_char(out, '\n');
            sent->tool_count++;
        }
    }
}

static void read_choice(struct sample_sent *sent, dr_json config) {
    struct dr_buf *out = &sent->facts.rest;
    const dr_json calling = sample_sent_member(config, "functionCallingConfig");
    const dr_json names = sample_sent_member(calling, "allowedFunctionNames");
    const dr_slice mode = sample_sent_text(calling, "mode");
    struct dr_json_iter iter;

    if (sent->tool_count == 0) {
        (void)sample_sent_must(sent, !config, "nothing beside what it needs");
        return;
    }
    if (config) sample_sent_only(sent, config, " functionCallingConfig ");
    if (calling) sample_sent_only(sent, calling, " mode allowedFunctionNames ");
    (void)sample_sent_must(sent, !names || dr_slice_is(mode, DR_LIT("ANY")),
                           "names with ANY alone");
    dr_buf_put(out, !calling || dr_slice_is(mode, DR_LIT("AUTO")) ? DR_LIT("-|choice may")
                    : dr_slice_is(mode, DR_LIT("NONE"))           ? DR_LIT("-|choice none")
                                                                  : DR_LIT("-|choice must"));
    dr_json_iter_init(&iter, names);
    while (dr_json_count(names) < sent->tool_count && dr_json_iter_next(&iter)) {
        dr_buf_format(out, " %.*s", DR_FMT(dr_json_text(iter.value)));
    }
    dr_buf_put_char(out, '\n');
}

static void read_format(struct sample_sent *sent, dr_json config) {
    const dr_slice type = sample_sent_text(config, "responseMimeType");

    if (!type.data) {
        (void)sample_sent_must(sent, !sample_sent_member(config, "responseJsonSchema"),
                               "nothing beside what it needs");
        return;
    }
    (void)sample_sent_must(sent, dr_slice_is(type, DR_LIT("application/json")), "JSON as format");
    if (sample_sent_member(config, "responseJsonSchema"))
        sample_sent_put_member(sent, config, "responseJsonSchema", "-|format ");
    else
        dr_buf_put(&sent->facts.rest, DR_LIT("-|format json\n"));
}

static void read_thinking(struct sample_sent *sent, dr_json thinking) {
    const bool is_shown = dr_json_bool(sample_sent_member(thinking, "includeThoughts"));

    if (!thinking) return;
    sample_sent_only(sent, thinking, " thinkingBudget thinkingLevel includeThoughts ");
    (void)sample_sent_must(sent,
                           (sample_sent_member(thinking, "thinkingBudget") != NULL) !=
                               (sample_sent_member(thinking, "thinkingLevel") != NULL),
                           "a budget or a level");
    (void)dr_json_to_u64(sample_sent_member(thinking, "thinkingBudget"), &sent->budget);
    dr_buf_format(&sent->facts.rest, "%s|thinking %s\n", sent->thinking, is_shown ? "on" : "off");
}

static void read_config(struct sample_sent *sent, dr_json config) {
    const dr_json logprobs = sample_sent_member(config, "responseLogprobs");
    struct dr_json_iter iter;

    sample_sent_only(sent, config,
                     " temperature topP frequencyPenalty presencePenalty seed "
                     "candidateCount maxOutputTokens responseLogprobs logprobs "
                     "stopSequences responseMimeType responseJsonSchema thinkingConfig ");
    read_format(sent, config);
    sample_sent_put_member(sent, config, "maxOutputTokens", "-|limit ");
    read_thinking(sent, sample_sent_member(config, "thinkingConfig"));
    sample_sent_put_member(sent, config, "temperature", "temperature|temperature ");
    sample_sent_put_member(sent, config, "topP", "top_p|top_p ");
    dr_json_iter_init(&iter, sample_sent_member(config, "stopSequences"));
    while (dr_json_iter_next(&iter)) {
        sample_sent_put_value(&sent->facts.rest, "-|stop ", iter.value);
    }
    sample_sent_put_member(sent, config, "candidateCount", "-|choices ");
    if (dr_json_bool(logprobs)) sample_sent_put_member(sent, config, "logprobs", "-|logprobs ");
    sample_sent_put_member(sent, config, "seed", "-|seed ");
    sample_sent_put_member(sent, config, "frequencyPenalty", "-|frequency_penalty ");
    sample_sent_put_member(sent, config, "presencePenalty", "-|presence_penalty ");
}

void sample_sent_read_gemini(struct sample_sent *sent, dr_json root) {
    struct dr_buf format;

    sample_sent_init(sent);
    dr_buf_init(&format, SAMPLE_BYTES_MAX);
    sample_sent_only(sent, root, " contents systemInstruction tools toolConfig generationConfig ");
    read_system(sent, sample_sent_member(root, "systemInstruction"), &format);
    read_contents(sent, sample_sent_member(root, "contents"));
    read_tools(sent, sample_sent_member(root, "tools"));
    read_choice(sent, sample_sent_member(root, "toolConfig"));
    dr_buf_put(&sent->facts.rest, dr_buf_slice(&format));
    dr_buf_clear(&format);
    read_config(sent, sample_sent_member(root, "generationConfig"));
}
