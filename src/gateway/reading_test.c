/* One reading of a body: what it lends, what it may take, what is kept for the next. */
#include "gateway/reading.h"

#include "base/alloc.h"
#include "dialect/dialect.h"
#include "gateway/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum {
    BODY_BYTES_MAX = 16 * 1024 * 1024,
    LITTLE_BYTES = 8 * 1024,
    AT_ONCE = 20,
    KEPT = 16,
    FAIL_AT_MAX = 100
};

struct desk {
    struct worker worker;
    struct dr_json_reader *json;
    struct dr_json_reader *scratch;
};

static void desk_open(struct desk *desk) {
    *desk = (struct desk){.json = dr_json_reader_new(), .scratch = dr_json_reader_new()};
    assert_non_null(desk->json);
    assert_non_null(desk->scratch);
    dr_list_init(&desk->worker.spare_readings);
    dr_block_pool_init(&desk->worker.blocks, 2048, 128);
}

static void desk_close(struct desk *desk) {
    reading_drop_spares(&desk->worker);
    dr_block_pool_clear(&desk->worker.blocks);
    dr_json_reader_free(desk->scratch);
    dr_json_reader_free(desk->json);
}

static struct prompt accept(struct desk *desk, dr_slice body) {
    struct prompt prompt;
    struct prompt_fault fault;
    assert_int_equal(openai_read_prompt(desk->json, body, &prompt, &fault), DR_OK);
    return prompt;
}

static struct reading *read_body(struct desk *desk, dr_slice body) {
    const struct prompt prompt = accept(desk, body);
    struct reading *reading = NULL;
    assert_int_equal(reading_open(&desk->worker, &prompt, &reading), DR_OK);
    return reading;
}

static void expect_written(struct desk *desk, enum dialect dialect, const struct reading *reading) {
    struct dr_buf out;
    struct loss loss = {.dropped_len = 0};
    dr_buf_init(&out, 64 * 1024);
    assert_int_equal(dialect_write_prompt(dialect, reading_conversation(reading), DR_LIT("m"),
                                          desk->scratch, &out, &loss),
                     DR_OK);
    const dr_slice written = dr_buf_slice(&out);
    assert_true(dr_slice_find(written, DR_LIT("\"good \\\"morning\\\"\"")) < written.len);
    assert_true(dr_slice_find(written, DR_LIT("\"a\":{\"type\":\"string\"}")) < written.len);
    assert_true(dr_slice_find(written, DR_LIT("0.25")) < written.len);
    dr_buf_clear(&out);
}

#define ASK \
    "{\"model\":\"m\",\"temperature\":0.25,\"tools\":[{\"type\":\"function\",\"function\":{" \
    "\"name\":\"f\",\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":" \
    "\"string\"}}}}}],\"messages\":[{\"role\":\"user\",\"content\":\"good \\\"morning\\\"\"}]}"

static void test_every_dialect_writes_from_one_reading_without_the_body(void **state) {
    struct desk desk;
    char body[] = ASK;
    (void)state;
    desk_open(&desk);
    struct reading *reading = read_body(&desk, dr_slice_of(body, sizeof body - 1));
    memset(body, ' ', sizeof body - 1);
    expect_written(&desk, DIALECT_ANTHROPIC, reading);
    expect_written(&desk, DIALECT_GEMINI, reading);
    expect_written(&desk, DIALECT_ANTHROPIC, reading);
    reading_close(reading);
    desk_close(&desk);
}

/* A body whose user's name is that long. */
static bool may_stay_with(struct desk *desk, struct dr_buf *body, size_t name_len) {
    dr_buf_reset(body);
    dr_buf_put(body, DR_LIT("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],"
                            "\"user\":\""));
    char *name = dr_buf_reserve(body, name_len);
    assert_non_null(name);
    memset(name, 'n', name_len);
    dr_buf_commit(body, name_len);
    dr_buf_put(body, DR_LIT("\"}"));
    struct reading *reading = read_body(desk, dr_buf_slice(body));
    const bool may_stay = reading_may_stay(reading);
    reading_close(reading);
    return may_stay;
}

static void test_one_that_takes_more_than_the_limit_may_not_stay(void **state) {
    struct desk desk;
    struct dr_buf body;
    /* What stands around the name and what is made of it is little here. */
    size_t least = READING_KEPT_BYTES_MAX - LITTLE_BYTES;
    size_t most = READING_KEPT_BYTES_MAX;
    (void)state;
    desk_open(&desk);
    dr_buf_init(&body, BODY_BYTES_MAX);
    assert_true(may_stay_with(&desk, &body, least));
    assert_false(may_stay_with(&desk, &body, most));
    while (most - least > 1) {
        const size_t middle = least + (most - least) / 2;
        if (may_stay_with(&desk, &body, middle)) {
            least = middle;
        } else {
            most = middle;
        }
    }
    assert_true(may_stay_with(&desk, &body, least));
    assert_false(may_stay_with(&desk, &body, least + 1));
    dr_buf_clear(&body);
    desk_close(&desk);
}

/* Few bytes that become much memory: values that nobody reads, and records. */
static void test_what_is_made_of_a_body_counts_too(void **state) {
    static const struct {
        const char *name, *before, *each, *after;
    } cases[] = {
        {"values", "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"x\":[",
         "[]", "]}"},
        {"messages", "{\"model\":\"m\",\"messages\":[", "{\"role\":\"user\",\"content\":\"a\"}",
         "]}"},
    };
    struct desk desk;
    struct dr_buf body;
    (void)state;
    desk_open(&desk);
    dr_buf_init(&body, BODY_BYTES_MAX);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        dr_buf_reset(&body);
        dr_buf_put(&body, dr_slice_text(cases[i].before));
        while (body.len < READING_KEPT_BYTES_MAX / 3) {
            dr_buf_put(&body, dr_slice_text(cases[i].each));
            dr_buf_put_char(&body, ',');
        }
        dr_buf_put(&body, dr_slice_text(cases[i].each));
        dr_buf_put(&body, dr_slice_text(cases[i].after));
        struct reading *reading = read_body(&desk, dr_buf_slice(&body));
        if (reading_may_stay(reading)) fail_msg("%s: may stay", cases[i].name);
        reading_close(reading);
    }
    dr_buf_clear(&body);
    desk_close(&desk);
}

static void test_memory_is_kept_for_the_next_up_to_a_limit(void **state) {
    struct desk desk;
    struct reading *readings[AT_ONCE];
    (void)state;
    desk_open(&desk);
    for (size_t i = 0; i < AT_ONCE; i++) readings[i] = read_body(&desk, DR_LIT(ASK));
    for (size_t i = 0; i < AT_ONCE; i++) reading_close(readings[i]);
    assert_int_equal(desk.worker.spare_reading_count, KEPT);
    const struct prompt prompt = accept(&desk, DR_LIT(ASK));
    const uint64_t made_before = dr_alloc_count();
    assert_int_equal(reading_open(&desk.worker, &prompt, &readings[0]), DR_OK);
    assert_int_equal(dr_alloc_count(), made_before);
    assert_int_equal(desk.worker.spare_reading_count, KEPT - 1);
    reading_close(readings[0]);
    desk_close(&desk);
    assert_int_equal(desk.worker.spare_reading_count, 0);
}

static void test_the_next_one_succeeds_whichever_allocation_fails(void **state) {
    enum dr_status status = DR_NO_MEMORY;
    uint64_t fail_at = 0;
    (void)state;
    while (status) {
        struct desk desk;
        struct reading *reading = NULL;
        assert_true(++fail_at < FAIL_AT_MAX);
        desk_open(&desk);
        const struct prompt prompt = accept(&desk, DR_LIT(ASK));
        dr_alloc_fail_at(fail_at);
        status = reading_open(&desk.worker, &prompt, &reading);
        dr_alloc_fail_at(0);
        if (status) {
            assert_int_equal(status, DR_NO_MEMORY);
            assert_int_equal(reading_open(&desk.worker, &prompt, &reading), DR_OK);
        }
        reading_close(reading);
        desk_close(&desk);
    }
    assert_true(fail_at > 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_dialect_writes_from_one_reading_without_the_body),
        cmocka_unit_test(test_one_that_takes_more_than_the_limit_may_not_stay),
        cmocka_unit_test(test_what_is_made_of_a_body_counts_too),
        cmocka_unit_test(test_memory_is_kept_for_the_next_up_to_a_limit),
        cmocka_unit_test(test_the_next_one_succeeds_whichever_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
