/* Gemini's chat request, read by code of the simulation's own: an independent witness of what the
 * gateway sends. Must not share code with the gateway's dialects, nor answer anything.
 *
 * Sources: "GenerateContent", "Function calling", "Structured output", "Gemini thinking"; the
 * official SDK's types; recorded requests and refusals. */
#include "sim/generate_ask.h"

#include "sim/generate_turns.h"

#include <stdio.h>

enum {
    TOOL_NAME_BYTES_MAX = 64,
    CHOICES_MAX = 8,
    STOPS_MAX = 5,
    LOGPROBS_MAX = 20,
    SCHEMA_DEPTH_MAX = 32,
    PATH_BYTES = 128,
};

static dr_json member(dr_json object, const char *name) {
    return sim_shape_member(object, dr_slice_text(name));
}

/* --- schemas --- */

/* Google's subset of OpenAPI's schemas; what newer models take besides is taken. */
static const struct sim_member schema_members[] = {
    {SIM_TEXT("type"), SIM_STRING},
    {SIM_TEXT("format"), SIM_STRING},
    {SIM_TEXT("title"), SIM_STRING},
    {SIM_TEXT("description"), SIM_STRING},
    {SIM_TEXT("nullable"), SIM_BOOL},
    {SIM_TEXT("enum"), SIM_ARRAY},
    {SIM_TEXT("items"), SIM_OBJECT},
    {SIM_TEXT("prefixItems"), SIM_ARRAY},
    {SIM_TEXT("minItems"), SIM_NUMBER | SIM_STRING},
    {SIM_TEXT("maxItems"), SIM_NUMBER | SIM_STRING},
    {SIM_TEXT("properties"), SIM_OBJECT},
    {SIM_TEXT("required"), SIM_ARRAY},
    {SIM_TEXT("propertyOrdering"), SIM_ARRAY},
    {SIM_TEXT("minProperties"), SIM_NUMBER | SIM_STRING},
    {SIM_TEXT("maxProperties"), SIM_NUMBER | SIM_STRING},
    {SIM_TEXT("minimum"), SIM_NUMBER},
    {SIM_TEXT("maximum"), SIM_NUMBER},
    {SIM_TEXT("minLength"), SIM_NUMBER | SIM_STRING},
    {SIM_TEXT("maxLength"), SIM_NUMBER | SIM_STRING},
    {SIM_TEXT("pattern"), SIM_STRING},
    {SIM_TEXT("anyOf"), SIM_ARRAY},
    {SIM_TEXT("default"), SIM_ANY},
    {SIM_TEXT("example"), SIM_ANY},
    {SIM_TEXT("additionalProperties"), SIM_BOOL | SIM_OBJECT},
    {SIM_TEXT("$ref"), SIM_STRING},
    {SIM_TEXT("$defs"), SIM_OBJECT},
};

static bool check_schema(struct sim_reading *reading, dr_json schema, const char *path,
                         uint32_t depth) {
    static const char *const holders[] = {"properties", "anyOf", "$defs"};
    struct dr_json_iter iter;
    if (depth == SCHEMA_DEPTH_MAX) {
        return sim_complain(reading, "'%s': schema exceeds maximum allowed nesting depth", path);
    }
    if (!sim_generate_check(reading, schema, path, SIM_MEMBERS(schema_members))) return false;
    for (size_t i = 0; i < sizeof holders / sizeof holders[0]; i++) {
        dr_json_iter_init(&iter, member(schema, holders[i]));
        while (dr_json_iter_next(&iter)) {
            if (!check_schema(reading, iter.value, path, depth + 1)) return false;
        }
    }
    dr_json items = member(schema, "items");
    return !items || check_schema(reading, items, path, depth + 1);
}

/* --- tools --- */

static bool is_tool_name(dr_slice name) {
    if (name.len == 0 || name.len > TOOL_NAME_BYTES_MAX) return false;
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.data[i];
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        const bool is_other = (c >= '0' && c <= '9') || c == '.' || c == ':' || c == '-';
        if (!is_letter && (i == 0 || !is_other)) return false;
    }
    return true;
}

static bool read_declaration(struct sim_reading *reading, dr_json declaration, const char *path) {
    static const struct sim_member members[] = {
        {SIM_TEXT("name"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("description"), SIM_STRING},
        {SIM_TEXT("parameters"), SIM_OBJECT},
        {SIM_TEXT("parametersJsonSchema"), SIM_OBJECT},
        {SIM_TEXT("response"), SIM_OBJECT},
        {SIM_TEXT("responseJsonSchema"), SIM_OBJECT},
        {SIM_TEXT("behavior"), SIM_STRING},
    };
    char parameters_path[PATH_BYTES + 16];
    dr_json parameters = member(declaration, "parameters");
    dr_json schema = member(declaration, "parametersJsonSchema");
    if (!sim_generate_check(reading, declaration, path, SIM_MEMBERS(members))) return false;
    (void)snprintf(parameters_path, sizeof parameters_path, "%s.parameters", path);
    if (parameters && !check_schema(reading, parameters, parameters_path, 0)) return false;
    if (parameters && schema) {
        return sim_complain(reading,
                            "'%s': parameters and parameters_json_schema exclude each "
                            "other",
                            path);
    }
    if (!is_tool_name(sim_generate_text(declaration, "name"))) {
        return sim_complain(
            reading,
            "* GenerateContentRequest.%s.name: Invalid function name. Must start with a letter or "
            "an underscore. Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), "
            "colons (:), or dashes (-), with a maximum length of 64.\n",
            path);
    }
    if (sim_ask_find_tool(reading->ask, sim_generate_text(declaration, "name")) < SIM_TOOLS_MAX) {
        return sim_complain(reading, "Duplicate function declaration found: %.*s",
                            DR_FMT(sim_generate_text(declaration, "name")));
    }
    if (sim_ask_add_tool(reading->ask, sim_generate_text(declaration, "name"),
                         schema ? schema : parameters)) {
        return true;
    }
    return sim_complain(reading, "'%s': at most %d function declarations", path, SIM_TOOLS_MAX);
}

static bool read_tools(struct sim_reading *reading) {
    static const struct sim_member members[] = {
        {SIM_TEXT("functionDeclarations"), SIM_ARRAY | SIM_OBJECT},
        {SIM_TEXT("googleSearch"), SIM_OBJECT},
        {SIM_TEXT("googleSearchRetrieval"), SIM_OBJECT},
        {SIM_TEXT("codeExecution"), SIM_OBJECT},
        {SIM_TEXT("urlContext"), SIM_OBJECT},
        {SIM_TEXT("fileSearch"), SIM_OBJECT},
        {SIM_TEXT("computerUse"), SIM_OBJECT},
        {SIM_TEXT("googleMaps"), SIM_OBJECT},
        {SIM_TEXT("retrieval"), SIM_OBJECT},
        {SIM_TEXT("enterpriseWebSearch"), SIM_OBJECT},
    };
    struct sim_generate_list tools;
    sim_generate_list_init(&tools, member(reading->root, "tools"));
    for (size_t i = 0; sim_generate_list_next(&tools); i++) {
        struct sim_generate_list declarations;
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof path, "tools[%zu]", i);
        if (!sim_generate_check(reading, tools.value, path, SIM_MEMBERS(members))) return false;
        sim_generate_list_init(&declarations, member(tools.value, "functionDeclarations"));
        for (size_t k = 0; sim_generate_list_next(&declarations); k++) {
            (void)snprintf(path, sizeof path, "tools[%zu].function_declarations[%zu]", i, k);
            if (!read_declaration(reading, declarations.value, path)) return false;
        }
    }
    if (reading->ask->tool_count > 0) reading->ask->tool_use = SIM_TOOL_USE_AUTO;
    return true;
}

static bool read_allowed_names(struct sim_reading *reading, dr_json names, bool may_have_names) {
    struct sim_ask *ask = reading->ask;
    struct dr_json_iter iter;
    bool is_first = true;
    if (dr_json_count(names) == 0) return true;
    if (!may_have_names) {
        return sim_complain(
            reading, "Allowed function names should be set only when the function calling mode is "
                     "ANY.");
    }
    dr_json_iter_init(&iter, names);
    while (dr_json_iter_next(&iter)) {
        const size_t found = sim_ask_find_tool(ask, dr_json_text(iter.value));
        if (found == SIM_TOOLS_MAX) {
            return sim_complain(
                reading,
                "tool_config.function_calling_config.allowed_function_names: \"%.*s\" is not among "
                "the function_declarations",
                DR_FMT(dr_slice_first(dr_json_text(iter.value), 64)));
        }
        if (is_first) ask->first_tool = found;
        is_first = false;
    }
    if (dr_json_count(names) == 1) ask->tool_use = SIM_TOOL_USE_NAMED;
    return true;
}

static bool read_calling(struct sim_reading *reading, dr_json calling) {
    static const struct sim_member members[] = {
        {SIM_TEXT("mode"), SIM_STRING},
        {SIM_TEXT("allowedFunctionNames"), SIM_ARRAY},
        {SIM_TEXT("streamFunctionCallArguments"), SIM_BOOL},
    };
    struct sim_ask *ask = reading->ask;
    const dr_slice mode = sim_generate_text(calling, "mode");
    const bool is_any = dr_slice_is(mode, DR_LIT("ANY"));
    const bool is_validated = dr_slice_is(mode, DR_LIT("VALIDATED"));
    const bool is_none = dr_slice_is(mode, DR_LIT("NONE"));
    const bool is_auto = !mode.data || dr_slice_is(mode, DR_LIT("AUTO")) ||
                         dr_slice_is(mode, DR_LIT("MODE_UNSPECIFIED"));
    if (!calling) return true;
    if (!sim_generate_check(reading, calling, "tool_config.function_calling_config",
                            SIM_MEMBERS(members))) {
        return false;
    }
    if (!is_any && !is_validated && !is_none && !is_auto) {
        return sim_complain(
            reading, "Invalid value at 'tool_config.function_calling_config.mode' (%s), \"%.*s\"",
            "type.googleapis.com/google.ai.generativelanguage.v1beta.FunctionCallingConfig.Mode",
            DR_FMT(dr_slice_first(mode, 40)));
    }
    if (ask->tool_count == 0) {
        if (is_none || is_auto) return true;
        return sim_complain(reading, "Function calling config is set without "
                                     "function_declarations.");
    }
    if (is_any) ask->tool_use = SIM_TOOL_USE_REQUIRED;
    if (is_none) ask->tool_use = SIM_TOOL_USE_NONE;
    return read_allowed_names(reading, member(calling, "allowedFunctionNames"),
                              is_any || is_validated);
}

static bool read_tool_config(struct sim_reading *reading) {
    static const struct sim_member members[] = {
        {SIM_TEXT("functionCallingConfig"), SIM_OBJECT},
        {SIM_TEXT("retrievalConfig"), SIM_OBJECT},
        {SIM_TEXT("includeServerSideToolInvocations"), SIM_BOOL},
    };
    dr_json config = member(reading->root, "toolConfig");
    if (!config) return true;
    return sim_generate_check(reading, config, "tool_config", SIM_MEMBERS(members)) &&
           read_calling(reading, member(config, "functionCallingConfig"));
}

/* --- generationConfig --- */

/* Whole numbers may come as 40, 40.0 or "40". */
static bool to_count(dr_json value, uint64_t *ret) {
    double number = 0;
    if (dr_json_to_u64(value, ret) || dr_slice_to_u64(dr_json_text(value), ret)) return true;
    if (!dr_json_to_double(value, &number) || number < 0 || number > 1e15) return false;
    *ret = (uint64_t)number;
    return (double)*ret == number;
}

static bool read_count(struct sim_reading *reading, dr_json config, const char *name,
                       uint64_t least, uint64_t most, uint64_t *ret) {
    dr_json value = member(config, name);
    uint64_t count = 0;
    if (!value) return true;
    if (!to_count(value, &count) || count < least || count > most) {
        return sim_complain(reading,
                            "Invalid value at 'generation_config.%s': must be a whole "
                            "number from %llu to %llu",
                            name, (unsigned long long)least, (unsigned long long)most);
    }
    *ret = count;
    return true;
}

static bool check_number(struct sim_reading *reading, dr_json config, const char *name,
                         double least, double most) {
    dr_json value = member(config, name);
    double number = 0;
    if (!value || (dr_json_to_double(value, &number) && number >= least && number <= most)) {
        return true;
    }
    return sim_complain(reading,
                        "* GenerateContentRequest.generation_config.%s: must be in the "
                        "range [%g, %g]\n",
                        name, least, most);
}

/* Zero penalizes nothing and is let pass. */
static bool check_penalty(struct sim_reading *reading, dr_json config, const char *name) {
    const dr_slice model = reading->ask->model;
    double number = 0;
    if (!check_number(reading, config, name, -2, 2)) return false;
    (void)dr_json_to_double(member(config, name), &number);
    if (number == 0 ||
        (!dr_slice_starts(model, DR_LIT("gemini-2.5")) && !sim_generate_is_third(model))) {
        return true;
    }
    return sim_complain(reading, "Penalty is not enabled for models/%.*s",
                        DR_FMT(dr_slice_first(model, 64)));
}

static bool read_counts(struct sim_reading *reading, dr_json config) {
    struct sim_ask *ask = reading->ask;
    uint64_t choices = 1;
    uint64_t top = 0;
    uint64_t top_k = 0;
    dr_json seed = member(config, "seed");
    int64_t number = 0;
    if (!read_count(reading, config, "candidateCount", 1, CHOICES_MAX, &choices) ||
        !read_count(reading, config, "maxOutputTokens", 1, INT32_MAX, &ask->tokens_max) ||
        !read_count(reading, config, "logprobs", 0, LOGPROBS_MAX, &top) ||
        !read_count(reading, config, "topK", 0, INT32_MAX, &top_k)) {
        return false;
    }
    if (seed && (!dr_json_to_i64(seed, &number) || number < INT32_MIN || number > INT32_MAX)) {
        return sim_complain(reading, "Invalid value at 'generation_config.seed' (TYPE_INT32)");
    }
    ask->wants_logprobs = dr_json_bool(member(config, "responseLogprobs"));
    if (member(config, "logprobs") && !ask->wants_logprobs) {
        return sim_complain(reading,
                            "generation_config.logprobs is set without response_logprobs = true");
    }
    ask->choice_count = (uint32_t)choices;
    ask->top_logprobs = (uint32_t)top;
    return true;
}

static bool read_stops(struct sim_reading *reading, dr_json config) {
    struct sim_ask *ask = reading->ask;
    dr_json stops = member(config, "stopSequences");
    struct dr_json_iter iter;
    if (dr_json_count(stops) > STOPS_MAX) {
        return sim_complain(reading, "* GenerateContentRequest.generation_config.stop_sequences: "
                                     "at most 5 stop sequences\n");
    }
    dr_json_iter_init(&iter, stops);
    while (dr_json_iter_next(&iter)) {
        const dr_slice stop = dr_json_text(iter.value);
        if (stop.len == 0) {
            return sim_complain(
                reading, "Invalid value at 'generation_config.stop_sequences': expected texts");
        }
        ask->stops[ask->stop_count++] = stop;
    }
    return true;
}

static bool read_schemas(struct sim_reading *reading, dr_json config, bool is_json) {
    struct sim_ask *ask = reading->ask;
    dr_json schema = member(config, "responseSchema");
    dr_json json_schema = member(config, "responseJsonSchema");
    if (schema && json_schema) {
        return sim_complain(reading, "response_schema and response_json_schema exclude each other");
    }
    if (!schema && !json_schema) return true;
    if (!is_json) {
        return sim_complain(
            reading, "* GenerateContentRequest.generation_config.response_schema: only allowed "
                     "when response_mime_type is application/json\n");
    }
    if (schema && !check_schema(reading, schema, "generation_config.response_schema", 0)) {
        return false;
    }
    ask->format = SIM_FORMAT_SCHEMA;
    ask->schema = schema ? schema : json_schema;
    return true;
}

static bool read_format(struct sim_reading *reading, dr_json config) {
    struct sim_ask *ask = reading->ask;
    const dr_slice type = sim_generate_text(config, "responseMimeType");
    const bool is_json = dr_slice_is(type, DR_LIT("application/json"));
    if (type.data && !is_json && !dr_slice_is(type, DR_LIT("text/plain")) &&
        !dr_slice_is(type, DR_LIT("text/x.enum"))) {
        return sim_complain(reading, "* GenerateContentRequest.generation_config."
                                     "response_mime_type: allowed mimetypes are `text/plain`, "
                                     "`application/json` and `text/x.enum`.\n");
    }
    if (is_json && ask->tool_count > 0 && !sim_generate_is_third(ask->model)) {
        return sim_complain(reading, "Function calling with a response mime type: "
                                     "'application/json' is unsupported");
    }
    if (is_json) ask->format = SIM_FORMAT_JSON;
    return read_schemas(reading, config, is_json);
}

static bool read_level(struct sim_reading *reading, dr_slice level) {
    char word[8];
    if (level.len < sizeof word) {
        for (size_t i = 0; i < level.len; i++) {
            const char c = level.data[i];
            word[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        }
        const dr_slice lower = dr_slice_of(word, level.len);
        if (!dr_slice_is(lower, DR_LIT("none")) && !dr_slice_is(lower, DR_LIT("max")) &&
            !dr_slice_is(lower, DR_LIT("xhigh")) && sim_ask_set_effort(reading->ask, lower)) {
            return true;
        }
    }
    return sim_complain(
        reading, "Invalid value at 'generation_config.thinking_config.thinking_level': \"%.*s\"",
        DR_FMT(dr_slice_first(level, 40)));
}

/* -1 leaves it to the model; 0 turns thinking off, but for Pro. */
static bool check_budget(struct sim_reading *reading, dr_json budget, int64_t *ret_tokens) {
    const dr_slice model = reading->ask->model;
    const bool is_pro = dr_slice_starts(model, DR_LIT("gemini-2.5-pro"));
    const bool is_lite = dr_slice_starts(model, DR_LIT("gemini-2.5-flash-lite"));
    const bool is_flash = dr_slice_starts(model, DR_LIT("gemini-2.5-flash"));
    const int64_t least = is_pro ? 128 : is_lite ? 512 : 0;
    const int64_t most = is_flash ? 24576 : 32768;
    if (dr_json_to_i64(budget, ret_tokens)) {
        if (*ret_tokens >= least && *ret_tokens <= most) return true;
        if (*ret_tokens == -1 || (*ret_tokens == 0 && !is_pro)) return true;
    }
    return sim_complain(reading,
                        "The thinking budget %.*s is invalid. Please choose a value between %lld "
                        "and %lld.",
                        DR_FMT(dr_slice_first(dr_json_number_text(budget), 24)), (long long)least,
                        (long long)most);
}

static bool read_thinking(struct sim_reading *reading, dr_json config) {
    static const struct sim_member members[] = {
        {SIM_TEXT("includeThoughts"), SIM_BOOL},
        {SIM_TEXT("thinkingBudget"), SIM_NUMBER},
        {SIM_TEXT("thinkingLevel"), SIM_STRING},
    };
    struct sim_ask *ask = reading->ask;
    dr_json thinking = member(config, "thinkingConfig");
    dr_json budget = member(thinking, "thinkingBudget");
    dr_json level = member(thinking, "thinkingLevel");
    int64_t tokens = 0;
    if (!thinking) return true;
    if (!sim_generate_check(reading, thinking, "generation_config.thinking_config",
                            SIM_MEMBERS(members))) {
        return false;
    }
    if (budget && level) {
        return sim_complain(reading, "You can only set only one of thinking budget and thinking "
                                     "level.");
    }
    if (dr_json_bool(member(thinking, "includeThoughts"))) ask->thoughts = SIM_THOUGHTS_SHOWN;
    if (level) return read_level(reading, dr_json_text(level));
    if (budget && !check_budget(reading, budget, &tokens)) return false;
    /* Without a number, and for -1, the model decides. */
    sim_ask_set_budget(ask, budget && tokens >= 0 ? (uint64_t)tokens : 8192);
    return true;
}

static bool read_config(struct sim_reading *reading) {
    static const struct sim_member members[] = {
        {SIM_TEXT("temperature"), SIM_NUMBER},
        {SIM_TEXT("topP"), SIM_NUMBER},
        {SIM_TEXT("topK"), SIM_NUMBER},
        {SIM_TEXT("candidateCount"), SIM_NUMBER},
        {SIM_TEXT("maxOutputTokens"), SIM_NUMBER | SIM_STRING},
        {SIM_TEXT("stopSequences"), SIM_ARRAY},
        {SIM_TEXT("seed"), SIM_NUMBER},
        {SIM_TEXT("presencePenalty"), SIM_NUMBER},
        {SIM_TEXT("frequencyPenalty"), SIM_NUMBER},
        {SIM_TEXT("responseLogprobs"), SIM_BOOL},
        {SIM_TEXT("logprobs"), SIM_NUMBER},
        {SIM_TEXT("responseMimeType"), SIM_STRING},
        {SIM_TEXT("responseSchema"), SIM_OBJECT},
        {SIM_TEXT("responseJsonSchema"), SIM_OBJECT},
        {SIM_TEXT("responseModalities"), SIM_ARRAY},
        {SIM_TEXT("thinkingConfig"), SIM_OBJECT},
        {SIM_TEXT("mediaResolution"), SIM_STRING},
        {SIM_TEXT("speechConfig"), SIM_OBJECT},
        {SIM_TEXT("imageConfig"), SIM_OBJECT},
        {SIM_TEXT("audioTimestamp"), SIM_BOOL},
        {SIM_TEXT("enableEnhancedCivicAnswers"), SIM_BOOL},
    };
    dr_json config = member(reading->root, "generationConfig");
    if (!config) return true;
    return sim_generate_check(reading, config, "generation_config", SIM_MEMBERS(members)) &&
           check_number(reading, config, "temperature", 0, 2) &&
           check_number(reading, config, "topP", 0, 1) &&
           check_penalty(reading, config, "presencePenalty") &&
           check_penalty(reading, config, "frequencyPenalty") && read_counts(reading, config) &&
           read_stops(reading, config) && read_thinking(reading, config) &&
           read_format(reading, config);
}

/* --- the whole --- */

static bool read_members(struct sim_reading *reading) {
    static const struct sim_member members[] = {
        {SIM_TEXT("model"), SIM_STRING},
        {SIM_TEXT("contents"), SIM_ARRAY | SIM_OBJECT},
        {SIM_TEXT("systemInstruction"), SIM_OBJECT},
        {SIM_TEXT("tools"), SIM_ARRAY | SIM_OBJECT},
        {SIM_TEXT("toolConfig"), SIM_OBJECT},
        {SIM_TEXT("generationConfig"), SIM_OBJECT},
        {SIM_TEXT("safetySettings"), SIM_ARRAY | SIM_OBJECT},
        {SIM_TEXT("cachedContent"), SIM_STRING},
        {SIM_TEXT("labels"), SIM_OBJECT},
        {SIM_TEXT("serviceTier"), SIM_STRING},
        {SIM_TEXT("modelArmorConfig"), SIM_OBJECT},
        {SIM_TEXT("store"), SIM_BOOL},
    };
    return sim_generate_check(reading, reading->root, "", SIM_MEMBERS(members));
}

static bool read_safety(struct sim_reading *reading) {
    static const struct sim_member members[] = {
        {SIM_TEXT("category"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("threshold"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("method"), SIM_STRING},
    };
    struct sim_generate_list settings;
    sim_generate_list_init(&settings, member(reading->root, "safetySettings"));
    while (sim_generate_list_next(&settings)) {
        if (!sim_generate_check(reading, settings.value, "safety_settings", SIM_MEMBERS(members))) {
            return false;
        }
    }
    return true;
}

enum dr_status sim_generate_read(dr_json root, struct sim_ask *ask, struct sim_scratch *scratch,
                                 struct sim_complaint *complaint) {
    struct sim_reading reading = {
        .ask = ask, .scratch = scratch, .complaint = complaint, .root = root};
    if (!dr_json_is(root, DR_JSON_OBJECT)) {
        (void)sim_complain(&reading, "Invalid JSON payload received. Root is not an object.");
        return DR_INVALID;
    }
    ask->includes_usage = true;
    const bool is_read = read_members(&reading) && sim_generate_read_turns(&reading) &&
                         read_tools(&reading) && read_tool_config(&reading) &&
                         read_config(&reading) && read_safety(&reading);
    return is_read ? DR_OK : DR_INVALID;
}
