/* An answer on its way over a WebSocket (INTERFACE section 4), with or without its connection. */
#ifndef DR_GATEWAY_WS_ANSWER_H
#define DR_GATEWAY_WS_ANSWER_H

#include "base/list.h"
#include "dialect/openai.h"
#include "dialect/openai_writer.h"
#include "gateway/chat_turn.h"
#include "gateway/refusal.h"
#include "gateway/replay_shared.h"
#include "gateway/ws_summary.h"
#include "net/loop.h"

struct exchange;
struct dr_ws_session;
struct worker;
struct ws_connection;

enum {
    WS_MODEL_BYTES_MAX = 256,
    WS_BEGIN_BYTES_AT_HAND = 64,
    WS_BEGIN_BYTES_SHORT = 32,
    WS_SEQ_DIGITS_MAX = 13, /* at a frame a nanosecond for three hours */
};

/* In its exchange's arena. It is cleared for each answer, so that what few answers have is not in
 * it. */
struct ws_answer {
    /* what every frame needs, in two lines of the cache: see ws_answer_new */
    struct dr_ws_session *session; /* NULL: lost, or resumed elsewhere */
    struct replay_pen pen;         /* its record is NULL when it can't be resumed */
    struct worker *worker;         /* its exchange's */
    dr_slice begin;                /* of every frame: `{"id":…,"seq":` */
    struct openai_halves halves;
    bool has_model; /* its summary has */
    bool is_noted;  /* words too are looked at: for the session, or to place citations */
    uint8_t seq_len;
    char seq[WS_SEQ_DIGITS_MAX];             /* of the latest frame, as text */
    char begin_text[WS_BEGIN_BYTES_AT_HAND]; /* of `begin`, unless it is longer */

    struct exchange *exchange;
    struct ws_connection *connection; /* NULL with `session` */
    struct dr_list node;              /* the connection's running answers */
    struct dr_timer lost_timer;
    dr_slice id; /* as the client wrote it, or one made up */
    dr_slice request_id;
    struct dr_buf ask;                 /* its text, while its session's turn is awaited */
    struct chat_turn *turn;            /* NULL without a session */
    struct openai_call_numbers *calls; /* NULL: there was none yet */
    uint32_t thought_count;            /* blocks of thinking so far */
    bool has_words;                    /* of the present one */
    bool signs_thinking; /* the provider seals it, and wants it back with the next turn */
    bool is_legacy;      /* translated for a client that asked with `functions` */
    struct ws_summary summary;
    uint64_t character_counts[OPENAI_WRITER_CHOICES_MAX]; /* of texts, if is_noted */
};

/* In the exchange's arena. `id` is copied; DR_NONE: the request's is taken; NULL: the frames have
 * none. NULL when out of memory. */
struct ws_answer *ws_answer_new(struct exchange *exchange, const dr_slice *id);
/* What the books and the end are to tell of an ask that may never be read. */
void ws_answer_note_model(struct ws_answer *answer, dr_slice model);
/* Instead of a body: the exchange is refused when it runs. The sentence is copied. */
void ws_answer_refuse(struct ws_answer *answer, const struct refusal *refusal);
/* From here on it can be resumed. */
void ws_answer_record(struct ws_answer *answer);
/* Somebody listens: its connection, or one that resumed it. */
bool ws_answer_is_heard(const struct ws_answer *answer);
/* If nobody listens: begins to count its time, or ends it soon when nobody can come back. */
void ws_answer_mind_loss(struct ws_answer *answer);
/* Its connection has ended. The answer may be gone afterwards. */
void ws_answer_lose(struct ws_answer *answer);
/* Its last frame has been sent. */
void ws_answer_over(struct ws_answer *answer, enum chat_turn_end end);
/* Gives its session back, if it has one. */
void ws_answer_end_turn(struct ws_answer *answer, enum chat_turn_end end);

#endif
