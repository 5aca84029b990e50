/* Keeping and forgetting secrets. Must not print, log or compare in a time that tells anything. */
#include "base/secret.h"

#include "base/alloc.h"
#include "base/digest.h"

#include <string.h>

void dr_wipe(void *bytes, size_t len) {
    if (len > 0) explicit_bzero(bytes, len);
}

enum dr_status dr_secret_set(struct dr_secret *secret, dr_slice text) {
    char *bytes = dr_alloc(text.len);
    if (!bytes) return DR_NO_MEMORY;
    if (text.len > 0) memcpy(bytes, text.data, text.len);
    dr_secret_clear(secret);
    secret->bytes = bytes;
    secret->len = text.len;
    return DR_OK;
}

void dr_secret_clear(struct dr_secret *secret) {
    if (secret->bytes) dr_wipe(secret->bytes, secret->len);
    dr_free(secret->bytes);
    *secret = (struct dr_secret){.bytes = NULL};
}

dr_slice dr_secret_reveal(const struct dr_secret *secret) {
    return (dr_slice){secret->bytes, secret->len};
}

bool dr_secret_is(const struct dr_secret *secret, dr_slice text) {
    /* A secret nobody set must not be opened with an empty one. */
    if (secret->len == 0) return false;
    return dr_equal_constant_time(dr_secret_reveal(secret), text);
}
