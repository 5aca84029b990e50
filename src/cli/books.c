/* Opens the way to the books and carries questions there. Which questions is the command's. */
#include "cli/books.h"

#include "base/secret.h"
#include "cli/admin_client.h"
#include "store/bookkeeper.h"

#include <stdlib.h>

enum {
    ANSWER_BYTES_MAX = 16 << 20,
    OUT_BYTES_MAX = 16 << 20,
    TARGET_BYTES_MAX = 4096,
    DEPTH_MAX = 32,
};

/* Currencies beside USD without a configuration: the documented default. */
static const struct desk_rate default_rate = {{"CNY", 3}, {1000000000}};

/* --- opening ------------------------------------------------------------------------------- */

static int open_admin(struct books *books, const struct options *options, const char *url) {
    const char *key = options_value(options, "admin-key");
    struct dr_error error = {0};

    if (!key) key = getenv("DROVER_ADMIN_KEY");
    if (!key || !*key) {
        return command_fail("the gateway asks for its admin key: set DROVER_ADMIN_KEY");
    }
    (void)snprintf(books->url, sizeof books->url, "%s", url);
    if (admin_client_open(url, dr_slice_text(key), &books->client, &error) != DR_OK) {
        return command_fail("%s: %s", url, error.text);
    }
    return EXIT_DONE;
}

/* Where the gateway that holds the folder is asked, as it wrote there. */
static bool read_url(const char *folder, char *url, size_t url_len) {
    char path[4096];
    const int len = snprintf(path, sizeof path, "%s/admin.url", folder);
    if (len < 0 || (size_t)len >= sizeof path) return false;
    FILE *file = fopen(path, "re");
    if (!file) return false;
    const bool is_read = fgets(url, (int)url_len, file) != NULL;
    (void)fclose(file);
    if (is_read) url[strcspn(url, "\n")] = '\0';
    return is_read && url[0] != '\0';
}

static int fail_held(const char *folder, const struct dr_error *error) {
    char url[256];
    /* The store's sentence ends by naming --admin. */
    return command_fail("%s %s, with its admin key in DROVER_ADMIN_KEY", error->text,
                        read_url(folder, url, sizeof url) ? url : "URL");
}

static int open_data(struct books *books, const struct options *options) {
    const char *path = options_value(options, "config");
    const char *folder = options_value(options, "data");
    struct dr_error error = {0};
    uint64_t count;

    books->rates[0] = default_rate;
    books->rate_count = 1;
    if (path) {
        if (config_read_file(path, &books->config, &error) != DR_OK) {
            return command_fail("%s", error.text);
        }
        books->rate_count = books->config->rate_count;
        for (size_t i = 0; i < books->rate_count; i++) {
            books->rates[i] = (struct desk_rate){books->config->rates[i].currency,
                                                 books->config->rates[i].usd_per_unit};
        }
    }
    if (!folder) folder = books->config ? books->config->data : "drover-data";
    const enum dr_status status = store_open(folder, &books->store, &error);
    if (status == DR_EXISTS) return fail_held(folder, &error);
    if (status != DR_OK || bookkeeper_replay(books->store, &count, &error) != DR_OK) {
        return command_fail("%s", error.text);
    }
    return EXIT_DONE;
}

int books_open(struct books *books, const struct options *options) {
    const char *url = options_value(options, "admin");
    const bool has_data = options_has(options, "data") || options_has(options, "config");
    int code;

    *books = (struct books){.is_json = options_has(options, "json")};
    if (url && has_data) {
        return command_misused(options, "--admin asks a gateway: leave out --data and -c");
    }
    if (!url && !has_data) url = getenv("DROVER_ADMIN_URL");
    if (url && !*url) url = NULL;
    if (!url && options_has(options, "admin-key")) {
        return command_misused(options, "--admin-key belongs to --admin URL");
    }
    dr_buf_init(&books->ask, DESK_BODY_BYTES_MAX);
    dr_buf_init(&books->out, OUT_BYTES_MAX);
    dr_buf_init(&books->answer, ANSWER_BYTES_MAX);
    books->asks = dr_json_reader_new();
    books->answers = dr_json_reader_new();
    if (!books->asks || !books->answers) {
        code = command_fail("out of memory");
    } else if (url) {
        code = open_admin(books, options, url);
    } else {
        code = open_data(books, options);
    }
    if (code != EXIT_DONE) books_close(books);
    return code;
}

static void clear_buf(struct dr_buf *buf) {
    if (buf->data) dr_wipe(buf->data, buf->len);
    dr_buf_clear(buf);
}

void books_close(struct books *books) {
    admin_client_close(books->client);
    store_close(books->store);
    config_free(books->config);
    dr_json_reader_free(books->asks);
    dr_json_reader_free(books->answers);
    clear_buf(&books->answer);
    clear_buf(&books->out);
    dr_buf_clear(&books->ask);
    *books = (struct books){0};
}

/* --- asking -------------------------------------------------------------------------------- */

static uint16_t ask_desk(struct books *books, const char *target, const struct dr_buf *body) {
    dr_slice query = dr_slice_text(target);
    const dr_slice path = dr_slice_split(&query, '?');
    struct desk_ask ask = {
        .method = body ? DESK_POST : DESK_GET,
        .path = path,
        .query = query,
        .body = body ? dr_buf_slice(body) : DR_NONE,
        .now = dr_wall_now(),
        .rates = books->rates,
        .rate_count = books->rate_count,
        .store = books->store,
        .json = books->asks,
        .answer = &books->answer,
    };
    dr_arena_init(&ask.arena, DESK_ARENA_BYTES_MAX, NULL);
    desk_answer(&ask);
    dr_arena_clear(&ask.arena);
    return ask.status;
}

/* Something that is not our gateway may answer with anything: then the status is told. */
static int fail_answer(const struct books *books, uint16_t status, dr_json answer) {
    const dr_slice message =
        dr_json_text(dr_json_member(dr_json_member(answer, DR_LIT("error")), DR_LIT("message")));
    if (message.len == 0) {
        return command_fail("%s did not answer as a gateway's admin listener does (HTTP %u)",
                            books->client ? books->url : "the desk", status);
    }
    (void)command_fail("%.*s", DR_FMT(message));
    return status == 400 ? EXIT_WRONG_USAGE : EXIT_FAILED;
}

int books_ask(struct books *books, const char *target, const struct dr_buf *body,
              dr_json *ret_answer) {
    struct dr_error error = {0};
    uint16_t status = 0;
    dr_json answer = NULL;

    if (body && dr_buf_status(body) != DR_OK) return command_fail("the question is too large");
    if (!books->client) {
        status = ask_desk(books, target, body);
    } else if (admin_client_ask(books->client, body != NULL, dr_slice_text(target),
                                body ? dr_buf_slice(body) : DR_NONE, &books->answer, &status,
                                &error) != DR_OK) {
        return command_fail("%s: %s", books->url, error.text);
    }
    if (dr_json_read(books->answers, dr_buf_slice(&books->answer), DEPTH_MAX, &answer, &error) !=
        DR_OK) {
        answer = NULL;
    }
    if (status != 200 || !dr_json_is(answer, DR_JSON_OBJECT)) {
        return fail_answer(books, status, answer);
    }
    *ret_answer = answer;
    return EXIT_DONE;
}

int books_each(struct books *books, const char *target, bool (*visit)(void *owner, dr_json row),
               void *owner) {
    char next[TARGET_BYTES_MAX];
    struct dr_json_iter rows;
    dr_json page;

    (void)snprintf(next, sizeof next, "%s", target);
    for (;;) {
        const int code = books_ask(books, next, NULL, &page);
        if (code != EXIT_DONE) return code;
        dr_json_iter_init(&rows, dr_json_member(page, DR_LIT("data")));
        while (dr_json_iter_next(&rows)) {
            if (!visit(owner, rows.value)) return EXIT_DONE;
        }
        const dr_slice after = dr_json_text(dr_json_member(page, DR_LIT("next")));
        if (after.len == 0) return EXIT_DONE;
        const int len = snprintf(next, sizeof next, "%s&after=%.*s", target, DR_FMT(after));
        if (len < 0 || (size_t)len >= sizeof next) return command_fail("the question is too long");
    }
}

/* --- printing ------------------------------------------------------------------------------ */

void books_print(struct books *books) {
    if (dr_buf_status(&books->out) != DR_OK) {
        (void)command_fail("an answer is too large to print");
    } else {
        fwrite(books->out.data, 1, books->out.len, stdout);
    }
    if (books->out.data) dr_wipe(books->out.data, books->out.len);
    dr_buf_reset(&books->out);
}

struct list {
    struct books *books;
    void (*put)(struct dr_buf *out, dr_json row);
    bool has_one;
};

static bool visit_row(void *owner, dr_json row) {
    struct list *list = owner;
    struct books *books = list->books;
    if (books->is_json) {
        dr_buf_put(&books->out, list->has_one ? DR_LIT(",\n") : DR_LIT("["));
        dr_json_put_value(&books->out, row);
    } else {
        list->put(&books->out, row);
    }
    list->has_one = true;
    books_print(books);
    return !ferror(stdout);
}

int books_print_list(struct books *books, const char *target,
                     void (*put)(struct dr_buf *out, dr_json row)) {
    struct list list = {.books = books, .put = put};
    const int code = books_each(books, target, visit_row, &list);
    if (code == EXIT_DONE && books->is_json) fputs(list.has_one ? "]\n" : "[]\n", stdout);
    return code;
}

void books_put_text(struct dr_buf *buf, const char *name, dr_slice text) {
    if (buf->len > 0 && buf->data[buf->len - 1] != '{') dr_buf_put_char(buf, ',');
    dr_json_put_string(buf, dr_slice_text(name));
    dr_buf_put_char(buf, ':');
    dr_json_put_string(buf, text);
}

/* Appends with percent-encoding (RFC 3986); false when it does not fit. */
static bool put_coded(char *text, size_t text_len, const char *plain_text) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789-._~,:";
    size_t len = strlen(text);
    for (const char *at = plain_text; *at; at++) {
        if (len + 4 > text_len) return false;
        if (strchr(plain, *at)) {
            text[len++] = *at;
            text[len] = '\0';
        } else {
            (void)snprintf(text + len, 4, "%%%02X", (unsigned)(unsigned char)*at);
            len += 3;
        }
    }
    return true;
}

static bool put_plain(char *text, size_t text_len, const char *more) {
    const size_t len = strlen(text);
    const size_t more_len = strlen(more);
    if (len + more_len >= text_len) return false;
    memcpy(text + len, more, more_len + 1);
    return true;
}

bool books_put_query(char *target, size_t target_len, const char *name, const char *value) {
    return !value || (put_plain(target, target_len, "&") && put_plain(target, target_len, name) &&
                      put_plain(target, target_len, "=") && put_coded(target, target_len, value));
}

bool books_put_path(char *target, size_t target_len, const char *before, const char *id,
                    const char *after) {
    target[0] = '\0';
    return *id && put_plain(target, target_len, before) && put_coded(target, target_len, id) &&
           put_plain(target, target_len, after);
}

dr_slice books_member(dr_json object, const char *name) {
    const dr_json value = dr_json_member(object, dr_slice_text(name));
    return dr_json_is(value, DR_JSON_NUMBER) ? dr_json_number_text(value) : dr_json_text(value);
}
