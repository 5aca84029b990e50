/* `drover usage`: what was used and what it cost, from the data itself. Changes nothing but what
 * journals of an ended gateway still hold, which is taken in. */
#include "cli/books.h"

#include <inttypes.h>

struct report {
    struct books *books;
    unsigned groups;
    bool has_one;
};

static bool visit_entry(void *owner, const struct ledger_entry *entry) {
    struct books *books = owner;
    ledger_entry_put_usage_line(&books->buf, entry);
    dr_buf_put_char(&books->buf, '\n');
    books_print(books);
    return !ferror(stdout);
}

static void put_total_json(struct report *report, const struct store_total *total) {
    struct books *books = report->books;
    struct dr_buf *buf = &books->buf;

    dr_buf_put_char(buf, '{');
    if (report->groups & STORE_BY_DAY) books_put_text(books, "day", dr_slice_text(total->day));
    if (report->groups & STORE_BY_ACCOUNT) {
        books_put_text(books, "account", total->account_id);
        books_put_text(books, "account_name", total->account_name);
    }
    if (report->groups & STORE_BY_KEY) {
        books_put_text(books, "key", total->key_id);
        books_put_text(books, "key_name", total->key_name);
    }
    if (report->groups & STORE_BY_MODEL) books_put_text(books, "model", total->model);
    if (report->groups) dr_buf_put_char(buf, ',');
    dr_buf_format(buf,
                  "\"requests\":%" PRIu64 ",\"prompt_tokens\":%" PRIu64
                  ",\"completion_tokens\":%" PRIu64 ",\"total_tokens\":%" PRIu64
                  ",\"cached_tokens\":%" PRIu64 ",\"cost\":",
                  total->requests, total->prompt_tokens, total->completion_tokens,
                  total->total_tokens, total->cached_tokens);
    money_put(buf, total->cost);
    dr_buf_put_char(buf, '}');
}

static bool visit_total(void *owner, const struct store_total *total) {
    struct report *report = owner;
    struct dr_buf *buf = &report->books->buf;
    char cost[MONEY_TEXT_BYTES];

    if (report->books->is_json) {
        if (report->has_one) fputs(",\n", stdout);
        put_total_json(report, total);
    } else {
        money_format(total->cost, cost);
        if (report->groups & STORE_BY_DAY) dr_buf_format(buf, "%-10s  ", total->day);
        if (report->groups & STORE_BY_ACCOUNT) {
            dr_buf_format(buf, "%-28.*s  ", DR_FMT(total->account_id));
        }
        if (report->groups & STORE_BY_KEY) dr_buf_format(buf, "%-28.*s  ", DR_FMT(total->key_id));
        if (report->groups & STORE_BY_MODEL) {
            dr_buf_format(buf, "%-24.*s  ", DR_FMT(total->model));
        }
        dr_buf_format(buf, "%10" PRIu64 "  %14" PRIu64 "  %14" PRIu64 "  %14s\n", total->requests,
                      total->prompt_tokens, total->completion_tokens, cost);
    }
    report->has_one = true;
    books_print(report->books);
    return !ferror(stdout);
}

static void print_heading(unsigned groups) {
    if (groups & STORE_BY_DAY) printf("%-10s  ", "day");
    if (groups & STORE_BY_ACCOUNT) printf("%-28s  ", "account");
    if (groups & STORE_BY_KEY) printf("%-28s  ", "key");
    if (groups & STORE_BY_MODEL) printf("%-24s  ", "model");
    printf("%10s  %14s  %14s  %14s\n", "requests", "prompt tokens", "output tokens", "cost USD");
}

static int print_totals(struct books *books, const struct store_filter *filter, unsigned groups) {
    struct report report = {.books = books, .groups = groups};

    if (books->is_json)
        fputc('[', stdout);
    else
        print_heading(groups);
    if (store_each_total(books->store, filter, groups, visit_total, &report, &books->error) !=
        DR_OK) {
        return books_fail(books);
    }
    if (books->is_json) fputs("]\n", stdout);
    return EXIT_DONE;
}

static int print_receipt(struct books *books, const char *id) {
    struct ledger_entry entry;
    const enum dr_status status = store_find_entry(books->store, dr_slice_text(id), DR_NONE,
                                                   &books->arena, &entry, &books->error);

    if (status == DR_NOT_FOUND) return command_fail("there is no request %s", id);
    if (status != DR_OK) return books_fail(books);
    ledger_entry_put_receipt(&books->buf, &entry);
    dr_buf_put_char(&books->buf, '\n');
    books_print(books);
    return EXIT_DONE;
}

static bool read_groups(const struct options *options, unsigned *ret_groups) {
    static const struct {
        const char *name;
        unsigned group;
    } names[] = {{"account", STORE_BY_ACCOUNT},
                 {"key", STORE_BY_KEY},
                 {"model", STORE_BY_MODEL},
                 {"day", STORE_BY_DAY}};
    const char *text = options_value(options, "by");
    dr_slice rest = dr_slice_text(text ? text : "model");

    *ret_groups = 0;
    while (rest.data) {
        const dr_slice word = dr_slice_split(&rest, ',');
        size_t i = 0;
        while (i < 4 && !dr_slice_is(word, dr_slice_text(names[i].name))) i++;
        if (i == 4) {
            command_misused(options, "--by is a list of account, key, model, day");
            return false;
        }
        *ret_groups |= names[i].group;
    }
    return true;
}

static bool read_wall(const struct options *options, const char *name, dr_wall *ret) {
    const char *text = options_value(options, name);

    if (!text || dr_wall_parse(dr_slice_text(text), ret)) return true;
    command_misused(options, "--%s is a date or time (2026-11-24), not \"%s\"", name, text);
    return false;
}

static int run(const struct options *options) {
    const char *request = options_value(options, "request");
    struct store_filter filter = {
        .account_id = dr_slice_text(options_value(options, "account")),
        .key_id = dr_slice_text(options_value(options, "key")),
        .model = dr_slice_text(options_value(options, "model")),
    };
    struct books books;
    unsigned groups;
    int code = EXIT_DONE;

    if (options->argument_count > 0) {
        return command_misused(options, "unexpected argument %s", options->arguments[0]);
    }
    if (!read_groups(options, &groups) || !read_wall(options, "from", &filter.from) ||
        !read_wall(options, "to", &filter.to)) {
        return EXIT_WRONG_USAGE;
    }
    if (!books_open(&books, options)) return EXIT_FAILED;
    if (request) {
        code = print_receipt(&books, request);
    } else if (!options_has(options, "requests")) {
        code = print_totals(&books, &filter, groups);
    } else if (store_each_entry(books.store, &filter, visit_entry, &books, &books.error) != DR_OK) {
        code = books_fail(&books);
    }
    books_close(&books);
    return code;
}

static const struct option usage_options[] = {
    BOOKS_OPTIONS,
    {"by", 0, "WORDS", "totals by account, key, model, day, joined with commas (default model)"},
    {"requests", 0, NULL, "each request, one JSON object per line"},
    {"request", 0, "ID", "the receipt of one request"},
    {"account", 0, "ID", "only this account"},
    {"key", 0, "ID", "only this key (its id)"},
    {"model", 0, "NAME", "only this model"},
    {"from", 0, "TIME", "from this day or time on"},
    {"to", 0, "TIME", "before this day or time"},
    {0},
};

const struct command command_usage = {
    "usage",
    "what was used and what it cost",
    "  drover usage [--by WORDS] [--account ID] [--key ID] [--model NAME] [--from T] [--to T]\n"
    "  drover usage --requests\n  drover usage --request ID\n",
    usage_options,
    run,
};
