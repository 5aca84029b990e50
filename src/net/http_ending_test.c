/* Ends of connections whose last bytes the system does not take at once: small writes that are sent
 * at the end of a turn, towards a client that reads slowly. */
#include "net/http_server.h"

#include "net/http_connection.h"
#include "net/http_probe.h"
#include "net/stream_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { PIECE_BYTES = 1000, PIECE_COUNT = 150 };

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"

struct desk {
    struct dr_loop *loop;
    struct dr_http_server *server;
    struct probe client;
    size_t answered_count;
};

/* The whole answer in one turn, as it comes when a provider sends it in one go. */
static void desk_opened(void *owner, struct dr_http_call *call, const struct dr_http1_head *head) {
    struct desk *desk = owner;
    static char piece[PIECE_BYTES];
    (void)head;
    memset(piece, 'p', sizeof piece);
    dr_http_call_begin(call, 200, DR_NONE);
    for (int i = 0; i < PIECE_COUNT; i++) dr_http_call_put(call, dr_slice_of(piece, sizeof piece));
    assert_int_equal(dr_http_call_pending(call), 0); /* all is in the box */
    dr_http_call_end(call, DR_LIT("the end"));
    desk->answered_count++;
}

static void desk_body(void *owner, dr_slice body) {
    (void)owner;
    (void)body;
}

static void desk_gone(void *owner) {
    (void)owner;
    fail();
}

static void desk_refuse(void *owner, uint16_t status, const char *text, struct dr_buf *body) {
    (void)owner;
    (void)status;
    (void)text;
    (void)body;
    fail();
}

static const struct dr_http_service desk_service = {
    .opened = desk_opened,
    .body = desk_body,
    .gone = desk_gone,
    .refuse = desk_refuse,
};

static struct dr_http_connection *desk_connection(struct desk *desk) {
    return dr_list_item(desk->server->connections.next, struct dr_http_connection, node);
}

static size_t desk_pending(struct desk *desk) {
    return dr_stream_pending(desk_connection(desk)->stream);
}

/* A client whose connection holds few bytes under way. */
static void desk_open(struct desk *desk, int64_t idle_ms) {
    const struct dr_http_server_options options = {
        .limits = {.head_bytes_max = 4096, .headers_max = 16, .body_bytes_max = 1000},
        .head_ms = 10000,
        .body_ms = 10000,
        .idle_ms = idle_ms,
        .write_ms = 10000,
    };
    const int few = 4096;
    uint16_t port;
    struct dr_stream *stream;
    *desk = (struct desk){.loop = NULL};
    assert_int_equal(dr_loop_new(&desk->loop, NULL), DR_OK);
    assert_int_equal(
        dr_http_server_new(desk->loop, &desk_service, desk, &options, &desk->server, NULL), DR_OK);
    const int listening = probe_listen(1, &port);
    assert_int_equal(setsockopt(listening, SOL_SOCKET, SO_SNDBUF, &few, sizeof few), 0);
    desk->client = probe_connect(port);
    assert_int_equal(setsockopt(desk->client.fd, SOL_SOCKET, SO_RCVBUF, &few, sizeof few), 0);
    const int accepted = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(accepted >= 0);
    close(listening);
    assert_int_equal(dr_stream_tcp_accept(desk->loop, accepted, &stream, NULL), DR_OK);
    dr_http_server_take(desk->server, stream);
}

/* All that was answered comes, and then the connection's end. */
static void desk_expect_whole(struct desk *desk) {
    PROBE_UNTIL(desk->loop, probe_read(&desk->client), desk->client.has_ended);
    assert_false(desk->client.was_reset);
    assert_true(probe_has(&desk->client, "\r\n7\r\nthe end\r\n0\r\n\r\n"));
    assert_true(desk->client.len > (size_t)PIECE_COUNT * PIECE_BYTES);
}

static void desk_close(struct desk *desk) {
    PROBE_UNTIL(desk->loop, (void)0, dr_http_server_connection_count(desk->server) == 0);
    probe_close(&desk->client);
    dr_http_server_free(desk->server);
    dr_loop_free(desk->loop);
}

static void test_the_answer_before_a_close_arrives_whole(void **state) {
    (void)state;
    struct desk desk;
    desk_open(&desk, 10000);
    probe_send(&desk.client, GET "Connection: close\r\n\r\n");
    PROBE_UNTIL(desk.loop, (void)0, desk.answered_count == 1);
    desk_expect_whole(&desk);
    desk_close(&desk);
}

static void test_the_answer_before_a_close_arrives_whole_also_when_more_was_sent(void **state) {
    (void)state;
    struct desk desk;
    desk_open(&desk, 10000);
    probe_send(&desk.client, GET "Connection: close\r\n\r\nmore");
    PROBE_UNTIL(desk.loop, (void)0, desk.answered_count == 1);
    assert_true(desk_pending(&desk) > 0);
    assert_int_equal(desk_connection(&desk)->state, DR_HTTP_CONNECTION_FLUSHING);
    desk_expect_whole(&desk);
    desk_close(&desk);
}

static void test_draining_waits_for_what_has_yet_to_be_taken(void **state) {
    (void)state;
    struct desk desk;
    desk_open(&desk, 10000);
    probe_send(&desk.client, GET "\r\n");
    PROBE_UNTIL(desk.loop, (void)0, desk.answered_count == 1 && desk_pending(&desk) > 0);
    dr_http_server_drain(desk.server);
    desk_expect_whole(&desk);
    desk_close(&desk);
}

/* The drain comes in the very turn of the answer, before anything of it was tried. */
static void test_draining_waits_for_what_has_not_been_tried(void **state) {
    (void)state;
    struct desk desk;
    struct dr_http_connection *connection;
    desk_open(&desk, 10000);
    PROBE_UNTIL(desk.loop, (void)0, dr_http_server_connection_count(desk.server) == 1);
    connection = desk_connection(&desk);
    connection->stream->events->received(connection, DR_LIT(GET "\r\n"));
    assert_int_equal(desk.answered_count, 1);
    assert_int_equal(desk_pending(&desk), 0);
    dr_http_server_drain(desk.server);
    desk_expect_whole(&desk);
    desk_close(&desk);
}

static void test_a_client_that_says_no_more_gets_its_answer_whole(void **state) {
    (void)state;
    struct desk desk;
    desk_open(&desk, 10000);
    probe_send(&desk.client, GET "\r\n");
    PROBE_UNTIL(desk.loop, (void)0, desk.answered_count == 1 && desk_pending(&desk) > 0);
    assert_int_equal(shutdown(desk.client.fd, SHUT_WR), 0);
    desk_expect_whole(&desk);
    desk_close(&desk);
}

static void test_the_idle_time_cuts_no_answer_that_is_being_read(void **state) {
    (void)state;
    struct desk desk;
    desk_open(&desk, 500); /* longer than it takes to ask */
    probe_send(&desk.client, GET "\r\n");
    PROBE_UNTIL(desk.loop, (void)0, desk.answered_count == 1 && desk_pending(&desk) > 0);
    PROBE_UNTIL(desk.loop, (void)0, desk_connection(&desk)->state != DR_HTTP_CONNECTION_IDLE);
    desk_expect_whole(&desk);
    desk_close(&desk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_answer_before_a_close_arrives_whole),
        cmocka_unit_test(test_the_answer_before_a_close_arrives_whole_also_when_more_was_sent),
        cmocka_unit_test(test_draining_waits_for_what_has_yet_to_be_taken),
        cmocka_unit_test(test_draining_waits_for_what_has_not_been_tried),
        cmocka_unit_test(test_a_client_that_says_no_more_gets_its_answer_whole),
        cmocka_unit_test(test_the_idle_time_cuts_no_answer_that_is_being_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
