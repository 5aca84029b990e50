/* Reads recordings and counts them. */
#include "fixture.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { SHORT_BYTES = 3000, CUTS = 1000 };
enum { FILE_BYTES_MAX = 8 * 1024 * 1024, FILES_MAX = 4096, PATH_BYTES = 1024, DEPTH_MAX = 16 };

/* Who reads a folder's requests and who the rest, its index and the answers. */
static const struct {
    const char *folder;
    const char *requests;
    const char *answers;
} readers[] = {
    {"anthropic", "sim_fixtures_test", "provider_fixtures_test"},
    {"deepseek", "fixtures_test", "fixtures_test"},
    {"gemini", "sim_fixtures_test", "provider_fixtures_test"},
    {"openai-chat", "fixtures_test", "fixtures_test"},
    {"openai-compat", "fixtures_test", "fixtures_test"},
    {"openai-responses", "foreign_fixtures_test", "foreign_fixtures_test"},
};
enum { READERS_COUNT = sizeof readers / sizeof readers[0] };

static struct {
    uint64_t hashes[FILES_MAX];
    size_t count;
} read_files;

static uint64_t hash_of(const char *folder, dr_slice file) {
    return dr_slice_hash(file, dr_slice_hash(dr_slice_text(folder), 0));
}

struct dr_buf fixture_read_path(const char *path) {
    struct dr_buf buf;
    FILE *file = fopen(path, "rb");

    if (!file) fail_msg("%s does not open", path);
    dr_buf_init(&buf, FILE_BYTES_MAX);
    for (;;) {
        char *room = dr_buf_reserve(&buf, 65536);
        assert_non_null(room);
        const size_t got = fread(room, 1, 65536, file);
        dr_buf_commit(&buf, got);
        if (got == 0) break;
    }
    (void)fclose(file);
    return buf;
}

struct dr_buf fixture_read(const char *folder, dr_slice file) {
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof path, DR_FIXTURES "/%s/%.*s", folder, DR_FMT(file));
    struct dr_buf bytes = fixture_read_path(path);
    assert_true(read_files.count < FILES_MAX);
    read_files.hashes[read_files.count++] = hash_of(folder, file);
    return bytes;
}

dr_slice fixture_text(dr_json entry, const char *name) {
    return dr_json_text(dr_json_member(entry, dr_slice_text(name)));
}

size_t fixture_visit(const char *folder, fixture_check *check, void *owner) {
    struct dr_json_reader *reader = dr_json_reader_new();
    struct dr_buf index = fixture_read(folder, DR_LIT("INDEX.json"));
    struct dr_json_iter iter;
    dr_json root;

    assert_non_null(reader);
    assert_int_equal(dr_json_read(reader, dr_buf_slice(&index), DEPTH_MAX, &root, NULL), DR_OK);
    const size_t count = dr_json_count(root);
    assert_true(count > 20);
    dr_json_iter_init(&iter, root);
    while (dr_json_iter_next(&iter)) check(folder, iter.value, owner);
    dr_buf_clear(&index);
    dr_json_reader_free(reader);
    return count;
}

/* --- streams --- */

static void drain(struct dr_sse_reader *reader, dr_slice piece, fixture_event *noted, void *owner) {
    struct dr_sse_event event;

    for (;;) {
        const enum dr_sse_progress progress = dr_sse_read(reader, &piece, &event);
        if (progress == DR_SSE_NEED_MORE) break;
        assert_int_equal(progress, DR_SSE_EVENT);
        noted(owner, &event);
    }
    assert_int_equal(piece.len, 0);
}

void fixture_read_stream(dr_slice bytes, size_t cut, size_t step, fixture_event *noted,
                         void *owner) {
    struct dr_sse_reader *reader = dr_sse_reader_new(FILE_BYTES_MAX);
    struct dr_sse_event event;

    assert_non_null(reader);
    if (cut > 0) {
        drain(reader, dr_slice_first(bytes, cut), noted, owner);
        drain(reader, dr_slice_from(bytes, cut), noted, owner);
    } else {
        for (size_t at = 0; at < bytes.len; at += step) {
            drain(reader, dr_slice_first(dr_slice_from(bytes, at), step), noted, owner);
        }
    }
    const enum dr_sse_progress progress = dr_sse_read_end(reader, &event);
    if (progress == DR_SSE_EVENT)
        noted(owner, &event);
    else
        assert_int_equal(progress, DR_SSE_NEED_MORE);
    dr_sse_reader_free(reader);
}

static void hash_event(void *owner, const struct dr_sse_event *event) {
    uint64_t *hash = owner;

    *hash = dr_slice_hash(event->data, *hash + event->has_data);
    *hash = dr_slice_hash(event->name, *hash);
}

void fixture_check_cuts(const char *name, dr_slice bytes, struct dr_random *random) {
    uint64_t whole = 0;
    const size_t cuts = bytes.len <= SHORT_BYTES ? bytes.len - 1 : CUTS;

    fixture_read_stream(bytes, 0, bytes.len, hash_event, &whole);
    for (size_t i = 1; i <= cuts; i++) {
        const size_t cut =
            bytes.len <= SHORT_BYTES ? i : 1 + (size_t)dr_random_below(random, bytes.len - 1);
        uint64_t hash = 0;
        fixture_read_stream(bytes, cut, 0, hash_event, &hash);
        if (hash != whole) fail_msg("%s: other events when cut at byte %zu", name, cut);
    }
}

/* --- what was read --- */

static bool has_been_read(const char *folder, dr_slice file) {
    const uint64_t hash = hash_of(folder, file);

    for (size_t i = 0; i < read_files.count; i++) {
        if (read_files.hashes[i] == hash) return true;
    }
    return false;
}

/* The next name that is no `.` or `..`; NULL at the end. */
static const char *next_name(DIR *folder) {
    const struct dirent *entry;

    do entry = readdir(folder);
    while (entry && entry->d_name[0] == '.');
    return entry ? entry->d_name : NULL;
}

static size_t assert_folder_read(const char *program, size_t at) {
    const char *folder = readers[at].folder;
    char path[PATH_BYTES];
    size_t count = 0;

    (void)snprintf(path, sizeof path, DR_FIXTURES "/%s", folder);
    DIR *opened = opendir(path);
    assert_non_null(opened);
    for (const char *name = next_name(opened); name; name = next_name(opened)) {
        const dr_slice file = dr_slice_text(name);
        const bool is_request = dr_slice_ends(file, DR_LIT(".req.json"));
        const char *reader = is_request ? readers[at].requests : readers[at].answers;
        if (strcmp(reader, program) != 0) continue;
        if (!has_been_read(folder, file)) fail_msg("nobody has read %s/%s", folder, name);
        count++;
    }
    (void)closedir(opened);
    return count;
}

static size_t find_reader(const char *folder) {
    size_t at = 0;

    while (at < READERS_COUNT && strcmp(readers[at].folder, folder) != 0) at++;
    return at;
}

void fixture_assert_all_read(const char *program) {
    size_t folder_count = 0;
    size_t file_count = 0;

    DIR *root = opendir(DR_FIXTURES);
    assert_non_null(root);
    for (const char *name = next_name(root); name; name = next_name(root)) {
        if (strcmp(name, "README.md") == 0) continue;
        const size_t at = find_reader(name);
        if (at == READERS_COUNT) fail_msg("nobody answers for the folder %s", name);
        file_count += assert_folder_read(program, at);
        folder_count++;
    }
    (void)closedir(root);
    assert_int_equal(folder_count, READERS_COUNT);
    assert_true(file_count > 0);
}

void fixture_put_text(struct dr_buf *out, dr_slice text) {
    if (text.len == 0) dr_buf_put_char(out, '-');
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char byte = (unsigned char)text.data[i];
        if (byte == '\\')
            dr_buf_put(out, DR_LIT("\\\\"));
        else if (byte < 0x20)
            dr_buf_format(out, "\\x%02x", byte);
        else
            dr_buf_put_char(out, (char)byte);
    }
}

void fixture_put_failure(struct dr_buf *out, const struct failure *failure) {
    fixture_put_text(out, failure->message);
    dr_buf_put(out, DR_LIT(" | "));
    fixture_put_text(out, failure->type);
    dr_buf_put(out, DR_LIT(" | "));
    fixture_put_text(out, failure->code);
    dr_buf_put(out, DR_LIT(" | "));
    fixture_put_text(out, failure->param);
}
