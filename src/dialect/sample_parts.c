/* The contents of messages made at random: texts, pictures, documents and sounds, by data and by
 * address, with marks. */
#include "dialect/sample_parts.h"

#include "base/json.h"

struct sample_making sample_making_begin(struct sample_request *sample, const char *role,
                                         struct dr_buf *facts) {
    struct sample_making making = {.sample = sample, .role = role, .facts = facts};

    dr_buf_init(&making.words, SAMPLE_BYTES_MAX);
    return making;
}

void sample_put_mark(struct sample_making *making) {
    static const char *const marks[] = {"{\"type\":\"ephemeral\"}",
                                        "{\"type\":\"ephemeral\",\"ttl\":\"1h\"}"};
    const char *mark = marks[sample_below(making->sample, 2)];

    dr_buf_format(&making->sample->messages, ",\"cache_control\":%s", mark);
    if (sample_is_gemini(making->sample))
        sample_tell(making->sample, "messages.cache_control");
    else
        dr_buf_format(making->facts, "-|mark %s\n", mark);
}

void sample_put_fact_text(struct sample_making *making, dr_slice text) {
    if (text.len == 0) return;
    dr_buf_format(making->facts, "-|%s text ", making->role);
    dr_json_put_string(making->facts, text);
    dr_buf_put_char(making->facts, '\n');
}

static void open_part(struct sample_making *making, const char *type) {
    dr_buf_format(&making->sample->messages, "%s{\"type\":\"%s\"", making->is_first ? "" : ",",
                  type);
    making->is_first = false;
}

static void put_text(struct sample_making *making) {
    struct sample_request *sample = making->sample;

    open_part(making, "text");
    dr_buf_put(&sample->messages, DR_LIT(",\"text\":"));
    if (sample_chance(sample, 8)) {
        dr_buf_put(&sample->messages, DR_LIT("\"\"}"));
        return;
    }
    sample_put_words(sample, &making->words);
    dr_json_put_string(&sample->messages, dr_buf_slice(&making->words));
    sample_put_fact_text(making, dr_buf_slice(&making->words));
    if (sample_chance(sample, 6)) sample_put_mark(making);
    if (sample_chance(sample, 20)) {
        dr_buf_put(&sample->messages, DR_LIT(",\"annotations\":[1]"));
        sample_tell(sample, "messages.content.annotations");
    }
    dr_buf_put_char(&sample->messages, '}');
}

struct kind {
    const char *media_type;
    const char *first; /* in base64, a multiple of four letters */
};
static const struct kind images[] = {
    {"image/png", "iVBORw0KGgoA"},
    {"image/jpeg", "/9j/"},
    {"image/gif", "R0lGODlh"},
    {"image/webp", "UklGRAAA"},
};
static const struct kind document = {"application/pdf", "JVBERi0x"};
static const char text_in_base64[] = "eGluIGNow6BvIFwiCg=="; /* of what follows */
static const char text_in_json[] = "\"xin chào \\\\\\\"\\n\"";

void sample_make_base64(struct sample_request *sample, const char *first,
                        char standard[SAMPLE_BASE64_BYTES_MAX], struct dr_buf *sent) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const bool is_for_urls = sample_chance(sample, 4);
    const uint64_t count = 4 * (1 + sample_below(sample, 20));
    size_t len = strlen(first);

    memcpy(standard, first, len);
    for (uint64_t i = 0; i < count; i++) standard[len++] = letters[sample_below(sample, 64)];
    memcpy(standard + len, "AA==", 5);
    dr_buf_reset(sent);
    for (size_t i = 0; standard[i] != '\0'; i++) {
        const char letter = standard[i];
        dr_buf_put_char(sent, is_for_urls && letter == '+'   ? '-'
                              : is_for_urls && letter == '/' ? '_'
                                                             : letter);
        if (i > 12 && sample_chance(sample, 40)) dr_buf_put(sent, DR_LIT("\\n"));
    }
}

static void put_image(struct sample_making *making) {
    static const char *const details[] = {"", "auto", "low", "high"};
    struct sample_request *sample = making->sample;
    const char *detail = details[sample_below(sample, 4)];
    char standard[SAMPLE_BASE64_BYTES_MAX];

    open_part(making, "image_url");
    if (sample_chance(sample, 2)) {
        const unsigned number = (unsigned)sample_below(sample, 100);
        dr_buf_format(&sample->messages,
                      ",\"image_url\":{\"url\":\"https://example.com/%u.jpg?a=b\"", number);
        dr_buf_format(making->facts, "-|%s address https://example.com/%u.jpg?a=b\n", making->role,
                      number);
    } else {
        const struct kind *kind = &images[sample_below(sample, 4)];
        sample_make_base64(sample, kind->first, standard, &making->words);
        dr_buf_format(&sample->messages, ",\"image_url\":{\"url\":\"data:%s;base64,%.*s\"",
                      kind->media_type, DR_FMT(dr_buf_slice(&making->words)));
        dr_buf_format(making->facts, "-|%s data %s %s\n", making->role, kind->media_type, standard);
    }
    if (detail[0] != '\0') dr_buf_format(&sample->messages, ",\"detail\":\"%s\"", detail);
    if (detail[0] != '\0' && strcmp(detail, "auto") != 0) {
        sample_tell(sample, "messages.content.image_url.detail");
    }
    dr_buf_put_char(&sample->messages, '}');
    if (sample_chance(sample, 6)) sample_put_mark(making);
    dr_buf_put_char(&sample->messages, '}');
}

static void put_file(struct sample_making *making) {
    struct sample_request *sample = making->sample;
    char standard[SAMPLE_BASE64_BYTES_MAX];

    open_part(making, "file");
    if (sample_chance(sample, 4)) {
        dr_buf_format(&sample->messages, ",\"file\":{\"file_data\":\"data:text/plain;base64,%s\"",
                      text_in_base64);
        if (sample_is_gemini(sample))
            dr_buf_format(making->facts, "-|user data text/plain %s\n", text_in_base64);
        else
            dr_buf_format(making->facts, "-|user document %s\n", text_in_json);
    } else if (sample_chance(sample, 3)) {
        dr_buf_put(&sample->messages,
                   DR_LIT(",\"file\":{\"file_data\":\"https://example.com/a.pdf\""));
        dr_buf_format(making->facts, "-|%s address https://example.com/a.pdf\n", making->role);
    } else {
        sample_make_base64(sample, document.first, standard, &making->words);
        dr_buf_format(&sample->messages, ",\"file\":{\"file_data\":\"%s%.*s\"",
                      sample_chance(sample, 3) ? "" : "data:application/pdf;base64,",
                      DR_FMT(dr_buf_slice(&making->words)));
        dr_buf_format(making->facts, "-|%s data %s %s\n", making->role, document.media_type,
                      standard);
    }
    if (sample_chance(sample, 2)) {
        dr_buf_put(&sample->messages, DR_LIT(",\"filename\":\"a \\\"b\\\".pdf\""));
        if (sample_is_gemini(sample))
            sample_tell(sample, "messages.content.file.filename");
        else
            dr_buf_put(making->facts, DR_LIT("-|title \"a \\\"b\\\".pdf\"\n"));
    }
    dr_buf_put_char(&sample->messages, '}');
    if (sample_chance(sample, 6)) sample_put_mark(making);
    dr_buf_put_char(&sample->messages, '}');
}

static void put_audio(struct sample_making *making) {
    static const char *const formats[] = {"wav", "mp3", "aiff", "aac", "ogg", "flac"};
    struct sample_request *sample = making->sample;
    const char *format = formats[sample_below(sample, sizeof formats / sizeof *formats)];
    char standard[SAMPLE_BASE64_BYTES_MAX];

    sample_make_base64(sample, "", standard, &making->words);
    open_part(making, "input_audio");
    dr_buf_format(&sample->messages, ",\"input_audio\":{\"data\":\"%.*s\",\"format\":\"%s\"}}",
                  DR_FMT(dr_buf_slice(&making->words)), format);
    dr_buf_format(making->facts, "-|%s data audio/%s %s\n", making->role, format, standard);
}

static void put_part(struct sample_making *making, bool is_text_only) {
    switch (is_text_only ? 0 : sample_below(making->sample, 6)) {
    case 1:
    case 2: put_image(making); return;
    case 3: put_file(making); return;
    case 4:
        if (!sample_is_gemini(making->sample)) break;
        put_audio(making);
        return;
    default: break;
    }
    put_text(making);
}

/* A text, or a list of parts; with a text the mark stands beside it. */
void sample_put_content(struct sample_making *making, bool is_text_only) {
    struct sample_request *sample = making->sample;
    const bool is_assistant = strcmp(making->role, "assistant") == 0;
    const uint64_t count = sample_below(sample, 4);

    dr_buf_put(&sample->messages, DR_LIT(",\"content\":"));
    if (count == 0) {
        sample_put_words(sample, &making->words);
        dr_json_put_string(&sample->messages, dr_buf_slice(&making->words));
        sample_put_fact_text(making, dr_buf_slice(&making->words));
        if (!is_assistant && sample_chance(sample, 8)) sample_put_mark(making);
        return;
    }
    dr_buf_put_char(&sample->messages, '[');
    making->is_first = true;
    for (uint64_t i = 0; i < count; i++) put_part(making, is_text_only);
    dr_buf_put_char(&sample->messages, ']');
}
