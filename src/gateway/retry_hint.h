/* When a provider wishes to be asked again, by its answer's headers. */
#ifndef DR_GATEWAY_RETRY_HINT_H
#define DR_GATEWAY_RETRY_HINT_H

#include "base/instant.h"

struct dr_http1_head;

struct retry_hint {
    uint32_t asked_s; /* retry-after-ms or Retry-After; 0: neither */
    uint32_t reset_s; /* of a 429: until the limit that is used up is reset; 0: not told */
};

struct retry_hint retry_hint_read(const struct dr_http1_head *head, dr_wall now);
/* With what the body tells (0: nothing) between the two; 0 where nothing is known. */
uint32_t retry_hint_seconds(const struct retry_hint *hint, uint32_t told_s);

#endif
