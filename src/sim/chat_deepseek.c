/* The words that DeepSeek knows, and those it does not. Must not read a request by itself: that is
 * chat_ask.c's work.
 *
 * Sources: DeepSeek's API documents, "Create Chat Completion" and "Thinking Mode"; refusals as they
 * are recorded. */
#include "sim/chat_deepseek.h"

#define COUNT_OF(list) (sizeof(list) / sizeof((list)[0]))

static bool is_one_of(dr_slice name, const dr_slice *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (dr_slice_is(name, names[i])) return true;
    }
    return false;
}

bool sim_deepseek_has(dr_slice model) {
    return dr_slice_starts(model, DR_LIT("deepseek-"));
}

bool sim_deepseek_ignores(dr_slice name) {
    static const dr_slice names[] = {
        SIM_TEXT("max_completion_tokens"),
        SIM_TEXT("n"),
        SIM_TEXT("seed"),
        SIM_TEXT("parallel_tool_calls"),
        SIM_TEXT("store"),
        SIM_TEXT("logit_bias"),
        SIM_TEXT("metadata"),
    };
    return is_one_of(name, names, COUNT_OF(names));
}

bool sim_deepseek_takes_role(dr_slice role) {
    static const dr_slice roles[] = {
        SIM_TEXT("system"),
        SIM_TEXT("user"),
        SIM_TEXT("assistant"),
        SIM_TEXT("tool"),
    };
    return is_one_of(role, roles, COUNT_OF(roles));
}

/* Less than high is raised to it. */
bool sim_deepseek_read_thinking(struct sim_ask *ask, dr_json thinking, dr_json effort) {
    static const dr_slice raised[] = {SIM_TEXT("low"), SIM_TEXT("medium"), SIM_TEXT("high")};
    static const dr_slice most[] = {SIM_TEXT("xhigh"), SIM_TEXT("max")};
    const dr_slice type = dr_json_text(dr_json_member(thinking, DR_LIT("type")));
    const dr_slice word = effort ? dr_json_text(effort) : DR_LIT("high");
    const bool is_most = is_one_of(word, most, COUNT_OF(most));
    if (thinking && !dr_slice_is(type, DR_LIT("enabled")) &&
        !dr_slice_is(type, DR_LIT("disabled"))) {
        return false;
    }
    if (!is_most && !is_one_of(word, raised, COUNT_OF(raised))) return false;
    if ((!thinking && !effort) || dr_slice_is(type, DR_LIT("disabled"))) return true;
    return sim_ask_set_effort(ask, is_most ? DR_LIT("max") : DR_LIT("high"));
}
