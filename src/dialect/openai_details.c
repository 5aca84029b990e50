/* Pieces of reasoning as entries of one message. Must not judge formats: to whom an entry may be
 * sent is openai_seals's to know. */
#include "dialect/openai_details.h"

#include "base/json.h"
#include "dialect/openai_writer.h"

void openai_details_init(struct openai_details *details, size_t bytes_max) {
    *details = (struct openai_details){.words_name = DR_NONE};
    dr_buf_init(&details->entries, bytes_max);
    dr_buf_init(&details->words, bytes_max);
}

void openai_details_clear(struct openai_details *details) {
    dr_buf_clear(&details->entries);
    dr_buf_clear(&details->words);
}

static void put_comma(struct openai_details *details) {
    if (details->entries.len > 0) dr_buf_put_char(&details->entries, ',');
}

/* What an entry of that type calls its words, which come in pieces; DR_NONE of other types. */
static dr_slice name_of_words(dr_json entry) {
    const dr_slice type = dr_json_text(dr_json_member(entry, DR_LIT("type")));
    if (dr_slice_is(type, DR_LIT("reasoning.text"))) return DR_LIT("text");
    if (dr_slice_is(type, DR_LIT("reasoning.summary"))) return DR_LIT("summary");
    return DR_NONE;
}

/* Entries without a number are one, until another kind comes between. */
static uint64_t index_of(dr_json entry) {
    uint64_t index;
    return dr_json_to_u64(dr_json_member(entry, DR_LIT("index")), &index) ? index : UINT64_MAX;
}

static dr_slice signature_of(dr_json entry) {
    return dr_json_text(dr_json_member(entry, DR_LIT("signature")));
}

static void close_entry(struct openai_details *details, dr_slice signature) {
    struct dr_buf *entries = &details->entries;
    if (!details->words_name.data) return;
    dr_buf_put_char(entries, ',');
    dr_json_put_string(entries, details->words_name);
    dr_buf_put_char(entries, ':');
    dr_json_put_string(entries,
                       details->words.len > 0 ? dr_buf_slice(&details->words) : DR_LIT(""));
    if (signature.len > 0) {
        dr_buf_put(entries, DR_LIT(",\"signature\":"));
        dr_json_put_string(entries, signature);
    }
    dr_buf_put_char(entries, '}');
    if (dr_buf_status(&details->words) == DR_OK) dr_buf_reset(&details->words);
    details->words_name = DR_NONE;
}

/* All of its members but the words and their seal, which close_entry adds. */
static void open_entry(struct openai_details *details, dr_json entry, dr_slice words_name) {
    struct dr_buf *entries = &details->entries;
    struct dr_json_iter iter;
    bool is_first = true;
    put_comma(details);
    dr_buf_put_char(entries, '{');
    dr_json_iter_init(&iter, entry);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        if (dr_slice_is(name, words_name) || dr_slice_is(name, DR_LIT("signature"))) continue;
        if (!is_first) dr_buf_put_char(entries, ',');
        is_first = false;
        dr_json_put_string(entries, name);
        dr_buf_put_char(entries, ':');
        dr_json_put_value(entries, iter.value);
    }
    details->words_name = words_name;
    details->index = index_of(entry);
}

static void note_piece(struct openai_details *details, dr_json entry, dr_slice words_name) {
    if (!details->words_name.data || !dr_slice_is(details->words_name, words_name) ||
        details->index != index_of(entry)) {
        close_entry(details, DR_NONE);
        open_entry(details, entry, words_name);
    }
    dr_buf_put(&details->words, dr_json_text(dr_json_member(entry, words_name)));
    if (signature_of(entry).len > 0) close_entry(details, signature_of(entry));
}

void openai_details_note(struct openai_details *details, dr_json array) {
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, array);
    while (dr_json_iter_next(&iter)) {
        const dr_slice words_name = name_of_words(iter.value);
        if (words_name.data) {
            note_piece(details, iter.value, words_name);
            continue;
        }
        close_entry(details, DR_NONE);
        put_comma(details);
        dr_json_put_value(&details->entries, iter.value);
    }
}

void openai_details_note_words(struct openai_details *details, dr_slice words) {
    dr_buf_put(&details->words, words);
}

void openai_details_note_signature(struct openai_details *details,
                                   const struct answer_event *event) {
    struct dr_buf *words = &details->words;
    put_comma(details);
    openai_put_signature(&details->entries, event,
                         words->len > 0 ? dr_buf_slice(words) : DR_LIT(""),
                         details->sealed_count++);
    if (event->signature.kind == ANSWER_SIGNATURE_THINKING && dr_buf_status(words) == DR_OK) {
        dr_buf_reset(words);
    }
}

dr_slice openai_details_end(struct openai_details *details) {
    close_entry(details, DR_NONE);
    return dr_buf_slice(&details->entries);
}

enum dr_status openai_details_status(const struct openai_details *details) {
    const enum dr_status status = dr_buf_status(&details->entries);
    return status ? status : dr_buf_status(&details->words);
}
