/* Requests that are refused before they have come whole: the client must get to read why, and must
 * not cost more than the bounds say. */
#include "net/http_server.h"

#include "net/http_connection.h"
#include "net/http_probe.h"
#include "net/listener.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum {
    BODY_BYTES_MAX = 100000,
    LARGE_BODY_BYTES = 24 * 1024 * 1024, /* more than the system holds */
    KEPT_BYTES_MAX = 65536,
    LINGER_MS = 60,
};

#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

struct desk {
    struct dr_loop *loop;
    struct dr_http_server *server;
    struct dr_listener *listener;
    struct dr_http_server_options options;
    struct dr_http_call *call; /* the newest */
    size_t opened_count;
    size_t refused_count;
    size_t gone_count;
    bool refuses_at_once;
    bool is_silent; /* leaves the refusals to the server */
};

static char zeros[65536];

static void desk_opened(void *owner, struct dr_http_call *call, const struct dr_http1_head *head) {
    struct desk *desk = owner;
    (void)head;
    desk->opened_count++;
    if (desk->refuses_at_once) {
        dr_http_call_answer(call, 401, DR_LIT("X-By: desk\r\n"), DR_LIT("who are you?"));
        return;
    }
    desk->call = call;
    dr_http_call_set_owner(call, desk);
}

static void desk_body(void *owner, dr_slice body) {
    (void)owner;
    (void)body;
}

static void desk_gone(void *owner) {
    ((struct desk *)owner)->gone_count++;
}

static bool desk_refuse_call(void *owner, uint16_t status, const char *text) {
    struct desk *desk = owner;
    if (desk->is_silent) return false;
    desk->refused_count++;
    dr_http_call_answer(desk->call, status, DR_LIT("X-By: desk\r\n"), dr_slice_text(text));
    return true;
}

static void desk_refuse(void *owner, uint16_t status, const char *text, struct dr_buf *body) {
    (void)owner;
    (void)status;
    dr_buf_format(body, "server: %s", text);
}

static void desk_disconnected(void *owner) {
    dr_listener_note_closed(((struct desk *)owner)->listener);
}

static const struct dr_http_service desk_service = {
    .opened = desk_opened,
    .body = desk_body,
    .gone = desk_gone,
    .refuse_call = desk_refuse_call,
    .refuse = desk_refuse,
    .disconnected = desk_disconnected,
};

static void desk_accepted(void *owner, struct dr_stream *stream) {
    dr_http_server_take(((struct desk *)owner)->server, stream);
}

static int desk_open(void **state) {
    struct desk *desk = test_calloc(1, sizeof *desk);
    desk->options = (struct dr_http_server_options){
        .limits = {.head_bytes_max = 4096,
                   .headers_max = 16,
                   .trailer_bytes_max = 1024,
                   .body_bytes_max = BODY_BYTES_MAX},
        .head_ms = 10000,
        .body_ms = 10000,
        .idle_ms = 10000,
        .write_ms = 10000,
        .linger_ms = 10000,
        .pipelined_bytes_max = KEPT_BYTES_MAX,
    };
    assert_int_equal(dr_loop_new(&desk->loop, NULL), DR_OK);
    assert_int_equal(
        dr_http_server_new(desk->loop, &desk_service, desk, &desk->options, &desk->server, NULL),
        DR_OK);
    const struct dr_listener_options listen = {.address = DR_LIT("127.0.0.1:0"),
                                               .connections_max = 1000,
                                               .accepted = desk_accepted,
                                               .owner = desk};
    assert_int_equal(dr_listener_open(desk->loop, &listen, NULL, &desk->listener, NULL), DR_OK);
    *state = desk;
    return 0;
}

static size_t desk_count(const struct desk *desk) {
    return dr_http_server_connection_count(desk->server);
}

static int desk_close(void **state) {
    struct desk *desk = *state;
    dr_http_server_close_all(desk->server);
    PROBE_UNTIL(desk->loop, (void)0, desk_count(desk) == 0);
    dr_http_server_free(desk->server);
    dr_listener_close(desk->listener);
    probe_turns(desk->loop, 3);
    dr_loop_free(desk->loop);
    test_free(desk);
    return 0;
}

static struct probe client(struct desk *desk) {
    return probe_connect(dr_listener_port(desk->listener));
}

static void until_ended(struct desk *desk, struct probe *probe) {
    PROBE_UNTIL(desk->loop, probe_read(probe), probe->has_ended);
}

/* Sends all of it before it looks for an answer, as many clients do. */
static void send_whole(struct desk *desk, struct probe *probe, size_t len) {
    PROBE_UNTIL(desk->loop,
                len -= probe_send_some(probe, zeros, len < sizeof zeros ? len : sizeof zeros),
                len == 0);
}

static void expect_answer(struct desk *desk, struct probe *probe, const char *text) {
    until_ended(desk, probe);
    assert_false(probe->was_reset);
    if (!probe_has(probe, text)) fail_msg("no %s in %s", text, probe->text);
    assert_true(probe_has(probe, "Connection: close\r\n"));
    assert_int_equal(probe_count(probe, "HTTP/1.1 "), 1);
    probe_close(probe);
    PROBE_UNTIL(desk->loop, (void)0, desk_count(desk) == 0);
}

static void test_who_sends_all_before_reading_gets_the_refusal(void **state) {
    struct desk *desk = *state;
    for (int i = 0; i < 2; i++) {
        desk->refuses_at_once = i == 1;
        struct probe probe = client(desk);
        char head[128];
        (void)snprintf(head, sizeof head, POST "Content-Length: %d\r\n\r\n", LARGE_BODY_BYTES);
        probe_send(&probe, head);
        send_whole(desk, &probe, LARGE_BODY_BYTES);
        expect_answer(desk, &probe, i == 1 ? "HTTP/1.1 401 " : "HTTP/1.1 413 ");
    }
}

static void test_chunks_without_end_are_refused_and_dropped(void **state) {
    struct desk *desk = *state;
    struct probe probe = client(desk);
    probe_send(&probe, CHUNKED "ffffff\r\n");
    send_whole(desk, &probe, LARGE_BODY_BYTES);
    expect_answer(desk, &probe, "HTTP/1.1 413 ");
}

static void test_bytes_behind_a_refusal_are_bounded(void **state) {
    struct desk *desk = *state;
    struct probe probe = client(desk);
    size_t sent = 0;
    probe_send(&probe, POST "Content-Length: 999999999999\r\n\r\n");
    PROBE_UNTIL(desk->loop, sent += probe_send_some(&probe, zeros, sizeof zeros),
                desk->opened_count == 1 && desk_count(desk) == 0);
    assert_in_range(sent, DR_HTTP_LINGER_BYTES_MAX, DR_HTTP_LINGER_BYTES_MAX + 32 * 1024 * 1024);
    probe_close(&probe);
}

static void test_time_behind_a_refusal_is_bounded(void **state) {
    struct desk *desk = *state;
    desk->options.linger_ms = LINGER_MS;
    desk->options.body_ms = 10 * LINGER_MS;
    dr_http_server_set_options(desk->server, &desk->options);
    struct probe probe = client(desk);
    probe_send(&probe, POST "Content-Length: 999999999999\r\n\r\n");
    until_ended(desk, &probe);
    const dr_instant start = dr_instant_now();
    /* Also of who never stops to send. */
    PROBE_UNTIL(desk->loop, (void)probe_send_some(&probe, zeros, 1), desk_count(desk) == 0);
    assert_in_range(dr_instant_us_since(dr_instant_now(), start), 9 * LINGER_MS * 1000, 5000000);
    probe_close(&probe);
}

static void test_who_stops_sending_behind_a_refusal_is_left_soon(void **state) {
    struct desk *desk = *state;
    desk->options.linger_ms = LINGER_MS;
    dr_http_server_set_options(desk->server, &desk->options);
    struct probe probe = client(desk);
    probe_send(&probe, POST "Content-Length: 999999999999\r\n\r\n");
    until_ended(desk, &probe);
    const dr_instant start = dr_instant_now();
    PROBE_UNTIL(desk->loop, (void)0, desk_count(desk) == 0);
    assert_in_range(dr_instant_us_since(dr_instant_now(), start), 0, 5000000);
    probe_close(&probe);
}

static void test_draining_does_not_wait_long_for_who_was_refused(void **state) {
    struct desk *desk = *state;
    struct probe probe = client(desk);
    probe_send(&probe, POST "Content-Length: 999999999999\r\n\r\n");
    until_ended(desk, &probe);
    dr_http_server_drain(desk->server);
    const dr_instant start = dr_instant_now();
    PROBE_UNTIL(desk->loop, (void)probe_send_some(&probe, zeros, 1), desk_count(desk) == 0);
    assert_in_range(dr_instant_us_since(dr_instant_now(), start), 0, 5000000);
    probe_close(&probe);
}

static void test_the_number_of_those_that_linger_is_bounded(void **state) {
    struct desk *desk = *state;
    static struct probe probes[DR_HTTP_LINGERING_MAX + 2];
    const size_t count = sizeof probes / sizeof *probes;
    for (size_t i = 0; i < count; i++) {
        probes[i] = client(desk);
        dr_free(probes[i].text); /* so many are large together */
        probes[i].text = NULL;
        probe_send(&probes[i], POST "Content-Length: 999999999999\r\n\r\n");
        PROBE_UNTIL(desk->loop, (void)0, desk->opened_count == i + 1);
    }
    PROBE_UNTIL(desk->loop, (void)0, desk_count(desk) == DR_HTTP_LINGERING_MAX);
    assert_int_equal(desk->server->lingering_count, DR_HTTP_LINGERING_MAX);
    /* Those that began first had to go. */
    probe_turns(desk->loop, 3);
    for (size_t i = 0; i < 4; i++) {
        (void)probe_send_some(&probes[i], zeros, 1);
        probe_turns(desk->loop, 2);
        const bool is_closed = probe_send_some(&probes[i], zeros, 1) == 0;
        assert_int_equal(is_closed, i < 2);
    }
    for (size_t i = 0; i < count; i++) probe_close(&probes[i]);
    PROBE_UNTIL(desk->loop, (void)0, desk_count(desk) == 0);
    assert_int_equal(desk->server->lingering_count, 0);
}

static void test_the_service_answers_for_a_call_whose_body_cannot_be_had(void **state) {
    static const struct {
        const char *name;
        const char *request;
        const char *status;
    } cases[] = {
        {"a length beyond the limit", POST "Content-Length: 100001\r\n\r\n", " 413 "},
        {"the same, asked before", POST "Expect: 100-continue\r\nContent-Length: 100001\r\n\r\n",
         " 413 "},
        {"a chunk beyond the limit", CHUNKED "186a1\r\n", " 413 "},
        {"a bad size", CHUNKED "3\r\nabc\r\nx\r\n", " 400 "},
        {"no end of a chunk", CHUNKED "3\r\nabcdef", " 400 "},
        {"a bad trailer", CHUNKED "0\r\nHost: a\r\n\r\n", " 400 "},
        {"a body that stops", POST "Content-Length: 5\r\n\r\nhal", " 408 "},
        {"chunks that stop", CHUNKED "3\r\nabc\r\n", " 408 "},
    };
    struct desk *desk = *state;
    desk->options.body_ms = 30;
    dr_http_server_set_options(desk->server, &desk->options);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int is_silent = 0; is_silent < 2; is_silent++) {
            print_message("%s\n", cases[i].name);
            desk->is_silent = is_silent;
            desk->refused_count = 0;
            desk->gone_count = 0;
            struct probe probe = client(desk);
            probe_send(&probe, cases[i].request);
            until_ended(desk, &probe);
            assert_true(probe_has(&probe, cases[i].status));
            assert_int_equal(probe_has(&probe, "X-By: desk"), !is_silent);
            assert_int_equal(desk->refused_count, !is_silent);
            assert_int_equal(desk->gone_count, is_silent);
            expect_answer(desk, &probe, is_silent ? "\r\n\r\nserver: " : cases[i].status);
        }
    }
}

/* --- clients that leave, with more sent than is kept ------------------------------------------ */

static void test_a_client_that_leaves_behind_much_unread_is_told(void **state) {
    struct desk *desk = *state;
    for (size_t i = 0; i < 2; i++) {
        struct probe probe = client(desk);
        probe_send(&probe, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        size_t left = 2 * KEPT_BYTES_MAX - 1000;
        while (left > 0) {
            left -= probe_send_some(&probe, zeros, left < sizeof zeros ? left : sizeof zeros);
        }
        PROBE_UNTIL(desk->loop, (void)0, desk->opened_count == i + 1);
        probe_turns(desk->loop, 5);
        assert_int_equal(desk->gone_count, i);
        if (i == 0) {
            probe_close(&probe);
        } else {
            probe_reset(&probe);
        }
        PROBE_UNTIL(desk->loop, (void)0, desk->gone_count == i + 1);
        PROBE_UNTIL(desk->loop, (void)0, desk_count(desk) == 0);
    }
}

static void test_who_left_before_the_reading_paused_is_told_too(void **state) {
    struct desk *desk = *state;
    struct probe probe = client(desk);
    probe_send(&probe, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    probe_send_bytes(&probe, zeros, sizeof zeros);
    probe_close(&probe); /* all of it lies there at the first read */
    PROBE_UNTIL(desk->loop, (void)0, desk->gone_count == 1);
    PROBE_UNTIL(desk->loop, (void)0, desk_count(desk) == 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_open, desk_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_who_sends_all_before_reading_gets_the_refusal),
        TEST(test_chunks_without_end_are_refused_and_dropped),
        TEST(test_bytes_behind_a_refusal_are_bounded),
        TEST(test_time_behind_a_refusal_is_bounded),
        TEST(test_who_stops_sending_behind_a_refusal_is_left_soon),
        TEST(test_draining_does_not_wait_long_for_who_was_refused),
        TEST(test_the_number_of_those_that_linger_is_bounded),
        TEST(test_the_service_answers_for_a_call_whose_body_cannot_be_had),
        TEST(test_a_client_that_leaves_behind_much_unread_is_told),
        TEST(test_who_left_before_the_reading_paused_is_told_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
