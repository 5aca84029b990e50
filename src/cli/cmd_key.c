/* `drover key`: makes, lists and revokes keys, on the data itself. A key's text is printed once,
 * when it is made, and never stored. */
#include "base/json.h"
#include "base/random.h"
#include "base/secret.h"
#include "cli/books.h"

static void put_models(struct books *books, const struct api_key *key) {
    struct dr_buf *buf = &books->buf;

    dr_buf_put(buf, DR_LIT(",\"models\":["));
    for (size_t i = 0; i < key->model_count; i++) {
        if (i > 0) dr_buf_put_char(buf, ',');
        dr_json_put_string(buf, key->models[i]);
    }
    dr_buf_format(buf, "],\"requests_per_minute\":%u", key->requests_per_minute);
}

/* `text` empty: not shown. */
static void put_key(struct books *books, const struct api_key *key, dr_slice text) {
    struct dr_buf *buf = &books->buf;

    if (books->is_json) {
        dr_buf_put_char(buf, '{');
        books_put_text(books, "id", key->id);
        if (text.len > 0) books_put_text(books, "key", text);
        books_put_text(books, "name", key->name);
        books_put_text(books, "account", key->account_id);
        books_put_text(books, "hint", key->hint);
        books_put_wall(books, "created", key->created);
        books_put_wall(books, "expires", key->expires);
        books_put_wall(books, "revoked", key->revoked);
        put_models(books, key);
        dr_buf_put_char(buf, '}');
        return;
    }
    dr_buf_format(buf, "%.*s  ...%.*s  %.*s  %s  %.*s\n", DR_FMT(key->id), DR_FMT(key->hint),
                  DR_FMT(key->account_id),
                  key->revoked.ms                                          ? "revoked"
                  : key->expires.ms && key->expires.ms <= dr_wall_now().ms ? "expired"
                                                                           : "valid",
                  DR_FMT(key->name));
    if (text.len > 0) {
        dr_buf_format(buf, "key: %.*s\nThis is the only time that it is shown.\n", DR_FMT(text));
    }
}

static void print_key(struct books *books, const struct api_key *key, dr_slice text) {
    put_key(books, key, text);
    if (books->is_json) dr_buf_put_char(&books->buf, '\n');
    books_print(books);
}

/* Gives `key` a text of its own, stores it and, where `replaced` is given, revokes that one. */
static int make_key(struct books *books, struct api_key *key, dr_slice replaced) {
    struct dr_entropy entropy = {0};
    uint8_t random[32];
    char text[API_KEY_TEXT_BYTES] = {0};
    const dr_slice whole = dr_slice_of(text, sizeof(text));
    struct api_key made;

    dr_entropy_take(&entropy, random, sizeof(random));
    api_key_write(random, text);
    dr_wipe(random, sizeof(random));
    dr_wipe(&entropy, sizeof(entropy));
    key->id = DR_NONE;
    key->digest = dr_sha256(whole);
    key->hint = dr_slice_from(whole, whole.len - 4);
    key->created = dr_wall_now();
    int code = EXIT_DONE;
    const enum dr_status status =
        store_create_key(books->store, key, &books->arena, &made, &books->error);
    if (status == DR_NOT_FOUND) {
        code = command_fail("there is no account %.*s", DR_FMT(key->account_id));
    } else if (status != DR_OK) {
        code = books_fail(books);
    } else {
        print_key(books, &made, whole);
        if (replaced.len > 0 &&
            store_revoke_key(books->store, replaced, dr_wall_now(), &books->error) != DR_OK) {
            code = command_fail("the new key is made, but the old one is not revoked: %s",
                                books->error.text);
        }
    }
    key->hint = DR_NONE; /* it pointed into the text */
    dr_wipe(text, sizeof(text));
    return code;
}

static bool read_expires(const struct options *options, dr_wall *ret_expires) {
    const char *text = options_value(options, "expires");
    int64_t ms;

    if (!text) return true;
    const dr_wall now = dr_wall_now();
    if (dr_duration_parse_ms(dr_slice_text(text), &ms)) {
        if (ms > 0 && !__builtin_add_overflow(now.ms, ms, &ret_expires->ms)) return true;
    } else if (dr_wall_parse(dr_slice_text(text), ret_expires) && ret_expires->ms > now.ms) {
        return true;
    }
    command_misused(options,
                    "--expires is a time to come (2027-01-31T12:00:00Z) or a duration "
                    "(30d), not \"%s\"",
                    text);
    return false;
}

static int create_key(struct books *books, const struct options *options) {
    dr_slice models[KEY_MODELS_MAX];
    dr_slice rest = dr_slice_text(options_value(options, "models"));
    uint64_t requests_per_minute = 0;
    struct api_key key = {
        .account_id = dr_slice_text(options_value(options, "account")),
        .name = dr_slice_text(options_value(options, "name")),
        .models = models,
    };

    if (key.account_id.len == 0) return command_misused(options, "key create needs --account ID");
    if (!read_expires(options, &key.expires) ||
        !options_number(options, "requests-per-minute", UINT32_MAX, &requests_per_minute)) {
        return EXIT_WRONG_USAGE;
    }
    key.requests_per_minute = (uint32_t)requests_per_minute;
    while (rest.data) {
        const dr_slice model = dr_slice_trim(dr_slice_split(&rest, ','));
        if (model.len == 0 || key.model_count == KEY_MODELS_MAX) {
            return command_misused(options, "--models is a list A,B of up to %d names",
                                   KEY_MODELS_MAX);
        }
        models[key.model_count++] = model;
    }
    return make_key(books, &key, DR_NONE);
}

static int rotate_key(struct books *books, const char *id) {
    struct api_key key;
    const enum dr_status status =
        store_find_key(books->store, dr_slice_text(id), &books->arena, &key, &books->error);

    if (status == DR_NOT_FOUND) return command_fail("there is no key %s", id);
    if (status != DR_OK) return books_fail(books);
    if (key.revoked.ms) return command_fail("the key %s is revoked: create a new one", id);
    return make_key(books, &key, dr_slice_text(id));
}

static int show_key(struct books *books, const char *id) {
    struct api_key key;
    const enum dr_status status =
        store_find_key(books->store, dr_slice_text(id), &books->arena, &key, &books->error);

    if (status == DR_NOT_FOUND) return command_fail("there is no key %s", id);
    if (status != DR_OK) return books_fail(books);
    print_key(books, &key, DR_NONE);
    return EXIT_DONE;
}

static int revoke_key(struct books *books, const char *id) {
    const enum dr_status status =
        store_revoke_key(books->store, dr_slice_text(id), dr_wall_now(), &books->error);

    if (status == DR_NOT_FOUND) return command_fail("there is no key %s", id);
    return status == DR_OK ? show_key(books, id) : books_fail(books);
}

struct list {
    struct books *books;
    bool has_one;
};

static bool visit_key(void *owner, const struct api_key *key) {
    struct list *list = owner;
    if (list->books->is_json && list->has_one) fputs(",\n", stdout);
    list->has_one = true;
    put_key(list->books, key, DR_NONE);
    books_print(list->books);
    return true;
}

static int list_keys(struct books *books, const struct options *options) {
    const dr_slice account_id = dr_slice_text(options_value(options, "account"));
    struct list list = {.books = books};

    if (books->is_json) fputc('[', stdout);
    if (store_each_key(books->store, account_id, visit_key, &list, &books->error) != DR_OK) {
        return books_fail(books);
    }
    if (books->is_json) fputs("]\n", stdout);
    return EXIT_DONE;
}

static int run(const struct options *options) {
    static const char *const actions[] = {"create", "list", "show", "revoke", "rotate"};
    const char *name = options->argument_count ? options->arguments[0] : "";
    struct books books;
    size_t action = 0;
    int code = EXIT_FAILED;

    while (action < 5 && strcmp(actions[action], name) != 0) action++;
    if (action == 5) return command_misused(options, "say create, list, show, revoke or rotate");
    if (options->argument_count != (action < 2 ? 1 : 2)) {
        return command_misused(options, "key %s has another number of arguments", name);
    }
    if (!books_open(&books, options)) return EXIT_FAILED;
    switch (action) {
    case 0: code = create_key(&books, options); break;
    case 1: code = list_keys(&books, options); break;
    case 2: code = show_key(&books, options->arguments[1]); break;
    case 3: code = revoke_key(&books, options->arguments[1]); break;
    default: code = rotate_key(&books, options->arguments[1]); break;
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
