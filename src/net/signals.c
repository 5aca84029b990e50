/* Signals through libuv's self-pipe. Must not decide what a signal means. */
#include "net/signals.h"

#include "base/alloc.h"

#include <uv.h>

#include <signal.h>

enum { SIGNAL_COUNT = 3 };
static const int numbers[SIGNAL_COUNT] = {SIGHUP, SIGINT, SIGTERM};

struct dr_signals {
    uv_signal_t handles[SIGNAL_COUNT];
    size_t open_count;
    void (*received)(void *owner, int signal_number);
    void *owner;
};

static void signal_received(uv_signal_t *handle, int signal_number) {
    struct dr_signals *signals = handle->data;
    signals->received(signals->owner, signal_number);
}

static void signal_closed(uv_handle_t *handle) {
    struct dr_signals *signals = handle->data;
    if (--signals->open_count == 0) dr_free(signals);
}

enum dr_status dr_signals_open(struct dr_loop *loop,
                               void (*received)(void *owner, int signal_number), void *owner,
                               struct dr_signals **ret_signals, struct dr_error *error) {
    struct dr_signals *signals = dr_alloc_zero(1, sizeof *signals);
    if (!signals) return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    signals->received = received;
    signals->owner = owner;
    (void)signal(SIGPIPE, SIG_IGN); /* a vanished peer shows as a failed write */
    (void)signal(SIGXFSZ, SIG_IGN); /* and so does a file that has reached its limit */
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        int code = uv_signal_init(dr_loop_uv(loop), &signals->handles[i]);
        if (code == 0) {
            signals->handles[i].data = signals;
            signals->open_count++;
            code = uv_signal_start(&signals->handles[i], signal_received, numbers[i]);
        }
        if (code != 0) {
            if (signals->open_count == 0) {
                dr_free(signals);
            } else {
                dr_signals_close(signals);
            }
            return dr_fail(error, DR_IO, -code, "cannot watch signals: %s", uv_strerror(code));
        }
    }
    *ret_signals = signals;
    return DR_OK;
}

void dr_signals_close(struct dr_signals *signals) {
    const size_t count = signals->open_count;
    for (size_t i = 0; i < count; i++) {
        uv_close((uv_handle_t *)&signals->handles[i], signal_closed);
    }
}
