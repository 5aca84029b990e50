/* `drover account`: customers and their balance, on the data itself. */
#include "cli/books.h"

/* Currencies beside USD without a configuration: the documented default. */
static const int64_t nanousd_per_cny = 1000000000;

static void put_account(struct books *books, const struct account *account) {
    char credits[MONEY_TEXT_BYTES];

    money_format(account->balance, credits);
    if (!books->is_json) {
        dr_buf_format(&books->buf, "%.*s  %s USD  %.*s\n", DR_FMT(account->id), credits,
                      DR_FMT(account->name));
        return;
    }
    dr_buf_put_char(&books->buf, '{');
    books_put_text(books, "id", account->id);
    books_put_text(books, "name", account->name);
    dr_buf_format(&books->buf, ",\"credits\":%s", credits);
    books_put_wall(books, "created", account->created);
    dr_buf_put_char(&books->buf, '}');
}

static int print_account(struct books *books, const struct account *account) {
    put_account(books, account);
    if (books->is_json) dr_buf_put_char(&books->buf, '\n');
    books_print(books);
    return EXIT_DONE;
}

struct list {
    struct books *books;
    bool has_one;
};

static bool visit_account(void *owner, const struct account *account) {
    struct list *list = owner;
    if (list->books->is_json && list->has_one) fputs(",\n", stdout);
    list->has_one = true;
    put_account(list->books, account);
    books_print(list->books);
    return true;
}

static int list_accounts(struct books *books) {
    struct list list = {.books = books};

    if (books->is_json) fputc('[', stdout);
    if (store_each_account(books->store, visit_account, &list, &books->error) != DR_OK) {
        return books_fail(books);
    }
    if (books->is_json) fputs("]\n", stdout);
    return EXIT_DONE;
}

static int show_account(struct books *books, const char *id) {
    struct account account;
    const enum dr_status status =
        store_find_account(books->store, dr_slice_text(id), &books->arena, &account, &books->error);

    if (status == DR_NOT_FOUND) return command_fail("there is no account %s", id);
    return status == DR_OK ? print_account(books, &account) : books_fail(books);
}

/* Dollars for one unit of `currency`; false when it is not known. */
static bool find_rate(const struct books *books, dr_slice currency, int64_t *ret_rate) {
    if (dr_slice_is(currency, DR_LIT("USD"))) {
        *ret_rate = 1000000000;
        return true;
    }
    if (!books->config) {
        *ret_rate = nanousd_per_cny;
        return dr_slice_is(currency, DR_LIT("CNY"));
    }
    for (size_t i = 0; i < books->config->rate_count; i++) {
        if (dr_slice_is(currency, books->config->rates[i].currency)) {
            *ret_rate = books->config->rates[i].usd_per_unit.nanousd;
            return true;
        }
    }
    return false;
}

static int top_up(struct books *books, const struct options *options) {
    const char *id = options->arguments[1];
    const char *currency = options_value(options, "currency");
    __extension__ typedef __int128 wide;
    money amount;
    int64_t rate;

    if (!money_parse(dr_slice_text(options->arguments[2]), &amount) || amount.nanousd <= 0) {
        return command_misused(options, "AMOUNT is a decimal number above 0, not \"%s\"",
                               options->arguments[2]);
    }
    if (!find_rate(books, dr_slice_text(currency ? currency : "USD"), &rate)) {
        return command_fail("there is no rate for %s; billing.rates of the configuration (-c FILE) "
                            "names them",
                            currency);
    }
    const wide nanousd = ((wide)amount.nanousd * rate + 500000000) / 1000000000;
    if (nanousd <= 0 || nanousd > INT64_MAX) {
        return command_fail("the amount is out of range in dollars");
    }
    amount.nanousd = (int64_t)nanousd;
    const enum dr_status status = store_topup(books->store, dr_slice_text(id), amount,
                                              dr_slice_text(options_value(options, "reference")),
                                              dr_wall_now(), &books->error);
    if (status == DR_NOT_FOUND) return command_fail("there is no account %s", id);
    return status == DR_OK ? show_account(books, id) : books_fail(books);
}

static int create_account(struct books *books, const char *name) {
    struct account account;

    if (store_create_account(books->store, dr_slice_text(name), dr_wall_now(), &books->arena,
                             &account, &books->error) != DR_OK) {
        return books_fail(books);
    }
    return print_account(books, &account);
}

static int run(const struct options *options) {
    static const struct {
        const char *name;
        size_t argument_count;
    } actions[] = {{"create", 2}, {"list", 1}, {"show", 2}, {"topup", 3}};
    const char *name = options->argument_count ? options->arguments[0] : "";
    struct books books;
    size_t action = 0;
    int code = EXIT_FAILED;

    while (action < 4 && strcmp(actions[action].name, name) != 0) action++;
    if (action == 4) return command_misused(options, "say create, list, show or topup");
    if (options->argument_count != actions[action].argument_count) {
        return command_misused(options, "account %s has another number of arguments", name);
    }
    if (!books_open(&books, options)) return EXIT_FAILED;
    switch (action) {
    case 0: code = create_account(&books, options->arguments[1]); break;
    case 1: code = list_accounts(&books); break;
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
