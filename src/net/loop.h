/* One event loop on libuv: time, timers, deferred calls. One thread each, except `dr_loop_stop` by
 * way of a mailbox. Nothing here knows of sockets. */
#ifndef DR_NET_LOOP_H
#define DR_NET_LOOP_H

#include "base/instant.h"
#include "base/list.h"
#include "base/status.h"

struct dr_loop;

/* Also makes the process ignore SIGPIPE unless it has a handler of its own: who writes to a pipe
 * that nobody reads, a log's say, gets an error. */
enum dr_status dr_loop_new(struct dr_loop **ret_loop, struct dr_error *error) DR_MUST_USE;
/* All handles opened on it must have been closed. Accepts NULL. */
void dr_loop_free(struct dr_loop *loop);
/* Runs until `dr_loop_stop`, or until nothing is left to wait for. */
void dr_loop_run(struct dr_loop *loop);
/* Runs what is ready, waiting at most `wait_ms`; for tests and shutdown. */
void dr_loop_run_once(struct dr_loop *loop, int64_t wait_ms);
void dr_loop_stop(struct dr_loop *loop);

/* Read once a turn, by the first who asks after the wait: free to call. */
dr_instant dr_loop_now(const struct dr_loop *loop);
/* UTC derived from the cached clock, corrected once a second. */
dr_wall dr_loop_wall(const struct dr_loop *loop);

/* A one-shot timer, embedded by its owner, zeroed or initialised before use. Timers of one duration
 * share a list, so starting and stopping cost a few instructions. Precision 1 ms. */
struct dr_timer {
    struct dr_list node;
    struct dr_loop *loop; /* NULL while not running */
    int64_t after_ms;
    dr_instant due;     /* by its place in its list */
    dr_instant put_off; /* the due time in truth; never before `due` */
    void (*fired)(void *owner);
    void *owner;
};
void dr_timer_init(struct dr_timer *timer, void *owner, void (*fired)(void *owner));
/* (Re)starts. `after_ms` 0 fires in the next turn. */
void dr_timer_start(struct dr_timer *timer, struct dr_loop *loop, int64_t after_ms);
/* The same for a wait that begins anew with each of many events: nothing but the timer itself is
 * touched most times, for which it may fire up to a sixteenth of `after_ms` late. */
void dr_timer_put_off(struct dr_timer *timer, struct dr_loop *loop, int64_t after_ms);
void dr_timer_stop(struct dr_timer *timer); /* harmless when not running */
static inline bool dr_timer_is_running(const struct dr_timer *timer) {
    return timer->loop != NULL;
}

/* A call at the end of the current turn, before the loop waits again; embedded by its owner, at
 * most once queued. This is where work that gathers (flushes, closing) is done. */
struct dr_deferred {
    struct dr_list node;
    void (*run)(void *owner);
    void *owner;
};
void dr_deferred_init(struct dr_deferred *deferred, void *owner, void (*run)(void *owner));
/* harmless when queued */
void dr_deferred_queue(struct dr_deferred *deferred, struct dr_loop *loop);
void dr_deferred_cancel(struct dr_deferred *deferred);

/* A burst's window. */
enum { DR_LOOP_GATHER_US = 100 };
/* Microsecond alarms for gathering bursts: all that wait are served by one timerfd, about
 * DR_LOOP_GATHER_US after the first was queued. Same embedding rule as `dr_deferred`. */
void dr_loop_gather(struct dr_loop *loop, struct dr_deferred *deferred);

/* The turn's read buffer, 64 KiB, shared by all streams of the loop. */
enum { DR_LOOP_READ_BYTES = 65536 };
char *dr_loop_read_buffer(struct dr_loop *loop);

/* How long the last turns took, for metrics: turns, and microseconds busy (not waiting). */
struct dr_loop_stats {
    uint64_t turns;
    uint64_t busy_us;
    uint64_t busy_us_max; /* longest turn since the last call of dr_loop_take_stats */
};
struct dr_loop_stats dr_loop_take_stats(struct dr_loop *loop);

/* Private part: the libuv loop, for the files of this folder only. */
struct uv_loop_s;
struct uv_loop_s *dr_loop_uv(struct dr_loop *loop);

#endif
