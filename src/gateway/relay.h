/* What relay offers to the rest of the pipeline. */
#ifndef DR_GATEWAY_RELAY_H
#define DR_GATEWAY_RELAY_H

/* The timer of an exchange whose client has seen nothing for 15 s; `owner` is the exchange. */
void relay_wait_over(void *owner);

#endif
