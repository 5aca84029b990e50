/* Writes a JSON value that fits a JSON Schema: arguments of tool calls, structured output. Pure. */
#ifndef DR_SIM_SCHEMA_SAMPLE_H
#define DR_SIM_SCHEMA_SAMPLE_H

#include "base/buf.h"
#include "base/json.h"

/* Understood: type (also a list of types, also in Gemini's capitals), properties, required, enum,
 * const, items, prefixItems, minItems, maxItems, minimum, maximum, their exclusive forms,
 * multipleOf, minLength, maxLength, the common formats, anyOf, oneOf, allOf, and $ref within the
 * schema. Not understood: pattern, not, if. Every property is filled in; from a depth of 4 on only
 * required ones, and nothing is nested deeper than 16. `schema` NULL, or one that states no type,
 * gives an object. The same seed gives the same value. */
void sim_schema_sample(struct dr_buf *buf, dr_json schema, uint64_t seed);

#endif
