/* Private to anthropic_answer.c: deltas of text, thinking and arguments in the shape that Anthropic
 * writes, read without a tree. Pure. */
#ifndef DR_DIALECT_ANTHROPIC_DELTA_H
#define DR_DIALECT_ANTHROPIC_DELTA_H

#include "base/buf.h"
#include "dialect/anthropic.h"

enum anthropic_delta_kind {
    ANTHROPIC_DELTA_TEXT,
    ANTHROPIC_DELTA_THINKING,
    ANTHROPIC_DELTA_JSON,
};

struct anthropic_delta {
    enum anthropic_delta_kind kind;
    uint32_t sent_index; /* the block's number */
    dr_slice text;       /* lent by the payload, or by the scratch */
    bool is_plain;       /* as it would stand in any JSON string */
};

/* False, and nothing is read, when `payload` has another shape: a parser must judge it. The scratch
 * may have failed when it is true. */
bool anthropic_delta_read(struct anthropic_usual *usual, dr_slice payload, struct dr_buf *scratch,
                          struct anthropic_delta *ret_delta);

#endif
