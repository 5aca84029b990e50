/* The HTTP server over real loopback connections. What the service does is chosen by the target. */
#include "net/http_server.h"

#include "base/alloc.h"
#include "net/http_connection.h"
#include "net/http_probe.h"
#include "net/listener.h"
#include "net/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

_Static_assert(sizeof(struct dr_http_connection) <= 200, "an idle connection stays small");

enum { CALLS_MAX = 128 };

struct fixture;

struct call {
    struct fixture *fixture;
    struct dr_http_call *call;
    bool is_gone;
};

struct fixture {
    struct dr_loop *loop;
    struct dr_http_server *server;
    struct dr_listener *listener;
    struct dr_http_server_options options;
    struct call calls[CALLS_MAX]; /* those that wait for an answer */
    size_t call_count;
    size_t opened_count;
    size_t body_count;
    size_t gone_count;
    size_t drained_count;
    size_t disconnected_count;
    size_t body_bytes;
    const char *body_at;
    uint64_t body_max;
    bool is_paired; /* its stream is a pipe that no listener counts */
};

static const char PLAIN[] = "Content-Type: text/plain\r\n";

static void service_opened(void *owner, struct dr_http_call *call,
                           const struct dr_http1_head *head) {
    struct fixture *fixture = owner;
    fixture->opened_count++;
    if (dr_slice_is(head->target, DR_LIT("/now"))) {
        dr_http_call_answer(call, 200, dr_slice_text(PLAIN), DR_LIT("at once"));
        return;
    }
    if (dr_slice_is(head->target, DR_LIT("/empty"))) {
        dr_http_call_answer(call, 204, DR_NONE, DR_NONE);
        return;
    }
    if (dr_slice_is(head->target, DR_LIT("/cut"))) {
        dr_http_call_answer(call, 200, DR_LIT("X-Id: 1\r\nOrigin: "), DR_LIT("x"));
        return;
    }
    if (dr_slice_is(head->target, DR_LIT("/refused"))) {
        dr_http_call_answer(call, 401, DR_NONE, DR_LIT("no"));
        return;
    }
    if (fixture->body_max > 0) dr_http_call_set_body_max(call, fixture->body_max);
    assert_true(fixture->call_count < CALLS_MAX);
    struct call *kept = &fixture->calls[fixture->call_count++];
    *kept = (struct call){.fixture = fixture, .call = call};
    dr_http_call_set_owner(call, kept);
    /* "/echo" answers with its body in `body`, all others wait for the test. */
    if (dr_slice_is(head->target, DR_LIT("/echo"))) kept->fixture = NULL;
}

static struct fixture *the_fixture(struct dr_http_call *call) {
    return call->connection->server->service_owner;
}

static void service_body(void *owner, dr_slice body) {
    struct call *call = owner;
    struct fixture *fixture = the_fixture(call->call);
    fixture->body_count++;
    fixture->body_bytes += body.len;
    fixture->body_at = body.data;
    if (call->fixture) return;
    fixture->call_count--;
    dr_http_call_answer(call->call, 200, DR_NONE, body);
}

static void service_gone(void *owner) {
    struct call *call = owner;
    assert_false(call->is_gone);
    call->is_gone = true;
    the_fixture(call->call)->gone_count++;
}

static void service_drained(void *owner) {
    struct call *call = owner;
    the_fixture(call->call)->drained_count++;
}

static void service_refuse(void *owner, uint16_t status, const char *text, struct dr_buf *body) {
    (void)owner;
    dr_buf_format(body, "{\"refused\":%u,\"text\":\"%s\"}", (unsigned)status, text);
}

static void service_disconnected(void *owner) {
    struct fixture *fixture = owner;
    fixture->disconnected_count++;
    if (!fixture->is_paired) dr_listener_note_closed(fixture->listener);
}

static const struct dr_http_service service = {
    .opened = service_opened,
    .body = service_body,
    .gone = service_gone,
    .drained = service_drained,
    .refuse = service_refuse,
    .disconnected = service_disconnected,
};

static void stream_accepted(void *owner, struct dr_stream *stream) {
    struct fixture *fixture = owner;
    dr_http_server_take(fixture->server, stream);
}

static int setup(void **state) {
    struct fixture *fixture = test_calloc(1, sizeof *fixture);
    struct dr_error error;
    assert_int_equal(dr_loop_new(&fixture->loop, &error), DR_OK);
    fixture->options = (struct dr_http_server_options){
        .limits = {.head_bytes_max = 4096,
                   .headers_max = 32,
                   .chunk_extension_bytes_max = 256,
                   .trailer_bytes_max = 1024,
                   .body_bytes_max = 1024 * 1024},
        .head_ms = 10000,
        .body_ms = 10000,
        .idle_ms = 10000,
        .write_ms = 10000,
    };
    assert_int_equal(dr_http_server_new(fixture->loop, &service, fixture, &fixture->options,
                                        &fixture->server, &error),
                     DR_OK);
    const struct dr_listener_options listen = {.address = DR_LIT("127.0.0.1:0"),
                                               .connections_max = 1000,
                                               .accepted = stream_accepted,
                                               .owner = fixture};
    assert_int_equal(dr_listener_open(fixture->loop, &listen, NULL, &fixture->listener, &error),
                     DR_OK);
    *state = fixture;
    return 0;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    dr_http_server_close_all(fixture->server);
    PROBE_UNTIL(fixture->loop, (void)0, dr_http_server_connection_count(fixture->server) == 0);
    dr_http_server_free(fixture->server);
    dr_listener_close(fixture->listener);
    probe_turns(fixture->loop, 3);
    dr_loop_free(fixture->loop);
    test_free(fixture);
    return 0;
}

static struct probe client(struct fixture *fixture) {
    return probe_connect(dr_listener_port(fixture->listener));
}

static void until_text(struct fixture *fixture, struct probe *probe, const char *text) {
    PROBE_UNTIL(fixture->loop, probe_read(probe), probe_has(probe, text));
}

static void until_ended(struct fixture *fixture, struct probe *probe) {
    PROBE_UNTIL(fixture->loop, probe_read(probe), probe->has_ended);
}

static void until_called(struct fixture *fixture, size_t count) {
    PROBE_UNTIL(fixture->loop, (void)0, fixture->body_count >= count);
}

static struct dr_http_call *call_at(struct fixture *fixture, size_t index) {
    assert_true(index < fixture->call_count);
    return fixture->calls[index].call;
}

/* --- plain exchanges -------------------------------------------------------------------------- */

static void test_an_answer_has_date_length_and_body(void **state) {
    struct fixture *fixture = *state;
    struct probe probe = client(fixture);
    probe_send(&probe, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n");
    until_text(fixture, &probe, "at once");
    assert_true(probe_has(&probe, "HTTP/1.1 200 OK\r\nDate: "));
    assert_true(
        probe_has(&probe, " GMT\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\nat once"));
    assert_false(probe_has(&probe, "Server:"));
    assert_false(probe_has(&probe, "Connection:"));
    probe_close(&probe);
}

static void test_a_connection_is_kept_for_further_requests(void **state) {
    struct fixture *fixture = *state;
    struct probe probe = client(fixture);
    for (int i = 0; i < 5; i++) {
        probe_forget(&probe);
        probe_send(&probe, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        until_text(fixture, &probe, "\r\n\r\nhello");
    }
    assert_int_equal(dr_http_server_connection_count(fixture->server), 1);
    probe_close(&probe);
}

static void test_a_body_that_comes_with_its_head_is_not_copied(void **state) {
    struct fixture *fixture = *state;
    struct probe probe = client(fixture);
    probe_send(&probe, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    until_text(fixture, &probe, "\r\n\r\nhello");
    const char *buffer = dr_loop_read_buffer(fixture->loop);
    assert_true(fixture->body_at >= buffer && fixture->body_at < buffer + DR_LOOP_READ_BYTES);
    probe_close(&probe);
}

static void test_no_memory_but_a_streams_head_is_asked_for(void **state) {
    struct fixture *fixture = *state;
    struct probe probe = client(fixture);
    uint64_t before = 0;
    for (int i = 0; i < 20; i++) {
        if (i == 5) before = dr_alloc_count();
        probe_forget(&probe);
        probe_send(&probe, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        until_text(fixture, &probe, "\r\n\r\nhello");
        probe_forget(&probe);
        probe_send(&probe, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        PROBE_UNTIL(fixture->loop, (void)0, fixture->body_count == 2 * (size_t)(i + 1));
        dr_http_call_begin(call_at(fixture, 0), 200, dr_slice_text(PLAIN));
        dr_http_call_put(call_at(fixture, 0), DR_LIT("a"));
        dr_http_call_end(call_at(fixture, 0), DR_LIT("b"));
        fixture->call_count = 0;
        until_text(fixture, &probe, "1\r\nb\r\n0\r\n\r\n");
    }
    assert_int_equal(dr_alloc_count(), before + 15); /* the head of each stream, let go at once */
    probe_close(&probe);
}

struct exchange {
    const char *name;
    const char *request;
    const char *expected[4]; /* all are in the answer */
    const char *absent;
    bool is_closed;
};

static const struct exchange exchanges[] = {
    {"HEAD has a length and no body",
     "HEAD /now HTTP/1.1\r\nHost: a\r\n\r\n",
     {"200 OK", "Content-Length: 7\r\n\r\n"},
     "at once",
     false},
    {"204 has no length",
     "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n",
     {"204 No Content\r\n"},
     "Content-Length",
     false},
    {"HTTP/1.0 closes",
     "GET /now HTTP/1.0\r\n\r\n",
     {"Connection: close\r\n", "at once"},
     NULL,
     true},
    {"HTTP/1.0 keep-alive is confirmed",
     "GET /now HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
     {"Connection: keep-alive\r\n", "at once"},
     NULL,
     false},
    {"close is honoured",
     "GET /now HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
     {"Connection: close\r\n", "at once"},
     NULL,
     true},
    {"a chunked body is joined",
     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
     "2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n",
     {"Content-Length: 5\r\n\r\nabcde"},
     NULL,
     false},
    {"an unwanted body is dropped",
     "POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
     "GET /now HTTP/1.1\r\nHost: a\r\n\r\n",
     {"401 ", "\r\n\r\nno", "at once"},
     "Connection:",
     false},
    {"nonsense is refused",
     "\x16\x03\x01 nonsense\r\n\r\n",
     {"400 Bad Request", "application/json", "Connection: close", "{\"refused\":400"},
     NULL,
     true},
    {"no host is refused", "GET /now HTTP/1.1\r\n\r\n", {"400 ", "{\"refused\":400"}, NULL, true},
    {"another version is refused", "GET /now HTTP/2.0\r\nHost: a\r\n\r\n", {"505 "}, NULL, true},
    {"another coding is refused",
     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
     {"501 "},
     NULL,
     true},
    {"a declared size above the limit is refused unread",
     "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n",
     {"413 "},
     NULL,
     true},
    {"also when the client asks before it sends",
     "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1048577\r\n\r\n",
     {"413 "},
     "100 Continue",
     true},
    {"an early refusal of an expectation closes",
     "POST /refused HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
     {"401 ", "Connection: close"},
     "100 Continue",
     true},
    {"what follows an error is not answered",
     "GET / HTTP/1.1\r\nHost: a b\r\n\r\nGET /now HTTP/1.1\r\nHost: a\r\n\r\n",
     {"400 "},
     "at once",
     true},
};

static void test_each_kind_of_request_gets_its_answer(void **state) {
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof exchanges / sizeof *exchanges; i++) {
        const struct exchange *exchange = &exchanges[i];
        struct probe probe = client(fixture);
        probe_send(&probe, exchange->request);
        for (size_t k = 0; k < 4 && exchange->expected[k]; k++) {
            print_message("%s: %s\n", exchange->name, exchange->expected[k]);
            until_text(fixture, &probe, exchange->expected[k]);
        }
        if (exchange->is_closed) {
            /* The server's FIN has come; ours ends its lingering. */
            until_ended(fixture, &probe);
            assert_false(probe.was_reset);
        } else {
            probe_turns(fixture->loop, 3);
            probe_read(&probe);
            assert_false(probe.has_ended);
        }
        if (exchange->absent && probe_has(&probe, exchange->absent)) fail_msg("%s", exchange->name);
        probe_close(&probe);
    }
    PROBE_UNTIL(fixture->loop, (void)0, dr_http_server_connection_count(fixture->server) == 0);
    assert_int_equal(fixture->gone_count, 2); /* the two with too large a body */
    assert_int_equal(fixture->disconnected_count, sizeof exchanges / sizeof *exchanges);
}

static void test_a_head_beyond_its_limit_is_431(void **state) {
    struct fixture *fixture = *state;
    struct probe probe = client(fixture);
    char text[6000];
    memset(text, 'x', sizeof text);
    memcpy(text, "GET /now HTTP/1.1\r\nHost: a\r\nX: ", 31);
    probe_send_bytes(&probe, text, sizeof text);
    until_text(fixture, &probe, "431 ");
    until_ended(fixture, &probe);
    assert_false(probe.was_reset);
    probe_close(&probe);
}

static void test_a_route_may_take_less_than_the_server(void **state) {
    struct fixture *fixture = *state;
    fixture->body_max = 10;
    struct probe probe = client(fixture);
    probe_send(&probe, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n");
    until_text(fixture, &probe, "413 ");
    assert_int_equal(fixture->gone_count, 1);
    probe_close(&probe);
}

static void test_continue_is_said_once_the_body_is_wanted(void **state) {
    struct fixture *fixture = *state;
    struct probe probe = client(fixture);
    probe_send(&probe, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                       "Content-Length: 5\r\n\r\n");
    until_text(fixture, &probe, "HTTP/1.1 100 Continue\r\n\r\n");
    probe_send(&probe, "hello");
    until_text(fixture, &probe, "\r\n\r\nhello");
    assert_int_equal(probe_count(&probe, "100 Continue"), 1);
    probe_forget(&probe);
    /* Who sends at once is not told to go on. */
    probe_send(&probe, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                       "Content-Length: 5\r\n\r\nhello");
    until_text(fixture, &probe, "\r\n\r\nhello");
    assert_false(probe_has(&probe, "100 Continue"));
    probe_close(&probe);
}

static void test_a_long_unwanted_body_closes_after_the_answer(void **state) {
    struct fixture *fixture = *state;
    struct probe probe = client(fixture);
    char piece[16384];
    memset(piece, 'b', sizeof piece);
    probe_send(&probe, "POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    probe_send_bytes(&probe, piece, sizeof piece);
    until_text(fixture, &probe, "Connection: close\r\n\r\nno");
    until_ended(fixture, &probe);
    assert_false(probe.was_reset);
    /* Chunked, its length is found out only by reading. */
    struct probe chunked = client(fixture);
    probe_send(&chunked, "POST /refused HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "20000\r\n");
    until_text(fixture, &chunked, "\r\n\r\nno");
    for (int i = 0; i < 5; i++) {
        (void)probe_send_some(&chunked, piece, sizeof piece);
        probe_turns(fixture->loop, 1);
    }
    until_ended(fixture, &chunked);
    probe_close(&probe);
    probe_close(&chunked);
}

static void test_headers_that_were_cut_swallow_no_framing(void **state) {
    struct fixture *fixture = *state;
    struct probe probe = client(fixture);
    probe_send(&probe, "GET /cut HTTP/1.1\r\nHost: a\r\n\r\n");
    until_ended(fixture, &probe);
    assert_int_equal(probe.len, 0);
    assert_true(probe.was_reset);
    probe_close(&probe);
}

/* --- pipelining ------------------------------------------------------------------------------- */

/* A client that sends a hundred requests in one write, with "0000" to "0099" as bodies. */
static struct probe client_of_hundred(struct fixture *fixture, const char *path) {
    char text[16384];
    size_t len = 0;
    for (int i = 0; i < 100; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len,
                                "POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n%04d",
                                path, i);
    }
    struct probe probe = client(fixture);
    probe_send_bytes(&probe, text, len);
    return probe;
}

static void test_a_hundred_requests_in_one_write_are_answered_in_order(void **state) {
    struct fixture *fixture = *state;
    struct probe probe = client_of_hundred(fixture, "echo");
    until_text(fixture, &probe, "\r\n\r\n0099");
    const char *at = probe.text;
    for (int i = 0; i < 100; i++) {
        char expected[16];
        (void)snprintf(expected, sizeof expected, "\r\n\r\n%04d", i);
        at = strstr(at, expected);
        assert_non_null(at);
    }
    assert_int_equal(probe_count(&probe, "HTTP/1.1 200 OK"), 100);
    probe_close(&probe);
}

static void test_a_hundred_requests_wait_for_answers_given_later(void **state) {
    struct fixture *fixture = *state;
    struct probe probe = client_of_hundred(fixture, "later");
    for (size_t i = 0; i < 100; i++) {
        until_called(fixture, i + 1);
        assert_int_equal(fixture->body_count, i + 1);
        probe_turns(fixture->loop, 1);
        assert_int_equal(fixture->opened_count, i + 1);
        char answer[16];
        (void)snprintf(answer, sizeof answer, "<%zu>", i);
        dr_http_call_answer(call_at(fixture, i), 200, DR_NONE, dr_slice_text(answer));
        until_text(fixture, &probe, answer);
    }
    assert_int_equal(probe_count(&probe, "HTTP/1.1 200 OK"), 100);
    probe_close(&probe);
}

static void test_many_requests_at_once_leave_others_their_turns(void **state) {
    enum { COUNT = 1000 };
    static const char request[] = "GET /now HTTP/1.1\r\nHost: a\r\n\r\n";
    struct fixture *fixture = *state;
    char *text = test_malloc(COUNT * sizeof request);
    for (size_t i = 0; i < COUNT; i++) {
        memcpy(text + i * (sizeof request - 1), request, sizeof request);
    }
    struct probe greedy = client(fixture);
    struct probe other = client(fixture);
    probe_send_bytes(&greedy, text, COUNT * (sizeof request - 1));
    PROBE_UNTIL(fixture->loop, (void)0, fixture->opened_count > 0);
    assert_in_range(fixture->opened_count, 1, 100);
    probe_send(&other, request);
    until_text(fixture, &other, "at once");
    assert_in_range(fixture->opened_count, 1, COUNT / 2);
    PROBE_UNTIL(fixture->loop, probe_read(&greedy), fixture->opened_count == COUNT + 1);
    PROBE_UNTIL(fixture->loop, probe_read(&greedy), probe_count(&greedy, "at once") == COUNT);
    probe_close(&greedy);
    probe_close(&other);
    test_free(text);
}

static void test_requests_may_be_cut_at_any_byte(void **state) {
    struct fixture *fixture = *state;
    static const char text[] =
        "GET /now HTTP/1.1\r\nHost: a\r\n\r\n"
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        "GET /now HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for (size_t cut = 1; cut + 1 < sizeof text; cut++) {
        struct probe probe = client(fixture);
        probe_send_bytes(&probe, text, cut);
        probe_turns(fixture->loop, 2);
        probe_send_bytes(&probe, text + cut, sizeof text - 1 - cut);
        until_ended(fixture, &probe);
        assert_int_equal(probe_count(&probe, "HTTP/1.1 200 OK"), 4);
        assert_int_equal(probe_count(&probe, "at once"), 2);
        assert_true(probe_has(&probe, "\r\n\r\nhello"));
        assert_true(probe_has(&probe, "\r\n\r\nabcde"));
        probe_close(&probe);
    }
}

static void test_bytes_kept_behind_a_running_answer_are_bounded(void **state) {
    struct fixture *fixture = *state;
    static char text[65536];
    memset(text, 'x', sizeof text);
    struct probe probe = client(fixture);
    probe_send(&probe, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    until_called(fixture, 1);
    size_t sent = 0;
    for (int i = 0; i < 200; i++) {
        sent += probe_send_some(&probe, text, sizeof text);
        probe_turns(fixture->loop, 1);
    }
    const struct dr_http_call *call = call_at(fixture, 0);
    assert_true(sent > call->kept.len);
    assert_in_range(call->kept.len, 65536, 65536 + DR_LOOP_READ_BYTES);
    dr_http_call_answer(call_at(fixture, 0), 200, DR_NONE, DR_LIT("done"));
    until_text(fixture, &probe, "431 ");
    assert_true(probe_has(&probe, "done"));
    probe_close(&probe);
}

/* --- streamed answers ------------------------------------------------------------------------- */

static void test_a_streamed_answer_is_chunked(void **state) {
    struct fixture *fixture = *state;
    struct probe probe = client(fixture);
    probe_send(&probe, "GET /s HTTP/1.1\r\nHost: a\r\n\r\n");
    until_called(fixture, 1);
    struct dr_http_call *call = call_at(fixture, 0);
    dr_http_call_begin(call, 200, dr_slice_text(PLAIN));
    assert_true(dr_http_call_has_begun(call));
    probe_turns(fixture->loop, 3);
    probe_read(&probe);
    assert_int_equal(probe.len, 0);
    dr_http_call_put(call, DR_LIT("first"));
    until_text(fixture, &probe, "Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    dr_http_call_put(call, DR_NONE);
    dr_http_call_put(call, DR_LIT("second"));
    dr_http_call_end(call, DR_LIT("third"));
    until_text(fixture, &probe, "5\r\nfirst\r\n6\r\nsecond\r\n5\r\nthird\r\n0\r\n\r\n");
    probe_forget(&probe);
    probe_send(&probe, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n");
    until_text(fixture, &probe, "at once");
    probe_close(&probe);
}

static void test_a_streamed_answer_to_http_1_0_ends_with_the_connection(void **state) {
    struct fixture *fixture = *state;
    struct probe probe = client(fixture);
    probe_send(&probe, "GET /s HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    until_called(fixture, 1);
    dr_http_call_begin(call_at(fixture, 0), 200, DR_NONE);
    dr_http_call_put(call_at(fixture, 0), DR_NONE);
    until_text(fixture, &probe, "Connection: close\r\n\r\n");
    dr_http_call_put(call_at(fixture, 0), DR_LIT("one "));
    dr_http_call_end(call_at(fixture, 0), DR_LIT("two"));
    until_ended(fixture, &probe);
    assert_true(probe_has(&probe, "\r\n\r\none two"));
    assert_false(probe_has(&probe, "chunked"));
    probe_close(&probe);
}

static void test_a_streamed_answer_to_head_has_no_body(void **state) {
    struct fixture *fixture = *state;
    struct probe probe = client(fixture);
    probe_send(&probe, "HEAD /s HTTP/1.1\r\nHost: a\r\n\r\n");
    until_called(fixture, 1);
    dr_http_call_begin(call_at(fixture, 0), 200, DR_NONE);
    dr_http_call_put(call_at(fixture, 0), DR_LIT("piece"));
    dr_http_call_end(call_at(fixture, 0), DR_LIT("last"));
    until_text(fixture, &probe, "\r\n\r\n");
    probe_send(&probe, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n");
    until_text(fixture, &probe, "at once");
    assert_false(probe_has(&probe, "piece"));
    probe_close(&probe);
}

static void test_an_aborted_answer_lacks_its_last_chunk(void **state) {
    struct fixture *fixture = *state;
    struct probe probe = client(fixture);
    probe_send(&probe, "GET /s HTTP/1.1\r\nHost: a\r\n\r\n");
    until_called(fixture, 1);
    dr_http_call_begin(call_at(fixture, 0), 200, DR_NONE);
    dr_http_call_put(call_at(fixture, 0), DR_LIT("piece"));
    dr_http_call_abort(call_at(fixture, 0));
    until_ended(fixture, &probe);
    assert_true(probe_has(&probe, "5\r\npiece\r\n"));
    assert_false(probe_has(&probe, "0\r\n\r\n"));
    struct probe old = client(fixture);
    probe_send(&old, "GET /s HTTP/1.0\r\n\r\n");
    until_called(fixture, 2);
    dr_http_call_begin(call_at(fixture, 1), 200, DR_NONE);
    dr_http_call_put(call_at(fixture, 1), DR_LIT("piece"));
    dr_http_call_abort(call_at(fixture, 1));
    until_ended(fixture, &old);
    assert_true(old.was_reset);
    assert_int_equal(fixture->gone_count, 0);
    probe_close(&probe);
    probe_close(&old);
}

struct counting {
    size_t received_count;
    size_t len;
    bool is_closed;
};

static void counting_received(void *owner, dr_slice bytes) {
    struct counting *counting = owner;
    counting->received_count++;
    counting->len += bytes.len;
}

static void counting_ended(void *owner) {
    (void)owner;
}

static void counting_failed(void *owner, const struct dr_error *error) {
    (void)owner;
    (void)error;
}

static void counting_closed(void *owner) {
    struct counting *counting = owner;
    counting->is_closed = true;
}

static const struct dr_stream_events counting_events = {.received = counting_received,
                                                        .ended = counting_ended,
                                                        .failed = counting_failed,
                                                        .drained = counting_ended,
                                                        .closed = counting_closed};

static void test_head_and_first_piece_leave_together(void **state) {
    struct fixture *fixture = *state;
    struct dr_stream *near_end;
    struct dr_stream *far_end;
    struct dr_error error;
    struct counting counting = {0};
    fixture->is_paired = true;
    assert_int_equal(dr_stream_pair(fixture->loop, 65536, &near_end, &far_end, &error), DR_OK);
    dr_stream_set_owner(far_end, &counting_events, &counting);
    dr_http_server_take(fixture->server, near_end);
    const dr_slice request = DR_LIT("GET /s HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(dr_stream_write(far_end, &request, 1), DR_OK);
    until_called(fixture, 1);
    dr_http_call_begin(call_at(fixture, 0), 200, dr_slice_text(PLAIN));
    dr_http_call_put(call_at(fixture, 0), DR_LIT("first"));
    PROBE_UNTIL(fixture->loop, (void)0, counting.received_count > 0);
    probe_turns(fixture->loop, 3);
    assert_int_equal(counting.received_count, 1);
    dr_http_call_end(call_at(fixture, 0), DR_LIT("last"));
    PROBE_UNTIL(fixture->loop, (void)0, counting.received_count > 1);
    probe_turns(fixture->loop, 3);
    assert_int_equal(counting.received_count, 2);
    dr_stream_close(far_end);
    PROBE_UNTIL(fixture->loop, (void)0, counting.is_closed);
}

static void test_a_slow_reader_is_seen_and_told_of(void **state) {
    struct fixture *fixture = *state;
    static char piece[32768];
    memset(piece, 'p', sizeof piece);
    struct probe probe = client(fixture);
    probe_send(&probe, "GET /s HTTP/1.1\r\nHost: a\r\n\r\n");
    until_called(fixture, 1);
    struct dr_http_call *call = call_at(fixture, 0);
    dr_http_call_begin(call, 200, DR_NONE);
    size_t sent = 0;
    size_t pending_max = 0;
    while (fixture->drained_count < 2) {
        const size_t pending = dr_http_call_pending(call);
        if (pending > pending_max) pending_max = pending;
        if (pending == 0) {
            dr_http_call_put(call, dr_slice_of(piece, sizeof piece));
            sent += sizeof piece;
        } else {
            const size_t drained_before = fixture->drained_count;
            PROBE_UNTIL(fixture->loop, probe_read_some(&probe, 65536),
                        fixture->drained_count > drained_before);
        }
        assert_true(sent < PROBE_BYTES - 1024 * 1024);
    }
    assert_in_range(pending_max, 1, sizeof piece + 64);
    dr_http_call_end(call, DR_LIT("last"));
    until_text(fixture, &probe, "last\r\n0\r\n\r\n");
    probe_close(&probe);
}

static void test_a_reader_that_never_reads_is_cut_off(void **state) {
    struct fixture *fixture = *state;
    fixture->options.write_ms = 30;
    dr_http_server_set_options(fixture->server, &fixture->options);
    static char piece[32768];
    struct probe probe = client(fixture);
    probe_send(&probe, "GET /s HTTP/1.1\r\nHost: a\r\n\r\n");
    until_called(fixture, 1);
    dr_http_call_begin(call_at(fixture, 0), 200, DR_NONE);
    while (dr_http_call_pending(call_at(fixture, 0)) == 0) {
        dr_http_call_put(call_at(fixture, 0), dr_slice_of(piece, sizeof piece));
    }
    PROBE_UNTIL(fixture->loop, (void)0, fixture->gone_count == 1);
    until_ended(fixture, &probe);
    assert_true(probe.was_reset);
    probe_close(&probe);
}

static void test_a_stream_that_outruns_its_reader_is_cut_off(void **state) {
    struct fixture *fixture = *state;
    static char piece[65536];
    struct probe probe = client(fixture);
    probe_send(&probe, "GET /s HTTP/1.1\r\nHost: a\r\n\r\n");
    until_called(fixture, 1);
    dr_http_call_begin(call_at(fixture, 0), 200, DR_NONE);
    for (int i = 0; i < 400; i++) {
        dr_http_call_put(call_at(fixture, 0), dr_slice_of(piece, sizeof piece));
        assert_true(dr_http_call_pending(call_at(fixture, 0)) <= 1024 * 1024);
    }
    assert_int_equal(fixture->gone_count, 0);
    PROBE_UNTIL(fixture->loop, (void)0, fixture->gone_count == 1);
    probe_close(&probe);
}

static void test_a_whole_answer_may_be_larger_than_what_a_stream_may_leave_waiting(void **state) {
    struct fixture *fixture = *state;
    const size_t len = 7 * 1024 * 1024;
    char *body = test_malloc(len);
    memset(body, 'w', len);
    struct probe probe = client(fixture);
    probe_send(&probe, "GET /s HTTP/1.1\r\nHost: a\r\n\r\nGET /now HTTP/1.1\r\nHost: a\r\n\r\n");
    until_called(fixture, 1);
    dr_http_call_answer(call_at(fixture, 0), 200, DR_NONE, dr_slice_of(body, len));
    probe_turns(fixture->loop, 2);
    /* The next request is not looked at before this answer has left. */
    assert_int_equal(fixture->opened_count, 1);
    PROBE_UNTIL(fixture->loop, probe_read_some(&probe, 1000000), fixture->opened_count == 2);
    PROBE_UNTIL(fixture->loop, probe_read(&probe), probe.len > len && probe_has(&probe, "at once"));
    test_free(body);
    probe_close(&probe);
}

/* --- clients that leave ----------------------------------------------------------------------- */

static void test_a_client_that_leaves_is_told_once(void **state) {
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 8; i++) {
        struct probe probe = client(fixture);
        const bool is_body_cut = (i & 4) != 0;
        probe_send(&probe, is_body_cut
                               ? "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf"
                               : "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
        if ((i & 2) && !is_body_cut) probe_send(&probe, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n");
        PROBE_UNTIL(fixture->loop, (void)0, fixture->call_count == i + 1);
        probe_turns(fixture->loop, 2);
        if (i & 1) {
            probe_reset(&probe);
        } else {
            probe_close(&probe);
        }
        PROBE_UNTIL(fixture->loop, (void)0, fixture->gone_count == i + 1);
    }
    PROBE_UNTIL(fixture->loop, (void)0, dr_http_server_connection_count(fixture->server) == 0);
    assert_int_equal(fixture->gone_count, 8);
    assert_int_equal(fixture->opened_count, 8);
}

static void test_an_answer_given_after_a_silent_reset_is_no_harm(void **state) {
    struct fixture *fixture = *state;
    struct probe probe = client(fixture);
    probe_send(&probe, "GET /s HTTP/1.1\r\nHost: a\r\n\r\n");
    until_called(fixture, 1);
    dr_http_call_begin(call_at(fixture, 0), 200, DR_NONE);
    probe_reset(&probe);
    /* The loop has not run: the first write finds the reset, or succeeds, the end must be safe. */
    dr_http_call_put(call_at(fixture, 0), DR_LIT("a"));
    dr_http_call_put(call_at(fixture, 0), DR_LIT("b"));
    dr_http_call_end(call_at(fixture, 0), DR_LIT("c"));
    PROBE_UNTIL(fixture->loop, (void)0, dr_http_server_connection_count(fixture->server) == 0);
    assert_int_equal(fixture->gone_count, 0);
}

/* --- deadlines -------------------------------------------------------------------------------- */

static void test_each_deadline_has_its_own_end(void **state) {
    struct fixture *fixture = *state;
    fixture->options.head_ms = 40;
    fixture->options.body_ms = 40;
    fixture->options.idle_ms = 40;
    dr_http_server_set_options(fixture->server, &fixture->options);
    struct probe idle = client(fixture);
    until_ended(fixture, &idle);
    assert_int_equal(idle.len, 0);
    probe_close(&idle);
    struct probe head = client(fixture);
    probe_send(&head, "GET /now");
    until_text(fixture, &head, "408 Request Timeout");
    until_ended(fixture, &head);
    assert_false(head.was_reset);
    probe_close(&head);
    struct probe body = client(fixture);
    probe_send(&body, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
    until_text(fixture, &body, "408 Request Timeout");
    assert_int_equal(fixture->gone_count, 1);
    until_ended(fixture, &body);
    probe_close(&body);
    /* An answer under way has no deadline here: that is the gateway's. */
    struct probe later = client(fixture);
    probe_send(&later, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    until_called(fixture, 1);
    const dr_instant start = dr_instant_now();
    PROBE_UNTIL(fixture->loop, (void)0, dr_instant_us_since(dr_instant_now(), start) > 100000);
    dr_http_call_answer(call_at(fixture, 1), 200, DR_NONE, DR_LIT("late"));
    until_text(fixture, &later, "late");
    until_ended(fixture, &later);
    probe_close(&later);
}

static void test_a_deadline_is_for_the_whole_head_not_for_each_read(void **state) {
    struct fixture *fixture = *state;
    fixture->options.head_ms = 60;
    fixture->options.limits.head_bytes_max = 1024 * 1024;
    dr_http_server_set_options(fixture->server, &fixture->options);
    struct probe probe = client(fixture);
    probe_send(&probe, "GET /now HTTP/1.1\r\nHost: a\r\nX: ");
    const dr_instant start = dr_instant_now();
    /* A byte in each turn keeps no connection alive. */
    PROBE_UNTIL(fixture->loop, (probe_read(&probe), (void)probe_send_some(&probe, "x", 1)),
                probe_has(&probe, "408 "));
    assert_in_range(dr_instant_us_since(dr_instant_now(), start), 40000, 3000000);
    probe_close(&probe);
}

static void test_empty_lines_keep_no_connection_open(void **state) {
    struct fixture *fixture = *state;
    fixture->options.head_ms = 60;
    dr_http_server_set_options(fixture->server, &fixture->options);
    struct probe probe = client(fixture);
    for (const char *line = "\r\n\r"; *line; line++) {
        probe_send_bytes(&probe, line, 1);
        probe_turns(fixture->loop, 2);
    }
    until_text(fixture, &probe, "400 Bad Request"); /* the second one, although it comes alone */
    probe_close(&probe);
    probe = client(fixture);
    probe_send(&probe, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n\r\n");
    until_ended(fixture, &probe);
    assert_int_equal(probe_count(&probe, "HTTP/1.1 "), 1); /* nobody is told of what did not come */
    probe_close(&probe);
}

/* --- the server's own end --------------------------------------------------------------------- */

static void test_draining_closes_idle_connections_and_others_after_their_answer(void **state) {
    struct fixture *fixture = *state;
    struct probe idle = client(fixture);
    struct probe busy = client(fixture);
    struct probe streaming = client(fixture);
    probe_send(&busy, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    until_called(fixture, 1);
    probe_send(&streaming, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    until_called(fixture, 2);
    dr_http_call_begin(call_at(fixture, 1), 200, DR_NONE);
    dr_http_call_put(call_at(fixture, 1), DR_LIT("a"));
    PROBE_UNTIL(fixture->loop, (void)0, dr_http_server_connection_count(fixture->server) == 3);
    dr_http_server_drain(fixture->server);
    until_ended(fixture, &idle);
    dr_http_call_answer(call_at(fixture, 0), 200, DR_NONE, DR_LIT("busy"));
    dr_http_call_end(call_at(fixture, 1), DR_LIT("z"));
    until_ended(fixture, &busy);
    until_ended(fixture, &streaming);
    assert_true(probe_has(&busy, "Connection: close\r\n\r\nbusy"));
    assert_true(probe_has(&streaming, "1\r\nz\r\n0\r\n\r\n"));
    PROBE_UNTIL(fixture->loop, (void)0, dr_http_server_connection_count(fixture->server) == 0);
    assert_int_equal(fixture->gone_count, 0);
    probe_close(&idle);
    probe_close(&busy);
    probe_close(&streaming);
}

static void test_closing_all_tells_each_call_once(void **state) {
    struct fixture *fixture = *state;
    struct probe probes[10];
    for (size_t i = 0; i < 10; i++) {
        probes[i] = client(fixture);
        probe_send(&probes[i], "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
        until_called(fixture, i + 1);
    }
    dr_http_server_close_all(fixture->server);
    dr_http_server_close_all(fixture->server);
    PROBE_UNTIL(fixture->loop, (void)0, dr_http_server_connection_count(fixture->server) == 0);
    assert_int_equal(fixture->gone_count, 10);
    for (size_t i = 0; i < 10; i++) probe_close(&probes[i]);
}

static void test_exhausted_memory_loses_no_connection_and_no_call(void **state) {
    struct fixture *fixture = *state;
    for (uint64_t nth = 1; nth < 25; nth++) {
        struct probe probe = client(fixture);
        const size_t opened_before = fixture->opened_count;
        dr_alloc_fail_at(nth);
        probe_send(&probe, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                           "Connection: close\r\n\r\n3\r\nabc\r\n");
        probe_turns(fixture->loop, 3);
        (void)probe_send_some(&probe, "2\r\nde\r\n0\r\n\r\n", 12);
        until_ended(fixture, &probe);
        dr_alloc_fail_at(0);
        const bool is_answered = probe_has(&probe, " 200 OK") || probe_has(&probe, " 503 ");
        assert_true(is_answered || probe.len == 0);
        assert_true(fixture->opened_count <= opened_before + 1);
        probe_close(&probe);
        PROBE_UNTIL(fixture->loop, (void)0, dr_http_server_connection_count(fixture->server) == 0);
        fixture->call_count = 0;
        /* New limits drop the free parsers, so that each round meets an empty list. */
        dr_http_server_set_options(fixture->server, &fixture->options);
    }
    /* One of the failures hits the accept, where no stream comes to be. */
    assert_in_range(fixture->disconnected_count, 22, 24);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_an_answer_has_date_length_and_body),
        TEST(test_a_connection_is_kept_for_further_requests),
        TEST(test_a_body_that_comes_with_its_head_is_not_copied),
        TEST(test_no_memory_but_a_streams_head_is_asked_for),
        TEST(test_each_kind_of_request_gets_its_answer),
        TEST(test_a_head_beyond_its_limit_is_431),
        TEST(test_a_route_may_take_less_than_the_server),
        TEST(test_continue_is_said_once_the_body_is_wanted),
        TEST(test_a_long_unwanted_body_closes_after_the_answer),
        TEST(test_a_hundred_requests_in_one_write_are_answered_in_order),
        TEST(test_a_hundred_requests_wait_for_answers_given_later),
        TEST(test_headers_that_were_cut_swallow_no_framing),
        TEST(test_many_requests_at_once_leave_others_their_turns),
        TEST(test_requests_may_be_cut_at_any_byte),
        TEST(test_bytes_kept_behind_a_running_answer_are_bounded),
        TEST(test_a_streamed_answer_is_chunked),
        TEST(test_a_streamed_answer_to_http_1_0_ends_with_the_connection),
        TEST(test_a_streamed_answer_to_head_has_no_body),
        TEST(test_an_aborted_answer_lacks_its_last_chunk),
        TEST(test_head_and_first_piece_leave_together),
        TEST(test_a_slow_reader_is_seen_and_told_of),
        TEST(test_a_reader_that_never_reads_is_cut_off),
        TEST(test_a_stream_that_outruns_its_reader_is_cut_off),
        TEST(test_a_whole_answer_may_be_larger_than_what_a_stream_may_leave_waiting),
        TEST(test_a_client_that_leaves_is_told_once),
        TEST(test_an_answer_given_after_a_silent_reset_is_no_harm),
        TEST(test_each_deadline_has_its_own_end),
        TEST(test_a_deadline_is_for_the_whole_head_not_for_each_read),
        TEST(test_empty_lines_keep_no_connection_open),
        TEST(test_draining_closes_idle_connections_and_others_after_their_answer),
        TEST(test_closing_all_tells_each_call_once),
        TEST(test_exhausted_memory_loses_no_connection_and_no_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
