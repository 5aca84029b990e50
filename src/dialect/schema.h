/* Private to the dialects: JSON Schemas as other providers take them. */
#ifndef DR_DIALECT_SCHEMA_H
#define DR_DIALECT_SCHEMA_H

#include "base/json.h"

enum schema_flavour {
    SCHEMA_ANTHROPIC, /* what `output_config.format` takes; for schemas that are not open */
    SCHEMA_GEMINI,    /* what `responseJsonSchema` takes */
};

/* Whether an object somewhere in it may have members that it does not name: what Anthropic, which
 * wants each object closed, has no words for. */
bool schema_is_open(dr_json schema);
/* Writes `schema` without the keywords that the provider refuses. True when something that
 * restrains the answer was left out. */
bool schema_put(struct dr_buf *out, dr_json schema, enum schema_flavour flavour);

#endif
