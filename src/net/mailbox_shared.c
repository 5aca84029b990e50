/* Many senders, one receiver: a lock-free stack that the receiver takes whole and turns round, and
 * libuv's async handle to wake it. A sender wakes the receiver only when it found the stack empty.
 * Must not allocate or wait in dr_mailbox_post. */
#include "net/mailbox.h"

#include "base/alloc.h"

#include <uv.h>

#include <sched.h>
#include <stdatomic.h>

struct dr_mailbox {
    uv_async_t async;
    _Atomic(struct dr_message *) newest;
    /* Senders inside dr_mailbox_post: one of them may still hold the handle when its message, taken
     * along by an earlier wake-up, has made the receiver close the mailbox. */
    atomic_uint senders;
};

static void messages_run(struct dr_mailbox *mailbox) {
    struct dr_message *message =
        atomic_exchange_explicit(&mailbox->newest, NULL, memory_order_acquire);
    struct dr_message *oldest = NULL;
    while (message) {
        struct dr_message *next = message->next;
        message->next = oldest;
        oldest = message;
        message = next;
    }
    while (oldest) {
        struct dr_message *next = oldest->next; /* `run` may free or post the message again */
        oldest->run(oldest);
        oldest = next;
    }
}

static void woken(uv_async_t *async) {
    messages_run(async->data);
}

enum dr_status dr_mailbox_open(struct dr_loop *loop, struct dr_mailbox **ret_mailbox,
                               struct dr_error *error) {
    struct dr_mailbox *mailbox = dr_alloc_zero(1, sizeof(*mailbox));
    if (!mailbox) return dr_fail(error, DR_NO_MEMORY, 0, "no memory for a mailbox");
    atomic_init(&mailbox->newest, NULL);
    atomic_init(&mailbox->senders, 0);
    const int code = uv_async_init(dr_loop_uv(loop), &mailbox->async, woken);
    if (code) {
        dr_free(mailbox);
        return dr_fail(error, DR_IO, -code, "cannot open a mailbox: %s", uv_strerror(code));
    }
    mailbox->async.data = mailbox;
    *ret_mailbox = mailbox;
    return DR_OK;
}

void dr_mailbox_post(struct dr_mailbox *mailbox, struct dr_message *message) {
    atomic_fetch_add_explicit(&mailbox->senders, 1, memory_order_relaxed);
    struct dr_message *newest = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);
    do {
        message->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->newest, &newest, message,
                                                    memory_order_release, memory_order_relaxed));
    if (!newest) (void)uv_async_send(&mailbox->async);
    atomic_fetch_sub_explicit(&mailbox->senders, 1, memory_order_release);
}

static void mailbox_closed(uv_handle_t *handle) {
    dr_free(handle->data);
}

void dr_mailbox_close(struct dr_mailbox *mailbox) {
    if (!mailbox) return;
    /* A few instructions at most, unless the sender was put to sleep by the system just there. */
    while (atomic_load_explicit(&mailbox->senders, memory_order_acquire) != 0) (void)sched_yield();
    messages_run(mailbox);
    uv_close((uv_handle_t *)&mailbox->async, mailbox_closed);
}
