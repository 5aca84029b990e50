/* What a translation could not carry: refused, with the parameter's name and a sentence, or dropped
 * and noted for the response header `x-drover-dropped`. Allocates nothing. */
#ifndef DR_DIALECT_LOSS_H
#define DR_DIALECT_LOSS_H

#include "dialect/openai.h"

enum { LOSS_DROPPED_BYTES_MAX = 512, LOSS_NAME_BYTES_MAX = 64 };

/* Start it zeroed. */
struct loss {
    struct prompt_fault fault; /* of the first refusal */
    bool is_refused;
    /* Private part. */
    bool is_cut;
    size_t dropped_len;
    char dropped[LOSS_DROPPED_BYTES_MAX];
};

/* Notes the first refusal; always false, so that callers write `return loss_refuse(…)`. `format`
 * continues a sentence that begins with the parameter's name. */
bool loss_refuse(struct loss *loss, const char *param, const char *format, ...) DR_PRINTF(3, 4);
/* Notes that a parameter was left out or changed. Each name once; bytes that a header must not
 * hold become '?'. */
void loss_drop(struct loss *loss, dr_slice name);
/* The header's value: names separated by ", ", with "..." for those beyond the room. Empty when
 * nothing was dropped. Lent until the next drop. */
dr_slice loss_dropped(const struct loss *loss);

#endif
