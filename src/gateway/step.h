/* The seven steps of the pipeline, in order. Each looks at the exchange, does its one thing, and
 * says how it went; none calls another. */
#ifndef DR_GATEWAY_STEP_H
#define DR_GATEWAY_STEP_H

struct exchange;

enum step_result {
    STEP_DONE,    /* go on with the next */
    STEP_WAIT,    /* a fact is missing; it will be stored and the pipeline run again */
    STEP_REFUSED, /* the outcome is decided: settle */
};

enum step_result authenticate(struct exchange *exchange); /* who asks */
enum step_result pace(struct exchange *exchange);         /* not too often */
enum step_result decode(struct exchange *exchange);       /* what is asked */
enum step_result admit(struct exchange *exchange);        /* may they: model, credit */
enum step_result route(struct exchange *exchange);        /* where to */
enum step_result relay(struct exchange *exchange);        /* carry it */
void settle(struct exchange *exchange);                   /* what it cost; always, once */

#endif
