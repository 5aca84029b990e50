/* The load generator's own event loop: it has to cost much less than what it measures, so that it
 * is bare epoll, each socket registered once and edge-triggered. */
#ifndef DR_BENCH_LOAD_LOOP_H
#define DR_BENCH_LOAD_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOAD_TIMERS_MAX = 8, LOAD_ROOM_BYTES = 256 * 1024 };
#define LOAD_NEVER INT64_MAX
/* The struct that `place` is the member of. */
#define LOAD_OWNER(place, type, member) ((type *)(void *)((char *)(place)-offsetof(type, member)))

struct load_socket {
    int fd; /* -1: closed */
    /* `events` as epoll(7) says. The socket may close itself within. */
    void (*ready)(struct load_socket *socket, uint32_t events);
};

struct load_timer {
    int64_t due_ns; /* LOAD_NEVER: rests; the owner sets it as it likes */
    void (*fire)(struct load_timer *timer, int64_t now_ns);
};

struct load_loop {
    int epoll;
    bool is_stopped;
    /* Bytes just read, good until the next read. */
    char *room;
    struct load_timer *timers[LOAD_TIMERS_MAX];
    size_t timer_count;
};

int64_t load_now_ns(void);

/* False, with the reason printed, when the system refuses. */
bool load_loop_init(struct load_loop *loop);
void load_loop_clear(struct load_loop *loop);
/* `timer` is kept as long as the loop. */
void load_loop_add(struct load_loop *loop, struct load_timer *timer);
/* `socket` is kept until it is closed. */
bool load_loop_watch(struct load_loop *loop, struct load_socket *socket);
/* Turns until `is_stopped`. */
void load_loop_run(struct load_loop *loop);

void load_socket_close(struct load_socket *socket);

#endif
