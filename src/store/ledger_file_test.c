/* Pages go to the end, come back as they were, and what was taken back is written over. */
#include "store/ledger_file.h"

#include "store/sample_books.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE_BYTES = 1000, FILE_BYTES = 3500 };

struct fixture {
    char folder[SAMPLE_PATH_BYTES];
    struct ledger_file *ledger;
    struct dr_error error;
};

static void open_ledger(struct fixture *fixture, struct ledger_place end) {
    assert_int_equal(
        ledger_file_new(fixture->folder, end, FILE_BYTES, &fixture->ledger, &fixture->error),
        DR_OK);
}

static int set_up(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){0};
    sample_folder_make(fixture.folder);
    open_ledger(&fixture, (struct ledger_place){0});
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    ledger_file_free(fixture->ledger);
    sample_folder_remove(fixture->folder);
    return 0;
}

static struct ledger_place append(struct fixture *fixture, char letter) {
    char page[PAGE_BYTES];
    struct ledger_place place = {0};
    memset(page, letter, sizeof(page));
    assert_int_equal(ledger_file_append(fixture->ledger, dr_slice_of(page, sizeof(page)), &place,
                                        &fixture->error),
                     DR_OK);
    return place;
}

static void sync_ledger(struct fixture *fixture) {
    assert_int_equal(ledger_file_sync(fixture->ledger, &fixture->error), DR_OK);
}

static void expect(struct fixture *fixture, struct ledger_place place, char letter) {
    char page[PAGE_BYTES];
    char expected[PAGE_BYTES];
    memset(expected, letter, sizeof(expected));
    assert_int_equal(ledger_file_read(fixture->ledger, place, page, sizeof(page), &fixture->error),
                     DR_OK);
    assert_memory_equal(page, expected, sizeof(page));
}

static void test_pages_come_back_over_several_files(void **state) {
    struct fixture *fixture = *state;
    struct ledger_place places[10];
    for (unsigned index = 0; index < 10; index++) {
        places[index] = append(fixture, (char)('a' + index));
        assert_int_equal(places[index].file, 1 + index / 3);
        assert_int_equal(places[index].offset, index % 3 * PAGE_BYTES);
        if (index % 2) sync_ledger(fixture);
    }
    const struct ledger_place end = ledger_file_end(fixture->ledger);
    assert_int_equal(end.file, 4);
    assert_int_equal(end.offset, PAGE_BYTES);
    for (unsigned index = 10; index-- > 0;) {
        expect(fixture, places[index], (char)('a' + index));
    }
    /* Another life goes on at the same place. */
    ledger_file_free(fixture->ledger);
    open_ledger(fixture, end);
    const struct ledger_place next = append(fixture, 'z');
    sync_ledger(fixture);
    assert_int_equal(next.file, end.file);
    assert_int_equal(next.offset, end.offset);
    expect(fixture, next, 'z');
    for (unsigned index = 0; index < 10; index++) {
        expect(fixture, places[index], (char)('a' + index));
    }
}

static void test_what_is_taken_back_is_written_over(void **state) {
    struct fixture *fixture = *state;
    const struct ledger_place first = append(fixture, 'a');
    sync_ledger(fixture);
    const struct ledger_place end = ledger_file_end(fixture->ledger);
    for (unsigned count = 1; count < 6; count++) {
        for (unsigned index = 0; index < count; index++) (void)append(fixture, 'x');
        if (count % 2) sync_ledger(fixture);
        ledger_file_rewind(fixture->ledger, end);
        const struct ledger_place again = append(fixture, 'b');
        assert_int_equal(again.file, end.file);
        assert_int_equal(again.offset, end.offset);
        sync_ledger(fixture);
        expect(fixture, first, 'a');
        expect(fixture, again, 'b');
        ledger_file_rewind(fixture->ledger, end);
    }
    ledger_file_rewind(fixture->ledger, (struct ledger_place){0});
    const struct ledger_place anew = append(fixture, 'c');
    assert_int_equal(anew.file, 1);
    assert_int_equal(anew.offset, 0);
}

static void test_pages_of_any_size_lie_one_behind_the_other(void **state) {
    static char pages[20][LEDGER_PAGE_BYTES_MAX];
    struct fixture *fixture = *state;
    struct ledger_place places[20];
    size_t lens[20];
    struct dr_random random;
    char page[LEDGER_PAGE_BYTES_MAX];
    dr_random_seed(&random, 4);
    ledger_file_free(fixture->ledger);
    assert_int_equal(ledger_file_new(fixture->folder, (struct ledger_place){0}, 0, &fixture->ledger,
                                     &fixture->error),
                     DR_OK);
    for (size_t index = 0; index < 20; index++) {
        lens[index] = 1 + dr_random_below(&random, LEDGER_PAGE_BYTES_MAX);
        if (index % 7 == 3) lens[index] = LEDGER_PAGE_BYTES_MAX;
        memset(pages[index], (int)index + 1, lens[index]);
        assert_int_equal(ledger_file_append(fixture->ledger, dr_slice_of(pages[index], lens[index]),
                                            &places[index], &fixture->error),
                         DR_OK);
        if (dr_random_below(&random, 4) == 0) sync_ledger(fixture);
    }
    sync_ledger(fixture);
    for (size_t index = 0; index < 20; index++) {
        if (index > 0) {
            assert_int_equal(places[index].offset, places[index - 1].offset + lens[index - 1]);
        }
        assert_int_equal(
            ledger_file_read(fixture->ledger, places[index], page, lens[index], &fixture->error),
            DR_OK);
        assert_memory_equal(page, pages[index], lens[index]);
    }
}

/* What the file system makes of a write. */
static bool refuses_direct;
static size_t short_len; /* 0: takes all */
/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): libc's are reserved */
ssize_t pwrite(int descriptor, const void *bytes, size_t len, off_t offset) {
    if (refuses_direct && fcntl(descriptor, F_GETFL) & O_DIRECT) {
        errno = EINVAL;
        return -1;
    }
    if (short_len > 0 && len > short_len) len = short_len;
    return syscall(SYS_pwrite64, descriptor, bytes, len, offset);
}

static void test_writes_that_are_refused_or_cut_are_gone_on_with(void **state) {
    struct fixture *fixture = *state;
    const size_t lens[] = {0, 4096, 700};
    for (size_t index = 0; index < 6; index++) {
        refuses_direct = index >= 3;
        short_len = lens[index % 3];
        const struct ledger_place first = append(fixture, 'a');
        const struct ledger_place second = append(fixture, 'b');
        sync_ledger(fixture);
        const struct ledger_place third = append(fixture, 'c');
        sync_ledger(fixture);
        expect(fixture, first, 'a');
        expect(fixture, second, 'b');
        expect(fixture, third, 'c');
        refuses_direct = false;
        short_len = 0;
    }
}

static void test_a_page_that_is_not_there_is_said_to_be_missing(void **state) {
    struct fixture *fixture = *state;
    char page[PAGE_BYTES];
    const struct ledger_place place = append(fixture, 'a');
    sync_ledger(fixture);
    const struct ledger_place places[] = {{place.file + 1, 0}, {place.file, 4000}};
    for (size_t index = 0; index < 2; index++) {
        assert_int_equal(
            ledger_file_read(fixture->ledger, places[index], page, sizeof(page), &fixture->error),
            DR_CORRUPT);
        assert_non_null(strstr(fixture->error.text, ".records"));
    }
    expect(fixture, place, 'a');
}

/* A lost file is no reason to take nothing more. */
static void test_pages_go_on_in_another_file_when_one_is_lost(void **state) {
    struct fixture *fixture = *state;
    char page[PAGE_BYTES];
    char path[SAMPLE_PATH_BYTES + 32];
    const struct ledger_place lost = append(fixture, 'a');
    sync_ledger(fixture);
    const struct ledger_place end = ledger_file_end(fixture->ledger);
    ledger_file_free(fixture->ledger);
    snprintf(path, sizeof(path), "%s/ledger/000001.records", fixture->folder);
    assert_int_equal(unlink(path), 0);
    open_ledger(fixture, end);
    assert_int_equal(ledger_file_read(fixture->ledger, lost, page, sizeof(page), &fixture->error),
                     DR_CORRUPT);
    const struct ledger_place place = append(fixture, 'b');
    sync_ledger(fixture);
    assert_int_equal(place.file, 2);
    expect(fixture, place, 'b');
}

/* ... wherever the end of what is lost lies. */
static void test_a_lost_file_is_not_begun_anew(void **state) {
    struct fixture *fixture = *state;
    char page[4096] = "page";
    char path[SAMPLE_PATH_BYTES + 32];
    snprintf(path, sizeof(path), "%s/ledger/000001.records", fixture->folder);
    for (unsigned is_cut = 0; is_cut < 2; is_cut++) {
        struct ledger_place place = {0};
        ledger_file_free(fixture->ledger);
        assert_int_equal(ledger_file_new(fixture->folder, (struct ledger_place){0}, 0,
                                         &fixture->ledger, &fixture->error),
                         DR_OK);
        for (unsigned index = 0; index < 2; index++) {
            assert_int_equal(ledger_file_append(fixture->ledger, dr_slice_of(page, sizeof(page)),
                                                &place, &fixture->error),
                             DR_OK);
        }
        sync_ledger(fixture);
        const struct ledger_place end = ledger_file_end(fixture->ledger);
        assert_int_equal(end.offset, 2 * sizeof(page));
        ledger_file_free(fixture->ledger);
        assert_int_equal(is_cut ? truncate(path, sizeof(page)) : unlink(path), 0);
        assert_int_equal(
            ledger_file_new(fixture->folder, end, 0, &fixture->ledger, &fixture->error), DR_OK);
        assert_int_equal(append(fixture, 'b').file, 2);
        sync_ledger(fixture);
        assert_int_equal(access(path, F_OK), is_cut ? 0 : -1);
    }
}

static void test_files_are_as_small_as_their_limit_wants(void **state) {
    struct fixture *fixture = *state;
    struct ledger_place places[20];
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = 10000;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ledger_file_free(fixture->ledger);
    assert_int_equal(ledger_file_new(fixture->folder, (struct ledger_place){0}, 0, &fixture->ledger,
                                     &fixture->error),
                     DR_OK);
    for (unsigned index = 0; index < 20; index++) {
        places[index] = append(fixture, (char)('a' + index));
        sync_ledger(fixture);
    }
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (unsigned index = 0; index < 20; index++) {
        expect(fixture, places[index], (char)('a' + index));
    }
    assert_int_equal(places[19].file, 3);
}

static void test_a_write_that_fails_can_be_tried_again(void **state) {
    struct fixture *fixture = *state;
    struct rlimit limit;
    const struct ledger_place first = append(fixture, 'a');
    sync_ledger(fixture);
    const struct ledger_place end = ledger_file_end(fixture->ledger);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = 0;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    (void)append(fixture, 'x');
    assert_int_equal(ledger_file_sync(fixture->ledger, &fixture->error), DR_IO);
    ledger_file_rewind(fixture->ledger, end);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const struct ledger_place next = append(fixture, 'b');
    sync_ledger(fixture);
    assert_int_equal(next.offset, end.offset);
    expect(fixture, first, 'a');
    expect(fixture, next, 'b');
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define LEDGER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        LEDGER_TEST(test_pages_come_back_over_several_files),
        LEDGER_TEST(test_what_is_taken_back_is_written_over),
        LEDGER_TEST(test_pages_of_any_size_lie_one_behind_the_other),
        LEDGER_TEST(test_writes_that_are_refused_or_cut_are_gone_on_with),
        LEDGER_TEST(test_a_page_that_is_not_there_is_said_to_be_missing),
        LEDGER_TEST(test_pages_go_on_in_another_file_when_one_is_lost),
        LEDGER_TEST(test_a_lost_file_is_not_begun_anew),
        LEDGER_TEST(test_files_are_as_small_as_their_limit_wants),
        LEDGER_TEST(test_a_write_that_fails_can_be_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
