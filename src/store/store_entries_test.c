/* Settled exchanges in the store, against a naive recount of everything that was put. */
#include "store/store.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "store/journal.h"
#include "store/sample_books.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENTRY_COUNT = 4000 };

struct fixture {
    char folder[SAMPLE_PATH_BYTES];
    struct store *store;
    struct sample_entry *samples; /* ENTRY_COUNT */
    struct dr_random random;
    struct dr_arena arena;
    struct dr_error error;
};

/* A segment that is in memory. */
struct sample_segment {
    dr_slice bytes;
    uint64_t start; /* of the bytes in the segment */
};

static enum dr_status read_sample(void *owner, uint64_t offset, dr_slice *ret_bytes,
                                  struct dr_error *error) {
    const struct sample_segment *segment = owner;
    (void)error;
    dr_assert(offset >= segment->start);
    *ret_bytes = dr_slice_from(segment->bytes, offset - segment->start);
    return DR_OK;
}

/* Takes the bytes in as those that stand at `offset` of the segment. */
static enum dr_status take_records(struct fixture *fixture, const char *name, uint64_t offset,
                                   dr_slice bytes, struct store_taken *ret_taken) {
    struct sample_segment segment = {bytes, offset};
    const struct store_source source = {.segment = dr_slice_text(name),
                                        .offset = offset,
                                        .bytes_max = 64 << 20,
                                        .read = read_sample,
                                        .owner = &segment};
    return store_take_records(fixture->store, &source, ret_taken, &fixture->error);
}

/* ... and all of them. */
static void take_all(struct fixture *fixture, const char *name, uint64_t offset, dr_slice bytes) {
    struct store_taken taken = {0};
    const enum dr_status status = take_records(fixture, name, offset, bytes, &taken);
    dr_assert(status == DR_OK && taken.bytes == bytes.len && taken.is_end);
}

/* Puts all samples in batches of any size, as one segment. */
static void put_samples(struct fixture *fixture) {
    struct dr_buf buf;
    uint64_t offset = 0;
    dr_buf_init(&buf, 64 << 20);
    for (size_t index = 0; index < ENTRY_COUNT; index++) {
        journal_encode(&buf, &fixture->samples[index].entry);
        if (index + 1 < ENTRY_COUNT && dr_random_below(&fixture->random, 200) != 0) continue;
        take_all(fixture, "one.log", offset, dr_buf_slice(&buf));
        offset += buf.len;
        dr_buf_reset(&buf);
    }
    dr_buf_clear(&buf);
}

static int set_up(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){0};
    dr_arena_init(&fixture.arena, 64 << 20, NULL);
    dr_random_seed(&fixture.random, 42);
    sample_folder_make(fixture.folder);
    assert_int_equal(store_open(fixture.folder, &fixture.store, &fixture.error), DR_OK);
    fixture.samples = dr_alloc_zero(ENTRY_COUNT, sizeof(*fixture.samples));
    for (size_t index = 0; index < ENTRY_COUNT; index++) {
        sample_entry_make(&fixture.samples[index], &fixture.random, 5);
        if (index % 20 != 0) continue;
        /* Each asks for a model that nobody has. */
        fixture.samples[index].entry.model = fixture.samples[index].entry.request_id;
        fixture.samples[index].entry.is_model_unknown = true;
    }
    put_samples(&fixture);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    store_close(fixture->store);
    dr_free(fixture->samples);
    dr_arena_clear(&fixture->arena);
    sample_folder_remove(fixture->folder);
    return 0;
}

/* --- receipts ------------------------------------------------------------------------------- */

static void test_every_receipt_is_found_by_its_id(void **state) {
    struct fixture *fixture = *state;
    for (size_t index = 0; index < ENTRY_COUNT; index += 17) {
        const struct ledger_entry *expected = &fixture->samples[index].entry;
        struct ledger_entry found;
        assert_int_equal(store_find_entry(fixture->store, expected->request_id,
                                          expected->account_id, &fixture->arena, &found,
                                          &fixture->error),
                         DR_OK);
        sample_entry_compare(expected, &found);
    }
}

static void test_receipts_of_others_and_unknown_ids_are_not_found(void **state) {
    struct fixture *fixture = *state;
    const struct ledger_entry *entry = &fixture->samples[0].entry;
    struct ledger_entry found;
    char unknown[REQUEST_ID_BYTES];
    memcpy(unknown, entry->request_id.data, sizeof(unknown));
    unknown[sizeof(unknown) - 1] = unknown[sizeof(unknown) - 1] == '0' ? '1' : '0';
    const struct {
        dr_slice request_id, account_id;
        enum dr_status status;
    } cases[] = {
        {entry->request_id, DR_NONE, DR_OK},
        {entry->request_id, DR_LIT("acc_other"), DR_NOT_FOUND},
        {dr_slice_of(unknown, sizeof(unknown)), DR_NONE, DR_NOT_FOUND},
        {DR_LIT("nonsense"), DR_NONE, DR_NOT_FOUND},
        {DR_NONE, DR_NONE, DR_NOT_FOUND},
    };
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        assert_int_equal(store_find_entry(fixture->store, cases[index].request_id,
                                          cases[index].account_id, &fixture->arena, &found,
                                          &fixture->error),
                         cases[index].status);
    }
}

static void test_a_receipt_is_found_by_the_time_in_its_id(void **state) {
    struct fixture *fixture = *state;
    struct ledger_entry entry = fixture->samples[0].entry;
    struct ledger_entry found;
    struct dr_buf buf;
    char id[REQUEST_ID_BYTES];
    uint8_t random[16] = {9};
    dr_buf_init(&buf, 65536);
    request_id_write((dr_wall){entry.created.ms + 86400000}, random, id);
    entry.request_id = dr_slice_of(id, sizeof(id));
    journal_encode(&buf, &entry);
    take_all(fixture, "two.log", 0, dr_buf_slice(&buf));
    assert_int_equal(store_find_entry(fixture->store, entry.request_id, DR_NONE, &fixture->arena,
                                      &found, &fixture->error),
                     DR_OK);
    dr_buf_clear(&buf);
}

/* --- walks ---------------------------------------------------------------------------------- */

struct walk {
    const struct fixture *fixture;
    const struct store_filter *filter;
    size_t index; /* of the next sample */
    size_t count;
    size_t count_max;
};

static bool is_wanted(const struct store_filter *filter, const struct ledger_entry *entry) {
    return (filter->account_id.len == 0 || dr_slice_is(filter->account_id, entry->account_id)) &&
           (filter->key_id.len == 0 || dr_slice_is(filter->key_id, entry->key_id)) &&
           (filter->model.len == 0 || dr_slice_is(filter->model, entry->model)) &&
           (filter->from.ms == 0 || entry->created.ms >= filter->from.ms) &&
           (filter->to.ms == 0 || entry->created.ms < filter->to.ms);
}

static const struct ledger_entry *next_wanted(struct walk *walk) {
    while (walk->index < ENTRY_COUNT) {
        const struct ledger_entry *entry = &walk->fixture->samples[walk->index++].entry;
        if (is_wanted(walk->filter, entry)) return entry;
    }
    return NULL;
}

static bool visit_entry(void *owner, const struct ledger_entry *entry) {
    struct walk *walk = owner;
    const struct ledger_entry *expected = next_wanted(walk);
    assert_non_null(expected);
    sample_entry_compare(expected, entry);
    return ++walk->count < walk->count_max;
}

static void make_filters(const struct fixture *fixture, struct store_filter filters[6]) {
    const dr_wall some = fixture->samples[3].entry.created;
    const dr_wall other = fixture->samples[9].entry.created;
    filters[0] = (struct store_filter){0};
    filters[1] = (struct store_filter){.account_id = DR_LIT("acc_3")};
    filters[2] = (struct store_filter){.key_id = DR_LIT("key_1a"), .model = DR_LIT("gpt-4.1")};
    filters[3] = (struct store_filter){.from = some};
    filters[4] = (struct store_filter){.from = {some.ms < other.ms ? some.ms : other.ms},
                                       .to = {some.ms < other.ms ? other.ms : some.ms}};
    filters[5] = (struct store_filter){.account_id = DR_LIT("acc_none")};
}

static void test_walks_give_what_the_filter_wants_in_order(void **state) {
    struct fixture *fixture = *state;
    struct store_filter filters[6];
    make_filters(fixture, filters);
    for (size_t index = 0; index < 6; index++) {
        struct walk walk = {.fixture = fixture, .filter = &filters[index], .count_max = SIZE_MAX};
        assert_int_equal(
            store_each_entry(fixture->store, &filters[index], visit_entry, &walk, &fixture->error),
            DR_OK);
        assert_null(next_wanted(&walk));
    }
}

static void test_a_walk_stops_when_told(void **state) {
    struct fixture *fixture = *state;
    const struct store_filter all = {0};
    struct walk walk = {.fixture = fixture, .filter = &all, .count_max = 5};
    assert_int_equal(store_each_entry(fixture->store, &all, visit_entry, &walk, &fixture->error),
                     DR_OK);
    assert_int_equal(walk.count, 5);
}

static void test_walks_in_short_turns_give_each_entry_once(void **state) {
    static const struct {
        size_t count_max;
        size_t pages_max;
    } turns[] = {{40, SIZE_MAX}, {70, 1}, {1000, 2}, {SIZE_MAX, 3}};
    struct fixture *fixture = *state;
    struct store_filter filters[6];
    make_filters(fixture, filters);
    for (size_t index = 0; index < 6; index++) {
        for (size_t turn = 0; turn < sizeof(turns) / sizeof(turns[0]); turn++) {
            struct walk walk = {.fixture = fixture, .filter = &filters[index]};
            struct store_place place = {0};
            bool is_over = false;
            while (!is_over) {
                walk.count = 0;
                walk.count_max = turns[turn].count_max;
                assert_int_equal(store_walk_entries(fixture->store, &filters[index], &place,
                                                    turns[turn].pages_max, visit_entry, &walk,
                                                    &is_over, &fixture->error),
                                 DR_OK);
                assert_true(walk.count <= turns[turn].count_max);
            }
            assert_null(next_wanted(&walk));
        }
    }
}

/* --- totals --------------------------------------------------------------------------------- */

struct recount {
    const struct fixture *fixture;
    struct store_filter filter; /* cut to days */
    unsigned groups;
    uint64_t requests;
    int64_t cost;
    size_t count;
};

static dr_slice model_of(const struct ledger_entry *entry) {
    return entry->is_model_unknown ? DR_NONE : entry->model;
}

static bool is_in_total(const struct recount *recount, const struct store_total *total,
                        const struct ledger_entry *entry) {
    char text[DR_WALL_TEXT_BYTES];
    dr_wall_format(entry->created, text);
    return is_wanted(&recount->filter, entry) &&
           (!(recount->groups & STORE_BY_ACCOUNT) ||
            dr_slice_is(total->account_id, entry->account_id)) &&
           (!(recount->groups & STORE_BY_KEY) || dr_slice_is(total->key_id, entry->key_id)) &&
           (!(recount->groups & STORE_BY_MODEL) || dr_slice_is(total->model, model_of(entry))) &&
           (!(recount->groups & STORE_BY_DAY) || memcmp(total->day, text, 10) == 0);
}

static bool visit_total(void *owner, const struct store_total *total) {
    struct recount *recount = owner;
    struct store_total naive = {0};
    for (size_t index = 0; index < ENTRY_COUNT; index++) {
        const struct ledger_entry *entry = &recount->fixture->samples[index].entry;
        if (!is_in_total(recount, total, entry)) continue;
        naive.requests++;
        naive.prompt_tokens += entry->usage.prompt_tokens;
        naive.completion_tokens += entry->usage.completion_tokens;
        naive.total_tokens += entry->usage.total_tokens;
        naive.cached_tokens += entry->usage.cached_tokens;
        naive.cost.nanousd += entry->cost.nanousd;
    }
    assert_int_equal(total->requests, naive.requests);
    assert_int_equal(total->prompt_tokens, naive.prompt_tokens);
    assert_int_equal(total->completion_tokens, naive.completion_tokens);
    assert_int_equal(total->total_tokens, naive.total_tokens);
    assert_int_equal(total->cached_tokens, naive.cached_tokens);
    assert_int_equal(total->cost.nanousd, naive.cost.nanousd);
    assert_int_equal(total->day[0] != '\0', (recount->groups & STORE_BY_DAY) != 0);
    if (!(recount->groups & STORE_BY_MODEL)) assert_int_equal(total->model.len, 0);
    recount->requests += total->requests;
    recount->cost += total->cost.nanousd;
    recount->count++;
    return true;
}

static void test_totals_agree_with_a_naive_recount_in_every_grouping(void **state) {
    struct fixture *fixture = *state;
    const int64_t day_ms = 24 * 3600 * 1000;
    struct store_filter filters[6];
    make_filters(fixture, filters);
    for (size_t index = 0; index < 6; index++) {
        for (unsigned groups = 0; groups < 16; groups++) {
            struct recount recount = {
                .fixture = fixture, .filter = filters[index], .groups = groups};
            /* Whole days that the range touches. */
            recount.filter.from.ms -= recount.filter.from.ms % day_ms;
            recount.filter.to.ms = (recount.filter.to.ms + day_ms - 1) / day_ms * day_ms;
            uint64_t requests = 0;
            for (size_t at = 0; at < ENTRY_COUNT; at++) {
                requests += is_wanted(&recount.filter, &fixture->samples[at].entry);
            }
            assert_int_equal(store_each_total(fixture->store, &filters[index], groups, visit_total,
                                              &recount, &fixture->error),
                             DR_OK);
            assert_int_equal(recount.requests, requests);
            if (groups == 0) assert_int_equal(recount.count, 1);
            if (groups == STORE_BY_MODEL && index == 0) assert_int_equal(recount.count, 3 + 1);
        }
    }
}

static bool visit_saturated(void *owner, const struct store_total *total) {
    int64_t *cost = owner;
    *cost = total->cost.nanousd;
    return true;
}

static void test_sums_stop_at_the_ends_of_their_integers(void **state) {
    struct fixture *fixture = *state;
    char id[ACCOUNT_ID_BYTES];
    struct ledger_entry entry = fixture->samples[0].entry;
    struct account account;
    struct dr_buf buf;
    int64_t cost = 0;
    sample_account_make(fixture->store, id);
    entry.account_id = dr_slice_of(id, sizeof(id));
    entry.cost.nanousd = INT64_MAX - 1;
    dr_buf_init(&buf, 65536);
    journal_encode(&buf, &entry);
    for (uint64_t batch = 0; batch < 3; batch++) {
        take_all(fixture, "two.log", batch * buf.len, dr_buf_slice(&buf));
    }
    const struct store_filter filter = {.account_id = entry.account_id};
    assert_int_equal(store_each_total(fixture->store, &filter, STORE_BY_ACCOUNT, visit_saturated,
                                      &cost, &fixture->error),
                     DR_OK);
    assert_int_equal(cost, INT64_MAX);
    assert_int_equal(store_find_account(fixture->store, entry.account_id, &fixture->arena, &account,
                                        &fixture->error),
                     DR_OK);
    assert_int_equal(account.balance.nanousd, -INT64_MAX);
    dr_buf_clear(&buf);
}

/* --- positions ------------------------------------------------------------------------------ */

static void test_a_place_never_goes_back(void **state) {
    struct fixture *fixture = *state;
    const dr_slice segment = DR_LIT("two.log");
    struct store_taken taken;
    struct dr_buf buf;
    uint64_t offset = 1;
    dr_buf_init(&buf, 65536);
    journal_encode(&buf, &fixture->samples[0].entry);
    assert_int_equal(store_get_position(fixture->store, segment, &offset, NULL), DR_OK);
    assert_int_equal(offset, 0);
    take_all(fixture, "two.log", 0, dr_buf_slice(&buf));
    assert_int_equal(take_records(fixture, "two.log", 0, dr_buf_slice(&buf), &taken), DR_EXISTS);
    assert_int_equal(store_get_position(fixture->store, segment, &offset, NULL), DR_OK);
    assert_int_equal(offset, buf.len);
    dr_buf_clear(&buf);
}

static void test_a_batch_ends_before_a_record_that_is_cut(void **state) {
    struct fixture *fixture = *state;
    struct store_taken taken;
    struct dr_buf buf;
    uint64_t offset = 1;
    dr_buf_init(&buf, 1 << 20);
    journal_encode(&buf, &fixture->samples[0].entry);
    const size_t first_end = buf.len;
    journal_encode(&buf, &fixture->samples[1].entry);
    for (size_t len = 0; len < buf.len; len += 8) {
        const dr_slice cut = dr_slice_first(dr_buf_slice(&buf), len);
        char name[32];
        snprintf(name, sizeof(name), "cut-%zu.log", len);
        assert_int_equal(take_records(fixture, name, 0, cut, &taken), DR_OK);
        assert_true(taken.is_end);
        assert_int_equal(taken.count, len < first_end ? 0 : 1);
        assert_int_equal(taken.bytes, len < first_end ? 0 : first_end);
        assert_int_equal(store_get_position(fixture->store, dr_slice_text(name), &offset, NULL),
                         DR_OK);
        assert_int_equal(offset, taken.bytes);
    }
    dr_buf_clear(&buf);
}

/* Fails when it is asked for what is behind the first page. */
static enum dr_status read_once(void *owner, uint64_t offset, dr_slice *ret_bytes,
                                struct dr_error *error) {
    if (offset > 0) return dr_fail(error, DR_IO, 5, "can't read on");
    *ret_bytes = *(const dr_slice *)owner;
    return DR_OK;
}

static void test_a_batch_that_fails_leaves_nothing(void **state) {
    struct fixture *fixture = *state;
    struct dr_buf buf;
    const struct store_filter filter = {0};
    int64_t before = 0, after = 0;
    uint64_t offset = 1;
    dr_buf_init(&buf, 1 << 20);
    journal_encode(&buf, &fixture->samples[0].entry);
    assert_int_equal(store_each_total(fixture->store, &filter, 0, visit_saturated, &before, NULL),
                     DR_OK);
    dr_slice bytes = dr_buf_slice(&buf);
    const struct store_source source = {
        .segment = DR_LIT("two.log"), .bytes_max = 65536, .read = read_once, .owner = &bytes};
    struct store_taken taken;
    assert_int_equal(store_take_records(fixture->store, &source, &taken, &fixture->error), DR_IO);
    assert_int_equal(store_get_position(fixture->store, source.segment, &offset, NULL), DR_OK);
    assert_int_equal(offset, 0);
    assert_int_equal(store_each_total(fixture->store, &filter, 0, visit_saturated, &after, NULL),
                     DR_OK);
    assert_int_equal(before, after);
    /* What came of it is written over by the next one. */
    dr_buf_reset(&buf);
    journal_encode(&buf, &fixture->samples[2].entry);
    take_all(fixture, "two.log", 0, dr_buf_slice(&buf));
    assert_int_equal(store_each_total(fixture->store, &filter, 0, visit_saturated, &after, NULL),
                     DR_OK);
    assert_int_equal(after, before + fixture->samples[2].entry.cost.nanousd);
    dr_buf_clear(&buf);
}

/* Called by SQLite, too. */
static bool is_log_failing;
/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): libc's are reserved */
int fdatasync(int descriptor) {
    char link[64], path[512];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
    const ssize_t len = readlink(link, path, sizeof(path));
    if (is_log_failing && len > 0 &&
        dr_slice_ends(dr_slice_of(path, (size_t)len), DR_LIT("-wal"))) {
        errno = EIO;
        return -1;
    }
    return fsync(descriptor);
}

static void take_one(struct fixture *fixture, const char *name, size_t index,
                     enum dr_status expected) {
    struct store_taken taken;
    struct dr_buf buf;
    dr_buf_init(&buf, 65536);
    journal_encode(&buf, &fixture->samples[index].entry);
    const enum dr_status status = take_records(fixture, name, 0, dr_buf_slice(&buf), &taken);
    dr_assert(status == expected);
    dr_buf_clear(&buf);
}

/* The log holds the whole transaction although its sync has failed, and the next start goes by the
 * log: then the page that it names must not have been written over. */
static void test_a_commit_that_failed_and_is_found_by_the_next_start_has_its_page(void **state) {
    struct fixture *fixture = *state;
    const struct store_filter filter = {0};
    int64_t cost = 0;
    uint64_t offset = 0;
    assert_int_equal(store_each_total(fixture->store, &filter, 0, visit_saturated, &cost, NULL),
                     DR_OK);
    const int64_t expected =
        cost + fixture->samples[0].entry.cost.nanousd + fixture->samples[2].entry.cost.nanousd;
    store_close(fixture->store);
    fixture->store = NULL;
    const pid_t child = fork();
    if (child == 0) {
        dr_assert(store_open(fixture->folder, &fixture->store, NULL) == DR_OK);
        take_one(fixture, "three.log", 2, DR_OK); /* for a log that has begun */
        is_log_failing = true;
        take_one(fixture, "two.log", 0, DR_IO);
        is_log_failing = false;
        take_one(fixture, "one.log", 1, DR_EXISTS); /* does not come to its commit */
        _exit(0);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(store_open(fixture->folder, &fixture->store, &fixture->error), DR_OK);
    assert_int_equal(store_get_position(fixture->store, DR_LIT("two.log"), &offset, NULL), DR_OK);
    assert_true(offset > 0);
    assert_int_equal(store_each_total(fixture->store, &filter, 0, visit_saturated, &cost, NULL),
                     DR_OK);
    assert_int_equal(cost, expected);
}

static void test_sums_lost_for_want_of_memory_are_made_again(void **state) {
    struct fixture *fixture = *state;
    struct dr_buf buf;
    const struct store_filter filter = {0};
    int64_t before = 0, after = 0;
    dr_buf_init(&buf, 1 << 20);
    for (size_t index = 0; index < 40; index++) {
        journal_encode(&buf, &fixture->samples[index].entry);
    }
    int64_t batch_cost = 0;
    for (size_t index = 0; index < 40; index++) {
        batch_cost += fixture->samples[index].entry.cost.nanousd;
    }
    assert_int_equal(store_each_total(fixture->store, &filter, 0, visit_saturated, &before, NULL),
                     DR_OK);
    for (uint64_t nth = 1; nth < 60; nth++) {
        dr_alloc_fail_at(nth);
        take_all(fixture, "two.log", (nth - 1) * buf.len, dr_buf_slice(&buf));
        enum dr_status status =
            store_each_total(fixture->store, &filter, 0, visit_saturated, &after, NULL);
        dr_alloc_fail_at(0);
        if (status) {
            assert_int_equal(status, DR_NO_MEMORY);
            status = store_each_total(fixture->store, &filter, 0, visit_saturated, &after, NULL);
        }
        assert_int_equal(status, DR_OK);
        assert_int_equal(after, before + (int64_t)nth * batch_cost);
    }
    dr_buf_clear(&buf);
}

static void put_batch_of_child(struct fixture *fixture, uint64_t number) {
    struct dr_buf buf;
    dr_buf_init(&buf, 1 << 20);
    journal_encode(&buf, &fixture->samples[number].entry);
    take_all(fixture, "two.log", number * 4096, dr_buf_slice(&buf));
    dr_buf_clear(&buf);
}

/* Totals are folded in now and then; a death at any distance from that changes nothing. */
static void test_a_death_between_foldings_leaves_the_totals_right(void **state) {
    struct fixture *fixture = *state;
    const struct store_filter filter = {0};
    int64_t cost = 0, expected = 0;
    assert_int_equal(store_each_total(fixture->store, &filter, 0, visit_saturated, &expected, NULL),
                     DR_OK);
    for (uint64_t number = 0; number < 20; number += 2) {
        store_close(fixture->store);
        fixture->store = NULL;
        const pid_t child = fork();
        if (child == 0) {
            int64_t seen = 0;
            dr_assert(store_open(fixture->folder, &fixture->store, NULL) == DR_OK);
            put_batch_of_child(fixture, number);
            if (number % 4 == 0) {
                dr_assert(store_each_total(fixture->store, &filter, 0, visit_saturated, &seen,
                                           NULL) == DR_OK);
            }
            put_batch_of_child(fixture, number + 1);
            _exit(0);
        }
        int status = 1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        expected += fixture->samples[number].entry.cost.nanousd +
                    fixture->samples[number + 1].entry.cost.nanousd;
        assert_int_equal(store_open(fixture->folder, &fixture->store, &fixture->error), DR_OK);
        assert_int_equal(store_each_total(fixture->store, &filter, 0, visit_saturated, &cost, NULL),
                         DR_OK);
        assert_int_equal(cost, expected);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        STORE_TEST(test_every_receipt_is_found_by_its_id),
        STORE_TEST(test_receipts_of_others_and_unknown_ids_are_not_found),
        STORE_TEST(test_a_receipt_is_found_by_the_time_in_its_id),
        STORE_TEST(test_walks_give_what_the_filter_wants_in_order),
        STORE_TEST(test_a_walk_stops_when_told),
        STORE_TEST(test_walks_in_short_turns_give_each_entry_once),
        STORE_TEST(test_totals_agree_with_a_naive_recount_in_every_grouping),
        STORE_TEST(test_sums_stop_at_the_ends_of_their_integers),
        STORE_TEST(test_a_place_never_goes_back),
        STORE_TEST(test_a_batch_ends_before_a_record_that_is_cut),
        STORE_TEST(test_a_batch_that_fails_leaves_nothing),
        STORE_TEST(test_a_commit_that_failed_and_is_found_by_the_next_start_has_its_page),
        STORE_TEST(test_sums_lost_for_want_of_memory_are_made_again),
        STORE_TEST(test_a_death_between_foldings_leaves_the_totals_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
