/* Reads the body of OpenAI's POST /v1/chat/completions as strictly as OpenAI does. Pure.
 *
 * Fields that it does not know are ignored, as most compatible servers do. */
#ifndef DR_SIM_CHAT_ASK_H
#define DR_SIM_CHAT_ASK_H

#include "base/json.h"
#include "sim/script.h"

enum sim_tool_use {
    SIM_TOOL_USE_NONE, /* no tools, or not wanted */
    SIM_TOOL_USE_AUTO,
    SIM_TOOL_USE_REQUIRED,
    SIM_TOOL_USE_NAMED, /* `tool_name` */
};

enum sim_format {
    SIM_FORMAT_TEXT,
    SIM_FORMAT_JSON,   /* json_object */
    SIM_FORMAT_SCHEMA, /* json_schema */
};

enum { SIM_STOPS_MAX = 4 };

/* All slices and values are lent by the reader of the body. */
struct sim_ask {
    dr_slice model;
    bool is_streamed;
    bool includes_usage;
    uint32_t choice_count;
    uint64_t tokens_max; /* UINT64_MAX where not limited; reasoning tokens count */
    uint64_t reasoning_tokens;
    dr_slice stops[SIM_STOPS_MAX];
    size_t stop_count;
    bool wants_logprobs;
    uint32_t top_logprobs;
    dr_json tools; /* array or NULL */
    enum sim_tool_use tool_use;
    dr_slice tool_name;
    bool is_parallel; /* several calls at once are allowed */
    enum sim_format format;
    dr_json schema;
    struct sim_talk talk;
};

/* A request that was not understood, in OpenAI's words. */
struct sim_complaint {
    char message[256];
    char param[96];   /* empty: null */
    const char *code; /* NULL: null */
};

/* DR_OK or DR_INVALID with the complaint filled in. `root` is the body's value. */
enum dr_status sim_ask_read(dr_json root, struct sim_ask *ret_ask,
                            struct sim_complaint *complaint) DR_MUST_USE;

#endif
