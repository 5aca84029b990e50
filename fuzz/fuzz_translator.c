/* Any bytes as what a provider of another dialect sends, through the gateway's translator as an
 * attempt drives it: cut at random places, piece by piece, event by event. What the client would
 * get must be a well-formed stream of chat chunks that ends once at most, the same however the
 * bytes were cut; or one whole answer. The last byte says how to read the others, the one before
 * where to cut. */
#include "base/alloc.h"
#include "base/assert.h"
#include "base/random.h"
#include "gateway/attempt.h"
#include "gateway/reading.h"
#include "gateway/translator.h"
#include "gateway/worker.h"
#include "net/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum {
    FLAG_GEMINI = 1,
    FLAG_WHOLE = 2,
    FLAG_LEGACY = 4, /* the client speaks of functions instead of tools */
    FLAG_USAGE = 8,  /* and does not want to know the usage */
};
enum {
    EVENT_BYTES_MAX = 1024 * 1024,
    TEXT_BYTES_MAX = 256 * 1024 * 1024,
    DEPTH_MAX = 512,
    CHOICES_MAX = 8,
    RAWS_MAX = 256,
};

/* --- what stands around a translator --- */

struct house {
    struct worker worker;
    struct config config;
    struct snapshot snapshot;
    struct edition edition;
    struct provider provider;
    struct target target;
    struct dr_json_reader *checker;
};

static struct house *house_new(void) {
    struct house *house = dr_alloc_zero(1, sizeof *house);
    dr_assert(house);
    dr_assert(worker_memory_init(&house->worker, NULL) == DR_OK);
    house->config.answer_bytes_max = TEXT_BYTES_MAX;
    house->snapshot.config = &house->config;
    house->edition.snapshot = &house->snapshot;
    house->target.provider = &house->provider;
    house->target.model = DR_LIT("m");
    house->checker = dr_json_reader_new();
    dr_assert(house->checker);
    return house;
}

#define ASK(more) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]" more
#define FUNCTIONS ",\"functions\":[{\"name\":\"f\"}]"
#define STREAM ",\"stream\":true"
#define USAGE ",\"stream_options\":{\"include_usage\":true}}"

static struct translator *open_translator(struct house *house, unsigned flags,
                                          struct dr_arena *arena) {
    static const dr_slice bodies[] = {
        {ASK(STREAM USAGE), sizeof ASK(STREAM USAGE) - 1},
        {ASK(FUNCTIONS STREAM USAGE), sizeof ASK(FUNCTIONS STREAM USAGE) - 1},
        {ASK(STREAM "}"), sizeof ASK(STREAM "}") - 1},
        {ASK(FUNCTIONS STREAM "}"), sizeof ASK(FUNCTIONS STREAM "}") - 1},
    };
    const size_t body =
        ((flags & FLAG_LEGACY) ? 1u : 0u) + ((flags & FLAG_USAGE) ? (size_t)2 : (size_t)0);
    struct translator *translator = NULL;
    struct reading *reading = NULL;
    struct prompt prompt;
    struct prompt_fault fault;
    dr_assert(openai_read_prompt(house->worker.json, bodies[body], &prompt, &fault) == DR_OK);
    house->provider.dialect = (flags & FLAG_GEMINI) ? DIALECT_GEMINI : DIALECT_ANTHROPIC;
    const struct attempt_ask ask = {
        .worker = &house->worker,
        .edition = &house->edition,
        .target = &house->target,
        .prompt = &prompt,
        .reading = &reading,
        .arena = arena,
        .request_id = DR_LIT("req_1"),
        .created_s = 1764000000,
    };
    dr_assert(translator_open(&ask, &translator) == DR_OK);
    reading_close(reading);
    return translator;
}

/* --- what the client gets --- */

struct seen {
    bool is_legacy;
    bool wants_usage;
    uint64_t id_hash; /* of the first chunk; 0: none came */
    bool has_usage;
    struct {
        bool has_role;
        bool has_finish;
        uint64_t call_count;
    } choices[CHOICES_MAX];
};

static dr_slice text_at(dr_json object, const char *name) {
    return dr_json_text(dr_json_member(object, dr_slice_text(name)));
}

static void check_finish(dr_slice word) {
    static const char *const words[] = {"stop", "length", "tool_calls", "content_filter",
                                        "function_call"};
    size_t i = 0;
    while (i < 5 && !dr_slice_is(word, dr_slice_text(words[i]))) i++;
    dr_assert(i < 5);
}

/* {"index","id","type","function":{"name","arguments"}}: numbers grow by one, the name comes where
 * a call begins and only there. */
static void check_call(struct seen *seen, size_t choice, dr_json call) {
    const dr_json function = dr_json_member(call, DR_LIT("function"));
    const bool is_first = dr_json_member(function, DR_LIT("name")) != NULL;
    uint64_t index = 0;
    dr_assert(dr_json_to_u64(dr_json_member(call, DR_LIT("index")), &index));
    dr_assert(text_at(function, "arguments").data);
    dr_assert(is_first == (text_at(call, "id").len > 0));
    dr_assert(is_first == dr_slice_is(text_at(call, "type"), DR_LIT("function")));
    dr_assert(is_first ? index == seen->choices[choice].call_count
                       : index < seen->choices[choice].call_count);
    if (is_first) seen->choices[choice].call_count++;
}

static void check_delta(struct seen *seen, size_t choice, dr_json delta) {
    const dr_json calls = dr_json_member(delta, DR_LIT("tool_calls"));
    const bool has_role = dr_json_member(delta, DR_LIT("role")) != NULL;
    struct dr_json_iter iter;
    dr_assert(dr_json_is(delta, DR_JSON_OBJECT));
    dr_assert(has_role != seen->choices[choice].has_role);
    seen->choices[choice].has_role = true;
    dr_json_iter_init(&iter, calls);
    dr_assert(!calls || (!seen->is_legacy && dr_json_count(calls) == 1));
    while (dr_json_iter_next(&iter)) check_call(seen, choice, iter.value);
    const dr_json function = dr_json_member(delta, DR_LIT("function_call"));
    if (!function) return;
    const bool is_first = dr_json_member(function, DR_LIT("name")) != NULL;
    dr_assert(seen->is_legacy && text_at(function, "arguments").data);
    dr_assert(is_first == (seen->choices[choice].call_count == 0)); /* there is one */
    seen->choices[choice].call_count = 1;
}

static void check_choice(struct seen *seen, dr_json choice) {
    const dr_json finish = dr_json_member(choice, DR_LIT("finish_reason"));
    uint64_t index = 0;
    dr_assert(dr_json_to_u64(dr_json_member(choice, DR_LIT("index")), &index));
    dr_assert(index < CHOICES_MAX);
    dr_assert(!seen->choices[index].has_finish);
    dr_assert(finish && dr_json_member(choice, DR_LIT("logprobs")));
    if (dr_json_is(finish, DR_JSON_STRING)) {
        check_finish(dr_json_text(finish));
        seen->choices[index].has_finish = true;
        dr_assert(dr_json_count(dr_json_member(choice, DR_LIT("delta"))) == 0);
        dr_assert(seen->choices[index].has_role);
        return;
    }
    dr_assert(dr_json_is(finish, DR_JSON_NULL));
    const dr_json delta = dr_json_member(choice, DR_LIT("delta"));
    if (dr_json_count(delta) > 0) check_delta(seen, (size_t)index, delta);
}

static void check_chunk(struct seen *seen, dr_json root) {
    const uint64_t id_hash = dr_slice_hash(text_at(root, "id"), 1);
    const dr_json choices = dr_json_member(root, DR_LIT("choices"));
    const dr_json usage = dr_json_member(root, DR_LIT("usage"));
    struct dr_json_iter iter;
    dr_assert(dr_slice_is(text_at(root, "object"), DR_LIT("chat.completion.chunk")));
    dr_assert(text_at(root, "id").len > 0 && text_at(root, "model").len > 0);
    dr_assert(seen->id_hash == 0 || seen->id_hash == id_hash);
    seen->id_hash = id_hash;
    dr_assert(dr_json_is(choices, DR_JSON_ARRAY) && dr_json_count(choices) <= 1);
    dr_assert(!seen->has_usage); /* the last one */
    dr_assert(seen->wants_usage == (usage != NULL));
    seen->has_usage = dr_json_is(usage, DR_JSON_OBJECT);
    dr_assert(seen->has_usage == (dr_json_count(choices) == 0));
    dr_json_iter_init(&iter, choices);
    while (dr_json_iter_next(&iter)) check_choice(seen, iter.value);
}

static void check_stream(struct house *house, unsigned flags, dr_slice written, bool is_ended) {
    struct seen seen = {
        .is_legacy = (flags & FLAG_LEGACY) != 0,
        .wants_usage = (flags & FLAG_USAGE) == 0,
    };
    bool is_done = false;
    dr_json root;
    while (written.len > 0) {
        const size_t len = dr_slice_find(written, DR_LIT("\n\n"));
        const dr_slice event = dr_slice_first(written, len);
        dr_assert(len < written.len && !is_done);
        dr_assert(dr_slice_starts(event, DR_LIT("data: ")));
        dr_assert(dr_slice_find_char(event, '\n') == event.len);
        written = dr_slice_from(written, len + 2);
        is_done = dr_slice_is(event, DR_LIT("data: [DONE]"));
        if (is_done) continue;
        dr_assert(dr_json_read(house->checker, dr_slice_from(event, 6), DEPTH_MAX, &root, NULL) ==
                  DR_OK);
        check_chunk(&seen, root);
    }
    dr_assert(is_done == is_ended);
    for (size_t i = 0; i < CHOICES_MAX && is_ended; i++) {
        dr_assert(seen.choices[i].has_finish == seen.choices[i].has_role);
    }
    dr_assert(!is_ended || seen.choices[0].has_finish || seen.id_hash != 0);
}

static void check_answer(struct house *house, dr_slice body) {
    struct dr_json_iter iter;
    uint64_t expected = 0;
    dr_json root;
    dr_assert(dr_json_read(house->checker, body, DEPTH_MAX, &root, NULL) == DR_OK);
    dr_assert(dr_slice_is(text_at(root, "object"), DR_LIT("chat.completion")));
    dr_assert(text_at(root, "id").len > 0 && text_at(root, "model").len > 0);
    dr_json_iter_init(&iter, dr_json_member(root, DR_LIT("choices")));
    for (; dr_json_iter_next(&iter); expected++) {
        const dr_json message = dr_json_member(iter.value, DR_LIT("message"));
        uint64_t index = 0;
        dr_assert(dr_json_to_u64(dr_json_member(iter.value, DR_LIT("index")), &index));
        dr_assert(index == expected);
        dr_assert(dr_slice_is(text_at(message, "role"), DR_LIT("assistant")));
        dr_assert(dr_json_member(message, DR_LIT("content")));
        check_finish(text_at(iter.value, "finish_reason"));
    }
    dr_assert(expected > 0);
}

/* --- an attempt --- */

enum end { END_NONE, END_DONE, END_ERROR, END_GARBAGE };

struct run {
    struct translator *translator;
    struct dr_buf out; /* what was passed on */
    enum end end;
    /* What the present piece has rendered: it must stay until the piece ends. */
    struct {
        dr_slice raw;
        uint64_t hash;
    } raws[RAWS_MAX];
    size_t raw_count;
};

static void end_piece(struct run *run) {
    for (size_t i = 0; i < run->raw_count; i++) {
        dr_assert(dr_slice_hash(run->raws[i].raw, 0) == run->raws[i].hash);
    }
    run->raw_count = 0;
}

static bool has_error(const struct answer_chunk *chunk) {
    for (size_t i = 0; i < chunk->event_count; i++) {
        if (chunk->events[i].kind == ANSWER_ERROR) return true;
    }
    return false;
}

static void give_rendered(struct run *run, struct answer_chunk *chunk) {
    static const struct usage usage = {
        .source = USAGE_REPORTED,
        .prompt_tokens = 3,
        .completion_tokens = 4,
        .total_tokens = 7,
    };
    dr_slice raw;
    if (run->raw_count == RAWS_MAX || (!translator_has_room(run->translator, chunk) &&
                                       translator_has_rendered(run->translator))) {
        end_piece(run);
        translator_begin_piece(run->translator);
    }
    dr_assert(translator_render(run->translator, chunk, &raw));
    if (has_error(chunk)) {
        run->end = END_ERROR; /* nothing of it is passed on */
        return;
    }
    run->raws[run->raw_count].raw = raw;
    run->raws[run->raw_count++].hash = dr_slice_hash(raw, 0);
    dr_buf_put(&run->out, raw);
    if (!chunk->is_end) return;
    run->end = END_DONE;
    end_piece(run);
    dr_assert(translator_render_end(run->translator, &usage, &raw));
    dr_buf_put(&run->out, raw);
}

static void give(struct run *run, struct answer_chunk *chunk) {
    struct answer_chunk before = *chunk;
    if (chunk->is_end) {
        dr_assert(chunk->events[chunk->event_count - 1].kind == ANSWER_END);
        before.is_end = false;
        before.event_count--;
        if (before.event_count > 0) give_rendered(run, &before);
        if (run->end != END_NONE) return;
        before = *chunk;
        before.events = &chunk->events[chunk->event_count - 1];
        before.event_count = 1;
    }
    give_rendered(run, &before);
}

static void read_event(struct run *run, const struct dr_sse_event *event) {
    struct answer_chunk chunk = {0};
    struct dr_error error = {0};
    if (translator_read_event(run->translator, event->has_data ? event->data : DR_NONE, event->raw,
                              &chunk, &error)) {
        dr_assert(error.text[0] != 0);
        run->end = END_GARBAGE;
        return;
    }
    give(run, &chunk);
}

static void read_end(struct run *run, struct dr_sse_reader *sse) {
    struct dr_sse_event event;
    struct answer_chunk chunk = {0};
    struct dr_error error = {0};
    translator_begin_piece(run->translator);
    if (dr_sse_read_end(sse, &event) == DR_SSE_EVENT) read_event(run, &event);
    if (run->end != END_NONE) return;
    if (translator_read_end(run->translator, &chunk, &error)) {
        dr_assert(error.text[0] != 0); /* what was no event is no error's object either */
        run->end = END_GARBAGE;
        return;
    }
    give(run, &chunk);
}

/* In pieces of random length, in one without `random`. */
static void read_stream(struct house *house, unsigned flags, dr_slice text,
                        struct dr_random *random, struct run *run) {
    struct dr_sse_reader *sse = dr_sse_reader_new(EVENT_BYTES_MAX);
    struct dr_sse_event event;
    struct dr_arena arena;
    dr_assert(sse);
    dr_arena_init(&arena, TEXT_BYTES_MAX, &house->worker.blocks);
    *run = (struct run){.translator = open_translator(house, flags, &arena)};
    dr_buf_init(&run->out, TEXT_BYTES_MAX);
    while (text.len > 0 && run->end == END_NONE) {
        const size_t len = random ? 1 + (size_t)dr_random_below(random, 64) : text.len;
        dr_slice piece = dr_slice_first(text, len);
        text = dr_slice_from(text, piece.len);
        translator_begin_piece(run->translator);
        while (run->end == END_NONE) {
            const enum dr_sse_progress progress = dr_sse_read(sse, &piece, &event);
            if (progress != DR_SSE_EVENT) {
                if (progress != DR_SSE_NEED_MORE) run->end = END_GARBAGE;
                break;
            }
            read_event(run, &event);
        }
        end_piece(run);
    }
    if (run->end == END_NONE) read_end(run, sse);
    end_piece(run);
    dr_assert(dr_buf_status(&run->out) == DR_OK);
    check_stream(house, flags, dr_buf_slice(&run->out), run->end == END_DONE);
    translator_close(run->translator);
    dr_arena_clear(&arena);
    dr_sse_reader_free(sse);
}

static void read_both_ways(struct house *house, unsigned flags, uint8_t seed, dr_slice text) {
    struct dr_random random;
    struct run whole;
    struct run cut;
    dr_random_seed(&random, seed);
    read_stream(house, flags, text, NULL, &whole);
    read_stream(house, flags, text, &random, &cut);
    dr_assert(whole.end == cut.end);
    dr_assert(dr_slice_is(dr_buf_slice(&whole.out), dr_buf_slice(&cut.out)));
    dr_buf_clear(&whole.out);
    dr_buf_clear(&cut.out);
}

static void read_whole(struct house *house, unsigned flags, dr_slice text) {
    struct dr_arena arena;
    struct answer_chunk chunk = {0};
    struct failure failure = {0};
    struct dr_error error = {0};
    dr_slice body;
    dr_arena_init(&arena, TEXT_BYTES_MAX, &house->worker.blocks);
    struct translator *translator = open_translator(house, flags, &arena);
    if (translator_read_answer(translator, text, &chunk, &error)) {
        dr_assert(error.text[0] != 0);
    } else if (!has_error(&chunk)) {
        dr_assert(translator_render_answer(translator, &chunk, &body));
        check_answer(house, body);
    }
    translator_read_failure(translator, 400, text, &failure);
    dr_assert(failure.kind != FAILURE_NONE && failure.status == 400);
    translator_close(translator);
    dr_arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    static struct house *house;
    if (!house) house = house_new();
    if (len < 2) return 0;
    const unsigned flags = bytes[len - 1];
    const dr_slice text = dr_slice_of((const char *)bytes, len - 2);
    if (flags & FLAG_WHOLE) {
        read_whole(house, flags, text);
    } else {
        read_both_ways(house, flags, bytes[len - 2], text);
    }
    return 0;
}
