/* The desk's routes for keys. A key's text is in one answer, when it is made, and never stored. */
#include "admin/desk_private.h"
#include "base/digest.h"
#include "base/random.h"
#include "base/secret.h"

/* `text` empty: not shown. */
static void put_key(struct dr_buf *buf, const struct api_key *key, dr_slice text) {
    dr_buf_put_char(buf, '{');
    desk_put_text(buf, "id", key->id);
    if (text.len > 0) desk_put_text(buf, "key", text);
    desk_put_text(buf, "name", key->name);
    desk_put_text(buf, "account", key->account_id);
    desk_put_text(buf, "hint", key->hint);
    desk_put_wall(buf, "created", key->created);
    desk_put_wall(buf, "expires", key->expires);
    desk_put_wall(buf, "revoked", key->revoked);
    dr_buf_put(buf, DR_LIT(",\"models\":["));
    for (size_t i = 0; i < key->model_count; i++) {
        if (i > 0) dr_buf_put_char(buf, ',');
        dr_json_put_string(buf, key->models[i]);
    }
    dr_buf_format(buf, "],\"requests_per_minute\":%u}", key->requests_per_minute);
}

static bool visit_key(void *owner, const struct api_key *key) {
    struct desk_page *page = owner;
    bool is_over;
    if (desk_page_takes(page, key->id, &is_over)) put_key(page->ask->answer, key, DR_NONE);
    return !is_over;
}

void desk_list_keys(struct desk_ask *ask, dr_slice id, dr_json body) {
    (void)id;
    (void)body;
    struct desk_page page;
    struct dr_error error = {0};
    const dr_slice account_id = desk_query(ask, "account");
    if (!desk_page_begin(&page, ask)) return;
    if (store_each_key(ask->store, account_id, visit_key, &page, &error) != DR_OK) {
        desk_fail_store(ask, NULL, &error);
        return;
    }
    desk_page_end(&page);
}

static bool find_key(struct desk_ask *ask, dr_slice id, struct api_key *ret_key) {
    struct dr_error error = {0};
    const enum dr_status status = store_find_key(ask->store, id, &ask->arena, ret_key, &error);
    if (status == DR_OK) return true;
    if (status == DR_NOT_FOUND) {
        desk_fail(ask, REFUSAL_NOT_FOUND, NULL, "There is no key %.*s.",
                  DR_FMT(dr_slice_first(id, 64)));
    } else {
        desk_fail_store(ask, NULL, &error);
    }
    return false;
}

void desk_show_key(struct desk_ask *ask, dr_slice id, dr_json body) {
    (void)body;
    struct api_key key;
    if (find_key(ask, id, &key)) put_key(ask->answer, &key, DR_NONE);
}

/* --- making -------------------------------------------------------------------------------- */

/* Gives `key` a text of its own, stores it and, where `replaced` is given, revokes that one. */
static void make_key(struct desk_ask *ask, struct api_key *key, dr_slice replaced) {
    struct dr_entropy entropy = {0};
    struct dr_error error = {0};
    uint8_t random[32];
    char text[API_KEY_TEXT_BYTES] = {0};
    const dr_slice whole = dr_slice_of(text, sizeof text);
    struct api_key made;

    dr_entropy_take(&entropy, random, sizeof random);
    api_key_write(random, text);
    dr_wipe(random, sizeof random);
    dr_wipe(&entropy, sizeof entropy);
    key->id = DR_NONE;
    key->digest = dr_sha256(whole);
    key->hint = dr_slice_from(whole, whole.len - 4);
    key->created = ask->now;
    const enum dr_status status = store_create_key(ask->store, key, &ask->arena, &made, &error);
    if (status == DR_NOT_FOUND) {
        desk_fail(ask, REFUSAL_NOT_FOUND, "account", "There is no account %.*s.",
                  DR_FMT(dr_slice_first(key->account_id, 64)));
    } else if (status != DR_OK) {
        desk_fail_store(ask, NULL, &error);
    } else {
        ask->has_changed_keys = true;
        put_key(ask->answer, &made, whole);
        if (replaced.len > 0 && store_revoke_key(ask->store, replaced, ask->now, &error) != DR_OK) {
            desk_fail(ask, REFUSAL_INTERNAL_ERROR, NULL,
                      "The new key %.*s is made, but the old one is not revoked: %s. Revoke both "
                      "and create another.",
                      DR_FMT(made.id), error.text);
        }
    }
    key->hint = DR_NONE; /* it pointed into the text */
    dr_wipe(text, sizeof text);
}

bool desk_read_expires(dr_slice text, dr_wall now, dr_wall *ret_expires) {
    int64_t ms;
    if (dr_duration_parse_ms(text, &ms)) {
        return ms > 0 && !__builtin_add_overflow(now.ms, ms, &ret_expires->ms);
    }
    return dr_wall_parse(text, ret_expires) && ret_expires->ms > now.ms;
}

static bool read_models(struct desk_ask *ask, dr_json body, struct api_key *key) {
    const dr_json list = dr_json_member(body, DR_LIT("models"));
    struct dr_json_iter iter;
    if (!list || dr_json_kind(list) == DR_JSON_NULL) return true;
    const size_t count = dr_json_count(list);
    dr_slice *models = dr_arena_alloc(&ask->arena, (count + 1) * sizeof *models);
    if (!models) {
        desk_fail(ask, REFUSAL_INTERNAL_ERROR, NULL, NULL);
        return false;
    }
    bool is_right = dr_json_is(list, DR_JSON_ARRAY) && count <= KEY_MODELS_MAX;
    dr_json_iter_init(&iter, list);
    while (is_right && dr_json_iter_next(&iter)) {
        is_right = dr_json_text(iter.value).len > 0;
        models[key->model_count++] = dr_json_text(iter.value);
    }
    if (!is_right) {
        desk_fail(ask, REFUSAL_INVALID_REQUEST, "models",
                  "'models' must be an array of at most %d names; a name may end in '*'.",
                  KEY_MODELS_MAX);
    }
    key->models = models;
    return is_right;
}

void desk_create_key(struct desk_ask *ask, dr_slice id, dr_json body) {
    (void)id;
    struct api_key key = {0};
    dr_slice expires;
    const dr_json rate = dr_json_member(body, DR_LIT("requests_per_minute"));
    uint64_t requests = 0;

    if (!desk_text(ask, body, "account", &key.account_id) ||
        !desk_text(ask, body, "name", &key.name) || !desk_text(ask, body, "expires", &expires) ||
        !read_models(ask, body, &key)) {
        return;
    }
    if (key.account_id.len == 0) {
        desk_fail(ask, REFUSAL_INVALID_REQUEST, "account", "'account' must be an account's id.");
        return;
    }
    if (expires.data && !desk_read_expires(expires, ask->now, &key.expires)) {
        desk_fail(ask, REFUSAL_INVALID_REQUEST, "expires",
                  "'expires' is a time to come (2027-01-31T12:00:00Z) or a duration (30d).");
        return;
    }
    if (rate && dr_json_kind(rate) != DR_JSON_NULL &&
        (!dr_json_to_u64(rate, &requests) || requests > UINT32_MAX)) {
        desk_fail(ask, REFUSAL_INVALID_REQUEST, "requests_per_minute",
                  "'requests_per_minute' is a whole number; 0 is no limit.");
        return;
    }
    key.requests_per_minute = (uint32_t)requests;
    make_key(ask, &key, DR_NONE);
}

/* --- ending -------------------------------------------------------------------------------- */

void desk_revoke_key(struct desk_ask *ask, dr_slice id, dr_json body) {
    (void)body;
    struct api_key key;
    struct dr_error error = {0};
    if (!find_key(ask, id, &key)) return;
    if (store_revoke_key(ask->store, id, ask->now, &error) != DR_OK) {
        desk_fail_store(ask, NULL, &error);
        return;
    }
    ask->has_changed_keys = true;
    if (find_key(ask, id, &key)) put_key(ask->answer, &key, DR_NONE);
}

void desk_rotate_key(struct desk_ask *ask, dr_slice id, dr_json body) {
    (void)body;
    struct api_key key;
    if (!find_key(ask, id, &key)) return;
    if (key.revoked.ms != 0) {
        desk_fail(ask, REFUSAL_EXISTS, NULL, "The key %.*s is revoked: create a new one.",
                  DR_FMT(dr_slice_first(id, 64)));
        return;
    }
    make_key(ask, &key, id);
}
