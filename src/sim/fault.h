/* The fault words of the simulated provider. Pure. */
#ifndef DR_SIM_FAULT_H
#define DR_SIM_FAULT_H

#include "base/slice.h"
#include "base/status.h"

struct sim_fault {
    uint16_t status;           /* status=429, status=500; 0 for none */
    uint32_t retry_after_s;    /* retry_after=2 */
    uint64_t slow_bytes_per_s; /* slow=N */
    uint32_t times; /* times=N: only the first N requests that carry this very text; 0: all */
    bool refuse;    /* only as a flag for all: the listener is not opened */
    bool stall;
    bool stall_mid;
    bool cut;
    bool cut_mid;
    bool close_idle;
    bool garbage;
    bool bad_json;
    bool error_event;
    bool dribble;
    bool no_usage;
    bool split_utf8;
    bool huge;
};

/* "stall_mid,times=2"; empty is no fault. DR_INVALID names the unknown word or wrong value. */
enum dr_status sim_fault_parse(dr_slice words, struct sim_fault *ret_fault,
                               struct dr_error *error) DR_MUST_USE;

#endif
