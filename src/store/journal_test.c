/* The journal's bytes and promises: what is written is read back, what is torn is never taken for a
 * record, and what was reserved can be appended. */
#include "store/journal.h"

#include "base/alloc.h"
#include "base/digest.h"
#include "store/journal_record.h"
#include "store/sample_books.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SMALL_SEGMENT = 3 * JOURNAL_RECORD_BYTES_MAX };

struct fixture {
    char folder[SAMPLE_PATH_BYTES];
    struct journal *journal;
    struct dr_random random;
};

static void open_journal(struct fixture *fixture, size_t segment_bytes) {
    struct dr_error error = {0};
    sample_folder_make(fixture->folder);
    dr_random_seed(&fixture->random, 7);
    assert_int_equal(journal_open(fixture->folder, 3, segment_bytes, &fixture->journal, &error),
                     DR_OK);
}

static void close_journal(struct fixture *fixture) {
    journal_close(fixture->journal);
    sample_folder_remove(fixture->folder);
}

/* Appends one sample and gives its length. */
static size_t append_sample(struct fixture *fixture) {
    struct sample_entry sample;
    struct dr_error error = {0};
    const uint64_t before = journal_stats(fixture->journal).bytes;
    sample_entry_make(&sample, &fixture->random, 5);
    assert_int_equal(journal_append(fixture->journal, &sample.entry, &error), DR_OK);
    return (size_t)(journal_stats(fixture->journal).bytes - before);
}

/* In all segments of a folder; *ret_records counts what is whole in them. */
static uint64_t measure_folder(const char *path, uint64_t *ret_records) {
    static char block[1 << 20];
    uint64_t bytes = 0;
    *ret_records = 0;
    DIR *folder = opendir(path);
    for (const struct dirent *file = readdir(folder); file; file = readdir(folder)) {
        const int descriptor = openat(dirfd(folder), file->d_name, O_RDONLY);
        const ssize_t len = read(descriptor, block, sizeof(block));
        close(descriptor);
        if (len <= 0) continue; /* a folder */
        bytes += (uint64_t)len;
        dr_slice rest = dr_slice_of(block, (size_t)len);
        struct ledger_entry entry;
        while (journal_decode(&rest, &entry) == JOURNAL_RECORD) ++*ret_records;
    }
    closedir(folder);
    return bytes;
}

static uint64_t count_bytes(const char *path) {
    uint64_t records;
    return measure_folder(path, &records);
}

static uint64_t count_records(const char *path) {
    uint64_t records;
    (void)measure_folder(path, &records);
    return records;
}

/* An entry all of whose texts have the largest length. */
static void make_largest(struct ledger_entry *entry, const char *text, size_t len) {
    *entry = (struct ledger_entry){.attempt_count = 100};
    dr_slice *texts[] = {&entry->request_id, &entry->client_id, &entry->account_id, &entry->key_id,
                         &entry->key_name,   &entry->user,      &entry->model,      &entry->target};
    for (size_t index = 0; index < 8; index++) *texts[index] = dr_slice_of(text, len);
    for (size_t index = 0; index < LEDGER_ATTEMPTS_MAX; index++) {
        entry->attempts[index].target = dr_slice_of(text, len);
    }
}

/* --- bytes ---------------------------------------------------------------------------------- */

static void test_records_come_back_as_they_were_written(void **state) {
    (void)state;
    struct sample_entry samples[50];
    struct dr_random random;
    struct dr_buf buf;
    dr_random_seed(&random, 1);
    dr_buf_init(&buf, 1 << 20);
    for (size_t index = 0; index < 50; index++) {
        sample_entry_make(&samples[index], &random, 5);
        journal_encode(&buf, &samples[index].entry);
        assert_int_equal(buf.len % 8, 0);
    }
    dr_slice rest = dr_buf_slice(&buf);
    for (size_t index = 0; index < 50; index++) {
        struct ledger_entry entry;
        assert_int_equal(journal_decode(&rest, &entry), JOURNAL_RECORD);
        sample_entry_compare(&samples[index].entry, &entry);
    }
    struct ledger_entry entry;
    assert_int_equal(journal_decode(&rest, &entry), JOURNAL_END);
    dr_buf_clear(&buf);
}

static void test_the_largest_entry_fits_with_its_texts_cut_at_characters(void **state) {
    (void)state;
    char text[1200];
    char record[JOURNAL_RECORD_BYTES_MAX];
    struct ledger_entry entry, read;
    for (size_t index = 0; index < sizeof(text); index += 3) memcpy(text + index, "\u20ac", 3);
    make_largest(&entry, text, sizeof(text));
    const size_t len = journal_record_write(record, &entry);
    dr_slice rest = dr_slice_of(record, len);
    assert_int_equal(journal_decode(&rest, &read), JOURNAL_RECORD);
    assert_int_equal(read.model.len, 255);
    assert_int_equal(read.attempts[7].target.len, 192);
    assert_int_equal(read.attempt_count, 100);
}

/* As the first version wrote it: pages in the books are never written anew. */
static void test_a_record_of_the_first_version_is_read(void **state) {
    (void)state;
    static const char hex[] =
        "44524a31d100000071695067c6f1806901010001c800010001000000e1000000f97d000023000000"
        "0a000700080000003ad061fba1010000f8e8000000000000e004000000000000d8ed000000000000"
        "0d0000000000000035000000000000000050d6dc010000000050d6dc010000000094357700000000"
        "8307cc0f000000000500060007006163635f306b65795f30616770742d342e317265715f30305662"
        "59704d4c614a77556e5236516a426e5836354c686f5654776c783970726f64756374696f6e736f6d"
        "656f6e656f6666696369616c0500f7010c00000072656c617900000000000000";
    struct sample_entry sample;
    struct ledger_entry read;
    struct dr_random random;
    char record[sizeof(hex) / 2];
    for (size_t index = 0; index < sizeof(record); index++) {
        const char digits[] = {hex[2 * index], hex[2 * index + 1], '\0'};
        record[index] = (char)strtoul(digits, NULL, 16);
    }
    dr_random_seed(&random, 21);
    sample_entry_make(&sample, &random, 5);
    dr_slice rest = dr_slice_of(record, sizeof(record));
    assert_int_equal(journal_decode(&rest, &read), JOURNAL_RECORD);
    assert_int_equal(rest.len, 0);
    sample_entry_compare(&sample.entry, &read);
    assert_int_equal(read.attempt_count, 1);
    char scratch[JOURNAL_RECORD_GROUP_BYTES_MAX];
    assert_true(dr_slice_is(journal_record_group(&read, scratch), dr_slice_of(record + 128, 24)));
}

/* The extremes of every number, and attempts whose targets are the entry's and are not. */
static void test_numbers_of_any_size_come_back(void **state) {
    (void)state;
    static const int64_t values[] = {0, -1, 63, 64, 127, 128, 16383, 16384, INT64_MAX, INT64_MIN};
    for (size_t index = 0; index < sizeof(values) / sizeof(values[0]); index++) {
        const int64_t value = values[index];
        const uint64_t count = (uint64_t)value;
        const struct ledger_entry entry = {
            .target = DR_LIT("relay"),
            .status = (uint16_t)value,
            .created = {value},
            .first_token_ms = (uint32_t)value,
            .duration_ms = (uint32_t)count,
            .usage = {.prompt_tokens = count,
                      .completion_tokens = count,
                      .total_tokens = count,
                      .cached_tokens = count,
                      .reasoning_tokens = count},
            .price = {.input = value, .output = value, .cached_input = value},
            .cost = {value},
            .attempts = {{.target = DR_LIT("official"), .status = 503, .duration_ms = 7},
                         {.target = DR_LIT("relay"), .status = (uint16_t)value},
                         {.target = DR_NONE}},
            .attempt_count = 3,
        };
        char record[JOURNAL_RECORD_BYTES_MAX];
        struct ledger_entry read;
        dr_slice rest = dr_slice_of(record, journal_record_write(record, &entry));
        assert_int_equal(journal_decode(&rest, &read), JOURNAL_RECORD);
        sample_entry_compare(&entry, &read);
        assert_int_equal(read.attempts[0].status, 503);
    }
}

static void test_absent_texts_come_back_absent(void **state) {
    (void)state;
    char record[JOURNAL_RECORD_BYTES_MAX];
    const struct ledger_entry empty = {0};
    struct ledger_entry read;
    dr_slice rest = dr_slice_of(record, journal_record_write(record, &empty));
    assert_int_equal(journal_decode(&rest, &read), JOURNAL_RECORD);
    assert_null(read.user.data);
    sample_entry_compare(&empty, &read);
    char scratch[JOURNAL_RECORD_GROUP_BYTES_MAX];
    assert_int_equal(journal_record_group(&read, scratch).len, 6);
}

/* The record keeps the name, the group does not. */
static void test_unknown_models_are_one_group_with_none(void **state) {
    (void)state;
    const struct ledger_entry entries[] = {
        {.account_id = DR_LIT("acc"), .key_id = DR_LIT("key")},
        {.account_id = DR_LIT("acc"), .key_id = DR_LIT("key"), .is_model_unknown = true},
        {.account_id = DR_LIT("acc"),
         .key_id = DR_LIT("key"),
         .model = DR_LIT("made up"),
         .is_model_unknown = true,
         .is_cancelled = true},
        {.account_id = DR_LIT("acc"), .key_id = DR_LIT("key"), .model = DR_LIT("made up")},
    };
    const char bytes[] = "\3\0\3\0\0\0acckey";
    const dr_slice group = dr_slice_of(bytes, sizeof(bytes) - 1);
    for (size_t index = 0; index < sizeof(entries) / sizeof(entries[0]); index++) {
        char record[JOURNAL_RECORD_BYTES_MAX];
        char scratch[JOURNAL_RECORD_GROUP_BYTES_MAX];
        struct ledger_entry read;
        dr_slice rest = dr_slice_of(record, journal_record_write(record, &entries[index]));
        assert_int_equal(journal_decode(&rest, &read), JOURNAL_RECORD);
        sample_entry_compare(&entries[index], &read);
        assert_int_equal(dr_slice_is(journal_record_group(&read, scratch), group), index < 3);
    }
}

static void test_a_record_cut_anywhere_is_not_there_yet(void **state) {
    (void)state;
    struct sample_entry sample;
    struct dr_random random;
    char record[JOURNAL_RECORD_BYTES_MAX];
    dr_random_seed(&random, 2);
    sample_entry_make(&sample, &random, 5);
    const size_t len = journal_record_write(record, &sample.entry);
    for (size_t cut = 0; cut < len; cut++) {
        struct ledger_entry entry;
        dr_slice rest = dr_slice_of(record, cut);
        assert_int_equal(journal_decode(&rest, &entry), JOURNAL_END);
        assert_int_equal(rest.len, cut);
    }
}

static void test_any_changed_bit_is_noticed(void **state) {
    (void)state;
    struct sample_entry sample;
    struct dr_random random;
    char record[JOURNAL_RECORD_BYTES_MAX];
    struct ledger_entry entry;
    dr_random_seed(&random, 3);
    sample_entry_make(&sample, &random, 5);
    const size_t len = journal_record_write(record, &sample.entry);
    const uint32_t payload_len = (uint32_t)(uint8_t)record[4] | (uint32_t)(uint8_t)record[5] << 8;
    for (size_t bit = 0; bit < (16 + payload_len) * 8; bit++) {
        record[bit / 8] = (char)(record[bit / 8] ^ 1 << bit % 8);
        dr_slice rest = dr_slice_of(record, len);
        assert_int_not_equal(journal_decode(&rest, &entry), JOURNAL_RECORD);
        record[bit / 8] = (char)(record[bit / 8] ^ 1 << bit % 8);
    }
}

static void test_zeros_are_the_end_and_foreign_bytes_are_torn(void **state) {
    (void)state;
    char bytes[64] = {0};
    struct ledger_entry entry;
    dr_slice rest = dr_slice_of(bytes, sizeof(bytes));
    assert_int_equal(journal_decode(&rest, &entry), JOURNAL_END);
    memset(bytes, 'x', sizeof(bytes));
    assert_int_equal(journal_decode(&rest, &entry), JOURNAL_TORN);
}

/* --- promises ------------------------------------------------------------------------------- */

static void test_every_reservation_is_honoured_across_segments(void **state) {
    (void)state;
    struct fixture fixture;
    char text[LEDGER_TEXT_BYTES_MAX];
    open_journal(&fixture, SMALL_SEGMENT);
    memset(text, 'a', sizeof(text));
    for (unsigned round = 0; round < 20; round++) {
        const uint64_t count = 1 + dr_random_below(&fixture.random, 20);
        for (uint64_t index = 0; index < count; index++) {
            assert_true(journal_reserve(fixture.journal, dr_instant_now()));
        }
        for (uint64_t index = 0; index < count; index++) {
            struct ledger_entry largest;
            make_largest(&largest, text, sizeof(text));
            switch (dr_random_below(&fixture.random, 3)) {
            case 0: journal_release(fixture.journal); break;
            case 1: append_sample(&fixture); break;
            default:
                assert_int_equal(journal_append(fixture.journal, &largest, NULL), DR_OK);
                break;
            }
        }
    }
    assert_int_equal(journal_stats(fixture.journal).failures, 0);
    close_journal(&fixture);
}

static void test_segments_are_as_long_as_their_content_after_close(void **state) {
    (void)state;
    struct fixture fixture;
    open_journal(&fixture, SMALL_SEGMENT);
    for (unsigned index = 0; index < 100; index++) {
        assert_true(journal_reserve(fixture.journal, dr_instant_now()));
        append_sample(&fixture);
    }
    const uint64_t written = journal_stats(fixture.journal).bytes;
    assert_int_equal(journal_stats(fixture.journal).records, 100);
    journal_close(fixture.journal);
    assert_int_equal(count_bytes(fixture.folder), written);
    assert_int_equal(sample_count_files(fixture.folder, ".new"), 0);
    sample_folder_remove(fixture.folder);
}

/* Files may have at most `len` bytes from now on; RLIM_INFINITY lifts it. */
static void limit_files(rlim_t len) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = len;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, SIG_IGN);
}

/* No file can be opened from now on, which a preparation fails of like a full disk; everything
 * that is open works on. */
static void forbid_files(bool is_forbidden) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = is_forbidden ? 0 : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void test_a_full_disk_shows_at_reservation_and_is_tried_again(void **state) {
    (void)state;
    struct fixture fixture;
    open_journal(&fixture, SMALL_SEGMENT);
    forbid_files(true);
    dr_instant now = {1000000};
    for (unsigned index = 0; index < 3; index++) {
        assert_true(journal_reserve(fixture.journal, now));
    }
    assert_true(journal_has_room(fixture.journal));
    assert_false(journal_reserve(fixture.journal, now));
    assert_false(journal_has_room(fixture.journal));
    forbid_files(false);
    assert_false(journal_reserve(fixture.journal, dr_instant_after_ms(now, 199)));
    assert_true(journal_reserve(fixture.journal, dr_instant_after_ms(now, 200)));
    for (unsigned index = 0; index < 4; index++) append_sample(&fixture);
    close_journal(&fixture);
}

static void test_a_failed_write_leaves_no_record_and_another_segment_goes_on(void **state) {
    (void)state;
    struct fixture fixture;
    struct sample_entry sample;
    struct dr_error error = {0};
    open_journal(&fixture, SMALL_SEGMENT);
    sample_entry_make(&sample, &fixture.random, 5);
    for (unsigned index = 0; index < 3; index++) {
        assert_true(journal_reserve(fixture.journal, dr_instant_now()));
    }
    limit_files(100);
    assert_int_equal(journal_append(fixture.journal, &sample.entry, &error), DR_IO);
    assert_int_equal(error.os_code, EFBIG);
    limit_files(RLIM_INFINITY);
    append_sample(&fixture);
    append_sample(&fixture);
    assert_int_equal(journal_stats(fixture.journal).failures, 1);
    assert_int_equal(journal_stats(fixture.journal).records, 2);
    const uint64_t written = journal_stats(fixture.journal).bytes;
    journal_close(fixture.journal);
    assert_int_equal(count_bytes(fixture.folder), written);
    sample_folder_remove(fixture.folder);
}

/* The program may take no more address space, so that no file can be mapped. */
static void forbid_mappings(bool is_forbidden) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = is_forbidden ? 0 : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
}

static void test_where_no_mapping_can_be_had_records_are_written(void **state) {
    (void)state;
    struct fixture fixture;
    open_journal(&fixture, SMALL_SEGMENT);
    forbid_mappings(true);
    for (unsigned index = 0; index < 6; index++) {
        assert_true(journal_reserve(fixture.journal, dr_instant_now()));
    }
    forbid_mappings(false);
    assert_true(journal_stats(fixture.journal).segments_mapped < 2);
    for (unsigned index = 0; index < 6; index++) append_sample(&fixture);
    assert_int_equal(journal_stats(fixture.journal).records, 6);
    const uint64_t written = journal_stats(fixture.journal).bytes;
    journal_close(fixture.journal);
    assert_int_equal(count_records(fixture.folder), 6);
    assert_int_equal(count_bytes(fixture.folder), written);
    sample_folder_remove(fixture.folder);
}

static void test_a_limit_on_files_shows_at_reservation(void **state) {
    (void)state;
    struct fixture fixture;
    struct journal *other = NULL;
    struct dr_error error = {0};
    open_journal(&fixture, SMALL_SEGMENT);
    limit_files(SMALL_SEGMENT - 1);
    assert_int_equal(journal_open(fixture.folder, 4, SMALL_SEGMENT, &other, &error), DR_IO);
    assert_non_null(strstr(error.text, "ulimit -f"));
    const dr_instant now = {1000000};
    for (unsigned index = 0; index < 3; index++) {
        assert_true(journal_reserve(fixture.journal, now));
    }
    assert_false(journal_reserve(fixture.journal, now));
    limit_files(RLIM_INFINITY);
    assert_true(journal_reserve(fixture.journal, dr_instant_after_ms(now, 200)));
    for (unsigned index = 0; index < 4; index++) append_sample(&fixture);
    close_journal(&fixture);
}

/* Takes the place of the C library's: not every file system has it. */
static bool is_fallocate_missing;

int fallocate(int fd, int mode, off_t offset, off_t len) {
    if (!is_fallocate_missing) return (int)syscall(SYS_fallocate, fd, mode, offset, len);
    errno = EOPNOTSUPP;
    return -1;
}

static void test_blocks_that_zeros_took_stay_taken(void **state) {
    enum { SEGMENT = 1024 * 1024 };
    (void)state;
    struct fixture fixture;
    struct stat file = {0};
    is_fallocate_missing = true;
    open_journal(&fixture, SEGMENT);
    is_fallocate_missing = false;
    assert_true(journal_reserve(fixture.journal, dr_instant_now()));
    append_sample(&fixture);
    DIR *folder = opendir(fixture.folder);
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        if (entry->d_name[0] == '.') continue;
        assert_int_equal(fstatat(dirfd(folder), entry->d_name, &file, 0), 0);
    }
    closedir(folder);
    assert_int_equal(file.st_size, SEGMENT);
    assert_true(file.st_blocks * 512 >= SEGMENT);
    close_journal(&fixture);
}

static void test_a_disk_without_room_is_refused_in_words(void **state) {
    (void)state;
    char folder[SAMPLE_PATH_BYTES];
    struct journal *journal = NULL;
    struct dr_error error = {0};
    sample_folder_make(folder);
    const bool is_small = sample_disk_mount(folder, SMALL_SEGMENT / 2);
    if (!is_small) forbid_files(true); /* without the right to mount: other trouble */
    assert_int_equal(journal_open(folder, 0, SMALL_SEGMENT, &journal, &error), DR_IO);
    if (!is_small) forbid_files(false);
    if (is_small) assert_non_null(strstr(error.text, "the disk is full"));
    assert_true(strlen(error.text) > 10);
    assert_int_equal(sample_count_files(folder, ".new"), 0);
    assert_int_equal(sample_count_files(folder, ".log"), 0);
    if (is_small) sample_disk_unmount(folder);
    sample_folder_remove(folder);
}

static void test_without_memory_nothing_opens_and_nothing_leaks(void **state) {
    (void)state;
    char folder[SAMPLE_PATH_BYTES];
    enum dr_status status = DR_NO_MEMORY;
    sample_folder_make(folder);
    for (uint64_t nth = 1; status == DR_NO_MEMORY; nth++) {
        struct journal *journal = NULL;
        dr_alloc_fail_at(nth);
        status = journal_open(folder, 0, SMALL_SEGMENT, &journal, NULL);
        dr_alloc_fail_at(0);
        if (!status) journal_close(journal);
    }
    assert_int_equal(status, DR_OK);
    sample_folder_remove(folder);
}

static void test_appending_allocates_nothing(void **state) {
    (void)state;
    struct fixture fixture;
    open_journal(&fixture, 0);
    const uint64_t before = dr_alloc_count();
    for (unsigned index = 0; index < 1000; index++) {
        assert_true(journal_reserve(fixture.journal, dr_instant_now()));
        append_sample(&fixture);
    }
    assert_int_equal(dr_alloc_count(), before);
    close_journal(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_come_back_as_they_were_written),
        cmocka_unit_test(test_the_largest_entry_fits_with_its_texts_cut_at_characters),
        cmocka_unit_test(test_a_record_of_the_first_version_is_read),
        cmocka_unit_test(test_numbers_of_any_size_come_back),
        cmocka_unit_test(test_absent_texts_come_back_absent),
        cmocka_unit_test(test_unknown_models_are_one_group_with_none),
        cmocka_unit_test(test_a_record_cut_anywhere_is_not_there_yet),
        cmocka_unit_test(test_any_changed_bit_is_noticed),
        cmocka_unit_test(test_zeros_are_the_end_and_foreign_bytes_are_torn),
        cmocka_unit_test(test_every_reservation_is_honoured_across_segments),
        cmocka_unit_test(test_segments_are_as_long_as_their_content_after_close),
        cmocka_unit_test(test_a_full_disk_shows_at_reservation_and_is_tried_again),
        cmocka_unit_test(test_a_failed_write_leaves_no_record_and_another_segment_goes_on),
        cmocka_unit_test(test_where_no_mapping_can_be_had_records_are_written),
        cmocka_unit_test(test_a_limit_on_files_shows_at_reservation),
        cmocka_unit_test(test_blocks_that_zeros_took_stay_taken),
        cmocka_unit_test(test_a_disk_without_room_is_refused_in_words),
        cmocka_unit_test(test_without_memory_nothing_opens_and_nothing_leaks),
        cmocka_unit_test(test_appending_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
