/* The desk, asked as a command asks it, on a folder of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/admin.h"
#include "admin/desk.h"
#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>

struct fixture {
    char folder[64];
    struct store *store;
    struct dr_json_reader *json;    /* the desk's */
    struct dr_json_reader *answers; /* ours */
    struct dr_buf answer;
    struct desk_ask ask;
    bool is_stale;
};

static int open_fixture(void **state) {
    struct fixture *fixture = dr_alloc_zero(1, sizeof *fixture);
    struct dr_error error;
    assert_non_null(fixture);
    (void)snprintf(fixture->folder, sizeof fixture->folder, "/tmp/drover-desk-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    assert_int_equal(store_open(fixture->folder, &fixture->store, &error), DR_OK);
    fixture->json = dr_json_reader_new();
    fixture->answers = dr_json_reader_new();
    dr_buf_init(&fixture->answer, DESK_ANSWER_BYTES_MAX);
    *state = fixture;
    return 0;
}

static int close_fixture(void **state) {
    struct fixture *fixture = *state;
    char command[128];
    store_close(fixture->store);
    dr_json_reader_free(fixture->json);
    dr_json_reader_free(fixture->answers);
    dr_buf_clear(&fixture->answer);
    (void)snprintf(command, sizeof command, "rm -rf %s", fixture->folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a fixed name */
    dr_free(fixture);
    return 0;
}

/* Returns the answer, which must be JSON. */
static dr_json ask(struct fixture *fixture, unsigned method, const char *target, const char *body,
                   uint16_t status) {
    static const struct desk_rate rates[] = {{{"CNY", 3}, {500000000}}};
    struct dr_error error;
    dr_json root = NULL;
    dr_slice query = dr_slice_text(target);
    const dr_slice path = dr_slice_split(&query, '?');
    fixture->ask = (struct desk_ask){
        .method = method,
        .path = path,
        .query = query,
        .body = dr_slice_text(body),
        .now = {1800000000000},
        .rates = rates,
        .rate_count = 1,
        .store = fixture->store,
        .is_stale = fixture->is_stale,
        .json = fixture->json,
        .answer = &fixture->answer,
    };
    dr_arena_init(&fixture->ask.arena, DESK_ARENA_BYTES_MAX, NULL);
    assert_true(desk_methods(path) & method);
    desk_answer(&fixture->ask);
    dr_arena_clear(&fixture->ask.arena);
    const dr_slice answer = dr_buf_slice(&fixture->answer);
    if (fixture->ask.status != status) {
        fail_msg("%s %s: %u %.*s", target, body ? body : "", fixture->ask.status, DR_FMT(answer));
    }
    assert_int_equal(dr_json_read(fixture->answers, answer, 16, &root, &error), DR_OK);
    return root;
}

static void copy_member(dr_json object, const char *name, char text[64]) {
    const dr_slice value = dr_json_text(dr_json_member(object, dr_slice_text(name)));
    assert_true(value.len > 0);
    assert_true(dr_slice_to_text(value, text, 64));
}

static void assert_credits(dr_json account, const char *credits) {
    const dr_slice text = dr_json_number_text(dr_json_member(account, DR_LIT("credits")));
    assert_true(dr_slice_is(text, dr_slice_text(credits)));
}

static void make_account(struct fixture *fixture, char id[64]) {
    copy_member(ask(fixture, DESK_POST, "accounts", "{\"name\":\"acme\"}", 200), "id", id);
}

/* Too long to be shown whole; its 64th byte is the first of a character. */
#define LONG_NAME_SHOWN "a23456789b23456789c23456789d23456789e23456789f23456789g23456789"
#define LONG_NAME LONG_NAME_SHOWN "\xc3\xa4 and so on"

/* --- what is refused ----------------------------------------------------------------------- */

static void test_a_wrong_question_is_refused_with_its_status_and_param(void **state) {
    static const struct {
        unsigned method;
        const char *target;
        const char *body;
        uint16_t status;
        const char *code;
        const char *param;
    } cases[] = {
        {DESK_POST, "accounts", "{", 400, "invalid_json", NULL},
        {DESK_POST, "accounts", "[]", 400, "invalid_json", NULL},
        {DESK_POST, "accounts", "{}", 400, "invalid_request", "name"},
        {DESK_POST, "accounts", "{\"name\":1}", 400, "invalid_request", "name"},
        {DESK_POST, "accounts", "{\"name\":\"a\\u0000\"}", 400, "invalid_request", "name"},
        {DESK_POST, "accounts", "{\"name\":\"a\",\"name\":\"b\"}", 400, "invalid_request", "name"},
        {DESK_POST, "accounts", "{\"name\":\"a\",\"nam\\u0065\":\"b\"}", 400, "invalid_request",
         "name"},
        {DESK_POST, "accounts", "{\"nome\":\"a\"}", 400, "invalid_request", "nome"},
        {DESK_POST, "accounts", "{\"" LONG_NAME "\":1}", 400, "invalid_request", LONG_NAME_SHOWN},
        {DESK_POST, "accounts?x=1", "{\"name\":\"a\"}", 400, "invalid_request", "x"},
        {DESK_GET, "accounts?limit=0", NULL, 400, "invalid_request", "limit"},
        {DESK_GET, "accounts?limit=1001", NULL, 400, "invalid_request", "limit"},
        {DESK_GET, "accounts?limit=1&limit=2", NULL, 400, "invalid_request", "limit"},
        {DESK_GET, "accounts?limit=%zz", NULL, 400, "invalid_request", "limit"},
        {DESK_GET, "accounts?after=acc_none", NULL, 400, "invalid_request", "after"},
        {DESK_GET, "accounts?color=red", NULL, 400, "invalid_request", "color"},
        {DESK_GET, "accounts/acc_none", NULL, 404, "not_found", NULL},
        {DESK_POST, "accounts/acc_none/topups", "{\"amount\":1}", 404, "not_found", NULL},
        {DESK_POST, "accounts/acc_none/topups", "{}", 400, "invalid_request", "amount"},
        {DESK_POST, "accounts/acc_none/topups", "{\"amount\":-1}", 400, "invalid_request",
         "amount"},
        {DESK_POST, "accounts/acc_none/topups", "{\"amount\":1e3}", 400, "invalid_request",
         "amount"},
        {DESK_POST, "accounts/acc_none/topups", "{\"amount\":1,\"currency\":\"XYZ\"}", 400,
         "invalid_request", "currency"},
        {DESK_POST, "keys", "{\"name\":\"x\"}", 400, "invalid_request", "account"},
        {DESK_POST, "keys", "{\"account\":\"acc_none\"}", 404, "not_found", "account"},
        {DESK_POST, "keys", "{\"account\":\"a\",\"expires\":\"yesterday\"}", 400, "invalid_request",
         "expires"},
        {DESK_POST, "keys", "{\"account\":\"a\",\"expires\":\"2001-01-01\"}", 400,
         "invalid_request", "expires"},
        {DESK_POST, "keys", "{\"account\":\"a\",\"models\":\"gpt\"}", 400, "invalid_request",
         "models"},
        {DESK_POST, "keys", "{\"account\":\"a\",\"models\":[1]}", 400, "invalid_request", "models"},
        {DESK_POST, "keys", "{\"account\":\"a\",\"requests_per_minute\":1.5}", 400,
         "invalid_request", "requests_per_minute"},
        {DESK_POST, "keys", "{\"account\":\"a\",\"requests_per_minute\":4294967296}", 400,
         "invalid_request", "requests_per_minute"},
        {DESK_GET, "keys/key_none", NULL, 404, "not_found", NULL},
        {DESK_POST, "keys/key_none/revoke", "", 404, "not_found", NULL},
        {DESK_POST, "keys/key_none/rotate", "{}", 404, "not_found", NULL},
        {DESK_GET, "usage?by=color", NULL, 400, "invalid_request", "by"},
        {DESK_GET, "usage?from=today", NULL, 400, "invalid_request", "from"},
        {DESK_GET, "usage?after=x", NULL, 400, "invalid_request", "after"},
        {DESK_GET, "requests?after=x", NULL, 400, "invalid_request", "after"},
        {DESK_GET, "receipts/req_none", NULL, 404, "receipt_not_found", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const dr_json error = dr_json_member(
            ask(*state, cases[i].method, cases[i].target, cases[i].body, cases[i].status),
            DR_LIT("error"));
        assert_int_equal(dr_json_count(error), 4);
        assert_true(dr_slice_is(dr_json_text(dr_json_member(error, DR_LIT("code"))),
                                dr_slice_text(cases[i].code)));
        const dr_slice param = dr_json_text(dr_json_member(error, DR_LIT("param")));
        if (!dr_slice_is(param, dr_slice_text(cases[i].param))) {
            fail_msg("case %zu: param %.*s", i, DR_FMT(param));
        }
    }
}

/* What does not tell of settled requests is answered nevertheless. */
static void test_what_lacks_the_latest_requests_is_refused_where_they_count(void **state) {
    static const struct {
        const char *target;
        uint16_t status;
    } cases[] = {
        {"usage", 503},         {"requests", 503},          {"receipts/req_none", 503},
        {"accounts", 503},      {"accounts/acc_none", 503}, {"keys", 200},
        {"keys/key_none", 404},
    };
    struct fixture *fixture = *state;
    fixture->is_stale = true;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const dr_json answer = ask(fixture, DESK_GET, cases[i].target, NULL, cases[i].status);
        assert_int_equal(fixture->ask.retry_after_s > 0, cases[i].status == 503);
        if (cases[i].status != 503) continue;
        const dr_json code =
            dr_json_member(dr_json_member(answer, DR_LIT("error")), DR_LIT("code"));
        assert_true(dr_slice_is(dr_json_text(code), DR_LIT("storage_full")));
    }
    (void)ask(fixture, DESK_POST, "accounts", "{\"name\":\"acme\"}", 200);
}

static void test_a_path_takes_only_the_methods_of_its_routes(void **state) {
    (void)state;
    static const struct {
        const char *path;
        unsigned methods;
    } cases[] = {
        {"accounts", DESK_GET | DESK_POST},
        {"accounts/x", DESK_GET},
        {"accounts/x/topups", DESK_POST},
        {"keys/x/revoke", DESK_POST},
        {"usage", DESK_GET},
        {"accounts/", 0},
        {"accounts//topups", 0},
        {"accounts/x/topups/", 0},
        {"accounts/x/y", 0},
        {"", 0},
        {"account", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(desk_methods(dr_slice_text(cases[i].path)), cases[i].methods);
    }
}

/* --- what is done -------------------------------------------------------------------------- */

static void test_a_topup_counts_once_for_each_reference(void **state) {
    struct fixture *fixture = *state;
    char id[64];
    char other[64];
    char target[128];
    make_account(fixture, id);
    make_account(fixture, other);
    (void)snprintf(target, sizeof target, "accounts/%s/topups", id);
    const char *body = "{\"amount\":12.5,\"reference\":\"invoice 7\"}";
    dr_json answer = ask(fixture, DESK_POST, target, body, 200);
    assert_credits(answer, "12.5");
    assert_true(dr_json_bool(dr_json_member(answer, DR_LIT("counted"))));
    answer = ask(fixture, DESK_POST, target, body, 200);
    assert_credits(answer, "12.5");
    assert_false(dr_json_bool(dr_json_member(answer, DR_LIT("counted"))));
    (void)ask(fixture, DESK_POST, target, "{\"amount\":13,\"reference\":\"invoice 7\"}", 409);
    /* Exactly, also as text and in another currency (here 1 CNY = 0.5 USD). */
    answer = ask(fixture, DESK_POST, target, "{\"amount\":\"0.000000001\"}", 200);
    assert_credits(answer, "12.500000001");
    answer = ask(fixture, DESK_POST, target, "{\"amount\":3,\"currency\":\"CNY\"}", 200);
    assert_credits(answer, "14.000000001");
    (void)snprintf(target, sizeof target, "accounts/%s/topups", other);
    (void)ask(fixture, DESK_POST, target, body, 409);
}

static void test_a_key_is_shown_once_and_its_rotation_revokes_it(void **state) {
    struct fixture *fixture = *state;
    char account[64];
    char id[64];
    char text[64];
    char body[256];
    char target[128];
    make_account(fixture, account);
    (void)snprintf(body, sizeof body,
                   "{\"account\":\"%s\",\"name\":\"web\",\"expires\":\"30d\",\"models\":[\"a\","
                   "\"b*\"],\"requests_per_minute\":7}",
                   account);
    dr_json key = ask(fixture, DESK_POST, "keys", body, 200);
    assert_true(fixture->ask.has_changed_keys);
    copy_member(key, "id", id);
    copy_member(key, "key", text);
    assert_true(api_key_is_well_formed(dr_slice_text(text)));
    (void)snprintf(target, sizeof target, "keys/%s", id);
    key = ask(fixture, DESK_GET, target, NULL, 200);
    assert_false(fixture->ask.has_changed_keys);
    assert_null(dr_json_member(key, DR_LIT("key")));
    assert_int_equal(dr_json_count(dr_json_member(key, DR_LIT("models"))), 2);

    (void)snprintf(target, sizeof target, "keys/%s/rotate", id);
    key = ask(fixture, DESK_POST, target, "", 200);
    assert_true(fixture->ask.has_changed_keys);
    assert_non_null(dr_json_member(key, DR_LIT("key")));
    assert_int_equal(dr_json_count(dr_json_member(key, DR_LIT("models"))), 2);
    (void)ask(fixture, DESK_POST, target, "", 409); /* the old one is revoked now */
    (void)snprintf(target, sizeof target, "keys/%s/revoke", id);
    key = ask(fixture, DESK_POST, target, "", 200); /* again, without effect */
    assert_true(dr_json_text(dr_json_member(key, DR_LIT("revoked"))).len > 0);
}

static void test_pages_of_a_list_hold_each_row_once(void **state) {
    struct fixture *fixture = *state;
    char id[64];
    char next[64] = "";
    char target[128];
    size_t rows = 0;
    size_t pages = 0;
    for (int i = 0; i < 7; i++) make_account(fixture, id);
    for (;;) {
        (void)snprintf(target, sizeof target, "accounts?limit=3&after=%s", next);
        const dr_json page = ask(fixture, DESK_GET, target, NULL, 200);
        rows += dr_json_count(dr_json_member(page, DR_LIT("data")));
        pages++;
        if (!dr_json_bool(dr_json_member(page, DR_LIT("has_more")))) break;
        copy_member(page, "next", next);
    }
    assert_int_equal(rows, 7);
    assert_int_equal(pages, 3);
}

static void test_the_manual_has_every_route(void **state) {
    (void)state;
    char text[DESK_ROUTE_TEXT_BYTES];
    char wanted[2 * DESK_ROUTE_TEXT_BYTES];
    struct dr_buf manual;
    dr_buf_init(&manual, 1 << 20);
    FILE *file = fopen(DR_DOCS "/admin-api.md", "rb");
    assert_non_null(file);
    for (int byte = fgetc(file); byte != EOF; byte = fgetc(file)) {
        dr_buf_put_char(&manual, (char)byte);
    }
    (void)fclose(file);
    const char *own = "";
    for (size_t i = 0; own; i++) {
        const size_t desk_count = 12;
        const bool is_desk = desk_route_text(i, text);
        assert_int_equal(is_desk, i < desk_count);
        own = is_desk ? text : admin_route_text(i - desk_count);
        if (!own) break;
        const char *path = strchr(own, ' ');
        assert_non_null(path);
        (void)snprintf(wanted, sizeof wanted, "| `%.*s /admin/v1/%s` |", (int)(path - own), own,
                       path + 1);
        if (dr_slice_find(dr_buf_slice(&manual), dr_slice_text(wanted)) == manual.len) {
            fail_msg("docs/admin-api.md has no row %s", wanted);
        }
    }
    dr_buf_clear(&manual);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_wrong_question_is_refused_with_its_status_and_param,
                                        open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(
            test_what_lacks_the_latest_requests_is_refused_where_they_count, open_fixture,
            close_fixture),
        cmocka_unit_test(test_a_path_takes_only_the_methods_of_its_routes),
        cmocka_unit_test(test_the_manual_has_every_route),
        cmocka_unit_test_setup_teardown(test_a_topup_counts_once_for_each_reference, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(test_a_key_is_shown_once_and_its_rotation_revokes_it,
                                        open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(test_pages_of_a_list_hold_each_row_once, open_fixture,
                                        close_fixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
