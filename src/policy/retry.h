/* Which failure may be tried on the next target. Pure. */
#ifndef DR_POLICY_RETRY_H
#define DR_POLICY_RETRY_H

#include "model/failure.h"

/* Before the first event only: faults of the provider or of our key there move on; what speaks of
 * the client's request does not. */
bool retry_may_fall_back(const struct failure *failure);

#endif
