/* `drover usage`: what was used and what it cost, as a table, JSON or CSV. Only looks. */
#include "cli/books.h"

enum { TARGET_BYTES = 2048 };

/* The columns of totals, in the order of every form. */
static const struct {
    const char *name;
    const char *group;   /* shown when grouped by it; NULL: always */
    const char *heading; /* of the table; NULL: not in it */
    int width;           /* negative: to the left */
    bool is_foreign;     /* a customer chose it */
} columns[] = {
    {"day", "day", "day", -10, false},
    {"account", "account", "account", -28, false},
    {"account_name", "account", NULL, 0, true},
    {"key", "key", "key", -28, false},
    {"key_name", "key", NULL, 0, true},
    {"model", "model", "model", -24, true},
    {"requests", NULL, "requests", 10, false},
    {"prompt_tokens", NULL, "prompt tokens", 14, false},
    {"completion_tokens", NULL, "output tokens", 14, false},
    {"total_tokens", NULL, NULL, 0, false},
    {"cached_tokens", NULL, NULL, 0, false},
    {"cost", NULL, "cost USD", 14, false},
};
enum { COLUMN_COUNT = sizeof columns / sizeof columns[0] };

struct report {
    struct books *books;
    const char *by;
    bool is_csv;
    bool has_headings;
};

static bool is_grouped(const char *by, const char *group) {
    dr_slice rest = dr_slice_text(by);
    while (group && rest.data) {
        if (dr_slice_is(dr_slice_split(&rest, ','), dr_slice_text(group))) return true;
    }
    return group == NULL;
}

/* RFC 4180: quoted where it must be. What a spreadsheet would take for a formula gets an apostrophe
 * in front (OWASP, CSV Injection). */
static void put_csv(struct dr_buf *out, dr_slice text, bool is_foreign) {
    const bool is_formula = is_foreign && text.len > 0 && strchr("=+-@\t\r\n", text.data[0]);
    const dr_slice guard = is_formula ? DR_LIT("'") : DR_NONE;
    bool is_plain = true;
    for (size_t i = 0; i < text.len; i++) {
        is_plain = is_plain && strchr(",\"\r\n", text.data[i]) == NULL;
    }
    if (is_plain) {
        dr_buf_put(out, guard);
        dr_buf_put(out, text);
        return;
    }
    dr_buf_put_char(out, '"');
    dr_buf_put(out, guard);
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"') dr_buf_put_char(out, '"');
        dr_buf_put_char(out, text.data[i]);
    }
    dr_buf_put_char(out, '"');
}

/* Names that customers asked for come here, and a terminal obeys what it is shown: control
 * characters, U+0080 to U+009F among them, are shown as question marks. */
static void put_cell(struct dr_buf *out, dr_slice text, int width) {
    char shown[256];
    size_t len = 0;
    for (size_t i = 0; i < text.len && len < sizeof shown; i++) {
        const unsigned char byte = (unsigned char)text.data[i];
        const unsigned char next = i + 1 < text.len ? (unsigned char)text.data[i + 1] : 0;
        const bool is_pair = byte == 0xc2 && next >= 0x80 && next < 0xa0;
        if (is_pair) i++;
        shown[len++] = byte < ' ' || byte == 0x7f || is_pair ? '?' : (char)byte;
    }
    dr_buf_format(out, "%*.*s", width, (int)len, shown);
}

/* `row` NULL: the headings. */
static void put_row(const struct report *report, dr_json row) {
    struct dr_buf *out = &report->books->out;
    bool is_first = true;
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        if (!is_grouped(report->by, columns[i].group)) continue;
        if (!report->is_csv && !columns[i].heading) continue;
        dr_slice text = row ? books_member(row, columns[i].name)
                            : dr_slice_text(report->is_csv ? columns[i].name : columns[i].heading);
        if (!is_first) dr_buf_put(out, report->is_csv ? DR_LIT(",") : DR_LIT("  "));
        is_first = false;
        if (report->is_csv) {
            put_csv(out, text, columns[i].is_foreign);
        } else {
            put_cell(out, text.len > 0 ? text : DR_LIT("-"), columns[i].width);
        }
    }
    dr_buf_put_char(out, '\n');
}

static void put_headings(struct report *report) {
    if (!report->has_headings) put_row(report, NULL);
    report->has_headings = true;
}

static bool visit_total(void *owner, dr_json row) {
    struct report *report = owner;
    put_headings(report);
    put_row(report, row);
    books_print(report->books);
    return !ferror(stdout);
}

static int print_totals(struct books *books, const char *target, const struct options *options) {
    const char *by = options_value(options, "by");
    struct report report = {
        .books = books, .by = by ? by : "model", .is_csv = options_has(options, "csv")};
    if (books->is_json) return books_print_list(books, target, NULL);
    const int code = books_each(books, target, visit_total, &report);
    if (code != EXIT_DONE) return code;
    put_headings(&report); /* of no rows */
    books_print(books);
    return code;
}

static bool visit_request(void *owner, dr_json row) {
    struct books *books = owner;
    dr_json_put_value(&books->out, row);
    dr_buf_put_char(&books->out, '\n');
    books_print(books);
    return !ferror(stdout);
}

static int print_receipt(struct books *books, const char *id) {
    char target[TARGET_BYTES];
    dr_json receipt;
    if (!books_put_path(target, sizeof target, "receipts/", id, "")) {
        return command_fail("there is no request %s", id);
    }
    const int code = books_ask(books, target, NULL, &receipt);
    if (code == EXIT_DONE) (void)visit_request(books, receipt);
    return code;
}

/* "usage?limit=1000&by=…" */
static bool put_target(char target[TARGET_BYTES], const struct options *options) {
    static const char *const names[] = {"account", "key", "model", "from", "to"};
    const bool has_requests = options_has(options, "requests");
    (void)snprintf(target, TARGET_BYTES, "%s?limit=1000", has_requests ? "requests" : "usage");
    if (!has_requests &&
        !books_put_query(target, TARGET_BYTES, "by", options_value(options, "by"))) {
        return false;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!books_put_query(target, TARGET_BYTES, names[i], options_value(options, names[i]))) {
            return false;
        }
    }
    return true;
}

static bool is_wall(const struct options *options, const char *name) {
    const char *text = options_value(options, name);
    dr_wall wall;
    if (!text || dr_wall_parse(dr_slice_text(text), &wall)) return true;
    (void)command_misused(options, "--%s is a date or time (2026-11-24), not \"%s\"", name, text);
    return false;
}

static bool are_groups(const struct options *options) {
    dr_slice rest = dr_slice_text(options_value(options, "by"));
    while (rest.data) {
        const dr_slice word = dr_slice_split(&rest, ',');
        if (dr_slice_is(word, DR_LIT("account")) || dr_slice_is(word, DR_LIT("key")) ||
            dr_slice_is(word, DR_LIT("model")) || dr_slice_is(word, DR_LIT("day"))) {
            continue;
        }
        (void)command_misused(options, "--by is a list of account, key, model, day");
        return false;
    }
    return true;
}

static int run(const struct options *options) {
    const char *request = options_value(options, "request");
    const bool has_requests = options_has(options, "requests");
    char target[TARGET_BYTES];
    struct books books;

    if (options->argument_count > 0) {
        return command_misused(options, "unexpected argument %s", options->arguments[0]);
    }
    if (options_has(options, "csv") && (options_has(options, "json") || request || has_requests)) {
        return command_misused(options, "--csv is for totals, without --json");
    }
    if (!are_groups(options) || !is_wall(options, "from") || !is_wall(options, "to")) {
        return EXIT_WRONG_USAGE;
    }
    if (!put_target(target, options)) return command_misused(options, "a value is too long");
    int code = books_open(&books, options);
    if (code != EXIT_DONE) return code;
    if (request) {
        code = print_receipt(&books, request);
    } else if (has_requests) {
        code = books_each(&books, target, visit_request, &books);
    } else {
        code = print_totals(&books, target, options);
    }
    books_close(&books);
    return code;
}

static const struct option usage_options[] = {
    BOOKS_OPTIONS,
    {"csv", 0, NULL, "totals as comma-separated values"},
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
    "               [--csv]\n"
    "  drover usage --requests\n  drover usage --request ID\n",
    usage_options,
    run,
};
