/* Gemini's contents, read as strictly as Gemini reads them. Must not read what stands beside them.
 *
 * Sources: "GenerateContent" (parts, exactly one thing each), "Function calling" (responses in one
 * content, as many as calls, in their order), "Thought signatures"; recorded requests and refusals.
 * What Google's own tools left behind is let through unread. */
#include "sim/generate_turns.h"

#include "sim/seal.h"

#include <stdio.h>

enum { PATH_BYTES = 128 };

dr_slice sim_generate_text(dr_json object, const char *name) {
    return dr_json_text(sim_shape_member(object, dr_slice_text(name)));
}

bool sim_generate_check(struct sim_reading *reading, dr_json object, const char *path,
                        const struct sim_member *members, size_t count) {
    dr_slice name = DR_NONE;
    unsigned kinds = 0;
    if (!dr_json_is(object, DR_JSON_OBJECT)) {
        return sim_complain(reading, "Invalid value at '%s': expected an object", path);
    }
    const enum sim_misfit misfit =
        sim_shape_check(object, members, count, SIM_SPELLING_EITHER, &name, &kinds);
    name = dr_slice_first(name, 64);
    switch (misfit) {
    case SIM_MISFIT_NONE: return true;
    case SIM_MISFIT_UNKNOWN:
        return sim_complain(reading,
                            "Invalid JSON payload received. Unknown name \"%.*s\"%s%s%s: "
                            "Cannot find field.",
                            DR_FMT(name), path[0] == 0 ? "" : " at '", path,
                            path[0] == 0 ? "" : "'");
    case SIM_MISFIT_KIND:
        return sim_complain(reading, "Invalid value at '%s%s%.*s': expected %s", path,
                            path[0] == 0 ? "" : ".", DR_FMT(name), sim_shape_kinds_text(kinds));
    case SIM_MISFIT_MISSING: break;
    }
    return sim_complain(reading, "* GenerateContentRequest.%s%s%.*s: %.*s is not specified\n", path,
                        path[0] == 0 ? "" : ".", DR_FMT(name), DR_FMT(name));
}

void sim_generate_list_init(struct sim_generate_list *list, dr_json value) {
    *list = (struct sim_generate_list){.is_single = dr_json_is(value, DR_JSON_OBJECT)};
    dr_json_iter_init(&list->iter, list->is_single ? NULL : value);
    if (list->is_single) list->value = value;
}

bool sim_generate_list_next(struct sim_generate_list *list) {
    if (list->is_single) {
        list->is_single = false;
        return true;
    }
    if (!dr_json_iter_next(&list->iter)) return false;
    list->value = list->iter.value;
    return true;
}

/* "gemini-3-flash-preview", "gemini-3.5-flash". */
bool sim_generate_is_third(dr_slice model) {
    return dr_slice_starts(model, DR_LIT("gemini-3"));
}

/* --- one walk over the contents --- */

struct walk {
    struct sim_reading *reading;
    dr_json calls; /* the content whose calls wait for their responses, or NULL */
    size_t call_count;
    size_t response_count; /* in the present content */
    size_t part_count;     /* of any kind */
    enum sim_role role;    /* of the present content */
    size_t index;
    bool is_unsigned; /* a call of the current turn lacks its signature */
    dr_slice unsigned_name;
};

/* The name of the call number `wanted` of the content that waits. */
static dr_slice call_name(const struct walk *walk, size_t wanted) {
    struct sim_generate_list parts;
    sim_generate_list_init(&parts, sim_shape_member(walk->calls, DR_LIT("parts")));
    while (sim_generate_list_next(&parts)) {
        dr_json call = sim_shape_member(parts.value, DR_LIT("functionCall"));
        if (call && wanted-- == 0) return sim_generate_text(call, "name");
    }
    return DR_NONE;
}

/* --- parts --- */

/* Signatures of calls stand on their names, since what lies in between may lay out arguments anew;
 * those of texts stand on nothing, since it may put texts together. */
static bool check_signature(struct walk *walk, dr_json part, dr_slice what, const char *path) {
    const dr_slice signature = sim_generate_text(part, "thoughtSignature");
    if (!signature.data || sim_seal_may_hold(signature, SIM_SEAL_GENERATE, what)) return true;
    return sim_complain(walk->reading,
                        "Invalid value at '%s.thought_signature': Thought signature is "
                        "not valid",
                        path);
}

static bool read_text(struct walk *walk, dr_json part, const char *path) {
    struct sim_ask *ask = walk->reading->ask;
    dr_json thought = sim_shape_member(part, DR_LIT("thought"));
    const dr_slice text = sim_generate_text(part, "text");
    if (!check_signature(walk, part, DR_LIT(""), path)) return false;
    if (dr_json_bool(thought)) return true;
    if (walk->role == SIM_ROLE_SYSTEM) {
        if (text.len > 0) sim_ask_note_system(ask, walk->reading->scratch, text);
    } else {
        sim_talk_note_text(&ask->talk, walk->role, text);
    }
    return true;
}

/* "Audio understanding: supported audio formats"; of other kinds anything with a slash. */
static bool is_media_type(dr_slice type) {
    static const dr_slice audio[] = {
        SIM_TEXT("audio/wav"), SIM_TEXT("audio/mp3"), SIM_TEXT("audio/aiff"),
        SIM_TEXT("audio/aac"), SIM_TEXT("audio/ogg"), SIM_TEXT("audio/flac"),
    };
    if (!dr_slice_starts(type, DR_LIT("audio/"))) {
        return dr_slice_find_char(type, '/') < type.len;
    }
    for (size_t i = 0; i < sizeof audio / sizeof audio[0]; i++) {
        if (dr_slice_is(type, audio[i])) return true;
    }
    return false;
}

static bool read_inline(struct walk *walk, dr_json part, const char *path) {
    static const struct sim_member members[] = {
        {SIM_TEXT("mimeType"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("data"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("displayName"), SIM_STRING},
    };
    dr_json blob = sim_shape_member(part, DR_LIT("inlineData"));
    const dr_slice data = sim_generate_text(blob, "data");
    const dr_slice type = sim_generate_text(blob, "mimeType");
    if (!sim_generate_check(walk->reading, blob, path, SIM_MEMBERS(members))) return false;
    sim_talk_note_image(&walk->reading->ask->talk);
    if (!is_media_type(type)) {
        return sim_complain(walk->reading, "Unsupported MIME type: %.*s",
                            DR_FMT(dr_slice_first(type, 64)));
    }
    if (data.len > 0 && sim_shape_is_base64(data)) return true;
    return sim_complain(walk->reading,
                        "Invalid value at '%s.data' (TYPE_BYTES), Base64 decoding failed", path);
}

static bool read_file(struct walk *walk, dr_json part, const char *path) {
    static const struct sim_member members[] = {
        {SIM_TEXT("mimeType"), SIM_STRING},
        {SIM_TEXT("fileUri"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("displayName"), SIM_STRING},
    };
    dr_json file = sim_shape_member(part, DR_LIT("fileData"));
    sim_talk_note_image(&walk->reading->ask->talk);
    return sim_generate_check(walk->reading, file, path, SIM_MEMBERS(members));
}

static bool read_call(struct walk *walk, dr_json part, const char *path) {
    static const struct sim_member members[] = {
        {SIM_TEXT("name"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("args"), SIM_OBJECT | SIM_NULL},
        {SIM_TEXT("id"), SIM_STRING},
    };
    dr_json call = sim_shape_member(part, DR_LIT("functionCall"));
    const dr_slice name = sim_generate_text(call, "name");
    if (!sim_generate_check(walk->reading, call, path, SIM_MEMBERS(members))) return false;
    if (walk->role != SIM_ROLE_ASSISTANT) {
        return sim_complain(walk->reading,
                            "Please ensure that function call turn comes from the model's role.");
    }
    const bool is_signed = sim_shape_member(part, DR_LIT("thoughtSignature")) != NULL;
    if (walk->call_count == 0 && !is_signed) {
        walk->is_unsigned = true;
        walk->unsigned_name = name;
    }
    walk->call_count++;
    sim_talk_note_call(&walk->reading->ask->talk, name);
    return check_signature(walk, part, name, path);
}

static bool read_response(struct walk *walk, dr_json part, const char *path) {
    static const struct sim_member members[] = {
        {SIM_TEXT("name"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("response"), SIM_OBJECT | SIM_REQUIRED},
        {SIM_TEXT("id"), SIM_STRING},
        {SIM_TEXT("parts"), SIM_ARRAY},
        {SIM_TEXT("willContinue"), SIM_BOOL},
        {SIM_TEXT("scheduling"), SIM_STRING},
    };
    struct sim_reading *reading = walk->reading;
    dr_json response = sim_shape_member(part, DR_LIT("functionResponse"));
    if (!sim_generate_check(reading, response, path, SIM_MEMBERS(members))) return false;
    if (!walk->calls || walk->role != SIM_ROLE_USER) {
        return sim_complain(reading, "Please ensure that function response turn comes immediately "
                                     "after a function call turn.");
    }
    if (!dr_slice_is(sim_generate_text(response, "name"), call_name(walk, walk->response_count))) {
        return sim_complain(
            reading,
            "Please ensure that function responses have the names of the function calls, in their "
            "order: '%.*s' was not expected.",
            DR_FMT(dr_slice_first(sim_generate_text(response, "name"), 64)));
    }
    walk->response_count++;
    sim_talk_note_message(&reading->ask->talk, SIM_ROLE_TOOL);
    sim_ask_note_result_value(reading->ask, reading->scratch,
                              sim_shape_member(response, DR_LIT("response")));
    return true;
}

static bool let_through(struct walk *walk, dr_json part, const char *path) {
    (void)walk;
    (void)part;
    (void)path;
    return true;
}

static const struct {
    dr_slice member;
    const char *path;
    bool (*read)(struct walk *walk, dr_json part, const char *path);
} kinds_of_parts[] = {
    {SIM_TEXT("text"), "text", read_text},
    {SIM_TEXT("inlineData"), "inline_data", read_inline},
    {SIM_TEXT("fileData"), "file_data", read_file},
    {SIM_TEXT("functionCall"), "function_call", read_call},
    {SIM_TEXT("functionResponse"), "function_response", read_response},
    {SIM_TEXT("executableCode"), "executable_code", let_through},
    {SIM_TEXT("codeExecutionResult"), "code_execution_result", let_through},
    {SIM_TEXT("toolCall"), "tool_call", let_through},
    {SIM_TEXT("toolResponse"), "tool_response", let_through},
};
enum { PART_KINDS = sizeof kinds_of_parts / sizeof kinds_of_parts[0] };

static bool check_part(struct walk *walk, dr_json part, const char *path) {
    static const struct sim_member members[] = {
        {SIM_TEXT("text"), SIM_STRING},
        {SIM_TEXT("inlineData"), SIM_OBJECT},
        {SIM_TEXT("fileData"), SIM_OBJECT},
        {SIM_TEXT("functionCall"), SIM_OBJECT},
        {SIM_TEXT("functionResponse"), SIM_OBJECT},
        {SIM_TEXT("executableCode"), SIM_OBJECT},
        {SIM_TEXT("codeExecutionResult"), SIM_OBJECT},
        {SIM_TEXT("toolCall"), SIM_OBJECT},
        {SIM_TEXT("toolResponse"), SIM_OBJECT},
        {SIM_TEXT("thought"), SIM_BOOL},
        {SIM_TEXT("thoughtSignature"), SIM_STRING},
        {SIM_TEXT("videoMetadata"), SIM_OBJECT},
        {SIM_TEXT("mediaResolution"), SIM_OBJECT | SIM_STRING},
        {SIM_TEXT("partMetadata"), SIM_OBJECT},
    };
    const dr_slice signature = sim_generate_text(part, "thoughtSignature");
    if (!sim_generate_check(walk->reading, part, path, SIM_MEMBERS(members))) return false;
    if (!signature.data || (signature.len > 0 && sim_shape_is_base64(signature))) return true;
    return sim_complain(
        walk->reading,
        "Invalid value at '%s.thought_signature' (TYPE_BYTES), Base64 decoding failed", path);
}

/* Exactly one of the kinds. */
static bool read_part(struct walk *walk, dr_json part, const char *content, size_t part_index) {
    char path[PATH_BYTES];
    char member_path[PATH_BYTES + 32];
    size_t found = PART_KINDS;
    (void)snprintf(path, sizeof path, "%s.parts[%zu]", content, part_index);
    if (!check_part(walk, part, path)) return false;
    for (size_t i = 0; i < PART_KINDS; i++) {
        if (!sim_shape_member(part, kinds_of_parts[i].member)) continue;
        if (found < PART_KINDS) {
            return sim_complain(
                walk->reading,
                "Invalid value at '%s' (oneof), oneof field 'data' is already set. Cannot set '%s'",
                path, kinds_of_parts[i].path);
        }
        found = i;
    }
    if (found == PART_KINDS) {
        return sim_complain(walk->reading,
                            "* GenerateContentRequest.%s.data: required oneof field "
                            "'data' must have one initialized field\n",
                            path);
    }
    /* Text and pictures behind responses are the user's. */
    if (walk->role == SIM_ROLE_USER && kinds_of_parts[found].read != read_response) {
        sim_talk_note_message(&walk->reading->ask->talk, SIM_ROLE_USER);
    }
    if (walk->role == SIM_ROLE_SYSTEM && kinds_of_parts[found].read != read_text) {
        return sim_complain(walk->reading,
                            "Invalid value at '%s': system_instruction takes text alone", path);
    }
    (void)snprintf(member_path, sizeof member_path, "%s.%s", path, kinds_of_parts[found].path);
    walk->part_count++;
    return kinds_of_parts[found].read(walk, part, member_path);
}

static bool read_parts(struct walk *walk, dr_json content, const char *path) {
    static const struct sim_member members[] = {
        {SIM_TEXT("role"), SIM_STRING},
        {SIM_TEXT("parts"), SIM_ARRAY | SIM_OBJECT},
    };
    struct sim_generate_list parts;
    if (!sim_generate_check(walk->reading, content, path, SIM_MEMBERS(members))) return false;
    sim_generate_list_init(&parts, sim_shape_member(content, DR_LIT("parts")));
    walk->part_count = 0;
    for (size_t i = 0; sim_generate_list_next(&parts); i++) {
        if (!read_part(walk, parts.value, path, i)) return false;
    }
    if (walk->part_count > 0) return true;
    return sim_complain(walk->reading,
                        "* GenerateContentRequest.%s.parts: contents.parts must not be "
                        "empty.\n",
                        path);
}

/* --- contents --- */

static bool read_role(struct walk *walk, dr_json content) {
    dr_json value = sim_shape_member(content, DR_LIT("role"));
    const dr_slice role = dr_json_text(value);
    if (!value || dr_slice_is(role, DR_LIT("user")) || dr_slice_is(role, DR_LIT("function"))) {
        walk->role = SIM_ROLE_USER;
        return true;
    }
    walk->role = SIM_ROLE_ASSISTANT;
    if (dr_slice_is(role, DR_LIT("model"))) return true;
    return sim_complain(walk->reading, "Please use a valid role: user, model.");
}

static bool complain_count(struct walk *walk) {
    return sim_complain(walk->reading,
                        "Please ensure that the number of function response parts is "
                        "equal to the number of function call parts of the function call "
                        "turn.");
}

/* Calls are answered by the content that follows them, all of them, and only there. */
static bool check_responses(struct walk *walk) {
    if (!walk->calls) return true;
    if (walk->response_count != walk->call_count) return complain_count(walk);
    walk->calls = NULL;
    walk->call_count = 0;
    return true;
}

static bool read_content(struct walk *walk, dr_json content) {
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "contents[%zu]", walk->index);
    if (!read_role(walk, content)) return false;
    walk->response_count = 0;
    if (walk->role == SIM_ROLE_ASSISTANT) {
        if (walk->calls) return complain_count(walk);
        sim_talk_note_message(&walk->reading->ask->talk, SIM_ROLE_ASSISTANT);
        if (!read_parts(walk, content, path)) return false;
        if (walk->call_count > 0) walk->calls = content;
        if (walk->call_count > 0 && walk->index == 0) {
            return sim_complain(walk->reading,
                                "Please ensure that function call turn comes immediately "
                                "after a user turn or after a function response turn.");
        }
        return true;
    }
    if (!read_parts(walk, content, path)) return false;
    /* What the user says begins the current turn, for which alone signatures are demanded. */
    if (walk->response_count == 0) walk->is_unsigned = false;
    return check_responses(walk);
}

static bool read_system(struct walk *walk) {
    struct sim_talk *talk = &walk->reading->ask->talk;
    dr_json system = sim_shape_member(walk->reading->root, DR_LIT("systemInstruction"));
    const uint64_t before = talk->prompt_tokens;
    if (!system) return true;
    walk->role = SIM_ROLE_SYSTEM;
    if (!read_parts(walk, system, "system_instruction")) return false;
    if (talk->prompt_tokens > before) sim_talk_note_message(talk, SIM_ROLE_SYSTEM);
    return true;
}

bool sim_generate_read_turns(struct sim_reading *reading) {
    struct walk walk = {.reading = reading};
    struct sim_generate_list contents;
    if (!read_system(&walk)) return false;
    sim_generate_list_init(&contents, sim_shape_member(reading->root, DR_LIT("contents")));
    for (; sim_generate_list_next(&contents); walk.index++) {
        if (!read_content(&walk, contents.value)) return false;
    }
    if (walk.index == 0) {
        return sim_complain(reading,
                            "* GenerateContentRequest.contents: contents is not specified\n");
    }
    if (walk.calls) return complain_count(&walk);
    if (walk.is_unsigned && sim_generate_is_third(reading->ask->model)) {
        return sim_complain(reading,
                            "Function call is missing a thought_signature in functionCall "
                            "parts. This is required for tools to work correctly, and "
                            "missing thought_signature may lead to degraded model "
                            "performance. Function call `%.*s`.",
                            DR_FMT(dr_slice_first(walk.unsigned_name, 64)));
    }
    return true;
}
