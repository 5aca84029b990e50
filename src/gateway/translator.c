/* Asks and answers of providers of other dialects. Must not know a field of any dialect, nor what
 * becomes of an answer. */
#include "gateway/translator.h"

#include "dialect/dialect.h"
#include "dialect/openai_writer.h"
#include "gateway/attempt.h"
#include "gateway/reading.h"
#include "gateway/worker.h"

enum {
    /* More than a read brings, so that its events leave in one write. */
    PIECE_BYTES = 128 * 1024,
    BODY_BYTES_MORE = 1024,        /* that another dialect's words for a request take */
    PIECE_BYTES_KEPT = 512 * 1024, /* an answer's memory beyond this is not kept for the next */
    /* What stands around the texts of one event: the braces and names of a delta, and of the one
     * with the role before it. */
    FRAME_BYTES = 1024,
    FINISH_BYTES = 128,
    /* A byte of text becomes six at most (a control character), in two places at most. */
    TEXT_GROWTH = 12,
};

struct translator {
    struct worker *worker;
    enum dialect dialect;
    dr_slice request_line;
    struct dr_buf body;
    struct loss loss;
    size_t answer_bytes_max;
    struct openai_writer writer;
    struct dialect_stream stream;
};

/* --- asking
 * ------------------------------------------------------------------------------------- */

static bool write_line(struct translator *translator, const struct attempt_ask *ask,
                       dr_slice model) {
    struct dr_buf *line = &ask->worker->head;
    dr_buf_reset(line);
    dr_buf_put(line, DR_LIT("POST "));
    dialect_put_path(translator->dialect, line, ask->target->provider->path, model,
                     ask->prompt->is_streamed);
    return dr_buf_status(line) == DR_OK &&
           dr_arena_copy(ask->arena, dr_buf_slice(line), &translator->request_line);
}

static enum dr_status write_body(struct translator *translator, const struct attempt_ask *ask,
                                 dr_slice model, bool *ret_is_legacy) {
    if (!*ask->reading) {
        const enum dr_status status = reading_open(ask->worker, ask->prompt, ask->reading);
        if (status) return status;
    }
    const struct conversation *conversation = reading_conversation(*ask->reading);
    *ret_is_legacy = conversation->is_legacy;
    const enum dr_status status =
        dialect_write_prompt(translator->dialect, conversation, model, ask->worker->arguments_json,
                             &translator->body, &translator->loss);
    dr_json_reader_trim(ask->worker->arguments_json);
    return status;
}

enum dr_status translator_open(const struct attempt_ask *ask, struct translator **ret_translator) {
    const dr_slice model =
        dr_slice_is(ask->target->model, DR_LIT("*")) ? ask->prompt->model : ask->target->model;
    struct translator *translator = dr_arena_alloc_zero(ask->arena, sizeof *translator);
    bool is_legacy = false;
    if (!translator) return DR_NO_MEMORY;
    translator->worker = ask->worker;
    translator->dialect = ask->target->provider->dialect;
    translator->answer_bytes_max = (size_t)ask->edition->snapshot->config->answer_bytes_max;
    dr_buf_init(&translator->body, ask->prompt->body.len * 2 + 64 * 1024);
    /* Mostly enough; a failure sticks until it is written into. */
    (void)dr_buf_reserve(&translator->body, ask->prompt->body.len + BODY_BYTES_MORE);
    const enum dr_status status = write_body(translator, ask, model, &is_legacy);
    if (status && status != DR_INVALID) {
        translator_close(translator);
        return status;
    }
    if (!status && !write_line(translator, ask, model)) {
        translator_close(translator);
        return DR_NO_MEMORY;
    }
    const struct openai_writer_options options = {
        .id = ask->request_id,
        .model = model,
        .created = ask->created_s,
        .wants_usage = ask->prompt->wants_usage,
        .is_legacy = is_legacy,
        .signs_thinking = translator->dialect == DIALECT_ANTHROPIC,
    };
    openai_writer_init(&translator->writer, ask->arena, &options);
    dialect_stream_init(translator->dialect, &translator->stream, ask->request_id,
                        ask->prompt->choice_count);
    *ret_translator = translator;
    return status;
}

void translator_close(struct translator *translator) {
    if (translator) dr_buf_clear(&translator->body);
}

const struct loss *translator_loss(const struct translator *translator) {
    return &translator->loss;
}

bool translator_is_legacy(const struct translator *translator) {
    return translator->writer.options.is_legacy;
}

dr_slice translator_request_line(const struct translator *translator) {
    return translator->request_line;
}

dr_slice translator_body(const struct translator *translator) {
    return dr_buf_slice(&translator->body);
}

/* --- reading
 * ------------------------------------------------------------------------------------ */

enum dr_status translator_read_event(struct translator *translator, dr_slice data, dr_slice raw,
                                     struct answer_chunk *ret_chunk, struct dr_error *error) {
    return dialect_read_event(translator->dialect, translator->worker->reader, &translator->stream,
                              data, raw, ret_chunk, error);
}

enum dr_status translator_read_end(struct translator *translator, struct answer_chunk *ret_chunk,
                                   struct dr_error *error) {
    return dialect_read_end(translator->dialect, translator->worker->reader, &translator->stream,
                            ret_chunk, error);
}

enum dr_status translator_read_answer(struct translator *translator, dr_slice body,
                                      struct answer_chunk *ret_chunk, struct dr_error *error) {
    return dialect_read_answer(translator->dialect, translator->worker->reader, &translator->stream,
                               body, ret_chunk, error);
}

void translator_read_failure(struct translator *translator, uint16_t status, dr_slice body,
                             struct failure *ret_failure) {
    dialect_read_failure(translator->dialect, translator->worker->reader, status, body,
                         ret_failure);
}

/* --- rendering
 * ---------------------------------------------------------------------------------- */

void translator_begin_piece(struct translator *translator) {
    struct dr_buf *written = &translator->worker->written;
    dr_buf_reset(written);
    if (written->capacity > PIECE_BYTES_KEPT) dr_buf_clear(written);
    (void)dr_buf_reserve(written, PIECE_BYTES); /* a failure sticks until it is rendered into */
}

static size_t text_bytes(const struct answer_event *event) {
    switch (event->kind) {
    case ANSWER_START: return event->start.id.len + event->start.model.len;
    case ANSWER_TEXT:
    case ANSWER_REASONING:
    case ANSWER_REFUSAL:
    case ANSWER_LOGPROBS: return event->text.len;
    case ANSWER_TOOL_CALL:
        return event->tool_call.id.len + event->tool_call.name.len + event->tool_call.arguments.len;
    case ANSWER_SIGNATURE: return event->signature.text.len;
    case ANSWER_CITATION: return event->citation.url.len + event->citation.title.len;
    case ANSWER_FINISH:
    case ANSWER_USAGE:
    case ANSWER_ERROR:
    case ANSWER_MEMBER:
    case ANSWER_END: break;
    }
    return 0;
}

bool translator_has_room(const struct translator *translator, const struct answer_chunk *chunk) {
    const struct dr_buf *written = &translator->worker->written;
    const size_t room = written->capacity - written->len;
    size_t needed = FRAME_BYTES;
    for (size_t i = 0; i < chunk->event_count; i++) {
        /* An end may have to finish each choice; it is rendered last, behind what has been put. */
        const size_t frames =
            chunk->events[i].kind == ANSWER_END ? OPENAI_WRITER_CHOICES_MAX + 1 : 2;
        needed += FRAME_BYTES + frames * (translator->writer.head.len + FINISH_BYTES);
        needed += TEXT_GROWTH * text_bytes(&chunk->events[i]);
        if (needed > room) return false;
    }
    return true;
}

bool translator_has_rendered(const struct translator *translator) {
    return translator->worker->written.len > 0;
}

bool translator_render(struct translator *translator, const struct answer_chunk *chunk,
                       dr_slice *ret_raw) {
    struct dr_buf *written = &translator->worker->written;
    const size_t start = written->len;
    if (!openai_put_events(&translator->writer, chunk, written) || dr_buf_status(written)) {
        return false;
    }
    *ret_raw = dr_slice_of(written->data + start, written->len - start);
    return true;
}

bool translator_render_end(struct translator *translator, const struct usage *usage,
                           dr_slice *ret_raw) {
    struct dr_buf *written = &translator->worker->written;
    const size_t start = written->len;
    if (!openai_put_end(&translator->writer, usage, written)) return false;
    dr_buf_put(written, DR_LIT("data: [DONE]\n\n"));
    if (dr_buf_status(written)) return false;
    *ret_raw = dr_slice_of(written->data + start, written->len - start);
    return true;
}

bool translator_render_answer(struct translator *translator, const struct answer_chunk *chunk,
                              dr_slice *ret_body) {
    struct dr_buf *written = &translator->worker->written;
    struct dr_arena joined;
    /* Texts that came in pieces are joined: they are as long as the answer, not as the ask. */
    dr_arena_init(&joined, translator->answer_bytes_max + 64 * 1024, NULL);
    const struct openai_writer_options options = translator->writer.options;
    openai_writer_init(&translator->writer, &joined, &options);
    translator_begin_piece(translator);
    const bool is_written = openai_put_answer(&translator->writer, chunk, written);
    dr_arena_clear(&joined);
    if (!is_written || dr_buf_status(written)) return false;
    *ret_body = dr_buf_slice(written);
    return true;
}
