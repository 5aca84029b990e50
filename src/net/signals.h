/* Process signals as events of one loop: SIGHUP, SIGINT, SIGTERM. SIGPIPE is ignored from the
 * first open on. */
#ifndef DR_NET_SIGNALS_H
#define DR_NET_SIGNALS_H

#include "base/status.h"
#include "net/loop.h"

struct dr_signals;

/* `received` is called on the loop's thread with the signal's number. One per process. */
enum dr_status dr_signals_open(struct dr_loop *loop,
                               void (*received)(void *owner, int signal_number), void *owner,
                               struct dr_signals **ret_signals, struct dr_error *error) DR_MUST_USE;
/* Frees itself in the loop's next turns. */
void dr_signals_close(struct dr_signals *signals);

#endif
