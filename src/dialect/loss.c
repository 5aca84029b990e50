/* The list of what a translation could not carry. Must not decide what that is: the table in
 * translation.c does. */
#include "dialect/loss.h"

#include <stdarg.h>
#include <stdio.h>

enum { SEPARATOR_BYTES = 2, CUT_BYTES = 5 };

bool loss_refuse(struct loss *loss, const char *param, const char *format, ...) {
    va_list arguments;

    if (loss->is_refused) return false;
    loss->is_refused = true;
    loss->fault.is_json = false;
    (void)snprintf(loss->fault.param, sizeof loss->fault.param, "%s", param);
    va_start(arguments, format);
    (void)vsnprintf(loss->fault.text, sizeof loss->fault.text, format, arguments);
    va_end(arguments);
    return false;
}

/* A client chooses the names of unknown fields: none may end the header or begin another entry. */
static char plain_of(char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                   (byte >= '0' && byte <= '9') || byte == '_' || byte == '-' || byte == '.' ||
                   byte == '[' || byte == ']'
               ? byte
               : '?';
}

static bool has_name(const struct loss *loss, dr_slice name) {
    dr_slice rest = dr_slice_of(loss->dropped, loss->dropped_len);

    while (rest.len > 0) {
        if (dr_slice_is(dr_slice_trim(dr_slice_split(&rest, ',')), name)) return true;
    }
    return false;
}

void loss_drop(struct loss *loss, dr_slice name) {
    char plain[LOSS_NAME_BYTES_MAX];
    size_t len = 0;

    for (size_t i = 0; i < name.len && len < sizeof plain; i++)
        plain[len++] = plain_of(name.data[i]);
    if (loss->is_cut || len == 0 || has_name(loss, dr_slice_of(plain, len))) return;
    if (loss->dropped_len + SEPARATOR_BYTES + len + CUT_BYTES > sizeof loss->dropped) {
        memcpy(loss->dropped + loss->dropped_len, ", ...", CUT_BYTES);
        loss->dropped_len += CUT_BYTES;
        loss->is_cut = true;
        return;
    }
    if (loss->dropped_len > 0) {
        memcpy(loss->dropped + loss->dropped_len, ", ", SEPARATOR_BYTES);
        loss->dropped_len += SEPARATOR_BYTES;
    }
    memcpy(loss->dropped + loss->dropped_len, plain, len);
    loss->dropped_len += len;
}

dr_slice loss_dropped(const struct loss *loss) {
    return dr_slice_of(loss->dropped, loss->dropped_len);
}
