/* Arguments of a call that come piece by piece, each with a path to its place, become one JSON text
 * that grows at its end. Must not keep the values: only where the last one stood. Source: Google's
 * page "Function calling" (streamFunctionCallArguments), types.PartialArg of its Python SDK. */
#include "dialect/gemini.h"

struct step {
    dr_slice name;
    bool is_index;
};

/* "$.a.b[0]" as steps; 0 when it is no such path. */
static size_t split_path(dr_slice path, struct step steps[GEMINI_PATH_DEPTH_MAX]) {
    size_t count = 0;
    size_t at = 1;

    if (path.len < 2 || path.data[0] != '$') return 0;
    while (at < path.len) {
        if (count == GEMINI_PATH_DEPTH_MAX) return 0;
        const char opening = path.data[at++];
        size_t end = at;
        if (opening == '.') {
            while (end < path.len && path.data[end] != '.' && path.data[end] != '[') end++;
        } else if (opening == '[') {
            while (end < path.len && path.data[end] != ']') end++;
            if (end == path.len) return 0;
        } else {
            return 0;
        }
        if (end == at) return 0;
        steps[count].name = dr_slice_of(path.data + at, end - at);
        steps[count].is_index = opening == '[';
        at = end + (opening == '[' ? 1 : 0);
        count++;
    }
    return count > 0 && !steps[0].is_index ? count : 0;
}

static bool is_same(const struct step *a, const struct step *b) {
    return a->is_index == b->is_index && dr_slice_is(a->name, b->name);
}

/* Ends containers from the innermost until `kept` are open; the arguments themselves are the
 * first. */
static void close_containers(const struct step *steps, size_t count, size_t kept,
                             struct dr_buf *out) {
    for (size_t open = count; open > kept; open--) {
        dr_buf_put_char(out, steps[open - 1].is_index ? ']' : '}');
    }
}

/* From the last piece's place to this one's: what must be closed and opened between them. */
static void move_to(struct gemini_arguments *arguments, const struct step *steps, size_t count,
                    struct dr_buf *out) {
    struct step old[GEMINI_PATH_DEPTH_MAX];
    const size_t old_count = split_path(dr_slice_of(arguments->path, arguments->path_len), old);
    size_t kept = 0;

    if (old_count == 0) {
        dr_buf_put_char(out, '{');
    } else {
        size_t common = 0;
        while (common + 1 < old_count && common + 1 < count &&
               is_same(&old[common], &steps[common])) {
            common++;
        }
        kept = common;
        close_containers(old, old_count, kept + 1, out);
        dr_buf_put_char(out, ',');
    }
    for (size_t i = kept; i < count; i++) {
        if (!steps[i].is_index) {
            dr_json_put_string(out, steps[i].name);
            dr_buf_put_char(out, ':');
        }
        if (i + 1 < count) dr_buf_put_char(out, steps[i + 1].is_index ? '[' : '{');
    }
}

static void put_inside(struct dr_buf *out, dr_slice text, bool is_first, bool is_last) {
    const size_t start = out->len;

    dr_json_put_string(out, text);
    if (dr_buf_status(out)) return;
    if (!is_first) {
        memmove(out->data + start, out->data + start + 1, out->len - start - 1);
        out->len--;
    }
    if (!is_last) out->len--;
}

bool gemini_arguments_put(struct gemini_arguments *arguments, dr_json piece, struct dr_buf *out) {
    const dr_slice path = dr_json_text(dr_json_member(piece, DR_LIT("jsonPath")));
    const dr_json text = dr_json_member(piece, DR_LIT("stringValue"));
    const bool is_text = dr_json_is(text, DR_JSON_STRING);
    const bool will_continue = dr_json_bool(dr_json_member(piece, DR_LIT("willContinue")));
    struct step steps[GEMINI_PATH_DEPTH_MAX];
    const size_t count = split_path(path, steps);
    bool is_first = true;

    if (count == 0 || path.len > sizeof arguments->path) return false;
    if (arguments->is_in_string) {
        is_first = !dr_slice_is(path, dr_slice_of(arguments->path, arguments->path_len));
        if (is_first || !is_text) {
            dr_buf_put_char(out, '"');
            arguments->is_in_string = false;
            if (!is_first) return true;
        }
    }
    if (is_first) {
        move_to(arguments, steps, count, out);
        memcpy(arguments->path, path.data, path.len);
        arguments->path_len = path.len;
    }
    if (is_text) {
        put_inside(out, dr_json_text(text), is_first, !will_continue);
        arguments->is_in_string = will_continue;
        return true;
    }
    dr_json value = dr_json_member(piece, DR_LIT("numberValue"));
    if (!value) value = dr_json_member(piece, DR_LIT("boolValue"));
    dr_json_put_value(out, value);
    return true;
}

void gemini_arguments_end(struct gemini_arguments *arguments, struct dr_buf *out) {
    struct step steps[GEMINI_PATH_DEPTH_MAX];
    const size_t count = split_path(dr_slice_of(arguments->path, arguments->path_len), steps);

    if (arguments->is_in_string) dr_buf_put_char(out, '"');
    if (count == 0) {
        dr_buf_put(out, DR_LIT("{}"));
    } else {
        close_containers(steps, count, 0, out);
    }
    *arguments = (struct gemini_arguments){.path_len = 0};
}
