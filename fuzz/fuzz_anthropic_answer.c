/* Any bytes as a stream of Anthropic's (one event a line), a whole answer and a failure's body.
 * What was read is written in OpenAI's words, which must be JSON. */
#include "base/arena.h"
#include "base/assert.h"
#include "base/json.h"
#include "dialect/dialect.h"
#include "dialect/openai_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { WRITTEN_BYTES_MAX = 64 * 1024 * 1024 };

static const struct openai_writer_options options = {
    .id = {"id", 2}, .model = {"model", 5}, .wants_usage = true, .signs_thinking = true};

/* Each `data:` of what was written is one JSON text. */
static void check_written(dr_slice written) {
    struct dr_json_reader *reader = dr_json_reader_new();
    dr_json root;

    while (reader && written.len > 0) {
        dr_slice line = dr_slice_split(&written, '\n');
        if (dr_slice_starts(line, DR_LIT("data: "))) line = dr_slice_from(line, 6);
        if (line.len == 0 || dr_slice_is(line, DR_LIT("[DONE]"))) continue;
        dr_assert(dr_json_read(reader, line, 512, &root, NULL) == DR_OK);
    }
    dr_json_reader_free(reader);
}

static void read_stream(struct dialect_reader *reader, dr_slice text) {
    struct dialect_stream stream;
    struct openai_writer writer;
    struct dr_arena arena;
    struct dr_buf written;
    struct answer_chunk chunk;
    struct dr_error error = {0};
    size_t finish_count = 0;
    const struct usage usage = {.source = USAGE_REPORTED};

    dialect_stream_init(DIALECT_ANTHROPIC, &stream, options.id, 1);
    dr_arena_init(&arena, WRITTEN_BYTES_MAX, NULL);
    dr_buf_init(&written, WRITTEN_BYTES_MAX);
    openai_writer_init(&writer, &arena, &options);
    while (text.len > 0) {
        const dr_slice line = dr_slice_split(&text, '\n');
        if (dialect_read_event(DIALECT_ANTHROPIC, reader, &stream, line, line, &chunk, &error)) {
            dr_assert(strlen(error.text) > 0);
            continue;
        }
        for (size_t i = 0; i < chunk.event_count; i++) {
            if (chunk.events[i].kind == ANSWER_FINISH) finish_count++;
        }
        dr_assert(openai_put_events(&writer, &chunk, &written));
    }
    dr_assert(finish_count <= OPENAI_WRITER_CHOICES_MAX);
    if (dialect_read_end(DIALECT_ANTHROPIC, reader, &stream, &chunk, &error) == DR_OK) {
        dr_assert(openai_put_events(&writer, &chunk, &written));
    }
    dr_assert(openai_put_end(&writer, &usage, &written));
    if (dr_buf_status(&written) == DR_OK) check_written(dr_buf_slice(&written));
    dr_buf_clear(&written);
    dr_arena_clear(&arena);
}

static void read_whole(struct dialect_reader *reader, dr_slice text) {
    struct openai_writer writer;
    struct dr_arena arena;
    struct dr_buf written;
    struct dialect_stream stream;
    struct answer_chunk chunk;

    dialect_stream_init(DIALECT_ANTHROPIC, &stream, options.id, 1);
    if (dialect_read_answer(DIALECT_ANTHROPIC, reader, &stream, text, &chunk, NULL)) return;
    dr_arena_init(&arena, WRITTEN_BYTES_MAX, NULL);
    dr_buf_init(&written, WRITTEN_BYTES_MAX);
    openai_writer_init(&writer, &arena, &options);
    dr_assert(openai_put_answer(&writer, &chunk, &written));
    if (dr_buf_status(&written) == DR_OK) check_written(dr_buf_slice(&written));
    dr_buf_clear(&written);
    dr_arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    const dr_slice text = dr_slice_of((const char *)bytes, len);
    struct dialect_reader *reader = dialect_reader_new();
    struct failure failure;

    if (!reader) return 0;
    read_stream(reader, text);
    read_whole(reader, text);
    dialect_read_failure(DIALECT_ANTHROPIC, reader, 400, text, &failure);
    const uint64_t sum = dr_slice_hash(failure.message, 1) ^ dr_slice_hash(failure.type, 2) ^
                         dr_slice_hash(failure.code, 3);
    dialect_reader_free(reader);
    /* The sum must be of use, or the reading of each slice would be optimised away. */
    return sum == UINT64_MAX ? -1 : 0;
}
