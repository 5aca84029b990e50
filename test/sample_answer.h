/* For tests: answers made at random, canonical, and as Anthropic and Gemini would send them,
 * written by code that shares nothing with the dialects' readers. Memory is taken as given. */
#ifndef DR_TEST_SAMPLE_ANSWER_H
#define DR_TEST_SAMPLE_ANSWER_H

#include "base/buf.h"
#include "base/random.h"
#include "model/answer.h"

enum {
    SAMPLE_CHOICES_MAX = 3,
    SAMPLE_PIECES_MAX = 8,
    SAMPLE_CALLS_MAX = 8,
    SAMPLE_ANSWER_BYTES_MAX = 1024 * 1024,
};

enum sample_piece_kind {
    SAMPLE_TEXT,
    SAMPLE_THINKING,
    SAMPLE_REDACTED, /* Anthropic's */
    SAMPLE_CALL,
    SAMPLE_SOURCE,
};

struct sample_piece {
    enum sample_piece_kind kind;
    struct dr_buf text; /* or the arguments, as JSON */
    char seal[24];      /* empty: none */
    char id[24];        /* of a call; empty: the provider gives none */
    char name[16];
    struct dr_buf words; /* of arguments that Gemini may send place by place; empty: of others */
};

struct sample_choice {
    struct sample_piece pieces[SAMPLE_PIECES_MAX];
    size_t piece_count;
    const char *finish; /* in the provider's words */
    enum answer_finish reason;
};

struct sample_answer {
    struct dr_random random;
    struct sample_choice choices[SAMPLE_CHOICES_MAX];
    uint32_t choice_count;
    uint32_t token_count;  /* with their probabilities, of the first choice; Gemini's */
    struct dr_buf refusal; /* empty: none */
    struct usage usage;
    bool is_blocked; /* Gemini's: nothing but a refusal */
};

void sample_answer_make(struct sample_answer *answer, bool is_gemini, uint64_t seed);
void sample_answer_clear(struct sample_answer *answer);
/* Appends a whole answer, or a stream of its pieces cut at random. */
void sample_answer_write_anthropic(struct sample_answer *answer, bool is_streamed,
                                   struct dr_buf *out);
void sample_answer_write_gemini(struct sample_answer *answer, bool is_streamed, struct dr_buf *out);

/* Private to the writers. */
uint64_t sample_answer_below(struct sample_answer *answer, uint64_t bound);
bool sample_answer_chance(struct sample_answer *answer, uint64_t of);
/* As a JSON string, with escapes where one may be. */
void sample_answer_put_string(struct sample_answer *answer, struct dr_buf *out, dr_slice text);
/* Some characters from the front of `*rest`, all of them in the end. */
dr_slice sample_answer_cut(struct sample_answer *answer, dr_slice *rest);

#endif
