/* The conversation of Anthropic's POST /v1/messages: turns, blocks, and the rules between them.
 * Only for messages_ask.c. */
#ifndef DR_SIM_MESSAGES_TURNS_H
#define DR_SIM_MESSAGES_TURNS_H

#include "sim/ask.h"
#include "sim/shape.h"

/* One reading of one request. */
struct sim_messages_reading {
    struct sim_ask *ask;
    struct sim_scratch *scratch;
    struct sim_complaint *complaint;
    dr_json root;
    bool thinks; /* `thinking` is enabled with a budget */
};

/* Writes the complaint; returns false so that checks end in one line. */
bool sim_messages_complain(struct sim_messages_reading *reading, const char *format, ...)
    DR_PRINTF(2, 3);
/* Checks an object's members; `path` stands before their names, "tools.0.custom", or is empty. */
bool sim_messages_check(struct sim_messages_reading *reading, dr_json object, const char *path,
                        const struct sim_member *members, size_t count);
/* A mark of the prompt's cache on something at `path`, where there is one. */
bool sim_messages_read_cache_mark(struct sim_messages_reading *reading, dr_json object,
                                  const char *path);
/* `messages`. */
bool sim_messages_read_turns(struct sim_messages_reading *reading);

#endif
