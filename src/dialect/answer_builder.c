/* What every dialect's reader of answers needs: a parser with mercy for what providers do to JSON,
 * the growing array of events, and the words in bodies that are no JSON at all. Must not know any
 * dialect's field. */
#include "dialect/answer_builder.h"

#include "base/alloc.h"
#include "base/utf8.h"

enum {
    DEPTH_MAX = 128,
    EVENTS_MIN = 16,
    EVENTS_KEPT_MAX = 1024,
    EVENTS_MAX = 65536,
    TEXTS_BYTES_MAX = 64 * 1024 * 1024,
    PLAIN_MESSAGE_BYTES_MAX = 512,
};
#define TOKENS_MAX UINT64_C(1000000000000)

bool answer_builder_init(struct answer_builder *builder) {
    *builder = (struct answer_builder){0};
    dr_buf_init(&builder->mended, TEXTS_BYTES_MAX);
    dr_arena_init(&builder->texts, TEXTS_BYTES_MAX, NULL);
    builder->json = dr_json_reader_new();
    builder->events = dr_alloc(EVENTS_MIN * sizeof *builder->events);
    builder->capacity = EVENTS_MIN;
    return builder->json && builder->events;
}

void answer_builder_clear(struct answer_builder *builder) {
    dr_json_reader_free(builder->json);
    dr_free(builder->events);
    dr_buf_clear(&builder->mended);
    dr_arena_clear(&builder->texts);
}

/* --- events --- */

/* A rare large answer must not stay in memory for the worker's life. */
void answer_builder_start(struct answer_builder *builder) {
    if (builder->capacity > EVENTS_KEPT_MAX) {
        struct answer_event *fewer =
            dr_realloc(builder->events, EVENTS_MIN * sizeof *builder->events);
        if (fewer) {
            builder->events = fewer;
            builder->capacity = EVENTS_MIN;
        }
    }
    if (builder->texts.used > 0) dr_arena_clear(&builder->texts);
    builder->chunk = (struct answer_chunk){.events = builder->events};
    builder->status = DR_OK;
}

static bool has_room(struct answer_builder *builder) {
    if (builder->chunk.event_count < builder->capacity) return true;
    if (builder->capacity >= EVENTS_MAX) {
        builder->status = DR_TOO_LARGE;
        return false;
    }
    struct answer_event *more =
        dr_realloc(builder->events, 2 * builder->capacity * sizeof *builder->events);
    if (!more) {
        builder->status = DR_NO_MEMORY;
        return false;
    }
    builder->events = more;
    builder->capacity *= 2;
    builder->chunk.events = more;
    return true;
}

/* The next place, or NULL when there is none (which `finish_chunk` reports). */
struct answer_event *answer_builder_add(struct answer_builder *builder, enum answer_event_kind kind,
                                        uint32_t choice_index) {
    if (!has_room(builder)) return NULL;
    struct answer_event *event = &builder->events[builder->chunk.event_count++];

    event->kind = kind;
    event->choice_index = choice_index;
    return event;
}

void answer_builder_add_text(struct answer_builder *builder, enum answer_event_kind kind,
                             uint32_t choice_index, dr_slice text) {
    if (text.len == 0) return;
    struct answer_event *event = answer_builder_add(builder, kind, choice_index);
    if (!event) return;

    event->text = text;
    builder->chunk.output_bytes += text.len;
}

void answer_builder_add_verdict(struct answer_builder *builder, uint32_t choice_index,
                                dr_slice text) {
    if (text.len == 0) return;
    struct answer_event *event = answer_builder_add(builder, ANSWER_REFUSAL, choice_index);
    if (event) event->text = text;
}

enum dr_status answer_builder_finish(struct answer_builder *builder, struct answer_chunk *ret_chunk,
                                     struct dr_error *error) {
    if (builder->status == DR_NO_MEMORY) {
        return dr_fail(error, DR_NO_MEMORY, 0, "no memory for an answer's events");
    }
    if (builder->status) {
        return dr_fail(error, DR_INVALID, 0, "more than %d pieces in one answer", EVENTS_MAX);
    }
    *ret_chunk = builder->chunk;
    return DR_OK;
}

/* --- parsing, with mercy for lone surrogates --- */

/* Four hexadecimal digits at `at`, or -1. */
static int32_t hex_of(dr_slice text, size_t at) {
    int32_t value = 0;

    if (at + 4 > text.len) return -1;
    for (size_t i = at; i < at + 4; i++) {
        const char byte = text.data[i];
        int32_t digit;
        if (byte >= '0' && byte <= '9')
            digit = byte - '0';
        else if (byte >= 'a' && byte <= 'f')
            digit = byte - 'a' + 10;
        else if (byte >= 'A' && byte <= 'F')
            digit = byte - 'A' + 10;
        else
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static bool is_low_surrogate_at(dr_slice text, size_t at) {
    if (at + 6 > text.len || text.data[at] != '\\' || text.data[at + 1] != 'u') return false;
    const int32_t value = hex_of(text, at + 2);

    return value >= 0xDC00 && value <= 0xDFFF;
}

/* Copies `text` to `mended` with each lone `\ud800` … `\udfff` as `\ufffd`. False when there was
 * none. Backslashes stand only inside strings in anything that could become JSON, so strings need
 * not be followed. */
static bool replace_lone_surrogates(struct answer_builder *builder, dr_slice text) {
    struct dr_buf *out = &builder->mended;
    size_t copied = 0;
    size_t at = 0;

    dr_buf_reset(out);
    while (at < text.len) {
        const char *backslash = memchr(text.data + at, '\\', text.len - at);
        if (!backslash) break;
        at = (size_t)(backslash - text.data);
        const int32_t value =
            at + 1 < text.len && text.data[at + 1] == 'u' ? hex_of(text, at + 2) : -1;
        if (value < 0xD800 || value > 0xDFFF) {
            at += 2;
        } else if (value < 0xDC00 && is_low_surrogate_at(text, at + 6)) {
            at += 12;
        } else {
            dr_buf_put(out, dr_slice_of(text.data + copied, at - copied));
            dr_buf_put(out, DR_LIT("\\ufffd"));
            at += 6;
            copied = at;
            builder->chunk.lone_last = (uint16_t)value;
            if (builder->chunk.lone_first == 0) builder->chunk.lone_first = (uint16_t)value;
        }
    }
    if (copied == 0) return false;
    dr_buf_put(out, dr_slice_from(text, copied));
    return true;
}

enum dr_status answer_builder_parse(struct answer_builder *builder, dr_slice text,
                                    dr_json *ret_root, struct dr_error *error) {
    enum dr_status status = dr_json_read(builder->json, text, DEPTH_MAX, ret_root, error);

    if (status == DR_OK || status == DR_NO_MEMORY) return status;
    if (status == DR_INVALID && replace_lone_surrogates(builder, text)) {
        if (dr_buf_status(&builder->mended)) {
            return dr_fail(error, DR_NO_MEMORY, 0, "no memory to mend an event");
        }
        status =
            dr_json_read(builder->json, dr_buf_slice(&builder->mended), DEPTH_MAX, ret_root, error);
        if (status == DR_OK || status == DR_NO_MEMORY) return status;
    }
    /* Too deep is for our callers no different from broken. */
    if (error) error->status = DR_INVALID;
    return DR_INVALID;
}

/* `value` as JSON text that lives until the next read. */
dr_slice answer_builder_value_text(struct answer_builder *builder, dr_json value) {
    dr_slice text = DR_NONE;

    dr_buf_reset(&builder->mended);
    dr_json_put_value(&builder->mended, value);
    if (dr_buf_status(&builder->mended) ||
        !dr_arena_copy(&builder->texts, dr_buf_slice(&builder->mended), &text)) {
        builder->status = DR_NO_MEMORY;
    }
    return text;
}

/* --- values --- */

/* A count that could be one: negative, fractional and absurd numbers count as absent. */
bool answer_read_count(dr_json value, uint64_t *ret_count) {
    uint64_t count;

    if (!dr_json_is(value, DR_JSON_NUMBER)) return false;
    if (!dr_json_to_u64(value, &count) || count > TOKENS_MAX) return false;
    *ret_count = count;
    return true;
}

dr_slice answer_trim(dr_slice text) {
    while (text.len > 0 && (unsigned char)text.data[0] <= ' ') text = dr_slice_from(text, 1);
    while (text.len > 0 && (unsigned char)text.data[text.len - 1] <= ' ') text.len--;
    return text;
}

/* --- bodies that are no JSON --- */

/* A proxy's page: its title is the best sentence in it. */
static dr_slice title_of(dr_slice page) {
    const size_t open = dr_slice_find(page, DR_LIT("<title>"));

    if (open == page.len) return DR_NONE;
    const dr_slice rest = dr_slice_from(page, open + sizeof "<title>" - 1);
    const dr_slice title = answer_trim(dr_slice_first(rest, dr_slice_find_char(rest, '<')));
    return title.len > 0 ? title : DR_NONE;
}

/* No JSON: a page or a plain line. */
dr_slice answer_plain_message(dr_slice body) {
    const dr_slice text = answer_trim(body);
    dr_slice line = dr_slice_first(text, dr_slice_find_char(text, '\n'));

    if (text.len == 0) return DR_NONE;
    if (text.data[0] == '<') return title_of(dr_slice_first(text, 64 * 1024));
    line = answer_trim(dr_slice_first(line, PLAIN_MESSAGE_BYTES_MAX));
    return dr_utf8_first(line, line.len);
}

/* Some servers answer a refused stream as a stream: the first `data:` line is what speaks. */
dr_slice answer_without_framing(dr_slice body) {
    dr_slice rest = answer_trim(body);

    if (!dr_slice_starts(rest, DR_LIT("data:")) && !dr_slice_starts(rest, DR_LIT("event:"))) {
        return body;
    }
    while (rest.len > 0) {
        const dr_slice line = dr_slice_split(&rest, '\n');
        if (dr_slice_starts(line, DR_LIT("data:"))) return answer_trim(dr_slice_from(line, 5));
    }
    return body;
}
