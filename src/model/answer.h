/* What comes back, canonical: a stream of small events, whatever the provider and the transport. */
#ifndef DR_MODEL_ANSWER_H
#define DR_MODEL_ANSWER_H

#include "base/json.h"
#include "base/slice.h"
#include "model/failure.h"
#include "model/usage.h"

enum answer_event_kind {
    ANSWER_START, /* id, model */
    ANSWER_TEXT,
    ANSWER_REASONING,
    ANSWER_REFUSAL,
    ANSWER_TOOL_CALL, /* a delta: id and name come once, arguments in pieces */
    ANSWER_FINISH,
    ANSWER_USAGE,
    ANSWER_ERROR,
    ANSWER_END,       /* the dialect's end marker ([DONE]) */
    ANSWER_SIGNATURE, /* opaque state behind reasoning or a tool call, to be sent back verbatim */
    ANSWER_CITATION,  /* a source of the text so far */
    ANSWER_LOGPROBS,  /* `text` is OpenAI's `logprobs.content` array as JSON */
    ANSWER_MEMBER,    /* of OpenAI's deltas, as its provider wrote it: what no other kind says */
};

enum answer_finish {
    ANSWER_FINISH_STOP,
    ANSWER_FINISH_LENGTH,
    ANSWER_FINISH_TOOL_CALLS,
    ANSWER_FINISH_CONTENT_FILTER,
    ANSWER_FINISH_FUNCTION_CALL,
    ANSWER_FINISH_OTHER, /* `finish_text` tells */
};

/* The shape of a tool call. Only OpenAI's own API has others than functions. */
enum answer_call {
    ANSWER_CALL_FUNCTION,
    ANSWER_CALL_CUSTOM, /* `arguments` are its free text */
    ANSWER_CALL_LEGACY, /* `function_call`, which has no id and no number */
};

enum answer_member {
    ANSWER_MEMBER_ANNOTATIONS,
    ANSWER_MEMBER_LOGPROBS,
    ANSWER_MEMBER_REASONING_DETAILS,
    ANSWER_MEMBER_EXTRA_CONTENT, /* Google's, of the message; a call's stands with the call */
    ANSWER_MEMBER_OTHER,         /* nothing that this API knows: only its name is told */
};

/* What a signature belongs to. Each is valid only at the provider that made it. */
enum answer_signature {
    ANSWER_SIGNATURE_THINKING, /* Anthropic: closes the block of reasoning before it */
    ANSWER_SIGNATURE_REDACTED, /* Anthropic: a block of reasoning that is nothing but its seal */
    ANSWER_SIGNATURE_CALL,     /* Gemini: of the tool call `index` */
    ANSWER_SIGNATURE_TEXT,     /* Gemini: of the text so far */
};

/* All slices and values are lent by the reader until its next read. */
struct answer_event {
    enum answer_event_kind kind;
    uint32_t choice_index;
    union {
        struct {
            dr_slice id, model;
        } start;
        dr_slice text; /* ANSWER_TEXT, _REASONING, _REFUSAL, _LOGPROBS */
        struct {
            uint32_t index;
            enum answer_call form;
            dr_slice id, name, arguments;
            dr_json extra_content; /* NULL when there is none */
        } tool_call;
        struct {
            enum answer_member kind;
            dr_slice name;
            dr_json value; /* NULL of ANSWER_MEMBER_OTHER */
        } member;
        struct {
            enum answer_finish reason;
            dr_slice text;
        } finish;
        struct {
            enum answer_signature kind;
            uint32_t index;
            dr_slice text;
        } signature;
        struct {
            dr_slice url, title;
        } citation;
        struct usage usage;
        struct failure error;
    };
};

/* What one event of the provider's stream (or a whole unary body) holds. */
struct answer_chunk {
    struct answer_event *events; /* lent until the next read */
    size_t event_count;
    uint64_t output_bytes; /* of text, reasoning, refusals and tool calls that the model has said,
                              for estimates */
    uint16_t lone_first;   /* halves of characters, read as U+FFFD: the first and the last; */
    uint16_t lone_last;    /* 0: none (see openai_halves_join) */
    bool is_plain;         /* no byte of its text would be written otherwise in a JSON string */
    bool is_usage_only;    /* nothing but usage: withheld from a client that did not ask */
    bool shows_usage;      /* usage stands where OpenAI's clients look for it */
    bool is_end;
    bool is_foreign; /* an object that this API has not: nothing was read of it */
};

#endif
