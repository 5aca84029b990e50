/* What a chat request asks for, in no dialect's words. Plain records; the readers of the dialects
 * (chat_ask.c, messages_ask.c, generate_ask.c) fill them in, reply.c answers. */
#ifndef DR_SIM_ASK_H
#define DR_SIM_ASK_H

#include "base/json.h"
#include "sim/script.h"

enum sim_tool_use {
    SIM_TOOL_USE_NONE, /* no tools, or not wanted */
    SIM_TOOL_USE_AUTO,
    SIM_TOOL_USE_REQUIRED,
    SIM_TOOL_USE_NAMED, /* `first_tool` */
};

enum sim_format {
    SIM_FORMAT_TEXT,
    SIM_FORMAT_JSON,   /* any object */
    SIM_FORMAT_SCHEMA, /* `schema` */
};

enum sim_thoughts {
    SIM_THOUGHTS_HIDDEN,
    SIM_THOUGHTS_SEALED, /* their signature alone is told */
    SIM_THOUGHTS_SHOWN,
};

enum { SIM_STOPS_MAX = 64, SIM_TOOLS_MAX = 128, SIM_EFFORT_TOKENS_MAX = 1024 };

struct sim_tool {
    dr_slice name;
    dr_json schema; /* of its arguments; NULL where it has none */
};

/* All slices and values are lent by the reader of the body and by the scratch. */
struct sim_ask {
    dr_slice model;
    bool is_streamed;
    bool is_listed; /* Gemini's stream as one JSON array */
    bool includes_usage;
    uint32_t choice_count;
    uint64_t tokens_max; /* UINT64_MAX where not limited; reasoning tokens count */
    uint64_t reasoning_tokens;
    enum sim_thoughts thoughts;
    dr_slice stops[SIM_STOPS_MAX];
    size_t stop_count;
    bool wants_logprobs;
    uint32_t top_logprobs;
    bool is_cache_marked; /* a mark asks for the prompt to be cached */
    struct sim_tool tools[SIM_TOOLS_MAX];
    size_t tool_count;
    enum sim_tool_use tool_use;
    size_t first_tool; /* where the calls begin */
    bool is_parallel;  /* several calls at once are allowed */
    enum sim_format format;
    dr_json schema;
    struct sim_talk talk;
};

/* A request that was not understood, in its dialect's words. */
struct sim_complaint {
    char message[512];
    char param[96];   /* empty: null */
    const char *code; /* NULL: null */
};

/* Memory that reading takes, kept from request to request. */
struct sim_scratch {
    struct dr_json_reader *results;
    struct dr_json_reader *formats;
    struct dr_buf result;
};

/* One reading of one request of a strict dialect. */
struct sim_reading {
    struct sim_ask *ask;
    struct sim_scratch *scratch;
    struct sim_complaint *complaint;
    dr_json root;
    bool thinks; /* Anthropic: `thinking` is enabled with a budget */
};

/* Writes the complaint; returns false so that checks end in one line. */
bool sim_complain(struct sim_reading *reading, const char *format, ...) DR_PRINTF(2, 3);

/* DR_NO_MEMORY; it may be cleared then. */
enum dr_status sim_scratch_init(struct sim_scratch *scratch) DR_MUST_USE;
void sim_scratch_clear(struct sim_scratch *scratch);

/* The defaults that all dialects share. */
void sim_ask_init(struct sim_ask *ask);
/* False when there are too many. */
bool sim_ask_add_tool(struct sim_ask *ask, dr_slice name, dr_json schema) DR_MUST_USE;
/* SIM_TOOLS_MAX when no tool has that name. */
size_t sim_ask_find_tool(const struct sim_ask *ask, dr_slice name);
/* How many tokens are thought for a word of effort, "low". False for a word that nobody knows. */
bool sim_ask_set_effort(struct sim_ask *ask, dr_slice word) DR_MUST_USE;
/* The same for a budget in tokens: what is thought, not what might be. */
void sim_ask_set_budget(struct sim_ask *ask, uint64_t tokens);
/* A piece of system text, in dialects where a format may be asked for in words: "Answer with one
 * JSON object and nothing else", with a schema behind "JSON Schema: ". Such a text is obeyed and
 * does not count as one of the conversation. */
void sim_ask_note_system(struct sim_ask *ask, struct sim_scratch *scratch, dr_slice text);
/* A tool's result as text. JSON is taken for what it says, since dialects lay it out differently:
 * an object that holds nothing but `result`, `output` or `error` counts as that. */
void sim_ask_note_result(struct sim_ask *ask, struct sim_scratch *scratch, dr_slice text);
/* The same for a result that is JSON already. */
void sim_ask_note_result_value(struct sim_ask *ask, struct sim_scratch *scratch, dr_json value);

#endif
