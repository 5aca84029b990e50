/* Which dialect's function does what: one table. Must not know a field of any dialect. */
#include "dialect/dialect.h"

#include "dialect/answer_builder.h"

#include "base/alloc.h"
#include "base/assert.h"

struct dialect_reader {
    struct openai_answer_reader *openai;
    struct answer_builder builder; /* of the others */
};

struct kind {
    void (*put_path)(struct dr_buf *out, dr_slice base_path, dr_slice model, bool is_streamed);
    void (*put_headers)(struct dr_buf *out, dr_slice host, dr_slice key);
    enum dr_status (*write_prompt)(const struct conversation *conversation, dr_slice model,
                                   struct dr_json_reader *scratch, struct dr_buf *out,
                                   struct loss *loss);
    enum dr_status (*read_event)(struct dialect_reader *reader, struct dialect_stream *stream,
                                 dr_slice data, dr_slice raw, struct answer_chunk *ret_chunk,
                                 struct dr_error *error);
    enum dr_status (*read_end)(struct dialect_reader *reader, struct dialect_stream *stream,
                               struct answer_chunk *ret_chunk, struct dr_error *error);
    enum dr_status (*read_answer)(struct dialect_reader *reader, struct dialect_stream *stream,
                                  dr_slice body, struct answer_chunk *ret_chunk,
                                  struct dr_error *error);
    void (*read_failure)(struct dialect_reader *reader, uint16_t status, dr_slice body,
                         struct failure *ret_failure);
};

struct dialect_reader *dialect_reader_new(void) {
    struct dialect_reader *reader = dr_alloc_zero(1, sizeof *reader);

    if (!reader) return NULL;
    reader->openai = openai_answer_reader_new();
    if (answer_builder_init(&reader->builder) && reader->openai) return reader;
    dialect_reader_free(reader);
    return NULL;
}

void dialect_reader_free(struct dialect_reader *reader) {
    if (!reader) return;
    openai_answer_reader_free(reader->openai);
    answer_builder_clear(&reader->builder);
    dr_free(reader);
}

struct openai_answer_reader *dialect_reader_openai(struct dialect_reader *reader) {
    return reader->openai;
}

/* A dialect that says its end in an event says nothing by ending. */
static enum dr_status read_no_end(struct dialect_reader *reader, struct dialect_stream *stream,
                                  struct answer_chunk *ret_chunk, struct dr_error *error) {
    (void)stream;
    answer_builder_start(&reader->builder);
    return answer_builder_finish(&reader->builder, ret_chunk, error);
}

/* --- OpenAI --- */

static void openai_put_path(struct dr_buf *out, dr_slice base_path, dr_slice model,
                            bool is_streamed) {
    (void)model;
    (void)is_streamed;
    dr_buf_put(out, base_path);
    dr_buf_put(out, DR_LIT("/chat/completions"));
}

static void put_bearer(struct dr_buf *out, dr_slice key) {
    if (key.len == 0) return;
    dr_buf_put(out, DR_LIT("Authorization: Bearer "));
    dr_buf_put(out, key);
    dr_buf_put(out, DR_LIT("\r\n"));
}

static void openai_put_headers(struct dr_buf *out, dr_slice host, dr_slice key) {
    (void)host;
    put_bearer(out, key);
}

/* The client's bytes are sent, see openai_write_prompt: nobody asks for this. */
static enum dr_status openai_write_none(const struct conversation *conversation, dr_slice model,
                                        struct dr_json_reader *scratch, struct dr_buf *out,
                                        struct loss *loss) {
    (void)conversation;
    (void)model;
    (void)scratch;
    (void)out;
    (void)loss;
    return DR_UNSUPPORTED;
}

static enum dr_status openai_event(struct dialect_reader *reader, struct dialect_stream *stream,
                                   dr_slice data, dr_slice raw, struct answer_chunk *ret_chunk,
                                   struct dr_error *error) {
    (void)raw;
    const enum dr_status status = openai_read_event(reader->openai, data, ret_chunk, error);
    if (status) return status;
    openai_call_numbers_apply(&stream->openai, ret_chunk);
    return DR_OK;
}

static enum dr_status openai_answer(struct dialect_reader *reader, struct dialect_stream *stream,
                                    dr_slice body, struct answer_chunk *ret_chunk,
                                    struct dr_error *error) {
    const enum dr_status status = openai_read_answer(reader->openai, body, ret_chunk, error);

    if (status) return status;
    openai_call_numbers_apply(&stream->openai, ret_chunk);
    return DR_OK;
}

static void openai_failure(struct dialect_reader *reader, uint16_t status, dr_slice body,
                           struct failure *ret_failure) {
    openai_read_failure(reader->openai, status, body, ret_failure);
}

/* --- Anthropic --- */

static void anthropic_put_path(struct dr_buf *out, dr_slice base_path, dr_slice model,
                               bool is_streamed) {
    (void)model;
    (void)is_streamed;
    dr_buf_put(out, base_path);
    if (!dr_slice_ends(base_path, DR_LIT("/v1"))) dr_buf_put(out, DR_LIT("/v1"));
    dr_buf_put(out, DR_LIT("/messages"));
}

static void anthropic_put_headers(struct dr_buf *out, dr_slice host, dr_slice key) {
    (void)host;
    if (key.len > 0) {
        dr_buf_put(out, DR_LIT("x-api-key: "));
        dr_buf_put(out, key);
        dr_buf_put(out, DR_LIT("\r\n"));
    }
    dr_buf_put(out, DR_LIT("anthropic-version: 2023-06-01\r\n"));
}

static enum dr_status anthropic_event(struct dialect_reader *reader, struct dialect_stream *stream,
                                      dr_slice data, dr_slice raw, struct answer_chunk *ret_chunk,
                                      struct dr_error *error) {
    (void)raw;
    return anthropic_read_event(&reader->builder, &stream->anthropic, data, ret_chunk, error);
}

static enum dr_status anthropic_answer(struct dialect_reader *reader, struct dialect_stream *stream,
                                       dr_slice body, struct answer_chunk *ret_chunk,
                                       struct dr_error *error) {
    return anthropic_read_answer(&reader->builder, &stream->anthropic, body, ret_chunk, error);
}

static void anthropic_failure(struct dialect_reader *reader, uint16_t status, dr_slice body,
                              struct failure *ret_failure) {
    anthropic_read_failure(&reader->builder, status, body, ret_failure);
}

/* --- Gemini --- */

/* Names of models hold letters, digits and "-._"; anything else must not leave its place. */
static void put_path_part(struct dr_buf *out, dr_slice text) {
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.len; i++) {
        const unsigned char byte = (unsigned char)text.data[i];
        const bool is_plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                              (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' ||
                              byte == '_' || byte == '~' || byte == '@';
        if (is_plain) {
            dr_buf_put_char(out, (char)byte);
        } else {
            dr_buf_put_char(out, '%');
            dr_buf_put_char(out, digits[byte >> 4]);
            dr_buf_put_char(out, digits[byte & 15]);
        }
    }
}

static void gemini_put_path(struct dr_buf *out, dr_slice base_path, dr_slice model,
                            bool is_streamed) {
    dr_buf_put(out, base_path.len > 0 ? base_path : DR_LIT("/v1beta"));
    dr_buf_put(out, DR_LIT("/models/"));
    put_path_part(out, model);
    dr_buf_put(out,
               is_streamed ? DR_LIT(":streamGenerateContent?alt=sse") : DR_LIT(":generateContent"));
}

static void gemini_put_headers(struct dr_buf *out, dr_slice host, dr_slice key) {
    if (dr_slice_ends(host, DR_LIT("aiplatform.googleapis.com"))) {
        put_bearer(out, key);
    } else if (key.len > 0) {
        dr_buf_put(out, DR_LIT("x-goog-api-key: "));
        dr_buf_put(out, key);
        dr_buf_put(out, DR_LIT("\r\n"));
    }
}

static enum dr_status gemini_event(struct dialect_reader *reader, struct dialect_stream *stream,
                                   dr_slice data, dr_slice raw, struct answer_chunk *ret_chunk,
                                   struct dr_error *error) {
    if (data.len == 0) {
        return gemini_read_bare(&reader->builder, &stream->gemini, raw, ret_chunk, error);
    }
    return gemini_read_event(&reader->builder, &stream->gemini, data, ret_chunk, error);
}

static enum dr_status gemini_end(struct dialect_reader *reader, struct dialect_stream *stream,
                                 struct answer_chunk *ret_chunk, struct dr_error *error) {
    return gemini_read_end(&reader->builder, &stream->gemini, ret_chunk, error);
}

static enum dr_status gemini_answer(struct dialect_reader *reader, struct dialect_stream *stream,
                                    dr_slice body, struct answer_chunk *ret_chunk,
                                    struct dr_error *error) {
    return gemini_read_answer(&reader->builder, &stream->gemini, body, ret_chunk, error);
}

static void gemini_failure(struct dialect_reader *reader, uint16_t status, dr_slice body,
                           struct failure *ret_failure) {
    gemini_read_failure(&reader->builder, status, body, ret_failure);
}

/* --- the door --- */

static const struct kind kinds[] = {
    [DIALECT_OPENAI] = {openai_put_path, openai_put_headers, openai_write_none, openai_event,
                        read_no_end, openai_answer, openai_failure},
    [DIALECT_ANTHROPIC] = {anthropic_put_path, anthropic_put_headers, anthropic_write_prompt,
                           anthropic_event, read_no_end, anthropic_answer, anthropic_failure},
    [DIALECT_GEMINI] = {gemini_put_path, gemini_put_headers, gemini_write_prompt, gemini_event,
                        gemini_end, gemini_answer, gemini_failure},
};

static const struct kind *kind_of(enum dialect dialect) {
    dr_assert((size_t)dialect < sizeof kinds / sizeof kinds[0]);
    return &kinds[dialect];
}

void dialect_put_path(enum dialect dialect, struct dr_buf *out, dr_slice base_path, dr_slice model,
                      bool is_streamed) {
    kind_of(dialect)->put_path(out, base_path, model, is_streamed);
}

void dialect_put_headers(enum dialect dialect, struct dr_buf *out, dr_slice host, dr_slice key) {
    kind_of(dialect)->put_headers(out, host, key);
}

enum dr_status dialect_write_prompt(enum dialect dialect, const struct conversation *conversation,
                                    dr_slice model, struct dr_json_reader *scratch,
                                    struct dr_buf *out, struct loss *loss) {
    return kind_of(dialect)->write_prompt(conversation, model, scratch, out, loss);
}

void dialect_stream_init(enum dialect dialect, struct dialect_stream *stream, dr_slice answer_id,
                         uint32_t choice_count) {
    memset(stream, 0, sizeof *stream);
    if (dialect != DIALECT_GEMINI) return;
    stream->gemini.id_seed = dr_slice_hash(answer_id, 0);
    stream->gemini.choice_count = choice_count;
}

enum dr_status dialect_read_event(enum dialect dialect, struct dialect_reader *reader,
                                  struct dialect_stream *stream, dr_slice data, dr_slice raw,
                                  struct answer_chunk *ret_chunk, struct dr_error *error) {
    return kind_of(dialect)->read_event(reader, stream, data, raw, ret_chunk, error);
}

enum dr_status dialect_read_end(enum dialect dialect, struct dialect_reader *reader,
                                struct dialect_stream *stream, struct answer_chunk *ret_chunk,
                                struct dr_error *error) {
    return kind_of(dialect)->read_end(reader, stream, ret_chunk, error);
}

enum dr_status dialect_read_answer(enum dialect dialect, struct dialect_reader *reader,
                                   struct dialect_stream *stream, dr_slice body,
                                   struct answer_chunk *ret_chunk, struct dr_error *error) {
    return kind_of(dialect)->read_answer(reader, stream, body, ret_chunk, error);
}

void dialect_read_failure(enum dialect dialect, struct dialect_reader *reader, uint16_t status,
                          dr_slice body, struct failure *ret_failure) {
    kind_of(dialect)->read_failure(reader, status, body, ret_failure);
}
