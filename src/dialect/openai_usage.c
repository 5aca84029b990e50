/* Puts token counts into a whole answer that came without. Must not change any other byte, nor
 * judge the answer: it has been read before, so that it is known to be one JSON object, maybe the
 * only one of an array. That is why a few steps over its bytes do, and no memory is needed. */
#include "dialect/openai.h"

static size_t skip_blanks(dr_slice text, size_t at) {
    while (at < text.len && (unsigned char)text.data[at] <= ' ') at++;
    return at;
}

/* From an opening quote to behind the closing one. */
static size_t skip_string(dr_slice text, size_t at) {
    for (at++; at < text.len && text.data[at] != '"'; at++) {
        if (text.data[at] == '\\') at++;
    }
    return at < text.len ? at + 1 : text.len;
}

static size_t skip_value(dr_slice text, size_t at) {
    size_t depth = 0;
    while (at < text.len) {
        const char byte = text.data[at];
        if (byte == '"') {
            at = skip_string(text, at);
            if (depth == 0) return at;
            continue;
        }
        const bool is_end = byte == '}' || byte == ']';
        if (depth == 0 && (is_end || byte == ',' || (unsigned char)byte <= ' ')) return at;
        at++;
        if (byte == '{' || byte == '[') depth++;
        if (is_end && --depth == 0) return at;
    }
    return at;
}

/* Where the value of the root's `usage` stands; without one, the empty place before the root's last
 * brace. `*ret_is_first`: the root has no members. False for what is no object after all. */
static bool find_usage(dr_slice body, size_t *ret_start, size_t *ret_end, bool *ret_is_first) {
    size_t at = skip_blanks(body, 0);
    if (at < body.len && body.data[at] == '[') at = skip_blanks(body, at + 1);
    if (at == body.len || body.data[at] != '{') return false;
    at = skip_blanks(body, at + 1);
    *ret_is_first = true;
    while (at < body.len && body.data[at] == '"') {
        const size_t name_end = skip_string(body, at);
        const dr_slice name = dr_slice_of(body.data + at, name_end - at);
        at = skip_blanks(body, skip_blanks(body, name_end) + 1); /* over the colon */
        *ret_is_first = false;
        *ret_start = at;
        at = skip_value(body, at);
        *ret_end = at;
        if (dr_slice_is(name, DR_LIT("\"usage\""))) return true;
        at = skip_blanks(body, at);
        if (at < body.len && body.data[at] == ',') at = skip_blanks(body, at + 1);
    }
    *ret_start = at;
    *ret_end = at;
    return at < body.len && body.data[at] == '}';
}

void openai_splice_usage(struct dr_buf *buf, dr_slice body, dr_slice usage) {
    size_t start = 0;
    size_t end = 0;
    bool is_first = false;
    if (!find_usage(body, &start, &end, &is_first)) {
        dr_buf_put(buf, body);
        return;
    }
    dr_buf_put(buf, dr_slice_first(body, start));
    if (start == end) {
        dr_buf_put(buf, is_first ? DR_LIT("\"usage\":") : DR_LIT(",\"usage\":"));
    }
    dr_buf_put(buf, usage);
    dr_buf_put(buf, dr_slice_from(body, end));
}
