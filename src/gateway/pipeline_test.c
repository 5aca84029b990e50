/* Whole exchanges in this process, from the client's socket to the journal: with every allocation
 * failing in turn, and many at once with faults from a seed. What one request looks like is tested
 * from outside. */
#include "gateway/pipeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/log.h"
#include "gateway/exchange.h"
#include "gateway/sample_worker.h"
#include "store/bookkeeper.h"

#include <stdio.h>
#include <stdlib.h>

enum { PATIENCE_US = 10000000, FAIL_AT_MAX = 2000, BOOK_ROWS_MAX = 4096 };

#define ASK(model) \
    "{\"model\":\"" model "\",\"user\":\"u\",\"messages\":[{\"role\":\"user\"," \
    "\"content\":\"good morning\"}]}"
#define ASK_OF(model, wish) \
    "{\"model\":\"" model "\"," wish \
    ",\"messages\":[{\"role\":\"user\",\"content\":\"good morning\"}]}"
#define ASK_STREAM(model) \
    "{\"model\":\"" model "\",\"stream\":true,\"stream_options\":{\"include_usage\":true}," \
    "\"messages\":[{\"role\":\"user\",\"content\":\"good morning\"}]}"

/* With thinking that another provider has sealed. */
#define ASK_SEALED(model) \
    "{\"model\":\"" model "\",\"messages\":[{\"role\":\"user\",\"content\":\"good\"}," \
    "{\"role\":\"assistant\",\"content\":\"morning\",\"reasoning_details\":[{\"type\":" \
    "\"reasoning.text\",\"format\":\"anthropic-claude-v1\",\"signature\":\"s\"}]}," \
    "{\"role\":\"user\",\"content\":\"morning\"}]}"

#define SCHEMA "{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{}}}"

struct scene {
    const char *name;
    const char *key;
    const char *body;
    uint16_t status;         /* of the record, when nothing fails; 0: no record */
    const char *leaves_upon; /* the client goes away once it has seen this; NULL: it stays */
    enum answer_form form;   /* when nothing fails; a client that leaves has what it has */
};

static const struct scene scenes[] = {
    {"a body", "sk-test", ASK("whole"), 200, NULL, FORM_WHOLE},
    {"a body without usage", "sk-test", ASK("uncounted"), 200, NULL, FORM_WHOLE},
    {"a body with seals", "sk-test", ASK_SEALED("whole"), 200, NULL, FORM_WHOLE},
    {"a body in DeepSeek's words", "sk-test",
     ASK_OF("deepseek", "\"seed\":1,\"response_format\":" SCHEMA), 200, NULL, FORM_WHOLE},
    {"a body with seals in DeepSeek's words", "sk-test",
     ASK_SEALED("deepseek\",\"reasoning_effort\":\"low"), 200, NULL, FORM_WHOLE},
    {"a stream", "sk-test", ASK_STREAM("stream"), 200, NULL, FORM_DONE},
    {"a stream without usage", "sk-test", ASK_STREAM("uncounted-stream"), 200, NULL, FORM_DONE},
    {"a stream in torn pieces", "sk-test", ASK_STREAM("torn-stream"), 200, NULL, FORM_DONE},
    {"a stream without a finish", "sk-test", ASK_STREAM("finishless"), 200, NULL, FORM_DONE},
    {"a stream without [DONE]", "sk-test", ASK_STREAM("endless"), 200, NULL, FORM_DONE},
    {"the second target", "sk-test", ASK_STREAM("fallback"), 200, NULL, FORM_DONE},
    {"the second target's body", "sk-test", ASK("fallback-whole"), 200, NULL, FORM_WHOLE},
    {"a first target that is not there", "sk-test", ASK("unreachable"), 200, NULL, FORM_WHOLE},
    {"a provider that cuts its stream", "sk-test", ASK_STREAM("cut-stream"), 502, NULL,
     FORM_FAILED},
    {"a provider that cuts its body", "sk-test", ASK("cut-whole"), 502, NULL, FORM_WHOLE},
    {"an error in a stream", "sk-test", ASK_STREAM("error-stream"), 502, NULL, FORM_FAILED},
    {"a provider that fails", "sk-test", ASK("broken"), 502, NULL, FORM_WHOLE},
    {"a provider that rejects", "sk-test", ASK_STREAM("rejects"), 400, NULL, FORM_WHOLE},
    {"a stream that is none", "sk-test", ASK_STREAM("garbage"), 502, NULL, FORM_WHOLE},
    {"a client that leaves", "sk-test", ASK_STREAM("stream"), 499, "good", FORM_NOTHING},
    {"a verdict before the answer", "sk-test", ASK_STREAM("verdict"), 200, NULL, FORM_DONE},
    {"a verdict and an error", "sk-test", ASK_STREAM("fallback-verdict"), 200, NULL, FORM_DONE},
    {"a translated stream", "sk-test", ASK_STREAM("claude-stream"), 200, NULL, FORM_DONE},
    {"a translated body", "sk-test", ASK("claude-whole"), 200, NULL, FORM_WHOLE},
    {"a translated stream that is cut", "sk-test", ASK_STREAM("claude-cut"), 502, NULL,
     FORM_FAILED},
    {"a stream that ends with its body", "sk-test", ASK_STREAM("gemini-stream"), 200, NULL,
     FORM_DONE},
    {"a translated stream without usage", "sk-test", ASK_STREAM("gemini-uncounted"), 200, NULL,
     FORM_DONE},
    {"a stream of one event without its blank line", "sk-test", ASK_STREAM("gemini-unended"), 200,
     NULL, FORM_DONE},
    {"another translated body", "sk-test", ASK("gemini-whole"), 200, NULL, FORM_WHOLE},
    {"a target of another dialect", "sk-test", ASK_STREAM("fallback-claude"), 200, NULL, FORM_DONE},
    {"what a provider cannot do", "sk-test", ASK_OF("claude-whole", "\"n\":2"), 400, NULL,
     FORM_WHOLE},
    {"what the second target can do", "sk-test", ASK_OF("able", "\"n\":2"), 200, NULL, FORM_WHOLE},
    {"a client that leaves a translated stream", "sk-test", ASK_STREAM("claude-stream"), 499,
     "good", FORM_NOTHING},
    {"no JSON", "sk-test", "{\"model\":", 400, NULL, FORM_WHOLE},
    {"an unknown key", "sk-other", ASK("whole"), 0, NULL, FORM_WHOLE},
};
enum { SCENE_COUNT = sizeof scenes / sizeof scenes[0] };

/* --- what the journal says ------------------------------------------------------------------ */

struct book_row {
    char request_id[REQUEST_ID_BYTES];
    uint16_t status;
    money cost;
    bool was_told; /* a client has seen this answer whole */
};

struct books {
    struct book_row rows[BOOK_ROWS_MAX];
    size_t count;
    int64_t nanousd;
};

static void books_note(void *owner, const struct ledger_entry *entry) {
    struct books *books = owner;
    assert_true(books->count < BOOK_ROWS_MAX);
    assert_int_equal(entry->request_id.len, REQUEST_ID_BYTES);
    struct book_row *row = &books->rows[books->count++];
    memcpy(row->request_id, entry->request_id.data, REQUEST_ID_BYTES);
    row->status = entry->status;
    row->cost = entry->cost;
    row->was_told = false;
    books->nanousd += entry->cost.nanousd;
}

static struct book_row *books_find(struct books *books, dr_slice request_id) {
    for (size_t i = 0; i < books->count; i++) {
        const dr_slice id = dr_slice_of(books->rows[i].request_id, REQUEST_ID_BYTES);
        if (dr_slice_is(id, request_id)) return &books->rows[i];
    }
    return NULL;
}

/* --- every allocation ----------------------------------------------------------------------- */

struct scene_run {
    const struct scene *scene;
    uint64_t fail_at; /* 0: nothing fails */
    struct answer answer;
    bool has_left;
    bool has_failed; /* the allocation with that number was asked for */
};

/* Names the run that went wrong. */
static void expect(const struct scene_run *run, bool is_right, const char *what) {
    if (is_right) return;
    fail_msg("%s, allocation %llu fails: %s", run->scene->name, (unsigned long long)run->fail_at,
             what);
}

static void run_scene(struct sample_worker *sample, struct scene_run *run) {
    const struct scene *scene = run->scene;
    struct peer *client = &sample->clients[0];
    const dr_instant start = dr_instant_now();
    const uint64_t made_before = dr_alloc_count();
    dr_alloc_fail_at(run->fail_at);
    client_ask(sample, client, scene->key, scene->body);
    while (!(run->has_left || client->has_ended) || !sample_worker_is_quiet(sample)) {
        sample_worker_turn(sample);
        if (!run->has_left) client_read(client);
        if (client->has_ended && client->fd >= 0) client_leave(client, false);
        if (scene->leaves_upon && !run->has_left && strstr(client->text, scene->leaves_upon)) {
            client_leave(client, false);
            run->has_left = true;
        }
        if (dr_instant_us_since(dr_instant_now(), start) > PATIENCE_US) {
            dr_alloc_fail_at(0);
            fail_msg("%s, allocation %llu fails: it never ends; the client has:\n%s", scene->name,
                     (unsigned long long)run->fail_at, client->text);
        }
    }
    run->has_failed = sample_plan_end(made_before, run->fail_at);
    const char *fault = client_judge(client, run->has_left, &run->answer);
    if (fault) {
        fail_msg("%s, allocation %llu fails: %s:\n%s", scene->name,
                 (unsigned long long)run->fail_at, fault, client->text);
    }
}

static void expect_as_planned(const struct scene_run *run) {
    const struct scene *scene = run->scene;
    const bool is_good = scene->form == FORM_DONE || (scene->status == 200 && !run->has_left);
    if (!run->has_left) expect(run, run->answer.form == scene->form, "another kind of answer");
    /* Where memory ends, an answer may come without its usage: the receipt has it. */
    if (is_good) expect(run, run->answer.usage_count == 1, "usage is not told once");
    const uint16_t status = scene->status == 0 ? 401 : scene->status;
    if (run->answer.form == FORM_WHOLE && !run->has_left) {
        expect(run, run->answer.status == status, "another status");
    }
}

/* What a client was told and what is written down must be the same. */
static void expect_books_agree(const struct scene_run *run, struct books *books) {
    const struct answer *answer = &run->answer;
    const bool is_good =
        answer->form == FORM_DONE || (answer->form == FORM_WHOLE && answer->status == 200);
    struct book_row *row =
        answer->request_id.len > 0 ? books_find(books, answer->request_id) : NULL;
    if (is_good) expect(run, row && row->status == 200, "an answer without its charge");
    if (is_good) expect(run, row->cost.nanousd > 0, "an answer for nothing");
    if (answer->form == FORM_FAILED) expect(run, row && row->status >= 500, "no such failure");
    if (answer->form == FORM_WHOLE && answer->status != 200 && row) {
        expect(run, row->status == answer->status, "another status in the books");
        expect(run, row->cost.nanousd == 0, "a refusal that costs");
    }
}

/* True when the allocation with that number was asked for. */
static bool run_with_failure(struct sample_data *data, struct sample_worker *sample,
                             struct books *books, const struct scene *scene, uint64_t fail_at) {
    const int64_t before = tally_account_balance(data->account).nanousd;
    struct scene_run run = {.scene = scene, .fail_at = fail_at};
    struct scene_run after = {.scene = &scenes[0]};
    sample_worker_open(sample, data);

    run_scene(sample, &run);
    const struct journal_stats stats = journal_stats(sample->worker.journal);
    expect(&run, stats.reserved == 0, "room in the journal is lost");
    expect(&run, sample->worker.counters.in_flight[TRANSPORT_HTTP] == 0, "still in flight");
    expect(&run, sample->worker.counters.in_flight[TRANSPORT_SSE] == 0, "still in flight");
    if (!run.has_failed) expect_as_planned(&run);

    /* The worker lives: the next one gets its answer. */
    const dr_slice told = run.answer.request_id;
    char request_id[REQUEST_ID_BYTES];
    if (told.len > 0) memcpy(request_id, told.data, REQUEST_ID_BYTES);
    run_scene(sample, &after);
    expect(&run, after.answer.form == FORM_WHOLE && after.answer.status == 200,
           "the next one gets no answer");
    run.answer.request_id = dr_slice_of(request_id, told.len);
    sample_worker_close(sample);

    books->count = 0;
    books->nanousd = 0;
    const size_t count = sample_data_take_records(data, books_note, books);
    expect(&run, count == stats.records + 1, "the journal counts otherwise");
    expect(&run, stats.records <= (scene->status == 0 ? 0 : 1), "more than one record");
    if (!run.has_failed) expect(&run, stats.records == (scene->status == 0 ? 0 : 1), "no record");
    expect_books_agree(&run, books);
    const int64_t spent = before - tally_account_balance(data->account).nanousd;
    expect(&run, spent == books->nanousd, "the balance is not the sum");
    return run.has_failed;
}

static void test_an_exchange_ends_well_whichever_allocation_fails(void **state) {
    struct sample_data *data = *state;
    struct sample_worker *sample = dr_alloc(sizeof *sample);
    struct books *books = dr_alloc(sizeof *books);
    assert_non_null(sample);
    assert_non_null(books);
    for (size_t i = 0; i < SCENE_COUNT; i++) {
        (void)run_with_failure(data, sample, books, &scenes[i], 0);
        uint64_t fail_at = 1;
        while (run_with_failure(data, sample, books, &scenes[i], fail_at)) {
            fail_at++;
            assert_true(fail_at < FAIL_AT_MAX);
        }
        if (getenv("DR_TEST_TELLS")) printf("%s: %d\n", scenes[i].name, (int)fail_at - 1);
    }
    dr_free(books);
    dr_free(sample);
}

/* Turns until the provider has been asked by the exchange that is returned. */
static struct exchange *ask_provider(struct sample_worker *sample, const char *body) {
    client_ask(sample, &sample->clients[0], "sk-test", body);
    while (!sample->upstreams[0].script) sample_worker_turn(sample);
    assert_false(dr_list_is_empty(&sample->worker.exchanges));
    return dr_list_item(sample->worker.exchanges.next, struct exchange, node);
}

static void expect_answer(struct sample_worker *sample) {
    struct peer *client = &sample->clients[0];
    struct answer answer;
    while (!client->has_ended) {
        sample_worker_turn(sample);
        client_read(client);
    }
    assert_null(client_judge(client, false, &answer));
    assert_int_equal(answer.status, 200);
    client_leave(client, false);
    while (!sample_worker_is_quiet(sample)) sample_worker_turn(sample);
}

/* The first target is asked with what the body says; from then on the body says nothing. */
static void test_a_conversation_is_read_once_whatever_targets_follow(void **state) {
    static const char blanks[2048];
    struct sample_worker *sample = dr_alloc(sizeof *sample);
    assert_non_null(sample);
    sample_worker_open(sample, *state);
    struct exchange *exchange = ask_provider(sample, ASK_STREAM("fallback-claude"));
    assert_true(exchange->prompt.body.len <= sizeof blanks);
    exchange->prompt.body.data = blanks;
    expect_answer(sample);
    assert_int_equal(sample->worker.counters.fallbacks, 1);
    sample_worker_close(sample);
    (void)sample_data_take_records(*state, NULL, NULL);
    dr_free(sample);
}

static void test_a_conversation_stays_only_while_another_target_may_need_it(void **state) {
    static const struct {
        const char *name, *body;
        bool stays;
    } cases[] = {
        {"both targets are of other dialects", ASK_STREAM("fallback-claude"), true},
        {"the last target", ASK_STREAM("claude-stream"), false},
        {"the next target passes bytes", ASK("able"), false},
        {"nothing is translated", ASK("whole"), false},
    };
    struct sample_worker *sample = dr_alloc(sizeof *sample);
    assert_non_null(sample);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sample_worker_open(sample, *state);
        const struct exchange *exchange = ask_provider(sample, cases[i].body);
        if ((exchange->reading != NULL) != cases[i].stays) fail_msg("%s", cases[i].name);
        expect_answer(sample);
        sample_worker_close(sample);
        (void)sample_data_take_records(*state, NULL, NULL);
    }
    dr_free(sample);
}

/* A long answer holds nothing of what was only needed to choose who gives it. */
static void test_a_conversation_is_gone_with_the_first_event(void **state) {
    struct sample_worker *sample = dr_alloc(sizeof *sample);
    assert_non_null(sample);
    sample_worker_open(sample, *state);
    const struct exchange *exchange = ask_provider(sample, ASK_STREAM("claude-first"));
    assert_non_null(exchange->reading);
    while (!exchange->is_committed) sample_worker_turn(sample);
    assert_null(exchange->reading);
    expect_answer(sample);
    sample_worker_close(sample);
    (void)sample_data_take_records(*state, NULL, NULL);
    dr_free(sample);
}

static void expect_verdicts(struct sample_data *data, struct sample_worker *sample,
                            const char *body, size_t expected) {
    const struct scene scene = {"a verdict", "sk-test", body, 200, NULL, FORM_DONE};
    struct scene_run run = {.scene = &scene};
    sample_worker_open(sample, data);
    run_scene(sample, &run);
    expect_as_planned(&run);
    const char *text = sample->clients[0].text;
    const char *words = strstr(text, "\"role\":\"assistant\"");
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, "prompt_filter_results")); at++) {
        expect(&run, !words || at < words, "a verdict behind the answer's first words");
        count++;
    }
    expect(&run, count == expected, "another number of verdicts");
    expect(&run, !strstr(text, ": hello"), "a comment of the provider");
    sample_worker_close(sample);
    (void)sample_data_take_records(data, NULL, NULL);
}

static void test_events_without_a_word_are_passed_on_before_the_first_with_one(void **state) {
    struct sample_worker *sample = dr_alloc(sizeof *sample);
    assert_non_null(sample);
    expect_verdicts(*state, sample, ASK_STREAM("verdict"), 2);
    expect_verdicts(*state, sample, ASK_STREAM("verdict-end"), 1);
    expect_verdicts(*state, sample, ASK_STREAM("fallback-verdict"), 0);
    dr_free(sample);
}

static void expect_retry_after(struct sample_data *data, struct sample_worker *sample,
                               const char *body, const char *line) {
    const struct scene scene = {"a busy provider", "sk-test", body, 429, NULL, FORM_WHOLE};
    struct scene_run run = {.scene = &scene};
    sample_worker_open(sample, data);
    run_scene(sample, &run);
    expect_as_planned(&run);
    expect(&run, strstr(sample->clients[0].text, line) != NULL, "another time to wait");
    sample_worker_close(sample);
    (void)sample_data_take_records(data, NULL, NULL);
}

static void test_a_date_to_retry_after_is_passed_on_as_seconds_within_an_hour(void **state) {
    struct sample_worker *sample = dr_alloc(sizeof *sample);
    assert_non_null(sample);
    expect_retry_after(*state, sample, ASK("busy"), "\r\nRetry-After: 3600\r\n");
    expect_retry_after(*state, sample, ASK("busy-soon"), "\r\nRetry-After: 1\r\n");
    dr_free(sample);
}

/* --- many at once --------------------------------------------------------------------------- */

enum { STORM_EXCHANGES = 400, STORM_SEEDS = 3 };

/* What a client that stayed to the end was told. */
struct told {
    char request_id[REQUEST_ID_BYTES];
    struct answer answer; /* its slices are gone with the client */
};

struct storm {
    uint64_t seed;
    struct dr_random random;
    struct sample_data data;
    struct sample_worker sample;
    const struct scene *scenes[CLIENTS_MAX]; /* by client; NULL: free */
    size_t begun;
    struct told told[STORM_EXCHANGES];
    size_t told_count;
    struct books books;
};

static bool storm_throws(struct storm *storm, uint64_t one_in) {
    return dr_random_below(&storm->random, one_in) == 0;
}

static void storm_expect(const struct storm *storm, bool is_right, const char *what) {
    dr_alloc_fail_at(0);
    if (!is_right) fail_msg("seed %llu: %s", (unsigned long long)storm->seed, what);
}

static void storm_note_told(struct storm *storm, size_t index) {
    struct told told;
    const struct peer *client = &storm->sample.clients[index];
    const char *fault = client_judge(client, false, &told.answer);
    if (fault) {
        dr_alloc_fail_at(0);
        fail_msg("seed %llu, %s: %s:\n%s", (unsigned long long)storm->seed,
                 storm->scenes[index]->name, fault, client->text);
    }
    if (told.answer.request_id.len == 0) return;
    memcpy(told.request_id, told.answer.request_id.data, REQUEST_ID_BYTES);
    storm->told[storm->told_count++] = told;
}

static bool storm_move_clients(struct storm *storm) {
    bool is_any_here = false;
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        struct peer *client = &storm->sample.clients[i];
        if (!storm->scenes[i] && storm->begun < STORM_EXCHANGES && storm_throws(storm, 4)) {
            storm->scenes[i] = &scenes[dr_random_below(&storm->random, SCENE_COUNT)];
            storm->begun++;
            client_ask(&storm->sample, client, storm->scenes[i]->key, storm->scenes[i]->body);
        }
        if (!storm->scenes[i]) continue;
        is_any_here = true;
        if (storm_throws(storm, 2)) client_read(client);
        if (client->has_ended) storm_note_told(storm, i);
        if (client->has_ended || storm_throws(storm, 100)) {
            client_leave(client, storm_throws(storm, 2));
            storm->scenes[i] = NULL;
        }
    }
    return is_any_here;
}

static void storm_rage(struct storm *storm) {
    const dr_instant start = dr_instant_now();
    sample_worker_open(&storm->sample, &storm->data);
    storm->sample.random = &storm->random;
    while (storm_move_clients(storm) || storm->begun < STORM_EXCHANGES ||
           !sample_worker_is_quiet(&storm->sample)) {
        if (storm_throws(storm, 16)) dr_alloc_fail_at(1 + dr_random_below(&storm->random, 30));
        sample_worker_turn(&storm->sample);
        const bool is_late = dr_instant_us_since(dr_instant_now(), start) > PATIENCE_US;
        if (is_late) storm_expect(storm, false, "it never ends");
    }
    dr_alloc_fail_at(0);
}

static uint64_t count_settled(const struct counters *counters) {
    uint64_t count = counters->series_lost;
    size_t cursor = 0;
    for (;;) {
        const struct series *series = dr_map_next(&counters->by_key, &cursor);
        if (!series) return count;
        count += series->requests;
    }
}

static void storm_compare_told(struct storm *storm) {
    for (size_t i = 0; i < storm->told_count; i++) {
        const struct told *told = &storm->told[i];
        const struct answer *answer = &told->answer;
        struct book_row *row =
            books_find(&storm->books, dr_slice_of(told->request_id, REQUEST_ID_BYTES));
        const bool is_good =
            answer->form == FORM_DONE || (answer->form == FORM_WHOLE && answer->status == 200);
        if (is_good) storm_expect(storm, row && row->status == 200, "an answer without its charge");
        if (!row) continue;
        storm_expect(storm, !row->was_told, "two answers of one id");
        row->was_told = true;
        if (answer->form == FORM_WHOLE && answer->status != 200) {
            storm_expect(storm, row->status == answer->status, "another status in the books");
            storm_expect(storm, row->cost.nanousd == 0, "a refusal that costs");
        }
    }
}

static bool storm_note_row(void *owner, const struct ledger_entry *entry) {
    books_note(owner, entry);
    return true;
}

static void storm_compare_books(struct storm *storm, uint64_t records) {
    struct dr_error error;
    struct dr_arena arena;
    struct account account;
    uint64_t replayed = 0;
    const struct store_filter all = {.account_id = DR_NONE};
    const money live = tally_account_balance(storm->data.account);
    assert_int_equal(bookkeeper_replay(storm->data.store, &replayed, &error), DR_OK);
    storm_expect(storm, replayed == records, "the store counts otherwise than the journal");
    assert_int_equal(
        store_each_entry(storm->data.store, &all, storm_note_row, &storm->books, &error), DR_OK);
    storm_expect(storm, storm->books.count == records, "a record is lost or there twice");
    for (size_t i = 0; i < storm->books.count; i++) {
        const dr_slice id = dr_slice_of(storm->books.rows[i].request_id, REQUEST_ID_BYTES);
        storm_expect(storm, books_find(&storm->books, id) == &storm->books.rows[i],
                     "one request id, two records");
    }
    dr_arena_init(&arena, 64 * 1024, NULL);
    assert_int_equal(
        store_find_account(storm->data.store, storm->data.account->id, &arena, &account, &error),
        DR_OK);
    storm_expect(storm, account.balance.nanousd == live.nanousd, "two balances");
    dr_arena_clear(&arena);
}

static void test_books_agree_after_a_storm_of_exchanges_and_faults(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= STORM_SEEDS; seed++) {
        struct storm *storm = dr_alloc_zero(1, sizeof *storm);
        assert_non_null(storm);
        storm->seed = seed;
        dr_random_seed(&storm->random, seed);
        sample_data_open(&storm->data);
        const money before = tally_account_balance(storm->data.account);
        storm_rage(storm);
        const struct worker *worker = &storm->sample.worker;
        const struct journal_stats stats = journal_stats(worker->journal);
        storm_expect(storm, stats.reserved == 0, "room in the journal is lost");
        for (size_t i = 0; i < TRANSPORT_COUNT; i++) {
            storm_expect(storm, worker->counters.in_flight[i] == 0, "still in flight");
        }
        storm_expect(storm, count_settled(&worker->counters) == stats.records,
                     "the counters are not the journal's");
        storm_expect(storm, stats.records > STORM_EXCHANGES / 2, "hardly anything was settled");
        sample_worker_close(&storm->sample);
        storm_compare_books(storm, stats.records);
        storm_compare_told(storm);
        const int64_t spent = before.nanousd - tally_account_balance(storm->data.account).nanousd;
        storm_expect(storm, spent == storm->books.nanousd, "the balance is not the sum");
        if (getenv("DR_TEST_TELLS")) {
            printf("seed %d: %d records, %d told\n", (int)seed, (int)stats.records,
                   (int)storm->told_count);
        }
        sample_data_close(&storm->data);
        dr_free(storm);
    }
}

int main(void) {
    dr_log_set_level(DR_LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_exchange_ends_well_whichever_allocation_fails,
                                        sample_data_set_up, sample_data_tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_date_to_retry_after_is_passed_on_as_seconds_within_an_hour, sample_data_set_up,
            sample_data_tear_down),
        cmocka_unit_test_setup_teardown(
            test_events_without_a_word_are_passed_on_before_the_first_with_one, sample_data_set_up,
            sample_data_tear_down),
        cmocka_unit_test_setup_teardown(test_a_conversation_is_read_once_whatever_targets_follow,
                                        sample_data_set_up, sample_data_tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_conversation_stays_only_while_another_target_may_need_it, sample_data_set_up,
            sample_data_tear_down),
        cmocka_unit_test_setup_teardown(test_a_conversation_is_gone_with_the_first_event,
                                        sample_data_set_up, sample_data_tear_down),
        cmocka_unit_test(test_books_agree_after_a_storm_of_exchanges_and_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
