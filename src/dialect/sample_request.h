/* For tests: requests made at random that hold everything a chat request can hold, and what must be
 * left of each at one provider by the table in translation.c. Memory is taken as given. */
#ifndef DR_DIALECT_SAMPLE_REQUEST_H
#define DR_DIALECT_SAMPLE_REQUEST_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/random.h"
#include "model/catalog.h"

/* A model asked by its provider's name, and its generation times ten. */
struct sample_model {
    enum dialect dialect;
    const char *name;
    uint32_t generation;
    bool is_pro;
};

/* What a request says, or what was sent of it: one fact a line, `field|fact`. The field is the name
 * under which its loss would be told. Texts and JSON values are written as JSON. */
struct sample_facts {
    struct dr_buf system;
    struct dr_buf talk;
    struct dr_buf rest; /* tools, format and numbers, in a fixed order */
};

struct sample_request {
    struct sample_model model;
    struct dr_random random;
    struct dr_buf body;
    struct sample_facts facts;
    struct dr_buf told;    /* names that must be told, one a line */
    struct dr_buf perhaps; /* names that may be told: it hangs on what else is asked */
    const char *thinking;  /* the name under which a loss of thinking is told */
    uint64_t budget;       /* of thinking, asked for; 0: none */
    char refused[96];      /* the parameter that must be refused; empty: none */
    /* Private part. */
    struct dr_buf messages;
    struct dr_buf results; /* facts of the present turn: results come first */
    struct dr_buf behind;  /* pictures of Gemini's results */
    struct dr_buf said;    /* and what the user says */
    struct dr_buf names;   /* of called functions, one a line */
    uint32_t message_count;
    uint32_t call_count;
    uint32_t tool_count;
    bool is_legacy;
    bool has_same_ids; /* in the present turn */
};

void sample_facts_init(struct sample_facts *facts);
void sample_facts_clear(struct sample_facts *facts);
/* Whether `name` is a line of `lines`. */
bool sample_has_line(const struct dr_buf *lines, dr_slice name);

void sample_request_make(struct sample_request *sample, const struct sample_model *model,
                         uint64_t seed);
void sample_request_clear(struct sample_request *sample);

/* Private to the sample: its parts. */
enum { SAMPLE_BYTES_MAX = 1024 * 1024 };
uint64_t sample_below(struct sample_request *sample, uint64_t bound);
bool sample_chance(struct sample_request *sample, uint64_t of);
void sample_tell(struct sample_request *sample, const char *name);
void sample_tell_perhaps(struct sample_request *sample, const char *name);
static inline bool sample_is_gemini(const struct sample_request *sample) {
    return sample->model.dialect == DIALECT_GEMINI;
}
/* Words that are not blank, with all that JSON escapes; replaces what `out` held. */
void sample_put_words(struct sample_request *sample, struct dr_buf *out);

enum sample_flavour {
    SAMPLE_SCHEMA_VERBATIM,
    SAMPLE_SCHEMA_CLOSED, /* Anthropic's strict ones */
    SAMPLE_SCHEMA_GEMINI,
};
/* A schema of an object as the client sends it, and as it must arrive. True when a keyword that
 * restrains something was left out. */
bool sample_put_schema(struct sample_request *sample, enum sample_flavour flavour,
                       struct dr_buf *sent, struct dr_buf *expected);

void sample_make_talk(struct sample_request *sample);
void sample_make_tools(struct sample_request *sample);
void sample_make_numbers(struct sample_request *sample);

#endif
