/* One client's connection to the relay: asks, reads the answer, checks every byte of it, asks
 * again on the same connection. */
#ifndef DR_BENCH_LOAD_CLIENT_H
#define DR_BENCH_LOAD_CLIENT_H

#include "base/list.h"
#include "load_histogram.h"
#include "load_loop.h"
#include "load_wire.h"

#include <netinet/in.h>

enum load_client_stage {
    LOAD_CLIENT_CLOSED,
    LOAD_CLIENT_CONNECTING,
    LOAD_CLIENT_OPENING, /* a WebSocket: for the answer to its handshake */
    LOAD_CLIENT_READY,   /* between two requests */
    LOAD_CLIENT_WAITING, /* for the answer's head */
    LOAD_CLIENT_READING,
};

/* How far the stream of a provider that speaks Anthropic's Messages has come, with a relay that
 * passes it on and with one that makes OpenAI's chunks of it. */
enum load_message_stage {
    LOAD_MESSAGE_NEW,
    LOAD_MESSAGE_PASSED_BEGIN,
    LOAD_MESSAGE_PASSED_EVENTS,
    LOAD_MESSAGE_PASSED_END,
    LOAD_MESSAGE_EVENTS,
    LOAD_MESSAGE_FINISHED,
    LOAD_MESSAGE_COUNTED, /* the usage has come */
};

/* What went wrong, counted by kind. */
enum load_fault {
    LOAD_FAULT_CONNECT,
    LOAD_FAULT_SEND,
    LOAD_FAULT_STATUS, /* not 200, for a WebSocket 101; a frame of an error */
    LOAD_FAULT_FRAMING,
    LOAD_FAULT_CUT,   /* closed within an answer */
    LOAD_FAULT_ORDER, /* a byte that is not the one that had to come */
    LOAD_FAULT_SHORT, /* the answer ended without all its events */
    LOAD_FAULT_COUNT
};
extern const char *const load_fault_names[LOAD_FAULT_COUNT];

/* What all clients of a run note. */
struct load_tally {
    bool is_open; /* within the measured window */
    uint64_t answers;
    uint64_t events;
    uint64_t bytes;
    uint64_t answers_ever;
    uint64_t faults[LOAD_FAULT_COUNT];
    char first_fault[400];             /* a sentence with what came */
    struct load_histogram latency;     /* of whole answers, from when they were due */
    struct load_histogram first_event; /* of streams */
    struct load_histogram lateness;    /* of events: received, after they were due */
    struct load_histogram relayed;     /* of events: received, after they were sent */
};

struct load_client_options {
    struct sockaddr_in target;
    bool is_stream;
    bool is_resumable;    /* with `is_stream`: asked for with x-drover-resumable */
    bool is_ws;           /* streams over a WebSocket; then `is_stream` does not count */
    bool is_trusting;     /* a provider that is not ours: only framing and the end are checked */
    bool is_deaf;         /* never reads unless told to */
    int receive_buffer;   /* SO_RCVBUF, 0: the system's */
    uint32_t event_count; /* of each stream */
};

struct load_client {
    struct load_socket socket;
    struct dr_list place; /* the owner's */
    enum load_client_stage stage;
    const struct load_client_options *options;
    struct load_loop *loop;
    struct load_wire *wire;
    struct load_tally *tally;
    /* The answer is whole, or the connection is lost: the stage is READY or CLOSED. */
    void (*answered)(struct load_client *client, int64_t now_ns);
    void *owner;
    uint64_t number;
    int64_t due_ns; /* when the request was to be sent */
    bool is_chunked;
    bool is_done; /* [DONE] was read, or message_stop */
    bool has_begun;
    bool has_finish;
    bool will_close;
    struct load_chunks chunks; /* or `left` alone, of a body with a length */
    size_t body_at;
    uint32_t event_count;
    enum load_message_stage message_stage;
    size_t message_at; /* within the text that has to come, when it is passed on */
    char *carry;       /* a head, line or frame that came in pieces */
    size_t carry_len;
    uint32_t
        frame_count; /* `seq` of a WebSocket's latest frame, `id` of a resumable stream's event */
    uint8_t request_id_len;
    char request_id[LOAD_REQUEST_ID_BYTES_MAX]; /* of the frame that accepted */
};

/* Asks with `number`; connects first when there is no connection. */
void load_client_ask(struct load_client *client, uint64_t number, int64_t due_ns);
/* A deaf client reads up to `len` bytes. */
void load_client_listen(struct load_client *client, size_t len);
void load_client_close(struct load_client *client);

#endif
