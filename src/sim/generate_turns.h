/* The conversation of Gemini's generateContent: contents, parts, and the rules between them. Only
 * for generate_ask.c. */
#ifndef DR_SIM_GENERATE_TURNS_H
#define DR_SIM_GENERATE_TURNS_H

#include "sim/ask.h"
#include "sim/shape.h"

/* The text of a member in either spelling; DR_NONE where it is absent or no text. */
dr_slice sim_generate_text(dr_json object, const char *name);
/* Checks an object's members; `path` names the object, "generation_config", or is empty. */
bool sim_generate_check(struct sim_reading *reading, dr_json object, const char *path,
                        const struct sim_member *members, size_t count);
/* A list, or the one thing that stands for a list of it. */
struct sim_generate_list {
    struct dr_json_iter iter;
    dr_json value; /* the present one */
    bool is_single;
};
void sim_generate_list_init(struct sim_generate_list *list, dr_json value);
bool sim_generate_list_next(struct sim_generate_list *list);

/* `contents` and `systemInstruction`. */
bool sim_generate_read_turns(struct sim_reading *reading);

/* Whether the model is of a family from Gemini 3 on: its calls have ids and need signatures. */
bool sim_generate_is_third(dr_slice model);

#endif
