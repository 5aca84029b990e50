/* `drover account`: customers and their balance. */
#include "cli/books.h"

enum { TARGET_BYTES = 512 };

static void put_account(struct dr_buf *out, dr_json account) {
    dr_buf_format(out, "%.*s  %.*s USD  %.*s\n", DR_FMT(books_member(account, "id")),
                  DR_FMT(books_member(account, "credits")), DR_FMT(books_member(account, "name")));
}

static int print_account(struct books *books, dr_json account) {
    if (books->is_json) {
        dr_json_put_value(&books->out, account);
        dr_buf_put_char(&books->out, '\n');
    } else {
        put_account(&books->out, account);
    }
    books_print(books);
    return EXIT_DONE;
}

static int show_account(struct books *books, const char *id) {
    char target[TARGET_BYTES];
    dr_json account;
    if (!books_put_path(target, sizeof target, "accounts/", id, "")) {
        return command_fail("there is no account %s", id);
    }
    const int code = books_ask(books, target, NULL, &account);
    return code == EXIT_DONE ? print_account(books, account) : code;
}

static int create_account(struct books *books, const char *name) {
    dr_json account;
    dr_buf_put_char(&books->ask, '{');
    books_put_text(&books->ask, "name", dr_slice_text(name));
    dr_buf_put_char(&books->ask, '}');
    const int code = books_ask(books, "accounts", &books->ask, &account);
    return code == EXIT_DONE ? print_account(books, account) : code;
}

static int top_up(struct books *books, const struct options *options) {
    const char *currency = options_value(options, "currency");
    const char *reference = options_value(options, "reference");
    char target[TARGET_BYTES];
    dr_json account;

    if (!books_put_path(target, sizeof target, "accounts/", options->arguments[1], "/topups")) {
        return command_fail("there is no account %s", options->arguments[1]);
    }
    dr_buf_put_char(&books->ask, '{');
    books_put_text(&books->ask, "amount", dr_slice_text(options->arguments[2]));
    if (currency) books_put_text(&books->ask, "currency", dr_slice_text(currency));
    if (reference) books_put_text(&books->ask, "reference", dr_slice_text(reference));
    dr_buf_put_char(&books->ask, '}');
    const int code = books_ask(books, target, &books->ask, &account);
    if (code != EXIT_DONE) return code;
    if (!dr_json_bool(dr_json_member(account, DR_LIT("counted")))) {
        fputs("drover: this reference was counted before; nothing was added\n", stderr);
    }
    return print_account(books, account);
}

static int run(const struct options *options) {
    static const struct {
        const char *name;
        size_t argument_count;
        const char *takes;
    } actions[] = {{"create", 2, "one NAME"},
                   {"list", 1, "options only"},
                   {"show", 2, "one ID"},
                   {"topup", 3, "an ID and an AMOUNT"}};
    const char *name = options->argument_count ? options->arguments[0] : "";
    struct books books;
    money amount;
    size_t action = 0;

    while (action < 4 && strcmp(actions[action].name, name) != 0) action++;
    if (action == 4) return command_misused(options, "say create, list, show or topup");
    if (options->argument_count != actions[action].argument_count) {
        return command_misused(options, "account %s takes %s", name, actions[action].takes);
    }
    if (action == 3 &&
        (!money_parse(dr_slice_text(options->arguments[2]), &amount) || amount.nanousd <= 0)) {
        return command_misused(options, "AMOUNT is a decimal number above 0, not \"%s\"",
                               options->arguments[2]);
    }
    int code = books_open(&books, options);
    if (code != EXIT_DONE) return code;
    switch (action) {
    case 0: code = create_account(&books, options->arguments[1]); break;
    case 1: code = books_print_list(&books, "accounts?limit=1000", put_account); break;
    case 2: code = show_account(&books, options->arguments[1]); break;
    default: code = top_up(&books, options); break;
    }
    books_close(&books);
    return code;
}

static const struct option account_options[] = {
    BOOKS_OPTIONS,
    {"currency", 0, "CODE", "topup: of AMOUNT (default USD)"},
    {"reference", 0, "TEXT", "topup: counts once for each reference"},
    {0},
};

const struct command command_account = {
    "account",
    "customers and their balance",
    "  drover account create NAME\n  drover account list\n  drover account show ID\n"
    "  drover account topup ID AMOUNT [--currency USD] [--reference TEXT]\n",
    account_options,
    run,
};
