/* The order of the steps: reads like the table of contents. */
#ifndef DR_GATEWAY_PIPELINE_H
#define DR_GATEWAY_PIPELINE_H

struct exchange;

/* Goes on from the exchange's stage as far as the facts allow. Called after each new fact. The
 * exchange is gone when it has settled: callers do not touch it afterwards unless they know
 * that it waits. */
void pipeline_run(struct exchange *exchange);

#endif
