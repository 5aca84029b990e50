/* OpenAI Chat Completions, as we speak it to clients and to compatible providers. Pure: bytes in,
 * records out. Sources of each rule: OpenAI's API reference and openapi document; recorded traffic
 * under test/fixtures. */
#ifndef DR_DIALECT_OPENAI_H
#define DR_DIALECT_OPENAI_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/answer.h"
#include "model/conversation.h"
#include "model/prompt.h"

/* A request that is refused: which field, why. Texts are NUL-terminated, cut to fit. */
struct prompt_fault {
    bool is_json;   /* true: it is no JSON at all (`invalid_json`); else `invalid_request` */
    char param[96]; /* "messages[2].role"; empty where none applies */
    char text[320]; /* a sentence for the client: what came, what was expected */
};

/* Reads and checks a request body. `body` must live as long as the prompt; the prompt's unescaped
 * strings point into `reader`'s document and are lent until its next read: copy what is kept.
 * DR_OK, DR_INVALID (`ret_fault` filled), DR_NO_MEMORY. Checks: one JSON object, no top-level key
 * twice (after unescaping), `model` a non-empty string of at most 256 bytes, `messages` a
 * non-empty array of objects with the shapes and roles of the API, every other known field of its
 * type and range; null is an absent optional field; unknown fields pass. */
enum dr_status openai_read_prompt(struct dr_json_reader *reader, dr_slice body,
                                  struct prompt *ret_prompt,
                                  struct prompt_fault *ret_fault) DR_MUST_USE;

/* The same of a body that has been read already: `reader` holds it as `root`, an object without a
 * member twice, whose strings stand in `body` `shift` bytes further on. The body asks for a stream:
 * what `root` says of that is not looked at. Other members that the body has not must be none that
 * the API knows. The body is within the reader's limit. DR_OK or DR_INVALID. */
enum dr_status openai_read_held_prompt(const struct dr_json_reader *reader, dr_json root,
                                       size_t shift, dr_slice body, struct prompt *ret_prompt,
                                       struct prompt_fault *ret_fault) DR_MUST_USE;

/* The body for a provider as slices of the client's body and replacements: the model's name
 * spliced, usage asked for in streams unless `asks_usage` is false. `model_json` is the provider's
 * model name as JSON string with quotes, kept. Returns the number of parts (at most
 * OPENAI_BODY_PARTS_MAX) and their total length. */
enum { OPENAI_BODY_PARTS_MAX = 5 };
size_t openai_write_prompt(const struct prompt *prompt, dr_slice model_json, bool asks_usage,
                           dr_slice parts[OPENAI_BODY_PARTS_MAX], size_t *ret_len);

/* The same body once more, as a conversation for another dialect's writer. `prompt` was accepted by
 * one of the two above. What is returned is lent by `reader` until its next read, and by `arena`.
 * DR_OK, DR_NO_MEMORY. */
enum dr_status openai_read_conversation(struct dr_json_reader *reader, const struct prompt *prompt,
                                        struct dr_arena *arena,
                                        struct conversation *ret_conversation) DR_MUST_USE;

/* Reads answers; holds the JSON reader and the events' array. One per worker: no event's meaning
 * hangs on another. Hence three rules for its callers. First, ANSWER_START comes with every chunk
 * that names an id or a model: the first one counts. Second, a tool call without an index gets its
 * place in the array, and an index comes as it was sent. Servers that number all calls 0 are told
 * apart by `openai_call_numbers_apply` below. Third, a character whose surrogates were cut into
 * two deltas (`\ud83d` and `\ude00`, each alone) is read as two U+FFFD, which
 * `openai_halves_join` makes one character again; the bytes that pass beside this reader are as
 * they came. */
struct openai_answer_reader;
struct openai_answer_reader *openai_answer_reader_new(void);
void openai_answer_reader_free(struct openai_answer_reader *reader);

/* One `data:` payload of a stream. DR_OK; DR_INVALID when it is not JSON or no object (`error`
 * says what); DR_NO_MEMORY. An empty payload is an empty chunk. `[DONE]` gives ANSWER_END. An
 * error object gives ANSWER_ERROR. */
enum dr_status openai_read_event(struct openai_answer_reader *reader, dr_slice payload,
                                 struct answer_chunk *ret_chunk,
                                 struct dr_error *error) DR_MUST_USE;
/* Gives the tool calls of one stream's chunks their true numbers, in place: dense from 0 for each
 * choice, a changed non-empty id on an old number is a new call. One per answer, zeroed at its
 * start; beyond its capacity numbers stay as they came. */
enum { OPENAI_CALLS_NUMBERED_MAX = 32 };
struct openai_call_numbers {
    /* Private part. */
    struct {
        uint32_t choice_index;
        uint32_t sent_index;
        uint32_t index;
        uint64_t id_hash; /* 0: no id came yet */
    } calls[OPENAI_CALLS_NUMBERED_MAX];
    uint32_t count;
};
void openai_call_numbers_apply(struct openai_call_numbers *numbers, struct answer_chunk *chunk);
/* Joins characters of a text that were cut between one chunk of a stream and the next. Takes the
 * halves out of `event`'s text, which may leave it empty, and returns what is to be said before
 * it: DR_NONE, or text that lives until the next call. `event` is one of `chunk`, in their order.
 * One per answer, zeroed at its start. */
struct openai_halves {
    /* Private part. */
    uint16_t high; /* awaits its second half; 0: none does */
    uint8_t kind;  /* enum answer_event_kind of the text that ended with it */
    char joined[4];
    uint32_t choice_index;
};
dr_slice openai_halves_join(struct openai_halves *halves, const struct answer_chunk *chunk,
                            struct answer_event *event);
/* Hardly any chunk has them: whether it is worth while to look at its events. */
static inline bool openai_halves_concern(const struct openai_halves *halves,
                                         const struct answer_chunk *chunk) {
    return halves->high != 0 || chunk->lone_last != 0;
}

/* A whole unary answer (leading blanks allowed). DR_INVALID also when it has neither `choices` nor
 * an error. */
enum dr_status openai_read_answer(struct openai_answer_reader *reader, dr_slice body,
                                  struct answer_chunk *ret_chunk,
                                  struct dr_error *error) DR_MUST_USE;
/* A whole answer that openai_read_answer took, with `usage` (an object as JSON) in the place of
 * what stands there, `null` say, or as its last member. */
void openai_splice_usage(struct dr_buf *buf, dr_slice body, dr_slice usage);
/* The body of a status ≥ 300, or one that came where a stream was asked for, in any of the recorded
 * variants (HTML and plain text too): all of `ret_failure`, its texts lent by the reader or the
 * body. */
void openai_read_failure(struct openai_answer_reader *reader, uint16_t status, dr_slice body,
                         struct failure *ret_failure);

/* {"error":{"message","type","param","code"}}, all four present; DR_NONE becomes null. */
void openai_put_error(struct dr_buf *buf, dr_slice message, dr_slice type, dr_slice param,
                      dr_slice code);
/* What stands in its inner braces. */
void openai_put_error_members(struct dr_buf *buf, dr_slice message, dr_slice type, dr_slice param,
                              dr_slice code);

#endif
