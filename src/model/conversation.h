/* What is asked, message by message, whatever the dialect: made from a client's body when it must
 * be written in another provider's words. Everything is lent by the document it was read from and
 * the arena it was made in. */
#ifndef DR_MODEL_CONVERSATION_H
#define DR_MODEL_CONVERSATION_H

#include "base/json.h"
#include "base/slice.h"

enum message_role {
    MESSAGE_SYSTEM, /* or developer */
    MESSAGE_USER,
    MESSAGE_ASSISTANT,
    MESSAGE_TOOL, /* the result of a call */
};

enum part_kind {
    PART_TEXT, /* a refusal too: other dialects know none in a request */
    PART_IMAGE,
    PART_AUDIO,
    PART_FILE,
    PART_OTHER, /* `name` is its type */
};

struct message_part {
    enum part_kind kind;
    uint32_t place; /* in the client's array */
    dr_slice text;
    dr_slice url;        /* http(s) or a provider's own; empty where there are data */
    dr_slice media_type; /* of the data, "image/png" */
    dr_slice data;       /* base64, perhaps with blanks or the URL-safe alphabet */
    dr_slice name;
    dr_slice file_id;
    bool has_detail;       /* an image's `detail` other than "auto" */
    dr_json cache_control; /* a mark of Anthropic's: the prefix up to here is worth caching */
};

struct message_call {
    dr_slice id;
    dr_slice name;
    dr_slice arguments; /* text, which should be a JSON object */
    dr_slice signature; /* Gemini's, to be sent back */
    dr_json cache_control;
    bool is_custom; /* takes free text, not JSON */
    bool is_older;  /* of the interface before tools: `function_call` */
};

enum thought_kind { THOUGHT_THINKING, THOUGHT_REDACTED, THOUGHT_GEMINI_TEXT };

/* A provider's own state in an assistant's message, sent back to it verbatim. */
struct message_thought {
    enum thought_kind kind;
    dr_slice text;
    dr_slice signature;
};

struct message {
    enum message_role role;
    uint32_t place; /* in the client's array */
    dr_slice name;
    struct message_part *parts;
    size_t part_count;
    struct message_call *calls;
    size_t call_count;
    struct message_thought *thoughts;
    size_t thought_count;
    bool has_plain_reasoning; /* reasoning in words, with no signature */
    bool has_foreign_thought; /* of a provider unknown here, or lacking its words */
    dr_slice call_id;         /* MESSAGE_TOOL */
};

struct conversation_tool {
    uint32_t place;
    dr_slice name;
    dr_slice description;
    dr_json parameters;
    dr_json cache_control;
    dr_slice other_type; /* empty for a function */
    bool is_strict;
    bool is_older; /* one of `functions` */
};

enum tool_choice {
    TOOL_CHOICE_NOT_GIVEN,
    TOOL_CHOICE_AUTO,
    TOOL_CHOICE_NONE,
    TOOL_CHOICE_REQUIRED,
    TOOL_CHOICE_NAMED,
    TOOL_CHOICE_OTHER, /* a kind of tool that only OpenAI has */
};

enum response_format { RESPONSE_TEXT, RESPONSE_JSON, RESPONSE_SCHEMA, RESPONSE_OTHER };

enum { CONVERSATION_STOPS_MAX = 4 };

/* Fields that are NULL or empty were not given; null counts as that. */
struct conversation {
    dr_json root; /* the client's whole body, in OpenAI's words */
    struct message *messages;
    size_t message_count;
    struct conversation_tool *tools;
    size_t tool_count;
    enum tool_choice tool_choice;
    dr_slice chosen_tool;
    dr_json allowed_tools; /* only these may be called */
    bool forbids_parallel_calls;
    bool is_legacy; /* `functions` and `function_call` instead of tools */
    bool is_streamed;
    enum response_format response_format;
    dr_json schema;
    dr_slice stops[CONVERSATION_STOPS_MAX];
    size_t stop_count;
    uint64_t output_tokens_max; /* 0: not given */
    uint32_t choice_count;
    dr_json temperature;
    dr_json top_p;
    dr_json seed;
    dr_json frequency_penalty;
    dr_json presence_penalty;
    bool wants_logprobs;
    dr_json top_logprobs;
    dr_slice reasoning_effort;
    dr_slice thinking_field;  /* which of the client's fields asks for thinking */
    bool has_thinking;        /* an explicit `thinking` object, or one of `reasoning` */
    bool is_thinking_off;     /* {"type":"disabled"}, `none` */
    uint64_t thinking_tokens; /* its budget; 0: not given */
    dr_json cache_control;
    dr_slice service_tier;
    dr_slice user;
};

#endif
