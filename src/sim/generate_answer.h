/* The bytes of Gemini's generateContent for what reply.c decided to say. Pure. */
#ifndef DR_SIM_GENERATE_ANSWER_H
#define DR_SIM_GENERATE_ANSWER_H

#include "sim/reply.h"

/* The functions of the same names in struct sim_dialect. */
void sim_generate_prepare(struct sim_reply *reply, const struct sim_reply_options *options,
                          dr_slice model);
void sim_generate_write(const struct sim_reply *reply, struct dr_buf *buf);
enum sim_event sim_generate_next(const struct sim_reply *reply);
void sim_generate_write_event(struct sim_reply *reply, struct dr_buf *buf);
void sim_generate_write_broken_event(struct sim_reply *reply, struct dr_buf *buf);

#endif
