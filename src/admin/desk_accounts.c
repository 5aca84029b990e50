/* The desk's routes for accounts and their top-ups. Must not know keys. */
#include "admin/desk_private.h"

static const int64_t nanousd_per_usd = 1000000000;

static void put_account(struct dr_buf *buf, const struct account *account) {
    dr_buf_put_char(buf, '{');
    desk_put_text(buf, "id", account->id);
    desk_put_text(buf, "name", account->name);
    dr_buf_put(buf, DR_LIT(",\"credits\":"));
    money_put(buf, account->balance);
    desk_put_wall(buf, "created", account->created);
}

static bool visit_account(void *owner, const struct account *account) {
    struct desk_page *page = owner;
    bool is_over;
    if (desk_page_takes(page, account->id, &is_over)) {
        put_account(page->ask->answer, account);
        dr_buf_put_char(page->ask->answer, '}');
    }
    return !is_over;
}

void desk_list_accounts(struct desk_ask *ask, dr_slice id, dr_json body) {
    (void)id;
    (void)body;
    struct desk_page page;
    struct dr_error error = {0};
    if (!desk_page_begin(&page, ask)) return;
    if (store_each_account(ask->store, visit_account, &page, &error) != DR_OK) {
        desk_fail_store(ask, NULL, &error);
        return;
    }
    desk_page_end(&page);
}

void desk_create_account(struct desk_ask *ask, dr_slice id, dr_json body) {
    (void)id;
    struct account account;
    struct dr_error error = {0};
    dr_slice name;
    if (!desk_text(ask, body, "name", &name)) return;
    if (store_create_account(ask->store, name, ask->now, &ask->arena, &account, &error) != DR_OK) {
        desk_fail_store(ask, "name", &error);
        return;
    }
    put_account(ask->answer, &account);
    dr_buf_put_char(ask->answer, '}');
}

static bool find_account(struct desk_ask *ask, dr_slice id, struct account *ret_account) {
    struct dr_error error = {0};
    const enum dr_status status =
        store_find_account(ask->store, id, &ask->arena, ret_account, &error);
    if (status == DR_OK) return true;
    if (status == DR_NOT_FOUND) {
        desk_fail(ask, REFUSAL_NOT_FOUND, NULL, "There is no account %.*s.",
                  DR_FMT(dr_slice_first(id, 64)));
    } else {
        desk_fail_store(ask, NULL, &error);
    }
    return false;
}

void desk_show_account(struct desk_ask *ask, dr_slice id, dr_json body) {
    (void)body;
    struct account account;
    if (!find_account(ask, id, &account)) return;
    put_account(ask->answer, &account);
    dr_buf_put_char(ask->answer, '}');
}

/* --- top-ups ------------------------------------------------------------------------------- */

/* Dollars for one unit of `currency`. */
static bool find_rate(struct desk_ask *ask, dr_slice currency, int64_t *ret_rate) {
    if (!currency.data || dr_slice_is(currency, DR_LIT("USD"))) {
        *ret_rate = nanousd_per_usd;
        return true;
    }
    for (size_t i = 0; i < ask->rate_count; i++) {
        if (!dr_slice_is(currency, ask->rates[i].currency)) continue;
        *ret_rate = ask->rates[i].usd_per_unit.nanousd;
        return true;
    }
    desk_fail(ask, REFUSAL_INVALID_REQUEST, "currency",
              "There is no rate for the currency '%.*s'; billing.rates of the configuration names "
              "them.",
              DR_FMT(dr_slice_first(currency, 16)));
    return false;
}

/* A JSON number or a string, exact to nine decimals, converted and rounded half up. */
static bool read_amount(struct desk_ask *ask, dr_json body, money *ret_amount) {
    __extension__ typedef __int128 wide;
    const dr_json value = dr_json_member(body, DR_LIT("amount"));
    const dr_slice text =
        dr_json_is(value, DR_JSON_NUMBER) ? dr_json_number_text(value) : dr_json_text(value);
    dr_slice currency;
    money amount;
    int64_t rate;
    if (!money_parse(text, &amount) || amount.nanousd <= 0) {
        desk_fail(ask, REFUSAL_INVALID_REQUEST, "amount",
                  "'amount' must be a decimal number above 0 with at most nine decimals.");
        return false;
    }
    if (!desk_text(ask, body, "currency", &currency)) return false;
    if (!find_rate(ask, currency, &rate)) return false;
    const wide nanousd =
        ((wide)amount.nanousd * rate + nanousd_per_usd / 2) / (wide)nanousd_per_usd;
    if (nanousd <= 0 || nanousd > INT64_MAX) {
        desk_fail(ask, REFUSAL_INVALID_REQUEST, "amount", "The amount is out of range in dollars.");
        return false;
    }
    ret_amount->nanousd = (int64_t)nanousd;
    return true;
}

/* A reference that was used before: the very same top-up is said to have been made, anything else
 * under it is refused. */
static bool was_made(struct desk_ask *ask, dr_slice id, money amount, dr_slice reference) {
    struct dr_error error = {0};
    dr_slice account_id = DR_NONE;
    money made = {0};
    const enum dr_status status =
        store_find_topup(ask->store, reference, &ask->arena, &account_id, &made, &error);
    if (status != DR_OK) {
        desk_fail_store(ask, "reference", &error);
        return false;
    }
    if (dr_slice_is(account_id, id) && made.nanousd == amount.nanousd) return true;
    desk_fail(ask, REFUSAL_EXISTS, "reference",
              "The reference was used before, for another account or amount. Nothing was added.");
    return false;
}

void desk_topup_account(struct desk_ask *ask, dr_slice id, dr_json body) {
    struct account account;
    struct dr_error error = {0};
    dr_slice reference;
    money amount;
    bool is_counted = true;
    if (!read_amount(ask, body, &amount) || !desk_text(ask, body, "reference", &reference)) return;
    if (!find_account(ask, id, &account)) return;
    const enum dr_status status =
        ask->topup ? ask->topup(ask->owner, ask->store, id, amount, reference, ask->now, &error)
                   : store_topup(ask->store, id, amount, reference, ask->now, &error);
    if (status == DR_EXISTS) {
        if (!was_made(ask, id, amount, reference)) return;
        is_counted = false;
    } else if (status != DR_OK) {
        desk_fail_store(ask, status == DR_INVALID ? "reference" : "amount", &error);
        return;
    }
    if (!find_account(ask, id, &account)) return;
    put_account(ask->answer, &account);
    dr_buf_put(ask->answer,
               is_counted ? DR_LIT(",\"counted\":true}") : DR_LIT(",\"counted\":false}"));
}
