/* The script: the text depends on the messages alone, tokens never cut a character, nothing drifts.
 */
#include "sim/script.h"

#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct sim_talk talk_of(const char *system, const char *user) {
    struct sim_talk talk = {0};
    if (system) {
        sim_talk_note_message(&talk, SIM_ROLE_SYSTEM);
        sim_talk_note_text(&talk, SIM_ROLE_SYSTEM, dr_slice_text(system));
    }
    sim_talk_note_message(&talk, SIM_ROLE_USER);
    sim_talk_note_text(&talk, SIM_ROLE_USER, dr_slice_text(user));
    return talk;
}

static bool texts_are_equal(const struct sim_talk *a, const struct sim_talk *b) {
    struct dr_buf text_a;
    struct dr_buf text_b;
    dr_buf_init(&text_a, 65536);
    dr_buf_init(&text_b, 65536);
    sim_script_write(&text_a, a, 0);
    sim_script_write(&text_b, b, 0);
    const bool is_equal = dr_slice_is(dr_buf_slice(&text_a), dr_buf_slice(&text_b));
    dr_buf_clear(&text_a);
    dr_buf_clear(&text_b);
    return is_equal;
}

static void test_same_messages_give_the_same_text_and_others_another(void **state) {
    (void)state;
    const struct sim_talk hello = talk_of(NULL, "hello");
    const struct sim_talk again = talk_of(NULL, "hello");
    const struct sim_talk other = talk_of(NULL, "hallo");
    const struct sim_talk told = talk_of("be kind", "hello");
    assert_true(texts_are_equal(&hello, &again));
    assert_false(texts_are_equal(&hello, &other));
    assert_false(texts_are_equal(&hello, &told));
}

static void test_system_messages_count_wherever_they_stand(void **state) {
    (void)state;
    const struct sim_talk before = talk_of("be kind", "hello");
    struct sim_talk after = talk_of(NULL, "hello");
    sim_talk_note_message(&after, SIM_ROLE_SYSTEM);
    sim_talk_note_text(&after, SIM_ROLE_SYSTEM, DR_LIT("be kind"));
    assert_int_equal(sim_talk_seed(&before), sim_talk_seed(&after));
}

static void test_text_says_what_it_is_and_what_it_saw(void **state) {
    (void)state;
    struct dr_buf text;
    struct sim_talk talk = talk_of(NULL, "look");
    sim_talk_note_image(&talk);
    dr_buf_init(&text, 65536);
    sim_script_write(&text, &talk, 0);
    assert_true(dr_slice_starts(dr_buf_slice(&text), DR_LIT("This is a simulation")));
    assert_true(dr_slice_find(dr_buf_slice(&text), DR_LIT("I see 1 image.")) < text.len);
    dr_buf_reset(&text);
    sim_talk_note_message(&talk, SIM_ROLE_TOOL);
    sim_talk_note_text(&talk, SIM_ROLE_TOOL, DR_LIT("22 degrees"));
    sim_script_write(&text, &talk, 0);
    assert_true(dr_slice_find(dr_buf_slice(&text), DR_LIT("“22 degrees”")) < text.len);
    dr_buf_clear(&text);
}

static void test_tokens_join_to_the_text_and_keep_characters_whole(void **state) {
    (void)state;
    struct dr_buf text;
    dr_buf_init(&text, 65536);
    for (uint32_t choice = 0; choice < 200; choice++) {
        const struct sim_talk talk = talk_of("hệ thống", "xin chào 🚀 数据");
        dr_buf_reset(&text);
        sim_script_write(&text, &talk, choice);
        assert_true(dr_utf8_is_valid(dr_buf_slice(&text)));
        dr_slice rest = dr_buf_slice(&text);
        uint64_t count = 0;
        while (rest.len > 0) {
            const dr_slice token = sim_script_token(rest);
            assert_true(token.len > 0 && token.len <= 9);
            assert_true(dr_utf8_is_valid(token));
            rest = dr_slice_from(rest, token.len);
            count++;
        }
        assert_int_equal(count, sim_script_token_count(dr_buf_slice(&text)));
        const dr_slice first = sim_script_first_tokens(dr_buf_slice(&text), count - 1);
        assert_int_equal(sim_script_token_count(first), count - 1);
        assert_int_equal(sim_script_first_tokens(dr_buf_slice(&text), count + 5).len, text.len);
    }
    dr_buf_clear(&text);
}

static void test_prompt_tokens_grow_with_the_messages(void **state) {
    (void)state;
    struct sim_talk talk = talk_of(NULL, "hello");
    uint64_t last = talk.prompt_tokens;
    assert_true(last > 0);
    for (int i = 0; i < 50; i++) {
        sim_talk_note_message(&talk, i % 2 ? SIM_ROLE_USER : SIM_ROLE_ASSISTANT);
        sim_talk_note_text(&talk, i % 2 ? SIM_ROLE_USER : SIM_ROLE_ASSISTANT, DR_LIT("more"));
        assert_true(talk.prompt_tokens > last);
        last = talk.prompt_tokens;
        assert_true(sim_talk_cached_tokens(&talk) < last);
    }
}

static void test_events_are_due_from_the_start_without_drift(void **state) {
    (void)state;
    const dr_instant start = {.us = 1000};
    assert_int_equal(sim_script_due(start, 100, 20, 0).us, 101000);
    assert_int_equal(sim_script_due(start, 100, 20, 50).us, 1000 + 100000 + 50 * 20000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_messages_give_the_same_text_and_others_another),
        cmocka_unit_test(test_system_messages_count_wherever_they_stand),
        cmocka_unit_test(test_text_says_what_it_is_and_what_it_saw),
        cmocka_unit_test(test_tokens_join_to_the_text_and_keep_characters_whole),
        cmocka_unit_test(test_prompt_tokens_grow_with_the_messages),
        cmocka_unit_test(test_events_are_due_from_the_start_without_drift),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
