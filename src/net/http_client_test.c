/* The HTTP client over real loopback connections; the provider's end is a raw socket in the
 * test's hands. */
#include "net/http_client.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "net/address.h"
#include "net/dns_probe.h"
#include "net/http_pool.h"
#include "net/http_probe.h"
#include "net/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { ASKS_MAX = 256 };

struct fixture {
    struct dr_loop *loop;
    struct dns dns; /* names, whatever this machine's files and servers know */
    struct dr_resolver *resolver;
    struct dr_http_pool *pool;
    struct dr_http_origin *origin;
    int listen_fd;
    uint16_t port;
};

/* What an asker has heard. */
struct heard {
    struct dr_http_ask *ask;
    struct dr_buf body;
    size_t head_count;
    size_t piece_count;
    size_t done_count;
    size_t failed_count;
    uint16_t status;
    bool was_last;
    bool closes_in_head;
    bool closes_in_body;
    bool pauses_in_body;
    struct heard *opens_in_done;
    struct heard *opens_in_body; /* after closing */
    struct fixture *fixture;
    enum dr_http_ask_failure failure;
    char text[256];
};

static const dr_slice GET[2] = {{"GET /x HTTP/1.1\r\nHost: a\r\n", 26}, {"\r\n", 2}};

static void ask_opens(struct fixture *fixture, struct heard *heard);

static void ask_headed(void *owner, const struct dr_http1_head *head) {
    struct heard *heard = owner;
    heard->head_count++;
    heard->status = head->status;
    if (heard->closes_in_head) dr_http_ask_close(heard->ask);
}

static void ask_bodied(void *owner, dr_slice piece, bool is_last) {
    struct heard *heard = owner;
    assert_int_equal(heard->head_count, 1);
    assert_false(heard->was_last);
    heard->piece_count++;
    heard->was_last = is_last;
    dr_buf_put(&heard->body, piece);
    if (heard->closes_in_body) dr_http_ask_close(heard->ask);
    if (heard->opens_in_body) ask_opens(heard->fixture, heard->opens_in_body);
    if (heard->pauses_in_body) dr_http_ask_pause(heard->ask);
}

static void ask_done(void *owner) {
    struct heard *heard = owner;
    heard->done_count++;
    heard->ask = NULL;
    if (heard->opens_in_done) ask_opens(heard->fixture, heard->opens_in_done);
}

static void ask_failed(void *owner, enum dr_http_ask_failure failure,
                       const struct dr_error *error) {
    struct heard *heard = owner;
    heard->failed_count++;
    heard->failure = failure;
    heard->ask = NULL;
    (void)snprintf(heard->text, sizeof heard->text, "%s", error->text);
}

static const struct dr_http_ask_events events = {
    .head = ask_headed, .body = ask_bodied, .done = ask_done, .failed = ask_failed};

static struct dr_http_ask_request plain_request(void) {
    return (struct dr_http_ask_request){.parts = GET,
                                        .part_count = 2,
                                        .is_repeatable = true,
                                        .timeouts = {.connect_ms = 5000,
                                                     .first_byte_ms = 5000,
                                                     .between_bytes_ms = 5000,
                                                     .whole_ms = 20000}};
}

static struct heard heard_new(struct fixture *fixture) {
    struct heard heard = {.fixture = fixture};
    dr_buf_init(&heard.body, PROBE_BYTES);
    return heard;
}

static void ask_opens(struct fixture *fixture, struct heard *heard) {
    const struct dr_http_ask_request request = plain_request();
    heard->ask = dr_http_ask_open(fixture->origin, &request, &events, heard);
    assert_non_null(heard->ask);
}

static int setup(void **state) {
    struct fixture *fixture = test_calloc(1, sizeof *fixture);
    struct dr_error error;
    assert_int_equal(dr_loop_new(&fixture->loop, &error), DR_OK);
    dns_listen(&fixture->dns, fixture->loop);
    assert_int_equal(
        dr_resolver_open(fixture->loop, fixture->dns.servers, &fixture->resolver, &error), DR_OK);
    const struct dr_http_pool_options options = {.idle_per_origin_max = 4};
    fixture->pool = dr_http_pool_new(fixture->loop, fixture->resolver, &options);
    fixture->listen_fd = probe_listen(128, &fixture->port);
    fixture->origin = dr_http_origin_hold(fixture->pool, DR_LIT("127.0.0.1"), fixture->port, NULL);
    assert_non_null(fixture->origin);
    *state = fixture;
    return 0;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(dr_http_pool_stats(fixture->pool).asks_running, 0);
    dr_http_pool_close(fixture->pool);
    dr_http_origin_release(fixture->origin);
    probe_turns(fixture->loop, 3);
    dr_resolver_close(fixture->resolver);
    dns_hang_up(&fixture->dns);
    probe_turns(fixture->loop, 3);
    dr_loop_free(fixture->loop);
    close(fixture->dns.fd);
    if (fixture->listen_fd >= 0) close(fixture->listen_fd);
    test_free(fixture);
    return 0;
}

static struct probe provider_accepts(struct fixture *fixture) {
    int fd = -1;
    PROBE_UNTIL(fixture->loop, fd = accept(fixture->listen_fd, NULL, NULL), fd >= 0);
    return probe_of(fd);
}

static void provider_reads(struct fixture *fixture, struct probe *provider) {
    PROBE_UNTIL(fixture->loop, probe_read(provider), probe_has(provider, "\r\n\r\n"));
}

static void until_over(struct fixture *fixture, const struct heard *heard) {
    PROBE_UNTIL(fixture->loop, (void)0, heard->done_count + heard->failed_count > 0);
    assert_int_equal(heard->done_count + heard->failed_count, 1);
}

static bool heard_body_is(const struct heard *heard, const char *text) {
    return dr_slice_is(dr_buf_slice(&heard->body), dr_slice_text(text));
}

#define OK_HEAD "HTTP/1.1 200 OK\r\n"

/* One exchange on a connection that the provider keeps. */
static void exchange(struct fixture *fixture, struct probe *provider, struct heard *heard) {
    *heard = heard_new(fixture);
    ask_opens(fixture, heard);
    if (provider->fd < 0) *provider = provider_accepts(fixture);
    probe_forget(provider);
    provider_reads(fixture, provider);
    probe_send(provider, OK_HEAD "Content-Length: 2\r\n\r\nok");
    until_over(fixture, heard);
    assert_int_equal(heard->done_count, 1);
    assert_true(heard_body_is(heard, "ok"));
    dr_buf_clear(&heard->body);
}

/* --- responses -------------------------------------------------------------------------------- */

struct response {
    const char *name;
    const char *text;
    bool then_closes;
    const char *body; /* NULL: it fails */
    enum dr_http_ask_failure failure;
    bool is_kept;
    bool has_last; /* the last piece is known as such when told whole */
};

static const struct response responses[] = {
    {"with a length", OK_HEAD "Content-Length: 5\r\n\r\nhello", false, "hello", 0, true, true},
    {"without a body", "HTTP/1.1 204 No Content\r\n\r\n", false, "", 0, true, false},
    {"chunked", OK_HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", false,
     "abcde", 0, true, true},
    {"after interim heads",
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK_HEAD
     "Content-Length: 2\r\n\r\nhi",
     false, "hi", 0, true, true},
    {"which closes", OK_HEAD "Connection: close\r\nContent-Length: 2\r\n\r\nhi", false, "hi", 0,
     false, true},
    {"with bytes left over", OK_HEAD "Content-Length: 2\r\n\r\nhi more", false, "hi", 0, false,
     true},
    {"ended by the connection", OK_HEAD "\r\nto the end", true, "to the end", 0, false, false},
    {"cut in its head", OK_HEAD "Content-", true, NULL, DR_HTTP_ASK_CLOSED, false, false},
    {"cut in its body", OK_HEAD "Content-Length: 9\r\n\r\nhalf", true, NULL, DR_HTTP_ASK_CLOSED,
     false, false},
    {"cut before the last chunk", OK_HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", true,
     NULL, DR_HTTP_ASK_CLOSED, false, false},
    {"that is garbage", "SSH-2.0-OpenSSH\r\n", false, NULL, DR_HTTP_ASK_NOT_HTTP, false, false},
    {"with a bad chunk", OK_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n", false, NULL,
     DR_HTTP_ASK_NOT_HTTP, false, false},
    {"that switches protocols", "HTTP/1.1 101 Switching Protocols\r\n\r\n", false, NULL,
     DR_HTTP_ASK_NOT_HTTP, false, false},
    {"that never comes", "", true, NULL, DR_HTTP_ASK_CLOSED, false, false},
};

static void meet_response(struct fixture *fixture, const struct response *response, size_t cut) {
    struct heard heard = heard_new(fixture);
    ask_opens(fixture, &heard);
    struct probe provider = provider_accepts(fixture);
    provider_reads(fixture, &provider);
    const size_t len = strlen(response->text);
    if (cut < len) {
        probe_send_bytes(&provider, response->text, cut);
        probe_turns(fixture->loop, 2);
    } else {
        cut = 0;
    }
    /* Garbage may have ended the connection at its first byte. */
    (void)probe_send_some(&provider, response->text + cut, len - cut);
    if (response->then_closes) (void)shutdown(provider.fd, SHUT_WR);
    until_over(fixture, &heard);
    if (response->body) {
        if (heard.done_count != 1) fail_msg("%s: %s", response->name, heard.text);
        assert_true(heard_body_is(&heard, response->body));
        if (cut == 0 && heard.piece_count > 0) {
            assert_int_equal(heard.piece_count, 1);
            assert_int_equal(heard.was_last, response->has_last);
        }
    } else {
        if (heard.failed_count != 1) fail_msg("%s", response->name);
        assert_int_equal(heard.failure, response->failure);
        assert_true(heard.text[0] != '\0');
    }
    /* Bytes left over that come in a later read are found on the idle connection. */
    probe_turns(fixture->loop, 2);
    assert_int_equal(dr_http_pool_stats(fixture->pool).connections_idle, response->is_kept ? 1 : 0);
    dr_buf_clear(&heard.body);
    probe_close(&provider);
    PROBE_UNTIL(fixture->loop, (void)0, fixture->origin->upstream_count == 0);
}

static void test_each_response_is_told_whole(void **state) {
    for (size_t i = 0; i < sizeof responses / sizeof *responses; i++) {
        print_message("a response %s\n", responses[i].name);
        meet_response(*state, &responses[i], SIZE_MAX);
    }
}

static void test_each_response_may_be_cut_at_any_byte(void **state) {
    for (size_t i = 0; i < sizeof responses / sizeof *responses; i++) {
        const size_t len = strlen(responses[i].text);
        for (size_t cut = 1; cut < len; cut++) meet_response(*state, &responses[i], cut);
    }
}

static void test_a_head_beyond_its_limit_is_too_large(void **state) {
    struct fixture *fixture = *state;
    struct heard heard = heard_new(fixture);
    static char junk[70000];
    memset(junk, 'j', sizeof junk);
    ask_opens(fixture, &heard);
    struct probe provider = provider_accepts(fixture);
    provider_reads(fixture, &provider);
    probe_send(&provider, OK_HEAD "X: ");
    probe_send_bytes(&provider, junk, sizeof junk);
    until_over(fixture, &heard);
    assert_int_equal(heard.failure, DR_HTTP_ASK_TOO_LARGE);
    probe_close(&provider);
}

static void test_a_head_response_has_no_body(void **state) {
    struct fixture *fixture = *state;
    struct heard heard = heard_new(fixture);
    struct dr_http_ask_request request = plain_request();
    request.is_head = true;
    heard.ask = dr_http_ask_open(fixture->origin, &request, &events, &heard);
    struct probe provider = provider_accepts(fixture);
    provider_reads(fixture, &provider);
    probe_send(&provider, OK_HEAD "Content-Length: 99\r\n\r\n");
    until_over(fixture, &heard);
    assert_int_equal(heard.done_count, 1);
    assert_int_equal(dr_http_pool_stats(fixture->pool).connections_idle, 1);
    probe_close(&provider);
}

static void test_a_burst_of_chunks_is_one_piece(void **state) {
    struct fixture *fixture = *state;
    struct heard heard = heard_new(fixture);
    ask_opens(fixture, &heard);
    struct probe provider = provider_accepts(fixture);
    provider_reads(fixture, &provider);
    char text[8192];
    size_t len = (size_t)snprintf(text, sizeof text, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 64; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "c\r\ndata: %04d\n\n\r\n", i);
    }
    probe_send_bytes(&provider, text, len);
    PROBE_UNTIL(fixture->loop, (void)0, heard.body.len == (size_t)64 * 12);
    assert_int_equal(heard.piece_count, 1);
    assert_false(heard.was_last);
    probe_send(&provider, "3\r\nend\r\n0\r\n\r\n");
    until_over(fixture, &heard);
    assert_true(heard.was_last);
    assert_int_equal(heard.piece_count, 2);
    assert_true(dr_slice_starts(dr_buf_slice(&heard.body), DR_LIT("data: 0000\n\ndata: 0001\n\n")));
    dr_buf_clear(&heard.body);
    probe_close(&provider);
}

/* --- kept connections ------------------------------------------------------------------------- */

static void test_a_connection_is_used_again(void **state) {
    struct fixture *fixture = *state;
    struct heard heard;
    struct probe provider = {.fd = -1};
    for (int i = 0; i < 10; i++) exchange(fixture, &provider, &heard);
    const struct dr_http_pool_stats stats = dr_http_pool_stats(fixture->pool);
    assert_int_equal(stats.connections_opened, 1);
    assert_int_equal(stats.connections_reused, 9);
    probe_close(&provider);
}

static void test_no_memory_is_asked_for_in_the_steady_state(void **state) {
    struct fixture *fixture = *state;
    struct heard heard = heard_new(fixture);
    struct probe provider = {.fd = -1};
    exchange(fixture, &provider, &heard);
    exchange(fixture, &provider, &heard);
    char store[64];
    for (int i = 0; i < 10; i++) {
        heard = heard_new(fixture);
        heard.body = (struct dr_buf){.data = store, .capacity = sizeof store, .cap = sizeof store};
        const uint64_t before = dr_alloc_count();
        ask_opens(fixture, &heard);
        probe_forget(&provider);
        provider_reads(fixture, &provider);
        probe_send(&provider, OK_HEAD "Content-Length: 2\r\n\r\nok");
        until_over(fixture, &heard);
        assert_int_equal(dr_alloc_count(), before);
    }
    probe_close(&provider);
}

static void test_the_newest_idle_connection_comes_first(void **state) {
    struct fixture *fixture = *state;
    struct heard heard[6];
    struct probe providers[6];
    for (size_t i = 0; i < 6; i++) {
        heard[i] = heard_new(fixture);
        ask_opens(fixture, &heard[i]);
        providers[i] = provider_accepts(fixture);
    }
    for (size_t i = 0; i < 6; i++) {
        provider_reads(fixture, &providers[i]);
        probe_forget(&providers[i]);
        probe_send(&providers[i], OK_HEAD "Content-Length: 0\r\n\r\n");
        until_over(fixture, &heard[i]);
    }
    /* Four may idle: the two oldest were closed. */
    assert_int_equal(dr_http_pool_stats(fixture->pool).connections_idle, 4);
    for (size_t i = 0; i < 2; i++) {
        PROBE_UNTIL(fixture->loop, probe_read(&providers[i]), providers[i].has_ended);
    }
    for (size_t i = 0; i < 2; i++) {
        struct heard again = heard_new(fixture);
        ask_opens(fixture, &again);
        provider_reads(fixture, &providers[5]);
        probe_forget(&providers[5]);
        probe_send(&providers[5], OK_HEAD "Content-Length: 0\r\n\r\n");
        until_over(fixture, &again);
    }
    for (size_t i = 0; i < 6; i++) probe_close(&providers[i]);
}

static void test_an_ask_opened_inside_done_reuses_the_connection(void **state) {
    struct fixture *fixture = *state;
    struct heard first = heard_new(fixture);
    struct heard second = heard_new(fixture);
    first.opens_in_done = &second;
    ask_opens(fixture, &first);
    struct probe provider = provider_accepts(fixture);
    provider_reads(fixture, &provider);
    probe_forget(&provider);
    probe_send(&provider, OK_HEAD "Content-Length: 0\r\n\r\n");
    provider_reads(fixture, &provider);
    probe_send(&provider, OK_HEAD "Content-Length: 0\r\n\r\n");
    until_over(fixture, &second);
    assert_int_equal(first.done_count, 1);
    assert_int_equal(dr_http_pool_stats(fixture->pool).connections_opened, 1);
    probe_close(&provider);
}

/* As a gateway does that asks the next target once it has read why the first one refused. */
static void test_an_ask_opened_after_closing_in_the_last_piece_hears_its_own_answer(void **state) {
    struct fixture *fixture = *state;
    struct heard first = heard_new(fixture);
    struct heard second = heard_new(fixture);
    first.closes_in_body = true;
    first.opens_in_body = &second;
    ask_opens(fixture, &first);
    struct probe provider = provider_accepts(fixture);
    provider_reads(fixture, &provider);
    probe_forget(&provider);
    probe_send(&provider, OK_HEAD "Content-Length: 3\r\n\r\none");
    provider_reads(fixture, &provider);
    probe_send(&provider, OK_HEAD "Content-Length: 3\r\n\r\ntwo");
    until_over(fixture, &second);
    assert_int_equal(first.done_count + first.failed_count, 0);
    assert_int_equal(second.head_count, 1);
    assert_int_equal(second.done_count, 1);
    assert_true(dr_slice_is(dr_buf_slice(&second.body), DR_LIT("two")));
    assert_int_equal(dr_http_pool_stats(fixture->pool).connections_opened, 1);
    dr_buf_clear(&first.body);
    dr_buf_clear(&second.body);
    probe_close(&provider);
}

static void test_an_idle_connection_that_speaks_or_ends_is_dropped(void **state) {
    struct fixture *fixture = *state;
    struct heard heard;
    for (int i = 0; i < 3; i++) {
        struct probe provider = {.fd = -1};
        exchange(fixture, &provider, &heard);
        assert_int_equal(dr_http_pool_stats(fixture->pool).connections_idle, 1);
        if (i == 0) probe_send(&provider, "HTTP/1.1 408 Request Timeout\r\n\r\n");
        if (i == 1) probe_close(&provider);
        if (i == 2) probe_reset(&provider);
        PROBE_UNTIL(fixture->loop, (void)0,
                    dr_http_pool_stats(fixture->pool).connections_idle == 0);
        probe_close(&provider);
    }
    assert_int_equal(dr_http_pool_stats(fixture->pool).connections_opened, 3);
}

static void test_an_idle_connection_is_closed_in_time(void **state) {
    struct fixture *fixture = *state;
    fixture->pool->options.idle_ms = 30;
    struct heard heard;
    struct probe provider = {.fd = -1};
    exchange(fixture, &provider, &heard);
    PROBE_UNTIL(fixture->loop, probe_read(&provider), provider.has_ended);
    assert_false(provider.was_reset);
    probe_close(&provider);
}

/* The provider closes while the request is on its way: the loop has not seen the end yet. */
static void test_a_stale_connection_is_replaced_exactly_once(void **state) {
    struct fixture *fixture = *state;
    for (int i = 0; i < 4; i++) {
        struct heard heard;
        struct probe provider = {.fd = -1};
        exchange(fixture, &provider, &heard);
        heard = heard_new(fixture);
        if (i & 1) {
            probe_reset(&provider);
        } else {
            probe_close(&provider);
        }
        ask_opens(fixture, &heard);
        assert_int_equal(dr_http_pool_stats(fixture->pool).connections_idle, 0);
        provider = provider_accepts(fixture);
        provider_reads(fixture, &provider);
        assert_int_equal(probe_count(&provider, "GET /x"), 1);
        assert_int_equal(dr_http_pool_stats(fixture->pool).stale_retries, i + 1);
        if (i & 2) {
            /* The fresh one is lost too: that is the provider's failure. */
            probe_close(&provider);
            until_over(fixture, &heard);
            assert_int_equal(heard.failed_count, 1);
            assert_int_equal(heard.failure, DR_HTTP_ASK_CLOSED);
        } else {
            probe_send(&provider, OK_HEAD "Connection: close\r\nContent-Length: 0\r\n\r\n");
            until_over(fixture, &heard);
            assert_int_equal(heard.done_count, 1);
        }
        probe_close(&provider);
    }
    assert_int_equal(dr_http_pool_stats(fixture->pool).stale_retries, 4);
}

static void test_what_may_not_be_repeated_fails_on_a_stale_connection(void **state) {
    struct fixture *fixture = *state;
    struct heard heard;
    struct probe provider = {.fd = -1};
    exchange(fixture, &provider, &heard);
    heard = heard_new(fixture);
    probe_close(&provider);
    struct dr_http_ask_request request = plain_request();
    request.is_repeatable = false;
    heard.ask = dr_http_ask_open(fixture->origin, &request, &events, &heard);
    until_over(fixture, &heard);
    assert_int_equal(heard.failure, DR_HTTP_ASK_CLOSED);
    assert_int_equal(dr_http_pool_stats(fixture->pool).stale_retries, 0);
}

/* --- failures --------------------------------------------------------------------------------- */

static void test_a_refused_connection_fails_in_a_later_turn(void **state) {
    struct fixture *fixture = *state;
    close(fixture->listen_fd);
    fixture->listen_fd = -1;
    struct heard heard = heard_new(fixture);
    ask_opens(fixture, &heard);
    assert_int_equal(heard.failed_count, 0);
    until_over(fixture, &heard);
    assert_int_equal(heard.failure, DR_HTTP_ASK_CONNECT);
    assert_non_null(strstr(heard.text, "refused"));
}

static void test_a_name_without_address_fails_to_resolve(void **state) {
    struct fixture *fixture = *state;
    struct dr_http_origin *origin =
        dr_http_origin_hold(fixture->pool, DR_LIT("not a host"), 80, NULL);
    struct heard heard = heard_new(fixture);
    const struct dr_http_ask_request request = plain_request();
    heard.ask = dr_http_ask_open(origin, &request, &events, &heard);
    assert_int_equal(heard.failed_count, 0);
    until_over(fixture, &heard);
    assert_int_equal(heard.failure, DR_HTTP_ASK_RESOLVE);
    dr_http_origin_release(origin);
}

/* A listener whose queue is full leaves further connects unanswered. */
static void test_a_connect_without_answer_times_out(void **state) {
    struct fixture *fixture = *state;
    uint16_t port;
    const int fd = probe_listen(0, &port);
    struct probe fillers[2] = {probe_connect(port), {.fd = -1}};
    const struct sockaddr_in address = probe_address(port);
    const int filler = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)connect(filler, (const struct sockaddr *)(const void *)&address, sizeof address);
    struct dr_http_origin *origin =
        dr_http_origin_hold(fixture->pool, DR_LIT("127.0.0.1"), port, NULL);
    struct heard heard = heard_new(fixture);
    struct dr_http_ask_request request = plain_request();
    request.timeouts.connect_ms = 50;
    heard.ask = dr_http_ask_open(origin, &request, &events, &heard);
    until_over(fixture, &heard);
    assert_int_equal(heard.failure, DR_HTTP_ASK_CONNECT_TIMEOUT);
    assert_non_null(strstr(heard.text, "within 50 ms"));
    dr_http_origin_release(origin);
    close(filler);
    close(fd);
    probe_close(&fillers[0]);
}

struct timeout {
    const char *name;
    const char *text; /* what the provider sends before it falls silent */
    struct dr_http_timeouts timeouts;
    enum dr_http_ask_failure failure;
    const char *sentence;
};

static const struct timeout timeouts[] = {
    {"first byte",
     "",
     {5000, 40, 5000, 5000},
     DR_HTTP_ASK_FIRST_BYTE_TIMEOUT,
     "no byte of the answer within 40 ms"},
    {"whole head",
     OK_HEAD "X: y\r\n",
     {5000, 40, 5000, 5000},
     DR_HTTP_ASK_FIRST_BYTE_TIMEOUT,
     "no whole head of the answer within 40 ms"},
    {"between bytes",
     OK_HEAD "Content-Length: 9\r\n\r\nhalf",
     {5000, 5000, 40, 5000},
     DR_HTTP_ASK_BETWEEN_BYTES_TIMEOUT,
     "no further byte of the answer within 40 ms"},
    {"whole",
     OK_HEAD "Content-Length: 9\r\n\r\nhalf",
     {5000, 5000, 5000, 40},
     DR_HTTP_ASK_WHOLE_TIMEOUT,
     "the answer was not whole within 40 ms"},
    {"whole, in seconds",
     "",
     {5000, 5000, 5000, 1000},
     DR_HTTP_ASK_WHOLE_TIMEOUT,
     "the answer was not whole within 1 s"},
};

static void test_each_time_out_has_its_own_failure_and_sentence(void **state) {
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
        struct heard heard = heard_new(fixture);
        struct dr_http_ask_request request = plain_request();
        request.timeouts = timeouts[i].timeouts;
        heard.ask = dr_http_ask_open(fixture->origin, &request, &events, &heard);
        struct probe provider = provider_accepts(fixture);
        probe_send(&provider, timeouts[i].text);
        until_over(fixture, &heard);
        assert_int_equal(heard.failure, timeouts[i].failure);
        assert_string_equal(heard.text, timeouts[i].sentence);
        /* The provider learns of it. */
        PROBE_UNTIL(fixture->loop, probe_read(&provider), provider.has_ended);
        dr_buf_clear(&heard.body);
        probe_close(&provider);
    }
}

static void test_a_paused_ask_is_not_timed_between_bytes(void **state) {
    struct fixture *fixture = *state;
    struct heard heard = heard_new(fixture);
    heard.pauses_in_body = true;
    struct dr_http_ask_request request = plain_request();
    request.timeouts.between_bytes_ms = 30;
    heard.ask = dr_http_ask_open(fixture->origin, &request, &events, &heard);
    struct probe provider = provider_accepts(fixture);
    provider_reads(fixture, &provider);
    probe_send(&provider, OK_HEAD "Content-Length: 10\r\n\r\nfirst");
    PROBE_UNTIL(fixture->loop, (void)0, heard.piece_count == 1);
    probe_send(&provider, "other");
    const dr_instant start = dr_instant_now();
    PROBE_UNTIL(fixture->loop, (void)0, dr_instant_us_since(dr_instant_now(), start) > 90000);
    assert_int_equal(heard.piece_count, 1);
    assert_int_equal(heard.failed_count, 0);
    heard.pauses_in_body = false;
    dr_http_ask_resume(heard.ask);
    until_over(fixture, &heard);
    assert_int_equal(heard.done_count, 1);
    assert_true(heard_body_is(&heard, "firstother"));
    dr_buf_clear(&heard.body);
    probe_close(&provider);
}

static void test_an_ask_paused_at_its_end_leaves_a_watched_connection(void **state) {
    struct fixture *fixture = *state;
    struct heard heard = heard_new(fixture);
    heard.pauses_in_body = true;
    ask_opens(fixture, &heard);
    struct probe provider = provider_accepts(fixture);
    provider_reads(fixture, &provider);
    probe_send(&provider, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    PROBE_UNTIL(fixture->loop, (void)0, heard.piece_count == 1);
    heard.pauses_in_body = true;
    dr_http_ask_resume(heard.ask);
    probe_send(&provider, "1\r\nb\r\n0\r\n\r\n");
    until_over(fixture, &heard);
    assert_int_equal(dr_http_pool_stats(fixture->pool).connections_idle, 1);
    dr_buf_clear(&heard.body);
    probe_close(&provider);
    PROBE_UNTIL(fixture->loop, (void)0, dr_http_pool_stats(fixture->pool).connections_idle == 0);
}

/* --- leaving ---------------------------------------------------------------------------------- */

static void test_a_closed_ask_reaches_the_provider_at_once(void **state) {
    struct fixture *fixture = *state;
    static const char *const sent[] = {"", OK_HEAD "Content-",
                                       OK_HEAD "Content-Length: 9\r\n\r\nhalf"};
    for (size_t i = 0; i < 3; i++) {
        struct heard heard = heard_new(fixture);
        ask_opens(fixture, &heard);
        struct probe provider = provider_accepts(fixture);
        provider_reads(fixture, &provider);
        probe_send(&provider, sent[i]);
        probe_turns(fixture->loop, 3);
        dr_http_ask_close(heard.ask);
        const dr_instant start = dr_instant_now();
        PROBE_UNTIL(fixture->loop, probe_read(&provider), provider.has_ended);
        assert_true(dr_instant_us_since(dr_instant_now(), start) < 100000);
        assert_int_equal(heard.done_count + heard.failed_count, 0);
        dr_buf_clear(&heard.body);
        probe_close(&provider);
    }
}

static void test_an_ask_may_be_closed_in_each_fact_and_before_any(void **state) {
    struct fixture *fixture = *state;
    for (int i = 0; i < 3; i++) {
        struct heard heard = heard_new(fixture);
        heard.closes_in_head = i == 0;
        heard.closes_in_body = i > 0;
        ask_opens(fixture, &heard);
        struct probe provider = provider_accepts(fixture);
        provider_reads(fixture, &provider);
        probe_send(&provider, i == 2 ? OK_HEAD "Content-Length: 4\r\n\r\nbody"
                                     : OK_HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
        PROBE_UNTIL(fixture->loop, (void)0, heard.head_count == 1 && heard.piece_count == (i > 0));
        if (i < 2) {
            PROBE_UNTIL(fixture->loop, probe_read(&provider), provider.has_ended);
        } else {
            /* It was complete: nothing speaks against keeping the connection. */
            assert_int_equal(dr_http_pool_stats(fixture->pool).connections_idle, 1);
        }
        assert_int_equal(heard.done_count + heard.failed_count, 0);
        dr_buf_clear(&heard.body);
        probe_close(&provider);
        PROBE_UNTIL(fixture->loop, (void)0, fixture->origin->upstream_count == 0);
    }
    struct heard early = heard_new(fixture);
    ask_opens(fixture, &early);
    dr_http_ask_close(early.ask);
    probe_turns(fixture->loop, 3);
    assert_int_equal(early.done_count + early.failed_count, 0);
}

static void test_a_large_request_waits_for_a_slow_provider(void **state) {
    struct fixture *fixture = *state;
    const size_t len = 7 * 1024 * 1024;
    char *body = test_malloc(len);
    memset(body, 'b', len);
    const dr_slice parts[3] = {
        DR_LIT("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 7340032\r\n\r\n"),
        dr_slice_of(body, len - 1), DR_LIT("z")};
    struct dr_http_ask_request request = plain_request();
    request.parts = parts;
    request.part_count = 3;
    struct heard heard = heard_new(fixture);
    heard.ask = dr_http_ask_open(fixture->origin, &request, &events, &heard);
    struct probe provider = provider_accepts(fixture);
    const size_t whole = parts[0].len + len;
    while (provider.len < whole) {
        probe_read_some(&provider, 300000);
        dr_loop_run_once(fixture->loop, 1);
        assert_int_equal(heard.failed_count, 0);
    }
    assert_int_equal(provider.text[whole - 1], 'z');
    probe_send(&provider, OK_HEAD "Content-Length: 0\r\n\r\n");
    until_over(fixture, &heard);
    assert_int_equal(heard.done_count, 1);
    assert_int_equal(dr_http_pool_stats(fixture->pool).connections_idle, 1);
    test_free(body);
    probe_close(&provider);
}

static void test_an_answer_before_the_request_has_left_ends_the_connection(void **state) {
    struct fixture *fixture = *state;
    const size_t len = 7 * 1024 * 1024;
    char *body = test_malloc(len);
    const dr_slice parts[2] = {
        DR_LIT("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 7340032\r\n\r\n"),
        dr_slice_of(body, len)};
    memset(body, 'b', len);
    struct dr_http_ask_request request = plain_request();
    request.parts = parts;
    request.part_count = 2;
    struct heard heard = heard_new(fixture);
    heard.ask = dr_http_ask_open(fixture->origin, &request, &events, &heard);
    struct probe provider = provider_accepts(fixture);
    probe_send(&provider, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    until_over(fixture, &heard);
    assert_int_equal(heard.done_count, 1);
    assert_int_equal(heard.status, 413);
    assert_int_equal(dr_http_pool_stats(fixture->pool).connections_idle, 0);
    test_free(body);
    dr_buf_clear(&heard.body);
    probe_close(&provider);
}

/* It does not read the request, so that its close is a reset, which our writing runs into. */
static void test_an_answer_before_a_hard_close_amid_the_request_is_told(void **state) {
    struct fixture *fixture = *state;
    const size_t len = 20 * 1024 * 1024;
    char *body = test_malloc(len);
    const dr_slice parts[2] = {
        DR_LIT("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 20971520\r\n\r\n"),
        dr_slice_of(body, len)};
    memset(body, 'b', len);
    for (int i = 0; i < 6; i++) {
        struct dr_http_ask_request request = plain_request();
        request.parts = parts;
        request.part_count = 2;
        struct heard heard = heard_new(fixture);
        struct probe provider = {.fd = -1};
        if (i >= 3) { /* on a kept connection */
            struct heard first;
            exchange(fixture, &provider, &first);
        }
        heard.ask = dr_http_ask_open(fixture->origin, &request, &events, &heard);
        if (provider.fd < 0) provider = provider_accepts(fixture);
        if (i % 3 > 0) probe_turns(fixture->loop, 5);
        probe_send(&provider, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n"
                              "Content-Length: 2\r\n\r\nno");
        if (i % 3 == 2) {
            probe_reset(&provider);
        } else {
            probe_close(&provider);
        }
        until_over(fixture, &heard);
        if (heard.done_count != 1) fail_msg("%d: %s", i, heard.text);
        assert_int_equal(heard.status, 413);
        assert_true(heard_body_is(&heard, "no"));
        assert_int_equal(dr_http_pool_stats(fixture->pool).connections_idle, 0);
        assert_int_equal(dr_http_pool_stats(fixture->pool).stale_retries, 0);
        dr_buf_clear(&heard.body);
    }
    test_free(body);
}

static void test_many_asks_run_side_by_side(void **state) {
    struct fixture *fixture = *state;
    static struct heard heard[ASKS_MAX];
    static int fds[ASKS_MAX];
    const size_t count = 100;
    for (size_t i = 0; i < count; i++) {
        heard[i] = heard_new(fixture);
        ask_opens(fixture, &heard[i]);
    }
    assert_int_equal(dr_http_pool_stats(fixture->pool).asks_running, count);
    for (size_t i = 0; i < count; i++) {
        int fd = -1;
        PROBE_UNTIL(fixture->loop, fd = accept(fixture->listen_fd, NULL, NULL), fd >= 0);
        fds[i] = fd;
    }
    static const char text[] = OK_HEAD "Content-Length: 2\r\n\r\nok";
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(send(fds[i], text, sizeof text - 1, MSG_NOSIGNAL), sizeof text - 1);
    }
    for (size_t i = 0; i < count; i++) {
        until_over(fixture, &heard[i]);
        assert_int_equal(heard[i].done_count, 1);
        assert_true(heard_body_is(&heard[i], "ok"));
        dr_buf_clear(&heard[i].body);
        close(fds[i]);
    }
}

static void test_the_next_address_is_tried_when_one_refuses(void **state) {
    struct fixture *fixture = *state;
    struct dr_http_origin *origin =
        dr_http_origin_hold(fixture->pool, DR_LIT("two.test"), fixture->port, NULL);
    struct heard heard = heard_new(fixture);
    const struct dr_http_ask_request request = plain_request();
    heard.ask = dr_http_ask_open(origin, &request, &events, &heard);
    struct probe provider = provider_accepts(fixture);
    provider_reads(fixture, &provider);
    probe_send(&provider, OK_HEAD "Content-Length: 0\r\n\r\n");
    until_over(fixture, &heard);
    assert_int_equal(heard.done_count, 1);
    assert_true(fixture->dns.questions_a > 0);
    dr_http_origin_release(origin);
    PROBE_UNTIL(fixture->loop, probe_read(&provider), provider.has_ended);
    probe_close(&provider);
}

static void test_exhausted_memory_is_refused_or_told_and_leaks_nothing(void **state) {
    struct fixture *fixture = *state;
    for (uint64_t nth = 1; nth < 12; nth++) {
        struct heard heard = heard_new(fixture);
        const struct dr_http_ask_request request = plain_request();
        dr_http_ask_free_list_clear(fixture->pool);
        while (fixture->pool->free_parser_count > 0) {
            dr_http1_parser_free(fixture->pool->free_parsers[--fixture->pool->free_parser_count]);
        }
        dr_alloc_fail_at(nth);
        heard.ask = dr_http_ask_open(fixture->origin, &request, &events, &heard);
        if (!heard.ask) {
            dr_alloc_fail_at(0);
            assert_int_equal(heard.failed_count, 0);
            continue;
        }
        struct probe provider = {.fd = -1};
        PROBE_UNTIL(fixture->loop, provider.fd = accept(fixture->listen_fd, NULL, NULL),
                    provider.fd >= 0 || heard.failed_count > 0);
        if (provider.fd >= 0) {
            static const char text[] = OK_HEAD "Connection: close\r\nContent-Length: 2\r\n\r\nok";
            (void)send(provider.fd, text, sizeof text - 1, MSG_NOSIGNAL);
        }
        until_over(fixture, &heard);
        dr_alloc_fail_at(0);
        if (provider.fd >= 0) close(provider.fd);
        dr_buf_clear(&heard.body);
        PROBE_UNTIL(fixture->loop, (void)0, fixture->origin->upstream_count == 0);
    }
}

static void test_origins_are_found_again_by_equal_arguments(void **state) {
    struct fixture *fixture = *state;
    struct dr_http_origin *same =
        dr_http_origin_hold(fixture->pool, DR_LIT("127.0.0.1"), fixture->port, NULL);
    assert_ptr_equal(same, fixture->origin);
    struct dr_http_origin *other = dr_http_origin_hold(fixture->pool, DR_LIT("127.0.0.1"), 1, NULL);
    assert_ptr_not_equal(other, same);
    dr_http_origin_release(other);
    dr_http_origin_release(same);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_each_response_is_told_whole),
        TEST(test_each_response_may_be_cut_at_any_byte),
        TEST(test_a_head_beyond_its_limit_is_too_large),
        TEST(test_a_head_response_has_no_body),
        TEST(test_a_burst_of_chunks_is_one_piece),
        TEST(test_a_connection_is_used_again),
        TEST(test_no_memory_is_asked_for_in_the_steady_state),
        TEST(test_the_newest_idle_connection_comes_first),
        TEST(test_an_ask_opened_inside_done_reuses_the_connection),
        TEST(test_an_ask_opened_after_closing_in_the_last_piece_hears_its_own_answer),
        TEST(test_an_idle_connection_that_speaks_or_ends_is_dropped),
        TEST(test_an_idle_connection_is_closed_in_time),
        TEST(test_a_stale_connection_is_replaced_exactly_once),
        TEST(test_what_may_not_be_repeated_fails_on_a_stale_connection),
        TEST(test_a_refused_connection_fails_in_a_later_turn),
        TEST(test_a_name_without_address_fails_to_resolve),
        TEST(test_a_connect_without_answer_times_out),
        TEST(test_each_time_out_has_its_own_failure_and_sentence),
        TEST(test_a_paused_ask_is_not_timed_between_bytes),
        TEST(test_an_ask_paused_at_its_end_leaves_a_watched_connection),
        TEST(test_a_closed_ask_reaches_the_provider_at_once),
        TEST(test_an_ask_may_be_closed_in_each_fact_and_before_any),
        TEST(test_a_large_request_waits_for_a_slow_provider),
        TEST(test_an_answer_before_the_request_has_left_ends_the_connection),
        TEST(test_an_answer_before_a_hard_close_amid_the_request_is_told),
        TEST(test_many_asks_run_side_by_side),
        TEST(test_the_next_address_is_tried_when_one_refuses),
        TEST(test_exhausted_memory_is_refused_or_told_and_leaks_nothing),
        TEST(test_origins_are_found_again_by_equal_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
