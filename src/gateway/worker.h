/* One thread: its loop, listener, connections, pools, counters and journal. No globals:
 * everything that runs on the thread reaches its worker by the object it was handed. */
#ifndef DR_GATEWAY_WORKER_H
#define DR_GATEWAY_WORKER_H

#include "base/arena.h"
#include "base/json.h"
#include "base/list.h"
#include "base/random.h"
#include "dialect/dialect.h"
#include "gateway/counters.h"
#include "gateway/replay_shared.h"
#include "gateway/session_shared.h"
#include "gateway/snapshot.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/listener.h"
#include "net/mailbox.h"
#include "net/ws_session.h"
#include "store/bookkeeper.h"
#include "store/journal.h"
#include "store/key_table.h"

/* What new exchanges of a worker see: a snapshot, a key table, the origins of its providers.
 * Counted by the worker's own thread: exchanges keep theirs until they close. */
struct edition {
    struct snapshot *snapshot;
    struct key_table *keys;
    struct dr_http_origin **origins; /* by provider index */
    size_t users;                    /* exchanges, and 1 while it is the current one */
};

/* An answer that a connection of this worker has resumed; embedded. */
struct worker_follow {
    struct dr_list node;
    void (*cut)(void *owner); /* the drain's time is over: it ends itself */
    void *owner;
};

struct worker {
    uint32_t index;
    struct dr_loop *loop;
    struct dr_mailbox *mailbox; /* for everybody who has something to tell this thread */
    struct dr_resolver *resolver;
    struct dr_http_pool *pool;
    struct dr_http_server *http;
    struct dr_ws_hub *ws;                    /* all WebSocket sessions */
    struct dr_ws_session_options ws_options; /* of those that chat, by the latest edition */
    struct dr_ws_budget ws_strangers;        /* of messages whose senders have no key yet */
    struct dr_listener *listener; /* lives until the last accepted connection has closed */
    bool is_listening;
    struct journal *journal;
    struct bookkeeper *bookkeeper;
    struct session_table *sessions; /* of all workers */
    struct replay_table *replays;   /* likewise */
    struct edition *edition;
    bool is_draining;

    struct dr_json_reader *json;
    struct dr_json_reader *arguments_json; /* of tool calls, while a reading holds their request */
    struct dialect_reader *reader;
    struct openai_answer_reader *answers; /* the reader's own, for bytes that pass */
    struct dr_buf head;                   /* scratch for one answer's headers */
    struct dr_buf body;                   /* scratch for one small body */
    struct dr_buf frame;  /* scratch for one frame of a WebSocket; begins by a reset */
    struct dr_buf events; /* of a resumable event stream; empty but in a piece */
    /* what a translator has rendered of the piece under way (translator.h) */
    struct dr_buf written;
    /* of the piece under way (downstream_ws.c); empty between two pieces */
    struct dr_buf frames;
    uint32_t frame_count;
    struct dr_entropy entropy;
    struct dr_block_pool blocks;
    struct dr_list exchanges;       /* running */
    struct dr_list spare_exchanges; /* memory for the next ones */
    size_t spare_exchange_count;
    struct dr_list spare_readings; /* likewise (reading.h) */
    size_t spare_reading_count;
    size_t running;         /* exchanges */
    size_t running_peak;    /* since memory was last given back */
    size_t lookup_count;    /* waiting for the store */
    struct dr_list follows; /* struct worker_follow */
    uint64_t key_turn;      /* which of a provider's keys comes next */
    struct counters counters;

    /* Private part: life of the thread. */
    struct worker_thread *thread;
};

struct worker_options {
    uint32_t index;
    struct snapshot *snapshot;      /* held */
    struct key_table *keys;         /* held */
    struct bookkeeper *bookkeeper;  /* kept */
    dr_slice listen;                /* with the port in use */
    struct dr_places *places;       /* for connections, of all workers; kept */
    struct session_table *sessions; /* likewise */
    struct replay_table *replays;   /* likewise */
    const char *journal_folder;
    const char *dns_servers; /* NULL: the system's (tests) */
    /* Posted to `server_mailbox` when a draining worker has nothing left; then worker_join may
     * be called. */
    struct dr_mailbox *server_mailbox;
    void (*idle)(struct worker *worker, void *owner);
    void *owner;
};

/* Starts the thread; returns when it listens, or has failed to. */
enum dr_status worker_start(const struct worker_options *options, struct worker **ret_worker,
                            struct dr_error *error) DR_MUST_USE;
/* From any thread: new exchanges see these from now on. Both are held by the call. `done` (may
 * be NULL) is posted to when the worker has taken them: see worker_change. */
struct worker_change {
    struct dr_message message; /* private: on its way to the worker */
    struct worker *worker;
    struct snapshot *snapshot; /* NULL: unchanged; taken */
    struct key_table *keys;    /* NULL: unchanged; taken */
    /* on the worker's thread; the change is the maker's again */
    void (*done)(struct worker_change *change);
    void *owner;
};
void worker_post_change(struct worker *worker, struct worker_change *change);
/* From the server's thread: closes idle connections, refuses new exchanges; running ones have
 * `drain_ms`, then are cut; it stops listening with the last of them; `idle` follows. `drain_ms` 0
 * ends at once. May be called once more with 0. */
void worker_post_drain(struct worker *worker, int64_t drain_ms);
/* After `idle` only: ends the thread, waits for it, frees. Nobody may post to the worker any
 * more. */
void worker_join(struct worker *worker);
/* From any thread. */
void worker_post(struct worker *worker, struct dr_message *message);
uint16_t worker_port(const struct worker *worker);

/* --- for exchanges, on the thread
 * ------------------------------------------------------------------------- */
struct edition *edition_hold(struct edition *edition);
void edition_release(struct edition *edition);
/* Takes both. NULL when out of memory. */
struct edition *edition_new(struct worker *worker, struct snapshot *snapshot,
                            struct key_table *keys);
/* Readers, scratch buffers, lists of spares: what exchanges are made of and answered with. A worker
 * that has them can tell its clients that it is out of memory. Clear accepts a half-made one. */
enum dr_status worker_memory_init(struct worker *worker, struct dr_error *error) DR_MUST_USE;
void worker_memory_clear(struct worker *worker);
/* One that no other request has. */
void worker_take_request_id(struct worker *worker, char text[REQUEST_ID_BYTES]);
/* A draining worker waits for it, but no longer than for exchanges. */
void worker_add_follow(struct worker *worker, struct worker_follow *follow);
void worker_drop_follow(struct worker *worker, struct worker_follow *follow);
/* An exchange has closed: a draining worker may end now, an idle one may give memory back. */
void worker_note_idle(struct worker *worker);

#endif
