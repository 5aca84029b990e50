/* Material for tests. Asserts where something does not work, also in the children of tests. */
#include "store/sample_books.h"

#include "base/assert.h"

#include <dirent.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

void sample_folder_make(char path[SAMPLE_PATH_BYTES]) {
    const char *parent = getenv("TMPDIR");
    snprintf(path, SAMPLE_PATH_BYTES, "%s/drover-store-XXXXXX", parent ? parent : "/tmp");
    dr_assert(mkdtemp(path));
}

static void remove_files(const char *path, unsigned depth) {
    DIR *folder = opendir(path);
    if (!folder) return;
    for (const struct dirent *file = readdir(folder); file; file = readdir(folder)) {
        char inner[PATH_MAX];
        if (strcmp(file->d_name, ".") == 0 || strcmp(file->d_name, "..") == 0) continue;
        snprintf(inner, sizeof(inner), "%s/%s", path, file->d_name);
        if (unlink(inner) != 0 && depth > 0) {
            remove_files(inner, depth - 1);
        }
    }
    closedir(folder);
    (void)rmdir(path); /* a folder that is not empty is left to the eye of the tester */
}

void sample_folder_remove(const char *path) {
    remove_files(path, 2);
}

void sample_journal_path(const char *folder, char path[SAMPLE_PATH_BYTES]) {
    snprintf(path, SAMPLE_PATH_BYTES, "%.100s/journal", folder);
}

size_t sample_count_files(const char *path, const char *suffix) {
    size_t count = 0;
    DIR *folder = opendir(path);
    if (!folder) return 0;
    for (const struct dirent *file = readdir(folder); file; file = readdir(folder)) {
        count += dr_slice_ends(dr_slice_text(file->d_name), dr_slice_text(suffix));
    }
    closedir(folder);
    return count;
}

bool sample_disk_mount(const char *path, size_t bytes) {
    char options[64];
    snprintf(options, sizeof(options), "size=%zu,mode=0700", bytes);
    return mount("tmpfs", path, "tmpfs", 0, options) == 0;
}

void sample_disk_unmount(const char *path) {
    dr_assert(umount2(path, MNT_DETACH) == 0);
}

void sample_log_begin(struct sample_log *log) {
    log->file = memfd_create("log", 0);
    log->saved = dup(STDERR_FILENO);
    dr_assert(log->file >= 0 && log->saved >= 0);
    dr_assert(dup2(log->file, STDERR_FILENO) >= 0);
}

void sample_log_end(struct sample_log *log) {
    dr_assert(dup2(log->saved, STDERR_FILENO) >= 0);
    const ssize_t len = pread(log->file, log->text, sizeof(log->text) - 1, 0);
    dr_assert(len >= 0);
    log->text[len] = '\0';
    close(log->saved);
    close(log->file);
}

size_t sample_log_count(const struct sample_log *log, const char *what) {
    size_t count = 0;
    for (const char *at = log->text; (at = strstr(at, what)); at++) count++;
    return count;
}

void sample_entry_make(struct sample_entry *sample, struct dr_random *random,
                       uint64_t account_count) {
    static const char *const accounts[] = {"acc_0", "acc_1", "acc_2", "acc_3", "acc_4"};
    static const char *const keys[] = {"key_0a", "key_0b", "key_1a", "key_1b", "key_2a",
                                       "key_2b", "key_3a", "key_3b", "key_4a", "key_4b"};
    static const char *const models[] = {"gpt-4.1", "claude-sonnet-4.5", "deepseek-v3.2"};
    dr_assert(account_count > 0 && account_count <= 5);
    const uint64_t account = dr_random_below(random, account_count);
    const int64_t first_ms = 1795000000000; /* in November 2026 */
    uint8_t bytes[16];
    for (size_t index = 0; index < sizeof(bytes); index++) {
        bytes[index] = (uint8_t)dr_random_below(random, 256);
    }
    *sample = (struct sample_entry){0};
    struct ledger_entry *entry = &sample->entry;
    entry->created.ms = first_ms + (int64_t)dr_random_below(random, 4LL * 24 * 3600 * 1000);
    request_id_write(entry->created, bytes, sample->request_id);
    entry->request_id = dr_slice_of(sample->request_id, REQUEST_ID_BYTES);
    entry->account_id = dr_slice_text(accounts[account]);
    entry->key_id = dr_slice_text(keys[account * 2 + dr_random_below(random, 2)]);
    entry->key_name = DR_LIT("production");
    entry->model = dr_slice_text(models[dr_random_below(random, 3)]);
    entry->target = DR_LIT("official");
    if (dr_random_below(random, 2)) entry->user = DR_LIT("someone");
    if (dr_random_below(random, 4) == 0) entry->client_id = DR_LIT("turn-1");
    entry->transport = (enum transport)dr_random_below(random, TRANSPORT_COUNT);
    entry->status = dr_random_below(random, 10) ? 200 : 502;
    entry->is_cancelled = dr_random_below(random, 20) == 0;
    entry->first_token_ms = (uint32_t)dr_random_below(random, 1000);
    entry->duration_ms = (uint32_t)dr_random_below(random, 100000);
    entry->usage = (struct usage){
        .source = (enum usage_source)dr_random_below(random, 3),
        .prompt_tokens = dr_random_below(random, 100000),
        .completion_tokens = dr_random_below(random, 10000),
        .cached_tokens = dr_random_below(random, 100),
        .reasoning_tokens = dr_random_below(random, 100),
    };
    entry->usage.total_tokens = entry->usage.prompt_tokens + entry->usage.completion_tokens;
    entry->price = (struct price){8000000000, 8000000000, 2000000000};
    entry->cost.nanousd = (int64_t)dr_random_below(random, 1000000000);
    entry->attempt_count = 1 + (uint32_t)dr_random_below(random, 2);
    entry->attempts[0] = (struct ledger_attempt){DR_LIT("relay"), 503, 12};
    if (entry->attempt_count > 1) {
        entry->attempts[1] = (struct ledger_attempt){DR_LIT("official"), 200, 345};
    }
}

void sample_entry_compare(const struct ledger_entry *entry, const struct ledger_entry *other) {
    const dr_slice texts[][2] = {
        {entry->request_id, other->request_id}, {entry->client_id, other->client_id},
        {entry->account_id, other->account_id}, {entry->key_id, other->key_id},
        {entry->key_name, other->key_name},     {entry->user, other->user},
        {entry->model, other->model},           {entry->target, other->target},
    };
    for (size_t index = 0; index < sizeof(texts) / sizeof(texts[0]); index++) {
        dr_assert(dr_slice_is(texts[index][0], texts[index][1]));
    }
    dr_assert(entry->transport == other->transport);
    dr_assert(entry->status == other->status);
    dr_assert(entry->is_cancelled == other->is_cancelled);
    dr_assert(entry->is_model_unknown == other->is_model_unknown);
    dr_assert(entry->created.ms == other->created.ms);
    dr_assert(entry->first_token_ms == other->first_token_ms);
    dr_assert(entry->duration_ms == other->duration_ms);
    dr_assert(entry->usage.source == other->usage.source);
    dr_assert(entry->usage.prompt_tokens == other->usage.prompt_tokens);
    dr_assert(entry->usage.completion_tokens == other->usage.completion_tokens);
    dr_assert(entry->usage.total_tokens == other->usage.total_tokens);
    dr_assert(entry->usage.cached_tokens == other->usage.cached_tokens);
    dr_assert(entry->usage.reasoning_tokens == other->usage.reasoning_tokens);
    dr_assert(entry->price.input == other->price.input);
    dr_assert(entry->price.output == other->price.output);
    dr_assert(entry->price.cached_input == other->price.cached_input);
    dr_assert(entry->cost.nanousd == other->cost.nanousd);
    dr_assert(entry->attempt_count == other->attempt_count);
    for (size_t index = 0; index < LEDGER_ATTEMPTS_MAX; index++) {
        const struct ledger_attempt *attempt = &entry->attempts[index];
        const struct ledger_attempt *twin = &other->attempts[index];
        dr_assert(dr_slice_is(attempt->target, twin->target));
        dr_assert(attempt->status == twin->status);
        dr_assert(attempt->duration_ms == twin->duration_ms);
    }
}

void sample_account_make(struct store *store, char id[ACCOUNT_ID_BYTES]) {
    struct dr_arena arena;
    struct account account;
    struct dr_error error = {0};
    dr_arena_init(&arena, 65536, NULL);
    const enum dr_status status =
        store_create_account(store, DR_LIT("sample"), (dr_wall){1}, &arena, &account, &error);
    dr_assert(status == DR_OK);
    dr_assert(account.id.len == ACCOUNT_ID_BYTES);
    memcpy(id, account.id.data, ACCOUNT_ID_BYTES);
    dr_arena_clear(&arena);
}
