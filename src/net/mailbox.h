/* Messages into another thread's loop: many senders, one receiver, order kept per sender. */
#ifndef DR_NET_MAILBOX_H
#define DR_NET_MAILBOX_H

#include "base/status.h"
#include "net/loop.h"

/* Embedded by the sender's object, which belongs to the receiver from post until `run` is
 * called. */
struct dr_message {
    struct dr_message *next;
    void (*run)(struct dr_message *message); /* called on the receiver's thread */
};

struct dr_mailbox;

/* The receiver's thread opens, closes. Messages still queued at close are run
 * before. */
enum dr_status dr_mailbox_open(struct dr_loop *loop, struct dr_mailbox **ret_mailbox,
                               struct dr_error *error) DR_MUST_USE;
/* Frees itself on the loop's next turns. Nobody may post any more. */
void dr_mailbox_close(struct dr_mailbox *mailbox);
/* From any thread. Never blocks, allocates or fails. */
void dr_mailbox_post(struct dr_mailbox *mailbox, struct dr_message *message);

#endif
