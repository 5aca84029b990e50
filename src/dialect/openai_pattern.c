/* Learns what the events of a stream have in common and reads those that fit without a parser. Must
 * not accept anything that the parser would read in another way: outside of the two places left
 * open the bytes are the same, and there only bytes are let pass that end no string and escape
 * nothing. */
#include "dialect/openai_pattern.h"

#include "base/utf8.h"

/* Eight bytes of which none ends a string, escapes or controls. */
static bool is_plain_word(uint64_t word) {
    const uint64_t ones = 0x0101010101010101u;
    const uint64_t quotes = word ^ (ones * '"');
    const uint64_t escapes = word ^ (ones * '\\');
    const uint64_t found = ((word - ones * 0x20) & ~word) | ((quotes - ones) & ~quotes) |
                           ((escapes - ones) & ~escapes);
    return (found & (ones * 0x80)) == 0;
}

/* Where a string goes on to, from its first byte to its closing quote; `bytes.len` when what stands
 * there is not plain text. */
static size_t plain_end(dr_slice bytes, size_t start) {
    uint64_t all = 0;
    size_t at = start;
    while (at + 8 <= bytes.len) {
        uint64_t word;
        memcpy(&word, bytes.data + at, sizeof word);
        if (!is_plain_word(word)) break;
        all |= word;
        at += 8;
    }
    for (; at < bytes.len && bytes.data[at] != '"'; at++) {
        const unsigned char byte = (unsigned char)bytes.data[at];
        if (byte < 0x20 || byte == '\\') return bytes.len;
        all |= byte;
    }
    if ((all & 0x8080808080808080u) == 0 || at == bytes.len) return at;
    return dr_utf8_is_valid(dr_slice_of(bytes.data + start, at - start)) ? at : bytes.len;
}

/* OpenAI pads its events with letters of random number, to hide their lengths from who can only see
 * lengths. No reader looks at that member, wherever it stands. */
static void find_filler(struct openai_pattern *pattern, dr_slice payload) {
    static const dr_slice name = {"\"obfuscation\":\"", 15};
    const size_t at =
        pattern->text_end + dr_slice_find(dr_slice_from(payload, pattern->text_end), name);
    pattern->filler_start = payload.len;
    pattern->filler_end = payload.len;
    if (at == payload.len) return;
    const size_t end = plain_end(payload, at + name.len);
    if (end == payload.len) return;
    pattern->filler_start = at + name.len;
    pattern->filler_end = end;
}

static bool keep_name(char kept[OPENAI_PATTERN_NAME_BYTES_MAX], uint8_t *len, dr_slice name) {
    const bool is_empty = name.data && name.len == 0; /* is not the same as an absent one */
    if (is_empty || name.len > OPENAI_PATTERN_NAME_BYTES_MAX) return false;
    if (name.len > 0) memcpy(kept, name.data, name.len);
    *len = (uint8_t)name.len;
    return true;
}

static dr_slice kept_name(const char *kept, uint8_t len) {
    return len > 0 ? dr_slice_of(kept, len) : DR_NONE;
}

void openai_pattern_learn(struct openai_pattern *pattern, const struct answer_builder *builder,
                          dr_slice payload) {
    const struct answer_chunk *chunk = &builder->chunk;
    if (chunk->event_count != 2 || payload.len > sizeof pattern->bytes) return;
    const struct answer_event *start = &chunk->events[0];
    const struct answer_event *text = &chunk->events[1];
    if (start->kind != ANSWER_START) return;
    if (text->kind != ANSWER_TEXT && text->kind != ANSWER_REASONING) return;

    size_t at;
    if (!dr_json_place(builder->json, text->text, &at)) return;
    const size_t end = at + text->text.len;
    /* An escape would have changed a byte. */
    if (at == 0 || end >= payload.len || payload.data[at - 1] != '"' || payload.data[end] != '"' ||
        memcmp(payload.data + at, text->text.data, text->text.len) != 0) {
        return;
    }
    pattern->len = 0;
    if (!keep_name(pattern->id, &pattern->id_len, start->start.id) ||
        !keep_name(pattern->model, &pattern->model_len, start->start.model)) {
        return;
    }
    memcpy(pattern->bytes, payload.data, payload.len);
    pattern->text_start = at;
    pattern->text_end = end;
    pattern->kind = text->kind;
    pattern->choice_index = text->choice_index;
    find_filler(pattern, payload);
    pattern->len = payload.len;
}

/* Whether the pattern's bytes from `from` to `to` stand at `at` of the payload. */
static bool stands(const struct openai_pattern *pattern, size_t from, size_t to, dr_slice payload,
                   size_t at) {
    return to - from <= payload.len - at &&
           memcmp(pattern->bytes + from, payload.data + at, to - from) == 0;
}

bool openai_pattern_fits(const struct openai_pattern *pattern, struct answer_builder *builder,
                         dr_slice payload) {
    const size_t start = pattern->text_start;
    if (pattern->len == 0 || payload.len < start) return false;
    if (!stands(pattern, 0, start, payload, 0)) return false;
    const size_t end = plain_end(payload, start);
    if (end == payload.len || end == start) return false;
    if (!stands(pattern, pattern->text_end, pattern->filler_start, payload, end)) return false;
    size_t at = end + (pattern->filler_start - pattern->text_end);
    if (pattern->filler_start < pattern->len) {
        at = plain_end(payload, at);
        if (!stands(pattern, pattern->filler_end, pattern->len, payload, at)) return false;
        at += pattern->len - pattern->filler_end;
    }
    if (at != payload.len) return false;

    struct answer_event *event = answer_builder_add(builder, ANSWER_START, 0);
    if (event) {
        event->start.id = kept_name(pattern->id, pattern->id_len);
        event->start.model = kept_name(pattern->model, pattern->model_len);
    }
    answer_builder_add_text(builder, pattern->kind, pattern->choice_index,
                            dr_slice_of(payload.data + start, end - start));
    builder->chunk.is_plain = true;
    return true;
}
