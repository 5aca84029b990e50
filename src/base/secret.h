/* A secret text: wiped on clear, unprintable by type. */
#ifndef DR_BASE_SECRET_H
#define DR_BASE_SECRET_H

#include "base/slice.h"
#include "base/status.h"

struct dr_secret {
    /* Private part. */
    char *bytes;
    size_t len;
};

enum dr_status dr_secret_set(struct dr_secret *secret, dr_slice text) DR_MUST_USE; /* copies */
void dr_secret_clear(struct dr_secret *secret); /* wipes; accepts a zeroed one */
/* Lent until clear. Only for the wire and for comparison; never for a log. */
dr_slice dr_secret_reveal(const struct dr_secret *secret);
/* Constant time in the content. An empty or unset secret matches nothing, not even emptiness. */
bool dr_secret_is(const struct dr_secret *secret, dr_slice text);
/* Wipes any memory; not optimised away. */
void dr_wipe(void *bytes, size_t len);

#endif
