/* Reads the source tree and says where it breaks the rules of the house that can be checked: the
 * floors, the fences around libraries, names, lengths and comments. Must not change a file, and
 * must not judge what the compiler or clang-format judges already.
 *
 *     tidy ROOT               checks ROOT/src and the tools, tests and targets beside it
 *     tidy --self-test ROOT   the findings must be exactly the lines `path: rule` of
 *                             ROOT/expected.txt
 *
 * Each file is looked at twice: as it is written, and as `code`, where comments and the insides of
 * literals are blanks of the same length, so that offsets and lines agree. */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    SOURCES_MAX = 2048,
    FINDINGS_MAX = 4096,
    INCLUDES_MAX = 64,
    PATH_BYTES = 256,
    TEXT_BYTES = 200,
    FILE_BYTES_MAX = 4 * 1024 * 1024,
    FOLDER_DEPTH_MAX = 8,
    FILE_LINES_MAX = 1000,
    FUNCTION_LINES_WISHED = 70,
    FUNCTION_LINES_MAX = 100,
    LINE_COLUMNS_MAX = 100,
};

enum rule {
    RULE_ARROW,
    RULE_FENCE,
    RULE_CYCLE,
    RULE_ALLOCATION,
    RULE_LINE_COMMENT,
    RULE_HEAD_COMMENT,
    RULE_GUARD,
    RULE_SAME_NAME,
    RULE_NAME,
    RULE_FILE_LENGTH,
    RULE_FUNCTION_LENGTH,
    RULE_LINE_LENGTH,
    RULE_TAB,
    RULE_UNFINISHED,
    RULE_UNREADABLE,
    RULE_COUNT
};

static const char *const rule_names[RULE_COUNT] = {
    [RULE_ARROW] = "arrow",
    [RULE_FENCE] = "fence",
    [RULE_CYCLE] = "cycle",
    [RULE_ALLOCATION] = "allocation",
    [RULE_LINE_COMMENT] = "line-comment",
    [RULE_HEAD_COMMENT] = "head-comment",
    [RULE_GUARD] = "guard",
    [RULE_SAME_NAME] = "same-name",
    [RULE_NAME] = "name",
    [RULE_FILE_LENGTH] = "file-length",
    [RULE_FUNCTION_LENGTH] = "function-length",
    [RULE_LINE_LENGTH] = "line-length",
    [RULE_TAB] = "tab",
    [RULE_UNFINISHED] = "unfinished",
    [RULE_UNREADABLE] = "unreadable",
};

struct finding {
    const struct source *source;
    enum rule rule;
    size_t line;
    char text[TEXT_BYTES];
};

struct source {
    char path[PATH_BYTES];         /* below the root: "src/net/url.c" */
    char *text;                    /* as written, NUL-terminated */
    char *code;                    /* the same length, comments and literals blanked */
    size_t includes[INCLUDES_MAX]; /* indexes of the headers of ours that this one includes */
    size_t include_count;
    bool is_settled; /* known to be in no cycle */
};

struct tidy {
    const char *root;
    struct source sources[SOURCES_MAX];
    size_t source_count;
    struct finding findings[FINDINGS_MAX];
    size_t finding_count;
};

struct line {
    const char *start;
    size_t len;
    size_t number; /* from 1 */
};

/* --- words and lines ------------------------------------------------------------------------ */

static bool text_starts(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool text_ends(const char *text, const char *suffix) {
    const size_t len = strlen(text);
    const size_t suffix_len = strlen(suffix);
    return len >= suffix_len && memcmp(text + len - suffix_len, suffix, suffix_len) == 0;
}

static bool is_word_byte(char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_';
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Moves `line` to the next one of `text`; begins with `line->start` NULL. False at the end. */
static bool next_line(const char *text, struct line *line) {
    const char *start = line->start ? line->start + line->len : text;
    if (line->start) {
        if (*start == '\0') return false;
        start++;
    }
    if (*start == '\0') return false;
    line->start = start;
    line->len = strcspn(start, "\n");
    line->number++;
    return true;
}

/* Where `word` stands in the line as a whole word, or NULL. */
static const char *find_word(const struct line *line, const char *word) {
    const size_t word_len = strlen(word);
    const char *end = line->start + line->len;
    for (const char *at = line->start; at + word_len <= end; at++) {
        if (memcmp(at, word, word_len) != 0) continue;
        if (at > line->start && is_word_byte(at[-1])) continue;
        if (at + word_len < end && is_word_byte(at[word_len])) continue;
        return at;
    }
    return NULL;
}

static void note(struct tidy *tidy, const struct source *source, enum rule rule, size_t line,
                 const char *text) {
    if (tidy->finding_count == FINDINGS_MAX) return;
    struct finding *finding = &tidy->findings[tidy->finding_count++];
    finding->source = source;
    finding->rule = rule;
    finding->line = line;
    (void)snprintf(finding->text, sizeof(finding->text), "%s", text);
}

/* --- reading the tree ----------------------------------------------------------------------- */

/* The length of the comment or literal that begins at `at`, 0 when none does. */
static size_t opaque_length(const char *at) {
    if (at[0] == '/' && at[1] == '*') {
        const char *end = strstr(at + 2, "*/");
        return end ? (size_t)(end - at) + 2 : strlen(at);
    }
    if (at[0] == '/' && at[1] == '/') return strcspn(at, "\n");
    if (at[0] != '"' && at[0] != '\'') return 0;
    size_t len = 1;
    while (at[len] != '\0' && at[len] != at[0] && at[len] != '\n') {
        len += at[len] == '\\' && at[len + 1] != '\0' ? 2 : 1;
    }
    return at[len] == at[0] ? len + 1 : len;
}

/* Fills `code` from `text` and notes line comments, which only this walk can tell apart. */
static void blank_opaque(struct tidy *tidy, struct source *source) {
    const char *text = source->text;
    size_t line = 1;
    size_t at = 0;
    while (text[at] != '\0') {
        const size_t len = opaque_length(text + at);
        if (text[at] == '/' && text[at + 1] == '/') {
            note(tidy, source, RULE_LINE_COMMENT, line, "comments are written as /* ... */");
        }
        for (size_t i = 0; i < len; i++) {
            if (text[at + i] == '\n') line++;
            source->code[at + i] = text[at + i] == '\n' ? '\n' : ' ';
        }
        at += len;
        if (len > 0) continue;
        if (text[at] == '\n') line++;
        source->code[at] = text[at];
        at++;
    }
    source->code[at] = '\0';
}

static void read_source(struct tidy *tidy, const char *path) {
    if (tidy->source_count == SOURCES_MAX) {
        fprintf(stderr, "tidy: more than %d files\n", SOURCES_MAX);
        exit(EXIT_FAILURE);
    }
    struct source *source = &tidy->sources[tidy->source_count++];
    char full[2 * PATH_BYTES + 2];
    (void)snprintf(source->path, sizeof(source->path), "%s", path);
    (void)snprintf(full, sizeof(full), "%s/%s", tidy->root, path);
    source->text = calloc(1, FILE_BYTES_MAX + 1);
    source->code = NULL;
    FILE *file = fopen(full, "rb");
    const size_t len = source->text && file ? fread(source->text, 1, FILE_BYTES_MAX, file) : 0;
    if (file) fclose(file);
    source->code = calloc(1, len + 1);
    if (!source->text || !source->code) {
        fprintf(stderr, "tidy: out of memory\n");
        exit(EXIT_FAILURE);
    }
    if (len == 0 || len == FILE_BYTES_MAX || strlen(source->text) != len) {
        note(tidy, source, RULE_UNREADABLE, 1, "empty, too large, unreadable or with a NUL");
    }
    char *fitted = realloc(source->text, len + 1);
    if (fitted) source->text = fitted;
    source->text[strlen(source->text)] = '\0';
    blank_opaque(tidy, source);
}

static int compare_names(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static bool is_skipped(const char *name) {
    static const char *const names[] = {"tidy_samples", "node_modules", "fixtures", "corpus",
                                        "regression"};
    if (name[0] == '.') return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) return true;
    }
    return false;
}

/* Reads all .c and .h files below `path`, in the order of their names. */
static void read_folder(struct tidy *tidy, const char *path, int depth) {
    char full[2 * PATH_BYTES + 2];
    (void)snprintf(full, sizeof(full), "%s/%s", tidy->root, path);
    DIR *folder = opendir(full);
    if (!folder || depth > FOLDER_DEPTH_MAX) {
        if (folder) closedir(folder);
        return;
    }
    char *names[SOURCES_MAX];
    size_t count = 0;
    const struct dirent *entry;
    while (count < SOURCES_MAX && (entry = readdir(folder)) != NULL) {
        if (!is_skipped(entry->d_name)) names[count++] = strdup(entry->d_name);
    }
    closedir(folder);
    qsort(names, count, sizeof(names[0]), compare_names);
    for (size_t i = 0; i < count; i++) {
        char inner[PATH_BYTES];
        struct stat status;
        const int len = snprintf(inner, sizeof(inner), "%s/%s", path, names[i]);
        (void)snprintf(full, sizeof(full), "%s/%s", tidy->root, inner);
        if (len > 0 && (size_t)len < sizeof(inner) && stat(full, &status) == 0) {
            if (S_ISDIR(status.st_mode))
                read_folder(tidy, inner, depth + 1);
            else if (text_ends(inner, ".c") || text_ends(inner, ".h"))
                read_source(tidy, inner);
        }
        free(names[i]);
    }
}

/* --- floors and fences ---------------------------------------------------------------------- */

static const struct {
    const char *floor;
    const char *below; /* the floors it may include, each between blanks */
} arrows[] = {
    {"base", " "},
    {"net", " base "},
    {"model", " base "},
    {"dialect", " base model "},
    {"policy", " base model "},
    {"store", " base net model "},
    {"gateway", " base net model dialect policy store "},
    {"admin", " base net model store "},
    {"sim", " base net "},
    {"client", " base net model "},
    {"cli", " base net model dialect policy store gateway admin sim client "},
};

/* The doors: single headers that a folder may see of a floor that is closed to it otherwise. */
static const struct {
    const char *includer; /* beginning of the path below src/ */
    const char *suffix;   /* end of the path */
    const char *header;   /* beginning of the header's path */
} doors[] = {
    {"admin/", "", "gateway/inspect.h"},
    {"admin/", "", "gateway/control.h"},
    {"admin/", "", "gateway/refusal.h"},
    {"client/", "", "dialect/native.h"},
    {"client/", "", "drover.h"},
    {"cli/", "", "drover.h"},
    /* The whole pipeline is tested against the simulated provider. */
    {"gateway/", "_test.c", "sim/"},
    {"admin/", "_test.c", "sim/"},
};

/* A library's header may be seen only where the path begins and ends as a row of it says. */
static const struct {
    const char *header;
    const char *begins;
    const char *ends;
} fences[] = {
    {"uv.h", "net/", ""},
    {"openssl/", "net/", ""},
    {"openssl/", "base/digest", ".c"},
    {"openssl/", "base/random", ".c"},
    {"openssl/", "base/secret", ".c"},
    {"llhttp.h", "net/http1_parse.c", ""},
    {"yyjson.h", "base/json.c", ""},
    {"xxhash.h", "base/slice.c", ""},
    {"ares.h", "net/address.c", ""},
    {"wslay/", "net/ws.c", ""},
    {"sqlite3.h", "store/store_sqlite", ""}, /* one room, in several files */
    {"libpq-fe.h", "store/store_postgres.c", ""},
    {"hiredis/", "store/tally_redis.c", ""},
    {"yaml.h", "gateway/config_yaml.c", ""},
    {"cmocka.h", "", "_test.c"},
    {"cmocka.h", "", "_probe.h"},
};

/* "net" of "net/url.h"; false when there is no folder in it. */
static bool floor_of(const char *path, char *floor, size_t floor_bytes) {
    const size_t len = strcspn(path, "/");
    if (path[len] != '/' || len >= floor_bytes) return false;
    memcpy(floor, path, len);
    floor[len] = '\0';
    return true;
}

static bool may_include(const char *path, const char *header) {
    for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++) {
        if (text_starts(path, doors[i].includer) && text_ends(path, doors[i].suffix) &&
            text_starts(header, doors[i].header)) {
            return true;
        }
    }
    char from[PATH_BYTES];
    char to[PATH_BYTES];
    if (!floor_of(path, from, sizeof(from)) || !floor_of(header, to, sizeof(to))) return false;
    if (strcmp(from, to) == 0) return true;
    char wanted[PATH_BYTES + 2];
    (void)snprintf(wanted, sizeof(wanted), " %s ", to);
    for (size_t i = 0; i < sizeof(arrows) / sizeof(arrows[0]); i++) {
        if (strcmp(arrows[i].floor, from) == 0) return strstr(arrows[i].below, wanted) != NULL;
    }
    return false;
}

static bool is_fenced_out(const char *path, const char *header) {
    bool is_fenced = false;
    for (size_t i = 0; i < sizeof(fences) / sizeof(fences[0]); i++) {
        if (!text_starts(header, fences[i].header)) continue;
        if (text_starts(path, fences[i].begins) && text_ends(path, fences[i].ends)) return false;
        is_fenced = true;
    }
    return is_fenced;
}

static void link_include(struct tidy *tidy, struct source *source, const char *header) {
    for (size_t i = 0; i < tidy->source_count; i++) {
        const char *path = tidy->sources[i].path;
        if (!text_starts(path, "src/") || strcmp(path + 4, header) != 0) continue;
        if (source->include_count < INCLUDES_MAX) source->includes[source->include_count++] = i;
        return;
    }
}

/* `path` is below src/. The include line is read from the text, since `code` has no literals. */
static void check_include(struct tidy *tidy, struct source *source, const struct line *line) {
    const char *path = source->path + 4;
    const size_t skip = strcspn(line->start, "\"<\n");
    const char *open = line->start + skip;
    if (*open != '"' && *open != '<') return;
    const char close[] = {*open == '"' ? '"' : '>', '\n', '\0'};
    char header[PATH_BYTES];
    char text[TEXT_BYTES];
    (void)snprintf(header, sizeof(header), "%.*s", (int)strcspn(open + 1, close), open + 1);
    if (*open == '"') {
        link_include(tidy, source, header);
        if (may_include(path, header)) return;
        (void)snprintf(text, sizeof(text), "this floor may not include %.100s", header);
        note(tidy, source, RULE_ARROW, line->number, text);
    } else if (is_fenced_out(path, header)) {
        (void)snprintf(text, sizeof(text), "%.100s is fenced: see the table in tools/tidy.c",
                       header);
        note(tidy, source, RULE_FENCE, line->number, text);
    }
}

/* Takes away headers that include only headers taken away before; what is left hangs in a cycle. */
static void check_cycles(struct tidy *tidy) {
    bool has_changed = true;
    while (has_changed) {
        has_changed = false;
        for (size_t i = 0; i < tidy->source_count; i++) {
            struct source *source = &tidy->sources[i];
            if (source->is_settled) continue;
            size_t open_count = 0;
            for (size_t j = 0; j < source->include_count; j++) {
                if (!tidy->sources[source->includes[j]].is_settled) open_count++;
            }
            if (open_count > 0) continue;
            source->is_settled = true;
            has_changed = true;
        }
    }
    for (size_t i = 0; i < tidy->source_count; i++) {
        const struct source *source = &tidy->sources[i];
        if (source->is_settled || !text_ends(source->path, ".h")) continue;
        note(tidy, source, RULE_CYCLE, 1, "this header includes itself by way of others");
    }
}

/* --- one line ------------------------------------------------------------------------------- */

static size_t columns_of(const struct line *line) {
    size_t columns = 0;
    for (size_t i = 0; i < line->len; i++) {
        if (((unsigned char)line->start[i] & 0xC0) != 0x80) columns++;
    }
    return columns;
}

static void check_written_line(struct tidy *tidy, const struct source *source,
                               const struct line *line) {
    static const char *const unfinished[] = {"TO"
                                             "DO",
                                             "FIX"
                                             "ME",
                                             "XX"
                                             "X"};
    if (memchr(line->start, '\t', line->len)) {
        note(tidy, source, RULE_TAB, line->number, "a tab; indent with blanks, write \\t");
    }
    if (columns_of(line) > LINE_COLUMNS_MAX) {
        note(tidy, source, RULE_LINE_LENGTH, line->number, "more than 100 columns");
    }
    for (size_t i = 0; i < sizeof(unfinished) / sizeof(unfinished[0]); i++) {
        if (!find_word(line, unfinished[i])) continue;
        note(tidy, source, RULE_UNFINISHED, line->number, "a mark of unfinished work");
    }
}

/* Whether `word` is one of the words, joined by underscores, of the name of `len` bytes. */
static bool name_has_word(const char *name, size_t len, const char *word) {
    const size_t word_len = strlen(word);
    for (size_t at = 0; at + word_len <= len; at++) {
        if (memcmp(name + at, word, word_len) != 0) continue;
        const bool begins = at == 0 || !is_word_byte(name[at - 1]) || name[at - 1] == '_';
        const char after = at + word_len < len ? name[at + word_len] : '.';
        if (begins && (!is_word_byte(after) || after == '_')) return true;
    }
    return false;
}

static void check_code_line(struct tidy *tidy, const struct source *source,
                            const struct line *line) {
    static const char *const abbreviations[] = {"ctx", "mgr", "util", "helper"};
    static const char *const allocators[] = {"malloc", "calloc",  "realloc",
                                             "strdup", "strndup", "asprintf"};
    char text[TEXT_BYTES];
    for (size_t i = 0; i < sizeof(abbreviations) / sizeof(abbreviations[0]); i++) {
        if (!name_has_word(line->start, line->len, abbreviations[i])) continue;
        (void)snprintf(text, sizeof(text), "`%s` in a name says nothing", abbreviations[i]);
        note(tidy, source, RULE_NAME, line->number, text);
    }
    if (!text_starts(source->path, "src/")) return;
    if (strcmp(source->path, "src/base/alloc.c") == 0) return;
    if (text_ends(source->path, "_test.c")) return;
    for (size_t i = 0; i < sizeof(allocators) / sizeof(allocators[0]); i++) {
        const char *at = find_word(line, allocators[i]);
        if (!at || at[strlen(allocators[i])] != '(') continue;
        if (at > line->start && (at[-1] == '.' || at[-1] == '>')) continue;
        (void)snprintf(text, sizeof(text), "%s(): memory comes from base/alloc.h alone",
                       allocators[i]);
        note(tidy, source, RULE_ALLOCATION, line->number, text);
    }
}

/* --- one file ------------------------------------------------------------------------------- */

static bool ends_as_function_head(const struct line *line) {
    size_t len = line->len;
    while (len > 0 && line->start[len - 1] == ' ') len--;
    if (len == 0 || line->start[len - 1] != '{') return false;
    len--;
    while (len > 0 && line->start[len - 1] == ' ') len--;
    /* A brace alone in its line opens a function when it stands in the first column. */
    return len == 0 ? line->start[0] == '{' : line->start[len - 1] == ')';
}

/* A function begins in the last line before its brace that starts in the first column, and ends at
 * the first closing brace in the first column. */
static void check_functions(struct tidy *tidy, const struct source *source) {
    struct line line = {0};
    size_t head = 0;
    bool is_inside = false;
    while (next_line(source->code, &line)) {
        const char first = line.len > 0 ? line.start[0] : ' ';
        if (is_inside) {
            if (first != '}') continue;
            is_inside = false;
            const size_t lines = line.number - head + 1;
            if (lines <= FUNCTION_LINES_WISHED) continue;
            char text[TEXT_BYTES];
            (void)snprintf(text, sizeof(text), "a function of %zu lines, %d are wished, %d allowed",
                           lines, FUNCTION_LINES_WISHED, FUNCTION_LINES_MAX);
            if (lines > FUNCTION_LINES_MAX)
                note(tidy, source, RULE_FUNCTION_LENGTH, head, text);
            else
                printf("%s:%zu: warning: %s\n", source->path, head, text);
            continue;
        }
        if (is_word_byte(first))
            head = line.number;
        else if (first == '#' || first == '}')
            head = 0;
        is_inside = head > 0 && ends_as_function_head(&line);
    }
}

static void check_guard(struct tidy *tidy, const struct source *source) {
    char guard[PATH_BYTES + 4];
    char expected[3 * PATH_BYTES];
    (void)snprintf(guard, sizeof(guard), "DR_%s", source->path + 4);
    for (char *at = guard; *at != '\0'; at++) {
        if (*at >= 'a' && *at <= 'z')
            *at = (char)(*at - 'a' + 'A');
        else if (!is_word_byte(*at))
            *at = '_';
    }
    (void)snprintf(expected, sizeof(expected), "#ifndef %s\n#define %s\n", guard, guard);
    /* The first directive of the file must be the guard. */
    const char *first = strstr(source->code, "#");
    if (first && text_starts(first, expected)) return;
    char text[TEXT_BYTES];
    (void)snprintf(text, sizeof(text), "the include guard is %.120s", guard);
    note(tidy, source, RULE_GUARD, 1, text);
}

static void check_names(struct tidy *tidy, size_t index) {
    static const char *const words[] = {"ctx", "info", "util", "utils", "helper", "helpers", "mgr"};
    const struct source *source = &tidy->sources[index];
    const char *name = base_name(source->path);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (name_has_word(name, strlen(name), words[i])) {
            note(tidy, source, RULE_NAME, 1, "the file's name holds a word that says nothing");
        }
    }
    if (!text_starts(source->path, "src/")) return;
    for (size_t i = 0; i < index; i++) {
        const char *other = tidy->sources[i].path;
        if (!text_starts(other, "src/") || strcmp(base_name(other), name) != 0) continue;
        char text[TEXT_BYTES];
        (void)snprintf(text, sizeof(text), "the name is taken by %.120s", other);
        note(tidy, source, RULE_SAME_NAME, 1, text);
    }
}

static void check_source(struct tidy *tidy, size_t index) {
    struct source *source = &tidy->sources[index];
    const bool is_floor = text_starts(source->path, "src/");
    struct line line = {0};
    while (next_line(source->text, &line)) {
        check_written_line(tidy, source, &line);
        const char *code = source->code + (line.start - source->text);
        check_code_line(tidy, source, &(struct line){code, line.len, line.number});
        if (is_floor && text_starts(code, "#include")) check_include(tidy, source, &line);
    }
    if (line.number > FILE_LINES_MAX) {
        note(tidy, source, RULE_FILE_LENGTH, line.number, "more than 1000 lines");
    }
    if (text_ends(source->path, ".c") && !text_starts(source->text, "/*")) {
        note(tidy, source, RULE_HEAD_COMMENT, 1, "a file begins with what it is for");
    }
    if (is_floor && text_ends(source->path, ".h")) check_guard(tidy, source);
    check_functions(tidy, source);
    check_names(tidy, index);
}

/* --- the two ways to run -------------------------------------------------------------------- */

static bool report_findings(const struct tidy *tidy) {
    for (size_t i = 0; i < tidy->finding_count; i++) {
        const struct finding *finding = &tidy->findings[i];
        printf("%s:%zu: %s: %s\n", finding->source->path, finding->line, rule_names[finding->rule],
               finding->text);
    }
    printf("%zu files, %zu findings\n", tidy->source_count, tidy->finding_count);
    return tidy->finding_count == 0 && tidy->source_count > 0;
}

/* Each expected line must have a finding, each finding its line. */
static bool compare_expected(const struct tidy *tidy) {
    char path[2 * PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/expected.txt", tidy->root);
    FILE *file = fopen(path, "r");
    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    bool is_used[FINDINGS_MAX] = {false};
    bool is_good = true;
    char expected[2 * PATH_BYTES];
    while (fgets(expected, (int)sizeof(expected), file)) {
        expected[strcspn(expected, "\n")] = '\0';
        bool is_found = false;
        for (size_t i = 0; i < tidy->finding_count && !is_found; i++) {
            char found[2 * PATH_BYTES];
            (void)snprintf(found, sizeof(found), "%s: %s", tidy->findings[i].source->path,
                           rule_names[tidy->findings[i].rule]);
            if (is_used[i] || strcmp(found, expected) != 0) continue;
            is_used[i] = is_found = true;
        }
        if (!is_found) printf("not found: %s\n", expected);
        is_good = is_good && is_found;
    }
    fclose(file);
    for (size_t i = 0; i < tidy->finding_count; i++) {
        if (!is_used[i])
            printf("not expected: %s: %s\n", tidy->findings[i].source->path,
                   rule_names[tidy->findings[i].rule]);
        is_good = is_good && is_used[i];
    }
    return is_good;
}

int main(int argument_count, char **arguments) {
    static const char *const folders[] = {"src", "include", "tools", "fuzz", "test", "bench"};
    const bool is_self_test = argument_count == 3 && strcmp(arguments[1], "--self-test") == 0;
    if (argument_count != 2 && !is_self_test) {
        fprintf(stderr, "usage: tidy [--self-test] ROOT\n");
        return 2;
    }
    struct tidy *tidy = calloc(1, sizeof(*tidy));
    if (!tidy) return EXIT_FAILURE;
    tidy->root = arguments[argument_count - 1];
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        read_folder(tidy, folders[i], 0);
    }
    for (size_t i = 0; i < tidy->source_count; i++) {
        check_source(tidy, i);
    }
    check_cycles(tidy);
    const bool is_good = is_self_test ? compare_expected(tidy) : report_findings(tidy);
    for (size_t i = 0; i < tidy->source_count; i++) {
        free(tidy->sources[i].text);
        free(tidy->sources[i].code);
    }
    free(tidy);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
