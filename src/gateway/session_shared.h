/* Conversations that are kept for clients (`"session":"NAME"`), for all workers: a table behind a
 * mutex. A session belongs to an account; its turns are taken one after another, in the order they
 * were asked for. What is kept is JSON: the messages, joined by commas. Bounded per account (the
 * one unused longest gives way), in bytes, and in time; and in bytes of all accounts together,
 * where again the one unused longest gives way, whosever it is. */
#ifndef DR_GATEWAY_SESSION_SHARED_H
#define DR_GATEWAY_SESSION_SHARED_H

#include "base/instant.h"
#include "base/slice.h"
#include "net/mailbox.h"

struct session_table;

struct session_limits {
    uint32_t per_account_max;
    size_t bytes_max;
    int64_t idle_ms;
};

/* A turn that waits for its session or holds it. All calls on it from the thread that took it. */
struct session_turn;

enum { SESSION_BYTES_OF_ALL = 1024 * 1024 * 1024 };

/* NULL when out of memory. `seed` keys the hash; `bytes_max` bounds all messages together. */
struct session_table *session_table_new(uint64_t seed, size_t bytes_max);
/* No turn is left. Accepts NULL. */
void session_table_free(struct session_table *table);
size_t session_table_count(struct session_table *table);
/* Lets sessions go that have not been used for long, to be called now and then. */
void session_table_tidy(struct session_table *table, dr_instant now);

/* Asks for the next turn of the account's session of that name, which is made when there is none.
 * `*ret_is_held` tells whether it is held at once; otherwise `granted` follows by `mailbox` on this
 * thread, unless the turn is given back before. NULL when out of memory, or when all of the
 * account's sessions are in use. */
struct session_turn *session_take(struct session_table *table, dr_slice account_id, dr_slice name,
                                  const struct session_limits *limits, dr_instant now,
                                  struct dr_mailbox *mailbox, void (*granted)(void *owner),
                                  void *owner, bool *ret_is_held);
/* What is kept, while the turn is held. */
dr_slice session_messages(const struct session_turn *turn);
/* A turn did not fit: nothing is added any more. While it is held. */
bool session_is_full(const struct session_turn *turn);
/* What this turn says is too long to be kept. While it is held. */
void session_note_full(struct session_turn *turn);
/* Ends the turn, held or not. `messages` are added when it was held; may be empty. */
void session_give_back(struct session_turn *turn, dr_slice messages, dr_instant now);

#endif
