/* For tests of the pipeline: a worker without a thread, with a listener and a journal of its own,
 * a provider and clients of plain sockets, all moved by the test itself. The peers take no memory
 * from dr_alloc, so that a plan of failing allocations meets the gateway alone. */
#ifndef DR_GATEWAY_SAMPLE_WORKER_H
#define DR_GATEWAY_SAMPLE_WORKER_H

#include "base/random.h"
#include "gateway/worker.h"
#include "store/sample_books.h"

enum { PEER_BYTES = 16 * 1024, CLIENTS_MAX = 16, UPSTREAMS_MAX = 64, SCRIPT_PIECES_MAX = 6 };

/* One end of a connection and all that came by it. */
struct peer {
    int fd;         /* -1: none */
    bool has_ended; /* FIN or RST came */
    size_t len;
    char text[PEER_BYTES + 1]; /* NUL-terminated */
};

/* What the provider does when asked for the model of this name. */
struct script {
    const char *model;
    uint16_t status;
    const char *type;
    const char *pieces[SCRIPT_PIECES_MAX]; /* one chunk a turn */
    bool is_cut;                           /* closes behind the last piece instead of ending */
    const char *headers;                   /* more lines of its head; NULL: none */
};

/* One connection to the provider. */
struct upstream {
    struct peer peer;
    const struct script *script; /* under way */
    size_t piece_next;
};

/* The data: books that outlive workers. */
struct sample_data {
    char folder[SAMPLE_PATH_BYTES];
    struct store *store;
    struct tally *tally;
    struct key_table *keys;
    struct tally_account *account; /* of the one key "sk-test" */
};

struct sample_worker {
    struct sample_data *data;
    struct worker worker;
    struct snapshot *snapshot;
    int provider_fd;
    struct upstream upstreams[UPSTREAMS_MAX];
    struct dr_random *random; /* NULL: the provider does what it can at once, a piece a turn */
    struct peer clients[CLIENTS_MAX];
};

void sample_data_open(struct sample_data *data);
void sample_data_close(struct sample_data *data);

/* Cold: nothing is kept from an earlier one. */
void sample_worker_open(struct sample_worker *sample, struct sample_data *data);
/* Ends all; the journal stays in the data folder. */
void sample_worker_close(struct sample_worker *sample);
/* One turn of everybody. */
void sample_worker_turn(struct sample_worker *sample);
/* No exchange and no connection of a client is left. */
bool sample_worker_is_quiet(const struct sample_worker *sample);

/* Connects and sends all of it. */
void client_say(struct sample_worker *sample, struct peer *client, const char *text, size_t len);
void client_ask(struct sample_worker *sample, struct peer *client, const char *key,
                const char *body);
void client_read(struct peer *client);
/* The other side sees FIN, or RST. */
void client_leave(struct peer *client, bool is_reset);

/* What a client was left with. */
enum answer_form {
    FORM_NOTHING, /* closed without a byte */
    FORM_WHOLE,   /* one JSON body */
    FORM_DONE,    /* a stream up to [DONE] */
    FORM_FAILED,  /* a stream up to an error event */
    FORM_CUT,     /* a stream that breaks off, visibly */
};
struct answer {
    enum answer_form form;
    uint16_t status;
    dr_slice request_id;  /* lent by the client's text, as is the next */
    dr_slice cost;        /* x-drover-cost */
    unsigned usage_count; /* how often the client is told its usage */
};
/* NULL when the bytes are one of these forms, complete and well-formed; otherwise what is wrong. */
const char *client_judge(const struct peer *client, bool has_left, struct answer *ret_answer);

/* Of an answer's head; `name` is "name: ". Empty when it has none. */
dr_slice answer_field(dr_slice head, const char *name);
/* The chunks of a body, one behind the other; of a cut one those that are whole. False when they
 * are malformed. */
bool answer_take_chunks(dr_slice body, char text[PEER_BYTES], size_t *ret_len, bool *ret_is_whole);

/* For cmocka: `*state` is a `struct sample_data` for one test. */
int sample_data_set_up(void **state);
int sample_data_tear_down(void **state);

/* Switches the plan of failures off. Whether it has been carried out: that the allocation number
 * `fail_at` was asked for since `made_before` of them had been made. */
bool sample_plan_end(uint64_t made_before, uint64_t fail_at);

/* The records of all journals in the data's folder; their files are removed. `visit` may be
 * NULL. */
size_t sample_data_take_records(struct sample_data *data,
                                void (*visit)(void *owner, const struct ledger_entry *entry),
                                void *owner);

#endif
