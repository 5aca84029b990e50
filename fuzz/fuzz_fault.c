/* sim/fault: any words are read within their bounds, refused with a sentence or understood; what is
 * understood stays the same with blanks around it and with a harmless word joined on. */
#include "sim/fault.h"

#include "base/alloc.h"
#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { SPARE_BYTES = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    struct dr_error error = {.text = ""};
    struct sim_fault fault = {.status = 7};
    const dr_slice words = dr_slice_of((const char *)bytes, len);
    if (sim_fault_parse(words, &fault, &error)) {
        dr_assert(fault.status == 7);
        dr_assert(error.status == DR_INVALID && error.text[0] != 0);
        return 0;
    }
    dr_assert(fault.status == 0 || (fault.status >= 300 && fault.status <= 599));
    char *text = dr_alloc(len + SPARE_BYTES);
    if (!text) return 0;
    memcpy(text, "no_usage, ", 10);
    if (len > 0) memcpy(text + 10, bytes, len);
    text[10 + len] = ' ';
    struct sim_fault twin;
    const enum dr_status status = sim_fault_parse(dr_slice_of(text, len + 11), &twin, NULL);
    /* Nothing but blanks is no fault, but an empty word behind a comma. */
    if (dr_slice_trim(words).len > 0) {
        dr_assert(!status && twin.no_usage);
        dr_assert(twin.status == fault.status && twin.times == fault.times);
        dr_assert(twin.stall == fault.stall && twin.cut_mid == fault.cut_mid);
    } else {
        dr_assert(status == DR_INVALID);
    }
    dr_free(text);
    return 0;
}
