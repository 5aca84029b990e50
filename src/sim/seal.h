/* Signatures of what was thought, by which the simulation knows its own again: a gateway that mixes
 * them up, changes what they stand on or sends them to another provider is found out. Pure. */
#ifndef DR_SIM_SEAL_H
#define DR_SIM_SEAL_H

#include "base/buf.h"

enum sim_seal { SIM_SEAL_MESSAGES, SIM_SEAL_GENERATE };

/* The signature of `what`, in letters of base64. */
void sim_seal_put(struct dr_buf *buf, enum sim_seal seal, dr_slice what);
/* False for a signature of the simulation's that stands on something else or belongs to another
 * dialect, and for what is no base64. Those of real providers cannot be judged. */
bool sim_seal_may_hold(dr_slice signature, enum sim_seal seal, dr_slice what);

#endif
