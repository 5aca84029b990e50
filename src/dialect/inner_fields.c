/* What stands inside the fields of a request: which members are read on the way to another dialect.
 * Must not judge what becomes of them; that is for translation.c and the writers.
 *
 * Sources: OpenAI's API reference, where system messages hold text alone and a choice names a tool
 * that is offered; OpenRouter's page "Reasoning Tokens". */
#include "dialect/inner_fields.h"

#include "dialect/openai_shape.h"
#include "dialect/turns.h"

#include "base/utf8.h"

enum { BY_ANTHROPIC = 1, BY_GEMINI = 2, BY_BOTH = 3, SHOWN_BYTES_MAX = 40, PATH_BYTES_MAX = 128 };

struct level;

struct member {
    dr_slice name;
    unsigned readers;
    const struct level *inner; /* of the object, or of each object in the array; may be NULL */
};

struct level {
    const char *path;
    const struct member *members;
    size_t count;
};

#define TEXT_OF(name) \
    { name, sizeof(name) - 1 }
#define READ(name) \
    { TEXT_OF(name), BY_BOTH, NULL }
#define READ_BY(name, readers) \
    { TEXT_OF(name), readers, NULL }
#define HOLDS(name, level) \
    { TEXT_OF(name), BY_BOTH, &(level) }
#define LEVEL(path, members) \
    { path, members, sizeof(members) / sizeof((members)[0]) }

/* --- parts --- */

static const struct member image_members[] = {READ("url"), READ("detail")};
static const struct level image = LEVEL("messages.content.image_url", image_members);
static const struct member audio_members[] = {READ("data"), READ("format")};
static const struct level audio = LEVEL("messages.content.input_audio", audio_members);
static const struct member file_members[] = {READ("file_data"), READ("file_id"),
                                             READ_BY("filename", BY_ANTHROPIC)};
static const struct level file = LEVEL("messages.content.file", file_members);
static const struct member part_members[] = {
    READ("type"),
    READ("text"),
    READ("refusal"),
    READ("cache_control"),
    HOLDS("image_url", image),
    HOLDS("input_audio", audio),
    HOLDS("file", file),
};
static const struct level part = LEVEL("messages.content", part_members);

/* --- messages --- */

static const struct member called_members[] = {READ("name"), READ("arguments")};
static const struct level called = LEVEL("messages.tool_calls.function", called_members);
static const struct member custom_members[] = {READ("name"), READ("input")};
static const struct level custom = LEVEL("messages.tool_calls.custom", custom_members);
/* Clients that joined a stream keep the `index` of its pieces: the order says the same. */
static const struct member call_members[] = {
    READ("id"),
    READ("type"),
    READ("index"),
    READ("cache_control"),
    READ_BY("extra_content", BY_GEMINI),
    HOLDS("function", called),
    HOLDS("custom", custom),
};
static const struct level call = LEVEL("messages.tool_calls", call_members);
static const struct member older_members[] = {READ("name"), READ("arguments")};
static const struct level older = LEVEL("messages.function_call", older_members);

#define MESSAGE_MEMBERS \
    READ("role"), READ("name"), READ("refusal"), READ("cache_control"), HOLDS("content", part)
static const struct member message_members[] = {MESSAGE_MEMBERS};
static const struct level message = LEVEL("messages", message_members);
static const struct member result_members[] = {MESSAGE_MEMBERS, READ("tool_call_id")};
static const struct level result = LEVEL("messages", result_members);
static const struct member assistant_members[] = {
    MESSAGE_MEMBERS,   HOLDS("tool_calls", call), HOLDS("function_call", older),
    READ("reasoning"), READ("reasoning_content"), READ("reasoning_details"),
};
static const struct level assistant = LEVEL("messages", assistant_members);

/* --- the request --- */

static const struct member function_members[] = {
    READ("name"), READ("description"), READ("parameters"), READ("strict"), READ("cache_control")};
static const struct level function = LEVEL("tools.function", function_members);
static const struct level older_function = LEVEL("functions", function_members);
static const struct member tool_members[] = {READ("type"), READ("cache_control"),
                                             HOLDS("function", function)};
static const struct level tool = LEVEL("tools", tool_members);

static const struct member named_members[] = {READ("name")};
static const struct level named = LEVEL("tool_choice.function", named_members);
static const struct level older_choice = LEVEL("function_call", named_members);
static const struct member allowed_members[] = {READ("mode"), READ("tools")};
static const struct level allowed = LEVEL("tool_choice.allowed_tools", allowed_members);
static const struct member choice_members[] = {READ("type"), READ("name"), HOLDS("function", named),
                                               HOLDS("allowed_tools", allowed)};
static const struct level choice = LEVEL("tool_choice", choice_members);

/* A schema's name is a label that says nothing to the model. */
static const struct member schema_members[] = {READ("name"), READ("schema"), READ("strict")};
static const struct level schema = LEVEL("response_format.json_schema", schema_members);
static const struct member format_members[] = {READ("type"), HOLDS("json_schema", schema)};
static const struct level format = LEVEL("response_format", format_members);

static const struct member reasoning_members[] = {READ("effort"), READ("max_tokens"),
                                                  READ("enabled")};
static const struct level reasoning = LEVEL("reasoning", reasoning_members);
static const struct member thinking_members[] = {READ("type"), READ("budget_tokens")};
static const struct level thinking = LEVEL("thinking", thinking_members);
static const struct member stream_members[] = {READ("include_usage"), READ("include_obfuscation")};
static const struct level stream = LEVEL("stream_options", stream_members);

static const struct member root_members[] = {
    HOLDS("tools", tool),
    HOLDS("functions", older_function),
    HOLDS("tool_choice", choice),
    HOLDS("function_call", older_choice),
    HOLDS("response_format", format),
    HOLDS("reasoning", reasoning),
    HOLDS("thinking", thinking),
    HOLDS("stream_options", stream),
};

/* --- the walk --- */

struct walk {
    unsigned reader;
    struct loss *loss;
};

static bool asks_nothing(dr_json value) {
    switch (dr_json_kind(value)) {
    case DR_JSON_NULL: return true;
    case DR_JSON_BOOL: return !dr_json_bool(value);
    case DR_JSON_NUMBER:
    case DR_JSON_STRING: return false;
    case DR_JSON_ARRAY:
    case DR_JSON_OBJECT: return dr_json_count(value) == 0;
    }
    return false;
}

static void tell(const struct walk *walk, const struct level *level, dr_slice name) {
    char path[PATH_BYTES_MAX];

    (void)snprintf(path, sizeof path, "%s.%.*s", level->path, DR_FMT(dr_slice_first(name, 64)));
    loss_drop(walk->loss, dr_slice_text(path));
}

static const struct member *find_member(const struct walk *walk, const struct level *level,
                                        dr_slice name) {
    for (size_t i = 0; i < level->count; i++) {
        const struct member *member = &level->members[i];
        if ((member->readers & walk->reader) != 0 && dr_slice_is(member->name, name)) return member;
    }
    return NULL;
}

static void walk_value(const struct walk *walk, const struct level *level, dr_json value);

static void walk_object(const struct walk *walk, const struct level *level, dr_json object) {
    struct dr_json_iter iter;

    dr_json_iter_init(&iter, object);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        const struct member *member = find_member(walk, level, name);
        if (!member && !asks_nothing(iter.value)) tell(walk, level, name);
        if (member && member->inner) walk_value(walk, member->inner, iter.value);
    }
}

/* As deep as the levels are. */
static void walk_value(const struct walk *walk, const struct level *level, dr_json value) {
    struct dr_json_iter iter;

    if (dr_json_is(value, DR_JSON_OBJECT)) walk_object(walk, level, value);
    if (!dr_json_is(value, DR_JSON_ARRAY)) return;
    dr_json_iter_init(&iter, value);
    while (dr_json_iter_next(&iter)) {
        if (dr_json_is(iter.value, DR_JSON_OBJECT)) walk_object(walk, level, iter.value);
    }
}

static void walk_messages(const struct walk *walk, dr_json messages) {
    struct dr_json_iter iter;

    dr_json_iter_init(&iter, messages);
    while (dr_json_iter_next(&iter)) {
        const dr_slice role = dr_json_text(dr_json_member(iter.value, DR_LIT("role")));
        walk_object(walk,
                    dr_slice_is(role, DR_LIT("assistant")) ? &assistant
                    : dr_slice_is(role, DR_LIT("tool"))    ? &result
                                                           : &message,
                    iter.value);
    }
}

/* Google caches by itself. */
static void tell_cache_marks(const struct conversation *conversation, struct loss *loss) {
    for (size_t i = 0; i < conversation->message_count; i++) {
        const struct message *each = &conversation->messages[i];
        bool is_marked = false;
        for (size_t k = 0; k < each->part_count; k++) {
            if (each->parts[k].cache_control) is_marked = true;
        }
        for (size_t k = 0; k < each->call_count; k++) {
            if (each->calls[k].cache_control) is_marked = true;
        }
        if (is_marked) loss_drop(loss, DR_LIT("messages.cache_control"));
    }
}

/* --- values --- */

static bool check_effort(const struct conversation *conversation, struct loss *loss) {
    static const char *const words[] = {"none", "minimal", "low", "medium", "high", "xhigh", "max"};
    const dr_json own = dr_json_member(conversation->root, DR_LIT("reasoning_effort"));
    const dr_slice effort = conversation->reasoning_effort;

    if (effort.len == 0 || shape_is_word(effort, words, sizeof words / sizeof words[0])) {
        return true;
    }
    return loss_refuse(loss, dr_json_text(own).len > 0 ? "reasoning_effort" : "reasoning.effort",
                       "must be 'none', 'minimal', 'low', 'medium', 'high', 'xhigh' or 'max' for "
                       "this model, not '%.*s'",
                       DR_FMT(dr_utf8_first(effort, SHOWN_BYTES_MAX)));
}

/* What the check of a request in OpenAI's words, which has neither field, lets pass. */
static bool check_thinking(const struct conversation *conversation, struct loss *loss) {
    static const struct {
        dr_slice outer;
        dr_slice inner;
        const char *param;
        enum dr_json_kind kind;
        const char *expected;
    } rules[] = {
        {TEXT_OF("reasoning"), TEXT_OF("effort"), "reasoning.effort", DR_JSON_STRING, "a string"},
        {TEXT_OF("reasoning"), TEXT_OF("max_tokens"), "reasoning.max_tokens", DR_JSON_NUMBER,
         "an integer"},
        {TEXT_OF("reasoning"), TEXT_OF("enabled"), "reasoning.enabled", DR_JSON_BOOL, "a boolean"},
        {TEXT_OF("thinking"), TEXT_OF("type"), "thinking.type", DR_JSON_STRING, "a string"},
        {TEXT_OF("thinking"), TEXT_OF("budget_tokens"), "thinking.budget_tokens", DR_JSON_NUMBER,
         "an integer"},
    };
    uint64_t count;

    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const dr_json outer = dr_json_member(conversation->root, rules[i].outer);
        const dr_json inner = dr_json_member(outer, rules[i].inner);
        if (!shape_is_kind_or_absent(outer, DR_JSON_OBJECT)) {
            return loss_refuse(loss, rules[i].outer.data, "must be an object for this model");
        }
        if (shape_is_absent(inner)) continue;
        if (dr_json_is(inner, rules[i].kind) &&
            (rules[i].kind != DR_JSON_NUMBER || dr_json_to_u64(inner, &count))) {
            continue;
        }
        return loss_refuse(loss, rules[i].param, "must be %s for this model", rules[i].expected);
    }
    return check_effort(conversation, loss);
}

static bool check_choice(const struct conversation *conversation, struct loss *loss) {
    const bool is_named = conversation->tool_choice == TOOL_CHOICE_NAMED;
    const bool is_older =
        shape_is_absent(dr_json_member(conversation->root, DR_LIT("tool_choice")));

    if (!is_named && !conversation->allowed_tools) return true;
    for (size_t i = 0; i < conversation->tool_count; i++) {
        const struct conversation_tool *each = &conversation->tools[i];
        if (is_named ? dr_slice_is(each->name, conversation->chosen_tool)
                     : tool_is_allowed(conversation, each)) {
            return true;
        }
    }
    if (is_named) {
        return loss_refuse(loss, is_older ? "function_call.name" : "tool_choice.function.name",
                           "must be the name of a tool that is offered, not '%.*s'",
                           DR_FMT(dr_utf8_first(conversation->chosen_tool, SHOWN_BYTES_MAX)));
    }
    return loss_refuse(loss, "tool_choice.allowed_tools.tools",
                       "must name at least one tool that is offered");
}

static bool check_system(const struct conversation *conversation, struct loss *loss) {
    char path[PART_PATH_BYTES_MAX];

    for (size_t i = 0; i < conversation->message_count; i++) {
        const struct message *each = &conversation->messages[i];
        for (size_t k = 0; each->role == MESSAGE_SYSTEM && k < each->part_count; k++) {
            if (each->parts[k].kind == PART_TEXT) continue;
            return loss_refuse(loss, part_path(path, each, &each->parts[k], ".type"),
                               "must be 'text' in a system message");
        }
    }
    return true;
}

bool inner_fields_check(enum dialect dialect, const struct conversation *conversation,
                        struct loss *loss) {
    const struct walk walk = {dialect == DIALECT_GEMINI ? BY_GEMINI : BY_ANTHROPIC, loss};
    const dr_json root = conversation->root;

    walk_messages(&walk, dr_json_member(root, DR_LIT("messages")));
    for (size_t i = 0; i < sizeof root_members / sizeof root_members[0]; i++) {
        walk_value(&walk, root_members[i].inner, dr_json_member(root, root_members[i].name));
    }
    if (dialect == DIALECT_GEMINI) tell_cache_marks(conversation, loss);
    return check_system(conversation, loss) && check_thinking(conversation, loss) &&
           check_choice(conversation, loss);
}
