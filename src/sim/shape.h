/* Which members an object may have, and of which kinds: a table for each object of a strict
 * dialect. Pure. */
#ifndef DR_SIM_SHAPE_H
#define DR_SIM_SHAPE_H

#include "base/json.h"

/* A table of members and how many they are. */
#define SIM_MEMBERS(table) (table), sizeof(table) / sizeof((table)[0])

/* Kinds that a member may have, joined with |. Null stands for absence where SIM_NULL is given. */
enum {
    SIM_NULL = 1,
    SIM_BOOL = 2,
    SIM_NUMBER = 4,
    SIM_STRING = 8,
    SIM_ARRAY = 16,
    SIM_OBJECT = 32,
    SIM_ANY = 63,
    SIM_REQUIRED = 64,
};

struct sim_member {
    dr_slice name;
    unsigned kinds;
};

enum sim_misfit {
    SIM_MISFIT_NONE,
    SIM_MISFIT_UNKNOWN, /* a member that is not in the table */
    SIM_MISFIT_KIND,
    SIM_MISFIT_MISSING,
};

/* How members are spelled: as in the table, or also with underscores where the table has capitals
 * (`topP`, `top_p`), as JSON for protocol buffers is read. */
enum sim_spelling { SIM_SPELLING_EXACT, SIM_SPELLING_EITHER };

/* The first member of `object` (which is one) that does not fit, its name as it came and the kinds
 * it might have had. */
enum sim_misfit sim_shape_check(dr_json object, const struct sim_member *members, size_t count,
                                enum sim_spelling spelling, dr_slice *ret_name,
                                unsigned *ret_kinds);
/* "a string or an array": what the kinds are called. */
const char *sim_shape_kinds_text(unsigned kinds);
bool sim_shape_name_is(dr_slice name, dr_slice expected, enum sim_spelling spelling);
/* The member in either spelling; NULL where it is absent or null. */
dr_json sim_shape_member(dr_json object, dr_slice name);
/* Letters, digits, `_` and `-`, at least one and at most `len_max`. */
bool sim_shape_is_word(dr_slice text, size_t len_max);
/* Nothing but blanks and control characters. */
bool sim_shape_is_blank(dr_slice text);
/* Letters of base64 in either alphabet, with blanks nowhere and padding at the end alone. */
bool sim_shape_is_base64(dr_slice text);

#endif
