/* The bytes of Anthropic's messages for what reply.c decided to say. Pure. */
#ifndef DR_SIM_MESSAGES_ANSWER_H
#define DR_SIM_MESSAGES_ANSWER_H

#include "sim/reply.h"

/* The functions of the same names in struct sim_dialect. */
void sim_messages_prepare(struct sim_reply *reply, const struct sim_reply_options *options,
                          dr_slice model);
void sim_messages_write(const struct sim_reply *reply, struct dr_buf *buf);
enum sim_event sim_messages_next(const struct sim_reply *reply);
void sim_messages_write_event(struct sim_reply *reply, struct dr_buf *buf);
void sim_messages_write_broken_event(struct sim_reply *reply, struct dr_buf *buf);

#endif
