/* Which dialect a request speaks, told by its target alone, and what dialects share. Must not look
 * at bodies: those are the dialects'. */
#include "sim/sim_dialect.h"

/* Google's methods stand behind the model's name; anything may stand before it, as with Vertex's
 * projects and publishers. */
static enum sim_route_found find_generate(dr_slice path, dr_slice query,
                                          struct sim_target *target) {
    dr_slice rest = dr_slice_from(path, dr_slice_find(path, DR_LIT("/models/")) + 8);
    size_t colon = rest.len;
    while (colon > 0 && rest.data[colon - 1] != ':') colon--;
    if (colon < 2) return SIM_ROUTE_UNKNOWN;
    const dr_slice method = dr_slice_from(rest, colon);
    target->model = dr_slice_first(rest, colon - 1);
    if (dr_slice_is(method, DR_LIT("generateContent"))) return SIM_ROUTE_CHAT;
    if (!dr_slice_is(method, DR_LIT("streamGenerateContent"))) return SIM_ROUTE_UNKNOWN;
    target->is_streamed = true;
    target->is_listed = true;
    while (query.data) {
        if (dr_slice_is(dr_slice_split(&query, '&'), DR_LIT("alt=sse"))) target->is_listed = false;
    }
    return SIM_ROUTE_CHAT;
}

const struct sim_dialect *sim_dialect_find(dr_slice target, enum sim_route_found *ret_route,
                                           struct sim_target *ret_target) {
    dr_slice query = target;
    dr_slice path = dr_slice_split(&query, '?');
    *ret_target = (struct sim_target){.is_streamed = false};
    *ret_route = SIM_ROUTE_UNKNOWN;
    if (dr_slice_starts(path, DR_LIT("/v1beta")) ||
        dr_slice_find(path, DR_LIT("/models/")) < path.len) {
        *ret_route = find_generate(path, query, ret_target);
        return &sim_generate;
    }
    if (dr_slice_starts(path, DR_LIT("/v1/"))) path = dr_slice_from(path, 3);
    if (dr_slice_is(path, DR_LIT("/messages"))) {
        *ret_route = SIM_ROUTE_CHAT;
        return &sim_messages;
    }
    if (dr_slice_starts(path, DR_LIT("/messages/"))) return &sim_messages;
    if (dr_slice_is(path, DR_LIT("/chat/completions"))) *ret_route = SIM_ROUTE_CHAT;
    if (dr_slice_is(path, DR_LIT("/models"))) *ret_route = SIM_ROUTE_MODELS;
    return &sim_chat;
}

dr_slice sim_bearer(const struct dr_http1_head *head) {
    dr_slice rest = dr_http1_header(head, DR_LIT("Authorization"));
    const dr_slice scheme = dr_slice_split(&rest, ' ');
    const dr_slice token = dr_slice_trim(rest);
    return dr_slice_is_nocase(scheme, DR_LIT("Bearer")) && token.len > 0 ? token : DR_NONE;
}

bool sim_key_is_refused(dr_slice key) {
    return dr_slice_is(key, DR_LIT("sk-sim-refused"));
}

struct sim_error sim_error_find(const struct sim_error *errors, size_t count, uint16_t status,
                                const char *general) {
    for (size_t i = 0; i < count; i++) {
        if (errors[i].status == status) return errors[i];
    }
    return (struct sim_error){
        .status = status,
        .type = general,
        .message = "A failure was asked for (simulated)",
    };
}
