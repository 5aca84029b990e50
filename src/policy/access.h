/* May this key use this model now. Pure. */
#ifndef DR_POLICY_ACCESS_H
#define DR_POLICY_ACCESS_H

#include "base/instant.h"
#include "model/account.h"

enum access_verdict { ACCESS_GRANTED, ACCESS_EXPIRED, ACCESS_REVOKED, ACCESS_MODEL_NOT_ALLOWED };

/* Whether the key is good at all (DR_NONE as `model` asks only that). Revoked goes before
 * expired. */
enum access_verdict access_check(const struct api_key *key, dr_slice model, dr_wall now);

#endif
