/* Records of answers under way and kept. Must not know what frames say.
 *
 * Locks: the table's before a record's, never the other way round.
 * Counts of a record: the table, the writer, the follower, a message under way to the writer. */
#include "gateway/replay_shared.h"

#include <pthread.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/map.h"

enum {
    RECORDS_MAX = 1 << 20,
    PENDING_BYTES_HIGH = 16 * 1024,
    ENDED_BYTES_MAX = 64 * 1024 * 1024, /* of all that have ended; the oldest give way */
    FIRST_BYTES = 2048,                 /* of a record: most answers grow beyond the least */
};

/* What each frame touches stands together in front: with thousands of answers under way none of it
 * is in a cache any more. */
struct replay {
    pthread_mutex_t mutex;
    struct replay_follower *follower;
    uint64_t count;       /* frames ever put */
    struct dr_buf frames; /* a row of tails */
    uint64_t base;        /* bytes dropped in front */
    bool is_kept;         /* all frames are there */
    bool is_over;

    uint32_t users;
    struct replay_table *table;
    struct replay_writer writer; /* owner NULL: closed */
    struct dr_message message;
    unsigned facts; /* to be told */
    bool is_posted;
    bool is_waiting; /* for REPLAY_DRAINED */

    /* the table's */
    struct dr_list node; /* of those that have ended, the oldest first */
    bool is_listed;
    int64_t keep_ms;
    dr_instant ended;
    size_t ended_bytes;
    size_t id_len;
    size_t account_len;
    char texts[]; /* request id, account's id */
};

struct replay_table {
    pthread_mutex_t mutex;
    struct dr_map by_id;
    struct dr_list ended;
    size_t ended_bytes;
};

struct replay_table *replay_table_new(uint64_t seed) {
    struct replay_table *table = dr_alloc_zero(1, sizeof *table);
    if (!table) return NULL;
    pthread_mutex_init(&table->mutex, NULL);
    dr_map_init(&table->by_id, RECORDS_MAX, seed);
    dr_list_init(&table->ended);
    return table;
}

static void replay_free(struct replay *replay) {
    dr_assert(!replay->follower && !replay->is_posted);
    dr_buf_clear(&replay->frames);
    pthread_mutex_destroy(&replay->mutex);
    dr_free(replay);
}

static void replay_release(struct replay *replay) {
    pthread_mutex_lock(&replay->mutex);
    const bool is_last = --replay->users == 0;
    pthread_mutex_unlock(&replay->mutex);
    if (is_last) replay_free(replay);
}

/* Out of the table, under its mutex. */
static void table_drop(struct replay_table *table, struct replay *replay) {
    if (!replay->is_listed) return;
    replay->is_listed = false;
    (void)dr_map_take(&table->by_id, dr_slice_of(replay->texts, replay->id_len));
    if (!dr_list_is_empty(&replay->node)) table->ended_bytes -= replay->ended_bytes;
    dr_list_remove(&replay->node);
    replay_release(replay);
}

static void table_tidy(struct replay_table *table, dr_instant now) {
    while (!dr_list_is_empty(&table->ended)) {
        struct replay *oldest = dr_list_item(table->ended.next, struct replay, node);
        const bool is_due = dr_instant_us_since(now, oldest->ended) >= oldest->keep_ms * 1000;
        if (!is_due && table->ended_bytes <= ENDED_BYTES_MAX) return;
        table_drop(table, oldest);
    }
}

void replay_table_free(struct replay_table *table) {
    if (!table) return;
    while (!dr_list_is_empty(&table->ended)) {
        table_drop(table, dr_list_item(table->ended.next, struct replay, node));
    }
    dr_assert(table->by_id.count == 0);
    dr_map_clear(&table->by_id);
    pthread_mutex_destroy(&table->mutex);
    dr_free(table);
}

/* --- the writer's side
 * -------------------------------------------------------------------------- */

struct replay *replay_open(struct replay_table *table, dr_slice request_id, dr_slice account_id,
                           int64_t keep_ms, const struct replay_writer *writer, dr_instant now) {
    struct replay *replay = dr_alloc_zero(1, sizeof *replay + request_id.len + account_id.len);
    if (!replay) return NULL;
    pthread_mutex_init(&replay->mutex, NULL);
    replay->table = table;
    replay->users = 2;
    replay->writer = *writer;
    replay->keep_ms = keep_ms;
    replay->is_kept = true;
    replay->is_listed = true;
    replay->id_len = request_id.len;
    replay->account_len = account_id.len;
    memcpy(replay->texts, request_id.data, request_id.len);
    memcpy(replay->texts + request_id.len, account_id.data, account_id.len);
    dr_buf_init(&replay->frames, SIZE_MAX / 2); /* the writer is paused before it grows far */
    dr_list_init(&replay->node);
    pthread_mutex_lock(&table->mutex);
    table_tidy(table, now);
    const enum dr_status status =
        dr_map_put(&table->by_id, dr_slice_of(replay->texts, replay->id_len), replay);
    pthread_mutex_unlock(&table->mutex);
    if (status == DR_OK) return replay;
    replay_free(replay);
    return NULL;
}

/* Under the record's mutex. */
static void tell_follower(struct replay *replay) {
    struct replay_follower *follower = replay->follower;
    if (!follower || follower->is_posted) return;
    follower->is_posted = true;
    dr_mailbox_post(follower->mailbox, &follower->message);
}

static void writer_told(struct dr_message *message) {
    struct replay *replay = dr_list_item(message, struct replay, message);
    pthread_mutex_lock(&replay->mutex);
    const unsigned facts = replay->facts;
    const struct replay_writer writer = replay->writer;
    replay->facts = 0;
    replay->is_posted = false;
    pthread_mutex_unlock(&replay->mutex);
    /* Closing is this thread's own, so the owner is there still. */
    if (writer.owner) writer.told(writer.owner, facts);
    replay_release(replay);
}

/* Under the record's mutex. */
static void tell_writer(struct replay *replay, unsigned fact) {
    if (!replay->writer.owner) return;
    replay->facts |= fact;
    if (replay->is_posted) return;
    replay->is_posted = true;
    replay->users++;
    replay->message.run = writer_told;
    dr_mailbox_post(replay->writer.mailbox, &replay->message);
}

/* Drops what the follower has taken, or all when there is none; under the record's mutex. */
static void drop_taken(struct replay *replay) {
    const size_t taken =
        replay->follower ? (size_t)(replay->follower->at - replay->base) : replay->frames.len;
    dr_buf_consume(&replay->frames, taken);
    replay->base += taken;
}

/* Whether there is room for `len` bytes more, of `count` frames; under the record's mutex. False
 * when they are not to be kept, or there is no memory for them. */
static bool make_room(struct replay *replay, size_t len, uint64_t count) {
    struct dr_buf *frames = &replay->frames;
    replay->count += count;
    if (replay->is_kept && frames->len + len > REPLAY_BYTES_MAX) replay->is_kept = false;
    if (!replay->is_kept) drop_taken(replay);
    if (!replay->is_kept && !replay->follower) return false;
    const bool is_first = frames->capacity == 0 && len < FIRST_BYTES;
    const bool has_room = dr_buf_reserve(frames, is_first ? FIRST_BYTES : len) != NULL;
    /* Out of memory: nobody can resume it any more, and who follows it misses these frames. */
    if (!has_room) replay->is_kept = false;
    tell_follower(replay);
    return has_room;
}

/* Without the mutex: only this thread moves the frames. */
void replay_fetch(const struct replay *replay) {
    const struct dr_buf *frames = &replay->frames;
    if (frames->len < frames->capacity) __builtin_prefetch(frames->data + frames->len, 1);
}

void replay_put(struct replay *replay, dr_slice tail) {
    const uint32_t len = (uint32_t)tail.len;
    pthread_mutex_lock(&replay->mutex);
    if (make_room(replay, sizeof len + tail.len, 1)) {
        dr_buf_put(&replay->frames, dr_slice_of((const char *)&len, sizeof len));
        dr_buf_put(&replay->frames, tail);
    }
    pthread_mutex_unlock(&replay->mutex);
}

size_t replay_tail_begin(struct dr_buf *row) {
    const uint32_t len = 0;
    const size_t begin = row->len;
    dr_buf_put(row, dr_slice_of((const char *)&len, sizeof len));
    return begin;
}

void replay_tail_end(struct dr_buf *row, size_t begin) {
    if (dr_buf_status(row)) return;
    const uint32_t len = (uint32_t)(row->len - begin - sizeof len);
    memcpy(row->data + begin, &len, sizeof len);
}

bool replay_row_next(dr_slice *row, dr_slice *ret_tail) {
    uint32_t len;
    if (row->len == 0) return false;
    dr_assert(row->len >= sizeof len);
    memcpy(&len, row->data, sizeof len);
    *row = dr_slice_from(*row, sizeof len);
    *ret_tail = dr_slice_first(*row, len);
    *row = dr_slice_from(*row, len);
    return true;
}

void replay_put_row(struct replay *replay, dr_slice row) {
    uint64_t count = 0;
    dr_slice tail;
    for (dr_slice rest = row; replay_row_next(&rest, &tail);) count++;
    pthread_mutex_lock(&replay->mutex);
    if (make_room(replay, row.len, count)) dr_buf_put(&replay->frames, row);
    pthread_mutex_unlock(&replay->mutex);
}

bool replay_is_kept(struct replay *replay) {
    pthread_mutex_lock(&replay->mutex);
    const bool is_kept = replay->is_kept;
    pthread_mutex_unlock(&replay->mutex);
    return is_kept;
}

bool replay_is_followed(struct replay *replay) {
    pthread_mutex_lock(&replay->mutex);
    const bool is_followed = replay->follower != NULL;
    pthread_mutex_unlock(&replay->mutex);
    return is_followed;
}

static size_t untaken(const struct replay *replay) {
    if (!replay->follower) return 0;
    return (size_t)(replay->base + replay->frames.len - replay->follower->at);
}

size_t replay_pending(struct replay *replay) {
    pthread_mutex_lock(&replay->mutex);
    const size_t waiting = untaken(replay);
    const size_t pending = waiting > PENDING_BYTES_HIGH ? waiting : 0;
    if (pending > 0) replay->is_waiting = true;
    pthread_mutex_unlock(&replay->mutex);
    return pending;
}

void replay_close(struct replay *replay, bool is_over, dr_instant now) {
    struct replay_table *table = replay->table;
    pthread_mutex_lock(&table->mutex);
    pthread_mutex_lock(&replay->mutex);
    replay->writer.owner = NULL;
    replay->is_over = is_over;
    const bool is_kept = is_over && replay->is_kept;
    replay->ended = now;
    dr_buf_trim(&replay->frames); /* it may be kept for long */
    replay->ended_bytes = replay->frames.capacity + sizeof *replay;
    tell_follower(replay);
    pthread_mutex_unlock(&replay->mutex);
    if (is_kept) {
        dr_list_put_last(&table->ended, &replay->node);
        table->ended_bytes += replay->ended_bytes;
    } else {
        table_drop(table, replay);
    }
    table_tidy(table, now);
    pthread_mutex_unlock(&table->mutex);
    replay_release(replay);
}

/* --- the follower's side
 * ------------------------------------------------------------------------ */

static void follower_told(struct dr_message *message) {
    struct replay_follower *follower = dr_list_item(message, struct replay_follower, message);
    struct replay *replay = follower->replay;
    pthread_mutex_lock(&replay->mutex);
    follower->is_posted = false;
    pthread_mutex_unlock(&replay->mutex);
    if (!follower->has_left) {
        follower->told(follower);
        return;
    }
    replay_release(replay);
    dr_free(follower);
}

/* Bytes of the first `count` frames; under the record's mutex. */
static uint64_t bytes_of_frames(const struct replay *replay, uint64_t count) {
    uint64_t at = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t len;
        memcpy(&len, replay->frames.data + at, sizeof len);
        at += sizeof len + len;
    }
    return at;
}

static struct replay *table_find(struct replay_table *table, dr_slice request_id,
                                 dr_slice account_id, dr_instant now) {
    table_tidy(table, now);
    struct replay *replay = dr_map_find(&table->by_id, request_id);
    if (!replay) return NULL;
    const dr_slice owner = dr_slice_of(replay->texts + replay->id_len, replay->account_len);
    return dr_slice_is(owner, account_id) ? replay : NULL;
}

enum dr_status replay_follow(struct replay_table *table, dr_slice request_id, dr_slice account_id,
                             uint64_t after, dr_instant now, struct replay_follower *follower) {
    enum dr_status status = DR_CLOSED;
    pthread_mutex_lock(&table->mutex);
    struct replay *replay = table_find(table, request_id, account_id, now);
    if (replay) {
        pthread_mutex_lock(&replay->mutex);
        if (replay->is_kept && after > replay->count) status = DR_INVALID;
        if (replay->is_kept && after <= replay->count) {
            struct replay_follower *older = replay->follower;
            status = DR_OK;
            if (older) {
                older->is_moved = true;
                tell_follower(replay);
            }
            follower->replay = replay;
            follower->at = bytes_of_frames(replay, after);
            follower->seq = after;
            follower->message.run = follower_told;
            replay->follower = follower;
            replay->users++;
            tell_writer(replay, REPLAY_MOVED);
        }
        pthread_mutex_unlock(&replay->mutex);
    }
    pthread_mutex_unlock(&table->mutex);
    return status;
}

enum replay_state replay_read(struct replay_follower *follower, void *owner,
                              bool (*take)(void *owner, uint64_t seq, dr_slice tail)) {
    struct replay *replay = follower->replay;
    enum replay_state state = REPLAY_WAITS;
    pthread_mutex_lock(&replay->mutex);
    if (follower->is_moved) {
        pthread_mutex_unlock(&replay->mutex);
        return REPLAY_IS_MOVED;
    }
    bool wants_more = true;
    while (wants_more && follower->at < replay->base + replay->frames.len) {
        const char *at = replay->frames.data + (follower->at - replay->base);
        uint32_t len;
        memcpy(&len, at, sizeof len);
        wants_more = take(owner, ++follower->seq, dr_slice_of(at + sizeof len, len));
        follower->at += sizeof len + len;
    }
    const bool has_all = follower->at == replay->base + replay->frames.len;
    /* The writer has left: nothing more will come. */
    if (has_all && !replay->writer.owner) state = REPLAY_ENDED;
    if (replay->is_waiting && has_all) {
        replay->is_waiting = false;
        tell_writer(replay, REPLAY_DRAINED);
    }
    pthread_mutex_unlock(&replay->mutex);
    return state;
}

void replay_ask_cancel(struct replay_follower *follower) {
    pthread_mutex_lock(&follower->replay->mutex);
    tell_writer(follower->replay, REPLAY_CANCEL);
    pthread_mutex_unlock(&follower->replay->mutex);
}

void replay_leave(struct replay_follower *follower) {
    struct replay *replay = follower->replay;
    pthread_mutex_lock(&replay->mutex);
    follower->has_left = true;
    if (replay->follower == follower) {
        replay->follower = NULL;
        replay->is_waiting = false;
        tell_writer(replay, REPLAY_LEFT);
    }
    const bool is_posted = follower->is_posted;
    pthread_mutex_unlock(&replay->mutex);
    if (is_posted) return;
    replay_release(replay);
    dr_free(follower);
}
