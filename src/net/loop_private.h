/* What the loop lends to the streams beside its public buffer. For the files of this folder
 * only. */
#ifndef DR_NET_LOOP_PRIVATE_H
#define DR_NET_LOOP_PRIVATE_H

#include "net/loop.h"

struct dr_buf;

/* DR_LOOP_READ_BYTES for deciphered bytes, apart from the read buffer that holds the ciphertext.
 * NULL when out of memory. */
char *dr_loop_plain_buffer(struct dr_loop *loop);

/* What streams have written in this turn of the loop; sent at its end, or sooner when there is no
 * more room. A peer that was woken by the first of many sends finds the others there when it looks,
 * and goes to sleep once: waking it is what costs most of a small send. */
enum {
    DR_OUTBOX_BYTES = 256 * 1024,
    DR_OUTBOX_PIECES = 128,
    DR_OUTBOX_WRITE_BYTES = 4096, /* a larger write is worth a call of its own */
};

struct dr_outbox {
    /* Sends every piece and empties the box; set by who puts pieces in. Calls nobody's facts. */
    void (*send)(struct dr_outbox *outbox);
    size_t len;
    size_t piece_count;
    struct dr_outbox_piece {
        void *stream;
        size_t start;
        size_t len;
    } pieces[DR_OUTBOX_PIECES];
    char bytes[DR_OUTBOX_BYTES];
};
struct dr_outbox *dr_loop_outbox(struct dr_loop *loop);

/* A connected socket, told of edge-triggered (epoll(7), EPOLLET): each change once, so whoever is
 * told reads until there is no more, or remembers that there is. Embedded by its owner, who keeps
 * the memory until a deferred call queued after dr_watch_stop: the turn may still hold a word for
 * it. What is watched keeps the loop running. */
struct dr_watch {
    void (*ready)(void *owner, uint32_t events); /* EPOLLIN | EPOLLOUT | … */
    void *owner;
    int fd;
};
/* 0, or the errno. */
int dr_watch_start(struct dr_watch *watch, struct dr_loop *loop, uint32_t events) DR_MUST_USE;
/* What holds at that moment of the new `events` is told in the next turn. */
void dr_watch_change(struct dr_watch *watch, struct dr_loop *loop, uint32_t events);
/* Before the descriptor is closed. */
void dr_watch_stop(struct dr_watch *watch, struct dr_loop *loop);

/* A deferred call once the other sockets of the turn were served, at the end of the next poll
 * wherever it is asked for outside of one: for work that goes on without a word from the system. */
void dr_loop_take_turns(struct dr_loop *loop, struct dr_deferred *deferred);

/* An empty buffer for one use within one call; its memory is kept by the loop. Each use ends with
 * dr_loop_scratch_done before anything else may ask for it. */
struct dr_buf *dr_loop_scratch(struct dr_loop *loop);
void dr_loop_scratch_done(struct dr_loop *loop);

#endif
