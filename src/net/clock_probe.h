/* For the tests of this folder: a clock that leaps. Defined here, the C library's is not used, by
 * libuv neither. One inclusion per program. */
#ifndef DR_NET_CLOCK_PROBE_H
#define DR_NET_CLOCK_PROBE_H

#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* While it is set, so much time passes between any two looks at the monotonic clocks, as it does to
 * a thread that is not run in between. */
static int64_t clock_leap_ms;

int clock_gettime(clockid_t clock_id, struct timespec *tp) {
    static int64_t leapt_ms;
    const int code = (int)syscall(SYS_clock_gettime, clock_id, tp);
    if (clock_id == CLOCK_REALTIME) return code;
    leapt_ms += clock_leap_ms;
    const int64_t ns = (int64_t)tp->tv_nsec + leapt_ms % 1000 * 1000000;
    tp->tv_sec += leapt_ms / 1000 + ns / 1000000000;
    tp->tv_nsec = ns % 1000000000;
    return code;
}

#endif
