/* Frames as bodies of requests, by blanking, cutting and joining what the client wrote. Must not
 * judge members: that is done where the body is read. */
#include "gateway/ws_ask.h"

#include "base/assert.h"

/* Members that are the gateway's, none of a provider's concern. */
static bool is_own_member(dr_slice name) {
    return dr_slice_is(name, DR_LIT("type")) || dr_slice_is(name, DR_LIT("id")) ||
           dr_slice_is(name, DR_LIT("session")) || dr_slice_is(name, DR_LIT("api_key")) ||
           dr_slice_is(name, DR_LIT("stream"));
}

static bool is_blank(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static dr_slice without_blanks_behind(dr_slice text) {
    while (text.len > 0 && is_blank(text.data[text.len - 1])) text.len--;
    return text;
}

static dr_slice without_blanks(dr_slice text) {
    text = without_blanks_behind(text);
    while (text.len > 0 && is_blank(text.data[0])) text = dr_slice_from(text, 1);
    return text;
}

/* Without the one `mark` at the end, and blanks. */
static dr_slice without_end(dr_slice text, char mark) {
    text = without_blanks(text);
    dr_assert(text.len > 0 && text.data[text.len - 1] == mark);
    return without_blanks(dr_slice_first(text, text.len - 1));
}

struct member {
    dr_slice name; /* unescaped */
    dr_json value;
    dr_slice text; /* from its name's quote on, without what follows the value */
};

/* Members one by one, as they are written. */
struct members {
    const struct ws_ask *ask;
    struct dr_json_iter iter;
    bool has_more;
};

static void members_init(struct members *members, const struct ws_ask *ask) {
    members->ask = ask;
    dr_json_iter_init(&members->iter, ask->root);
    members->has_more = dr_json_iter_next(&members->iter);
}

static bool members_next(struct members *members, struct member *ret_member) {
    const struct ws_ask *ask = members->ask;
    if (!members->has_more) return false;
    const size_t start = dr_json_offset(ask->reader, members->iter.name) - 1;
    ret_member->name = dr_json_text(members->iter.name);
    ret_member->value = members->iter.value;
    members->has_more = dr_json_iter_next(&members->iter);
    const size_t end =
        members->has_more ? dr_json_offset(ask->reader, members->iter.name) - 1 : ask->text.len;
    ret_member->text = without_end(dr_slice_of(ask->text.data + start, end - start),
                                   members->has_more ? ',' : '}');
    return true;
}

static bool is_messages(const struct member *member) {
    return dr_slice_is(member->name, DR_LIT("messages")) &&
           dr_json_is(member->value, DR_JSON_ARRAY);
}

/* Between the brackets. The name has no quote of its own, so the first one ends it. */
static dr_slice items_of(const struct member *member) {
    dr_slice text = dr_slice_from(member->text, 1);
    text = dr_slice_from(text, dr_slice_find_char(text, '"') + 1);
    text = dr_slice_from(text, dr_slice_find_char(text, '[') + 1);
    return without_end(text, ']');
}

dr_slice ws_ask_messages(const struct ws_ask *ask) {
    struct members members;
    struct member member;
    members_init(&members, ask);
    while (members_next(&members, &member)) {
        if (is_messages(&member)) return items_of(&member);
    }
    return DR_NONE;
}

static char *put(char *at, dr_slice bytes) {
    if (bytes.len > 0) memcpy(at, bytes.data, bytes.len);
    return at + bytes.len;
}

/* Where in the body a member begins. */
static size_t body_offset(const struct ws_ask *ask, dr_json name) {
    return dr_json_offset(ask->reader, name) - 1 + WS_ASK_SHIFT;
}

/* Each with the comma behind it, as far as the member that follows, or `end`. */
static void blank_own_members(const struct ws_ask *ask, char *body, size_t end) {
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, ask->root);
    bool has_more = dr_json_iter_next(&iter);
    while (has_more) {
        const dr_json name = iter.name;
        has_more = dr_json_iter_next(&iter);
        if (!is_own_member(dr_json_text(name))) continue;
        const size_t start = body_offset(ask, name);
        memset(body + start, ' ', (has_more ? body_offset(ask, iter.name) : end) - start);
    }
}

bool ws_ask_write_body(const struct ws_ask *ask, struct dr_arena *arena, dr_slice *ret_body) {
    static const dr_slice stream = {"\"stream\":true,", WS_ASK_SHIFT};
    const size_t open = dr_slice_find_char(ask->text, '{') + 1;
    const size_t len = ask->text.len + stream.len;
    char *body = dr_arena_alloc(arena, len);
    if (!body) return false;
    put(put(put(body, dr_slice_first(ask->text, open)), stream), dr_slice_from(ask->text, open));
    size_t end = without_blanks_behind(dr_slice_of(body, len)).len - 1;
    blank_own_members(ask, body, end);
    end = without_blanks_behind(dr_slice_of(body, end)).len;
    if (body[end - 1] == ',') body[end - 1] = ' '; /* nothing follows it any more */
    *ret_body = dr_slice_of(body, len);
    return true;
}

bool ws_ask_write_joined(const struct ws_ask *ask, dr_slice before, struct dr_arena *arena,
                         dr_slice *ret_body) {
    static const dr_slice head = {"{\"stream\":true", 14};
    static const dr_slice messages_head = {",\"messages\":[", 13};
    struct members members;
    struct member member;
    dr_assert(before.len > 0);
    char *body =
        dr_arena_alloc(arena, head.len + ask->text.len + messages_head.len + before.len + 2);
    if (!body) return false;
    char *at = put(body, head);
    members_init(&members, ask);
    while (members_next(&members, &member)) {
        if (is_own_member(member.name)) continue;
        if (!is_messages(&member)) {
            *at++ = ',';
            at = put(at, member.text);
            continue;
        }
        const dr_slice items = items_of(&member);
        at = put(put(at, messages_head), before);
        if (items.len > 0) *at++ = ',';
        at = put(at, items);
        *at++ = ']';
    }
    *at++ = '}';
    *ret_body = dr_slice_of(body, (size_t)(at - body));
    return true;
}
