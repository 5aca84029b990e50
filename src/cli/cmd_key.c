/* `drover key`: makes, lists and revokes keys. A key's text is printed once, when it is made. */
#include "cli/books.h"

enum { TARGET_BYTES = 512 };

static const char *key_state(dr_json key) {
    dr_wall expires;
    if (books_member(key, "revoked").len > 0) return "revoked";
    const bool ends = dr_wall_parse(books_member(key, "expires"), &expires);
    return ends && expires.ms <= dr_wall_now().ms ? "expired" : "valid";
}

static void put_key(struct dr_buf *out, dr_json key) {
    dr_buf_format(out, "%.*s  ...%.*s  %.*s  %s  %.*s\n", DR_FMT(books_member(key, "id")),
                  DR_FMT(books_member(key, "hint")), DR_FMT(books_member(key, "account")),
                  key_state(key), DR_FMT(books_member(key, "name")));
    const dr_slice text = books_member(key, "key");
    if (text.len > 0) {
        dr_buf_format(out, "key: %.*s\nThis is the only time that it is shown.\n", DR_FMT(text));
    }
}

/* Asks for one key's object and prints it. */
static int print_key(struct books *books, const char *target, const struct dr_buf *body) {
    dr_json key;
    const int code = books_ask(books, target, body, &key);
    if (code != EXIT_DONE) return code;
    if (books->is_json) {
        dr_json_put_value(&books->out, key);
        dr_buf_put_char(&books->out, '\n');
    } else {
        put_key(&books->out, key);
    }
    books_print(books);
    return EXIT_DONE;
}

static int ask_key(struct books *books, const char *id, const char *rest,
                   const struct dr_buf *body) {
    char target[TARGET_BYTES];
    if (!books_put_path(target, sizeof target, "keys/", id, rest)) {
        return command_fail("there is no key %s", id);
    }
    return print_key(books, target, body);
}

static void put_models(struct dr_buf *ask, const char *models) {
    dr_slice rest = dr_slice_text(models);
    dr_buf_put(ask, DR_LIT(",\"models\":["));
    for (bool is_first = true; rest.data; is_first = false) {
        if (!is_first) dr_buf_put_char(ask, ',');
        dr_json_put_string(ask, dr_slice_trim(dr_slice_split(&rest, ',')));
    }
    dr_buf_put_char(ask, ']');
}

static int create_key(struct books *books, const struct options *options,
                      uint64_t requests_per_minute) {
    const char *name = options_value(options, "name");
    const char *expires = options_value(options, "expires");
    const char *models = options_value(options, "models");
    struct dr_buf *ask = &books->ask;

    dr_buf_put_char(ask, '{');
    books_put_text(ask, "account", dr_slice_text(options_value(options, "account")));
    if (name) books_put_text(ask, "name", dr_slice_text(name));
    if (expires) books_put_text(ask, "expires", dr_slice_text(expires));
    if (models) put_models(ask, models);
    dr_buf_put(ask, DR_LIT(",\"requests_per_minute\":"));
    dr_buf_put_u64(ask, requests_per_minute);
    dr_buf_put_char(ask, '}');
    return print_key(books, "keys", ask);
}

static int list_keys(struct books *books, const struct options *options) {
    char target[TARGET_BYTES] = "keys?limit=1000";
    const char *account = options_value(options, "account");
    if (!books_put_query(target, sizeof target, "account", account)) {
        return command_fail("there is no account %s", account);
    }
    return books_print_list(books, target, put_key);
}

/* What can be told wrong before anybody is asked. */
static int check_create(const struct options *options, uint64_t *ret_requests_per_minute) {
    const char *expires = options_value(options, "expires");
    const char *models = options_value(options, "models");
    dr_slice rest = dr_slice_text(models);
    size_t count = 0;
    dr_wall wall;

    if (!options_has(options, "account")) {
        return command_misused(options, "key create needs --account ID");
    }
    if (expires && !desk_read_expires(dr_slice_text(expires), dr_wall_now(), &wall)) {
        return command_misused(options,
                               "--expires is a time to come (2027-01-31T12:00:00Z) or a duration "
                               "(30d), not \"%s\"",
                               expires);
    }
    while (rest.data) {
        const dr_slice model = dr_slice_trim(dr_slice_split(&rest, ','));
        if (model.len == 0 || ++count > KEY_MODELS_MAX) {
            return command_misused(options, "--models is a list A,B of up to %d names",
                                   KEY_MODELS_MAX);
        }
    }
    return options_number(options, "requests-per-minute", UINT32_MAX, ret_requests_per_minute)
               ? EXIT_DONE
               : EXIT_WRONG_USAGE;
}

static int run(const struct options *options) {
    static const char *const actions[] = {"create", "list", "show", "revoke", "rotate"};
    const char *name = options->argument_count ? options->arguments[0] : "";
    const char *id = options->argument_count > 1 ? options->arguments[1] : "";
    uint64_t requests_per_minute = 0;
    struct books books;
    size_t action = 0;

    while (action < 5 && strcmp(actions[action], name) != 0) action++;
    if (action == 5) return command_misused(options, "say create, list, show, revoke or rotate");
    if (options->argument_count != (action < 2 ? 1 : 2)) {
        return command_misused(options, "key %s takes %s", name,
                               action < 2 ? "options only" : "one ID");
    }
    int code = action == 0 ? check_create(options, &requests_per_minute) : EXIT_DONE;
    if (code == EXIT_DONE) code = books_open(&books, options);
    if (code != EXIT_DONE) return code;
    switch (action) {
    case 0: code = create_key(&books, options, requests_per_minute); break;
    case 1: code = list_keys(&books, options); break;
    case 2: code = ask_key(&books, id, "", NULL); break;
    case 3: code = ask_key(&books, id, "/revoke", &books.ask); break;
    default: code = ask_key(&books, id, "/rotate", &books.ask); break;
    }
    books_close(&books);
    return code;
}

static const struct option key_options[] = {
    BOOKS_OPTIONS,
    {"account", 0, "ID", "create: whose key; list: only this account's"},
    {"name", 0, "NAME", "create: a name for people"},
    {"expires", 0, "TIME|DURATION", "create: 2027-01-31T12:00:00Z or 30d"},
    {"models", 0, "A,B", "create: only these; a name may end in *"},
    {"requests-per-minute", 0, "N", "create: 0 for no limit"},
    {0},
};

const struct command command_key = {
    "key",
    "keys of customers",
    "  drover key create --account ID [--name NAME] [--expires TIME|DURATION] [--models A,B]\n"
    "                    [--requests-per-minute N]\n"
    "  drover key list [--account ID]\n  drover key show ID\n  drover key revoke ID\n"
    "  drover key rotate ID\n",
    key_options,
    run,
};
