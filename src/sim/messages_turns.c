/* Anthropic's turns, read as strictly as Anthropic reads them. Must not read what stands beside
 * `messages`.
 *
 * Sources: "Messages" (blocks and their fields), "Implement tool use" (results first, one for each
 * call, in the next message), "Extended thinking" (blocks come back as they were made), error texts
 * as recorded or quoted in issues. Blocks of server tools are let through unread. */
#include "sim/messages_turns.h"

#include "sim/seal.h"

#include <stdio.h>

enum {
    PATH_BYTES = 128,
    CALLS_MAX = 128,
    ID_BYTES_MAX = 256,
    IDS_MAX = 1024,
    NAME_BYTES_MAX = 128
};

dr_slice sim_messages_text(dr_json object, const char *name) {
    return dr_json_text(dr_json_member(object, dr_slice_text(name)));
}

bool sim_messages_check(struct sim_reading *reading, dr_json object, const char *path,
                        const struct sim_member *members, size_t count) {
    const char *dot = path[0] == 0 ? "" : ".";
    dr_slice name = DR_NONE;
    unsigned kinds = 0;
    if (!dr_json_is(object, DR_JSON_OBJECT)) {
        return sim_complain(reading, "%s: Input should be an object", path);
    }
    const enum sim_misfit misfit =
        sim_shape_check(object, members, count, SIM_SPELLING_EXACT, &name, &kinds);
    name = dr_slice_first(name, 64);
    switch (misfit) {
    case SIM_MISFIT_NONE: return true;
    case SIM_MISFIT_UNKNOWN:
        return sim_complain(reading, "%s%s%.*s: Extra inputs are not permitted", path, dot,
                            DR_FMT(name));
    case SIM_MISFIT_KIND:
        return sim_complain(reading, "%s%s%.*s: Input should be %s", path, dot, DR_FMT(name),
                            sim_shape_kinds_text(kinds));
    case SIM_MISFIT_MISSING: break;
    }
    return sim_complain(reading, "%s%s%.*s: Field required", path, dot, DR_FMT(name));
}

bool sim_messages_read_cache_mark(struct sim_reading *reading, dr_json object, const char *path) {
    static const struct sim_member members[] = {
        {SIM_TEXT("type"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("ttl"), SIM_STRING | SIM_NULL},
    };
    char at[PATH_BYTES + 16];
    dr_json mark = dr_json_member(object, DR_LIT("cache_control"));
    if (!mark || dr_json_is(mark, DR_JSON_NULL)) return true;
    (void)snprintf(at, sizeof at, "%s%scache_control", path, path[0] == 0 ? "" : ".");
    if (!sim_messages_check(reading, mark, at, SIM_MEMBERS(members))) return false;
    const dr_slice ttl = dr_json_text(dr_json_member(mark, DR_LIT("ttl")));
    if (!dr_slice_is(dr_json_text(dr_json_member(mark, DR_LIT("type"))), DR_LIT("ephemeral"))) {
        return sim_complain(reading, "%s.type: Input should be 'ephemeral'", at);
    }
    if (ttl.data && !dr_slice_is(ttl, DR_LIT("5m")) && !dr_slice_is(ttl, DR_LIT("1h"))) {
        return sim_complain(reading, "%s.ttl: Input should be '5m' or '1h'", at);
    }
    reading->ask->is_cache_marked = true;
    return true;
}

/* --- one walk over the turns --- */

struct walk {
    struct sim_reading *reading;
    dr_slice calls[CALLS_MAX]; /* ids of the newest assistant's turn */
    bool is_answered[CALLS_MAX];
    size_t call_count;
    size_t answer_count;
    dr_slice ids[IDS_MAX]; /* of all calls so far; more are not looked at */
    size_t id_count;
    enum sim_role role; /* of the present turn */
    bool is_last;       /* the present message is the last one */
    bool is_first_block;
    bool lacks_thought; /* the newest assistant's turn does not begin with thinking */
};

/* Nobody else speaks before each call has its result. */
static bool check_answered(struct walk *walk, size_t index) {
    if (walk->answer_count == walk->call_count) return true;
    size_t i = 0;
    while (walk->is_answered[i]) i++;
    return sim_complain(
        walk->reading,
        "messages.%zu: `tool_use` ids were found without `tool_result` blocks immediately after: "
        "%.*s. Each `tool_use` block must have a corresponding `tool_result` block in the next "
        "message.",
        index, DR_FMT(dr_slice_first(walk->calls[i], 80)));
}

/* --- blocks --- */

static bool read_text(struct walk *walk, dr_json block, const char *path) {
    static const struct sim_member members[] = {
        {SIM_TEXT("type"), SIM_STRING},
        {SIM_TEXT("text"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("citations"), SIM_ARRAY | SIM_NULL},
        {SIM_TEXT("cache_control"), SIM_OBJECT | SIM_NULL},
    };
    struct sim_reading *reading = walk->reading;
    const dr_slice text = sim_messages_text(block, "text");
    if (!sim_messages_check(reading, block, path, SIM_MEMBERS(members))) return false;
    if (text.len == 0) {
        return sim_complain(reading, "%s: text content blocks must be non-empty", path);
    }
    if (sim_shape_is_blank(text)) {
        return sim_complain(reading, "%s: text content blocks must contain non-whitespace text",
                            path);
    }
    sim_talk_note_text(&reading->ask->talk, walk->role, text);
    return true;
}

/* Where an image's or a document's bytes come from. */
static bool read_source(struct walk *walk, dr_json source, bool is_image, const char *path) {
    static const struct sim_member members[] = {
        {SIM_TEXT("type"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("media_type"), SIM_STRING},
        {SIM_TEXT("data"), SIM_STRING},
        {SIM_TEXT("url"), SIM_STRING},
        {SIM_TEXT("file_id"), SIM_STRING},
        {SIM_TEXT("content"), SIM_STRING | SIM_ARRAY},
    };
    static const struct {
        dr_slice type;
        dr_slice member;
        bool is_typed;
        bool holds_images;
    } sources[] = {
        {SIM_TEXT("base64"), SIM_TEXT("data"), true, true},
        {SIM_TEXT("url"), SIM_TEXT("url"), false, true},
        {SIM_TEXT("file"), SIM_TEXT("file_id"), false, true},
        {SIM_TEXT("text"), SIM_TEXT("data"), true, false},
        {SIM_TEXT("content"), SIM_TEXT("content"), false, false},
    };
    struct sim_reading *reading = walk->reading;
    const size_t count = sizeof sources / sizeof sources[0];
    const dr_slice type = sim_messages_text(source, "type");
    const dr_slice media = sim_messages_text(source, "media_type");
    size_t i = 0;
    if (!sim_messages_check(reading, source, path, SIM_MEMBERS(members))) return false;
    while (i < count && !dr_slice_is(type, sources[i].type)) i++;
    if (i == count || (is_image && !sources[i].holds_images)) {
        return sim_complain(reading, "%s.type: Input tag '%.*s' is not known", path,
                            DR_FMT(dr_slice_first(type, 40)));
    }
    if (!dr_json_member(source, sources[i].member)) {
        return sim_complain(reading, "%s.%.*s: Field required", path, DR_FMT(sources[i].member));
    }
    if (dr_json_count(source) != (sources[i].is_typed ? 3 : 2)) {
        return sim_complain(reading, "%s: Extra inputs are not permitted", path);
    }
    if (dr_slice_is(type, DR_LIT("text")) && !dr_slice_is(media, DR_LIT("text/plain"))) {
        return sim_complain(reading, "%s.media_type: Input should be 'text/plain'", path);
    }
    if (!dr_slice_is(type, DR_LIT("base64"))) return true;
    const bool is_known = is_image ? dr_slice_is(media, DR_LIT("image/jpeg")) ||
                                         dr_slice_is(media, DR_LIT("image/png")) ||
                                         dr_slice_is(media, DR_LIT("image/gif")) ||
                                         dr_slice_is(media, DR_LIT("image/webp"))
                                   : dr_slice_is(media, DR_LIT("application/pdf"));
    if (!is_known) {
        return sim_complain(reading, "%s.media_type: Input should be %s", path,
                            is_image ? "'image/jpeg', 'image/png', 'image/gif' or "
                                       "'image/webp'"
                                     : "'application/pdf'");
    }
    const dr_slice data = sim_messages_text(source, "data");
    if (data.len > 0 && sim_shape_is_base64(data) && dr_slice_find_char(data, '_') == data.len &&
        dr_slice_find_char(data, '-') == data.len) {
        return true;
    }
    return sim_complain(reading, "%s.data: Invalid base64 data", path);
}

static bool read_medium(struct walk *walk, dr_json block, const char *path) {
    static const struct sim_member image[] = {
        {SIM_TEXT("type"), SIM_STRING},
        {SIM_TEXT("source"), SIM_OBJECT | SIM_REQUIRED},
        {SIM_TEXT("cache_control"), SIM_OBJECT | SIM_NULL},
    };
    static const struct sim_member document[] = {
        {SIM_TEXT("type"), SIM_STRING},
        {SIM_TEXT("source"), SIM_OBJECT | SIM_REQUIRED},
        {SIM_TEXT("cache_control"), SIM_OBJECT | SIM_NULL},
        {SIM_TEXT("title"), SIM_STRING | SIM_NULL},
        {SIM_TEXT("context"), SIM_STRING | SIM_NULL},
        {SIM_TEXT("citations"), SIM_OBJECT | SIM_NULL},
    };
    char source[PATH_BYTES + 16];
    const bool is_image = dr_slice_is(sim_messages_text(block, "type"), DR_LIT("image"));
    if (!(is_image ? sim_messages_check(walk->reading, block, path, SIM_MEMBERS(image))
                   : sim_messages_check(walk->reading, block, path, SIM_MEMBERS(document)))) {
        return false;
    }
    (void)snprintf(source, sizeof source, "%s.source", path);
    sim_talk_note_image(&walk->reading->ask->talk);
    return read_source(walk, dr_json_member(block, DR_LIT("source")), is_image, source);
}

static bool read_call(struct walk *walk, dr_json block, const char *path) {
    static const struct sim_member members[] = {
        {SIM_TEXT("type"), SIM_STRING},
        {SIM_TEXT("id"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("name"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("input"), SIM_OBJECT | SIM_REQUIRED},
        {SIM_TEXT("caller"), SIM_OBJECT | SIM_NULL},
        {SIM_TEXT("cache_control"), SIM_OBJECT | SIM_NULL},
    };
    struct sim_reading *reading = walk->reading;
    const dr_slice id = sim_messages_text(block, "id");
    if (!sim_messages_check(reading, block, path, SIM_MEMBERS(members))) return false;
    if (!sim_shape_is_word(id, ID_BYTES_MAX)) {
        return sim_complain(reading, "%s.id: String should match pattern '^[a-zA-Z0-9_-]+$'", path);
    }
    if (!sim_shape_is_word(sim_messages_text(block, "name"), NAME_BYTES_MAX)) {
        return sim_complain(reading,
                            "%s.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'", path);
    }
    for (size_t i = 0; i < walk->id_count; i++) {
        if (dr_slice_is(walk->ids[i], id)) {
            return sim_complain(reading, "%s: `tool_use` ids must be unique", path);
        }
    }
    if (walk->id_count < IDS_MAX) walk->ids[walk->id_count++] = id;
    if (walk->call_count == CALLS_MAX) {
        return sim_complain(reading, "%s: more calls than the simulation counts", path);
    }
    walk->is_answered[walk->call_count] = false;
    walk->calls[walk->call_count++] = id;
    sim_talk_note_call(&reading->ask->talk, sim_messages_text(block, "name"));
    return true;
}

static bool read_result_content(struct walk *walk, dr_json content, const char *path) {
    struct sim_reading *reading = walk->reading;
    struct dr_json_iter iter;
    if (dr_json_is(content, DR_JSON_STRING)) {
        sim_ask_note_result(reading->ask, reading->scratch, dr_json_text(content));
        return true;
    }
    dr_json_iter_init(&iter, content);
    for (size_t i = 0; dr_json_iter_next(&iter); i++) {
        char at[PATH_BYTES + 32];
        const dr_slice type = sim_messages_text(iter.value, "type");
        (void)snprintf(at, sizeof at, "%s.content.%zu", path, i);
        if (dr_slice_is(type, DR_LIT("text"))) {
            const dr_slice text = sim_messages_text(iter.value, "text");
            if (!text.data) {
                return sim_complain(reading, "%s.text.text: Field required", at);
            }
            sim_ask_note_result(reading->ask, reading->scratch, text);
        } else if (dr_slice_is(type, DR_LIT("image")) || dr_slice_is(type, DR_LIT("document"))) {
            if (!read_medium(walk, iter.value, at)) return false;
        } else if (!dr_slice_is(type, DR_LIT("search_result"))) {
            return sim_complain(reading, "%s.type: Input tag '%.*s' is not known", at,
                                DR_FMT(dr_slice_first(type, 40)));
        }
    }
    return true;
}

static bool read_result(struct walk *walk, dr_json block, const char *path) {
    static const struct sim_member members[] = {
        {SIM_TEXT("type"), SIM_STRING},
        {SIM_TEXT("tool_use_id"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("content"), SIM_STRING | SIM_ARRAY},
        {SIM_TEXT("is_error"), SIM_BOOL | SIM_NULL},
        {SIM_TEXT("cache_control"), SIM_OBJECT | SIM_NULL},
    };
    struct sim_reading *reading = walk->reading;
    const dr_slice id = sim_messages_text(block, "tool_use_id");
    size_t i = 0;
    if (!sim_messages_check(reading, block, path, SIM_MEMBERS(members))) return false;
    while (i < walk->call_count && !dr_slice_is(walk->calls[i], id)) i++;
    if (i == walk->call_count) {
        return sim_complain(
            reading,
            "%s: unexpected `tool_use_id` found in `tool_result` blocks: %.*s. Each `tool_result` "
            "block must have a corresponding `tool_use` block in the previous message.",
            path, DR_FMT(dr_slice_first(id, 80)));
    }
    if (walk->is_answered[i]) {
        return sim_complain(
            reading,
            "%s: each tool_use must have a single result. Found multiple `tool_result` blocks "
            "with id: %.*s",
            path, DR_FMT(dr_slice_first(id, 80)));
    }
    walk->is_answered[i] = true;
    walk->answer_count++;
    sim_talk_note_message(&reading->ask->talk, SIM_ROLE_TOOL);
    return read_result_content(walk, dr_json_member(block, DR_LIT("content")), path);
}

static bool read_thinking(struct walk *walk, dr_json block, const char *path) {
    static const struct sim_member members[] = {
        {SIM_TEXT("type"), SIM_STRING},
        {SIM_TEXT("thinking"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("signature"), SIM_STRING | SIM_REQUIRED},
    };
    if (!sim_messages_check(walk->reading, block, path, SIM_MEMBERS(members))) return false;
    if (sim_seal_may_hold(sim_messages_text(block, "signature"), SIM_SEAL_MESSAGES,
                          sim_messages_text(block, "thinking"))) {
        return true;
    }
    return sim_complain(walk->reading, "%s: Invalid `signature` in `thinking` block", path);
}

static bool read_redacted(struct walk *walk, dr_json block, const char *path) {
    static const struct sim_member members[] = {
        {SIM_TEXT("type"), SIM_STRING},
        {SIM_TEXT("data"), SIM_STRING | SIM_REQUIRED},
    };
    return sim_messages_check(walk->reading, block, path, SIM_MEMBERS(members));
}

static bool let_through(struct walk *walk, dr_json block, const char *path) {
    (void)walk;
    (void)block;
    (void)path;
    return true;
}

static const struct {
    dr_slice type;
    bool may_user;
    bool may_assistant;
    bool (*read)(struct walk *walk, dr_json block, const char *path);
} blocks[] = {
    {SIM_TEXT("text"), true, true, read_text},
    {SIM_TEXT("image"), true, false, read_medium},
    {SIM_TEXT("document"), true, false, read_medium},
    {SIM_TEXT("tool_use"), false, true, read_call},
    {SIM_TEXT("tool_result"), true, false, read_result},
    {SIM_TEXT("thinking"), false, true, read_thinking},
    {SIM_TEXT("redacted_thinking"), false, true, read_redacted},
    {SIM_TEXT("search_result"), true, false, let_through},
    {SIM_TEXT("container_upload"), true, false, let_through},
    {SIM_TEXT("server_tool_use"), false, true, let_through},
    {SIM_TEXT("mcp_tool_use"), false, true, let_through},
    {SIM_TEXT("compaction"), false, true, let_through},
    {SIM_TEXT("fallback"), false, true, let_through},
};
enum { BLOCK_TYPES = sizeof blocks / sizeof blocks[0] };

/* "bash_code_execution_tool_result" and its like: what server tools found. */
static bool is_server_result(dr_slice type) {
    return dr_slice_ends(type, DR_LIT("_tool_result"));
}

static bool read_block(struct walk *walk, dr_json block, size_t index, size_t block_index) {
    struct sim_reading *reading = walk->reading;
    const dr_slice type = dr_slice_first(sim_messages_text(block, "type"), 40);
    char path[PATH_BYTES];
    size_t i = 0;
    while (i < BLOCK_TYPES && !dr_slice_is(type, blocks[i].type)) i++;
    if (i == BLOCK_TYPES && is_server_result(type)) return true;
    if (i == BLOCK_TYPES) {
        return sim_complain(reading,
                            "messages.%zu.content.%zu: Input tag '%.*s' found using "
                            "'type' does not match any of the expected tags",
                            index, block_index, DR_FMT(type));
    }
    if (!(walk->role == SIM_ROLE_USER ? blocks[i].may_user : blocks[i].may_assistant)) {
        return sim_complain(
            reading, "messages.%zu.content.%zu: `%.*s` blocks may not stand in a message of %s",
            index, block_index, DR_FMT(type),
            walk->role == SIM_ROLE_USER ? "the user" : "the assistant");
    }
    const bool is_result = blocks[i].read == read_result;
    if (walk->role == SIM_ROLE_USER && !is_result) {
        /* Also what "tool_result blocks must come first" amounts to. */
        if (!check_answered(walk, index)) return false;
        sim_talk_note_message(&reading->ask->talk, SIM_ROLE_USER);
    }
    (void)snprintf(path, sizeof path, "messages.%zu.content.%zu.%.*s", index, block_index,
                   DR_FMT(type));
    return blocks[i].read(walk, block, path) && sim_messages_read_cache_mark(reading, block, path);
}

/* --- messages --- */

/* A new turn, where the other one speaks. */
static bool enter_turn(struct walk *walk, enum sim_role role, size_t index) {
    if (role == walk->role && index > 0) return true;
    walk->role = role;
    walk->is_first_block = true;
    if (role == SIM_ROLE_USER) return true;
    if (index == 0) {
        return sim_complain(walk->reading, "messages: first message must use the \"user\" role");
    }
    if (!check_answered(walk, index)) return false;
    walk->call_count = 0;
    walk->answer_count = 0;
    sim_talk_note_message(&walk->reading->ask->talk, SIM_ROLE_ASSISTANT);
    return true;
}

static void note_first_block(struct walk *walk, dr_slice type) {
    if (walk->role != SIM_ROLE_ASSISTANT || !walk->is_first_block) return;
    walk->is_first_block = false;
    walk->lacks_thought =
        !dr_slice_is(type, DR_LIT("thinking")) && !dr_slice_is(type, DR_LIT("redacted_thinking"));
}

static bool check_last_text(struct walk *walk, dr_slice text) {
    if (!walk->is_last || walk->role != SIM_ROLE_ASSISTANT || text.len == 0) return true;
    if ((unsigned char)text.data[text.len - 1] > ' ') return true;
    return sim_complain(walk->reading,
                        "messages: final assistant content cannot end with trailing whitespace");
}

static bool read_content(struct walk *walk, dr_json content, size_t index) {
    struct sim_reading *reading = walk->reading;
    dr_slice last = dr_json_text(content);
    const bool is_text = dr_json_is(content, DR_JSON_STRING);
    if (is_text ? sim_shape_is_blank(last) : dr_json_count(content) == 0) {
        if (is_text && walk->is_last && walk->role == SIM_ROLE_ASSISTANT) return true;
        return sim_complain(reading,
                            "messages.%zu: all messages must have non-empty content "
                            "except for the optional final assistant message",
                            index);
    }
    if (is_text) {
        note_first_block(walk, DR_LIT("text"));
        if (walk->role == SIM_ROLE_USER) {
            if (!check_answered(walk, index)) return false;
            sim_talk_note_message(&reading->ask->talk, SIM_ROLE_USER);
        }
        sim_talk_note_text(&reading->ask->talk, walk->role, last);
        return check_last_text(walk, last);
    }
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, content);
    for (size_t i = 0; dr_json_iter_next(&iter); i++) {
        note_first_block(walk, sim_messages_text(iter.value, "type"));
        if (!read_block(walk, iter.value, index, i)) return false;
        last = sim_messages_text(iter.value, "text");
    }
    return check_last_text(walk, last);
}

static bool read_message(struct walk *walk, dr_json message, size_t index) {
    static const struct sim_member members[] = {
        {SIM_TEXT("role"), SIM_STRING | SIM_REQUIRED},
        {SIM_TEXT("content"), SIM_STRING | SIM_ARRAY | SIM_REQUIRED},
    };
    struct sim_reading *reading = walk->reading;
    const dr_slice role = sim_messages_text(message, "role");
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "messages.%zu", index);
    if (!dr_json_is(message, DR_JSON_OBJECT)) {
        return sim_complain(reading, "messages.%zu: Input does not match the expected shape.",
                            index);
    }
    if (dr_slice_is(role, DR_LIT("system"))) {
        return sim_complain(reading, "messages: Unexpected role \"system\". The Messages API "
                                     "accepts a top-level `system` parameter, not \"system\" as "
                                     "an input message role.");
    }
    if (!sim_messages_check(reading, message, path, SIM_MEMBERS(members))) return false;
    const bool is_user = dr_slice_is(role, DR_LIT("user"));
    if (!is_user && !dr_slice_is(role, DR_LIT("assistant"))) {
        return sim_complain(reading, "messages.%zu.role: Input should be 'user' or 'assistant'",
                            index);
    }
    return enter_turn(walk, is_user ? SIM_ROLE_USER : SIM_ROLE_ASSISTANT, index) &&
           read_content(walk, dr_json_member(message, DR_LIT("content")), index);
}

/* With a budget, the turn whose calls have just been answered begins with what was thought, and so
 * does a beginning of the answer. */
static bool check_thoughts(struct walk *walk, size_t last) {
    const bool is_begun = walk->role == SIM_ROLE_ASSISTANT;
    if (!walk->reading->thinks || !walk->lacks_thought) return true;
    if (!is_begun && walk->answer_count == 0) return true;
    return sim_complain(
        walk->reading,
        "messages.%zu.content.0.type: Expected `thinking` or `redacted_thinking`. When `thinking` "
        "is enabled, a final `assistant` message must start with a thinking block (preceding the "
        "lastmost set of `tool_use` and `tool_result` blocks).",
        is_begun ? last : last - 1);
}

bool sim_messages_read_turns(struct sim_reading *reading) {
    struct walk walk = {.reading = reading, .role = SIM_ROLE_USER};
    dr_json messages = dr_json_member(reading->root, DR_LIT("messages"));
    const size_t count = dr_json_count(messages);
    if (count == 0) {
        return sim_complain(reading, "messages: at least one message is required");
    }
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, messages);
    for (size_t i = 0; dr_json_iter_next(&iter); i++) {
        walk.is_last = i + 1 == count;
        if (!read_message(&walk, iter.value, i)) return false;
    }
    return check_answered(&walk, count - 1) && check_thoughts(&walk, count - 1);
}
