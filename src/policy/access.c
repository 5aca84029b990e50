/* Whether a known key may be used. Must not find keys, read a clock or word a refusal. */
#include "policy/access.h"

enum access_verdict access_check(const struct api_key *key, dr_slice model, dr_wall now) {
    /* Revocation holds whatever its date says: a clock that was set back must not revive a key. */
    if (key->revoked.ms != 0) return ACCESS_REVOKED;
    if (key->expires.ms != 0 && now.ms >= key->expires.ms) return ACCESS_EXPIRED;
    if (model.data && !api_key_allows(key, model)) return ACCESS_MODEL_NOT_ALLOWED;
    return ACCESS_GRANTED;
}
