/* Private to the sample: one message of a request made at random, and its contents. */
#ifndef DR_DIALECT_SAMPLE_PARTS_H
#define DR_DIALECT_SAMPLE_PARTS_H

#include "dialect/sample_request.h"

enum { SAMPLE_BASE64_BYTES_MAX = 128 };

/* One message as it is being made: its JSON goes to the sample's messages, its facts to `facts`. */
struct sample_making {
    struct sample_request *sample;
    const char *role; /* as facts have it */
    struct dr_buf *facts;
    struct dr_buf words;
    bool is_first; /* part of its list */
};

/* Clear its `words`. */
struct sample_making sample_making_begin(struct sample_request *sample, const char *role,
                                         struct dr_buf *facts);
void sample_put_mark(struct sample_making *making);
/* None for an empty one. */
void sample_put_fact_text(struct sample_making *making, dr_slice text);
/* The member `content`. */
void sample_put_content(struct sample_making *making, bool is_text_only);
/* Bytes that begin with `first` (in base64, four letters or a multiple), in the standard alphabet
 * and as some clients send them. */
void sample_make_base64(struct sample_request *sample, const char *first,
                        char standard[SAMPLE_BASE64_BYTES_MAX], struct dr_buf *sent);

#endif
