/* The books, for commands that ask them: the data itself while no gateway holds it, or a running
 * gateway by its admin listener. Both are asked the same questions (docs/admin-api.md) and give the
 * same answers, so a command does not know which it is. */
#ifndef DR_CLI_BOOKS_H
#define DR_CLI_BOOKS_H

#include "admin/desk.h"
#include "base/buf.h"
#include "base/json.h"
#include "cli/command.h"
#include "gateway/config.h"

struct admin_client;

struct books {
    bool is_json;
    struct dr_buf ask; /* for a command to write a question's body in */
    struct dr_buf out; /* what is to be printed next */
    /* Private part. */
    struct admin_client *client; /* NULL: the data itself */
    struct store *store;
    struct config *config;
    struct desk_rate rates[16];
    size_t rate_count;
    struct dr_json_reader *asks;
    struct dr_json_reader *answers;
    struct dr_buf answer;
    char url[256];
};

/* By --admin (with --admin-key) or --data or -c; else by DROVER_ADMIN_URL; else ./drover-data.
 * Takes in what journals of an ended gateway hold. Not EXIT_DONE, with the sentence printed, when
 * that fails. */
int books_open(struct books *books, const struct options *options);
void books_close(struct books *books);

/* `target` is what follows /admin/v1/; `body` NULL asks with GET, otherwise with POST. The answer
 * is lent until the next question. A refusal is printed and becomes the exit code. */
int books_ask(struct books *books, const char *target, const struct dr_buf *body,
              dr_json *ret_answer);
/* All rows of a list, page by page. `target` ends with its query, which has at least one
 * parameter. `visit` returns false to stop. */
int books_each(struct books *books, const char *target, bool (*visit)(void *owner, dr_json row),
               void *owner);

/* Writes `out` to standard output and empties it; also the books' answers hold secrets. */
void books_print(struct books *books);
/* A JSON array, row by row: `[` … `]`. */
int books_print_list(struct books *books, const char *target,
                     void (*put)(struct dr_buf *out, dr_json row));

/* `,"name":"text"`, with the comma unless it stands first. */
void books_put_text(struct dr_buf *buf, const char *name, dr_slice text);
/* Appends `&name=value`, percent-encoded; nothing for NULL. False when the target is full. */
bool books_put_query(char *target, size_t target_len, const char *name, const char *value);
/* Writes a target around an id, percent-encoded. False when there is no room, or no id. */
bool books_put_path(char *target, size_t target_len, const char *before, const char *id,
                    const char *after);
/* A member of an answer as it is to be read by people: texts without quotes. */
dr_slice books_member(dr_json object, const char *name);

#define BOOKS_OPTIONS \
    {"admin", 0, "URL", "ask the gateway whose admin listener is there"}, \
        {"admin-key", 0, "KEY", "its admin key (better in DROVER_ADMIN_KEY)"}, \
        {"data", 0, "DIR", "the data of a gateway that is not running (default ./drover-data)"}, \
        {"config", 'c', "FILE", "take the folder from this configuration"}, { \
        "json", 0, NULL, "JSON for programs" \
    }

#endif
