/* What the last frame of an answer tells of all of it: model, finishes, usage, cost, what was
 * dropped. Noted while its events pass, told at the end. */
#ifndef DR_GATEWAY_WS_SUMMARY_H
#define DR_GATEWAY_WS_SUMMARY_H

#include "base/buf.h"

struct answer_event;
struct downstream_close;
struct ws_answer;

/* How a choice ended. */
struct ws_finish {
    dr_slice name; /* empty: it was not told */
    char *own;     /* where a word that is not one of OpenAI's stands */
};

/* Zero at first. Memory is of the exchange's arena. */
struct ws_summary {
    /* private */
    dr_slice model;
    struct ws_finish finish;    /* of the first choice */
    struct ws_finish *finishes; /* of all choices; NULL while only the first has ended */
    dr_slice *others;           /* members of deltas that have no frame; NULL: none */
    uint32_t choice_count;      /* that ended, by the highest index */
    uint32_t other_count;
};

/* While the answer has no model: the first name counts. */
void ws_summary_note_model(struct ws_answer *answer, dr_slice model);
void ws_summary_note_finish(struct ws_answer *answer, const struct answer_event *event);
/* A member of a delta that has no frame. More than a few names are not told. */
void ws_summary_note_other(struct ws_answer *answer, dr_slice name);
/* Its members, each behind a comma. */
void ws_summary_put(struct dr_buf *json, const struct ws_answer *answer,
                    const struct downstream_close *close);

#endif
