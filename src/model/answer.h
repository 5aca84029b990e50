/* What comes back, canonical: a stream of small events, whatever the provider and the transport. */
#ifndef DR_MODEL_ANSWER_H
#define DR_MODEL_ANSWER_H

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
};

enum answer_finish {
    ANSWER_FINISH_STOP,
    ANSWER_FINISH_LENGTH,
    ANSWER_FINISH_TOOL_CALLS,
    ANSWER_FINISH_CONTENT_FILTER,
    ANSWER_FINISH_FUNCTION_CALL,
    ANSWER_FINISH_OTHER, /* `finish_text` tells */
};

/* What a signature belongs to. Each is valid only at the provider that made it. */
enum answer_signature {
    ANSWER_SIGNATURE_THINKING, /* Anthropic: closes the block of reasoning before it */
    ANSWER_SIGNATURE_REDACTED, /* Anthropic: a block of reasoning that is nothing but its seal */
    ANSWER_SIGNATURE_CALL,     /* Gemini: of the tool call `index` */
    ANSWER_SIGNATURE_TEXT,     /* Gemini: of the text so far */
};

/* All slices are lent by the reader until its next read. */
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
            dr_slice id, name, arguments;
        } tool_call;
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
