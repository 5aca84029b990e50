/* One thread, one epoll, a handful of timers. Must not know what the sockets are for. */
#include "load_loop.h"

#include "base/alloc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_MAX = 256 };
#define SECOND_NS INT64_C(1000000000)

int64_t load_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

bool load_loop_init(struct load_loop *loop) {
    *loop = (struct load_loop){.epoll = epoll_create1(EPOLL_CLOEXEC),
                               .room = dr_alloc(LOAD_ROOM_BYTES)};
    /* Timers are to be late by what is measured, not by what the kernel gathers to save power. */
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    if (loop->epoll >= 0 && loop->room) return true;
    fprintf(stderr, "load: no event loop: %s\n", strerror(errno));
    load_loop_clear(loop);
    return false;
}

void load_loop_clear(struct load_loop *loop) {
    if (loop->epoll >= 0) (void)close(loop->epoll);
    loop->epoll = -1;
    dr_free(loop->room);
    loop->room = NULL;
}

void load_loop_add(struct load_loop *loop, struct load_timer *timer) {
    if (loop->timer_count == LOAD_TIMERS_MAX) return;
    loop->timers[loop->timer_count++] = timer;
}

bool load_loop_watch(struct load_loop *loop, struct load_socket *socket) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = socket};
    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, socket->fd, &event) == 0;
}

void load_socket_close(struct load_socket *socket) {
    if (socket->fd >= 0) (void)close(socket->fd);
    socket->fd = -1;
}

/* Fires what is due; returns when the next one will be. */
static int64_t fire_timers(struct load_loop *loop) {
    const int64_t now_ns = load_now_ns();
    int64_t next_ns = LOAD_NEVER;
    for (size_t i = 0; i < loop->timer_count; i++) {
        struct load_timer *timer = loop->timers[i];
        if (timer->due_ns <= now_ns) timer->fire(timer, now_ns);
    }
    /* A timer may have set another one. */
    for (size_t i = 0; i < loop->timer_count; i++) {
        if (loop->timers[i]->due_ns < next_ns) next_ns = loop->timers[i]->due_ns;
    }
    return next_ns;
}

void load_loop_run(struct load_loop *loop) {
    struct epoll_event events[EVENTS_MAX];
    while (!loop->is_stopped) {
        const int64_t next_ns = fire_timers(loop);
        if (loop->is_stopped) return;
        int64_t wait_ns = next_ns == LOAD_NEVER ? SECOND_NS : next_ns - load_now_ns();
        if (wait_ns < 0) wait_ns = 0;
        if (wait_ns > SECOND_NS) wait_ns = SECOND_NS;
        const struct timespec wait = {wait_ns / SECOND_NS, (long)(wait_ns % SECOND_NS)};
        const int count = epoll_pwait2(loop->epoll, events, EVENTS_MAX, &wait, NULL);
        for (int i = 0; i < count; i++) {
            struct load_socket *socket = events[i].data.ptr;
            if (socket->fd >= 0) socket->ready(socket, events[i].events);
        }
    }
}
