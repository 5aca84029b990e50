/* What http_server.c (connections, reading) and http_call.c (answers, writing) share. Private to
 * the two: nobody else includes it.
 *
 *   connection   IDLE ──first byte──► BUSY ──answer over, kept──► IDLE
 *                  │                   └──answer over, not kept──► FLUSHING ──drained──► LINGERING
 *                  └──────────────────────► CLOSED ◄──────────────────┴──────────────────────┘
 *
 * An IDLE connection that is to end goes by FLUSHING too: the end of its last answer may wait.
 * A call is attached only while BUSY; a parser only while that call's message is being read. */
#ifndef DR_NET_HTTP_CONNECTION_H
#define DR_NET_HTTP_CONNECTION_H

#include "net/http_server.h"

enum {
    DR_HTTP_DROP_BYTES_MAX = 65536, /* of an unwanted body, so that the connection can be kept */
    /* What a client that was answered before it had sent all may yet send: many look for an answer
     * only behind their last byte, and lose it when the connection is closed before. */
    DR_HTTP_LINGER_BYTES_MAX = 128 * 1024 * 1024,
    DR_HTTP_LINGERING_MAX = 256, /* at once; then the one that began first is closed */
    DR_HTTP_FREE_CALLS_MAX = 128,
    DR_HTTP_FREE_PARSERS_MAX = 64,
    DR_HTTP_DATE_LINE_BYTES = 37, /* "Date: " 29 characters CRLF */
};

enum dr_http_connection_state {
    DR_HTTP_CONNECTION_IDLE,
    DR_HTTP_CONNECTION_BUSY,
    DR_HTTP_CONNECTION_FLUSHING, /* nothing more is read; closes once the last answer has left */
    /* Our FIN is out; what still comes is dropped, within bounds of time, bytes and number. */
    DR_HTTP_CONNECTION_LINGERING,
    DR_HTTP_CONNECTION_CLOSED, /* waits for the stream's `closed` */
};

/* What the one timer of a connection stands for. */
enum dr_http_deadline {
    DR_HTTP_DEADLINE_UNSET, /* the next look must start afresh */
    DR_HTTP_DEADLINE_NONE,
    DR_HTTP_DEADLINE_IDLE,
    DR_HTTP_DEADLINE_HEAD,
    DR_HTTP_DEADLINE_BODY,
    DR_HTTP_DEADLINE_WRITE,
    DR_HTTP_DEADLINE_LINGER,
};

/* Limits outlive a change of options as long as a parser refers to them. */
struct dr_http_limits_box {
    struct dr_http1_limits limits;
    size_t holders;
};

struct dr_http_server {
    struct dr_loop *loop;
    const struct dr_http_service *service;
    void *service_owner;
    struct dr_http_server_options options;
    struct dr_http_limits_box *limits;
    struct dr_list connections; /* all but those that linger */
    struct dr_list lingering;   /* the newest last */
    size_t lingering_count;
    size_t connection_count;
    struct dr_http_call *free_calls;
    size_t free_call_count;
    struct dr_http1_parser *free_parsers[DR_HTTP_FREE_PARSERS_MAX];
    size_t free_parser_count;
    struct dr_buf head; /* composed here, written, forgotten */
    struct dr_buf refusal;
    int64_t date_second;
    char date_line[DR_HTTP_DATE_LINE_BYTES];
    bool is_draining;
};

struct dr_http_connection {
    struct dr_list node; /* in one of the server's two lists */
    struct dr_http_server *server;
    struct dr_stream *stream;
    struct dr_http_call *call; /* NULL while no request is under way */
    struct dr_timer timer;
    uint64_t written; /* bytes handed to the stream so far */
    uint64_t taken;   /* of those, gone to the system when the write deadline began; of a lingering
                       * one what was dropped then */
    uint32_t dropped; /* bytes dropped while flushing or lingering */
    uint8_t state;    /* enum dr_http_connection_state */
    uint8_t deadline; /* enum dr_http_deadline */
    uint8_t lingered; /* times that its lingering was prolonged */
    uint8_t followed; /* requests begun behind another's answer in this run of the parse loop */
    bool is_running;  /* inside the parse loop: answers given now do not advance */
    bool may_linger;  /* the client may still be sending */
    bool has_ended;   /* the client's FIN has come */
    bool is_pending_max_raised;
};

enum dr_http_reading {
    DR_HTTP_READING_HEAD,
    DR_HTTP_READING_BODY,
    DR_HTTP_READING_DROPPED_BODY, /* answered without it */
    DR_HTTP_READING_WHOLE,        /* the message is complete; later bytes belong to the next */
};

enum dr_http_answer {
    DR_HTTP_ANSWER_NONE, /* the service does not know of the call yet */
    DR_HTTP_ANSWER_AWAITED,
    DR_HTTP_ANSWER_BEGUN,
    DR_HTTP_ANSWER_OVER, /* also after `gone` */
};

struct dr_http_call {
    struct dr_http_connection *connection;
    struct dr_http_call *next_free;
    void *owner;
    struct dr_http1_parser *parser;
    struct dr_http_limits_box *limits;
    struct dr_buf body;        /* pieces of a body that did not come in one read */
    struct dr_buf kept;        /* bytes of later requests */
    size_t kept_start;         /* of `kept`, already parsed */
    struct dr_buf head;        /* of a begun answer, until its first piece */
    dr_slice held;             /* the newest piece of the body; lives within one read */
    struct dr_deferred resume; /* goes on with `kept` */
    uint64_t body_max;
    uint64_t content_length;
    uint64_t body_received;
    uint64_t body_dropped;
    enum dr_http_reading reading;
    enum dr_http_answer answer;
    uint8_t minor_version;
    bool is_head_request;
    bool keeps_alive;
    bool has_length;
    bool has_body;
    bool owes_continue; /* the client waits for 100 before it sends the body */
    bool must_close;
    bool is_chunked_answer;
    bool has_silent_body; /* HEAD, 204, 304: pieces are dropped */
    /* Not NULL: the answer is 101, its head waits in `head`, and the stream goes to `taken`. */
    void (*taken)(void *owner, struct dr_stream *stream, dr_slice rest);
    void *taken_owner;
};

/* --- http_server.c ---------------------------------------------------------------------------- */

/* After an answer's end, or a write: goes to the next request or towards the close, minds the
 * timer. */
void dr_http_connection_advance(struct dr_http_connection *connection);
/* Nothing more is read; closes when what waits has left, lingering if the client may still send. */
void dr_http_connection_finish(struct dr_http_connection *connection, bool may_linger);
/* The client sees a reset; an open call gets `gone` from the stream's `closed`, in a later turn. */
void dr_http_connection_reset(struct dr_http_connection *connection);
/* Tells the service, once, that its call is over without an answer. */
void dr_http_call_note_gone(struct dr_http_call *call);

/* --- http_call.c ------------------------------------------------------------------------------ */

/* False when the connection had to be reset. */
bool dr_http_connection_write(struct dr_http_connection *connection, const dr_slice *parts,
                              size_t part_count);
/* Answers for the service where no call can be, or none any more, and finishes the connection. */
void dr_http_connection_refuse(struct dr_http_connection *connection, uint16_t status,
                               const char *text);

#endif
