/* What has been sent of answers, so that a client that lost its connection can come back to one on
 * any connection of its account, whichever worker it lands on. An answer is *written* by the thread
 * of its exchange and *followed* by the thread of the connection that resumed it.
 *
 * A record keeps rows of frames as they were put, at most 1 MiB of them; how a frame is told from
 * the next one is its writer's and its follower's to know. A record that grew longer can be resumed
 * no more; it is a queue for the follower that it has, if it has one. All records together are
 * bounded: beyond that those that ended first give way, those of the same account when it has more
 * than an eighth of all, and when there is none, the answer that found no room can be resumed no
 * more. */
#ifndef DR_GATEWAY_REPLAY_SHARED_H
#define DR_GATEWAY_REPLAY_SHARED_H

#include "base/buf.h"
#include "base/instant.h"
#include "base/list.h"
#include "base/slice.h"
#include "base/status.h"
#include "net/mailbox.h"

struct leaf;
struct replay;
struct replay_table;

enum { REPLAY_BYTES_MAX = 1024 * 1024 };

/* NULL when out of memory. `seed` keys the hash; `bytes_max` bounds all records together. `maker`
 * is of the thread that makes memory ready for them, ahead, which takes milliseconds; may be NULL.
 */
struct replay_table *replay_table_new(uint64_t seed, size_t bytes_max, struct dr_mailbox *maker);
/* Nobody writes or follows any more, and the maker's mailbox is closed. Accepts NULL. */
void replay_table_free(struct replay_table *table);
/* What records have of the system's memory. */
size_t replay_table_bytes(struct replay_table *table);
/* Gives memory that no record uses back to the system; for idle times. */
void replay_table_trim(struct replay_table *table);
/* Lets records go whose time is over, to be called now and then; the memory of the last of them
 * goes back to the system. */
void replay_table_tidy(struct replay_table *table, dr_instant now);

/* --- the writer's side */

/* What the writer is told, by its mailbox; bits. */
enum replay_fact {
    REPLAY_MOVED = 1,   /* somebody follows now */
    REPLAY_DRAINED = 2, /* the follower has taken what waited */
    REPLAY_LEFT = 4,    /* the follower is gone */
    REPLAY_CANCEL = 8,  /* the follower asks to stop */
};

struct replay_writer {
    struct dr_mailbox *mailbox;
    void (*told)(void *owner, unsigned facts);
    void *owner;
};

/* What the writer writes with; embedded in what it touches with each frame anyway, since with
 * thousands of answers under way none of it is in a cache any more. Zeroed, or opened. */
struct replay_pen {
    struct replay *replay; /* NULL: nothing is recorded */

    /* Private part. */
    struct leaf *leaf; /* where the next frame goes; NULL: nowhere any more */
    uint32_t at;       /* bytes of it that are written */
    bool is_followed;  /* as far as the writer has been told */
    uint64_t bytes;    /* ever written */
};

/* Begins a record that is kept for `keep_ms` after its end. False when out of memory. The pen is
 * kept until replay_close. */
bool replay_open(struct replay_pen *pen, struct replay_table *table, dr_slice request_id,
                 dr_slice account_id, int64_t keep_ms,
                 const struct replay_writer *writer) DR_MUST_USE;
/* Where the next frame goes, to be fetched into the cache some time before; never to be read. */
const void *replay_place(const struct replay_pen *pen);
/* Frames are put in rows, `count` of them at once, at least one. */
void replay_put_row(struct replay_pen *pen, dr_slice row, uint32_t count);
/* A row could not be made: from here on the record is of no use. */
void replay_lose(struct replay_pen *pen);
/* Whether it can be resumed still. */
bool replay_is_kept(const struct replay_pen *pen);
bool replay_is_followed(const struct replay_pen *pen);
/* Bytes that its follower has yet to take, 0 when they are few. After more, REPLAY_DRAINED or
 * REPLAY_LEFT is told. */
size_t replay_pending(const struct replay_pen *pen);
/* Nothing is written or told any more. `is_over`: the last frame has been put, and the record is
 * kept; otherwise nobody can resume it. */
void replay_close(struct replay_pen *pen, bool is_over, dr_instant now);

/* --- the follower's side */

/* Embedded at the beginning of an object from dr_alloc, zeroed. */
struct replay_follower {
    struct dr_mailbox *mailbox;
    /* There may be something to read. Not after replay_leave. */
    void (*told)(struct replay_follower *follower);

    /* Private part. */
    struct dr_message message;
    struct replay *replay;
    struct leaf *leaf; /* where the next row begins */
    uint32_t at;
    uint32_t skipped;     /* frames of it that are not wanted any more */
    uint64_t taken;       /* bytes before it, since the record's beginning */
    uint64_t seq;         /* of the last frame that was handed on */
    struct dr_buf joined; /* a row that stands on several leaves */
    bool is_posted;
    bool is_moved;
    bool has_left;
};

/* Follows from behind frame number `after` on; who followed before is told. DR_OK; DR_CLOSED when
 * there is no such record of the account (any more); DR_INVALID when it has fewer frames. */
enum dr_status replay_follow(struct replay_table *table, dr_slice request_id, dr_slice account_id,
                             uint64_t after, dr_instant now,
                             struct replay_follower *follower) DR_MUST_USE;
enum replay_state {
    REPLAY_WAITS, /* all has been read, or `take` wanted no more */
    REPLAY_ENDED, /* the last frame has been taken */
    REPLAY_LOST,  /* what follows is missing, and will not come any more */
    REPLAY_IS_MOVED,
};
struct replay_row {
    dr_slice frames;
    uint32_t count;
    uint32_t skipped; /* of these, which the follower did not ask for, or has taken */
    uint64_t seq;     /* of the first that is not skipped */
};
/* Hands on what there is, row by row; `take` may not call anything here. It returns how many of the
 * row's frames are done with, skipped ones too: when it wants no more for now these are fewer than
 * all, and the row comes again later. */
enum replay_state replay_read(struct replay_follower *follower, void *owner,
                              uint32_t (*take)(void *owner, const struct replay_row *row));
void replay_ask_cancel(struct replay_follower *follower);
/* Follows no more; frees the follower's memory, now or when nothing is under way to it. */
void replay_leave(struct replay_follower *follower);

#endif
