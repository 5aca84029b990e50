/* The simulation's signatures: "sim" and the dialect in base64, and a digest of what is signed.
 * Must not be taken for cryptography. */
#include "sim/seal.h"

#include "sim/shape.h"

static const char *const starts[] = {
    [SIM_SEAL_MESSAGES] = "c2ltQW50",
    [SIM_SEAL_GENERATE] = "c2ltR2Vt",
};
enum { OWN_BYTES = 4 }; /* that all beginnings share */

void sim_seal_put(struct dr_buf *buf, enum sim_seal seal, dr_slice what) {
    dr_buf_put(buf, dr_slice_text(starts[seal]));
    dr_buf_format(buf, "%016llx", (unsigned long long)dr_slice_hash(what, (uint64_t)seal));
}

bool sim_seal_may_hold(dr_slice signature, enum sim_seal seal, dr_slice what) {
    if (signature.len == 0 || !sim_shape_is_base64(signature)) return false;
    const dr_slice own = dr_slice_of(starts[seal], OWN_BYTES);
    if (!dr_slice_starts(signature, own)) return true;
    struct dr_buf expected;
    dr_buf_init(&expected, 64);
    sim_seal_put(&expected, seal, what);
    const bool holds = dr_slice_is(dr_buf_slice(&expected), signature);
    dr_buf_clear(&expected);
    return holds;
}
