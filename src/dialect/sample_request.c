/* Requests made at random: the whole of one, its schemas and its words. Must not read what was sent
 * of it (sample_sent.c does). */
#include "dialect/sample_request.h"

#include "base/assert.h"
#include "base/json.h"

#include <stdio.h>

void sample_facts_init(struct sample_facts *facts) {
    dr_buf_init(&facts->system, SAMPLE_BYTES_MAX);
    dr_buf_init(&facts->talk, SAMPLE_BYTES_MAX);
    dr_buf_init(&facts->rest, SAMPLE_BYTES_MAX);
}

void sample_facts_clear(struct sample_facts *facts) {
    dr_buf_clear(&facts->system);
    dr_buf_clear(&facts->talk);
    dr_buf_clear(&facts->rest);
}

bool sample_has_line(const struct dr_buf *lines, dr_slice name) {
    dr_slice rest = dr_buf_slice(lines);

    while (rest.len > 0) {
        if (dr_slice_is(dr_slice_split(&rest, '\n'), name)) return true;
    }
    return false;
}

uint64_t sample_below(struct sample_request *sample, uint64_t bound) {
    return dr_random_below(&sample->random, bound);
}

bool sample_chance(struct sample_request *sample, uint64_t of) {
    return sample_below(sample, of) == 0;
}

void sample_tell(struct sample_request *sample, const char *name) {
    if (sample_has_line(&sample->told, dr_slice_text(name))) return;
    dr_buf_format(&sample->told, "%s\n", name);
}

void sample_tell_perhaps(struct sample_request *sample, const char *name) {
    dr_buf_format(&sample->perhaps, "%s\n", name);
}

void sample_put_words(struct sample_request *sample, struct dr_buf *out) {
    static const char *const words[] = {"a",  "\"", "\\", "\n",   "xin chào", "𠮷",
                                        "{}", ":;", "\t", "</p>", "\x01",     "[DONE]"};
    const uint64_t count = 1 + sample_below(sample, 5);

    dr_buf_reset(out);
    for (uint64_t i = 0; i < count; i++) {
        dr_buf_put(out, dr_slice_text(words[sample_below(sample, sizeof words / sizeof *words)]));
    }
    dr_buf_format(out, "%llu", (unsigned long long)sample_below(sample, 1000));
}

/* --- schemas --- */

struct schema {
    struct sample_request *sample;
    enum sample_flavour flavour;
    struct dr_buf *sent;
    struct dr_buf *expected;
    bool is_less;
};

static void put_both(struct schema *schema, const char *json) {
    dr_buf_put(schema->sent, dr_slice_text(json));
    dr_buf_put(schema->expected, dr_slice_text(json));
}

/* A keyword behind others that is not taken everywhere. */
static void put_keyword(struct schema *schema, const char *json, bool is_taken, bool restrains) {
    dr_buf_put(schema->sent, dr_slice_text(json));
    if (is_taken)
        dr_buf_put(schema->expected, dr_slice_text(json));
    else if (restrains)
        schema->is_less = true;
}

static void put_leaf(struct schema *schema) {
    const bool is_closed = schema->flavour == SAMPLE_SCHEMA_CLOSED;
    const bool is_gemini = schema->flavour == SAMPLE_SCHEMA_GEMINI;

    switch (sample_below(schema->sample, 8)) {
    case 0: put_both(schema, "{\"type\":\"string\",\"description\":\"\\\"d\\\"\"}"); return;
    case 1:
        put_both(schema, "{\"type\":\"integer\"");
        put_keyword(schema, ",\"minimum\":1.0", !is_closed, true);
        put_both(schema, "}");
        return;
    case 2:
        put_both(schema, "{\"type\":\"string\"");
        put_keyword(schema, ",\"maxLength\":5", !is_closed && !is_gemini, true);
        put_both(schema, "}");
        return;
    case 3:
        put_both(schema, "{\"type\":\"string\"");
        put_keyword(schema, ",\"pattern\":\"^a\"", !is_gemini, true);
        put_both(schema, "}");
        return;
    case 4:
        put_both(schema, "{\"type\":\"boolean\"");
        put_keyword(schema, ",\"default\":true", !is_gemini, false);
        put_both(schema, "}");
        return;
    case 5:
        dr_buf_put(schema->sent, DR_LIT("{\"const\":\"x\"}"));
        dr_buf_put(schema->expected,
                   is_gemini ? DR_LIT("{\"enum\":[\"x\"]}") : DR_LIT("{\"const\":\"x\"}"));
        return;
    case 6: put_both(schema, "{\"anyOf\":[{\"type\":\"null\"},{\"$ref\":\"#/$defs/n\"}]}"); return;
    default: put_both(schema, "{\"type\":\"string\",\"enum\":[\"minimum\",\"b\"]}"); return;
    }
}

static void put_schema(struct schema *schema, uint32_t depth);

static void put_array(struct schema *schema, uint32_t depth) {
    put_both(schema, "{\"type\":\"array\",\"items\":");
    put_schema(schema, depth + 1);
    if (sample_chance(schema->sample, 3)) {
        put_keyword(schema, ",\"minItems\":2", schema->flavour != SAMPLE_SCHEMA_CLOSED, true);
    }
    put_both(schema, "}");
}

/* Names of properties may be those of keywords. */
static void put_object(struct schema *schema, uint32_t depth) {
    static const char *const names[] = {"\"a\":", "\"minimum\":", "\"default\":"};
    const uint64_t count = 1 + sample_below(schema->sample, sizeof names / sizeof *names);

    put_both(schema, "{\"type\":\"object\",\"properties\":{");
    for (uint64_t i = 0; i < count; i++) {
        if (i > 0) put_both(schema, ",");
        put_both(schema, names[i]);
        put_schema(schema, depth + 1);
    }
    put_both(schema, "},\"required\":[\"a\"]");
    if (depth == 0) put_both(schema, ",\"$defs\":{\"n\":{\"type\":\"number\"}}");
    if (schema->flavour == SAMPLE_SCHEMA_VERBATIM && sample_chance(schema->sample, 3)) {
        put_both(schema, ",\"additionalProperties\":{\"type\":\"string\"}");
    } else if (schema->flavour == SAMPLE_SCHEMA_CLOSED || sample_chance(schema->sample, 2)) {
        const bool is_told = sample_chance(schema->sample, 2);
        if (is_told) dr_buf_put(schema->sent, DR_LIT(",\"additionalProperties\":false"));
        if (is_told || schema->flavour == SAMPLE_SCHEMA_CLOSED) {
            dr_buf_put(schema->expected, DR_LIT(",\"additionalProperties\":false"));
        }
    }
    put_both(schema, "}");
}

/* Nothing nests deeper than three. */
static void put_schema(struct schema *schema, uint32_t depth) {
    const uint64_t kind = depth == 0 ? 0 : depth >= 3 ? 3 : sample_below(schema->sample, 6);

    if (kind == 0)
        put_object(schema, depth);
    else if (kind == 1)
        put_array(schema, depth);
    else
        put_leaf(schema);
}

bool sample_put_schema(struct sample_request *sample, enum sample_flavour flavour,
                       struct dr_buf *sent, struct dr_buf *expected) {
    struct schema schema = {sample, flavour, sent, expected, false};

    put_schema(&schema, 0);
    return schema.is_less;
}

/* --- what must be refused --- */

static const struct {
    const char *member; /* of the request, or a part of a message */
    bool is_part;
    bool by_anthropic;
    bool by_gemini;
    const char *param; /* behind the part's path */
} refusals[] = {
    {"\"n\":9", false, true, true, "n"},
    {"\"n\":2", false, true, false, "n"},
    {"\"logprobs\":true", false, true, false, "logprobs"},
    {"\"modalities\":[\"audio\"]", false, true, true, "modalities"},
    {"\"web_search_options\":{\"a\":1}", false, true, true, "web_search_options"},
    {"\"reasoning_effort\":\"hard\"", false, true, true, "reasoning_effort"},
    {"{\"type\":\"video_url\"}", true, true, true, ".type"},
    {"{\"type\":\"file\",\"file\":{\"file_id\":\"f\"}}", true, true, true, ".file.file_id"},
    {"{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/heic;base64,AAAA\"}}", true, true,
     false, ".image_url.url"},
    {"{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png,AAAA\"}}", true, true, true,
     ".image_url.url"},
    {"{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AAAA\",\"format\":\"wav\"}}", true,
     true, false, ".type"},
    {"{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AAAA\",\"format\":\"pcm16\"}}", true,
     false, true, ".input_audio.format"},
};

static void put_refusal(struct sample_request *sample) {
    const size_t i = (size_t)sample_below(sample, sizeof refusals / sizeof refusals[0]);

    if (!(sample_is_gemini(sample) ? refusals[i].by_gemini : refusals[i].by_anthropic)) return;
    /* No field stands twice. */
    const dr_slice body = dr_buf_slice(&sample->body);
    if (sample->thinking || dr_slice_find(body, DR_LIT(",\"n\":")) < body.len) return;
    if (!refusals[i].is_part) {
        dr_buf_format(&sample->body, ",%s", refusals[i].member);
        (void)snprintf(sample->refused, sizeof sample->refused, "%s", refusals[i].param);
        return;
    }
    dr_buf_format(&sample->messages, ",{\"role\":\"user\",\"content\":[%s]}", refusals[i].member);
    (void)snprintf(sample->refused, sizeof sample->refused, "messages[%u].content[0]%s",
                   sample->message_count, refusals[i].param);
}

/* --- the whole --- */

static void visit_buffers(struct sample_request *sample, void (*visit)(struct dr_buf *buf)) {
    struct dr_buf *const bufs[] = {
        &sample->body,       &sample->told,       &sample->perhaps,  &sample->facts.system,
        &sample->facts.talk, &sample->facts.rest, &sample->messages, &sample->results,
        &sample->behind,     &sample->said,       &sample->names,
    };

    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++) visit(bufs[i]);
}

static void init_buffer(struct dr_buf *buf) {
    dr_buf_init(buf, SAMPLE_BYTES_MAX);
}

static void check_buffer(struct dr_buf *buf) {
    dr_assert(dr_buf_status(buf) == DR_OK);
}

void sample_request_make(struct sample_request *sample, const struct sample_model *model,
                         uint64_t seed) {
    *sample = (struct sample_request){.model = *model};
    visit_buffers(sample, init_buffer);
    dr_random_seed(&sample->random, seed);
    sample->is_legacy = sample_chance(sample, 8);
    dr_buf_put(&sample->body, DR_LIT("{\"model\":\"m\""));
    sample_make_talk(sample);
    sample_make_tools(sample);
    sample_make_numbers(sample);
    if (sample_chance(sample, 8)) put_refusal(sample);
    dr_buf_put(&sample->body, DR_LIT(",\"messages\":["));
    dr_buf_put(&sample->body, dr_slice_from(dr_buf_slice(&sample->messages), 1));
    dr_buf_put(&sample->body, DR_LIT("]}"));
    visit_buffers(sample, check_buffer);
}

void sample_request_clear(struct sample_request *sample) {
    visit_buffers(sample, dr_buf_clear);
}
