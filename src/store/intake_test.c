/* Exactly once: whatever dies, is cut or fails between a record's write and the removal of its
 * segment, the store ends with each whole record once, and the balances agree with them. */
#include "store/intake.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/log.h"
#include "store/bookkeeper.h"
#include "store/journal.h"
#include "store/sample_books.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SMALL_SEGMENT = 3 * JOURNAL_RECORD_BYTES_MAX,
    LIVES = 50,
    LIFE_ENTRIES_MAX = 400,
    IDS_MAX = LIVES * LIFE_ENTRIES_MAX
};

static const int64_t deposit = 1000000000000;

/* What has been appended, in memory that a child shares with the test. */
struct witness {
    _Atomic uint64_t count;
    struct {
        char id[REQUEST_ID_BYTES];
        int64_t cost;
    } entries[IDS_MAX];
};

struct fixture {
    char folder[SAMPLE_PATH_BYTES];
    char journal[SAMPLE_PATH_BYTES];
    char usage_log[SAMPLE_PATH_BYTES + 32];
    char account[ACCOUNT_ID_BYTES];
    struct witness *witness;
};

static struct store *open_store(const struct fixture *fixture) {
    struct store *store = NULL;
    struct dr_error error = {0};
    const enum dr_status status = store_open(fixture->folder, &store, &error);
    if (status) fprintf(stderr, "%s\n", error.text);
    dr_assert(status == DR_OK);
    return store;
}

/* A folder with one account that has money. */
static void make_books(struct fixture *fixture) {
    sample_journal_path(fixture->folder, fixture->journal);
    snprintf(fixture->usage_log, sizeof(fixture->usage_log), "%s/usage.jsonl", fixture->folder);
    struct store *store = open_store(fixture);
    sample_account_make(store, fixture->account);
    assert_int_equal(store_topup(store, dr_slice_of(fixture->account, ACCOUNT_ID_BYTES),
                                 (money){deposit}, DR_NONE, (dr_wall){1}, NULL),
                     DR_OK);
    store_close(store);
}

static int set_up(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){0};
    sample_folder_make(fixture.folder);
    make_books(&fixture);
    fixture.witness = mmap(NULL, sizeof(*fixture.witness), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(fixture.witness != MAP_FAILED);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    munmap(fixture->witness, sizeof(*fixture->witness));
    sample_folder_remove(fixture->folder);
    return 0;
}

/* Appends one entry of the fixture's account and, once it is written, says so to the witness. Runs
 * in children too, so it dies instead of failing the test. */
static void append_entry(const struct fixture *fixture, struct journal *journal,
                         struct dr_random *random) {
    struct sample_entry sample;
    struct dr_error error = {0};
    sample_entry_make(&sample, random, 5);
    sample.entry.account_id = dr_slice_of(fixture->account, ACCOUNT_ID_BYTES);
    /* Its place with the witness goes along, so that it is found there at once. */
    const uint64_t index = fixture->witness->count;
    dr_assert(index < IDS_MAX);
    sample.entry.usage.reasoning_tokens = index;
    dr_assert(journal_reserve(journal, dr_instant_now()));
    dr_assert(journal_append(journal, &sample.entry, &error) == DR_OK);
    memcpy(fixture->witness->entries[index].id, sample.request_id, REQUEST_ID_BYTES);
    fixture->witness->entries[index].cost = sample.entry.cost.nanousd;
    fixture->witness->count = index + 1;
}

static struct journal *open_journal(const struct fixture *fixture, uint32_t worker_index) {
    struct journal *journal = NULL;
    dr_assert(journal_open(fixture->journal, worker_index, SMALL_SEGMENT, &journal, NULL) == DR_OK);
    return journal;
}

/* --- the judgement -------------------------------------------------------------------------- */

struct verdict {
    const struct witness *witness;
    uint8_t *seen; /* per witnessed entry */
    uint64_t count;
    uint64_t unwitnessed;
    int64_t cost;
};

static bool visit_entry(void *owner, const struct ledger_entry *entry) {
    struct verdict *verdict = owner;
    verdict->count++;
    verdict->cost += entry->cost.nanousd;
    const uint64_t index = entry->usage.reasoning_tokens;
    if (index >= verdict->witness->count || memcmp(verdict->witness->entries[index].id,
                                                   entry->request_id.data, REQUEST_ID_BYTES) != 0) {
        verdict->unwitnessed++;
        return true;
    }
    assert_int_equal(verdict->witness->entries[index].cost, entry->cost.nanousd);
    assert_int_equal(verdict->seen[index], 0);
    verdict->seen[index] = 1;
    return true;
}

static bool visit_total(void *owner, const struct store_total *total) {
    const struct verdict *verdict = owner;
    assert_int_equal(total->requests, verdict->count);
    assert_int_equal(total->cost.nanousd, verdict->cost);
    return true;
}

/* Replays and compares: nothing of the witness is missing, nothing twice, the balance is the
 * deposit less all costs. Up to `unwitnessed_max` records may have been written without being
 * witnessed. */
static void judge(const struct fixture *fixture, uint64_t unwitnessed_max) {
    uint64_t replayed = 0;
    struct account account;
    struct dr_arena arena;
    struct dr_error error = {0};
    const struct store_filter all = {0};
    struct verdict verdict = {.witness = fixture->witness, .seen = dr_alloc_zero(IDS_MAX, 1)};
    struct store *store = open_store(fixture);
    assert_int_equal(bookkeeper_replay(store, &replayed, &error), DR_OK);
    assert_int_equal(store_each_entry(store, &all, visit_entry, &verdict, &error), DR_OK);
    for (uint64_t index = 0; index < fixture->witness->count; index++) {
        assert_int_equal(verdict.seen[index], 1);
    }
    assert_true(verdict.unwitnessed <= unwitnessed_max);
    assert_int_equal(store_each_total(store, &all, 0, visit_total, &verdict, &error), DR_OK);
    dr_arena_init(&arena, 65536, NULL);
    assert_int_equal(store_find_account(store, dr_slice_of(fixture->account, ACCOUNT_ID_BYTES),
                                        &arena, &account, &error),
                     DR_OK);
    assert_int_equal(account.balance.nanousd, deposit - verdict.cost);
    dr_arena_clear(&arena);
    store_close(store);
    dr_free(verdict.seen);
    assert_int_equal(sample_count_files(fixture->journal, ".log"), 0);
    assert_int_equal(sample_count_files(fixture->journal, ".new"), 0);
}

/* --- tests ---------------------------------------------------------------------------------- */

static void test_journals_of_two_workers_are_taken_in_while_they_write(void **state) {
    const struct fixture *fixture = *state;
    struct dr_random random;
    struct intake *intake = NULL;
    struct dr_error error = {0};
    dr_random_seed(&random, 5);
    struct store *store = open_store(fixture);
    struct journal *journals[2] = {open_journal(fixture, 0), open_journal(fixture, 1)};
    assert_int_equal(
        intake_new(store, &(struct intake_options){.batch_bytes = 8192}, &intake, &error), DR_OK);
    for (unsigned index = 0; index < 1000; index++) {
        append_entry(fixture, journals[dr_random_below(&random, 2)], &random);
        if (dr_random_below(&random, 20) != 0) continue;
        assert_int_equal(intake_run(intake, &error), DR_OK);
        assert_int_equal(intake_stats(intake).records, index + 1);
        assert_int_equal(sample_count_files(fixture->journal, ".log"), 2);
    }
    journal_close(journals[0]);
    journal_close(journals[1]);
    intake_free(intake);
    store_close(store);
    judge(fixture, 0);
}

/* The only segment's path. */
static void find_segment(const struct fixture *fixture, char path[4 * SAMPLE_PATH_BYTES]) {
    DIR *folder = opendir(fixture->journal);
    path[0] = '\0';
    for (const struct dirent *file = readdir(folder); file; file = readdir(folder)) {
        if (!dr_slice_ends(dr_slice_text(file->d_name), DR_LIT(".log"))) continue;
        snprintf(path, 4 * SAMPLE_PATH_BYTES, "%s/%s", fixture->journal, file->d_name);
    }
    closedir(folder);
    assert_true(path[0] != '\0');
}

/* Cuts the file. Behind the cut may come zeros: then those that were there are not lost. Returns
 * how far the file is as it was. */
static uint64_t cut_segment(const char *path, uint64_t cut, bool has_zeros) {
    char bytes[8 * JOURNAL_RECORD_BYTES_MAX];
    const int file = open(path, O_RDWR);
    const ssize_t len = read(file, bytes, sizeof(bytes));
    assert_true(len > 0 && (size_t)len < sizeof(bytes));
    assert_int_equal(ftruncate(file, (off_t)cut), 0);
    if (has_zeros) {
        assert_int_equal(ftruncate(file, (off_t)cut + 5000), 0);
        while (cut < (uint64_t)len && bytes[cut] == 0) cut++;
    }
    close(file);
    return cut;
}

static void test_a_segment_cut_at_any_byte_keeps_its_whole_records(void **state) {
    struct fixture *fixture = *state;
    struct dr_random random;
    dr_random_seed(&random, 6);
    uint64_t kept = 0;
    for (unsigned round = 0; round < 40; round++) {
        char path[4 * SAMPLE_PATH_BYTES];
        uint64_t ends[8];
        struct journal *journal = open_journal(fixture, 0);
        for (unsigned index = 0; index < 8; index++) {
            append_entry(fixture, journal, &random);
            ends[index] = journal_stats(journal).bytes;
        }
        journal_close(journal);
        find_segment(fixture, path);
        const uint64_t cut = dr_random_below(&random, ends[7] + 1);
        const uint64_t whole = cut_segment(path, cut, round % 3 == 0);
        for (unsigned index = 0; index < 8; index++) kept += ends[index] <= whole;
        /* The witness forgets what the cut took. */
        fixture->witness->count = kept;
        judge(fixture, 0);
    }
}

static void test_damage_in_the_middle_is_kept_for_a_person_to_see(void **state) {
    struct fixture *fixture = *state;
    struct dr_random random;
    char path[4 * SAMPLE_PATH_BYTES];
    dr_random_seed(&random, 7);
    struct journal *journal = open_journal(fixture, 0);
    append_entry(fixture, journal, &random);
    const uint64_t first_end = journal_stats(journal).bytes;
    for (unsigned index = 0; index < 3; index++) append_entry(fixture, journal, &random);
    journal_close(journal);
    find_segment(fixture, path);
    const int file = open(path, O_RDWR);
    assert_int_equal(pwrite(file, "damage", 6, (off_t)first_end + 40), 6);
    close(file);
    fixture->witness->count = 1;
    judge(fixture, 0);
    assert_int_equal(sample_count_files(fixture->journal, ".damaged"), 1);
}

/* A child's life: appends and takes in, and dies at the n-th step. */
struct crash {
    unsigned left;
};

static void die_at_step(void *owner, enum intake_step step) {
    struct crash *crash = owner;
    (void)step; /* any of them may be the last */
    if (--crash->left == 0) _exit(7);
}

static void live_and_die(const struct fixture *fixture, unsigned steps, uint64_t seed) {
    struct crash crash = {steps};
    struct dr_random random;
    struct intake *intake = NULL;
    const struct intake_options options = {
        .stepped = die_at_step, .owner = &crash, .batch_bytes = JOURNAL_RECORD_BYTES_MAX};
    dr_random_seed(&random, seed);
    struct store *store = open_store(fixture);
    dr_assert(intake_new(store, &options, &intake, NULL) == DR_OK);
    dr_assert(intake_run(intake, NULL) == DR_OK);
    struct journal *journal = open_journal(fixture, 0);
    for (;;) {
        for (unsigned index = 0; index < 15; index++) append_entry(fixture, journal, &random);
        dr_assert(intake_run(intake, NULL) == DR_OK);
        /* Balances are read, and so brought up to the latest batch, between the steps. */
        struct dr_arena arena;
        struct account account;
        dr_arena_init(&arena, 65536, NULL);
        dr_assert(store_find_account(store, dr_slice_of(fixture->account, ACCOUNT_ID_BYTES), &arena,
                                     &account, NULL) == DR_OK);
        dr_arena_clear(&arena);
    }
}

static void test_a_crash_between_any_two_steps_counts_nothing_twice(void **state) {
    const struct fixture *fixture = *state;
    for (unsigned steps = 1; steps <= 25; steps++) {
        const pid_t child = fork();
        if (child == 0) live_and_die(fixture, steps, 1000 + steps);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 7);
        /* Every other time the next life finds what the last one left. */
        if (steps % 2 == 0) judge(fixture, 0);
    }
    judge(fixture, 0);
}

static void read_whole(const char *path, char *bytes, size_t len) {
    const int file = open(path, O_RDONLY);
    assert_true(file >= 0);
    assert_int_equal(read(file, bytes, len), len);
    close(file);
}

/* As a backup has them whose journal was copied before the database. */
static void test_segments_that_come_back_count_nothing_twice(void **state) {
    static char bytes[SMALL_SEGMENT];
    const struct fixture *fixture = *state;
    struct dr_random random;
    char path[4 * SAMPLE_PATH_BYTES];
    dr_random_seed(&random, 12);
    struct journal *journal = open_journal(fixture, 0);
    for (unsigned index = 0; index < 10; index++) append_entry(fixture, journal, &random);
    const size_t len = journal_stats(journal).bytes;
    journal_close(journal);
    find_segment(fixture, path);
    read_whole(path, bytes, len);
    judge(fixture, 0);
    /* The whole of it, and what it was before it was done. */
    for (size_t part = len; part > 0; part = part / 3 / 8 * 8) {
        const int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        assert_true(file >= 0);
        assert_int_equal(write(file, bytes, part), part);
        close(file);
        judge(fixture, 0);
    }
}

/* A child with all threads of the real thing, until it is killed. */
static void live_until_killed(const struct fixture *fixture, uint64_t seed) {
    struct dr_random random;
    uint64_t replayed = 0;
    struct bookkeeper *bookkeeper = NULL;
    const struct bookkeeper_options options = {.batch_ms = 1, .usage_log = fixture->usage_log};
    dr_random_seed(&random, seed);
    struct store *store = open_store(fixture);
    dr_assert(bookkeeper_replay(store, &replayed, NULL) == DR_OK);
    dr_assert(bookkeeper_start(store, &options, &bookkeeper, NULL) == DR_OK);
    struct journal *journals[2] = {open_journal(fixture, 0), open_journal(fixture, 1)};
    for (unsigned index = 0; index < LIFE_ENTRIES_MAX; index++) {
        append_entry(fixture, journals[dr_random_below(&random, 2)], &random);
    }
    for (;;) pause();
}

/* The usage log against the store, after another start: each record has one line, in order. */
struct log_verdict {
    FILE *file;
    uint64_t count;
};

static bool visit_logged(void *owner, const struct ledger_entry *entry) {
    struct log_verdict *verdict = owner;
    char line[8192];
    char id[REQUEST_ID_BYTES + 1] = "";
    memcpy(id, entry->request_id.data, REQUEST_ID_BYTES);
    assert_non_null(fgets(line, sizeof(line), verdict->file));
    assert_non_null(strstr(line, id));
    verdict->count++;
    return true;
}

static void judge_log(const struct fixture *fixture) {
    struct dr_error error = {0};
    struct bookkeeper *bookkeeper = NULL;
    const struct store_filter all = {0};
    const struct bookkeeper_options options = {.usage_log = fixture->usage_log};
    struct store *store = open_store(fixture);
    assert_int_equal(bookkeeper_start(store, &options, &bookkeeper, &error), DR_OK);
    bookkeeper_stop(bookkeeper);
    struct log_verdict verdict = {.file = fopen(fixture->usage_log, "r")};
    assert_non_null(verdict.file);
    assert_int_equal(store_each_entry(store, &all, visit_logged, &verdict, &error), DR_OK);
    assert_true(verdict.count >= fixture->witness->count);
    assert_int_equal(fgetc(verdict.file), EOF);
    (void)fclose(verdict.file);
    store_close(store);
}

static void test_a_kill_at_any_moment_loses_nothing_and_counts_nothing_twice(void **state) {
    const struct fixture *fixture = *state;
    struct dr_random random;
    dr_random_seed(&random, 8);
    for (unsigned life = 0; life < LIVES; life++) {
        const uint64_t before = fixture->witness->count;
        const uint64_t enough = before + 1 + dr_random_below(&random, 300);
        const pid_t child = fork();
        if (child == 0) live_until_killed(fixture, 2000 + life);
        int status = 0;
        while (fixture->witness->count < enough && waitpid(child, &status, WNOHANG) == 0) {
        }
        kill(child, SIGKILL);
        (void)waitpid(child, &status, 0);
        assert_true(fixture->witness->count >= enough);
        if (life % 5 == 4) judge(fixture, life + 1);
    }
    judge(fixture, LIVES);
    judge_log(fixture);
}

static void limit_files(rlim_t len) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = len;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, SIG_IGN);
}

static void test_a_store_that_cannot_write_is_tried_again_without_loss(void **state) {
    const struct fixture *fixture = *state;
    struct dr_random random;
    struct intake *intake = NULL;
    struct dr_error error = {0};
    dr_random_seed(&random, 9);
    struct store *store = open_store(fixture);
    struct journal *journal = open_journal(fixture, 0);
    assert_int_equal(intake_new(store, &(struct intake_options){0}, &intake, &error), DR_OK);
    for (unsigned index = 0; index < 20; index++) append_entry(fixture, journal, &random);
    limit_files(16384);
    for (uint64_t failures = 1; failures < 4; failures++) {
        assert_int_equal(intake_run(intake, &error), DR_IO);
        assert_int_equal(intake_stats(intake).failures, failures);
        assert_true(intake_stats(intake).waiting_bytes > 0);
    }
    limit_files(RLIM_INFINITY);
    append_entry(fixture, journal, &random);
    assert_int_equal(intake_run(intake, &error), DR_OK);
    assert_int_equal(intake_stats(intake).records, 21);
    assert_int_equal(intake_stats(intake).waiting_bytes, 0);
    journal_close(journal);
    intake_free(intake);
    store_close(store);
    judge(fixture, 0);
}

/* Fills a small disk until nothing can be reserved, then makes room. */
static void test_a_full_disk_refuses_clearly_and_keeps_the_books_right(void **state) {
    struct fixture *fixture = *state;
    char ballast[2 * SAMPLE_PATH_BYTES];
    struct dr_random random;
    struct dr_error error = {0};
    struct intake *intake = NULL;
    /* Without the right to mount, the limits on files in the other tests stand for this one. */
    if (!sample_disk_mount(fixture->folder, 4 << 20)) return;
    dr_random_seed(&random, 10);
    make_books(fixture);
    snprintf(ballast, sizeof(ballast), "%s/ballast", fixture->folder);
    struct store *store = open_store(fixture);
    struct journal *journal = open_journal(fixture, 0);
    assert_int_equal(intake_new(store, &(struct intake_options){0}, &intake, &error), DR_OK);
    for (unsigned index = 0; index < 100; index++) append_entry(fixture, journal, &random);
    const int file = open(ballast, O_RDWR | O_CREAT, 0600);
    for (size_t left = 8 << 20; left > 0; left -= 512) {
        static const char block[512] = {1};
        if (write(file, block, sizeof(block)) != (ssize_t)sizeof(block)) break;
    }
    assert_int_equal(intake_run(intake, &error), DR_IO);
    assert_non_null(strstr(error.text, "full"));
    dr_instant now = {1};
    unsigned reserved = 0;
    while (journal_reserve(journal, now)) reserved++;
    assert_false(journal_has_room(journal));
    /* What was promised is kept, though the disk is full. */
    for (unsigned index = 0; index < reserved; index++) {
        journal_release(journal);
        append_entry(fixture, journal, &random);
    }
    close(file);
    assert_int_equal(unlink(ballast), 0);
    assert_int_equal(intake_run(intake, &error), DR_OK);
    assert_true(journal_reserve(journal, dr_instant_after_ms(dr_instant_now(), 1000)));
    journal_release(journal);
    journal_close(journal);
    intake_free(intake);
    store_close(store);
    judge(fixture, 0);
    sample_disk_unmount(fixture->folder);
}

static void test_without_memory_a_pass_fails_and_the_next_one_does_it(void **state) {
    const struct fixture *fixture = *state;
    struct dr_random random;
    struct store *store = open_store(fixture);
    enum dr_status status = DR_NO_MEMORY;
    dr_random_seed(&random, 11);
    struct journal *journal = open_journal(fixture, 0);
    for (unsigned index = 0; index < 20; index++) append_entry(fixture, journal, &random);
    for (uint64_t nth = 1; status == DR_NO_MEMORY; nth++) {
        struct intake *intake = NULL;
        dr_alloc_fail_at(nth);
        status = intake_new(store, &(struct intake_options){0}, &intake, NULL);
        if (!status) status = intake_run(intake, NULL);
        dr_alloc_fail_at(0);
        intake_free(intake);
    }
    assert_int_equal(status, DR_OK);
    journal_close(journal);
    store_close(store);
    judge(fixture, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define INTAKE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        INTAKE_TEST(test_journals_of_two_workers_are_taken_in_while_they_write),
        INTAKE_TEST(test_a_segment_cut_at_any_byte_keeps_its_whole_records),
        INTAKE_TEST(test_damage_in_the_middle_is_kept_for_a_person_to_see),
        INTAKE_TEST(test_a_crash_between_any_two_steps_counts_nothing_twice),
        INTAKE_TEST(test_segments_that_come_back_count_nothing_twice),
        INTAKE_TEST(test_a_kill_at_any_moment_loses_nothing_and_counts_nothing_twice),
        INTAKE_TEST(test_a_store_that_cannot_write_is_tried_again_without_loss),
        INTAKE_TEST(test_a_full_disk_refuses_clearly_and_keeps_the_books_right),
        INTAKE_TEST(test_without_memory_a_pass_fails_and_the_next_one_does_it),
    };
    dr_log_set_level(DR_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
