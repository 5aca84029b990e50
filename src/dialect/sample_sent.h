/* For tests: what a provider is asked, read from its bytes by code that shares nothing with the
 * dialects' writers. What the provider's reference does not know is noted as a fault. */
#ifndef DR_DIALECT_SAMPLE_SENT_H
#define DR_DIALECT_SAMPLE_SENT_H

#include "dialect/sample_request.h"

#include "base/json.h"

enum { SAMPLE_CALLS_MAX = 16 };

/* One reading of one request. Start it zeroed, but for `thinking`. */
struct sample_sent {
    struct sample_facts facts;
    const char *thinking; /* the field of its facts */
    uint64_t budget;      /* of thinking; 0: none in tokens */
    uint64_t limit;       /* of what is written */
    const char *fault;    /* what it lacks, or must not have; NULL: nothing */
    /* Private part. */
    struct dr_json_reader *scratch;
    dr_json calls[SAMPLE_CALLS_MAX]; /* of the latest turn of the model */
    struct dr_buf ids;               /* of all calls, one a line */
    uint32_t call_count;
    uint32_t calls_before; /* in the turns before that one */
    uint32_t result_count; /* of the present turn */
    uint32_t tool_count;
    bool has_format;
};

void sample_sent_read_anthropic(struct sample_sent *sent, dr_json root);
void sample_sent_read_gemini(struct sample_sent *sent, dr_json root);
void sample_sent_clear(struct sample_sent *sent);

/* Private to the readers. */
void sample_sent_init(struct sample_sent *sent);
/* Notes the first rule that does not hold, and returns whether this one does. */
bool sample_sent_must(struct sample_sent *sent, bool holds, const char *rule);
/* An object, each of whose members is among `names`, which stand between blanks. */
void sample_sent_only(struct sample_sent *sent, dr_json object, const char *names);
dr_json sample_sent_member(dr_json object, const char *name);
dr_slice sample_sent_text(dr_json object, const char *name);
void sample_sent_put_text(struct dr_buf *out, const char *before, dr_slice text);
void sample_sent_put_value(struct dr_buf *out, const char *before, dr_json value);
/* A fact of a member, unless it is absent. */
void sample_sent_put_member(struct sample_sent *sent, dr_json object, const char *name,
                            const char *fact);
/* The text of a result: a JSON object is told as one. */
void sample_sent_put_result(struct sample_sent *sent, uint32_t number, dr_slice text);
/* True, and the format is noted, when `text` asks for one in words. */
bool sample_sent_is_instruction(struct sample_sent *sent, dr_slice text, struct dr_buf *format);

#endif
