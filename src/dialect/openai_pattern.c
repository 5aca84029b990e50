/* Learns what the events of streams have in common and reads those that fit without a parser. Must
 * not accept anything that the parser would read in another way: outside of the places left open
 * the bytes are the same, and there only bytes are let pass that end no string and escape nothing,
 * or digits. */
#include "dialect/openai_pattern.h"

#include "base/assert.h"
#include "base/utf8.h"

enum { CREATED_DIGITS_MAX = 15 };

/* Where a string goes on to, from its first byte to its closing quote; `bytes.len` when what stands
 * there is not plain text. */
static size_t plain_end(dr_slice bytes, size_t start) {
    size_t at = start + dr_json_plain_len(dr_slice_from(bytes, start));
    if (at < bytes.len && (unsigned char)bytes.data[at] >= 0x80) {
        const size_t beyond_ascii = at;
        at += dr_json_unescaped_len(dr_slice_from(bytes, at));
        if (!dr_utf8_is_valid(dr_slice_of(bytes.data + beyond_ascii, at - beyond_ascii))) {
            return bytes.len;
        }
    }
    return at < bytes.len && bytes.data[at] == '"' ? at : bytes.len;
}

/* --- learning ------------------------------------------------------------------------------- */

static void add_hole(struct openai_pattern *pattern, enum openai_hole_kind kind, size_t start,
                     size_t end) {
    size_t at = pattern->hole_count++;
    dr_assert(at < OPENAI_PATTERN_HOLES_MAX);
    for (; at > 0 && pattern->holes[at - 1].start > start; at--) {
        pattern->holes[at] = pattern->holes[at - 1];
    }
    pattern->holes[at] = (struct openai_hole){(uint16_t)start, (uint16_t)end, kind};
}

/* A string of the payload, which an escape would have changed. */
static bool add_string(struct openai_pattern *pattern, enum openai_hole_kind kind,
                       const struct answer_builder *builder, dr_slice payload, dr_slice text) {
    size_t at;
    if (text.len == 0 || !dr_json_place(builder->json, text, &at)) return false;
    const size_t end = at + text.len;
    if (at == 0 || end >= payload.len || payload.data[at - 1] != '"' || payload.data[end] != '"' ||
        memcmp(payload.data + at, text.data, text.len) != 0) {
        return false;
    }
    add_hole(pattern, kind, at, end);
    return true;
}

/* Behind the first `name`, which has an unescaped quote at its end and so stands in no string. The
 * payload's length when there is none, or it is in what is open already. */
static size_t find_behind(const struct openai_pattern *pattern, dr_slice payload, dr_slice name) {
    const size_t at = dr_slice_find(payload, name) + name.len;
    if (at >= payload.len) return payload.len;
    for (size_t i = 0; i < pattern->hole_count; i++) {
        if (at >= pattern->holes[i].start && at <= pattern->holes[i].end) return payload.len;
    }
    return at;
}

/* OpenAI pads its events with letters of random number, to hide their lengths from who can only see
 * lengths. No reader looks at that member, wherever it stands. */
static void find_filler(struct openai_pattern *pattern, dr_slice payload) {
    const size_t start = find_behind(pattern, payload, DR_LIT("\"obfuscation\":\""));
    if (start == payload.len) return;
    const size_t end = plain_end(payload, start);
    if (end < payload.len) add_hole(pattern, OPENAI_HOLE_FILLER, start, end);
}

/* Of eight bytes each is a digit: 3 in its upper half, and still so with 6 added. */
static bool are_digits(const char *bytes) {
    const uint64_t ones = 0x0101010101010101u;
    uint64_t eight;
    memcpy(&eight, bytes, sizeof eight);
    return (eight & ones * 0xF0) == ones * 0x30 &&
           ((eight + ones * 6) & ones * 0xF0) == ones * 0x30;
}

/* Behind a number without sign, fraction and leading zero; `start` when there is none. */
static size_t digits_end(dr_slice bytes, size_t start) {
    size_t at = start;
    if (at < bytes.len && bytes.data[at] == '0') return start;
    if (bytes.len - at >= 8 && are_digits(bytes.data + at)) at += 8;
    while (at < bytes.len && bytes.data[at] >= '0' && bytes.data[at] <= '9') at++;
    return at - start <= CREATED_DIGITS_MAX ? at : start;
}

/* No reader looks at that member either. */
static void find_created(struct openai_pattern *pattern, dr_slice payload) {
    const size_t start = find_behind(pattern, payload, DR_LIT("\"created\":"));
    const size_t end = digits_end(payload, start);
    if (end > start && end < payload.len &&
        (payload.data[end] == ',' || payload.data[end] == '}')) {
        add_hole(pattern, OPENAI_HOLE_CREATED, start, end);
    }
}

/* Groq says in each delta which of the model's channels it is of. False when the event holds more
 * than a name of that kind behind its text. */
static bool find_other(struct openai_pattern *pattern, const struct answer_builder *builder,
                       dr_slice payload) {
    const struct answer_chunk *chunk = &builder->chunk;
    const struct answer_event *other = &chunk->events[2];
    size_t at;
    if (chunk->event_count == 2) return true;
    if (chunk->event_count != 3 || other->kind != ANSWER_MEMBER ||
        other->member.kind != ANSWER_MEMBER_OTHER) {
        return false;
    }
    const dr_slice name = other->member.name;
    if (name.len == 0 || !dr_json_place(builder->json, name, &at)) return false;
    if (!dr_slice_is(dr_slice_first(dr_slice_from(payload, at), name.len), name)) return false;
    pattern->other_start = (uint16_t)at;
    pattern->other_len = (uint16_t)name.len;
    return true;
}

/* False when it is nothing to be learnt. */
static bool learn(struct openai_pattern *pattern, const struct answer_builder *builder,
                  dr_slice payload) {
    const struct answer_chunk *chunk = &builder->chunk;
    if (chunk->event_count < 2 || payload.len > sizeof pattern->bytes) return false;
    const struct answer_event *start = &chunk->events[0];
    const struct answer_event *text = &chunk->events[1];
    if (start->kind != ANSWER_START) return false;
    if (text->kind != ANSWER_TEXT && text->kind != ANSWER_REASONING) return false;
    /* An empty name is not the same as an absent one. */
    const dr_slice model = start->start.model;
    const bool has_empty = model.data && model.len == 0;
    if (has_empty || model.len > sizeof pattern->model) return false;
    if (!add_string(pattern, OPENAI_HOLE_TEXT, builder, payload, text->text)) return false;
    if (start->start.id.data &&
        !add_string(pattern, OPENAI_HOLE_ID, builder, payload, start->start.id)) {
        return false;
    }
    if (!find_other(pattern, builder, payload)) return false;
    find_created(pattern, payload);
    find_filler(pattern, payload);
    if (model.len > 0) memcpy(pattern->model, model.data, model.len);
    memcpy(pattern->bytes, payload.data, payload.len);
    pattern->model_len = (uint8_t)model.len;
    pattern->kind = text->kind;
    pattern->choice_index = text->choice_index;
    pattern->len = (uint16_t)payload.len;
    return true;
}

void openai_patterns_learn(struct openai_patterns *patterns, const struct answer_builder *builder,
                           dr_slice payload) {
    struct openai_pattern pattern;
    pattern.hole_count = 0;
    pattern.other_len = 0;
    if (!learn(&pattern, builder, payload)) return;
    patterns->newest = (patterns->newest + 1) % OPENAI_PATTERNS_MAX;
    patterns->latest = patterns->newest;
    patterns->patterns[patterns->latest] = pattern;
}

/* --- fitting -------------------------------------------------------------------------------- */

/* Whether the pattern's bytes from `from` to `to` stand at `at` of the payload. */
static bool stands(const struct openai_pattern *pattern, size_t from, size_t to, dr_slice payload,
                   size_t at) {
    return to - from <= payload.len - at &&
           memcmp(pattern->bytes + from, payload.data + at, to - from) == 0;
}

/* Where what fits into the hole ends; the payload's length when nothing does. */
static size_t hole_end(enum openai_hole_kind kind, dr_slice payload, size_t start) {
    const size_t end =
        kind == OPENAI_HOLE_CREATED ? digits_end(payload, start) : plain_end(payload, start);
    return end == start && kind != OPENAI_HOLE_FILLER ? payload.len : end;
}

/* False when it does not fit; otherwise what stands in its holes. */
static bool fit(const struct openai_pattern *pattern, dr_slice payload,
                dr_slice found[OPENAI_HOLE_FILLER + 1]) {
    size_t from = 0;
    size_t at = 0;
    for (size_t i = 0; i < pattern->hole_count; i++) {
        const struct openai_hole *hole = &pattern->holes[i];
        if (!stands(pattern, from, hole->start, payload, at)) return false;
        at += hole->start - from;
        const size_t end = hole_end(hole->kind, payload, at);
        if (end == payload.len) return false;
        found[hole->kind] = dr_slice_of(payload.data + at, end - at);
        at = end;
        from = hole->end;
    }
    return stands(pattern, from, pattern->len, payload, at) &&
           at + (pattern->len - from) == payload.len;
}

bool openai_patterns_fit(struct openai_patterns *patterns, struct answer_builder *builder,
                         dr_slice payload) {
    dr_slice found[OPENAI_HOLE_FILLER + 1] = {{0}};
    const struct openai_pattern *pattern = NULL;
    for (size_t i = 0; i < OPENAI_PATTERNS_MAX && !pattern; i++) {
        const size_t at = (patterns->latest + i) % OPENAI_PATTERNS_MAX;
        if (patterns->patterns[at].len == 0 || !fit(&patterns->patterns[at], payload, found)) {
            found[OPENAI_HOLE_ID] = DR_NONE;
            continue;
        }
        pattern = &patterns->patterns[at];
        patterns->latest = at;
    }
    if (!pattern) return false;
    struct answer_event *event = answer_builder_add(builder, ANSWER_START, 0);
    if (event) {
        event->start.id = found[OPENAI_HOLE_ID];
        event->start.model =
            pattern->model_len > 0 ? dr_slice_of(pattern->model, pattern->model_len) : DR_NONE;
    }
    answer_builder_add_text(builder, pattern->kind, pattern->choice_index, found[OPENAI_HOLE_TEXT]);
    builder->chunk.is_plain = true;
    if (pattern->other_len == 0) return true;
    event = answer_builder_add(builder, ANSWER_MEMBER, pattern->choice_index);
    if (!event) return true;
    event->member.kind = ANSWER_MEMBER_OTHER;
    event->member.name = dr_slice_of(pattern->bytes + pattern->other_start, pattern->other_len);
    event->member.value = NULL;
    return true;
}
