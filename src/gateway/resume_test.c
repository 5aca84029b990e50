/* What a client has seen of an answer over all its connections, with every allocation of the
 * gateway failing in turn: all of it, or a break that it can tell, never a gap that looks whole.
 * What resuming is like when nothing fails is tested from outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/log.h"
#include "gateway/exchange.h"
#include "gateway/replay_shared.h"
#include "gateway/sample_worker.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PATIENCE_US = 10000000,
    FAIL_AT_MAX = 2000,
    VISITS_MAX = 6, /* an answer is left once and loses its connection once */
    WORDS_BYTES = 256,
    REQUEST_BYTES = 1024,
};

enum seen_end {
    SEEN_NO_END, /* cut, or still to come */
    SEEN_WHOLE,
    SEEN_FAILED, /* by an error frame or event, or a refusal */
};

/* What a client has of an answer. */
struct seen {
    char request_id[REQUEST_ID_BYTES + 1]; /* empty: it can't come back */
    uint64_t latest;                       /* the number of the frame or event */
    enum seen_end end;
    size_t len;
    char words[WORDS_BYTES]; /* the text, calls and finish reason, as they stand in JSON */
};

/* How a client speaks. Each returns what is wrong with what came, NULL when nothing is. */
struct wire {
    void (*ask)(struct sample_worker *sample, struct peer *client, const char *model);
    void (*resume)(struct sample_worker *sample, struct peer *client, const struct seen *seen);
    const char *(*look)(const struct peer *client, struct seen *seen);
};

/* --- what both say
 * ------------------------------------------------------------------------------ */

static void take_string(dr_slice text, struct seen *seen) {
    for (size_t i = 0; i < text.len && text.data[i] != '"'; i++) {
        assert_true(seen->len + 3 < WORDS_BYTES);
        if (text.data[i] == '\\') seen->words[seen->len++] = text.data[i++];
        seen->words[seen->len++] = text.data[i];
    }
    seen->words[seen->len] = '\0';
}

static void take_words(dr_slice json, struct seen *seen) {
    static const char *const members[] = {"\"content\":\"", "\"name\":\"", "\"arguments\":\"",
                                          "\"finish_reason\":\""};
    for (; json.len > 0; json = dr_slice_from(json, 1)) {
        for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
            const dr_slice member = dr_slice_text(members[i]);
            if (dr_slice_starts(json, member)) take_string(dr_slice_from(json, member.len), seen);
        }
    }
}

/* The number that stands behind `name`; 0 when there is none. */
static uint64_t number_behind(dr_slice text, const char *name) {
    const dr_slice rest =
        dr_slice_from(text, dr_slice_find(text, dr_slice_text(name)) + strlen(name));
    size_t len = 0;
    uint64_t number = 0;
    while (len < rest.len && rest.data[len] >= '0' && rest.data[len] <= '9') len++;
    return dr_slice_to_u64(dr_slice_first(rest, len), &number) ? number : 0;
}

static void note_request_id(struct seen *seen, dr_slice id) {
    if (id.len != REQUEST_ID_BYTES) return;
    memcpy(seen->request_id, id.data, REQUEST_ID_BYTES);
}

/* Takes the answer's head off. False when it has not come yet, or another one, which is noted. */
static bool take_head(const struct peer *client, dr_slice status, struct seen *seen,
                      dr_slice *ret_head, dr_slice *ret_rest) {
    const dr_slice text = dr_slice_of(client->text, client->len);
    const size_t len = dr_slice_find(text, DR_LIT("\r\n\r\n"));
    const bool is_other = text.len >= status.len && !dr_slice_starts(text, status);
    if (is_other) seen->end = SEEN_FAILED;
    if (is_other || len == text.len) return false;
    *ret_head = dr_slice_first(text, len + 2);
    *ret_rest = dr_slice_from(text, len + 4);
    return true;
}

/* --- over a WebSocket
 * --------------------------------------------------------------------------- */

static void ws_say(struct sample_worker *sample, struct peer *client, const char *message) {
    char bytes[REQUEST_BYTES];
    const size_t len = strlen(message);
    assert_true(len >= 126 && len < 256); /* a head of 8 bytes, whose mask changes nothing */
    const int head_len =
        snprintf(bytes, sizeof bytes,
                 "GET /v1/ws/chat HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer sk-test\r\n"
                 "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    const unsigned char head[8] = {0x81, 0x80 | 126, 0, (unsigned char)len};
    assert_true((size_t)head_len + sizeof head + len < sizeof bytes);
    memcpy(bytes + head_len, head, sizeof head);
    memcpy(bytes + head_len + sizeof head, message, len);
    client_say(sample, client, bytes, (size_t)head_len + sizeof head + len);
}

static void ws_ask(struct sample_worker *sample, struct peer *client, const char *model) {
    char message[REQUEST_BYTES];
    (void)snprintf(message, sizeof message,
                   "{\"id\":\"a\",\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":"
                   "\"%060d\"}]}",
                   model, 0);
    ws_say(sample, client, message);
}

static void ws_resume(struct sample_worker *sample, struct peer *client, const struct seen *seen) {
    char message[REQUEST_BYTES];
    (void)snprintf(
        message, sizeof message,
        "{\"type\":\"resume\",\"id\":\"%020d\",\"request_id\":\"%s\",\"after\":%llu}%30s", 0,
        seen->request_id, (unsigned long long)seen->latest, "");
    ws_say(sample, client, message);
}

static const char *ws_take_frame(dr_slice json, struct seen *seen) {
    if (seen->end != SEEN_NO_END) return "a frame behind the end";
    if (dr_slice_find(json, DR_LIT(",\"error\":{")) < json.len) {
        seen->end = SEEN_FAILED;
        return NULL;
    }
    if (number_behind(json, "\"seq\":") != seen->latest + 1) return "not the next frame";
    seen->latest++;
    const size_t at = dr_slice_find(json, DR_LIT("\"request_id\":\""));
    note_request_id(seen, dr_slice_first(dr_slice_from(json, at + 14), REQUEST_ID_BYTES));
    take_words(json, seen);
    if (dr_slice_find(json, DR_LIT("\"done\":true")) < json.len) seen->end = SEEN_WHOLE;
    return NULL;
}

/* Takes the first frame off. False when it is not there whole. */
static bool frame_take(dr_slice *bytes, bool *ret_is_text, dr_slice *ret_payload) {
    if (bytes->len < 4) return false;
    const unsigned char *head = (const unsigned char *)bytes->data;
    const bool is_long = head[1] == 126;
    const size_t head_len = is_long ? 4 : 2;
    const size_t len = is_long ? (size_t)head[2] << 8 | head[3] : head[1];
    if (bytes->len < head_len + len) return false;
    *ret_is_text = head[0] == 0x81;
    *ret_payload = dr_slice_first(dr_slice_from(*bytes, head_len), len);
    *bytes = dr_slice_from(*bytes, head_len + len);
    return true;
}

static const char *ws_look(const struct peer *client, struct seen *seen) {
    dr_slice head, rest, payload;
    bool is_text;
    const char *fault = NULL;
    if (!take_head(client, DR_LIT("HTTP/1.1 101 "), seen, &head, &rest)) return NULL;
    while (!fault && frame_take(&rest, &is_text, &payload)) {
        if (is_text) fault = ws_take_frame(payload, seen);
    }
    return fault;
}

static const struct wire ws = {ws_ask, ws_resume, ws_look};

/* --- as an event stream
 * ------------------------------------------------------------------------- */

static void sse_ask(struct sample_worker *sample, struct peer *client, const char *model) {
    char body[REQUEST_BYTES / 2];
    char request[REQUEST_BYTES];
    const int body_len = snprintf(body, sizeof body,
                                  "{\"model\":\"%s\",\"stream\":true,\"messages\":[{\"role\":"
                                  "\"user\",\"content\":\"good morning\"}]}",
                                  model);
    const int len = snprintf(request, sizeof request,
                             "POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\n"
                             "Authorization: Bearer sk-test\r\nX-Drover-Resumable: true\r\n"
                             "Connection: close\r\nContent-Length: %d\r\n\r\n%s",
                             body_len, body);
    client_say(sample, client, request, (size_t)len);
}

static void sse_resume(struct sample_worker *sample, struct peer *client, const struct seen *seen) {
    char request[REQUEST_BYTES];
    const int len = snprintf(request, sizeof request,
                             "GET /v1/chat/completions/%s/events HTTP/1.1\r\nHost: t\r\n"
                             "Authorization: Bearer sk-test\r\nLast-Event-ID: %llu\r\n"
                             "Connection: close\r\n\r\n",
                             seen->request_id, (unsigned long long)seen->latest);
    client_say(sample, client, request, (size_t)len);
}

static const char *sse_take_event(dr_slice event, struct seen *seen) {
    if (seen->end != SEEN_NO_END) return "an event behind the end";
    if (dr_slice_starts(event, DR_LIT(":"))) return NULL;
    if (dr_slice_starts(event, DR_LIT("id: "))) {
        if (number_behind(event, "id: ") != seen->latest + 1) return "not the next event";
        seen->latest++;
        (void)dr_slice_split(&event, '\n');
    }
    if (!dr_slice_starts(event, DR_LIT("data: "))) return "an event that is none";
    event = dr_slice_from(event, 6);
    take_words(event, seen);
    if (dr_slice_is(event, DR_LIT("[DONE]"))) seen->end = SEEN_WHOLE;
    if (dr_slice_starts(event, DR_LIT("{\"error\""))) seen->end = SEEN_FAILED;
    return NULL;
}

static const char *sse_look(const struct peer *client, struct seen *seen) {
    char text[PEER_BYTES];
    size_t len;
    bool is_over;
    const char *fault = NULL;
    dr_slice head, body;
    if (!take_head(client, DR_LIT("HTTP/1.1 200 "), seen, &head, &body)) return NULL;
    if (!seen->request_id[0]) note_request_id(seen, answer_field(head, "x-request-id: "));
    if (!answer_take_chunks(body, text, &len, &is_over)) return "malformed chunks";
    dr_slice rest = dr_slice_of(text, len);
    while (!fault && rest.len > 0) {
        const size_t end = dr_slice_find(rest, DR_LIT("\n\n"));
        if (end == rest.len) return "an event without an end";
        fault = sse_take_event(dr_slice_first(rest, end), seen);
        rest = dr_slice_from(rest, end + 2);
    }
    if (!fault && is_over && seen->end == SEEN_NO_END) return "an end that looks well and is none";
    return fault;
}

static const struct wire sse = {sse_ask, sse_resume, sse_look};

/* --- every allocation
 * --------------------------------------------------------------------------- */

#define WORDS "good day to youstop"
#define SMILE "good \xf0\x9f\x98\x80 day to youstop"
#define HALVES "good \\ud83d\\ude00 day to youstop"
#define CALLS "look{at:sea}wait{}tool_calls"

static const struct scene {
    const char *name;
    const struct wire *wire;
    const char *model;
    enum seen_end end;       /* when nothing fails */
    const char *words;       /* of the whole answer; of another one, all that may be seen */
    const char *leaves_upon; /* the client loses its connection after these words; NULL: it stays */
    bool is_forgetful;       /* the worker's buffers lose their memory after each turn */
    bool has_no_record;
} scenes[] = {
    {"words", &ws, "stream", SEEN_WHOLE, WORDS, NULL, false, false},
    {"words that are left", &ws, "stream", SEEN_WHOLE, WORDS, "good", true, false},
    {"a character in halves", &ws, "halves", SEEN_WHOLE, SMILE, NULL, true, false},
    {"halves that are left", &ws, "halves", SEEN_WHOLE, SMILE, "good", true, false},
    {"calls", &ws, "calls", SEEN_WHOLE, CALLS, NULL, true, false},
    {"calls that are left", &ws, "calls", SEEN_WHOLE, CALLS, "look", false, false},
    {"translated words", &ws, "claude-stream", SEEN_WHOLE, WORDS, "good", false, false},
    {"a provider that cuts", &ws, "cut-stream", SEEN_FAILED, WORDS, NULL, false, false},
    {"words without a record", &ws, "stream", SEEN_WHOLE, WORDS, NULL, true, true},
    {"events", &sse, "stream", SEEN_WHOLE, WORDS, NULL, true, false},
    {"events that are left", &sse, "stream", SEEN_WHOLE, WORDS, "good", false, false},
    {"events with halves", &sse, "halves", SEEN_WHOLE, HALVES, "good", true, false},
    {"events of calls", &sse, "calls", SEEN_WHOLE, CALLS, NULL, true, false},
    {"events of calls that are left", &sse, "calls", SEEN_WHOLE, CALLS, "look", false, false},
    {"translated events", &sse, "claude-stream", SEEN_WHOLE, WORDS, "good", false, false},
    {"events of a provider that cuts", &sse, "cut-stream", SEEN_FAILED, WORDS, NULL, false, false},
    {"events without a record", &sse, "stream", SEEN_WHOLE, WORDS, NULL, true, true},
};
enum { SCENE_COUNT = sizeof scenes / sizeof scenes[0] };

struct books {
    size_t good_count; /* whole answers that cost something */
    int64_t nanousd;
};

struct run {
    struct sample_data *data;
    struct sample_worker *sample;
    const struct scene *scene;
    uint64_t fail_at; /* 0: nothing fails */
    bool has_left;
};

/* Names the run that went wrong. */
static void expect(const struct run *run, bool is_right, const char *what,
                   const struct seen *seen) {
    if (is_right) return;
    dr_alloc_fail_at(0);
    fail_msg("%s, allocation %llu fails: %s; the client has '%s'", run->scene->name,
             (unsigned long long)run->fail_at, what, seen->words);
}

/* Buffers that have grown ask for memory no more: where they forget it each piece has to. */
static void run_turn(const struct run *run) {
    struct worker *worker = &run->sample->worker;
    sample_worker_turn(run->sample);
    if (!run->scene->is_forgetful) return;
    dr_buf_clear(&worker->body);
    dr_buf_clear(&worker->frame);
    dr_buf_clear(&worker->frames);
    dr_buf_clear(&worker->events);
}

static bool is_late(dr_instant start) {
    return dr_instant_us_since(dr_instant_now(), start) > PATIENCE_US;
}

/* One connection, until it ends, or the answer does, or the client goes away. */
static void run_visit(struct run *run, bool is_ask, struct seen *seen) {
    const struct scene *scene = run->scene;
    struct peer *client = &run->sample->clients[0];
    const struct seen before = *seen;
    const dr_instant start = dr_instant_now();
    bool is_over = false;
    if (is_ask) scene->wire->ask(run->sample, client, scene->model);
    if (!is_ask) scene->wire->resume(run->sample, client, seen);
    while (!is_over) {
        run_turn(run);
        client_read(client);
        *seen = before;
        const char *fault = scene->wire->look(client, seen);
        expect(run, !fault, fault, seen);
        expect(run, !is_late(start), "it never ends", seen);
        is_over = client->has_ended || seen->end != SEEN_NO_END;
        if (!run->has_left && scene->leaves_upon && strstr(seen->words, scene->leaves_upon)) {
            run->has_left = is_over = true;
        }
    }
    client_leave(client, false);
}

/* Comes back as long as there is no end. */
static void run_visits(struct run *run, bool is_ask, struct seen *seen) {
    for (size_t i = 0; seen->end == SEEN_NO_END; i++) {
        if (!is_ask && !seen->request_id[0]) return; /* a visible end, if a poor one */
        expect(run, i < VISITS_MAX, "it is cut again and again", seen);
        run_visit(run, is_ask, seen);
        is_ask = false;
    }
}

static void run_until_quiet(const struct run *run, const struct seen *seen) {
    const dr_instant start = dr_instant_now();
    while (!sample_worker_is_quiet(run->sample)) {
        run_turn(run);
        expect(run, !is_late(start), "something stays behind", seen);
    }
}

/* All of it, or a part from the beginning on that is known to be one. */
static void expect_no_gap(const struct run *run, const struct seen *seen) {
    const char *words = run->scene->words;
    const bool is_first = strncmp(words, seen->words, seen->len) == 0;
    expect(run, is_first, "a gap", seen);
    if (seen->end != SEEN_WHOLE) return;
    expect(run, run->scene->end == SEEN_WHOLE, "an end that was none", seen);
    expect(run, seen->len == strlen(words), "a part as if it were all", seen);
}

/* The answer, and what its record tells who comes for all of it. */
static void run_answer(struct run *run, struct seen *seen) {
    run_visits(run, true, seen);
    expect_no_gap(run, seen);
    if (!seen->request_id[0]) return;
    struct seen again = {.latest = 0};
    memcpy(again.request_id, seen->request_id, sizeof again.request_id);
    run_visits(run, false, &again);
    expect_no_gap(run, &again);
    const bool has_record = run->fail_at == 0 && !run->scene->has_no_record;
    if (has_record) expect(run, again.end == run->scene->end, "another answer the next time", seen);
}

static void books_note(void *owner, const struct ledger_entry *entry) {
    struct books *books = owner;
    if (entry->status == 200 && entry->cost.nanousd > 0) books->good_count++;
    books->nanousd += entry->cost.nanousd;
}

static void expect_settled_once(const struct run *run, const struct seen *seen) {
    const struct worker *worker = &run->sample->worker;
    const uint64_t settled = journal_stats(worker->journal).records;
    expect(run, settled <= 1, "it is settled twice", seen);
    if (seen->request_id[0]) expect(run, settled == 1, "it is not settled", seen);
    expect(run, journal_stats(worker->journal).reserved == 0, "room in the journal is lost", seen);
    for (size_t i = 0; i < TRANSPORT_COUNT; i++) {
        expect(run, worker->counters.in_flight[i] == 0, "it is still in flight", seen);
    }
}

static void expect_books_agree(const struct run *run, const struct seen *seen,
                               const struct seen *after, int64_t before) {
    struct books books = {.good_count = 0};
    (void)sample_data_take_records(run->data, books_note, &books);
    size_t whole_count = 0;
    if (seen->end == SEEN_WHOLE) whole_count++;
    if (after->end == SEEN_WHOLE) whole_count++;
    expect(run, books.good_count >= whole_count, "an answer for nothing", seen);
    const int64_t spent = before - tally_account_balance(run->data->account).nanousd;
    expect(run, spent == books.nanousd, "the balance is not the sum", seen);
}

/* Takes all room for records. */
static void drop_records(struct worker *worker) {
    replay_table_free(worker->replays);
    worker->replays = replay_table_new(1, 0, NULL);
    assert_non_null(worker->replays);
}

/* True when the allocation with that number was asked for. */
static bool run_with_failure(struct sample_data *data, struct sample_worker *sample,
                             const struct scene *scene, uint64_t fail_at) {
    struct run run = {.data = data, .sample = sample, .scene = scene, .fail_at = fail_at};
    struct run next = {.data = data, .sample = sample, .scene = scene};
    struct seen seen = {.latest = 0};
    struct seen after = {.latest = 0};
    const int64_t before = tally_account_balance(data->account).nanousd;
    sample_worker_open(sample, data);
    if (scene->has_no_record) drop_records(&sample->worker);
    const uint64_t made_before = dr_alloc_count();
    dr_alloc_fail_at(fail_at);
    run_answer(&run, &seen);
    run_until_quiet(&run, &seen);
    const bool has_failed = sample_plan_end(made_before, fail_at);
    if (!has_failed) expect(&run, seen.end == scene->end, "another end", &seen);
    expect_settled_once(&run, &seen);

    /* The worker lives: the next one gets its answer. */
    run_answer(&next, &after);
    run_until_quiet(&next, &after);
    expect(&run, after.end == scene->end, "the next one gets no answer", &after);
    sample_worker_close(sample);
    expect_books_agree(&run, &seen, &after, before);
    return has_failed;
}

static void test_an_answer_has_no_gap_that_looks_whole_whichever_allocation_fails(void **state) {
    struct sample_worker *sample = dr_alloc(sizeof *sample);
    assert_non_null(sample);
    for (size_t i = 0; i < SCENE_COUNT; i++) {
        uint64_t fail_at = 0;
        while (run_with_failure(*state, sample, &scenes[i], fail_at) || fail_at == 0) {
            fail_at++;
            assert_true(fail_at < FAIL_AT_MAX);
        }
        if (getenv("DR_TEST_TELLS")) printf("%s: %d\n", scenes[i].name, (int)fail_at - 1);
    }
    dr_free(sample);
}

int main(void) {
    dr_log_set_level(DR_LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_an_answer_has_no_gap_that_looks_whole_whichever_allocation_fails,
            sample_data_set_up, sample_data_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
