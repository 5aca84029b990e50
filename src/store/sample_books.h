/* For the store's tests: folders that come and go, settled exchanges made from a seed, and what is
 * logged meanwhile. */
#ifndef DR_STORE_SAMPLE_BOOKS_H
#define DR_STORE_SAMPLE_BOOKS_H

#include "base/random.h"
#include "model/ledger_entry.h"
#include "store/journal.h"
#include "store/store.h"

enum { SAMPLE_PATH_BYTES = 128, SAMPLE_TEXT_BYTES = 64 };

/* A new folder under TMPDIR. */
void sample_folder_make(char path[SAMPLE_PATH_BYTES]);
/* Removes it with all that is in it. */
void sample_folder_remove(const char *path);
/* `folder`/journal. */
void sample_journal_path(const char *folder, char path[SAMPLE_PATH_BYTES]);
size_t sample_count_files(const char *path, const char *suffix);

/* Puts a file system of `bytes` over the folder. False where the machine does not permit it. */
bool sample_disk_mount(const char *path, size_t bytes);
void sample_disk_unmount(const char *path);

/* An entry and the memory of its texts; not to be moved. */
struct sample_entry {
    struct ledger_entry entry;
    char request_id[REQUEST_ID_BYTES];
};
/* One of `account_count` accounts "acc_N", two keys each, three models, times over four days. */
void sample_entry_make(struct sample_entry *sample, struct dr_random *random,
                       uint64_t account_count);
/* Asserts that both are the same in every field. */
void sample_entry_compare(const struct ledger_entry *entry, const struct ledger_entry *other);

/* What is logged from its beginning to its end; `text` is cut there. */
struct sample_log {
    int file, saved;
    char text[64 * 1024];
};
void sample_log_begin(struct sample_log *log);
void sample_log_end(struct sample_log *log);
/* How often `what` stands in it. */
size_t sample_log_count(const struct sample_log *log, const char *what);

/* An account with `id` chosen by the store; copied to `id`. */
void sample_account_make(struct store *store, char id[ACCOUNT_ID_BYTES]);

#endif
