/* The conversation of Gemini's generateContent: contents, parts, and the rules between them. Only
 * for generate_ask.c. */
#ifndef DR_SIM_GENERATE_TURNS_H
#define DR_SIM_GENERATE_TURNS_H

#include "sim/ask.h"
#include "sim/shape.h"

/* One reading of one request. */
struct sim_generate_reading {
    struct sim_ask *ask;
    struct sim_scratch *scratch;
    struct sim_complaint *complaint;
    dr_json root;
};

/* Writes the complaint; returns false so that checks end in one line. */
bool sim_generate_complain(struct sim_generate_reading *reading, const char *format, ...)
    DR_PRINTF(2, 3);
/* Checks an object's members; `path` names the object, "generation_config", or is empty. */
bool sim_generate_check(struct sim_generate_reading *reading, dr_json object, const char *path,
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
bool sim_generate_read_turns(struct sim_generate_reading *reading);

/* Whether the model is of a family from Gemini 3 on: its calls have ids and need signatures. */
bool sim_generate_is_third(dr_slice model);

#endif
