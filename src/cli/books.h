/* The data itself, for commands that work on it while no gateway holds it. */
#ifndef DR_CLI_BOOKS_H
#define DR_CLI_BOOKS_H

#include "base/arena.h"
#include "base/buf.h"
#include "cli/command.h"
#include "gateway/config.h"
#include "store/store.h"

struct books {
    struct store *store;
    struct config *config; /* NULL without -c */
    struct dr_arena arena; /* for records that the command reads */
    struct dr_buf buf;     /* for its output */
    struct dr_error error;
    bool is_json;
};

/* By --data, else the data of -c, else ./drover-data; takes in what journals hold. False, with the
 * sentence printed, when that fails. */
bool books_open(struct books *books, const struct options *options);
void books_close(struct books *books);
/* Writes the buffer to standard output and empties it. */
void books_print(struct books *books);
/* `,"name":"text"`, with the comma unless it stands first. */
void books_put_text(struct books *books, const char *name, dr_slice text);
/* `,"name":"2026-…"`, null for ms 0. */
void books_put_wall(struct books *books, const char *name, dr_wall wall);
/* The action's own failure: "drover: TEXT". */
int books_fail(const struct books *books);

#define BOOKS_OPTIONS \
    {"data", 0, "DIR", "the data of a gateway that is not running (default ./drover-data)"}, \
        {"config", 'c', "FILE", "take the folder from this configuration"}, { \
        "json", 0, NULL, "JSON for programs" \
    }

#endif
