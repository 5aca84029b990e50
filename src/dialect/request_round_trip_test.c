/* Requests made at random, written for Anthropic and Gemini and read back by a reader that knows
 * only the provider: nothing is lost but what is told or what the table says, nothing is told that
 * was not lost, and only what cannot be had is refused. */
#include "dialect/dialect.h"
#include "dialect/sample_sent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROUNDS = 1000, DEPTH_MAX = 128 };

static const struct sample_model models[] = {
    {DIALECT_ANTHROPIC, "claude-3-5-haiku-20241022", 35, false},
    {DIALECT_ANTHROPIC, "claude-sonnet-4-5", 45, false},
    {DIALECT_ANTHROPIC, "claude-opus-4-6", 46, false},
    {DIALECT_ANTHROPIC, "claude-opus-4-7", 47, false},
    {DIALECT_GEMINI, "gemini-2.0-flash", 20, false},
    {DIALECT_GEMINI, "gemini-2.5-flash", 25, false},
    {DIALECT_GEMINI, "gemini-2.5-pro", 25, true},
    {DIALECT_GEMINI, "gemini-3-flash-preview", 30, false},
};

/* One request on its way. */
struct trip {
    uint64_t seed;
    struct sample_request sample;
    struct dr_json_reader *reader;
    struct dr_json_reader *scratch;
    struct dr_arena arena;
    struct dr_buf out;
    struct loss loss;
    enum dr_status status;
};

static void send(struct trip *trip) {
    const dr_slice body = dr_buf_slice(&trip->sample.body);
    struct prompt_fault fault = {0};
    struct conversation conversation;
    struct prompt prompt;

    trip->reader = dr_json_reader_new();
    trip->scratch = dr_json_reader_new();
    dr_arena_init(&trip->arena, SAMPLE_BYTES_MAX, NULL);
    dr_buf_init(&trip->out, SAMPLE_BYTES_MAX);
    if (openai_read_prompt(trip->reader, body, &prompt, &fault)) {
        fail_msg("seed %llu: %s %s\n%.*s", (unsigned long long)trip->seed, fault.param, fault.text,
                 DR_FMT(body));
    }
    assert_int_equal(openai_read_conversation(trip->reader, &prompt, &trip->arena, &conversation),
                     DR_OK);
    trip->status = dialect_write_prompt(trip->sample.model.dialect, &conversation,
                                        dr_slice_text(trip->sample.model.name), trip->scratch,
                                        &trip->out, &trip->loss);
}

static void clear(struct trip *trip) {
    sample_request_clear(&trip->sample);
    dr_json_reader_free(trip->reader);
    dr_json_reader_free(trip->scratch);
    dr_arena_clear(&trip->arena);
    dr_buf_clear(&trip->out);
}

/* Prints all there is to see, since cmocka cuts long messages off. */
static void fail_trip(const struct trip *trip, const char *why, dr_slice what) {
    (void)fprintf(stderr, "%s, seed %llu: %s %.*s\nasked: %.*s\nsent: %.*s\ntold: %.*s\n",
                  trip->sample.model.name, (unsigned long long)trip->seed, why, DR_FMT(what),
                  DR_FMT(dr_buf_slice(&trip->sample.body)), DR_FMT(dr_buf_slice(&trip->out)),
                  DR_FMT(loss_dropped(&trip->loss)));
    fail_msg("%s, seed %llu: %s", trip->sample.model.name, (unsigned long long)trip->seed, why);
}

static bool is_told(const struct trip *trip, dr_slice name) {
    dr_slice rest = loss_dropped(&trip->loss);

    while (rest.len > 0) {
        if (dr_slice_is(dr_slice_trim(dr_slice_split(&rest, ',')), name)) return true;
    }
    return false;
}

static void check_told(const struct trip *trip) {
    dr_slice rest = dr_buf_slice(&trip->sample.told);
    dr_slice told = loss_dropped(&trip->loss);

    while (rest.len > 0) {
        const dr_slice name = dr_slice_split(&rest, '\n');
        if (name.len > 0 && !is_told(trip, name)) fail_trip(trip, "not told:", name);
    }
    while (told.len > 0) {
        const dr_slice name = dr_slice_trim(dr_slice_split(&told, ','));
        if (!sample_has_line(&trip->sample.told, name) &&
            !sample_has_line(&trip->sample.perhaps, name)) {
            fail_trip(trip, "told for nothing:", name);
        }
    }
}

/* The next fact whose loss was not told. */
static dr_slice next_fact(const struct trip *trip, dr_slice *facts) {
    while (facts->len > 0) {
        dr_slice line = dr_slice_split(facts, '\n');
        dr_slice fact = line;
        if (line.len > 0 && !is_told(trip, dr_slice_split(&fact, '|'))) return fact;
    }
    return DR_NONE;
}

static void compare(const struct trip *trip, const struct dr_buf *asked,
                    const struct dr_buf *sent) {
    dr_slice expected = dr_buf_slice(asked);
    dr_slice got = dr_buf_slice(sent);

    for (;;) {
        const dr_slice wanted = next_fact(trip, &expected);
        const dr_slice found = next_fact(trip, &got);
        if (!dr_slice_is(wanted, found)) {
            (void)fprintf(stderr, "found: %.*s\n", DR_FMT(found));
            fail_trip(trip, "wanted:", wanted);
        }
        if (!wanted.data) return;
    }
}

static void check_budget(const struct trip *trip, const struct sample_sent *sent) {
    const uint64_t asked = trip->sample.budget;

    if (sent->budget == 0 || asked == 0) return;
    if (sample_is_gemini(&trip->sample)) {
        assert_int_equal(sent->budget, asked);
    } else {
        assert_true(sent->budget >= 1024 && sent->budget < sent->limit);
        assert_true(sent->budget <= asked);
    }
}

static void check_trip(struct trip *trip) {
    const char *refused = trip->sample.refused;
    struct sample_sent sent = {.thinking = trip->sample.thinking};
    dr_json root;

    send(trip);
    if (refused[0] != '\0') {
        if (trip->status != DR_INVALID || strcmp(refused, trip->loss.fault.param) != 0) {
            fail_trip(trip, "not refused:", dr_slice_text(refused));
        }
        return;
    }
    if (trip->status) fail_trip(trip, "refused:", dr_slice_text(trip->loss.fault.param));
    check_told(trip);
    if (dr_json_read(trip->reader, dr_buf_slice(&trip->out), DEPTH_MAX, &root, NULL)) {
        fail_trip(trip, "no JSON", DR_NONE);
    }
    if (sample_is_gemini(&trip->sample))
        sample_sent_read_gemini(&sent, root);
    else
        sample_sent_read_anthropic(&sent, root);
    if (sent.fault) fail_trip(trip, "wants", dr_slice_text(sent.fault));
    compare(trip, &trip->sample.facts.system, &sent.facts.system);
    compare(trip, &trip->sample.facts.talk, &sent.facts.talk);
    compare(trip, &trip->sample.facts.rest, &sent.facts.rest);
    check_budget(trip, &sent);
    sample_sent_clear(&sent);
}

static void test_requests_lose_only_what_is_told(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        for (uint64_t round = 0; round < ROUNDS; round++) {
            struct trip trip = {.seed = i * ROUNDS + round};
            sample_request_make(&trip.sample, &models[i], trip.seed);
            check_trip(&trip);
            clear(&trip);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_lose_only_what_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
