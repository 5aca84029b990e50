/* Anthropic's chat request, read by code of the simulation's own: an independent witness of what
 * the gateway sends. Must not share code with the gateway's dialects, nor answer anything.
 *
 * Sources: "Messages", "Extended thinking", "Adaptive thinking", "Structured outputs", "Implement
 * tool use"; the official SDK's types; recorded requests and refusals. */
#include "sim/messages_ask.h"

#include "sim/messages_turns.h"

#include <stdio.h>

enum { TOOL_NAME_BYTES_MAX = 128, BUDGET_MIN = 1024, SCHEMA_DEPTH_MAX = 32, PATH_BYTES = 96 };

/* The member's value; NULL where it is absent or null. */
static dr_json member(dr_json object, const char *name) {
    dr_json value = dr_json_member(object, dr_slice_text(name));
    return dr_json_is(value, DR_JSON_NULL) ? NULL : value;
}

/* --- tools --- */

static bool is_closed_schema(dr_json schema, uint32_t depth);

static bool read_own_tool(struct sim_reading *reading, dr_json tool, const char *path) {
    static const struct sim_member members[] = {
        {SIM_TEXT("name"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("description"), SIM_STRING | SIM_NULL},
        {SIM_TEXT("input_schema"), SIM_OBJECT | SIM_REQUIRED},
        {SIM_TEXT("strict"), SIM_BOOL | SIM_NULL},
        {SIM_TEXT("type"), SIM_STRING | SIM_NULL},
        {SIM_TEXT("cache_control"), SIM_OBJECT | SIM_NULL},
        {SIM_TEXT("input_examples"), SIM_ARRAY | SIM_NULL},
        {SIM_TEXT("eager_input_streaming"), SIM_BOOL | SIM_NULL},
        {SIM_TEXT("defer_loading"), SIM_BOOL | SIM_NULL},
        {SIM_TEXT("allowed_callers"), SIM_ARRAY | SIM_NULL},
    };
    if (!sim_messages_check(reading, tool, path, SIM_MEMBERS(members))) return false;
    const dr_slice type = sim_messages_text(member(tool, "input_schema"), "type");
    if (!dr_slice_is(type, DR_LIT("object"))) {
        return sim_complain(reading, "%s.input_schema.type: %s", path,
                            type.data ? "Input should be 'object'" : "Field required");
    }
    dr_json schema = member(tool, "input_schema");
    if (member(schema, "oneOf") || member(schema, "anyOf") || member(schema, "allOf")) {
        return sim_complain(reading,
                            "%s.input_schema: input_schema does not support oneOf, allOf, or anyOf "
                            "at the top level",
                            path);
    }
    if (dr_json_bool(member(tool, "strict")) && !is_closed_schema(schema, 0)) {
        return sim_complain(reading,
                            "%s: For 'object' type, 'additionalProperties' must be explicitly set "
                            "to false",
                            path);
    }
    return sim_messages_read_cache_mark(reading, tool, path);
}

static bool read_tool(struct sim_reading *reading, dr_json tool, size_t index) {
    const dr_slice type = sim_messages_text(tool, "type");
    const dr_slice name = sim_messages_text(tool, "name");
    const bool is_own = !type.data || dr_slice_is(type, DR_LIT("custom"));
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, is_own ? "tools.%zu.custom" : "tools.%zu", index);
    if (is_own && !read_own_tool(reading, tool, path)) return false;
    if (!sim_shape_is_word(name, TOOL_NAME_BYTES_MAX)) {
        return sim_complain(reading,
                            "%s.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'", path);
    }
    if (sim_ask_find_tool(reading->ask, name) < SIM_TOOLS_MAX) {
        return sim_complain(reading, "tools: Tool names must be unique.");
    }
    /* Tools that Anthropic runs itself are not called here. */
    if (!is_own) return true;
    if (sim_ask_add_tool(reading->ask, name, member(tool, "input_schema"))) return true;
    return sim_complain(reading, "tools: more than the simulation counts");
}

static bool read_tools(struct sim_reading *reading) {
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, member(reading->root, "tools"));
    for (size_t i = 0; dr_json_iter_next(&iter); i++) {
        if (!read_tool(reading, iter.value, i)) return false;
    }
    if (reading->ask->tool_count > 0) reading->ask->tool_use = SIM_TOOL_USE_AUTO;
    return true;
}

static bool read_named_choice(struct sim_reading *reading, dr_json choice) {
    const dr_slice name = sim_messages_text(choice, "name");
    reading->ask->first_tool = sim_ask_find_tool(reading->ask, name);
    reading->ask->tool_use = SIM_TOOL_USE_NAMED;
    if (reading->ask->first_tool < SIM_TOOLS_MAX) return true;
    if (!name.data) {
        return sim_complain(reading, "tool_choice.tool.name: Field required");
    }
    return sim_complain(reading, "tool_choice: Tool '%.*s' not found in provided tools",
                        DR_FMT(dr_slice_first(name, 64)));
}

static bool read_tool_choice(struct sim_reading *reading) {
    static const struct sim_member members[] = {
        {SIM_TEXT("type"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("disable_parallel_tool_use"), SIM_BOOL},
    };
    static const struct sim_member named_members[] = {
        {SIM_TEXT("type"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("disable_parallel_tool_use"), SIM_BOOL},
        {SIM_TEXT("name"), SIM_STRING | SIM_REQUIRED},
    };
    static const struct sim_member none_members[] = {
        {SIM_TEXT("type"), SIM_STRING | SIM_REQUIRED},
    };
    struct sim_ask *ask = reading->ask;
    dr_json choice = member(reading->root, "tool_choice");
    const dr_slice type = sim_messages_text(choice, "type");
    if (!choice) return true;
    if (dr_json_count(member(reading->root, "tools")) == 0) {
        return sim_complain(
            reading, "tool_choice: `tool_choice` may only be specified while providing `tools`.");
    }
    ask->is_parallel = !dr_json_bool(member(choice, "disable_parallel_tool_use"));
    if (dr_slice_is(type, DR_LIT("tool"))) {
        return sim_messages_check(reading, choice, "tool_choice.tool",
                                  SIM_MEMBERS(named_members)) &&
               read_named_choice(reading, choice);
    }
    if (dr_slice_is(type, DR_LIT("none"))) {
        ask->tool_use = SIM_TOOL_USE_NONE;
        return sim_messages_check(reading, choice, "tool_choice.none", SIM_MEMBERS(none_members));
    }
    if (dr_slice_is(type, DR_LIT("any"))) {
        ask->tool_use = SIM_TOOL_USE_REQUIRED;
        return sim_messages_check(reading, choice, "tool_choice.any", SIM_MEMBERS(members));
    }
    if (dr_slice_is(type, DR_LIT("auto"))) {
        return sim_messages_check(reading, choice, "tool_choice.auto", SIM_MEMBERS(members));
    }
    return sim_complain(reading,
                        "tool_choice: Input tag '%.*s' found using 'type' does "
                        "not match any of the expected tags",
                        DR_FMT(dr_slice_first(type, 40)));
}

/* --- system --- */

static bool read_system(struct sim_reading *reading) {
    static const struct sim_member members[] = {
        {SIM_TEXT("type"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("text"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("citations"), SIM_ARRAY | SIM_NULL},
        {SIM_TEXT("cache_control"), SIM_OBJECT | SIM_NULL},
    };
    struct sim_ask *ask = reading->ask;
    dr_json system = member(reading->root, "system");
    const dr_slice whole = dr_json_text(system);
    const uint64_t before = ask->talk.prompt_tokens;
    if (whole.len > 0) sim_ask_note_system(ask, reading->scratch, whole);
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, system);
    for (size_t i = 0; dr_json_iter_next(&iter); i++) {
        char path[PATH_BYTES];
        const dr_slice text = sim_messages_text(iter.value, "text");
        (void)snprintf(path, sizeof path, "system.%zu", i);
        if (!sim_messages_check(reading, iter.value, path, SIM_MEMBERS(members))) return false;
        if (!dr_slice_is(sim_messages_text(iter.value, "type"), DR_LIT("text"))) {
            return sim_complain(reading, "%s.type: Input should be 'text'", path);
        }
        if (text.len == 0) {
            return sim_complain(reading, "system: text content blocks must be non-empty");
        }
        if (sim_shape_is_blank(text)) {
            return sim_complain(reading,
                                "system: text content blocks must contain non-whitespace text");
        }
        if (!sim_messages_read_cache_mark(reading, iter.value, path)) return false;
        sim_ask_note_system(ask, reading->scratch, text);
    }
    if (ask->talk.prompt_tokens > before) sim_talk_note_message(&ask->talk, SIM_ROLE_SYSTEM);
    return true;
}

/* --- thinking and formats --- */

static bool check_temperature(struct sim_reading *reading) {
    dr_json temperature = member(reading->root, "temperature");
    double number = 1;
    if (!temperature || (dr_json_to_double(temperature, &number) && number == 1)) return true;
    return sim_complain(reading, "`temperature` may only be set to 1 when thinking is enabled or "
                                 "in adaptive mode.");
}

static bool read_budget(struct sim_reading *reading, dr_json thinking) {
    uint64_t budget = 0;
    dr_json choice = member(reading->root, "tool_choice");
    const dr_slice forced = sim_messages_text(choice, "type");
    if (!dr_json_to_u64(member(thinking, "budget_tokens"), &budget)) {
        return sim_complain(reading, "thinking.enabled.budget_tokens: Field required");
    }
    if (budget < BUDGET_MIN) {
        return sim_complain(reading, "thinking.enabled.budget_tokens: Input should be "
                                     "greater than or equal to 1024");
    }
    if (budget >= reading->ask->tokens_max) {
        return sim_complain(reading, "`max_tokens` must be greater than `thinking.budget_tokens`.");
    }
    if (dr_slice_is(forced, DR_LIT("any")) || dr_slice_is(forced, DR_LIT("tool"))) {
        return sim_complain(reading, "Thinking may not be enabled when tool_choice forces tool "
                                     "use.");
    }
    if (!check_temperature(reading)) return false;
    if (member(reading->root, "top_k")) {
        return sim_complain(reading, "`top_k` must be unset when thinking is enabled.");
    }
    reading->thinks = true;
    sim_ask_set_budget(reading->ask, budget);
    return true;
}

static bool read_thinking(struct sim_reading *reading) {
    static const struct sim_member enabled[] = {
        {SIM_TEXT("type"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("budget_tokens"), SIM_NUMBER | SIM_REQUIRED},
        {SIM_TEXT("display"), SIM_STRING | SIM_NULL},
    };
    static const struct sim_member adaptive[] = {
        {SIM_TEXT("type"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("display"), SIM_STRING | SIM_NULL},
    };
    static const struct sim_member disabled[] = {
        {SIM_TEXT("type"), SIM_STRING | SIM_REQUIRED},
    };
    dr_json thinking = member(reading->root, "thinking");
    const dr_slice type = sim_messages_text(thinking, "type");
    const dr_slice display = sim_messages_text(thinking, "display");
    if (!thinking) return true;
    if (display.data && !dr_slice_is(display, DR_LIT("summarized")) &&
        !dr_slice_is(display, DR_LIT("omitted"))) {
        return sim_complain(reading, "thinking.display: Input should be 'summarized' or 'omitted'");
    }
    reading->ask->thoughts =
        dr_slice_is(display, DR_LIT("omitted")) ? SIM_THOUGHTS_SEALED : SIM_THOUGHTS_SHOWN;
    if (dr_slice_is(type, DR_LIT("enabled"))) {
        return sim_messages_check(reading, thinking, "thinking.enabled", SIM_MEMBERS(enabled)) &&
               read_budget(reading, thinking);
    }
    if (dr_slice_is(type, DR_LIT("adaptive"))) {
        sim_ask_set_budget(reading->ask, 8192); /* until output_config tells otherwise */
        return sim_messages_check(reading, thinking, "thinking.adaptive", SIM_MEMBERS(adaptive)) &&
               check_temperature(reading);
    }
    if (dr_slice_is(type, DR_LIT("disabled"))) {
        return sim_messages_check(reading, thinking, "thinking.disabled", SIM_MEMBERS(disabled));
    }
    return sim_complain(
        reading,
        "thinking: Input tag '%.*s' found using 'type' does not match any of the expected "
        "tags: 'adaptive', 'disabled', 'enabled'",
        DR_FMT(dr_slice_first(type, 40)));
}

/* "additionalProperties must be set to false for objects", at every depth. */
static bool is_closed_schema(dr_json schema, uint32_t depth) {
    struct dr_json_iter iter;
    if (depth == SCHEMA_DEPTH_MAX) return true;
    dr_json open = member(schema, "additionalProperties");
    if (dr_slice_is(sim_messages_text(schema, "type"), DR_LIT("object")) &&
        (!dr_json_is(open, DR_JSON_BOOL) || dr_json_bool(open))) {
        return false;
    }
    static const char *const holders[] = {"properties", "$defs", "anyOf", "allOf"};
    for (size_t i = 0; i < sizeof holders / sizeof holders[0]; i++) {
        dr_json_iter_init(&iter, member(schema, holders[i]));
        while (dr_json_iter_next(&iter)) {
            if (!is_closed_schema(iter.value, depth + 1)) return false;
        }
    }
    dr_json items = member(schema, "items");
    return !items || is_closed_schema(items, depth + 1);
}

static bool read_format(struct sim_reading *reading, dr_json format) {
    static const struct sim_member members[] = {
        {SIM_TEXT("type"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("schema"), SIM_OBJECT | SIM_REQUIRED},
    };
    if (!format) return true;
    if (!sim_messages_check(reading, format, "output_config.format", SIM_MEMBERS(members))) {
        return false;
    }
    if (!dr_slice_is(sim_messages_text(format, "type"), DR_LIT("json_schema"))) {
        return sim_complain(reading, "output_config.format.type: Input should be 'json_schema'");
    }
    reading->ask->format = SIM_FORMAT_SCHEMA;
    reading->ask->schema = member(format, "schema");
    if (is_closed_schema(reading->ask->schema, 0)) return true;
    return sim_complain(reading, "output_config.format.schema: For 'object' type, "
                                 "'additionalProperties' must be explicitly set to false");
}

static bool read_output_config(struct sim_reading *reading) {
    static const struct sim_member members[] = {
        {SIM_TEXT("effort"), SIM_STRING | SIM_NULL},
        {SIM_TEXT("format"), SIM_OBJECT | SIM_NULL},
    };
    static const char *const efforts[] = {"low", "medium", "high", "xhigh", "max"};
    dr_json config = member(reading->root, "output_config");
    const dr_slice effort = sim_messages_text(config, "effort");
    const bool is_adaptive = dr_slice_is(
        sim_messages_text(member(reading->root, "thinking"), "type"), DR_LIT("adaptive"));
    bool is_known = !effort.data;
    if (!config) return true;
    if (!sim_messages_check(reading, config, "output_config", SIM_MEMBERS(members))) return false;
    for (size_t i = 0; i < sizeof efforts / sizeof efforts[0]; i++) {
        if (dr_slice_is(effort, dr_slice_text(efforts[i]))) is_known = true;
    }
    if (!is_known || (effort.data && is_adaptive && !sim_ask_set_effort(reading->ask, effort))) {
        return sim_complain(reading, "output_config.effort: Input should be 'low', "
                                     "'medium', 'high', 'xhigh' or 'max'");
    }
    return read_format(reading, member(config, "format"));
}

/* --- numbers and words --- */

static bool check_share(struct sim_reading *reading, const char *name) {
    dr_json value = member(reading->root, name);
    double number = 0;
    if (!value || (dr_json_to_double(value, &number) && number >= 0 && number <= 1)) return true;
    return sim_complain(reading, "%s: range: 0..1", name);
}

/* "claude-sonnet-4-5", and the dot that resellers write. */
static bool is_exclusive(dr_slice model) {
    return dr_slice_find(model, DR_LIT("4-5")) < model.len ||
           dr_slice_find(model, DR_LIT("4.5")) < model.len;
}

static bool read_numbers(struct sim_reading *reading) {
    struct sim_ask *ask = reading->ask;
    dr_json top_k = member(reading->root, "top_k");
    uint64_t count;
    if (!dr_json_to_u64(member(reading->root, "max_tokens"), &ask->tokens_max)) {
        return sim_complain(reading, "max_tokens: Input should be a valid integer");
    }
    if (top_k && !dr_json_to_u64(top_k, &count)) {
        return sim_complain(reading, "top_k: Input should be a valid integer");
    }
    if (!check_share(reading, "temperature") || !check_share(reading, "top_p")) return false;
    if (is_exclusive(ask->model) && member(reading->root, "temperature") &&
        member(reading->root, "top_p")) {
        return sim_complain(reading, "`temperature` and `top_p` cannot both be specified for this "
                                     "model. Please use only one.");
    }
    return true;
}

static bool read_stops(struct sim_reading *reading) {
    struct sim_ask *ask = reading->ask;
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, member(reading->root, "stop_sequences"));
    for (size_t i = 0; dr_json_iter_next(&iter); i++) {
        const dr_slice stop = dr_json_text(iter.value);
        if (!stop.data) {
            return sim_complain(reading, "stop_sequences.%zu: Input should be a string", i);
        }
        if (sim_shape_is_blank(stop)) {
            return sim_complain(reading,
                                "stop_sequences: each stop sequence must contain non-whitespace");
        }
        if (ask->stop_count == SIM_STOPS_MAX) {
            return sim_complain(reading, "stop_sequences: more than the simulation reads");
        }
        ask->stops[ask->stop_count++] = stop;
    }
    return true;
}

/* Who somebody is does not belong here. Digits alone are a customer's number. */
static bool check_user(struct sim_reading *reading, dr_slice user) {
    static const char advice[] = "Please send a uuid or hash value instead.";
    size_t digits = 0;
    size_t others = 0;
    for (size_t i = 0; i < user.len; i++) {
        const bool is_digit = user.data[i] >= '0' && user.data[i] <= '9';
        if (is_digit) digits++;
        if (!is_digit && !memchr("+-() .", user.data[i], 6)) others++;
    }
    const dr_slice domain = dr_slice_from(user, dr_slice_find_char(user, '@'));
    if (dr_slice_find_char(domain, '.') < domain.len) {
        return sim_complain(
            reading, "metadata.user_id: user_id appears to contain an email address. %s", advice);
    }
    if (digits < 7 || digits == user.len || others > 0) return true;
    return sim_complain(reading, "metadata.user_id: user_id appears to contain a phone number. %s",
                        advice);
}

static bool read_rest(struct sim_reading *reading) {
    static const struct sim_member members[] = {
        {SIM_TEXT("user_id"), SIM_STRING | SIM_NULL},
    };
    dr_json metadata = member(reading->root, "metadata");
    const dr_slice tier = sim_messages_text(reading->root, "service_tier");
    if (tier.data && !dr_slice_is(tier, DR_LIT("auto")) &&
        !dr_slice_is(tier, DR_LIT("standard_only"))) {
        return sim_complain(reading, "service_tier: Input should be 'auto' or 'standard_only'");
    }
    if (metadata && !sim_messages_check(reading, metadata, "metadata", SIM_MEMBERS(members))) {
        return false;
    }
    if (!check_user(reading, sim_messages_text(metadata, "user_id"))) return false;
    reading->ask->is_streamed = dr_json_bool(member(reading->root, "stream"));
    reading->ask->includes_usage = true;
    return sim_messages_read_cache_mark(reading, reading->root, "");
}

static bool read_members(struct sim_reading *reading) {
    static const struct sim_member members[] = {
        {SIM_TEXT("model"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("max_tokens"), SIM_NUMBER | SIM_REQUIRED},
        {SIM_TEXT("messages"), SIM_ARRAY | SIM_REQUIRED},
        {SIM_TEXT("system"), SIM_STRING | SIM_ARRAY},
        {SIM_TEXT("stream"), SIM_BOOL | SIM_NULL},
        {SIM_TEXT("temperature"), SIM_NUMBER},
        {SIM_TEXT("top_p"), SIM_NUMBER},
        {SIM_TEXT("top_k"), SIM_NUMBER},
        {SIM_TEXT("stop_sequences"), SIM_ARRAY},
        {SIM_TEXT("tools"), SIM_ARRAY},
        {SIM_TEXT("tool_choice"), SIM_OBJECT},
        {SIM_TEXT("thinking"), SIM_OBJECT},
        {SIM_TEXT("output_config"), SIM_OBJECT | SIM_NULL},
        {SIM_TEXT("metadata"), SIM_OBJECT | SIM_NULL},
        {SIM_TEXT("service_tier"), SIM_STRING},
        {SIM_TEXT("cache_control"), SIM_OBJECT | SIM_NULL},
        {SIM_TEXT("container"), SIM_STRING | SIM_OBJECT | SIM_NULL},
        {SIM_TEXT("inference_geo"), SIM_STRING | SIM_NULL},
        {SIM_TEXT("context_management"), SIM_OBJECT | SIM_NULL},
        {SIM_TEXT("mcp_servers"), SIM_ARRAY},
        {SIM_TEXT("speed"), SIM_STRING | SIM_NULL},
    };
    if (!sim_messages_check(reading, reading->root, "", SIM_MEMBERS(members))) return false;
    reading->ask->model = sim_messages_text(reading->root, "model");
    if (reading->ask->model.len > 0) return true;
    return sim_complain(reading, "model: String should have at least 1 character");
}

enum dr_status sim_messages_read(dr_json root, struct sim_ask *ask, struct sim_scratch *scratch,
                                 struct sim_complaint *complaint) {
    struct sim_reading reading = {
        .ask = ask, .scratch = scratch, .complaint = complaint, .root = root};
    if (!dr_json_is(root, DR_JSON_OBJECT)) {
        (void)sim_complain(&reading, "Input should be an object");
        return DR_INVALID;
    }
    const bool is_read = read_members(&reading) && read_numbers(&reading) &&
                         read_system(&reading) && read_tools(&reading) &&
                         read_tool_choice(&reading) && read_thinking(&reading) &&
                         sim_messages_read_turns(&reading) && read_output_config(&reading) &&
                         read_stops(&reading) && read_rest(&reading);
    return is_read ? DR_OK : DR_INVALID;
}
