/* Records of answers under way and kept. Must not know what frames say.
 *
 * A record is written on a chain of leaves: of each row a *word* (how many frames it has, and how
 * many bytes) and the bytes, filled up to whole words. Behind the last row stands the word 0. The
 * writer puts a row behind that word first and then sets it in one atomic step, by which it becomes
 * a reader's: as long as nobody follows it needs no lock. That somebody does it is told by its
 * mailbox, and what it has put until then it tells of then.
 *
 * Locks: the table's before a record's before the pool's, never the other way round.
 * Counts of a record: the table, the writer, the follower, a message under way to the writer. */
#include "gateway/replay_shared.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/map.h"
#include "gateway/leaf_pool_shared.h"

enum {
    RECORDS_MAX = 1 << 20,
    PENDING_BYTES_HIGH = 16 * 1024,
    FAIR_PART = 8, /* an account with more than this part of all makes room for itself */
    /* Where room is wanted, one in 256 of all records gives way at once, at most 16. */
    GIVING_WAY_PART = 256,
    GIVING_WAY_MAX = 16,
    BURST_FRAMES = 4, /* in one row */
    WORD_BYTES = 8,
};
_Static_assert(LEAF_BYTES % WORD_BYTES == 0, "no word stands on two leaves");

/* Who has records, in the table or out of it. */
struct replay_account {
    size_t count;
    size_t ended_bytes;
    struct dr_list ended; /* the oldest first */
    size_t id_len;
    char id[];
};

struct replay {
    /* What letting go of it touches, a minute after anybody has, and its id. */
    struct dr_list node;       /* the table's: of those that have ended, the oldest first */
    struct dr_list by_account; /* the same, of its account */
    struct replay_account *account;
    struct leaf *first; /* of those not dropped; NULL: all were */
    struct replay_table *table;
    size_t ended_bytes;
    atomic_uint users;
    bool is_listed;  /* the table's */
    uint16_t id_len; /* of `id` */
    dr_instant ended;
    int64_t keep_ms;

    pthread_mutex_t mutex;
    struct replay_follower *follower;
    bool is_kept; /* it has begun, and all frames are there */
    bool is_over;
    bool is_lost; /* the latest frames are not there */
    bool is_posted;
    bool is_waiting;        /* for REPLAY_DRAINED */
    unsigned facts;         /* to be told */
    struct replay_pen *pen; /* NULL: closed */
    struct replay_writer writer;
    struct dr_message message;
    char id[];
};

struct replay_table {
    pthread_mutex_t mutex;
    struct dr_map by_id;
    struct dr_map accounts;
    struct dr_list ended;
    size_t fair_bytes;
    struct leaf_pool *leaves;
};

struct replay_table *replay_table_new(uint64_t seed, size_t bytes_max, struct dr_mailbox *maker) {
    struct replay_table *table = dr_alloc_zero(1, sizeof *table);
    struct leaf_pool *leaves = leaf_pool_new(bytes_max, maker);
    if (!table || !leaves) {
        leaf_pool_free(leaves);
        dr_free(table);
        return NULL;
    }
    table->leaves = leaves;
    pthread_mutex_init(&table->mutex, NULL);
    table->fair_bytes = bytes_max / FAIR_PART;
    dr_map_init(&table->by_id, RECORDS_MAX, seed);
    dr_map_init(&table->accounts, RECORDS_MAX, seed);
    dr_list_init(&table->ended);
    return table;
}

static void replay_free(struct replay *replay) {
    dr_assert(!replay->follower && !replay->is_posted);
    leaf_give_back(replay->table->leaves, replay->first);
    pthread_mutex_destroy(&replay->mutex);
    dr_free(replay);
}

static void replay_hold(struct replay *replay) {
    (void)atomic_fetch_add_explicit(&replay->users, 1, memory_order_relaxed);
}

static void replay_release(struct replay *replay) {
    if (atomic_fetch_sub_explicit(&replay->users, 1, memory_order_acq_rel) == 1) {
        replay_free(replay);
    }
}

/* --- accounts, under the table's mutex
 * ---------------------------------------------------------- */

static struct replay_account *account_of(struct replay_table *table, dr_slice id) {
    struct replay_account *account = dr_map_find(&table->accounts, id);
    if (account) return account;
    account = dr_alloc_zero(1, sizeof *account + id.len);
    if (!account) return NULL;
    memcpy(account->id, id.data, id.len);
    account->id_len = id.len;
    dr_list_init(&account->ended);
    if (dr_map_put(&table->accounts, dr_slice_of(account->id, id.len), account) == DR_OK) {
        return account;
    }
    dr_free(account);
    return NULL;
}

static void account_release(struct replay_table *table, struct replay_account *account) {
    if (--account->count > 0) return;
    (void)dr_map_take(&table->accounts, dr_slice_of(account->id, account->id_len));
    dr_free(account);
}

/* --- the table
 * ---------------------------------------------------------------------------------- */

/* Among those that have ended. */
static void table_list(struct replay_table *table, struct replay *replay) {
    dr_list_put_last(&table->ended, &replay->node);
    dr_list_put_last(&replay->account->ended, &replay->by_account);
    replay->account->ended_bytes += replay->ended_bytes;
}

/* Out of the table, under its mutex. */
static void table_drop(struct replay_table *table, struct replay *replay) {
    if (!replay->is_listed) return;
    replay->is_listed = false;
    (void)dr_map_take(&table->by_id, dr_slice_of(replay->id, replay->id_len));
    if (!dr_list_is_empty(&replay->node)) replay->account->ended_bytes -= replay->ended_bytes;
    dr_list_remove(&replay->node);
    dr_list_remove(&replay->by_account);
    account_release(table, replay->account);
    replay_release(replay);
}

/* What letting go of the record with that node will touch; a list's head does no harm. */
static void fetch_following(const struct dr_list *node) {
    const char *place = (const char *)node;
    for (size_t ahead = 0; ahead <= offsetof(struct replay, id); ahead += DR_CACHE_LINE_BYTES) {
        __builtin_prefetch(place + ahead, 1);
    }
}

static void table_drop_due(struct replay_table *table, dr_instant now) {
    while (!dr_list_is_empty(&table->ended)) {
        struct replay *oldest = dr_list_item(table->ended.next, struct replay, node);
        if (dr_instant_us_since(now, oldest->ended) < oldest->keep_ms * 1000) return;
        table_drop(table, oldest);
    }
}

void replay_table_free(struct replay_table *table) {
    if (!table) return;
    while (!dr_list_is_empty(&table->ended)) {
        table_drop(table, dr_list_item(table->ended.next, struct replay, node));
    }
    dr_assert(table->by_id.count == 0 && table->accounts.count == 0);
    dr_map_clear(&table->by_id);
    dr_map_clear(&table->accounts);
    leaf_pool_free(table->leaves);
    pthread_mutex_destroy(&table->mutex);
    dr_free(table);
}

size_t replay_table_bytes(struct replay_table *table) {
    return leaf_pool_bytes(table->leaves);
}

void replay_table_trim(struct replay_table *table) {
    leaf_pool_trim(table->leaves);
}

void replay_table_tidy(struct replay_table *table, dr_instant now) {
    pthread_mutex_lock(&table->mutex);
    const bool had_some = table->by_id.count > 0;
    table_drop_due(table, now);
    const bool is_empty = table->by_id.count == 0;
    pthread_mutex_unlock(&table->mutex);
    if (had_some && is_empty) replay_table_trim(table);
}

static bool has_much(const struct replay_table *table, const struct replay_account *account) {
    return account->ended_bytes > table->fair_bytes;
}

/* Of an account that has much of its own, the oldest of these. */
static struct replay *table_oldest(const struct replay_table *table,
                                   const struct replay_account *account) {
    if (has_much(table, account)) {
        return dr_list_item(account->ended.next, struct replay, by_account);
    }
    if (dr_list_is_empty(&table->ended)) return NULL;
    return dr_list_item(table->ended.next, struct replay, node);
}

/* Several at once, each fetched into the cache while the one before it goes. An account that had
 * much makes room until it has no more than its part. */
static bool table_make_room(struct replay_table *table, const struct replay_account *account) {
    pthread_mutex_lock(&table->mutex);
    const size_t part = table->by_id.count / GIVING_WAY_PART + 1;
    const bool had_much = has_much(table, account);
    struct replay *oldest = table_oldest(table, account);
    const bool has_some = oldest != NULL;
    for (size_t left = part < GIVING_WAY_MAX ? part : GIVING_WAY_MAX; oldest && left > 0; left--) {
        fetch_following(had_much ? oldest->by_account.next : oldest->node.next);
        table_drop(table, oldest);
        oldest = has_much(table, account) == had_much ? table_oldest(table, account) : NULL;
    }
    pthread_mutex_unlock(&table->mutex);
    return has_some;
}

/* Where there is no more room, what has ended makes some. The account has a record that is not in
 * the list of the ended, so that it stays. */
static struct leaf *table_take_leaf(struct replay_table *table,
                                    const struct replay_account *account) {
    struct leaf *leaf = leaf_take(table->leaves);
    while (!leaf && table_make_room(table, account)) leaf = leaf_take(table->leaves);
    return leaf;
}

/* --- rows
 * --------------------------------------------------------------------------------------- */

static size_t whole_words(size_t len) {
    return (len + WORD_BYTES - 1) & ~(size_t)(WORD_BYTES - 1);
}

static uint64_t word_of(dr_slice row, uint32_t count) {
    dr_assert(count > 0 && row.len <= UINT32_MAX);
    return (uint64_t)count << 32 | row.len;
}

static uint32_t count_of(uint64_t word) {
    return (uint32_t)(word >> 32);
}

static size_t len_of(uint64_t word) {
    return (uint32_t)word;
}

static _Atomic uint64_t *word_at(struct leaf *leaf, uint32_t at) {
    dr_assert_slow(at % WORD_BYTES == 0 && at < LEAF_BYTES);
    return (_Atomic uint64_t *)(void *)(leaf->bytes + at);
}

/* --- the writer's side
 * -------------------------------------------------------------------------- */

static struct replay *replay_new(struct replay_table *table, dr_slice request_id) {
    dr_assert(request_id.len <= UINT16_MAX);
    struct replay *replay = dr_alloc_zero(1, sizeof *replay + request_id.len);
    if (!replay) return NULL;
    pthread_mutex_init(&replay->mutex, NULL);
    replay->table = table;
    atomic_init(&replay->users, 2);
    replay->id_len = (uint16_t)request_id.len;
    memcpy(replay->id, request_id.data, request_id.len);
    dr_list_init(&replay->node);
    dr_list_init(&replay->by_account);
    return replay;
}

/* Under the table's mutex. */
static bool table_add(struct replay_table *table, struct replay *replay, dr_slice account_id) {
    struct replay_account *account = account_of(table, account_id);
    if (!account) return false;
    account->count++;
    replay->account = account;
    if (dr_map_put(&table->by_id, dr_slice_of(replay->id, replay->id_len), replay) == DR_OK) {
        replay->is_listed = true;
        return true;
    }
    account_release(table, account);
    return false;
}

/* Its first leaf; before it is listed, or under its mutex. */
static void replay_begin(struct replay *replay, struct leaf *leaf) {
    if (!leaf) return;
    atomic_init(word_at(leaf, 0), 0);
    replay->first = leaf;
    replay->is_kept = true;
}

bool replay_open(struct replay_pen *pen, struct replay_table *table, dr_slice request_id,
                 dr_slice account_id, int64_t keep_ms, const struct replay_writer *writer) {
    struct replay *replay = replay_new(table, request_id);
    *pen = (struct replay_pen){.replay = NULL};
    if (!replay) return false;
    replay->pen = pen;
    replay->writer = *writer;
    replay->keep_ms = keep_ms;
    replay_begin(replay, leaf_take(table->leaves));
    pthread_mutex_lock(&table->mutex);
    const bool is_added = table_add(table, replay, account_id);
    pthread_mutex_unlock(&table->mutex);
    if (!is_added) {
        replay_free(replay);
        return false;
    }
    if (!replay->first) {
        struct leaf *leaf = table_take_leaf(table, replay->account);
        pthread_mutex_lock(&replay->mutex);
        replay_begin(replay, leaf);
        pthread_mutex_unlock(&replay->mutex);
    }
    if (replay->first) {
        pen->replay = replay;
        pen->leaf = replay->first;
        return true;
    }
    pthread_mutex_lock(&table->mutex);
    table_drop(table, replay);
    pthread_mutex_unlock(&table->mutex);
    replay_release(replay);
    return false;
}

/* Under the record's mutex. */
static void tell_follower(struct replay *replay) {
    struct replay_follower *follower = replay->follower;
    if (!follower || follower->is_posted) return;
    follower->is_posted = true;
    dr_mailbox_post(follower->mailbox, &follower->message);
}

/* Drops what the follower has taken, or all when there is none; under the record's mutex. */
static void drop_taken(struct replay *replay) {
    const struct leaf *kept = replay->follower ? replay->follower->leaf : NULL;
    while (replay->first != kept) {
        struct leaf *leaf = replay->first;
        replay->first = leaf->next;
        leaf->next = NULL;
        leaf_give_back(replay->table->leaves, leaf);
    }
}

/* What it was not told of is seen now; under the record's mutex. */
static void pen_learn_of_follower(struct replay_pen *pen) {
    struct replay *replay = pen->replay;
    pen->is_followed = replay->follower != NULL;
    tell_follower(replay);
    if (replay->follower || replay->is_kept) return;
    drop_taken(replay); /* nobody can come back for it */
    pen->leaf = NULL;
}

static void writer_told(struct dr_message *message) {
    struct replay *replay = dr_list_item(message, struct replay, message);
    pthread_mutex_lock(&replay->mutex);
    const unsigned facts = replay->facts;
    const struct replay_writer writer = replay->writer;
    const bool is_open = replay->pen != NULL;
    replay->facts = 0;
    replay->is_posted = false;
    if (is_open) pen_learn_of_follower(replay->pen);
    pthread_mutex_unlock(&replay->mutex);
    /* Closing is this thread's own, so the owner is there still. */
    if (is_open) writer.told(writer.owner, facts);
    replay_release(replay);
}

/* Under the record's mutex. */
static void tell_writer(struct replay *replay, unsigned fact) {
    if (!replay->pen) return;
    replay->facts |= fact;
    if (replay->is_posted) return;
    replay->is_posted = true;
    replay_hold(replay);
    replay->message.run = writer_told;
    dr_mailbox_post(replay->writer.mailbox, &replay->message);
}

const void *replay_place(const struct replay_pen *pen) {
    return pen->leaf ? pen->leaf->bytes + pen->at : (const void *)pen;
}

/* What a row takes of a record. */
static size_t bytes_on_leaves(size_t len) {
    return WORD_BYTES + whole_words(len);
}

/* Rows of several frames are a burst's, and as much as came at once is likely to come again: while
 * the system sends the one, the memory for the next is fetched. */
static void fetch_ahead(const struct leaf *leaf, uint32_t at, size_t len) {
    const size_t most = LEAF_BYTES - at;
    for (size_t ahead = 0; ahead < len && ahead < most; ahead += DR_CACHE_LINE_BYTES) {
        __builtin_prefetch(leaf->bytes + at + ahead, 1);
    }
}

/* Writes the row behind what is there, where no reader looks before the word in front of it is set.
 * False, and nothing has changed, when there is no room for it. */
static bool pen_put(struct replay_pen *pen, dr_slice row, uint32_t count) {
    struct leaf *const first = pen->leaf;
    struct leaf *leaf = first;
    uint32_t at = pen->at + WORD_BYTES;
    dr_slice rest = row;
    for (size_t left = whole_words(row.len);;) {
        if (at == LEAF_BYTES) {
            const struct replay *replay = pen->replay; /* in no cache: not to be read before */
            leaf->next = table_take_leaf(replay->table, replay->account);
            if (!leaf->next) {
                leaf_give_back(replay->table->leaves, first->next);
                first->next = NULL;
                return false;
            }
            leaf = leaf->next;
            at = 0;
        }
        if (left == 0) break;
        const size_t here = left < LEAF_BYTES - at ? left : LEAF_BYTES - at;
        const size_t len = rest.len < here ? rest.len : here;
        if (len > 0) memcpy(leaf->bytes + at, rest.data, len);
        rest = dr_slice_from(rest, len);
        left -= here;
        at += (uint32_t)here;
    }
    if (count >= BURST_FRAMES) fetch_ahead(leaf, at, row.len);
    atomic_store_explicit(word_at(leaf, at), 0, memory_order_relaxed);
    atomic_store_explicit(word_at(first, pen->at), word_of(row, count), memory_order_release);
    pen->leaf = leaf;
    pen->at = at;
    pen->bytes += bytes_on_leaves(row.len);
    return true;
}

/* Nothing is written any more: a gap would be worse than an end. */
static void pen_give_up(struct replay_pen *pen) {
    struct replay *replay = pen->replay;
    pen->leaf = NULL;
    pthread_mutex_lock(&replay->mutex);
    replay->is_kept = false;
    replay->is_lost = true;
    drop_taken(replay);
    tell_follower(replay);
    pthread_mutex_unlock(&replay->mutex);
}

/* A row that somebody waits for, or that is not to be kept. */
static bool pen_put_followed(struct replay_pen *pen, dr_slice row, uint32_t count, bool is_kept) {
    struct replay *replay = pen->replay;
    pthread_mutex_lock(&replay->mutex);
    if (!is_kept) {
        replay->is_kept = false;
        drop_taken(replay);
    }
    const bool is_wanted = replay->first != NULL;
    pthread_mutex_unlock(&replay->mutex);
    if (!is_wanted || !pen_put(pen, row, count)) return false;
    pthread_mutex_lock(&replay->mutex);
    tell_follower(replay);
    pthread_mutex_unlock(&replay->mutex);
    return true;
}

void replay_put_row(struct replay_pen *pen, dr_slice row, uint32_t count) {
    if (!pen->leaf) return;
    const bool is_kept = pen->bytes + bytes_on_leaves(row.len) <= REPLAY_BYTES_MAX;
    const bool is_plain = is_kept && !pen->is_followed;
    const bool is_put =
        is_plain ? pen_put(pen, row, count) : pen_put_followed(pen, row, count, is_kept);
    if (!is_put) pen_give_up(pen);
}

void replay_lose(struct replay_pen *pen) {
    if (pen->leaf) pen_give_up(pen);
}

bool replay_is_kept(const struct replay_pen *pen) {
    struct replay *replay = pen->replay;
    pthread_mutex_lock(&replay->mutex);
    const bool is_kept = replay->is_kept;
    pthread_mutex_unlock(&replay->mutex);
    return is_kept;
}

bool replay_is_followed(const struct replay_pen *pen) {
    struct replay *replay = pen->replay;
    pthread_mutex_lock(&replay->mutex);
    const bool is_followed = replay->follower != NULL;
    pthread_mutex_unlock(&replay->mutex);
    return is_followed;
}

size_t replay_pending(const struct replay_pen *pen) {
    struct replay *replay = pen->replay;
    pthread_mutex_lock(&replay->mutex);
    const size_t waiting = replay->follower ? (size_t)(pen->bytes - replay->follower->taken) : 0;
    const size_t pending = waiting > PENDING_BYTES_HIGH ? waiting : 0;
    if (pending > 0) replay->is_waiting = true;
    pthread_mutex_unlock(&replay->mutex);
    return pending;
}

void replay_close(struct replay_pen *pen, bool is_over, dr_instant now) {
    struct replay *replay = pen->replay;
    struct replay_table *table = replay->table;
    pthread_mutex_lock(&table->mutex);
    pthread_mutex_lock(&replay->mutex);
    replay->pen = NULL;
    replay->is_over = is_over;
    const bool is_kept = is_over && replay->is_kept;
    replay->ended = now;
    replay->ended_bytes =
        sizeof *replay + (size_t)(pen->bytes / LEAF_BYTES + 1) * sizeof(struct leaf);
    tell_follower(replay);
    pthread_mutex_unlock(&replay->mutex);
    pen->replay = NULL;
    if (is_kept) {
        table_list(table, replay);
    } else {
        table_drop(table, replay);
    }
    table_drop_due(table, now);
    pthread_mutex_unlock(&table->mutex);
    replay_release(replay);
}

/* --- the follower's side
 * ------------------------------------------------------------------------ */

static void follower_free(struct replay_follower *follower) {
    replay_release(follower->replay);
    dr_buf_clear(&follower->joined);
    dr_free(follower);
}

static void follower_told(struct dr_message *message) {
    struct replay_follower *follower = dr_list_item(message, struct replay_follower, message);
    struct replay *replay = follower->replay;
    pthread_mutex_lock(&replay->mutex);
    follower->is_posted = false;
    pthread_mutex_unlock(&replay->mutex);
    if (follower->has_left) {
        follower_free(follower);
    } else {
        follower->told(follower);
    }
}

/* Goes on by `len` bytes, and copies them to `to` unless it is NULL. What is there is published,
 * and the leaves it stands on with it; also the leaf behind one that is full. */
static void follower_advance(struct replay_follower *follower, size_t len, char *to) {
    follower->taken += len;
    for (;;) {
        const size_t here = len < LEAF_BYTES - follower->at ? len : LEAF_BYTES - follower->at;
        if (to) to = mempcpy(to, follower->leaf->bytes + follower->at, here);
        follower->at += (uint32_t)here;
        len -= here;
        if (follower->at < LEAF_BYTES) return;
        follower->leaf = follower->leaf->next;
        follower->at = 0;
    }
}

/* 0: no row, yet. */
static uint64_t follower_word(const struct replay_follower *follower) {
    return atomic_load_explicit(word_at(follower->leaf, follower->at), memory_order_acquire);
}

/* The next row, whose word is known. False when out of memory. */
static bool follower_take(struct replay_follower *follower, uint64_t word,
                          struct replay_row *ret_row) {
    const size_t len = len_of(word);
    dr_slice frames;
    dr_buf_reset(&follower->joined);
    follower_advance(follower, WORD_BYTES, NULL);
    if (len <= LEAF_BYTES - follower->at) {
        frames = dr_slice_of(follower->leaf->bytes + follower->at, len);
        follower_advance(follower, whole_words(len), NULL);
    } else {
        char *room = dr_buf_reserve(&follower->joined, whole_words(len));
        if (!room) return false;
        follower_advance(follower, whole_words(len), room);
        frames = dr_slice_of(room, len);
    }
    *ret_row = (struct replay_row){
        .frames = frames,
        .count = count_of(word),
        .skipped = follower->skipped,
        .seq = follower->seq + 1,
    };
    return true;
}

typedef uint32_t row_taker(void *owner, const struct replay_row *row);

/* Hands the next row on, whose word is known. Where some of it is left, the follower stays before
 * it. False when out of memory. */
static bool follower_hand_on(struct replay_follower *follower, uint64_t word, void *owner,
                             row_taker *take, bool *ret_wants_more) {
    struct leaf *const leaf = follower->leaf;
    const uint32_t at = follower->at;
    const uint64_t taken = follower->taken;
    struct replay_row row;
    if (!follower_take(follower, word, &row)) return false;
    const uint32_t done = take(owner, &row);
    dr_assert(done >= row.skipped && done <= row.count);
    follower->seq += done - row.skipped;
    *ret_wants_more = done == row.count;
    follower->skipped = *ret_wants_more ? 0 : done;
    if (*ret_wants_more) return true;
    follower->leaf = leaf;
    follower->at = at;
    follower->taken = taken;
    return true;
}

/* To behind the first `count` frames; false when there are fewer. Under the record's mutex. */
static bool follower_begin(struct replay_follower *follower, struct replay *replay,
                           uint64_t count) {
    follower->replay = replay;
    follower->leaf = replay->first;
    follower->at = 0;
    follower->taken = 0;
    follower->seq = count;
    follower->message.run = follower_told;
    dr_buf_init(&follower->joined, SIZE_MAX / 2); /* the writer has bounds for rows */
    while (count > 0) {
        const uint64_t word = follower_word(follower);
        if (word == 0) return false;
        if (count < count_of(word)) break;
        count -= count_of(word);
        follower_advance(follower, bytes_on_leaves(len_of(word)), NULL);
    }
    follower->skipped = (uint32_t)count;
    return true;
}

static struct replay *table_find(struct replay_table *table, dr_slice request_id,
                                 dr_slice account_id, dr_instant now) {
    table_drop_due(table, now);
    struct replay *replay = dr_map_find(&table->by_id, request_id);
    if (!replay) return NULL;
    const struct replay_account *owner = replay->account;
    return dr_slice_is(dr_slice_of(owner->id, owner->id_len), account_id) ? replay : NULL;
}

/* Under both mutexes. */
static enum dr_status record_follow(struct replay *replay, uint64_t after,
                                    struct replay_follower *follower) {
    struct replay_follower *older = replay->follower;
    if (!replay->is_kept) return DR_CLOSED;
    if (!follower_begin(follower, replay, after)) return DR_INVALID;
    if (older) {
        older->is_moved = true;
        tell_follower(replay);
    }
    replay->follower = follower;
    replay_hold(replay);
    tell_writer(replay, REPLAY_MOVED);
    return DR_OK;
}

enum dr_status replay_follow(struct replay_table *table, dr_slice request_id, dr_slice account_id,
                             uint64_t after, dr_instant now, struct replay_follower *follower) {
    enum dr_status status = DR_CLOSED;
    pthread_mutex_lock(&table->mutex);
    struct replay *replay = table_find(table, request_id, account_id, now);
    if (replay) {
        pthread_mutex_lock(&replay->mutex);
        status = record_follow(replay, after, follower);
        pthread_mutex_unlock(&replay->mutex);
    }
    pthread_mutex_unlock(&table->mutex);
    return status;
}

/* Under the record's mutex. */
static enum replay_state follower_read(struct replay_follower *follower, void *owner,
                                       row_taker *take) {
    struct replay *replay = follower->replay;
    uint64_t word;
    bool wants_more = true;
    if (follower->is_moved) return REPLAY_IS_MOVED;
    while (wants_more && (word = follower_word(follower)) != 0) {
        if (!follower_hand_on(follower, word, owner, take, &wants_more)) return REPLAY_LOST;
    }
    if (!wants_more) return REPLAY_WAITS;
    if (replay->is_waiting) {
        replay->is_waiting = false;
        tell_writer(replay, REPLAY_DRAINED);
    }
    if (replay->is_lost) return REPLAY_LOST;
    /* The writer has left: nothing more will come. */
    if (!replay->pen) return replay->is_over ? REPLAY_ENDED : REPLAY_LOST;
    return REPLAY_WAITS;
}

enum replay_state replay_read(struct replay_follower *follower, void *owner,
                              uint32_t (*take)(void *owner, const struct replay_row *row)) {
    struct replay *replay = follower->replay;
    pthread_mutex_lock(&replay->mutex);
    const enum replay_state state = follower_read(follower, owner, take);
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
    if (!is_posted) follower_free(follower);
}
