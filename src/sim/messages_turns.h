/* The conversation of Anthropic's POST /v1/messages: turns, blocks, and the rules between them.
 * Only for messages_ask.c. */
#ifndef DR_SIM_MESSAGES_TURNS_H
#define DR_SIM_MESSAGES_TURNS_H

#include "sim/ask.h"
#include "sim/shape.h"

/* The text of a member; DR_NONE where it is absent or no text. */
dr_slice sim_messages_text(dr_json object, const char *name);
/* Checks an object's members; `path` stands before their names, "tools.0.custom", or is empty. */
bool sim_messages_check(struct sim_reading *reading, dr_json object, const char *path,
                        const struct sim_member *members, size_t count);
/* A mark of the prompt's cache on something at `path`, where there is one. */
bool sim_messages_read_cache_mark(struct sim_reading *reading, dr_json object, const char *path);
/* `messages`. */
bool sim_messages_read_turns(struct sim_reading *reading);

#endif
