/* The loop: order and restart of timers, deferred calls, gathering, the cached clock. */
#include "net/loop.h"

#include "base/alloc.h"
#include "net/clock_probe.h"
#include "net/loop_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

enum { MARKS_MAX = 512 };

struct record {
    struct dr_loop *loop;
    int marks[MARKS_MAX];
    int count;
};

struct mark {
    struct record *record;
    int number;
    struct dr_timer timer;
    struct dr_deferred deferred;
    int again; /* times to start again from the callback */
    int64_t again_ms;
    struct mark *stops; /* stopped by the callback */
};

static void mark_run(void *owner) {
    struct mark *mark = owner;
    mark->record->marks[mark->record->count++ % MARKS_MAX] = mark->number;
    if (mark->stops) dr_timer_stop(&mark->stops->timer);
    if (mark->again > 0) {
        mark->again--;
        dr_timer_start(&mark->timer, mark->record->loop, mark->again_ms);
    }
}

static void mark_run_deferred(void *owner) {
    struct mark *mark = owner;
    mark->record->marks[mark->record->count++ % MARKS_MAX] = mark->number;
    if (mark->again > 0) {
        mark->again--;
        dr_deferred_queue(&mark->deferred, mark->record->loop);
    }
}

static void mark_init(struct mark *mark, struct record *record, int number) {
    *mark = (struct mark){.record = record, .number = number};
    dr_timer_init(&mark->timer, mark, mark_run);
    dr_deferred_init(&mark->deferred, mark, mark_run_deferred);
}

static void record_open(struct record *record) {
    *record = (struct record){.count = 0};
    assert_int_equal(dr_loop_new(&record->loop, NULL), DR_OK);
}

static void test_timers_fire_in_order_of_due_time_whatever_their_class(void **state) {
    (void)state;
    static const int64_t after[] = {30, 5, 5, 20, 1, 30, 0, 12};
    static const int expected[] = {6, 4, 1, 2, 7, 3, 0, 5};
    struct record record;
    record_open(&record);
    struct mark marks[8];
    const dr_instant start = dr_loop_now(record.loop);
    for (int i = 0; i < 8; i++) {
        mark_init(&marks[i], &record, i);
        dr_timer_start(&marks[i].timer, record.loop, after[i]);
        assert_true(dr_timer_is_running(&marks[i].timer));
    }
    dr_loop_run(record.loop);
    assert_int_equal(record.count, 8);
    assert_memory_equal(record.marks, expected, sizeof(expected));
    assert_true(dr_instant_us_since(dr_loop_now(record.loop), start) >= 30000);
    for (int i = 0; i < 8; i++) assert_false(dr_timer_is_running(&marks[i].timer));
    dr_loop_free(record.loop);
}

static void test_timers_beyond_64_durations_keep_their_order(void **state) {
    (void)state;
    enum { COUNT = 100 };
    struct record record;
    record_open(&record);
    static struct mark marks[COUNT];
    for (int i = 0; i < COUNT; i++) {
        mark_init(&marks[i], &record, i);
        dr_timer_start(&marks[i].timer, record.loop, 1 + (i * 37) % COUNT);
    }
    for (int i = 0; i < COUNT; i += 3) dr_timer_stop(&marks[i].timer);
    dr_loop_run(record.loop);
    assert_int_equal(record.count, COUNT - 34);
    for (int i = 1; i < record.count; i++) {
        assert_true((record.marks[i - 1] * 37) % COUNT < (record.marks[i] * 37) % COUNT);
        assert_int_not_equal(record.marks[i] % 3, 0);
    }
    dr_loop_free(record.loop);
}

static void test_a_restarted_timer_fires_once_at_its_new_time(void **state) {
    (void)state;
    struct record record;
    record_open(&record);
    struct mark late;
    struct mark early;
    mark_init(&late, &record, 1);
    mark_init(&early, &record, 2);
    dr_timer_start(&late.timer, record.loop, 2);
    dr_timer_start(&early.timer, record.loop, 10);
    dr_timer_start(&late.timer, record.loop, 15);
    dr_loop_run(record.loop);
    assert_int_equal(record.count, 2);
    assert_int_equal(record.marks[0], 2);
    assert_int_equal(record.marks[1], 1);
    dr_loop_free(record.loop);
}

static void test_a_timer_that_was_put_off_fires_once_and_at_most_a_sixteenth_late(void **state) {
    struct record record;
    struct mark slow;
    struct mark other;
    (void)state;
    record_open(&record);
    mark_init(&slow, &record, 1);
    mark_init(&other, &record, 2);
    /* Looks at the clock drive it: nothing waits in truth. */
    dr_timer_start(&slow.timer, record.loop, 160);
    dr_timer_start(&other.timer, record.loop, 160);
    const dr_instant begun = dr_loop_now(record.loop);
    dr_instant put_off = begun;
    while (dr_instant_us_since(dr_loop_now(record.loop), begun) < 400000) {
        dr_loop_run_once(record.loop, 1);
        put_off = dr_loop_now(record.loop);
        dr_timer_put_off(&slow.timer, record.loop, 160);
        assert_int_equal(slow.timer.put_off.us, dr_instant_after_ms(put_off, 160).us);
        assert_true(dr_instant_us_since(slow.timer.put_off, slow.timer.due) <= 10000);
    }
    assert_int_equal(record.count, 1); /* the one that was left alone */
    assert_int_equal(record.marks[0], 2);
    while (record.count == 1) dr_loop_run_once(record.loop, 1);
    const int64_t waited_us = dr_instant_us_since(dr_loop_now(record.loop), put_off);
    assert_int_equal(record.marks[1], 1);
    assert_true(waited_us >= 160000);
    assert_false(dr_timer_is_running(&slow.timer));
    dr_timer_put_off(&slow.timer, record.loop, 1); /* starts one that does not run */
    while (record.count == 2) dr_loop_run_once(record.loop, 1);
    dr_loop_free(record.loop);
}

static void test_a_timer_of_0_ms_started_by_itself_waits_for_the_next_turn(void **state) {
    (void)state;
    struct record record;
    record_open(&record);
    struct mark mark;
    mark_init(&mark, &record, 1);
    mark.again = 20;
    dr_timer_start(&mark.timer, record.loop, 0);
    dr_loop_run_once(record.loop, 0);
    assert_true(record.count <= 2); /* libuv runs timers at both ends of a single turn */
    dr_loop_run(record.loop);
    assert_int_equal(record.count, 21);
    dr_loop_free(record.loop);
}

static void test_a_timer_stopped_by_one_that_fires_in_the_same_turn_stays_silent(void **state) {
    (void)state;
    struct record record;
    record_open(&record);
    struct mark first;
    struct mark second;
    mark_init(&first, &record, 1);
    mark_init(&second, &record, 2);
    first.stops = &second;
    dr_timer_start(&first.timer, record.loop, 3);
    dr_timer_start(&second.timer, record.loop, 3);
    dr_loop_run(record.loop);
    assert_int_equal(record.count, 1);
    dr_loop_free(record.loop);
}

static void test_a_stopped_timer_does_not_keep_the_loop_running(void **state) {
    (void)state;
    struct record record;
    record_open(&record);
    struct mark mark;
    mark_init(&mark, &record, 1);
    dr_timer_start(&mark.timer, record.loop, 3600 * 1000);
    dr_timer_stop(&mark.timer);
    dr_timer_stop(&mark.timer);
    dr_loop_run(record.loop);
    assert_int_equal(record.count, 0);
    struct dr_timer zeroed = {.loop = NULL};
    dr_timer_stop(&zeroed);
    dr_loop_free(record.loop);
}

static void test_deferred_calls_run_in_order_once_and_from_each_other(void **state) {
    (void)state;
    struct record record;
    record_open(&record);
    struct mark marks[3];
    for (int i = 0; i < 3; i++) mark_init(&marks[i], &record, i);
    marks[0].again = 2;
    for (int i = 0; i < 3; i++) dr_deferred_queue(&marks[i].deferred, record.loop);
    dr_deferred_queue(&marks[0].deferred, record.loop);
    dr_deferred_cancel(&marks[1].deferred);
    dr_deferred_cancel(&marks[1].deferred);
    dr_loop_run(record.loop);
    static const int expected[] = {0, 2, 0, 0};
    assert_int_equal(record.count, 4);
    assert_memory_equal(record.marks, expected, sizeof(expected));
    dr_loop_free(record.loop);
}

static void test_endless_deferred_calls_do_not_starve_timers(void **state) {
    (void)state;
    struct record record;
    record_open(&record);
    struct mark endless;
    struct mark timer;
    mark_init(&endless, &record, 1);
    mark_init(&timer, &record, 2);
    endless.again = 1 << 30;
    dr_deferred_queue(&endless.deferred, record.loop);
    dr_timer_start(&timer.timer, record.loop, 2);
    for (int i = 0; i < 1000000 && dr_timer_is_running(&timer.timer); i++) {
        dr_loop_run_once(record.loop, 100);
    }
    assert_false(dr_timer_is_running(&timer.timer));
    dr_deferred_cancel(&endless.deferred);
    dr_loop_run(record.loop);
    dr_loop_free(record.loop);
}

static void test_gathered_calls_run_together_about_100_us_later(void **state) {
    (void)state;
    struct record record;
    record_open(&record);
    struct mark marks[3];
    for (int round = 0; round < 3; round++) {
        record.count = 0;
        const dr_instant start = dr_instant_now();
        for (int i = 0; i < 3; i++) {
            mark_init(&marks[i], &record, i);
            dr_loop_gather(record.loop, &marks[i].deferred);
        }
        dr_loop_gather(record.loop, &marks[0].deferred);
        dr_deferred_cancel(&marks[1].deferred);
        dr_loop_run(record.loop);
        assert_int_equal(record.count, 2);
        assert_int_equal(record.marks[0], 0);
        assert_int_equal(record.marks[1], 2);
        assert_true(dr_instant_us_since(dr_instant_now(), start) >= 100);
    }
    dr_loop_free(record.loop);
}

struct clock_asker {
    struct dr_loop *loop;
    dr_instant seen[2];
    dr_wall wall;
};

static void clock_asked(void *owner) {
    struct clock_asker *asker = owner;
    asker->seen[0] = dr_loop_now(asker->loop);
    while (dr_instant_us_since(dr_instant_now(), asker->seen[0]) < 200) {
    }
    asker->seen[1] = dr_loop_now(asker->loop);
    asker->wall = dr_loop_wall(asker->loop);
}

static void test_the_clock_stands_within_a_turn_and_is_fresh_after_a_wait(void **state) {
    (void)state;
    struct clock_asker asker = {.loop = NULL};
    assert_int_equal(dr_loop_new(&asker.loop, NULL), DR_OK);
    struct dr_timer timer;
    dr_timer_init(&timer, &asker, clock_asked);
    dr_timer_start(&timer, asker.loop, 20);
    const dr_instant due = timer.due;
    dr_loop_run(asker.loop);
    assert_true(asker.seen[0].us >= due.us);
    assert_int_equal(asker.seen[0].us, asker.seen[1].us);
    const int64_t off_ms = dr_wall_now().ms - asker.wall.ms;
    assert_true(off_ms >= -5 && off_ms < 2000);
    const struct dr_loop_stats stats = dr_loop_take_stats(asker.loop);
    assert_true(stats.turns > 0 && stats.busy_us_max >= 200 && stats.busy_us >= 200);
    assert_int_equal(dr_loop_take_stats(asker.loop).busy_us_max, 0);
    dr_loop_free(asker.loop);
}

static void loop_stopped(void *owner) {
    dr_loop_stop(owner);
}

static void test_stop_ends_the_run_although_something_waits(void **state) {
    (void)state;
    struct record record;
    record_open(&record);
    struct mark mark;
    mark_init(&mark, &record, 1);
    struct dr_timer stop;
    dr_timer_init(&stop, record.loop, loop_stopped);
    dr_timer_start(&mark.timer, record.loop, 3600 * 1000);
    dr_timer_start(&stop, record.loop, 1);
    dr_loop_run(record.loop);
    assert_int_equal(record.count, 0);
    dr_timer_stop(&mark.timer);
    dr_loop_free(record.loop);
}

static void test_a_bounded_turn_ends_although_its_time_was_over_before_the_wait(void **state) {
    (void)state;
    struct record record;
    struct mark mark;
    record_open(&record);
    mark_init(&mark, &record, 1);
    dr_timer_start(&mark.timer, record.loop, 3600 * 1000);
    (void)alarm(20); /* instead of an hour */
    clock_leap_ms = 5;
    for (int turn = 0; turn < 3; turn++) dr_loop_run_once(record.loop, 1);
    clock_leap_ms = 0;
    (void)alarm(0);
    assert_int_equal(record.count, 0);
    dr_timer_stop(&mark.timer);
    dr_loop_free(record.loop);
}

static void test_no_memory_is_reported_and_nothing_leaks(void **state) {
    (void)state;
    struct dr_loop *loop = NULL;
    struct dr_error error;
    enum dr_status status = DR_NO_MEMORY;
    for (uint64_t nth = 1; status != DR_OK; nth++) {
        dr_alloc_fail_at(nth);
        status = dr_loop_new(&loop, &error);
        dr_alloc_fail_at(0);
        assert_true(status == DR_OK || status == DR_NO_MEMORY);
    }
    dr_loop_free(loop);
    dr_loop_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers_fire_in_order_of_due_time_whatever_their_class),
        cmocka_unit_test(test_timers_beyond_64_durations_keep_their_order),
        cmocka_unit_test(test_a_restarted_timer_fires_once_at_its_new_time),
        cmocka_unit_test(test_a_timer_that_was_put_off_fires_once_and_at_most_a_sixteenth_late),
        cmocka_unit_test(test_a_timer_of_0_ms_started_by_itself_waits_for_the_next_turn),
        cmocka_unit_test(test_a_timer_stopped_by_one_that_fires_in_the_same_turn_stays_silent),
        cmocka_unit_test(test_a_stopped_timer_does_not_keep_the_loop_running),
        cmocka_unit_test(test_deferred_calls_run_in_order_once_and_from_each_other),
        cmocka_unit_test(test_endless_deferred_calls_do_not_starve_timers),
        cmocka_unit_test(test_gathered_calls_run_together_about_100_us_later),
        cmocka_unit_test(test_the_clock_stands_within_a_turn_and_is_fresh_after_a_wait),
        cmocka_unit_test(test_stop_ends_the_run_although_something_waits),
        cmocka_unit_test(test_a_bounded_turn_ends_although_its_time_was_over_before_the_wait),
        cmocka_unit_test(test_no_memory_is_reported_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
