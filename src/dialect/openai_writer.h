/* Canonical events as OpenAI's clients read them: chunks of a stream, or one whole answer. For
 * answers of other dialects; those of OpenAI's own pass as they came. Pure.
 *
 * What OpenAI has no field for is written as others do: reasoning as `reasoning_content`
 * (DeepSeek); Anthropic's signatures as `reasoning_details` (OpenRouter: `reasoning.text` with
 * `signature`, `reasoning.encrypted`); Google's as
 * `tool_calls[].extra_content.google.thought_signature` (Google's own OpenAI endpoint). A client
 * that sends them back with the assistant's message lets the model go on thinking
 * (openai_read_conversation). */
#ifndef DR_DIALECT_OPENAI_WRITER_H
#define DR_DIALECT_OPENAI_WRITER_H

#include "base/arena.h"
#include "base/buf.h"
#include "model/answer.h"

enum { OPENAI_WRITER_CHOICES_MAX = 8 };

/* The API's word for why an answer ended; DR_NONE where it has none. */
dr_slice openai_finish_word(enum answer_finish reason);

struct openai_writer_options {
    dr_slice id;         /* for an answer that names none; kept */
    dr_slice model;      /* for an answer that names none; kept */
    int64_t created;     /* Unix seconds */
    bool wants_usage;    /* stream_options.include_usage */
    bool is_legacy;      /* conversation.is_legacy: `function_call` instead of `tool_calls` */
    bool signs_thinking; /* the provider is Anthropic: pieces of reasoning name their block */
};

/* One per answer. */
struct openai_writer {
    struct openai_writer_options options;
    /* Private part. */
    struct dr_arena *arena;
    dr_slice head;       /* "data: {"id":…,"choices":[" */
    dr_slice delta_head; /* and `{"index":0,"delta":{` behind it */
    dr_slice text_head;  /* and `"content":` behind that */
    dr_slice id;
    dr_slice model;
    struct {
        uint64_t character_count;
        uint32_t thought_count;
        bool has_words; /* of the present block of thinking */
        bool has_role;
        bool has_finish;
    } choices[OPENAI_WRITER_CHOICES_MAX];
};

/* `arena` is kept for the writer's life; it takes the answer's id and model, nothing that grows
 * with the answer. */
void openai_writer_init(struct openai_writer *writer, struct dr_arena *arena,
                        const struct openai_writer_options *options);

/* Appends the chunk's events as SSE events of `chat.completion.chunk` objects: the role first, one
 * finish per choice. Errors are left to the caller, who must stop then, and so are usage and the
 * end: what it comes to may be known later than what was reported. False when the arena was full.
 */
bool openai_put_events(struct openai_writer *writer, const struct answer_chunk *chunk,
                       struct dr_buf *out) DR_MUST_USE;
/* Appends the finish of a choice that began in other words than this writer's. False as above. */
bool openai_put_finish(struct openai_writer *writer, uint32_t choice_index,
                       enum answer_finish reason, struct dr_buf *out) DR_MUST_USE;
/* Appends what stands before a stream's `[DONE]`: a finish for each choice that began and has none,
 * and `usage`, when wanted, in a chunk of its own. False when the arena was full. */
bool openai_put_end(struct openai_writer *writer, const struct usage *usage,
                    struct dr_buf *out) DR_MUST_USE;
/* Appends a `chat.completion` object of all the events of a whole answer. False as above. */
bool openai_put_answer(struct openai_writer *writer, const struct answer_chunk *chunk,
                       struct dr_buf *out) DR_MUST_USE;
/* Entries of `reasoning_details`: a piece of thinking that will be signed, and a signature other
 * than a call's. `text` are the words that it seals, empty where they are not shown, DR_NONE where
 * they went before. */
void openai_put_thought(struct dr_buf *out, dr_slice text, uint32_t index);
void openai_put_signature(struct dr_buf *out, const struct answer_event *event, dr_slice text,
                          uint32_t index);
/* The member of a tool call that holds its signature, with a comma before it. */
void openai_put_signature_of_call(struct dr_buf *out, dr_slice signature);
/* An entry of `annotations`. `place`, in characters, is where in the text the source was named:
 * providers tell it before, behind or without the words it stands for. */
void openai_put_citation(const struct answer_event *event, uint64_t place, struct dr_buf *out);
/* {"prompt_tokens":…}, OpenAI's usage object. */
void openai_put_usage(struct dr_buf *out, const struct usage *usage);

#endif
