/* A connection leaves the HTTP server after a 101, over a pipe in memory. */
#include "base/alloc.h"
#include "net/http_server.h"
#include "net/stream_probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct desk {
    struct dr_loop *loop;
    struct dr_http_server *server;
    struct probe client;
    struct probe taken; /* who gets the stream */
    int taken_count;
    int disconnected_count;
    int gone_count;
};

static void desk_taken(void *owner, struct dr_stream *stream, dr_slice rest) {
    struct desk *desk = owner;
    desk->taken_count++;
    probe_take(&desk->taken, stream);
    dr_buf_put(&desk->taken.received, rest);
}

static void desk_opened(void *owner, struct dr_http_call *call, const struct dr_http1_head *head) {
    if (dr_slice_is(head->target, DR_LIT("/up"))) {
        dr_http_call_upgrade(call, DR_LIT("Upgrade: x\r\nConnection: Upgrade\r\n"), owner,
                             desk_taken);
    } else {
        dr_http_call_answer(call, 200, DR_NONE, DR_LIT("plain"));
    }
}

static void desk_body(void *owner, dr_slice body) {
    (void)owner;
    (void)body;
    fail();
}

static void desk_gone(void *owner) {
    ((struct desk *)owner)->gone_count++;
}

static void desk_refuse(void *owner, uint16_t status, const char *text, struct dr_buf *body) {
    (void)owner;
    (void)status;
    dr_buf_put(body, dr_slice_text(text));
}

static void desk_disconnected(void *owner) {
    ((struct desk *)owner)->disconnected_count++;
}

static const struct dr_http_service desk_service = {
    .opened = desk_opened,
    .body = desk_body,
    .gone = desk_gone,
    .refuse = desk_refuse,
    .disconnected = desk_disconnected,
};

static void desk_open(struct desk *desk) {
    const struct dr_http_server_options options = {
        .limits = {.head_bytes_max = 4096, .headers_max = 16, .body_bytes_max = 1000},
        .head_ms = 10000,
        .body_ms = 10000,
        .idle_ms = 10000,
        .write_ms = 10000,
    };
    struct dr_stream *near;
    struct dr_stream *far;
    *desk = (struct desk){.loop = NULL};
    assert_int_equal(dr_loop_new(&desk->loop, NULL), DR_OK);
    assert_int_equal(
        dr_http_server_new(desk->loop, &desk_service, desk, &options, &desk->server, NULL), DR_OK);
    assert_int_equal(dr_stream_pair(desk->loop, 4096, &near, &far, NULL), DR_OK);
    probe_init(&desk->client, desk->loop);
    probe_init(&desk->taken, desk->loop);
    probe_take(&desk->client, far);
    dr_http_server_take(desk->server, near);
}

static void desk_close(struct desk *desk) {
    probe_end(&desk->client);
    probe_end(&desk->taken);
    dr_http_server_close_all(desk->server);
    RUN_UNTIL(desk->loop, dr_http_server_connection_count(desk->server) == 0);
    dr_http_server_free(desk->server);
    dr_loop_free(desk->loop);
}

static void client_sends(struct desk *desk, dr_slice bytes) {
    assert_int_equal(dr_stream_write(desk->client.stream, &bytes, 1), DR_OK);
}

static bool client_has(const struct desk *desk, dr_slice text) {
    const dr_slice all = dr_buf_slice(&desk->client.received);
    return all.len > 0 && dr_slice_find(all, text) < all.len;
}

static bool taker_has(const struct desk *desk, dr_slice text) {
    return dr_slice_is(dr_buf_slice(&desk->taken.received), text);
}

#define ASK "GET /up HTTP/1.1\r\nHost: a\r\n\r\n"

static void test_the_stream_and_what_came_behind_the_head_go_to_the_taker(void **state) {
    (void)state;
    struct desk desk;
    desk_open(&desk);
    client_sends(&desk, DR_LIT(ASK "GET /other HTTP/1.1\r\n"));
    RUN_UNTIL(desk.loop, client_has(&desk, DR_LIT("Connection: Upgrade\r\n\r\n")));
    assert_true(client_has(&desk, DR_LIT("HTTP/1.1 101 Switching Protocols\r\nDate: ")));
    assert_false(client_has(&desk, DR_LIT("Content-Length")));
    assert_true(taker_has(&desk, DR_LIT("GET /other HTTP/1.1\r\n")));
    assert_int_equal(dr_http_server_connection_count(desk.server), 0);
    client_sends(&desk, DR_LIT("later"));
    RUN_UNTIL(desk.loop, taker_has(&desk, DR_LIT("GET /other HTTP/1.1\r\nlater")));
    /* Its end is the taker's affair. */
    dr_http_server_drain(desk.server);
    dr_http_server_close_all(desk.server);
    for (int i = 0; i < 5; i++) dr_loop_run_once(desk.loop, 0);
    assert_int_equal(desk.client.ended + desk.client.failed, 0);
    assert_int_equal(desk.taken_count, 1);
    desk_close(&desk);
    assert_int_equal(desk.disconnected_count + desk.gone_count, 0);
}

static void test_a_head_may_be_cut_at_any_byte(void **state) {
    (void)state;
    const dr_slice bytes = DR_LIT(ASK "rest");
    for (size_t cut = 1; cut < bytes.len; cut++) {
        struct desk desk;
        desk_open(&desk);
        client_sends(&desk, dr_slice_first(bytes, cut));
        for (int i = 0; i < 3; i++) dr_loop_run_once(desk.loop, 0);
        client_sends(&desk, dr_slice_from(bytes, cut));
        RUN_UNTIL(desk.loop, taker_has(&desk, DR_LIT("rest")));
        assert_int_equal(desk.taken_count, 1);
        desk_close(&desk);
    }
}

static void test_it_may_follow_other_requests_in_one_write(void **state) {
    (void)state;
    struct desk desk;
    desk_open(&desk);
    client_sends(&desk, DR_LIT("GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
                               "GET /b HTTP/1.1\r\nHost: a\r\n\r\n" ASK "rest"));
    RUN_UNTIL(desk.loop, taker_has(&desk, DR_LIT("rest")) && client_has(&desk, DR_LIT("plain")) &&
                             client_has(&desk, DR_LIT(" 101 ")));
    desk_close(&desk);
}

static void test_a_client_that_left_at_once_is_told_to_the_taker(void **state) {
    (void)state;
    struct desk desk;
    desk_open(&desk);
    client_sends(&desk, DR_LIT(ASK));
    dr_stream_finish(desk.client.stream);
    RUN_UNTIL(desk.loop, desk.taken.ended == 1);
    assert_int_equal(desk.taken_count, 1);
    desk_close(&desk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_stream_and_what_came_behind_the_head_go_to_the_taker),
        cmocka_unit_test(test_a_head_may_be_cut_at_any_byte),
        cmocka_unit_test(test_it_may_follow_other_requests_in_one_write),
        cmocka_unit_test(test_a_client_that_left_at_once_is_told_to_the_taker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
