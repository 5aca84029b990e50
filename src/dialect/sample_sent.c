/* What the readers of both providers' requests need. */
#include "dialect/sample_sent.h"

#include "base/assert.h"

#include <stdio.h>

void sample_sent_init(struct sample_sent *sent) {
    sample_facts_init(&sent->facts);
    dr_buf_init(&sent->ids, SAMPLE_BYTES_MAX);
    sent->scratch = dr_json_reader_new();
    dr_assert(sent->scratch);
}

void sample_sent_clear(struct sample_sent *sent) {
    sample_facts_clear(&sent->facts);
    dr_buf_clear(&sent->ids);
    dr_json_reader_free(sent->scratch);
}

bool sample_sent_must(struct sample_sent *sent, bool holds, const char *rule) {
    if (!holds && !sent->fault) sent->fault = rule;
    return holds;
}

void sample_sent_only(struct sample_sent *sent, dr_json object, const char *names) {
    struct dr_json_iter iter;
    char name[64];

    if (!sample_sent_must(sent, dr_json_is(object, DR_JSON_OBJECT), "an object")) return;
    dr_json_iter_init(&iter, object);
    while (dr_json_iter_next(&iter)) {
        (void)snprintf(name, sizeof name, " %.*s ", DR_FMT(dr_json_text(iter.name)));
        (void)sample_sent_must(sent, strstr(names, name) != NULL, names);
    }
}

dr_json sample_sent_member(dr_json object, const char *name) {
    return dr_json_member(object, dr_slice_text(name));
}

dr_slice sample_sent_text(dr_json object, const char *name) {
    return dr_json_text(sample_sent_member(object, name));
}

void sample_sent_put_text(struct dr_buf *out, const char *before, dr_slice text) {
    dr_buf_put(out, dr_slice_text(before));
    dr_json_put_string(out, text);
    dr_buf_put_char(out, '\n');
}

void sample_sent_put_value(struct dr_buf *out, const char *before, dr_json value) {
    dr_buf_put(out, dr_slice_text(before));
    dr_json_put_value(out, value);
    dr_buf_put_char(out, '\n');
}

void sample_sent_put_member(struct sample_sent *sent, dr_json object, const char *name,
                            const char *fact) {
    const dr_json value = sample_sent_member(object, name);

    if (value) sample_sent_put_value(&sent->facts.rest, fact, value);
}

void sample_sent_put_result(struct sample_sent *sent, uint32_t number, dr_slice text) {
    dr_json root;

    dr_buf_format(&sent->facts.talk, "-|result %u ", number);
    if (dr_json_read(sent->scratch, text, 64, &root, NULL) == DR_OK &&
        dr_json_is(root, DR_JSON_OBJECT)) {
        sample_sent_put_value(&sent->facts.talk, "", root);
    } else {
        sample_sent_put_text(&sent->facts.talk, "", text);
    }
}

bool sample_sent_is_instruction(struct sample_sent *sent, dr_slice text, struct dr_buf *format) {
    const dr_slice words = DR_LIT("Answer with one JSON object");
    const dr_slice before = DR_LIT("JSON Schema: ");
    const size_t place = dr_slice_find(text, before);

    if (!dr_slice_starts(text, words)) return false;
    (void)sample_sent_must(sent, !sent->has_format, "one format");
    sent->has_format = true;
    if (place < text.len) {
        dr_buf_format(format, "-|format %.*s\n", DR_FMT(dr_slice_from(text, place + before.len)));
    } else {
        dr_buf_put(format, DR_LIT("-|format json\n"));
    }
    return true;
}
