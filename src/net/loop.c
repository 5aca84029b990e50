/* The event loop: libuv's, with time, timers, deferred calls and gathering laid over it so that
 * none of them costs a system call in the steady state, and with the streams' sockets in an epoll
 * set of their own, which libuv sees as one descriptor (ADR 0018). Must not know of protocols.
 *
 * A turn of libuv and where we hang in:
 *   timers (`timer_fired`) → idle → prepare (`turn_ends`) → poll, with all I/O callbacks → check
 *   (`poll_ended`) → close callbacks → …
 * libuv calls I/O callbacks from within its poll, before any check handle. The clock is therefore
 * marked stale before the poll and read by whoever asks first after it: once a turn. */
#include "net/loop.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "net/loop_private.h"

#include <uv.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    TIMER_CLASSES_MAX = 64,   /* distinct durations with a list of their own */
    TIMER_HINTS = 256,        /* remembers the class of a duration, direct mapped */
    DEFERRED_ROUNDS_MAX = 32, /* before the loop looks at its sockets again */
    PUT_OFF_PARTS = 16,
    SCRATCH_KEPT_BYTES = 256 * 1024,
    WATCH_EVENTS = 256, /* taken at once; what is beyond comes in the next turn */
};

struct clock {
    dr_instant now;
    bool is_stale;
    dr_instant wall_taken;
    dr_wall wall;
};

struct timer_class {
    int64_t after_ms;
    struct dr_list timers; /* of equal duration, hence in order of their due time */
};

struct dr_loop {
    uv_loop_t uv;
    struct clock *clock; /* apart, so that asking a const loop may refresh it */

    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t hurry; /* keeps the next poll from waiting while calls are left */
    struct dr_list deferred;
    struct dr_list others_first; /* deferred calls */

    int watch_set; /* epoll */
    uv_poll_t watch_poll;
    size_t watch_count;

    uv_timer_t timer;
    /* when `timer` fires; INT64_MAX: not armed; INT64_MIN: being served */
    int64_t armed_us;
    size_t timers_running;
    uint32_t class_count;
    struct timer_class classes[TIMER_CLASSES_MAX];
    struct dr_list sorted; /* timers of further durations, by due time */
    uint8_t hints[TIMER_HINTS];

    int gather_fd; /* -1 until first used */
    uv_poll_t gather_poll;
    struct dr_list gathering;

    uv_timer_t bound; /* of dr_loop_run_once */
    bool is_stopped;
    char *read_buffer;
    char *plain_buffer; /* NULL until first used */
    struct dr_outbox *outbox;
    struct dr_buf scratch;
    struct dr_loop_stats stats;
};

/* ---- time */

static void clock_read(struct clock *clock) {
    clock->now = dr_instant_now();
    clock->is_stale = false;
}

dr_instant dr_loop_now(const struct dr_loop *loop) {
    struct clock *clock = loop->clock;
    if (clock->is_stale) clock_read(clock);
    return clock->now;
}

dr_wall dr_loop_wall(const struct dr_loop *loop) {
    struct clock *clock = loop->clock;
    const dr_instant now = dr_loop_now(loop);
    int64_t passed_us = dr_instant_us_since(now, clock->wall_taken);
    if (passed_us >= 1000000) {
        clock->wall = dr_wall_now();
        clock->wall_taken = now;
        passed_us = 0;
    }
    return (dr_wall){clock->wall.ms + passed_us / 1000};
}

/* ---- deferred calls */

static bool is_queued(const struct dr_list *node) {
    return node->next && node->next != node;
}

void dr_deferred_init(struct dr_deferred *deferred, void *owner, void (*run)(void *owner)) {
    dr_list_init(&deferred->node);
    deferred->owner = owner;
    deferred->run = run;
}

void dr_deferred_queue(struct dr_deferred *deferred, struct dr_loop *loop) {
    dr_assert(deferred->run);
    if (!is_queued(&deferred->node)) dr_list_put_last(&loop->deferred, &deferred->node);
}

void dr_deferred_cancel(struct dr_deferred *deferred) {
    if (is_queued(&deferred->node)) dr_list_remove(&deferred->node);
}

/* Moves all of `from` to the empty `to`, so that what is queued meanwhile waits for the next
 * round. */
static void list_move(struct dr_list *from, struct dr_list *to) {
    dr_list_init(to);
    if (dr_list_is_empty(from)) return;
    *to = *from;
    to->next->prev = to;
    to->prev->next = to;
    dr_list_init(from);
}

static void round_run(struct dr_list *queue) {
    struct dr_list round;
    list_move(queue, &round);
    while (!dr_list_is_empty(&round)) {
        struct dr_deferred *deferred = dr_list_item(round.next, struct dr_deferred, node);
        dr_list_remove(&deferred->node);
        deferred->run(deferred->owner);
    }
}

/* Comes before the poll, which does not wait while the handle is active. */
static void hurried(uv_idle_t *idle) {
    const struct dr_loop *loop = idle->data;
    const bool is_done = dr_list_is_empty(&loop->deferred) && dr_list_is_empty(&loop->others_first);
    if (is_done) (void)uv_idle_stop(idle);
}

static void deferred_run(struct dr_loop *loop) {
    for (int round = 0; round < DEFERRED_ROUNDS_MAX; round++) {
        if (dr_list_is_empty(&loop->deferred)) return;
        round_run(&loop->deferred);
    }
    if (!dr_list_is_empty(&loop->deferred)) (void)uv_idle_start(&loop->hurry, hurried);
}

/* ---- the turn */

/* What was written in the turn leaves when nothing else is to be done in it. Failures of that are
 * told by deferred calls, which may write again. */
static void turn_finish(struct dr_loop *loop) {
    deferred_run(loop);
    for (int round = 0; round < DEFERRED_ROUNDS_MAX; round++) {
        if (loop->outbox->piece_count == 0) return;
        loop->outbox->send(loop->outbox);
        deferred_run(loop);
    }
    if (loop->outbox->piece_count > 0) (void)uv_idle_start(&loop->hurry, hurried);
}

static void turn_ends(uv_prepare_t *prepare) {
    struct dr_loop *loop = prepare->data;
    turn_finish(loop);
    const int64_t busy_us = dr_instant_us_since(dr_instant_now(), dr_loop_now(loop));
    loop->stats.turns++;
    if (busy_us > 0) loop->stats.busy_us += (uint64_t)busy_us;
    if (busy_us > 0 && (uint64_t)busy_us > loop->stats.busy_us_max) {
        loop->stats.busy_us_max = (uint64_t)busy_us;
    }
    loop->clock->is_stale = true;
}

static void poll_ended(uv_check_t *check) {
    struct dr_loop *loop = check->data;
    (void)dr_loop_now(loop); /* so that a turn without questions has a start too */
    round_run(&loop->others_first);
    deferred_run(loop);
}

void dr_loop_take_turns(struct dr_loop *loop, struct dr_deferred *deferred) {
    dr_assert(deferred->run);
    if (is_queued(&deferred->node)) return;
    dr_list_put_last(&loop->others_first, &deferred->node);
    (void)uv_idle_start(&loop->hurry, hurried);
}

struct dr_loop_stats dr_loop_take_stats(struct dr_loop *loop) {
    const struct dr_loop_stats stats = loop->stats;
    loop->stats.busy_us_max = 0;
    return stats;
}

/* ---- sockets of streams */

static void watches_ready(uv_poll_t *poll, int status, int events) {
    struct dr_loop *loop = poll->data;
    struct epoll_event ready[WATCH_EVENTS];
    (void)status;
    (void)events;
    const int count = epoll_wait(loop->watch_set, ready, WATCH_EVENTS, 0);
    for (int i = 0; i < count; i++) {
        struct dr_watch *watch = ready[i].data.ptr;
        /* of thousands none is in a cache any more */
        if (i + 1 < count) __builtin_prefetch(ready[i + 1].data.ptr);
        watch->ready(watch->owner, ready[i].events);
    }
}

static int watch_control(struct dr_watch *watch, struct dr_loop *loop, int verb, uint32_t events) {
    struct epoll_event event = {.events = events | EPOLLET, .data.ptr = watch};
    return epoll_ctl(loop->watch_set, verb, watch->fd, &event) ? errno : 0;
}

int dr_watch_start(struct dr_watch *watch, struct dr_loop *loop, uint32_t events) {
    const int code = watch_control(watch, loop, EPOLL_CTL_ADD, events);
    if (code) return code;
    if (loop->watch_count++ == 0) uv_ref((uv_handle_t *)&loop->watch_poll);
    return 0;
}

void dr_watch_change(struct dr_watch *watch, struct dr_loop *loop, uint32_t events) {
    (void)watch_control(watch, loop, EPOLL_CTL_MOD, events); /* of what is there it never fails */
}

void dr_watch_stop(struct dr_watch *watch, struct dr_loop *loop) {
    (void)watch_control(watch, loop, EPOLL_CTL_DEL, 0);
    dr_assert(loop->watch_count > 0);
    if (--loop->watch_count == 0) uv_unref((uv_handle_t *)&loop->watch_poll);
}

/* ---- timers */

static void timer_fired(uv_timer_t *handle);

/* libuv counts in whole milliseconds of the same clock; rounding up keeps us from firing early. */
static void timer_arm(struct dr_loop *loop, int64_t due_us) {
    if (due_us >= loop->armed_us) return;
    const int64_t due_ms = (due_us + 999) / 1000;
    const int64_t now_ms = (int64_t)uv_now(&loop->uv);
    loop->armed_us = due_us;
    (void)uv_timer_start(&loop->timer, timer_fired,
                         due_ms > now_ms ? (uint64_t)(due_ms - now_ms) : 0, 0);
}

/* The list for a duration, or NULL when all are taken by other durations with timers running. */
static struct timer_class *timer_class_find(struct dr_loop *loop, int64_t after_ms) {
    uint8_t *hint = &loop->hints[((uint64_t)after_ms * 0x9e3779b97f4a7c15U) >> 56];
    if (*hint < loop->class_count && loop->classes[*hint].after_ms == after_ms) {
        return &loop->classes[*hint];
    }
    struct timer_class *unused = NULL;
    for (uint32_t i = 0; i < loop->class_count; i++) {
        struct timer_class *class = &loop->classes[i];
        if (class->after_ms == after_ms) {
            *hint = (uint8_t)i;
            return class;
        }
        if (!unused && dr_list_is_empty(&class->timers)) unused = class;
    }
    if (loop->class_count < TIMER_CLASSES_MAX) {
        unused = &loop->classes[loop->class_count++];
        dr_list_init(&unused->timers);
    }
    if (!unused) return NULL;
    unused->after_ms = after_ms;
    *hint = (uint8_t)(unused - loop->classes);
    return unused;
}

static struct dr_timer *timer_of(struct dr_list *node) {
    return dr_list_item(node, struct dr_timer, node);
}

void dr_timer_init(struct dr_timer *timer, void *owner, void (*fired)(void *owner)) {
    *timer = (struct dr_timer){.fired = fired, .owner = owner};
    dr_list_init(&timer->node);
}

void dr_timer_start(struct dr_timer *timer, struct dr_loop *loop, int64_t after_ms) {
    dr_assert(timer->fired);
    dr_timer_stop(timer);
    if (after_ms < 0) after_ms = 0;
    if (after_ms > INT64_MAX / 4000) after_ms = INT64_MAX / 4000; /* some 70,000 years */
    timer->due = dr_instant_after_ms(dr_loop_now(loop), after_ms);
    timer->put_off = timer->due;
    timer->after_ms = after_ms;
    timer->loop = loop;
    struct timer_class *class = timer_class_find(loop, after_ms);
    if (class) {
        dr_list_put_last(&class->timers, &timer->node);
    } else {
        struct dr_list *before = loop->sorted.prev;
        while (before != &loop->sorted && timer_of(before)->due.us > timer->due.us) {
            before = before->prev;
        }
        dr_list_put_first(before, &timer->node);
    }
    if (loop->timers_running++ == 0) uv_ref((uv_handle_t *)&loop->timer);
    timer_arm(loop, timer->due.us);
}

/* Its place in the list is kept as long as what it will have been put off by then is little. */
void dr_timer_put_off(struct dr_timer *timer, struct dr_loop *loop, int64_t after_ms) {
    if (timer->loop == loop && timer->after_ms == after_ms) {
        const dr_instant due = dr_instant_after_ms(dr_loop_now(loop), after_ms);
        if (dr_instant_us_since(due, timer->due) <= after_ms * 1000 / PUT_OFF_PARTS) {
            timer->put_off = due;
            return;
        }
    }
    dr_timer_start(timer, loop, after_ms);
}

/* libuv's timer is left where it is: firing once for nothing is cheaper than moving it each
 * time. */
void dr_timer_stop(struct dr_timer *timer) {
    struct dr_loop *loop = timer->loop;
    if (!loop) return;
    dr_list_remove(&timer->node);
    timer->loop = NULL;
    dr_assert(loop->timers_running > 0);
    if (--loop->timers_running == 0) uv_unref((uv_handle_t *)&loop->timer);
}

/* The timer that is due first of all; NULL when none runs. */
static struct dr_timer *timer_first(struct dr_loop *loop) {
    struct dr_timer *first = NULL;
    if (!dr_list_is_empty(&loop->sorted)) first = timer_of(loop->sorted.next);
    for (uint32_t i = 0; i < loop->class_count; i++) {
        struct dr_list *timers = &loop->classes[i].timers;
        if (dr_list_is_empty(timers)) continue;
        struct dr_timer *timer = timer_of(timers->next);
        if (!first || timer->due.us < first->due.us) first = timer;
    }
    return first;
}

/* What is due is taken aside first, so that a timer started by a callback waits for its own
 * turn. */
static void timer_fired(uv_timer_t *handle) {
    struct dr_loop *loop = handle->data;
    clock_read(loop->clock);
    loop->armed_us = INT64_MIN;
    const int64_t now_us = loop->clock->now.us;
    struct dr_list due;
    dr_list_init(&due);
    struct dr_timer *timer = timer_first(loop);
    while (timer && timer->due.us <= now_us) {
        dr_list_remove(&timer->node);
        dr_list_put_last(&due, &timer->node);
        timer = timer_first(loop);
    }
    while (!dr_list_is_empty(&due)) {
        timer = timer_of(due.next);
        if (timer->put_off.us > now_us) {
            /* One duration for all that is left, so that these share a list too. */
            dr_timer_start(timer, loop, (timer->after_ms + PUT_OFF_PARTS - 1) / PUT_OFF_PARTS);
            continue;
        }
        dr_timer_stop(timer);
        timer->fired(timer->owner);
    }
    loop->armed_us = INT64_MAX;
    timer = timer_first(loop);
    if (timer) timer_arm(loop, timer->due.us);
}

/* ---- gathering */

static void gathered(uv_poll_t *poll, int status, int events) {
    struct dr_loop *loop = poll->data;
    (void)status;
    (void)events;
    uint64_t expirations;
    if (read(loop->gather_fd, &expirations, sizeof(expirations)) < 0) return;
    uv_unref((uv_handle_t *)poll);
    round_run(&loop->gathering);
}

static bool gather_open(struct dr_loop *loop) {
    const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd < 0) return false;
    if (uv_poll_init(&loop->uv, &loop->gather_poll, fd)) {
        (void)close(fd);
        return false;
    }
    loop->gather_poll.data = loop;
    loop->gather_fd = fd;
    (void)uv_poll_start(&loop->gather_poll, UV_READABLE, gathered);
    uv_unref((uv_handle_t *)&loop->gather_poll);
    return true;
}

void dr_loop_gather(struct dr_loop *loop, struct dr_deferred *deferred) {
    dr_assert(deferred->run);
    if (is_queued(&deferred->node)) return;
    if (loop->gather_fd < 0 && !gather_open(loop)) {
        dr_deferred_queue(deferred, loop); /* without a descriptor nothing gathers, all works */
        return;
    }
    if (dr_list_is_empty(&loop->gathering)) {
        const struct itimerspec after = {.it_value.tv_nsec = DR_LOOP_GATHER_US * 1000L};
        (void)timerfd_settime(loop->gather_fd, 0, &after, NULL);
        uv_ref((uv_handle_t *)&loop->gather_poll);
    }
    dr_list_put_last(&loop->gathering, &deferred->node);
}

/* ---- shared buffers */

char *dr_loop_read_buffer(struct dr_loop *loop) {
    (void)dr_loop_now(loop); /* a read is the first thing after most polls */
    return loop->read_buffer;
}

struct dr_outbox *dr_loop_outbox(struct dr_loop *loop) {
    return loop->outbox;
}

char *dr_loop_plain_buffer(struct dr_loop *loop) {
    if (!loop->plain_buffer) loop->plain_buffer = dr_alloc(DR_LOOP_READ_BYTES);
    return loop->plain_buffer;
}

struct dr_buf *dr_loop_scratch(struct dr_loop *loop) {
    dr_assert(loop->scratch.len == 0);
    return &loop->scratch;
}

void dr_loop_scratch_done(struct dr_loop *loop) {
    if (loop->scratch.capacity > SCRATCH_KEPT_BYTES) {
        dr_buf_clear(&loop->scratch);
    } else {
        dr_buf_reset(&loop->scratch);
    }
}

/* ---- life */

struct uv_loop_s *dr_loop_uv(struct dr_loop *loop) {
    return &loop->uv;
}

static void own_handles_init(struct dr_loop *loop) {
    uv_loop_t *uv = &loop->uv;
    uv->data = loop;
    (void)uv_prepare_init(uv, &loop->prepare); /* these never fail */
    (void)uv_check_init(uv, &loop->check);
    (void)uv_idle_init(uv, &loop->hurry);
    (void)uv_timer_init(uv, &loop->timer);
    (void)uv_timer_init(uv, &loop->bound);
    loop->prepare.data = loop;
    loop->check.data = loop;
    loop->hurry.data = loop;
    loop->timer.data = loop;
    (void)uv_prepare_start(&loop->prepare, turn_ends);
    (void)uv_check_start(&loop->check, poll_ended);
    uv_unref((uv_handle_t *)&loop->prepare);
    uv_unref((uv_handle_t *)&loop->check);
    uv_unref((uv_handle_t *)&loop->timer);
    uv_unref((uv_handle_t *)&loop->bound);
}

/* 0, or the errno. */
static int watch_set_open(struct dr_loop *loop) {
    loop->watch_set = epoll_create1(EPOLL_CLOEXEC);
    if (loop->watch_set < 0) return errno;
    const int code = uv_poll_init(&loop->uv, &loop->watch_poll, loop->watch_set);
    if (code) {
        (void)close(loop->watch_set);
        return -code;
    }
    loop->watch_poll.data = loop;
    (void)uv_poll_start(&loop->watch_poll, UV_READABLE, watches_ready);
    uv_unref((uv_handle_t *)&loop->watch_poll);
    return 0;
}

/* A handler of the program's own is left alone. */
static void sigpipe_ignore(void) {
    struct sigaction action;
    if (sigaction(SIGPIPE, NULL, &action)) return;
    if (action.sa_handler != SIG_DFL) return;
    action.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &action, NULL);
}

enum dr_status dr_loop_new(struct dr_loop **ret_loop, struct dr_error *error) {
    struct dr_loop *loop = dr_alloc_zero(1, sizeof(*loop));
    struct clock *clock = dr_alloc_zero(1, sizeof(*clock));
    char *read_buffer = dr_alloc(DR_LOOP_READ_BYTES);
    struct dr_outbox *outbox = dr_alloc(sizeof(*outbox));
    enum dr_status status = DR_OK;
    if (!loop || !clock || !read_buffer || !outbox) {
        status = dr_fail(error, DR_NO_MEMORY, 0, "no memory for an event loop");
        goto failed;
    }
    int code = uv_loop_init(&loop->uv);
    if (!code) {
        code = -watch_set_open(loop);
        if (code) (void)uv_loop_close(&loop->uv);
    }
    if (code) {
        status = dr_fail(error, DR_IO, -code, "cannot open an event loop: %s", uv_strerror(code));
        goto failed;
    }
    sigpipe_ignore();
    loop->clock = clock;
    loop->read_buffer = read_buffer;
    loop->outbox = outbox;
    outbox->send = NULL;
    outbox->len = 0;
    outbox->piece_count = 0;
    loop->gather_fd = -1;
    loop->armed_us = INT64_MAX;
    dr_list_init(&loop->deferred);
    dr_list_init(&loop->others_first);
    dr_list_init(&loop->sorted);
    dr_list_init(&loop->gathering);
    dr_buf_init(&loop->scratch, SIZE_MAX / 2);
    own_handles_init(loop);
    clock_read(clock);
    clock->wall = dr_wall_now();
    clock->wall_taken = clock->now;
    *ret_loop = loop;
    return DR_OK;
failed:
    dr_free(loop);
    dr_free(clock);
    dr_free(read_buffer);
    dr_free(outbox);
    return status;
}

/* Deferred calls may be all that is left; libuv does not know of them. */
void dr_loop_run(struct dr_loop *loop) {
    loop->is_stopped = false;
    loop->clock->is_stale = true;
    do {
        turn_finish(loop);
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    } while (!loop->is_stopped && !dr_list_is_empty(&loop->deferred));
}

static void bound_reached(uv_timer_t *timer) {
    (void)timer;
}

void dr_loop_run_once(struct dr_loop *loop, int64_t wait_ms) {
    loop->clock->is_stale = true;
    turn_finish(loop);
    if (wait_ms > 0) {
        uv_update_time(&loop->uv);
        /* Repeated, because it may come due before the poll, when this thread was not run for a
         * while: the poll would then wait without bound. */
        (void)uv_timer_start(&loop->bound, bound_reached, (uint64_t)wait_ms, (uint64_t)wait_ms);
        (void)uv_run(&loop->uv, UV_RUN_ONCE);
        (void)uv_timer_stop(&loop->bound);
    } else {
        (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
    }
    turn_finish(loop);
}

void dr_loop_stop(struct dr_loop *loop) {
    loop->is_stopped = true;
    uv_stop(&loop->uv);
}

void dr_loop_free(struct dr_loop *loop) {
    if (!loop) return;
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->check, NULL);
    uv_close((uv_handle_t *)&loop->hurry, NULL);
    uv_close((uv_handle_t *)&loop->timer, NULL);
    uv_close((uv_handle_t *)&loop->bound, NULL);
    uv_close((uv_handle_t *)&loop->watch_poll, NULL);
    if (loop->gather_fd >= 0) uv_close((uv_handle_t *)&loop->gather_poll, NULL);
    /* Objects that were closed need some turns to go. One that was not is a bug of its owner. */
    int code = UV_EBUSY;
    for (int turn = 0; turn < 1000 && code == UV_EBUSY; turn++) {
        turn_finish(loop);
        (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
        if (dr_list_is_empty(&loop->deferred)) code = uv_loop_close(&loop->uv);
    }
    dr_assert(code == 0);
    dr_assert(loop->timers_running == 0);
    dr_assert(loop->watch_count == 0);
    (void)close(loop->watch_set);
    if (loop->gather_fd >= 0) (void)close(loop->gather_fd);
    dr_buf_clear(&loop->scratch);
    dr_free(loop->plain_buffer);
    dr_free(loop->read_buffer);
    dr_free(loop->outbox);
    dr_free(loop->clock);
    dr_free(loop);
}
