/* The three dialects that the simulated provider speaks, each a table of pure functions. The server
 * (provider.c, provider_call.c) knows them by this table alone. */
#ifndef DR_SIM_SIM_DIALECT_H
#define DR_SIM_SIM_DIALECT_H

#include "base/buf.h"
#include "base/json.h"
#include "net/http1_parse.h"
#include "sim/ask.h"
#include "sim/reply.h"

/* An error as the dialect's provider would tell it. */
struct sim_error {
    uint16_t status;
    const char *message;
    const char *type;  /* NULL: the dialect's word for the status */
    const char *param; /* NULL or empty: null */
    const char *code;  /* the same */
    uint32_t retry_after_s;
};

/* The token of "Authorization: Bearer …"; DR_NONE without one. */
dr_slice sim_bearer(const struct dr_http1_head *head);
/* The key that every dialect refuses, each in its words. */
bool sim_key_is_refused(dr_slice key);

/* The one of that status; where a dialect has no words of its own, general ones of the type
 * `general`. */
struct sim_error sim_error_find(const struct sim_error *errors, size_t count, uint16_t status,
                                const char *general);

/* What the target of a request tells; all false and empty where nothing. */
struct sim_target {
    dr_slice model; /* percent-encoded */
    bool is_streamed;
    bool is_listed;
};

struct sim_dialect {
    const char *name;
    dr_slice json_type; /* Content-Type */
    dr_slice stream_type;
    const char *bad_json;   /* what is said of a body that is no JSON */
    bool gives_calls_whole; /* in one event of a stream */

    /* The key and whatever else the heads of all requests need. False with an error. */
    bool (*check_head)(const struct dr_http1_head *head, struct sim_error *error);
    /* DR_OK or DR_INVALID with the complaint. `ask` has been initialised and holds what the target
     * told. */
    enum dr_status (*read)(dr_json root, struct sim_ask *ask, struct sim_scratch *scratch,
                           struct sim_complaint *complaint);
    /* Appends to the reply's text what each event or the whole begins with, and notes it as its
     * prefix. */
    void (*prepare)(struct sim_reply *reply, const struct sim_reply_options *options,
                    dr_slice model);
    /* The whole answer. */
    void (*write)(const struct sim_reply *reply, struct dr_buf *buf);
    /* What write_event will write next. Nothing comes after SIM_EVENT_DONE. */
    enum sim_event (*next)(const struct sim_reply *reply);
    /* One event with its framing; SIM_EVENT_DONE may be no bytes at all. */
    void (*write_event)(struct sim_reply *reply, struct dr_buf *buf);
    /* The next event, broken off within its JSON; not counted. */
    void (*write_broken_event)(struct sim_reply *reply, struct dr_buf *buf);
    /* An error within a stream, after which it ends. */
    void (*write_error_event)(struct dr_buf *buf);
    /* An error's body; `id` is the request's. */
    void (*write_error)(const struct sim_error *error, dr_slice id, struct dr_buf *buf);
    /* The error that the provider has for a status; otherwise a general one. */
    struct sim_error (*failure)(uint16_t status);
    /* Header lines that the provider sends along, the request's id among them. */
    void (*put_headers)(dr_slice id, uint32_t retry_after_s, struct dr_buf *headers);
    /* One text without end: what stands before and behind it. */
    void (*put_huge_start)(bool is_streamed, struct dr_buf *buf);
    void (*put_huge_end)(bool is_streamed, struct dr_buf *buf);
};

extern const struct sim_dialect sim_chat;     /* OpenAI: POST /v1/chat/completions */
extern const struct sim_dialect sim_messages; /* Anthropic: POST /v1/messages */
extern const struct sim_dialect sim_generate; /* Gemini: POST /v1beta/models/M:generateContent */

enum sim_route_found {
    SIM_ROUTE_UNKNOWN,
    SIM_ROUTE_CHAT,
    SIM_ROUTE_MODELS, /* OpenAI's list of models */
};

/* The dialect that the target of a request belongs to, OpenAI's where it belongs to none, and what
 * it asks for. Slices of the target are lent. */
const struct sim_dialect *sim_dialect_find(dr_slice target, enum sim_route_found *ret_route,
                                           struct sim_target *ret_target);

#endif
