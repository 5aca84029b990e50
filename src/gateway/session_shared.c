/* The table of sessions. Must not know what messages say, nor who asks.
 *
 * Invariants, under the mutex
 * - A session is held by one turn, or waited for by none.
 * - Only sessions that nobody holds are in the lists by use, so that the first of a list is always
 *   the next to be let go.
 * - A turn in no queue that has not arrived is on its way by its mailbox. */
#include "gateway/session_shared.h"

#include <pthread.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"

enum { SESSIONS_MAX = 1 << 20 };

struct session_account {
    struct dr_list sessions; /* that nobody holds, the longest unused first */
    size_t count;            /* of all */
    size_t id_len;
    char id[];
};

struct session {
    struct dr_list node;    /* of the account */
    struct dr_list by_use;  /* of the table */
    struct dr_list waiting; /* turns */
    struct session_account *account;
    struct dr_buf messages;
    dr_instant used;
    int64_t idle_ms;
    bool is_held;
    bool is_full;
    size_t key_len;
    char key[]; /* the account's id, a NUL, the name */
};

struct session_turn {
    struct dr_list node;
    struct dr_message message;
    struct session_table *table;
    struct session *session;
    struct dr_mailbox *mailbox;
    void (*granted)(void *owner);
    void *owner; /* NULL: given back while on its way */
    size_t bytes_max;
    bool has_arrived; /* held, as far as its own thread knows */
};

struct session_table {
    pthread_mutex_t mutex;
    struct dr_map by_key;
    struct dr_map accounts;
    struct dr_list by_use; /* that nobody holds, the longest unused first */
    size_t bytes;          /* of all messages */
    size_t bytes_max;
};

struct session_table *session_table_new(uint64_t seed, size_t bytes_max) {
    struct session_table *table = dr_alloc_zero(1, sizeof *table);
    if (!table) return NULL;
    pthread_mutex_init(&table->mutex, NULL);
    dr_map_init(&table->by_key, SESSIONS_MAX, seed);
    dr_map_init(&table->accounts, SESSIONS_MAX, seed);
    dr_list_init(&table->by_use);
    table->bytes_max = bytes_max;
    return table;
}

static void session_delete(struct session_table *table, struct session *session) {
    struct session_account *account = session->account;
    dr_assert(!session->is_held && dr_list_is_empty(&session->waiting));
    (void)dr_map_take(&table->by_key, dr_slice_of(session->key, session->key_len));
    dr_list_remove(&session->node);
    dr_list_remove(&session->by_use);
    table->bytes -= session->messages.len;
    dr_buf_clear(&session->messages);
    dr_free(session);
    if (--account->count > 0) return;
    (void)dr_map_take(&table->accounts, dr_slice_of(account->id, account->id_len));
    dr_free(account);
}

void session_table_free(struct session_table *table) {
    if (!table) return;
    while (!dr_list_is_empty(&table->by_use)) {
        session_delete(table, dr_list_item(table->by_use.next, struct session, by_use));
    }
    dr_map_clear(&table->by_key);
    dr_map_clear(&table->accounts);
    pthread_mutex_destroy(&table->mutex);
    dr_free(table);
}

size_t session_table_count(struct session_table *table) {
    pthread_mutex_lock(&table->mutex);
    const size_t count = table->by_key.count;
    pthread_mutex_unlock(&table->mutex);
    return count;
}

/* --- finding and making
 * ------------------------------------------------------------------------- */

/* NULL when every session of the list is held. */
static struct session *oldest_of(struct session_table *table) {
    if (dr_list_is_empty(&table->by_use)) return NULL;
    return dr_list_item(table->by_use.next, struct session, by_use);
}

static void let_go_of_unused(struct session_table *table, dr_instant now) {
    struct session *oldest;
    while ((oldest = oldest_of(table)) &&
           dr_instant_us_since(now, oldest->used) >= oldest->idle_ms * 1000) {
        session_delete(table, oldest);
    }
}

void session_table_tidy(struct session_table *table, dr_instant now) {
    pthread_mutex_lock(&table->mutex);
    let_go_of_unused(table, now);
    pthread_mutex_unlock(&table->mutex);
}

static void let_go_beyond_bound(struct session_table *table) {
    struct session *oldest;
    while (table->bytes > table->bytes_max && (oldest = oldest_of(table))) {
        session_delete(table, oldest);
    }
}

/* Room for one more of the account. */
static bool make_room(struct session_table *table, struct session_account *account,
                      uint32_t count_max) {
    if (account->count < count_max) return true;
    if (dr_list_is_empty(&account->sessions)) return false;
    account->count++; /* so that the account itself stays */
    session_delete(table, dr_list_item(account->sessions.next, struct session, node));
    account->count--;
    return true;
}

static struct session_account *account_of(struct session_table *table, dr_slice id) {
    struct session_account *account = dr_map_find(&table->accounts, id);
    if (account) return account;
    account = dr_alloc_zero(1, sizeof *account + id.len + 1);
    if (!account) return NULL;
    memcpy(account->id, id.data, id.len);
    account->id_len = id.len;
    dr_list_init(&account->sessions);
    if (dr_map_put(&table->accounts, dr_slice_of(account->id, id.len), account) == DR_OK) {
        return account;
    }
    dr_free(account);
    return NULL;
}

static struct session *session_new(struct session_table *table, dr_slice key, dr_slice account_id,
                                   const struct session_limits *limits) {
    struct session_account *account = account_of(table, account_id);
    if (!account) return NULL;
    struct session *session = NULL;
    if (make_room(table, account, limits->per_account_max)) {
        session = dr_alloc_zero(1, sizeof *session + key.len);
    }
    if (session) {
        memcpy(session->key, key.data, key.len);
        session->key_len = key.len;
        if (dr_map_put(&table->by_key, dr_slice_of(session->key, key.len), session) != DR_OK) {
            dr_free(session);
            session = NULL;
        }
    }
    if (!session) {
        if (account->count == 0) {
            (void)dr_map_take(&table->accounts, account_id);
            dr_free(account);
        }
        return NULL;
    }
    session->account = account;
    account->count++;
    dr_buf_init(&session->messages, SIZE_MAX / 2); /* each turn brings its bound */
    dr_list_init(&session->waiting);
    dr_list_init(&session->node);
    dr_list_init(&session->by_use);
    return session;
}

static void session_hold(struct session *session) {
    session->is_held = true;
    dr_list_remove(&session->node);
    dr_list_remove(&session->by_use);
}

static void session_let_go(struct session_table *table, struct session *session, dr_instant now) {
    session->is_held = false;
    session->used = now;
    dr_list_put_last(&session->account->sessions, &session->node);
    dr_list_put_last(&table->by_use, &session->by_use);
}

/* --- turns
 * -------------------------------------------------------------------------------------- */

static bool turn_begin(struct session_table *table, struct session_turn *turn, dr_slice key,
                       dr_slice account_id, const struct session_limits *limits, dr_instant now) {
    let_go_of_unused(table, now);
    struct session *session = dr_map_find(&table->by_key, key);
    if (!session) session = session_new(table, key, account_id, limits);
    if (!session) return false;
    session->idle_ms = limits->idle_ms;
    turn->session = session;
    if (session->is_held) {
        dr_list_put_last(&session->waiting, &turn->node);
    } else {
        session_hold(session);
        turn->has_arrived = true;
    }
    return true;
}

struct session_turn *session_take(struct session_table *table, dr_slice account_id, dr_slice name,
                                  const struct session_limits *limits, dr_instant now,
                                  struct dr_mailbox *mailbox, void (*granted)(void *owner),
                                  void *owner, bool *ret_is_held) {
    struct session_turn *turn = dr_alloc_zero(1, sizeof *turn);
    char *key = dr_alloc(account_id.len + 1 + name.len);
    bool has_begun = false;
    if (turn && key) {
        memcpy(key, account_id.data, account_id.len);
        key[account_id.len] = '\0';
        memcpy(key + account_id.len + 1, name.data, name.len);
        turn->table = table;
        turn->mailbox = mailbox;
        turn->granted = granted;
        turn->owner = owner;
        turn->bytes_max = limits->bytes_max;
        dr_list_init(&turn->node);
        pthread_mutex_lock(&table->mutex);
        has_begun = turn_begin(table, turn, dr_slice_of(key, account_id.len + 1 + name.len),
                               account_id, limits, now);
        pthread_mutex_unlock(&table->mutex);
    }
    dr_free(key);
    if (!has_begun) {
        dr_free(turn);
        return NULL;
    }
    *ret_is_held = turn->has_arrived;
    return turn;
}

dr_slice session_messages(const struct session_turn *turn) {
    dr_assert(turn->has_arrived);
    return dr_buf_slice(&turn->session->messages);
}

bool session_is_full(const struct session_turn *turn) {
    dr_assert(turn->has_arrived);
    return turn->session->is_full;
}

void session_note_full(struct session_turn *turn) {
    dr_assert(turn->has_arrived);
    turn->session->is_full = true;
}

static void turn_arrive(struct dr_message *message) {
    struct session_turn *turn = dr_list_item(message, struct session_turn, message);
    turn->has_arrived = true;
    if (!turn->owner) {
        session_give_back(turn, DR_NONE, dr_instant_now());
        return;
    }
    turn->granted(turn->owner);
}

static void session_add(struct session_table *table, struct session *session, dr_slice messages,
                        size_t bytes_max) {
    struct dr_buf *kept = &session->messages;
    const size_t before = kept->len;
    if (messages.len == 0 || session->is_full) return;
    if (kept->len + messages.len + 1 > bytes_max || !dr_buf_reserve(kept, messages.len + 1)) {
        session->is_full = true; /* a gap would be worse than an end */
        return;
    }
    if (kept->len > 0) dr_buf_put_char(kept, ',');
    dr_buf_put(kept, messages);
    table->bytes += kept->len - before;
}

static void session_pass_on(struct session_table *table, struct session *session, dr_instant now) {
    if (dr_list_is_empty(&session->waiting)) {
        session_let_go(table, session, now);
        if (session->messages.len == 0 && !session->is_full) session_delete(table, session);
        return;
    }
    struct session_turn *next = dr_list_item(session->waiting.next, struct session_turn, node);
    dr_list_remove(&next->node);
    next->message.run = turn_arrive;
    dr_mailbox_post(next->mailbox, &next->message);
}

void session_give_back(struct session_turn *turn, dr_slice messages, dr_instant now) {
    struct session_table *table = turn->table;
    bool is_over = true;
    pthread_mutex_lock(&table->mutex);
    if (turn->has_arrived) {
        session_add(table, turn->session, messages, turn->bytes_max);
        session_pass_on(table, turn->session, now);
        let_go_beyond_bound(table);
    } else if (!dr_list_is_empty(&turn->node)) {
        dr_list_remove(&turn->node);
    } else {
        turn->owner = NULL;
        is_over = false;
    }
    pthread_mutex_unlock(&table->mutex);
    if (is_over) dr_free(turn);
}
