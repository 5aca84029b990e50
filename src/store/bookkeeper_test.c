/* The store's thread: jobs see what they ask for, usage lines follow the records, a stop leaves
 * nothing behind. */
#include "store/bookkeeper.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "store/journal.h"
#include "store/sample_books.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char folder[SAMPLE_PATH_BYTES];
    char journal_folder[SAMPLE_PATH_BYTES];
    char usage_log[SAMPLE_PATH_BYTES + 32];
    struct store *store;
    struct bookkeeper *bookkeeper;
    struct journal *journal;
    struct dr_random random;
};

static void start(struct fixture *fixture, const char *usage_log, int64_t batch_ms) {
    struct dr_error error = {0};
    const struct bookkeeper_options options = {.usage_log = usage_log, .batch_ms = batch_ms};
    assert_int_equal(store_open(fixture->folder, &fixture->store, &error), DR_OK);
    assert_int_equal(bookkeeper_start(fixture->store, &options, &fixture->bookkeeper, &error),
                     DR_OK);
    assert_int_equal(journal_open(fixture->journal_folder, 0, 0, &fixture->journal, &error), DR_OK);
}

static void stop(struct fixture *fixture) {
    journal_close(fixture->journal);
    bookkeeper_stop(fixture->bookkeeper);
    store_close(fixture->store);
}

static int set_up(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){0};
    dr_random_seed(&fixture.random, 21);
    sample_folder_make(fixture.folder);
    sample_journal_path(fixture.folder, fixture.journal_folder);
    snprintf(fixture.usage_log, sizeof(fixture.usage_log), "%s/usage.jsonl", fixture.folder);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    const struct fixture *fixture = *state;
    sample_folder_remove(fixture->folder);
    return 0;
}

static void append_entry(struct fixture *fixture) {
    struct sample_entry sample;
    sample_entry_make(&sample, &fixture->random, 5);
    assert_true(journal_reserve(fixture->journal, dr_instant_now()));
    assert_int_equal(journal_append(fixture->journal, &sample.entry, NULL), DR_OK);
}

static uint64_t count_lines(const char *path) {
    uint64_t count = 0;
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    for (int byte = fgetc(file); byte != EOF; byte = fgetc(file)) count += byte == '\n';
    fclose(file);
    return count;
}

/* --- jobs ----------------------------------------------------------------------------------- */

struct count_job {
    struct bookkeeper_job job; /* first */
    uint64_t requests;
    pthread_mutex_t mutex;
    pthread_cond_t done;
    bool is_done;
    bool was_stale;
};

static bool visit_total(void *owner, const struct store_total *total) {
    uint64_t *requests = owner;
    *requests = total->requests;
    return true;
}

static void run_count(struct bookkeeper_job *job, struct store *store) {
    struct count_job *count = (struct count_job *)(void *)job;
    const struct store_filter all = {0};
    uint64_t requests = UINT64_MAX;
    (void)!store_each_total(store, &all, 0, visit_total, &requests, NULL);
    pthread_mutex_lock(&count->mutex);
    count->requests = requests;
    count->was_stale = job->is_stale;
    count->is_done = true;
    pthread_cond_signal(&count->done);
    pthread_mutex_unlock(&count->mutex);
}

static struct count_job run_job(struct fixture *fixture, bool needs_fresh_records) {
    struct count_job count = {
        .job = {.run = run_count, .needs_fresh_records = needs_fresh_records}};
    pthread_mutex_init(&count.mutex, NULL);
    pthread_cond_init(&count.done, NULL);
    bookkeeper_submit(fixture->bookkeeper, &count.job);
    pthread_mutex_lock(&count.mutex);
    while (!count.is_done) pthread_cond_wait(&count.done, &count.mutex);
    pthread_mutex_unlock(&count.mutex);
    pthread_cond_destroy(&count.done);
    pthread_mutex_destroy(&count.mutex);
    return count;
}

static uint64_t count_requests(struct fixture *fixture, bool needs_fresh_records) {
    const struct count_job count = run_job(fixture, needs_fresh_records);
    assert_false(count.was_stale);
    return count.requests;
}

static void test_a_job_that_asks_for_it_sees_every_record_before_it(void **state) {
    struct fixture *fixture = *state;
    start(fixture, NULL, 1000);
    for (uint64_t index = 1; index <= 50; index++) {
        append_entry(fixture);
        assert_int_equal(count_requests(fixture, true), index);
    }
    assert_true(count_requests(fixture, false) >= 50);
    const struct bookkeeper_stats stats = bookkeeper_stats(fixture->bookkeeper);
    assert_int_equal(stats.records, 50);
    assert_int_equal(stats.failures, 0);
    assert_int_equal(stats.waiting_bytes, 0);
    stop(fixture);
}

static void test_a_job_is_told_when_records_may_lack(void **state) {
    struct fixture *fixture = *state;
    char unreadable[SAMPLE_PATH_BYTES + 32];
    start(fixture, NULL, 1000);
    append_entry(fixture);
    snprintf(unreadable, sizeof(unreadable), "%s/9.log", fixture->journal_folder);
    assert_int_equal(symlink("nowhere", unreadable), 0); /* which is not followed */
    assert_true(run_job(fixture, true).was_stale);
    assert_false(run_job(fixture, false).was_stale); /* it did not ask */
    assert_true(run_job(fixture, true).was_stale);
    assert_int_equal(unlink(unreadable), 0);
    assert_int_equal(count_requests(fixture, true), 1);
    stop(fixture);
}

static void test_batches_come_by_themselves(void **state) {
    struct fixture *fixture = *state;
    start(fixture, NULL, 5);
    append_entry(fixture);
    while (bookkeeper_stats(fixture->bookkeeper).records < 1) usleep(1000);
    append_entry(fixture);
    while (bookkeeper_stats(fixture->bookkeeper).records < 2) usleep(1000);
    assert_int_equal(count_requests(fixture, false), 2);
    stop(fixture);
}

struct many {
    struct fixture *fixture;
    struct count_job jobs[100];
};

static void *submit_many(void *owner) {
    struct many *many = owner;
    for (size_t index = 0; index < 100; index++) {
        many->jobs[index].job.run = run_count;
        many->jobs[index].job.needs_fresh_records = index % 3 == 0;
        pthread_mutex_init(&many->jobs[index].mutex, NULL);
        pthread_cond_init(&many->jobs[index].done, NULL);
        bookkeeper_submit(many->fixture->bookkeeper, &many->jobs[index].job);
    }
    return NULL;
}

static void test_jobs_of_many_threads_all_run_before_a_stop(void **state) {
    struct fixture *fixture = *state;
    struct many *many = dr_alloc_zero(3, sizeof(*many));
    pthread_t threads[3];
    start(fixture, NULL, 1);
    for (size_t index = 0; index < 3; index++) {
        many[index].fixture = fixture;
        assert_int_equal(pthread_create(&threads[index], NULL, submit_many, &many[index]), 0);
    }
    for (unsigned index = 0; index < 200; index++) append_entry(fixture);
    for (size_t index = 0; index < 3; index++) pthread_join(threads[index], NULL);
    stop(fixture);
    for (size_t index = 0; index < 300; index++) {
        struct count_job *count = &many[index / 100].jobs[index % 100];
        assert_true(count->is_done);
        assert_true(count->requests <= 200);
        pthread_cond_destroy(&count->done);
        pthread_mutex_destroy(&count->mutex);
    }
    dr_free(many);
}

static void test_a_stop_takes_in_what_is_left_and_replay_finds_nothing(void **state) {
    struct fixture *fixture = *state;
    uint64_t replayed = 99;
    start(fixture, NULL, 1000);
    for (unsigned index = 0; index < 10; index++) append_entry(fixture);
    stop(fixture);
    assert_int_equal(sample_count_files(fixture->journal_folder, ".log"), 0);
    assert_int_equal(store_open(fixture->folder, &fixture->store, NULL), DR_OK);
    assert_int_equal(bookkeeper_replay(fixture->store, &replayed, NULL), DR_OK);
    assert_int_equal(replayed, 0);
    store_close(fixture->store);
    bookkeeper_stop(NULL);
}

/* --- the usage log -------------------------------------------------------------------------- */

static void test_each_record_has_one_usage_line_also_across_a_rotation(void **state) {
    struct fixture *fixture = *state;
    char rotated[sizeof(fixture->usage_log) + 8];
    struct stat file;
    start(fixture, fixture->usage_log, 1000);
    for (unsigned index = 0; index < 300; index++) append_entry(fixture);
    assert_int_equal(count_requests(fixture, true), 300);
    assert_int_equal(count_lines(fixture->usage_log), 300);
    assert_int_equal(stat(fixture->usage_log, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    snprintf(rotated, sizeof(rotated), "%s.1", fixture->usage_log);
    assert_int_equal(rename(fixture->usage_log, rotated), 0);
    bookkeeper_reopen_log(fixture->bookkeeper, fixture->usage_log);
    (void)count_requests(fixture, false); /* the wish is granted before jobs run */
    append_entry(fixture);
    stop(fixture);
    assert_int_equal(count_lines(rotated), 300);
    assert_int_equal(count_lines(fixture->usage_log), 1);
}

/* Journals of a killed process, with no usage log at hand when they are taken in. */
static void leave_records(struct fixture *fixture, unsigned count) {
    uint64_t replayed = 0;
    assert_int_equal(store_open(fixture->folder, &fixture->store, NULL), DR_OK);
    assert_int_equal(journal_open(fixture->journal_folder, 0, 0, &fixture->journal, NULL), DR_OK);
    for (unsigned index = 0; index < count; index++) append_entry(fixture);
    journal_close(fixture->journal);
    assert_int_equal(bookkeeper_replay(fixture->store, &replayed, NULL), DR_OK);
    assert_int_equal(replayed, count);
    store_close(fixture->store);
}

static void test_replayed_records_get_their_usage_line_once(void **state) {
    struct fixture *fixture = *state;
    leave_records(fixture, 5);
    start(fixture, fixture->usage_log, 1000);
    assert_int_equal(count_lines(fixture->usage_log), 5);
    append_entry(fixture);
    stop(fixture);
    assert_int_equal(count_lines(fixture->usage_log), 6);
    start(fixture, fixture->usage_log, 1000);
    stop(fixture);
    assert_int_equal(count_lines(fixture->usage_log), 6);
    /* Of many pages, with a line that was cut in its middle. */
    leave_records(fixture, 1000);
    FILE *file = fopen(fixture->usage_log, "a");
    fputs("{\"ts\":\"2026-11-2", file);
    fclose(file);
    start(fixture, fixture->usage_log, 1000);
    assert_int_equal(count_lines(fixture->usage_log), 1006);
    stop(fixture);
    file = fopen(fixture->usage_log, "r");
    char line[8192];
    while (fgets(line, sizeof(line), file)) {
        assert_memory_equal(line, "{\"ts\":", 6);
        assert_string_equal(line + strlen(line) - 2, "}\n");
    }
    fclose(file);
}

static void test_lines_of_a_lost_ledger_hold_nothing_up(void **state) {
    struct fixture *fixture = *state;
    char path[SAMPLE_PATH_BYTES + 32];
    leave_records(fixture, 5);
    snprintf(path, sizeof(path), "%s/ledger/000001.records", fixture->folder);
    assert_int_equal(unlink(path), 0);
    start(fixture, fixture->usage_log, 1000);
    append_entry(fixture);
    stop(fixture);
    assert_int_equal(count_lines(fixture->usage_log), 1);
}

static void test_lines_are_owed_only_while_there_is_a_log(void **state) {
    struct fixture *fixture = *state;
    leave_records(fixture, 5);
    start(fixture, NULL, 1000);
    append_entry(fixture);
    stop(fixture);
    start(fixture, fixture->usage_log, 1000);
    append_entry(fixture);
    stop(fixture);
    assert_int_equal(count_lines(fixture->usage_log), 1);
}

static void test_without_memory_no_line_is_written_twice(void **state) {
    struct fixture *fixture = *state;
    const struct bookkeeper_options options = {.usage_log = fixture->usage_log};
    struct bookkeeper *bookkeeper = NULL;
    leave_records(fixture, 300);
    assert_int_equal(store_open(fixture->folder, &fixture->store, NULL), DR_OK);
    enum dr_status status = DR_NO_MEMORY;
    for (uint64_t nth = 1; status == DR_NO_MEMORY; nth++) {
        dr_alloc_fail_at(nth);
        status = bookkeeper_start(fixture->store, &options, &bookkeeper, NULL);
        dr_alloc_fail_at(0);
    }
    assert_int_equal(status, DR_OK);
    bookkeeper_stop(bookkeeper);
    store_close(fixture->store);
    assert_true(count_lines(fixture->usage_log) <= 300);
}

static void test_lines_without_a_file_are_counted_and_the_books_go_on(void **state) {
    struct fixture *fixture = *state;
    start(fixture, "/dev/full", 1000);
    for (unsigned index = 0; index < 7; index++) append_entry(fixture);
    assert_int_equal(count_requests(fixture, true), 7);
    assert_int_equal(bookkeeper_stats(fixture->bookkeeper).usage_lines_lost, 7);
    bookkeeper_reopen_log(fixture->bookkeeper, NULL);
    append_entry(fixture);
    assert_int_equal(count_requests(fixture, true), 8);
    assert_int_equal(bookkeeper_stats(fixture->bookkeeper).usage_lines_lost, 7);
    stop(fixture);
}

static void test_a_log_that_cannot_be_opened_is_refused_at_start(void **state) {
    struct fixture *fixture = *state;
    struct dr_error error = {0};
    struct bookkeeper *bookkeeper = NULL;
    const struct bookkeeper_options options = {.usage_log = "/dev/null/usage.jsonl"};
    assert_int_equal(store_open(fixture->folder, &fixture->store, &error), DR_OK);
    assert_int_equal(bookkeeper_start(fixture->store, &options, &bookkeeper, &error), DR_IO);
    assert_non_null(strstr(error.text, "/dev/null/usage.jsonl"));
    store_close(fixture->store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define BOOKKEEPER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        BOOKKEEPER_TEST(test_a_job_that_asks_for_it_sees_every_record_before_it),
        BOOKKEEPER_TEST(test_a_job_is_told_when_records_may_lack),
        BOOKKEEPER_TEST(test_batches_come_by_themselves),
        BOOKKEEPER_TEST(test_jobs_of_many_threads_all_run_before_a_stop),
        BOOKKEEPER_TEST(test_a_stop_takes_in_what_is_left_and_replay_finds_nothing),
        BOOKKEEPER_TEST(test_each_record_has_one_usage_line_also_across_a_rotation),
        BOOKKEEPER_TEST(test_replayed_records_get_their_usage_line_once),
        BOOKKEEPER_TEST(test_lines_of_a_lost_ledger_hold_nothing_up),
        BOOKKEEPER_TEST(test_lines_are_owed_only_while_there_is_a_log),
        BOOKKEEPER_TEST(test_without_memory_no_line_is_written_twice),
        BOOKKEEPER_TEST(test_lines_without_a_file_are_counted_and_the_books_go_on),
        BOOKKEEPER_TEST(test_a_log_that_cannot_be_opened_is_refused_at_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
