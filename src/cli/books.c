/* Opens the data for a command and closes it again. Which records it reads is the command's. */
#include "cli/books.h"

#include "base/json.h"
#include "store/bookkeeper.h"

enum { BOOKS_ARENA_BYTES_MAX = 16 << 20, BOOKS_BUF_BYTES_MAX = 16 << 20 };

bool books_open(struct books *books, const struct options *options) {
    const char *path = options_value(options, "config");
    const char *folder = options_value(options, "data");
    uint64_t count;

    *books = (struct books){.is_json = options_has(options, "json")};
    dr_arena_init(&books->arena, BOOKS_ARENA_BYTES_MAX, NULL);
    dr_buf_init(&books->buf, BOOKS_BUF_BYTES_MAX);
    if (path && config_read_file(path, &books->config, &books->error) != DR_OK) {
        books_fail(books);
        return false;
    }
    if (!folder) folder = books->config ? books->config->data : "drover-data";
    const enum dr_status status = store_open(folder, &books->store, &books->error);
    if (status == DR_EXISTS) {
        command_fail("a running gateway (or another command) holds the data: %s",
                     books->error.text);
    } else if (status != DR_OK || bookkeeper_replay(books->store, &count, &books->error) != DR_OK) {
        books_fail(books);
    } else {
        return true;
    }
    books_close(books);
    return false;
}

void books_close(struct books *books) {
    store_close(books->store);
    config_free(books->config);
    dr_arena_clear(&books->arena);
    dr_buf_clear(&books->buf);
    *books = (struct books){0};
}

void books_print(struct books *books) {
    if (dr_buf_status(&books->buf) != DR_OK) {
        command_fail("an answer is too large to print");
    } else {
        fwrite(books->buf.data, 1, books->buf.len, stdout);
    }
    dr_buf_reset(&books->buf);
}

static void put_name(struct books *books, const char *name) {
    const struct dr_buf *buf = &books->buf;
    if (buf->len > 0 && buf->data[buf->len - 1] != '{') dr_buf_put_char(&books->buf, ',');
    dr_json_put_string(&books->buf, dr_slice_text(name));
    dr_buf_put_char(&books->buf, ':');
}

void books_put_text(struct books *books, const char *name, dr_slice text) {
    put_name(books, name);
    dr_json_put_string(&books->buf, text);
}

void books_put_wall(struct books *books, const char *name, dr_wall wall) {
    char text[DR_WALL_TEXT_BYTES];

    put_name(books, name);
    if (wall.ms == 0) {
        dr_buf_put(&books->buf, DR_LIT("null"));
    } else {
        dr_wall_format(wall, text);
        dr_json_put_string(&books->buf, dr_slice_text(text));
    }
}

int books_fail(const struct books *books) {
    return command_fail("%s", books->error.text);
}
